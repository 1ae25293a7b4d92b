"""A process that is configured and has collected nothing yet: it forks sessions for other command
lines.

A session forks it at the moment when pytest begins to collect: plugins and the conftests of the
command line are loaded, no test module is. A session forked from there collects what another
command line names, and finds what a process of its own would find, as far as the options that
differ have not been looked at before, and the same conftests would have been loaded. What it saves
is pytest's start. See ``docs/design/selection.md``.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from rpytest import stdlib
from rpytest.controller.client import Died, Ended
from rpytest.ipc import channel
from rpytest.ipc.process_messages import (
    ConfiguredForked,
    Forked,
    ForkSession,
    ReadyToFork,
    Stale,
    Unsuited,
)
from rpytest.ipc.process_messages import Ended as SessionEnded
from rpytest.ipc.run_messages import RunRequest
from rpytest.options import comparison, option_reads
from rpytest.options.comparison import Declined, ParsedCommandLine
from rpytest.process import lifecycle, signal_handlers
from rpytest.pytest_compat.output import restart_capture
from rpytest.role.entry import announce_process, finish_plain
from rpytest.selection import apply_options, forked_session
from rpytest.stdlib import contextlib, os, select, socket, time

__builtins__ = stdlib.BUILTINS


if TYPE_CHECKING:
    import pytest

    from rpytest.ipc.process_messages import HandedOver
    from rpytest.role.session_state import SessionState

#: Milliseconds without a request after which the process does what makes later ones faster.
_QUIET = 300


class SessionForked(lifecycle.BackToPytest):
    """This process is a session, which pytest is to collect."""

    def __init__(self, control: socket.socket, began: int) -> None:
        """``began``: when it was forked, in nanoseconds of `time.time_ns`."""
        self.control = control
        self.began = began


class ConfiguredProcess:
    """A configured process, and each session that is forked from it."""

    def __init__(self, role: SessionState, session: pytest.Session) -> None:
        self.role = role
        self.session = session
        self.config = session.config
        self._control: socket.socket
        self._children: dict[int, int] = {}

    def fork(self) -> None:
        """Fork the process; raises :class:`SessionForked` in each session that is forked later."""
        ours, theirs = channel.pair()
        lifecycle.flush_streams()

        def be_configured() -> None:
            ours.close()
            with contextlib.suppress(channel.Closed):
                self._live(theirs)
            lifecycle.exit_now(0)

        try:
            lifecycle.fork_detached_into(be_configured)
        except OSError:
            # Too many processes: there is none, then.
            ours.close()
            theirs.close()
            return
        theirs.close()
        with contextlib.suppress(channel.Closed):
            message = ConfiguredForked(
                root=str(self.config.rootpath), preloaded=self.role.finder is not None
            )
            channel.send(self.role.control, message, [ours.fileno()])
        ours.close()

    # The process

    def _live(self, control: socket.socket) -> NoReturn:
        """Serve; raises :class:`SessionForked` in a session."""
        role = self.role
        self._control = control
        forked_session.close_run_in_child(role, self.config, control)
        pidfd = os.pidfd_open(os.getpid())
        channel.send(control, ReadyToFork(pid=os.getpid()), [pidfd])
        os.close(pidfd)
        self._arguments = ParsedCommandLine(self.config, role.request.argv)
        assert role.terminal is not None
        role.terminal.check_header(self.session)
        self._initial = _conftests(self.config, self.config.args)
        lifecycle.freeze()
        is_prepared = False
        while True:
            poll = select.poll()
            poll.register(control, select.POLLIN)
            for fd in self._children:
                poll.register(fd, select.POLLIN)
            ready = {fd for fd, _ in poll.poll(None if is_prepared else _QUIET)}
            if not ready:
                is_prepared = True
                role.dependencies.hash_files()
            for fd in ready & self._children.keys():
                pid, status = os.waitpid(self._children.pop(fd), 0)
                os.close(fd)
                channel.send(control, SessionEnded(pid=pid, status=status))
            if control.fileno() in ready:
                self._serve()

    def _serve(self) -> None:
        """Fork a session."""
        try:
            _, fds = channel.receive(self._control, ForkSession)
        except (channel.Closed, OSError, ValueError):
            self._end()
        began = time.time_ns()
        reason = self.role.dependencies.changed()
        if reason is not None:
            channel.close_all(fds)
            channel.send(self._control, Stale(reason=reason))
            self._end()

        def be_session() -> NoReturn:
            self._control.close()
            channel.close_all(list(self._children))
            raise SessionForked(channel.adopt(fds[0]), began)

        pid = lifecycle.fork_into(be_session)
        channel.close_all(fds)
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = pid
        channel.send(self._control, Forked(pid=pid), [pidfd])

    def _end(self) -> NoReturn:
        for pid in self._children.values():
            os.waitpid(pid, 0)
        lifecycle.exit_now(0)

    # A session

    def begin(self, start: SessionForked) -> None:
        """Take a run over, or leave it to another session."""
        role, config, control = self.role, self.config, start.control
        try:
            request, fds = channel.receive(control, RunRequest)
        except (channel.Closed, OSError, ValueError):
            # The daemon has not waited for this process.
            lifecycle.exit_now(0)
        lifecycle.forget_inherited_cleanups()
        signal_handlers.restore_child_handler()
        role.control = control
        lifecycle.keep_private(control)
        forked_session.take_run(role, request, fds)
        importlib.invalidate_caches()
        if role.finder is not None:
            role.finder.enter_fork()
        try:
            self._adopt(request)
        except Declined as declined:
            self._refuse(str(declined))
        restart_capture(config)
        role.dependencies.begin_again(request.variables, start.began)
        option_reads.resume(config)
        try:
            announce_process(role.conn)
        except channel.Closed:
            # The command line is gone, and nothing was done for it.
            lifecycle.exit_now(0)
        self._start_controller()

    def _adopt(self, request: RunRequest) -> None:
        """Give the configuration the options of the request; raises :class:`Declined`."""
        role, config, session = self.role, self.config, self.session
        if request.watch:
            raise Declined("`--watch` is to know what everything was made from")
        variable = role.dependencies.other_variable(request.variables)
        if variable is not None:
            raise Declined(variable)
        different = self._arguments.compare(request.argv, role.identity_reads.counted)
        args, source = self._arguments.resolve(different)
        missing = _conftests(config, args) ^ self._initial
        if missing:
            raise Declined(f"{min(missing)} is loaded before pytest is configured, or is not")
        role.workers = apply_options.options(
            config, self._arguments, request, different, args, source
        )
        role.uid = config.option.testrunuid
        plugins = set(map(id, config.pluginmanager.get_plugins()))
        apply_options.cache(config, session, [], plugins)
        assert role.terminal is not None
        apply_options.terminal(session, role.terminal, different, collects_again=True)
        role.terminal.restart_clock()
        role.xml = apply_options.junit(config, role.is_first, [], plugins)

    def _start_controller(self) -> None:
        role = self.role
        controllers = role.controllers
        assert controllers is not None
        if controllers.base is None:
            return
        try:
            reason = forked_session.start_controller(role)
        except Ended as ended:
            finish_plain(role.conn, role.control, ended.status)
        except Died:
            self._refuse("the process that starts its controllers died")
        if reason is not None:
            # The controller's hooks have run: whoever serves the run goes on with that controller.
            self._refuse(reason, *controllers.hand_over())

    def _refuse(
        self, reason: str, controller: HandedOver | None = None, fds: Sequence[int] = ()
    ) -> NoReturn:
        """Leave the run to another session."""
        with contextlib.suppress(channel.Closed):
            message = Unsuited(reason=reason, controller=controller)
            channel.send(self.role.control, message, list(fds))
        lifecycle.exit_now(0)


def _conftests(config: pytest.Config, args: list[str]) -> set[str]:
    """The conftests that pytest loads before it is configured, for these arguments."""
    folders = comparison.anchors(config, args)
    manager = config.pluginmanager
    return {
        str(folder / "conftest.py")
        for folder in folders
        if manager._is_in_confcutdir(folder) and (folder / "conftest.py").is_file()
    }
