"""The checkpoint: a fork of a session from the moment when everything is collected and nothing is
selected yet.

For each run with other arguments it forks a process (``selection/selected_run.py``) in which pytest
collects what they name, from memory, and goes on: hooks select and order, then the tests run. Hooks
so find items that no other selection has touched. See ``docs/design/selection.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from _pytest.terminal import TerminalReporter

from rpytest import stdlib
from rpytest.ipc import channel
from rpytest.ipc.process_messages import CheckpointForked, Info, Parts, Stale, Standby
from rpytest.ipc.run_messages import RunRequest
from rpytest.options import comparison, option_reads
from rpytest.options.comparison import ParsedCommandLine
from rpytest.process import inspection, lifecycle, process_bound
from rpytest.role.standby import StandbyForker, StandbySide
from rpytest.selection import forked_session
from rpytest.selection.collection_cache import CollectionCache
from rpytest.selection.configured_process import ConfiguredProcess, SessionForked
from rpytest.selection.conftests import Conftests
from rpytest.selection.editable_modules import EditableModules
from rpytest.selection.selected_run import CollectAgain, Kept, SelectedRun
from rpytest.stdlib import contextlib, os, select, socket

__builtins__ = stdlib.BUILTINS


if TYPE_CHECKING:
    from collections.abc import Iterator

    from rpytest.role.session_state import SessionState

#: Milliseconds without a request after which a checkpoint does what makes later ones faster.
_QUIET = 700

#: Items that are prepared between two looks at the control socket.
_SLICE = 50


class RunForked(lifecycle.BackToPytest):
    """This process is one run's: pytest, which has collected, goes on in it."""

    def __init__(self, message: RunRequest, fds: list[int]) -> None:
        self.message = message
        self.fds = fds


