"""The trunk: a fork of a session from the moment when everything is collected and nothing is selected yet.

For each run with other arguments it forks a process that takes over the options, lets pytest collect what they name (from memory, see ``_memo.py``)
and goes on as pytest does: hooks select and order, then the tests run. Hooks so find items that no other selection has touched. See
``docs/design/selection.md``.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from _pytest.terminal import TerminalReporter

from rpytest import _adopt, _arguments, _editable, _imports, _looks, _process, _refusing, _wire
from rpytest._arguments import Arguments, Declined
from rpytest._conftests import Conftests
from rpytest._control import Died, Ended, fork_detached
from rpytest._editable import Editable
from rpytest._edits import Edits
from rpytest._encode import plugin_name, third_party
from rpytest._entry import announce_process, finish_plain
from rpytest._fork import park_capture, rebind_capture, restart_capture, restart_faulthandler, truncate_log_file
from rpytest._imports import Loaded, forget, is_ambiguous, needed_by, root_of
from rpytest._memo import Memo
from rpytest._silence import Silence
from rpytest._spare import Ahead, Waiting
from rpytest._warm import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rpytest._session import Session
    from rpytest._wire import Message

#: Milliseconds without a request after which it does what makes later ones faster.
_QUIET = 700

#: Items that are prepared between two looks at the control socket.
_SLICE = 50

#: Files, those that were changed last, whose imports are looked at before a run asks.
_MOST_FILES = 200

#: Hooks that hear of a collection: what they have heard of all would be wrong for a part.
_COLLECTING_HOOKS = ("pytest_collectstart", "pytest_collectreport", "pytest_make_collect_report")


class _Again(BaseException):
    """Collect again, for other arguments."""


class Trunk:
    """What a session has for the runs that come with other arguments."""

    def __init__(self, role: Session, session: pytest.Session) -> None:
        self.role = role
        self.session = session
        self.config = session.config
        self.memo = Memo(session, role.dependencies.replacing, role.dependencies.codes)
        self.options = _arguments.option_count(self.config)
        self.plugins: set[int] = set()
        #: Set in a process that is one run.
        self.is_run = False
        self.run = 0
        self.control: socket.socket
        self.children: dict[int, int] = {}
        self.arguments: Arguments
        self._is_confirmed = False
        self._collects_again = False
        self._is_collecting = False
        self._silence = Silence()
        self._is_prepared = False
        #: Collected again, although the same tests are meant.
        self._is_all = False
        #: The process of the next run.
        self.ahead = Ahead()
        #: Test modules that may have been edited since, and those that have.
        self.editable: Editable
        self.edited: set[str] = set()
        self._is_of_edits = False
        #: By identity: the plugins before edited modules are collected.
        self._registered: list[int] = []
        #: The modules that were there when everything was collected.
        self.loaded: Loaded | None = None
        manager: Any = self.config.pluginmanager
        self._check_pending = manager.check_pending
        manager.check_pending = self._collected
        main = manager.getplugin("main")
        implementation: Any
        for implementation in self.config.hook.pytest_collection.get_hookimpls():
            if implementation.plugin is main:
                implementation.function = self._collect

    # Inside of pytest's collection

    def _collect(self, session: pytest.Session) -> None:
        """In the place of pytest's own `pytest_collection`."""
        self.plugins = set(map(id, self.config.pluginmanager.get_plugins()))
        self._is_collecting = True
        try:
            while True:
                try:
                    session.perform_collect()
                    return
                except _Again:
                    continue
                except BaseException as error:
                    if self._collects_again:
                        self._decline(f"it can't be collected from there: {str(error)[:200]}")
                    raise
        finally:
            self._is_collecting = False

    def _collected(self) -> None:
        """Called by pytest between collection and the hooks that select."""
        self._check_pending()
        if self._collects_again:
            self._selected()
        elif self._is_collecting and not self.is_run:
            self.memo.settle()
            with self.role.dependencies.paused():
                obstacle = self._obstacle()
            if obstacle is None:
                self._fork()

    def _obstacle(self) -> str | None:
        """Why there is no trunk in this session."""
        role, config = self.role, self.config
        controllers = role.controllers
        reporter = config.pluginmanager.getplugin("terminalreporter")
        if controllers is None or role.controller is not None or not role.is_kept:
            return "it serves one run"
        if getattr(config.option, "debug", None):
            return "pytest writes a log of what it does"
        if reporter is not None and type(reporter) is not TerminalReporter:
            return "a plugin has replaced the terminal reporter"
        if (
            role.terminal is None
            or role.terminal.reporter is not reporter
            or (reporter is not None and not role.terminal.is_redirected)
        ):
            return "a plugin has taken the terminal reporter away"
        if _arguments.option_count(config) != self.options:
            return "a conftest of a sub-folder has added an option"
        if role.finder is not None:
            role.finder.settle()
        role.dependencies.snapshot(config, self.session)
        return (
            role.dependencies.effects
            or role.watch.reader
            or controllers.obstacle()
            or ", ".join(_process.python_threads())
            or ", ".join(_process.child_processes())
            or _process.shared_when_forked(role.own_sockets())
            or _refusing.made_for_one_process()
            or None
        )

    def _fork(self) -> None:
        """Fork the trunk; the session goes on with its own run."""
        ours, theirs = _wire.pair()
        _process.flush_streams()
        try:
            in_session = fork_detached()
        except OSError:
            # Too many processes: there is none, then.
            ours.close()
            theirs.close()
            return
        if in_session:
            theirs.close()
            self.memo.reports.clear()
            with contextlib.suppress(_wire.Closed):
                _wire.send(
                    self.role.control,
                    {"ev": "trunk", "tests": len(self.session.items), "root": str(self.config.rootpath)},
                    [ours.fileno()],
                )
            ours.close()
            return
        try:
            ours.close()
            self._live(theirs)
        except _Again:
            raise
        except _wire.Closed:
            _process.leave(0)
        except BaseException as error:
            # Not into pytest, which runs above here.
            if self.is_run:
                self._decline(f"{type(error).__name__}: {error}")
            _process.leave(3)

    # The trunk's process

    def _live(self, control: socket.socket) -> None:
        """Serve; returns, or raises :class:`_Again`, in the process of a run."""
        role = self.role
        self.control = control
        _process.keep_private(control)
        _process.disarm_inherited()
        role.conn.close()
        role.control.close()
        assert role.controllers is not None
        if role.controllers.client is not None:
            role.controllers.client.close()
            role.controllers.client = None
        park_capture(self.config)
        _process.park_child_handler()
        _process.detach_streams()
        rebind_capture(self.config)
        restart_faulthandler(self.config, 2)
        _looks.looks.active = False
        role.dependencies.stop_watching()
        pidfd = os.pidfd_open(os.getpid())
        _wire.send(
            control,
            {
                "ev": "info",
                "pid": os.getpid(),
                "tests": len(self.session.items),
                "root": str(self.config.rootpath),
                "runs": 0,
                "method": "collected",
            },
            [pidfd],
        )
        os.close(pidfd)
        self.editable = Editable(self.memo, role.dependencies)
        self.arguments = Arguments(self.config, role.request["argv"])
        assert role.terminal is not None
        role.terminal.check_header(self.session)
        self.conftests = Conftests(self.config, self.config.args, role.controllers.base is not None)
        idle = self._prepare()
        while True:
            self._wait(idle)
            if self.ahead.waiting is not None:
                message, fds = self.ahead.waiting.wait()
                self._begin(message, fds, int(message["run"]))
                return
            message, fds = _wire.receive(control)
            if self._serve(message, fds):
                self._begin(message, fds, int(message["run"]))
                return

    def _serve(self, message: Message, fds: list[int]) -> bool:
        """Give a run to a process of its own, if nothing has changed but test modules; `True` in one that is forked for it."""
        dependencies = self.role.dependencies
        spare, reason = self.ahead.offer(message, fds, dependencies, self.editable.files)
        self.edited = set(dependencies.edited)
        if spare is not None and not spare.confirm(self.edited):
            spare.end()
            spare = None
        if reason is not None:
            _wire.send(self.control, {"ev": "stale", "reason": reason})
            self._end()
        if spare is None:
            pid = _process.fork()
            if pid == 0:
                return True
            pidfd = os.pidfd_open(pid)
        else:
            pidfd = spare.pidfd
        _wire.close_all(fds)
        self.children[pidfd] = int(message["run"])
        return False

    def _prepare(self) -> Iterator[None]:
        """What every run would have to do is done once, while nobody waits, a little at a time."""
        dependencies = self.role.dependencies
        dependencies.hash_files()
        yield
        for index, item in enumerate(self.session.items):
            # Kept by the item. What a plugin's own kind of item does not know is no reason to be gone.
            with contextlib.suppress(Exception):
                _ = item.location
            if index % _SLICE == 0:
                yield
        yield from self.editable.prepare()
        added = self.memo.added_entries()
        if added:
            self.loaded = Loaded(added)
            yield
            files = {str(collector.path) for collector in self.memo.reports if isinstance(collector, pytest.File)}
            latest = dependencies.latest(files)[:_MOST_FILES]
            yield from _imports.prepare(latest, self.loaded, dependencies.is_unchanged)
        _process.freeze()

    def _wait(self, idle: Iterator[None]) -> None:
        """Return when there is a request; look after the processes of runs, and prepare when nothing else is to be done.

        Returns in a spare process, too.
        """
        quiet = _QUIET
        while True:
            poll = select.poll()
            poll.register(self.control, select.POLLIN)
            for fd in self.children:
                poll.register(fd, select.POLLIN)
            self.ahead.register(poll)
            at_rest = self.children or self.ahead.spare is not None or quiet < 0
            ready = {fd for fd, _ in poll.poll(None if at_rest else quiet)}
            for fd in ready & self.children.keys():
                number = self.children.pop(fd)
                os.waitid(os.P_PIDFD, fd, os.WEXITED)
                os.close(fd)
                # Without effect if it has accepted the run.
                _wire.send(self.control, {"ev": "declined", "run": number, "reason": "its process died"})
            if self.ahead.is_lost(ready):
                # The next run does without.
                quiet = -1
            if self.control.fileno() in ready:
                return
            if self.children or self.ahead.spare is not None or quiet < 0:
                continue
            if self._is_prepared:
                dependencies = self.role.dependencies
                forked = self.ahead.prepare(self.config, self.session, dependencies, lambda: None, self.editable.files)
                if isinstance(forked, Waiting):
                    return
                if forked is None:
                    quiet = -1
                    continue
                with contextlib.suppress(_wire.Closed):
                    _wire.send(self.control, {"ev": "spare", "pid": forked.pid})
            elif not ready:
                quiet = 0
                self._is_prepared = next(idle, True) is not None

    def _end(self) -> NoReturn:
        for fd in self.children:
            os.waitid(os.P_PIDFD, fd, os.WEXITED)
        _process.leave(0)

    # The process of one run

    def _begin(self, message: Message, fds: list[int], number: int) -> None:
        """Take the run over, or decline; returns, or raises :class:`_Again`, when pytest is to go on."""
        role, config, session = self.role, self.config, self.session
        self.is_run, self.run = True, number
        _process.disarm_inherited()
        _wire.close_all(list(self.children))
        self.children.clear()
        if self.ahead.spare is not None:
            self.ahead.spare.let_go()
            self.ahead.spare = None
        role.request = message
        role.conn = _wire.adopt(fds[0])
        _process.keep_private(role.conn)
        _process.adopt_streams(fds[1:])
        _process.adopt_noise(message["env"])
        _process.adopt_affinity(message["affinity"])
        try:
            different = self.arguments.compare(message["argv"], role.watch.counted)
            args, source = self.arguments.resolve(different)
            if self.ahead.waiting is not None:
                self.ahead.waiting.confirmed()
                self.edited = set(self.ahead.waiting.edited)
            is_other = self._must_collect(different, args)
            self._is_all = not is_other
            again = is_other or bool(self.edited)
            if not again and self.memo.has_failed and different.keys() & _arguments.REPORTING:
                raise Declined("errors of collection may look otherwise")
            if again:
                self._may_collect()
            if self.edited:
                obstacle = _editable.obstacle(config, message)
                if obstacle is not None:
                    self._decline_edits(obstacle)
            role.workers = _adopt.options(config, self.arguments, message, different, args, source)
            role.uid = config.option.testrunuid
            _looks.end(config)
            reports = [] if again else list(self.memo.reports.values())
            told = [] if again else role.news.reports
            _adopt.cache(config, session, reports, self.plugins)
            assert role.terminal is not None
            _adopt.terminal(session, role.terminal, different, again)
            role.xml = _adopt.junit(config, role.is_first, told, self.plugins)
        except Declined as declined:
            self._decline(str(declined))
        restart_capture(config)
        if again:
            session.testsfailed = 0
            role.news.reports.clear()
            self._silence.begin(config)
            self._collects_again = True
            edits = None
            if self.edited:
                # What the new versions do while they are imported.
                role.dependencies.watch()
                self._registered = list(map(id, config.pluginmanager.get_plugins()))
                kept = self.editable
                edits = Edits(session, self.edited, kept.texts, kept.mentions(), role.given, self._decline_edits)
            decline = self._decline_edits if self.edited else self._decline
            self.memo.begin(decline, bool(different.keys() & {"ignore", "ignore_glob"}), edits)
            raise _Again
        self._accept()

    def _must_collect(self, different: dict[str, Any], args: list[str]) -> bool:
        """Whether other tests than all that there are may be meant."""
        changed = (different.keys() & _arguments.COLLECTING) - {"file_or_dir"}
        return bool(changed or args != list(self.config.args) or self.arguments.own.get("lf"))

    def _may_collect(self) -> None:
        config = self.config
        if _is_measured():
            raise Declined("coverage has measured the import of more modules")
        for hook in _COLLECTING_HOOKS:
            for implementation in third_party(config, hook):
                raise Declined(f"`{hook}` of {plugin_name(implementation)} has heard of other tests")
        conftests: Any = config.pluginmanager
        known = self.plugins | set(map(id, conftests._conftest_plugins))
        for plugin in config.pluginmanager.get_plugins():
            if id(plugin) not in known and not type(plugin).__module__.startswith("_pytest."):
                raise Declined("a plugin was registered while the tests were collected")
        if self.memo.loose_warnings():
            raise Declined(
                "warnings were recorded while the tests were collected, of which nobody knows whose they are"
            )

    def _decline_edits(self, reason: str) -> NoReturn:
        """The test modules that are edited can't be collected anew."""
        self._is_of_edits = True
        self._decline(reason)

    def _selected(self) -> None:
        """pytest has collected the selection: is it what it would be without everything else?"""
        self._collects_again = False
        self._silence.end()
        memo, session = self.memo, self.session
        memo.end_anew()
        if self.edited and self._registered != list(map(id, self.config.pluginmanager.get_plugins())):
            self._decline_edits("a plugin was registered while the edited module was collected")
        if len(set(map(id, session.items))) != len(session.items):
            self._decline("a test is meant twice")
        used = set(memo.used)
        harm = memo.harmful()
        if harm is not None:
            self._decline(harm)
        for collector, recorded in memo.warnings.items():
            if collector not in used and any(warning.filename != str(collector.path) for warning in recorded):
                self._decline(f"collecting {collector.nodeid} warned of something elsewhere")
        folders = [collector.path for collector in memo.used if isinstance(collector, pytest.Directory)]
        obstacle = self.conftests.obstacle(self.config.args, folders)
        if obstacle is not None:
            self._decline(obstacle)
        self._leave_out(used)
        early = set(self.role.parsed_plugins)
        for module in self.conftests.earlier:
            _adopt.before_late_ones(self.config, module, early)
            early.add(id(module))
        self._accept()

    def _leave_out(self, used: set[pytest.Collector]) -> None:
        """Undo what collecting more has done to `sys.path`, unless the selection has got something from there."""
        added = self.memo.added_entries()
        if not added:
            return
        loaded = self.loaded
        if loaded is None or not loaded.is_now(added):
            loaded = Loaded(added)
        files = {collector.path for collector in used if isinstance(collector, pytest.File)}
        files |= {path for path in self.conftests.paths if path.parent in self.conftests.loaded}
        wanted = {root_of(file) for file in files}
        if self._is_all and added <= wanted:
            return
        modules = loaded.found
        own = {Path(str(path)).stem for path in files}
        if modules.keys() - own:
            needed = needed_by(files, loaded)
            if needed is None:
                self._decline("a module imports what only running it can tell")
            for name, folder in sorted(modules.items()):
                if name in needed and folder not in wanted:
                    self._decline(f"the module `{name}` was found in {folder}, which would not be on `sys.path`")
                if name in needed and is_ambiguous(name, folder, wanted):
                    self._decline(f"there is more than one module `{name}`")
        unwanted = added - wanted
        forget(unwanted, [name for name, folder in modules.items() if folder in unwanted], loaded)
        for name, module in self.conftests.imported():
            # Its name was taken by one of another folder.
            sys.modules.setdefault(name, module)

    def confirm(self) -> None:
        """Nothing is in the way any more: the run is this process's."""
        if self.is_run and not self._is_confirmed:
            self._is_confirmed = True
            with contextlib.suppress(_wire.Closed):
                _wire.send(self.control, {"ev": "accepted", "run": self.run})
            self.control.close()

    def hand_back(self, reason: str) -> NoReturn:
        """Hooks that select have made something that can't be forked: a session of its own may start workers without."""
        try:
            _wire.send(self.control, {"ev": "declined", "run": self.run, "reason": reason})
        except (_wire.Closed, OSError):
            refuse(self.role.conn, f"no worker can be forked: {reason}", "run it again; a new daemon starts by itself")
        _process.leave(0)

    def _accept(self) -> None:
        """From here on everything goes as in a session of its own."""
        role = self.role
        assert role.controllers is not None
        ended = self._start_controller() if role.controllers.base is not None else None
        # Nobody is to be told anything else.
        role.control, other = _wire.pair()
        other.close()
        if ended is not None:
            self.confirm()
            finish_plain(role.conn, role.control, ended)
        if role.controllers.client is None:
            truncate_log_file(self.config)
        with contextlib.suppress(_wire.Closed):
            announce_process(role.conn, "collecting")

    def _start_controller(self) -> int | None:
        """Start this run's controller; returns the exit status if that has ended the run."""
        role = self.role
        controllers = role.controllers
        assert controllers is not None
        controllers.workers, controllers.fixed_uid = role.workers, role.uid
        streams = [os.dup(fd) for fd in range(3)]
        try:
            client = controllers.client = controllers.start(role.request, streams, role.conn.fileno())
        except Ended as ended:
            return ended.status
        except Died:
            self._decline("the process that starts its controllers died")
        except _wire.Closed:
            _process.leave(1)
        finally:
            _wire.close_all(streams)
        key = controllers.workerinput.differs(client.inputs[0])
        if key is not None:
            client.give_up()
            self._decline(f"`config.workerinput[{key!r}]` is another value")
        return None

    def _decline(self, reason: str) -> NoReturn:
        """Leave the run to another session."""
        if self.ahead.waiting is not None:
            # As long as this process may be replaced by another one it says nothing.
            self.ahead.waiting.confirmed()
        with contextlib.suppress(_wire.Closed, OSError):
            _wire.send(self.control, {"ev": "declined", "run": self.run, "reason": reason, "edited": self._is_of_edits})
        _process.leave(0)


def _is_measured() -> bool:
    coverage: Any = sys.modules.get("coverage")
    return sys.gettrace() is not None or (coverage is not None and coverage.Coverage.current() is not None)
