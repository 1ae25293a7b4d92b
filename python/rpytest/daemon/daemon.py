"""The daemon: a warm, single-threaded interpreter with pytest imported. It forks sessions and never
runs a test itself.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from rpytest import __version__
from rpytest.daemon.entries import Environment, PendingRun, resign
from rpytest.daemon.listener import Listener
from rpytest.daemon.log import log
from rpytest.daemon.preloads import Preloads
from rpytest.daemon.sessions import Sessions
from rpytest.ipc import channel
from rpytest.ipc.channel import has_message, send_refusal
from rpytest.ipc.message import Raw
from rpytest.ipc.run_messages import (
    DaemonRequest,
    DaemonStatus,
    Exit,
    RunRequest,
    StatusRequest,
    Stopped,
    StopRequest,
)
from rpytest.process import coverage_run, heap, lifecycle, random_generators, signal_handlers
from rpytest.process.inspection import has_ended, memory_kb

#: Inherited descriptors are looked for up to this number.
_MOST_DESCRIPTORS = 1 << 16


#: Modules that pytest imports in the middle of collecting: whose tests are the first to need them
#: is to make no difference.
_OF_COLLECTION = ("encodings.ascii", "encodings.latin_1", "encodings.unicode_escape", "unittest")


class Daemon:
    """Accepts connections and hands runs to sessions."""

    def __init__(self, listener: Listener | None, idle: float) -> None:
        self.listener = listener
        self.idle = idle
        self.started = time.time()
        #: Seconds without anything to do. They are counted, as a clock that stands still would keep
        #: it for ever.
        self.unused = 0
        self.waiting: dict[int, socket.socket] = {}
        self.preloads = Preloads(self._fork, log)
        self.sessions = Sessions(self._fork, self.preloads, listener is not None)
        self.stopping = False
        #: The program that started this daemon; another one gets a daemon of its own.
        self.build = __version__

    # The loop

    def serve(self, first: socket.socket) -> None:
        """Serve until told to stop, or idle for too long; without a listener, until the first run
        has ended.
        """
        self.waiting[first.fileno()] = first
        while not self.stopping:
            if (
                self.listener is None
                and not self.waiting
                and not self.sessions.entries
                and not self.sessions.others
            ):
                return
            poll = select.poll()
            sessions = self.sessions
            for fd in [
                *self.waiting,
                *sessions.entries,
                *sessions.lines,
                *sessions.others,
                *self.preloads.processes,
            ]:
                poll.register(fd, select.POLLIN)
            for pending in self.sessions.unaccepted():
                # Whatever it says is for the session; that it is gone is reported without being
                # asked for.
                poll.register(pending.conn, 0)
            if self.listener is not None:
                poll.register(self.listener, select.POLLIN)
            ready = poll.poll(1000)
            self.unused = (
                0 if self.waiting or self.sessions.is_busy() else self.unused + (not ready)
            )
            for fd, _ in ready:
                if self.listener is not None and fd == self.listener.fileno():
                    self._accept(self.listener)
                elif fd in self.waiting:
                    self._request(self.waiting.pop(fd))
                elif fd in self.sessions.entries and has_message(self.sessions.entries[fd].control):
                    # Looked at again, as what was dealt with before may have read it, or closed it
                    # and opened another by its number.
                    self.unused = 0
                    self.sessions.read(self.sessions.entries[fd])
                elif fd in self.sessions.others and has_ended(fd):
                    self.sessions.read_other(self.sessions.others[fd])
                elif fd in self.sessions.lines and has_message(self.sessions.lines[fd].sock):
                    self.last_use = time.monotonic()
                    self.sessions.read_line(self.sessions.lines[fd])
                elif fd in self.preloads.processes and has_message(
                    self.preloads.processes[fd].control
                ):
                    self.preloads.read(self.preloads.processes[fd])
                    self.sessions.has_grown = True
            self.sessions.look_after_runs()
            self.sessions.reap()
            self.sessions.shrink()
            if self.unused >= self.idle or (
                self.listener is not None and self.listener.is_replaced()
            ):
                return

    def _accept(self, listener: Listener) -> None:
        conn = listener.accept()
        if conn is not None:
            self.waiting[conn.fileno()] = conn

    # Requests

    def _request(self, conn: socket.socket) -> None:
        self.unused = 0
        try:
            raw, fds = channel.receive_raw(conn, is_daemon=True)
        except (channel.Closed, ValueError, OSError):
            conn.close()
            return
        try:
            self._dispatch(raw, conn, fds)
        except (channel.Closed, KeyError, TypeError, ValueError) as error:
            log(f"a request could not be served: {error!r}")
            channel.close_all(fds)
            conn.close()
        except OSError as error:
            # No process could be forked: the next request may find more room.
            log(f"a request could not be served: {error!r}")
            send_refusal(
                conn,
                f"the daemon can't start a session: {error.strerror}",
                "there may be too many processes, or too little memory",
            )
            channel.close_all(fds)
            conn.close()

    def _dispatch(self, raw: Raw, conn: socket.socket, fds: list[int]) -> None:
        if raw["op"] not in ("status", "stop") and (raw["protocol"], raw["build"]) != (
            channel.PROTOCOL,
            self.build,
        ):
            # The request comes from another version, and may have other fields.
            resign(conn, fds, f"this daemon is rpytest {self.build}, protocol {channel.PROTOCOL}")
            return
        match DaemonRequest.parse(raw):
            case StopRequest():
                self.stopping = True
                channel.send(conn, Stopped())
                conn.close()
            case StatusRequest():
                # Whoever asks after a run is told of that run: its session has spoken of it before
                # it began.
                self.sessions.read_all()
                channel.send(conn, self._status())
                conn.close()
            case RunRequest() as request:
                self.sessions.take(request, conn, fds)

    def _fork(self, main: Callable[[], object], but: PendingRun | None = None) -> int:
        """Run ``main`` in a fork that lets go of everything that belongs to the daemon or to other
        runs than ``but``.
        """

        def be_child() -> None:
            with _last_resort():
                self._enter_child(but)
                main()

        return lifecycle.fork_into(be_child)

    def _enter_child(self, but: PendingRun | None) -> None:
        self.preloads.close_in_child()
        if self.listener is not None:
            self.listener.close()
        self.sessions.close_in_child(but)
        Environment.close_in_child(None if but is None else but.environment)
        for conn in self.waiting.values():
            conn.close()

    def _status(self) -> DaemonStatus:
        return DaemonStatus(
            pid=os.getpid(),
            protocol=channel.PROTOCOL,
            build=__version__,
            python=sys.version.split()[0],
            pytest=_pytest_version(),
            started=self.started,
            idle_timeout=self.idle,
            memory_kb=memory_kb(os.getpid()),
            **self.sessions.status(),
        )


@contextlib.contextmanager
def _last_resort() -> Iterator[None]:
    """Around all that a fork does: whatever escapes from it must not run the end of the daemon,
    whose socket it would remove.
    """
    try:
        yield
    except channel.Closed:
        # Nobody is there any more to be told anything.
        pass
    except KeyboardInterrupt:
        signal_handlers.die_of_interrupt()
    except BaseException:
        import traceback

        with contextlib.suppress(BaseException):
            log(traceback.format_exc())
    lifecycle.exit_now(3)


def _pytest_version() -> str:
    import pytest

    return pytest.__version__


def _preload(conn: socket.socket) -> None:
    """Import pytest with its default plugins, so that no session has to; say so clearly when there
    is none.
    """
    import importlib

    wanted = "pytest"
    try:
        from _pytest import config

        for name in config.default_plugins:
            importlib.import_module(f"_pytest.{name}")
        for name in _OF_COLLECTION:
            importlib.import_module(name)
        wanted = "rpytest"
        for name in (
            "_native",
            "session.session",
            "selection.checkpoint",
            "host.host",
            "worker.worker",
            "bare.host",
            "preload.process",
        ):
            importlib.import_module(f"rpytest.{name}")
    except ImportError as error:
        missing = error.name or str(error)
        text = f"error: `{missing}` can't be imported by {sys.executable}: {error}\n"
        if wanted == "pytest":
            text += f"hint: install pytest there: {sys.executable} -m pip install pytest\n"
        else:
            text += "hint: install rpytest into the environment whose Python runs the tests\n"
        with contextlib.suppress(channel.Closed):
            # The run's request carries descriptors: take it, so that the answer is not lost with an
            # unread socket.
            _, fds = channel.receive_raw(conn, is_daemon=True)
            channel.close_all(fds)
            channel.send(conn, Exit(status=4, err=text))
        sys.exit(4)


def main() -> NoReturn:
    """Entry: ``--conn FD`` is the first client; ``--socket PATH`` is where others find this
    daemon.
    """
    parser = argparse.ArgumentParser(prog="rpytest-daemon")
    parser.add_argument("--conn", type=int, required=True)
    parser.add_argument("--socket")
    parser.add_argument("--build", default=__version__)
    parser.add_argument("--idle", type=float, default=900.0)
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    # What a shell or a CI runner leaves open must not be held open by a process that stays.
    os.closerange(3, options.conn)
    os.closerange(options.conn + 1, _MOST_DESCRIPTORS)
    conn = channel.adopt(options.conn)
    conn.set_inheritable(False)
    if sys.path and sys.path[0] == "":
        # From `python -c`: the daemon has no directory of its own.
        del sys.path[0]
    lifecycle.remember_exit_functions()
    if options.once:
        coverage_run.begin()
    _preload(conn)
    listener = Listener(options.socket) if options.socket and not options.once else None
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    daemon = Daemon(listener, options.idle)
    daemon.build = options.build
    heap.install()
    random_generators.observe()
    lifecycle.freeze()
    try:
        daemon.serve(conn)
    finally:
        if listener is not None:
            listener.remove_name()
        daemon.sessions.close()
        daemon.preloads.close()
    # The command line waits for a daemon of one run (`once`), and so for all below it.
    _wait_for_children(float("inf") if options.once else 5)
    coverage_run.finish()
    sys.exit(0)


#: Seconds between two looks at children that are about to end.
_TICK = 0.01


def _wait_for_children(seconds: float) -> None:
    """Sessions end when their control socket closes; give those that clean up this long, then
    go.
    """
    with contextlib.suppress(ChildProcessError):
        while seconds > 0:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                lifecycle.pause(_TICK)
                seconds -= _TICK
