"""A run with other arguments than its session's, in a process that a checkpoint has forked for it:
it takes the run over, or declines.

It takes over the options, lets pytest collect what they name (from memory, see
``selection/collection_cache.py``), and looks whether that is what would have been collected if
nothing else had been. See ``docs/design/selection.md``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from rpytest import stdlib
from rpytest.collection.collected import KEPT, KEPT_PARTLY
from rpytest.controller.client import Died, Ended
from rpytest.ipc import channel
from rpytest.ipc.channel import send_refusal
from rpytest.ipc.process_messages import Accepted
from rpytest.ipc.process_messages import Declined as RunDeclined
from rpytest.options import comparison, option_reads
from rpytest.options.comparison import Declined
from rpytest.process import lifecycle
from rpytest.pytest_compat.hooks import plugin_name, third_party_hooks
from rpytest.pytest_compat.muted_hooks import MutedHooks
from rpytest.pytest_compat.output import restart_capture, truncate_log_file
from rpytest.role.entry import announce_process, finish_plain
from rpytest.selection import apply_options, editable_modules, forked_session
from rpytest.selection.edited_modules import EditedModules
from rpytest.stdlib import contextlib, socket

__builtins__ = stdlib.BUILTINS


if TYPE_CHECKING:
    from rpytest.ipc.process_messages import HandedOver
    from rpytest.ipc.run_messages import RunRequest
    from rpytest.options.comparison import ParsedCommandLine
    from rpytest.role.session_state import SessionState
    from rpytest.role.standby import StandbySide
    from rpytest.selection.collection_cache import CollectionCache
    from rpytest.selection.conftests import Conftests
    from rpytest.selection.editable_modules import EditableModules

#: Hooks that hear of a collection: what they have heard of all would be wrong for a part.
_COLLECTING_HOOKS = ("pytest_collectstart", "pytest_collectreport", "pytest_make_collect_report")

#: Plugins whose hooks keep nothing of the tests that they make, or mark: each was read.
_KEEPING_NOTHING = frozenset({"anyio.pytest_plugin"})


class CollectAgain(BaseException):
    """Collect again, for other arguments."""


@dataclass(frozen=True)
class Kept:
    """What a checkpoint has kept for the processes of runs."""

    role: SessionState
    session: pytest.Session
    collection_cache: CollectionCache
    #: The plugins before collection, by identity.
    plugins: set[int]
    arguments: ParsedCommandLine
    conftests: Conftests
    editable: EditableModules
    #: Set in a process that was there before there was a run for it.
    waiting: StandbySide | None


class SelectedRun:
    """One such run."""

    def __init__(self, kept: Kept, line: socket.socket, edited: set[str]) -> None:
        """``line`` is what this process accepts or declines by; ``edited``: what the checkpoint has
        found changed of its test modules.
        """
        self.role = kept.role
        self.session = kept.session
        self.config = kept.session.config
        self.collection_cache = kept.collection_cache
        self.plugins = kept.plugins
        self.arguments = kept.arguments
        self.conftests = kept.conftests
        self.editable = kept.editable
        #: This run's own connection to the daemon: as long as it is open and nothing was said,
        #: nobody else gets the run.
        self.control = line
        #: Set in a standby process, which was there before there was a run for it.
        self.waiting = kept.waiting
        #: What the run says about its collection.
        self.how = KEPT
        self.edited = edited
        #: pytest is collecting for the run.
        self.collects_again = False
        self._is_confirmed = False
        self._silence = MutedHooks()
        #: Collected again, although the same tests are meant.
        self._is_all = False
        self._is_of_edits = False
        #: The plugins before edited modules are collected, by identity.
        self._registered: list[int] = []

    def begin(self, message: RunRequest, fds: list[int]) -> None:
        """Take the run over, or decline; returns, or raises :class:`CollectAgain`, when pytest is
        to go on.
        """
        role, config, session = self.role, self.config, self.session
        forked_session.take_run(role, message, fds)
        try:
            different = self.arguments.compare(message.argv, role.identity_reads.counted)
            args, source = self.arguments.resolve(different)
            if self.waiting is not None:
                self.waiting.confirmed()
                self.edited = set(self.waiting.edited)
            is_other = self._must_collect(different, args)
            self._is_all = not is_other
            again = is_other or bool(self.edited)
            if (
                not again
                and self.collection_cache.has_failed
                and different.keys() & comparison.REPORTING
            ):
                raise Declined(
                    "a file could not be collected, and its error may look otherwise with "
                    "these options"
                )
            if again:
                self._may_collect()
            if self.edited:
                obstacle = editable_modules.obstacle(config, message)
                if obstacle is not None:
                    self._decline_edits(obstacle)
            role.workers = apply_options.options(
                config, self.arguments, message, different, args, source
            )
            role.uid = config.option.testrunuid
            option_reads.end(config)
            reports = [] if again else list(self.collection_cache.reports.values())
            told = [] if again else role.collection_log.reports
            apply_options.cache(config, session, reports, self.plugins)
            assert role.terminal is not None
            apply_options.terminal(session, role.terminal, different, again)
            role.xml = apply_options.junit(config, role.is_first, told, self.plugins)
        except Declined as declined:
            self.decline(str(declined))
        restart_capture(config)
        if again:
            session.testsfailed = 0
            role.collection_log.reports.clear()
            self._silence.begin(config)
            self.collects_again = True
            edits = None
            if self.edited:
                # What the new versions do while they are imported.
                role.dependencies.observer.start()
                self._registered = list(map(id, config.pluginmanager.get_plugins()))
                kept = self.editable
                edits = EditedModules(
                    session,
                    self.edited,
                    kept.texts,
                    kept.mentions(),
                    self.collection_cache.record,
                    self._decline_edits,
                )
            decline = self._decline_edits if self.edited else self.decline
            self.collection_cache.begin(
                decline, bool(different.keys() & {"ignore", "ignore_glob"}), edits
            )
            raise CollectAgain
        self._accept()

    def _must_collect(self, different: dict[str, Any], args: list[str]) -> bool:
        """Whether other tests than all that there are may be meant."""
        changed = (different.keys() & comparison.COLLECTING) - {"file_or_dir"}
        return bool(changed or args != list(self.config.args) or self.arguments.own.get("lf"))

    def _may_collect(self) -> None:
        config = self.config
        if _is_measured():
            raise Declined("coverage has measured the import of more modules")
        for hook in _COLLECTING_HOOKS:
            for implementation in third_party_hooks(config, hook):
                raise Declined(
                    f"`{hook}` of {plugin_name(implementation)} has heard of other tests"
                )
        conftests: Any = config.pluginmanager
        known = self.plugins | set(map(id, conftests._conftest_plugins))
        for plugin in config.pluginmanager.get_plugins():
            if id(plugin) not in known and not type(plugin).__module__.startswith("_pytest."):
                raise Declined("a plugin was registered while the tests were collected")
        if self.collection_cache.loose_warnings():
            raise Declined(
                "warnings were recorded while the tests were collected, of which nobody "
                "knows whose they are"
            )

    def _decline_edits(self, reason: str) -> NoReturn:
        """The test modules that are edited can't be collected anew."""
        self._is_of_edits = True
        self.decline(reason)

    def selected(self) -> None:
        """pytest has collected the selection: is it what it would be without everything else?"""
        self.collects_again = False
        self._silence.end()
        collection_cache, session = self.collection_cache, self.session
        if self.edited and self._registered != list(
            map(id, self.config.pluginmanager.get_plugins())
        ):
            self._decline_edits("a plugin was registered while the edited module was collected")
        if len(set(map(id, session.items))) != len(session.items):
            self.decline("a test is meant twice")
        folders = [
            collector.path
            for collector in collection_cache.used
            if isinstance(collector, pytest.Directory)
        ]
        obstacle = self.conftests.obstacle(self.config.args, folders)
        if obstacle is not None:
            self.decline(obstacle)
        self._leave_out()
        early = set(self.role.parsed_plugins)
        for module in self.conftests.earlier:
            apply_options.before_late_ones(self.config, module, early)
            early.add(id(module))
        self._accept()

    def _leave_out(self) -> None:
        """Make what the selection leaves out as if it had never been there, or decline."""
        collection_cache, record = self.collection_cache, self.collection_cache.record
        if collection_cache.is_everything(self.conftests.loaded) and not self.conftests.earlier:
            obstacle = self.conftests.difference()
            if obstacle is not None:
                self.decline(obstacle)
            return
        chosen = collection_cache.selected(self.conftests.loaded, self.conftests.earlier)
        obstacle = (
            collection_cache.left_out()
            or _listening(self.config)
            or self.conftests.difference()
            or record.obstacle(chosen, self.conftests.earlier, collection_cache.changed())
        )
        if obstacle is not None:
            self.decline(obstacle)
        record.leave_out(chosen)
        self.how = KEPT_PARTLY
        for name, module in self.conftests.imported():
            # A conftest of another folder has taken the module's name.
            sys.modules[name] = module

    def confirm(self) -> None:
        """Nothing is in the way any more: the run is this process's."""
        if not self._is_confirmed:
            self._is_confirmed = True
            with contextlib.suppress(channel.Closed):
                channel.send(self.control, Accepted())
            self.control.close()

    def hand_back(self, reason: str) -> NoReturn:
        """Hooks that select have made something that can't be forked: a session of its own may
        start workers without.
        """
        controller, handed = self._controller()
        try:
            channel.send(self.control, RunDeclined(reason=reason, controller=controller), handed)
        except (channel.Closed, OSError):
            send_refusal(
                self.role.conn,
                f"no worker can be forked: {reason}",
                "run it again; a new daemon starts by itself",
            )
        lifecycle.exit_now(0)

    def _accept(self) -> None:
        """From here on everything goes as in a session of its own."""
        role = self.role
        assert role.controllers is not None
        ended = self._start_controller() if role.controllers.base is not None else None
        # Nobody is to be told anything else.
        role.control, other = channel.pair()
        other.close()
        if ended is not None:
            self.confirm()
            finish_plain(role.conn, role.control, ended)
        if role.controllers.client is None:
            truncate_log_file(self.config)
        with contextlib.suppress(channel.Closed):
            announce_process(role.conn)

    def _start_controller(self) -> int | None:
        """Start this run's controller; returns the exit status if that has ended the run."""
        role = self.role
        try:
            reason = forked_session.start_controller(role)
        except Ended as ended:
            return ended.status
        except Died:
            self.decline("the process that starts its controllers died")
        if reason is not None:
            self.decline(reason)
        return None

    def decline(self, reason: str) -> NoReturn:
        """Leave the run to another session."""
        if self.waiting is not None:
            # A standby process says nothing as long as another one may take its place.
            self.waiting.confirmed()
        controller, handed = self._controller()
        told = RunDeclined(reason=reason, edited=self._is_of_edits, controller=controller)
        with contextlib.suppress(channel.Closed, OSError):
            channel.send(self.control, told, handed)
        lifecycle.exit_now(0)

    def _controller(self) -> tuple[HandedOver | None, list[int]]:
        """The controller that is there for this run already: whoever takes the run goes on with
        it.
        """
        controllers = self.role.controllers
        return (None, []) if controllers is None else controllers.hand_over()


def _is_measured() -> bool:
    coverage: Any = sys.modules.get("coverage")
    return sys.gettrace() is not None or (
        coverage is not None and coverage.Coverage.current() is not None
    )


def _listening(config: pytest.Config) -> str | None:
    """Which plugin or conftest was told of the tests that are left out, while they were made."""
    for hook in editable_modules.MAKING_HOOKS:
        for implementation in third_party_hooks(config, hook):
            if getattr(implementation.plugin, "__name__", "") not in _KEEPING_NOTHING:
                return f"`{hook}` of {plugin_name(implementation)} has heard of other tests"
    return None