class Checkpoint:
    """What a session has for the runs that come with other arguments."""

    def __init__(self, role: SessionState, session: pytest.Session) -> None:
        self.role = role
        self.session = session
        self.config = session.config
        self.collection_cache = CollectionCache(session)
        self._configured = ConfiguredProcess(role, session)
        self.options = comparison.option_count(self.config)
        self.plugins: set[int] = set()
        #: Set in a process that is one run.
        self.selection: SelectedRun | None = None
        self.control: socket.socket
        #: pidfds of the processes of runs.
        self.children: set[int] = set()
        self.arguments: ParsedCommandLine
        self._is_collecting = False
        self._is_prepared = False
        #: The process of the next run.
        self.standby_forker = StandbyForker()
        #: Test modules that may have been edited since, and those that have.
        self.editable: EditableModules
        self.edited: set[str] = set()
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
        """Stands in the place of pytest's own `pytest_collection`."""
        start = None
        try:
            self._fork_configured()
        except SessionForked as raised:
            start = raised.with_traceback(None)
        if start is not None:
            self._configured.begin(start)
        self.plugins = set(map(id, self.config.pluginmanager.get_plugins()))
        self._is_collecting = True
        self.collection_cache.record.begin()
        try:
            while True:
                try:
                    session.perform_collect()
                    return
                except CollectAgain:
                    continue
                except BaseException as error:
                    if self.selection is not None and self.selection.collects_again:
                        self.selection.decline(
                            f"it can't be collected from there: {str(error)[:200]}"
                        )
                    raise
        finally:
            self._is_collecting = False

    def _fork_configured(self) -> None:
        """Leave a process behind that begins here with other arguments."""
        if self.role.request.watch:
            return
        with self.role.dependencies.observer.paused():
            obstacle = self._obstacle()
        if obstacle is None:
            self._configured.fork()

    def _collected(self) -> None:
        """Called by pytest between collection and the hooks that select."""
        self._check_pending()
        if self.selection is not None:
            if self.selection.collects_again:
                self.selection.selected()
        elif self._is_collecting:
            self.collection_cache.end_collection()
            option_reads.reads.find_kept_parts()
            with self.role.dependencies.observer.paused():
                obstacle = self._obstacle()
            run = None
            try:
                if obstacle is None:
                    self._fork()
            except RunForked as raised:
                run = raised.with_traceback(None)
            if run is not None:
                self._become_run(run.message, run.fds)

    def _obstacle(self) -> str | None:
        """Why there is no checkpoint in this session."""
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
        if comparison.option_count(config) != self.options:
            return "a conftest of a sub-folder has added an option"
        if role.finder is not None:
            role.finder.check_modules()
        role.dependencies.snapshot(config, self.session)
        return (
            role.dependencies.effects
            or role.identity_reads.reader
            or controllers.obstacle()
            or ", ".join(inspection.python_threads())
            or ", ".join(inspection.child_processes())
            or inspection.shared_when_forked(role.own_sockets())
            or process_bound.process_bound_object()
            or None
        )

    def _fork(self) -> None:
        """Fork the checkpoint; the session goes on with its own run."""
        ours, theirs = channel.pair()
        lifecycle.flush_streams()

        def be_checkpoint() -> None:
            ours.close()
            with contextlib.suppress(channel.Closed):
                self._live(theirs)
            lifecycle.exit_now(0)

        try:
            lifecycle.fork_detached_into(be_checkpoint)
        except OSError:
            # Too many processes: there is none, then.
            ours.close()
            theirs.close()
            return
        theirs.close()
        self.collection_cache.reports.clear()
        with contextlib.suppress(channel.Closed):
            channel.send(
                self.role.control,
                CheckpointForked(tests=len(self.session.items), root=str(self.config.rootpath)),
                [ours.fileno()],
            )
        ours.close()

    # The checkpoint's process

    def _live(self, control: socket.socket) -> NoReturn:
        """Serve; raises :class:`RunForked` in the process of a run."""
        role = self.role
        self.control = control
        forked_session.close_run_in_child(role, self.config, control)
        pidfd = os.pidfd_open(os.getpid())
        channel.send(
            control,
            Info(pid=os.getpid(), tests=len(self.session.items), root=str(self.config.rootpath)),
            [pidfd],
        )
        os.close(pidfd)
        self.editable = EditableModules(self.collection_cache, role.dependencies)
        self.arguments = ParsedCommandLine(self.config, role.request.argv)
        assert role.terminal is not None and role.controllers is not None
        role.terminal.check_header(self.session)
        self.conftests = Conftests(self.config, self.config.args, role.controllers.base is not None)
        idle = self._prepare()
        while True:
            self._wait(idle)
            self._serve(*channel.receive(control, RunRequest))

    def _serve(self, message: RunRequest, fds: list[int]) -> None:
        """Give a run to a process of its own, if nothing has changed but test modules."""
        dependencies = self.role.dependencies
        standby, reason = self.standby_forker.offer(message, fds, dependencies, self.editable.files)
        self.edited = set(dependencies.edited)
        if standby is not None and not standby.confirm(self.edited):
            standby.end()
            standby = None
        if reason is not None:
            channel.send(self.control, Stale(reason=reason))
            # The end of the run's line, after the reason: nobody here has it.
            channel.close_all(fds)
            self._end()
        if standby is None:
            pidfd = os.pidfd_open(lifecycle.fork_into(lambda: self._leave(message, fds)))
        else:
            pidfd = standby.pidfd
        channel.close_all(fds)
        self.children.add(pidfd)

    def _serve_ahead(self, waiting: StandbySide) -> NoReturn:
        """Wait for a run in a standby process, and become it."""
        self.control.close()
        self._leave(*waiting.wait())

    @staticmethod
    def _leave(message: RunRequest, fds: list[int]) -> NoReturn:
        raise RunForked(message, fds)

    def _prepare(self) -> Iterator[None]:
        """What every run would have to do is done once, while nobody waits, a little at a time."""
        dependencies = self.role.dependencies
        dependencies.hash_files()
        yield
        for index, item in enumerate(self.session.items):
            # Kept by the item. What a plugin's own kind of item does not know is no reason to be
            # gone.
            with contextlib.suppress(Exception):
                _ = item.location
            if index % _SLICE == 0:
                yield
        yield from self.editable.prepare()
        with contextlib.suppress(channel.Closed):
            channel.send(self.control, Parts(parts=self.collection_cache.record.summary()))
        lifecycle.freeze()

    def _wait(self, idle: Iterator[None]) -> None:
        """Return when there is a request; look after the processes of runs, and prepare when
        nothing else is to be done.
        """
        quiet = _QUIET
        while True:
            poll = select.poll()
            poll.register(self.control, select.POLLIN)
            for fd in self.children:
                poll.register(fd, select.POLLIN)
            self.standby_forker.register(poll)
            at_rest = self.children or self.standby_forker.standby is not None or quiet < 0
            ready = {fd for fd, _ in poll.poll(None if at_rest else quiet)}
            for fd in ready & self.children:
                self.children.remove(fd)
                os.waitid(os.P_PIDFD, fd, os.WEXITED)
                os.close(fd)
            if self.standby_forker.is_lost(ready):
                # The next run does without.
                quiet = -1
            if self.control.fileno() in ready:
                return
            if self.children or self.standby_forker.standby is not None or quiet < 0:
                continue
            if self._is_prepared:
                forked = self.standby_forker.prepare(
                    self.config,
                    self.session,
                    self.role.dependencies,
                    self._serve_ahead,
                    self.editable.files,
                )
                if forked is None:
                    quiet = -1
                    continue
                with contextlib.suppress(channel.Closed):
                    channel.send(self.control, Standby(pid=forked.pid))
            elif not ready:
                quiet = 0
                self._is_prepared = next(idle, True) is not None

    def _end(self) -> NoReturn:
        # Runs that wait to be read go to others now, and not when those that are at work here have
        # ended.
        self.control.close()
        for fd in self.children:
            os.waitid(os.P_PIDFD, fd, os.WEXITED)
        lifecycle.exit_now(0)

    def _become_run(self, message: RunRequest, fds: list[int]) -> None:
        """Become the run that this process was forked for; returns, or raises
        :class:`CollectAgain`, when pytest is to go on.
        """
        try:
            selection = self.selection = self._make_run(channel.adopt(fds.pop()))
            selection.begin(message, fds)
        except CollectAgain:
            raise
        except BaseException as error:
            if self.selection is not None:
                # Another session may do better.
                self.selection.decline(f"{type(error).__name__}: {error}")
            lifecycle.exit_now(3)

    def _make_run(self, line: socket.socket) -> SelectedRun:
        """Let go of what is the checkpoint's."""
        self.control.close()
        lifecycle.keep_private(line)
        kept = Kept(
            self.role,
            self.session,
            self.collection_cache,
            self.plugins,
            self.arguments,
            self.conftests,
            self.editable,
            self.standby_forker.waiting,
        )
        lifecycle.forget_inherited_cleanups()
        channel.close_all(list(self.children))
        self.children.clear()
        if self.standby_forker.standby is not None:
            self.standby_forker.standby.let_go()
            self.standby_forker.standby = None
        return SelectedRun(kept, line, self.edited)
