"""Answers of a configured pytest that is another process's than the host: both ends of the socket
between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from rpytest import stdlib
from rpytest.ipc import channel
from rpytest.ipc.process_messages import BaseTemp, Finish, PytestAnswer
from rpytest.ipc.run_messages import Crashed, PytestRequest, Report
from rpytest.process import lifecycle
from rpytest.stdlib import contextlib, os, pathlib, socket

if TYPE_CHECKING:
    from rpytest.host.pytest_services import LocalPytest

__builtins__ = stdlib.BUILTINS


class RemotePytest:
    """Answers from a process that worker 0 forked when it had collected; see
    :class:`rpytest.host.pytest_services.PytestServices`.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def _ask(
        self, message: PytestRequest, body: bytes | memoryview | None = None
    ) -> tuple[PytestAnswer, bytes]:
        fds = [] if body is None else [channel.memfd("rpytest-bodies", body)]
        channel.send(self.sock, message, fds)
        channel.close_all(fds)
        answer, fds = channel.receive(self.sock, PytestAnswer)
        data = channel.read_all(fds[0], answer.len) if fds else b""
        channel.close_all(fds)
        return answer, data

    def base_temp(self) -> pathlib.Path:
        """See :class:`rpytest.host.pytest_services.PytestServices`."""
        answer, _ = self._ask(BaseTemp())
        if answer.path is None:
            raise OSError(answer.error)
        return pathlib.Path(answer.path)

    def crashed(self, crashed: Crashed, stack: str, kept: bytes = b"") -> bytes:
        """See :class:`rpytest.host.pytest_services.PytestServices`."""
        return self._ask(crashed.replace(stack=stack, len=len(kept)), kept)[1]

    def report(self, report: Report, bodies: bytes | memoryview) -> tuple[int, str]:
        """See :class:`rpytest.host.pytest_services.PytestServices`."""
        answer, text = self._ask(report.replace(len=len(bodies)), bodies)
        return answer.status, text.decode("utf-8", "replace")

    def finish(self, status: int) -> None:
        """See :class:`rpytest.host.pytest_services.PytestServices`."""
        with contextlib.suppress(channel.Closed):
            self._ask(Finish(status=status))


def serve_pytest(sock: socket.socket, services: LocalPytest) -> NoReturn:
    """Serve a :class:`RemotePytest` until it is told to finish or goes away."""
    with contextlib.suppress(channel.Closed):
        while True:
            message, fds = channel.receive(sock, PytestRequest)
            answer = PytestAnswer()
            data = b""
            match message:
                case BaseTemp():
                    try:
                        answer.path = str(services.base_temp())
                    except OSError as error:
                        answer.error = str(error)
                case Crashed():
                    kept = channel.read_all(fds[0], message.len)
                    data = services.crashed(message, message.stack, kept)
                case Report():
                    answer.status, text = services.report(
                        message, channel.read_all(fds[0], message.len)
                    )
                    data = text.encode("utf-8", "backslashreplace")
                case Finish():
                    services.finish(message.status)
                    lifecycle.run_exit_functions()
                    channel.send(sock, PytestAnswer())
                    lifecycle.exit_now(0)
            channel.close_all(fds)
            body = channel.memfd("rpytest-answer", data)
            answer.len = len(data)
            channel.send(sock, answer, [body])
            os.close(body)
    lifecycle.exit_now(0)
