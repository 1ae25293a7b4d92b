"""Beside a process that runs a project's set-ups stands the one that forked it.

The one with the fixtures can't listen while it runs somebody's code, and may die of it. Its parent, which has no fixtures, listens for it:
passes interrupts on, ends it when the command line is gone, forks another one without the fixture that can't be shared, and ends what it
has left running if it is killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rpytest import _process, _real, _wire
from rpytest._real import contextlib, os, select, signal, socket
from rpytest._wire import Message

__builtins__ = _real.BUILTINS

#: Seconds that finalizers may take once nobody waits for them any more.
GRACE = 10.0
#: Seconds between SIGTERM and SIGKILL for what a killed host has left running.
_LAST_GRACE = 2.0
#: Seconds between two looks at what is left, and milliseconds between two at who is gone.
_TICK = 0.02
_LOOK = 200


class Ward:
    """The side of the process with the fixtures."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        _process.keep_private(sock)

    def lend(self, request: Message | None = None, fds: Sequence[int] = ()) -> None:
        """Somebody's code runs from now on: listen for me, and answer the request if I can't."""
        with contextlib.suppress(_wire.Closed):
            _wire.send(self.sock, {"op": "lend", "request": request}, fds)
            _wire.receive(self.sock)

    def take_back(self) -> None:
        """From here on this process listens itself."""
        with contextlib.suppress(_wire.Closed):
            _wire.send(self.sock, {"op": "back"})
            _wire.receive(self.sock)

    def tell(self, message: Message) -> None:
        """Something that the parent should know if this process ends."""
        with contextlib.suppress(_wire.Closed):
            _wire.send(self.sock, message)

    def close(self) -> None:
        """In a worker, which has no part in this."""
        self.sock.close()


class Warden:
    """The side of the parent."""

    def __init__(self, conn: socket.socket) -> None:
        self.conn = conn
        #: What the command line has said while the connection was lent.
        self.is_lent = False
        self.is_gone = False
        #: The fixture that is being set up.
        self.at: Message | None = None
        self.said: Message | None = None
        self.is_settled = False
        #: What the process was asked for when it lent the connection, with its descriptors.
        self.request: Message | None = None
        self.fds: list[int] = []
        #: How the process has ended.
        self.status = 0

    def fork(self) -> Ward | None:
        """Fork the process for the fixtures: a :class:`Ward` in it, `None` here once it has ended; the rest tells how."""
        from rpytest import _native

        _native.adopt_orphans(True)
        ours, theirs = _wire.pair()
        _process.flush_streams()
        pid = _process.fork()
        if pid == 0:
            ours.close()
            return Ward(theirs)
        theirs.close()
        self.at = self.said = None
        self.is_lent = self.is_settled = False
        status = self._watch(ours, pid)
        ours.close()
        if os.WIFSIGNALED(status) or not self.is_settled or self.is_lent:
            _end_orphans()
        self.status = status
        return None

    def how(self) -> str:
        """How the process has ended, for people."""
        if os.WIFSIGNALED(self.status):
            return f"signal {os.WTERMSIG(self.status)}"
        return f"exit status {os.waitstatus_to_exitcode(self.status)}"

    def _watch(self, sock: socket.socket, pid: int) -> int:
        """Until the process has ended; returns its wait status."""
        wake, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        before = signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        talks = True
        gone_for: float | None = None
        interrupted = False
        try:
            while True:
                status = _reap(pid)
                if status is not None:
                    # What it has said last.
                    while talks and self._hear(sock):
                        pass
                    return status
                poll = select.poll()
                poll.register(wake, select.POLLIN)
                if talks:
                    poll.register(sock, select.POLLIN)
                if self.is_lent and not self.is_gone:
                    poll.register(self.conn, select.POLLIN)
                ready = {fd for fd, _ in poll.poll(None if gone_for is None else _LOOK)}
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, 4096)
                if talks and sock.fileno() in ready:
                    talks = self._hear(sock)
                elif self.conn.fileno() in ready and self.is_lent:
                    self._pass_on(pid)
                if self.is_gone and self.is_lent:
                    if gone_for is None:
                        gone_for = 0.0
                        if not self.is_settled:
                            # A set-up for nobody; finalizers have their time.
                            os.kill(pid, signal.SIGINT)
                            interrupted = True
                    elif gone_for > GRACE:
                        os.kill(pid, signal.SIGKILL if interrupted else signal.SIGINT)
                        gone_for, interrupted = 0.0, True
                    else:
                        # What was waited for is counted: a clock may stand still.
                        gone_for += 0 if ready else _LOOK / 1000
                else:
                    gone_for = None
        finally:
            signal.set_wakeup_fd(before)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(wake)
            os.close(woken)

    def _hear(self, sock: socket.socket) -> bool:
        """Take one message; `False`: there are no more."""
        try:
            message, fds = _wire.receive(sock, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except (_wire.Closed, OSError, ValueError):
            return False
        match message["op"]:
            case "lend":
                self.is_lent = True
                self.request, self.fds = message["request"], fds
                self._answer(sock)
            case "back":
                self.is_lent = False
                _wire.close_all(self.fds)
                self.request, self.fds = None, []
                self._answer(sock)
            case "at":
                self.at = message
            case "settled":
                self.is_settled = True
            case _:
                self.said = message
        return True

    @staticmethod
    def _answer(sock: socket.socket) -> None:
        with contextlib.suppress(_wire.Closed):
            _wire.send(sock, {})

    def _pass_on(self, pid: int) -> None:
        """What the command line says while nobody else listens."""
        try:
            message, fds = _wire.receive(self.conn)
        except (_wire.Closed, OSError, ValueError):
            self.is_gone = True
            return
        _wire.close_all(fds)
        if message["op"] == "interrupt":
            os.kill(pid, signal.SIGINT)


def _reap(pid: int) -> int | None:
    """Reap whoever has ended, orphans too; the wait status of ``pid`` if it was among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended == 0:
                break
            if ended == pid:
                found = status
    return found


def _children() -> list[int]:
    with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as file:
        return list(map(int, file.read().split()))
    return []


def _end_orphans() -> None:
    """End what a process has left running that could not run its finalizers."""
    left = _LAST_GRACE
    number: Any = signal.SIGTERM
    while True:
        _reap(-1)
        orphans = _children()
        if not orphans:
            return
        if number == signal.SIGTERM or left <= 0:
            for orphan in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(orphan, number)
            if number == signal.SIGKILL:
                return
            number = signal.SIGKILL
        _process.pause(_TICK)
        left -= _TICK
