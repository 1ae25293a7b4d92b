"""A run's controller, as its session, host or workers see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from rpytest import stdlib
from rpytest.ipc import channel, ring_records
from rpytest.ipc.process_messages import (
    CollectionTold,
    ControllerConfigured,
    ControllerEnded,
    ControllerEvent,
    ControllerTaken,
    ControllerText,
    CrashVerdict,
    HandedOver,
    MakeNode,
    NodeInput,
)
from rpytest.ipc.run_messages import ControllerRequest, Crashed, Report, Reports
from rpytest.process import lifecycle
from rpytest.stdlib import contextlib, os, select, signal, socket

__builtins__ = stdlib.BUILTINS

_E = TypeVar("_E", bound=ControllerEvent)


#: Milliseconds that it has for its hooks when the command line is gone.
_GRACE = 800


class Ended(Exception):
    """The controller ended by itself (a usage error, `pytest.exit` or an exception in a hook) and
    has said why; ``status`` is pytest's.
    """

    def __init__(self, status: int, internal: str = "") -> None:
        """``internal``: the exception in the hook, with its traceback."""
        super().__init__(status)
        self.status = status
        self.internal = internal


class Died(Exception):
    """The controller's process is gone without a word."""

    def __str__(self) -> str:
        return (
            "the process that runs the reporting hooks died; hint: a plugin's or conftest's "
            "hook may have ended it"
        )


class ControllerClient:
    """A run's controller as its session, host or workers see it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.header = ""
        #: The hooks want each report, not only their number.
        self.wants_reports = False
        #: A plugin's terminal reporter writes to the terminal by itself.
        self.is_live = False
        #: `pytest_handlecrashitem` is implemented.
        self.handles_crashes = False
        #: Hooks are called with node ids.
        self.wants_ids = False
        #: What `config.workerinput` is in each worker.
        self.inputs: list[dict[str, Any]] = []
        #: pidfd of the controller.
        self.pidfd = -1
        #: The command line's connection (or -1): a wait ends with it.
        self.conn = -1
        #: Told that the controller has looked at the last `reports`.
        self.on_taken: Callable[[ControllerTaken], None] = lambda _: None

    def wait(self) -> None:
        """Wait until the controller has configured itself and its nodes; raises :class:`Ended` or
        :class:`Died`.
        """
        message, data = self._receive(ControllerConfigured)
        with contextlib.suppress(OSError):
            self.pidfd = os.pidfd_open(message.pid)
        self.header = message.header
        self.wants_reports = message.wants_reports
        self.is_live = message.live
        self.handles_crashes = message.handles_crashes
        self.wants_ids = message.wants_ids
        self.inputs = ring_records.load(data)

    def hand_over(self, uid: str) -> tuple[HandedOver, list[int]]:
        """What another process needs to go on with this controller, whose hooks have run and must
        not run again; ``uid`` is the run's.

        The descriptors are those of this process, but for the last one.
        """
        inputs = ring_records.dump(self.inputs)
        told = HandedOver(
            uid=uid,
            header=self.header,
            wants_reports=self.wants_reports,
            is_live=self.is_live,
            handles_crashes=self.handles_crashes,
            wants_ids=self.wants_ids,
            len=len(inputs),
        )
        return told, [
            self.sock.fileno(),
            *([self.pidfd] if self.pidfd >= 0 else []),
            channel.memfd("rpytest-inputs", inputs),
        ]

    @classmethod
    def take_over(cls, message: HandedOver, fds: Sequence[int], conn: int) -> ControllerClient:
        """Go on with a controller that another process has started for the same run."""
        client = cls(channel.adopt(fds[0]))
        lifecycle.keep_private(client.sock)
        client.header = message.header
        client.wants_reports, client.is_live = message.wants_reports, message.is_live
        client.handles_crashes, client.wants_ids = message.handles_crashes, message.wants_ids
        client.inputs = ring_records.load(channel.read_all(fds[-1], message.len))
        os.close(fds[-1])
        if len(fds) > 2:
            client.pidfd = fds[1]
        client.conn = conn
        return client

    def collected(self, news: bytes, slots: int) -> None:
        """Tell what collection has brought, and how many workers there are."""
        self._send(CollectionTold(slots=slots, len=len(news)), news)

    def reports(self, fd: int, length: int) -> None:
        """Pass records on."""
        try:
            channel.send(self.sock, Reports(len=length), [fd])
        except channel.Closed:
            raise Died from None

    def replaced(self, slot: int, incarnation: int) -> None:
        """A worker takes the place of another one: it has an input of its own."""
        self._send(MakeNode(slot=slot, incarnation=incarnation))
        self.inputs[slot] = ring_records.load(self._receive(NodeInput)[1])

    def crashed(self, crashed: Crashed) -> CrashVerdict:
        """Ask `pytest_handlecrashitem` about a test in which a worker has died."""
        self._send(crashed)
        return self._receive(CrashVerdict)[0]

    def conclude(self, report: Report, bodies: bytes | memoryview) -> tuple[int, str, list[Any]]:
        """End the run: exit status, pytest's text, and what was added to the junit file's
        properties.
        """
        self._send(report.replace(len=len(bodies)), bodies)
        answer, text = self._receive(ControllerText)
        return answer.status, text.decode("utf-8", "replace"), answer.properties

    def kill(self) -> None:
        """End it after a moment for its hooks, which may be what hangs."""
        self.sock.close()
        if self.pidfd < 0:
            return
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(_GRACE):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Let go of it in this process."""
        self.sock.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def read_unsolicited(self) -> None:
        """Take what it says unasked."""
        message, data = self._receive_one()
        if isinstance(message, ControllerTaken):
            self.on_taken(message)
        else:
            raise ValueError(f"the controller says {message!r}, {len(data)} bytes, unasked")

    def _send(self, message: ControllerRequest, body: bytes | memoryview | None = None) -> None:
        fds = [] if body is None else [channel.memfd("rpytest-bodies", body)]
        try:
            channel.send(self.sock, message, fds)
        except channel.Closed:
            self._hear_the_end()
        finally:
            channel.close_all(fds)

    def _hear_the_end(self) -> NoReturn:
        """Called when the controller is gone: raises :class:`Ended` if it has said so before, else
        :class:`Died`.
        """
        while True:
            self._receive_one()

    def _receive(self, kind: type[_E]) -> tuple[_E, bytes]:
        """Wait for an answer of this kind; raises `Closed` when the command line is gone
        meanwhile.
        """
        while True:
            if self.conn >= 0:
                poll = select.poll()
                poll.register(self.sock, select.POLLIN)
                poll.register(self.conn, select.POLLRDHUP)
                ready = {fd for fd, _ in poll.poll()}
                if self.conn in ready and self.sock.fileno() not in ready:
                    raise channel.Closed
            message, data = self._receive_one()
            if isinstance(message, kind):
                return message, data
            if not isinstance(message, ControllerTaken):
                raise ValueError(f"the controller says {message!r} where a {kind.__name__} is due")
            self.on_taken(message)

    def _receive_one(self) -> tuple[ControllerEvent, bytes]:
        try:
            message, fds = channel.receive(self.sock, ControllerEvent)
        except (channel.Closed, OSError):
            raise Died from None
        try:
            data = channel.read_all(fds[0], message.len) if fds else b""
        finally:
            channel.close_all(fds)
        if isinstance(message, ControllerEnded):
            raise Ended(message.status, message.internal)
        return message, data
