"""Answers of a configured pytest that is another process's than the host: both ends of the socket between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from rpytest import stdlib
from rpytest.ipc import channel
from rpytest.process import lifecycle
from rpytest.stdlib import contextlib, os, pathlib, socket

if TYPE_CHECKING:
    from rpytest.host.pytest_services import LocalPytest
    from rpytest.ipc.channel import Message

__builtins__ = stdlib.BUILTINS


class RemotePytest:
    """Answers from a process that worker 0 forked when it had collected; see :class:`rpytest.host.pytest_services.PytestServices`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def _ask(self, message: Message, body: bytes | memoryview | None = None) -> tuple[Message, bytes]:
        fds = [] if body is None else [channel.memfd("rpytest-bodies", body)]
        channel.send(self.sock, message, fds)
        channel.close_all(fds)
        answer, fds = channel.receive(self.sock)
        data = channel.read_all(fds[0], int(answer["len"])) if fds else b""
        channel.close_all(fds)
        return answer, data

    def base_temp(self) -> pathlib.Path:
        """See :class:`rpytest.host.pytest_services.PytestServices`."""
        answer, _ = self._ask({"op": "basetemp"})
        if "error" in answer:
            raise OSError(answer["error"])
        return pathlib.Path(answer["path"])

    def crashed(self, message: Message, stack: str, kept: bytes = b"") -> bytes:
        """See :class:`rpytest.host.pytest_services.PytestServices`."""
        return self._ask({**message, "op": "crashed", "stack": stack, "len": len(kept)}, kept)[1]

    def report(self, message: Message, bodies: bytes | memoryview) -> tuple[int, str]:
        """See :class:`rpytest.host.pytest_services.PytestServices`."""
        answer, text = self._ask({**message, "op": "report", "len": len(bodies)}, bodies)
        return int(answer["status"]), text.decode("utf-8", "replace")

    def finish(self, status: int) -> None:
        """See :class:`rpytest.host.pytest_services.PytestServices`."""
        with contextlib.suppress(channel.Closed):
            self._ask({"op": "finish", "status": status})


def serve_pytest(sock: socket.socket, services: LocalPytest) -> NoReturn:
    """Serve a :class:`RemotePytest` until it is told to finish or goes away."""
    with contextlib.suppress(channel.Closed):
        while True:
            message, fds = channel.receive(sock)
            answer: Message = {}
            data = b""
            match message["op"]:
                case "basetemp":
                    try:
                        answer = {"path": str(services.base_temp())}
                    except OSError as error:
                        answer = {"error": str(error)}
                case "crashed":
                    kept = channel.read_all(fds[0], int(message["len"]))
                    data = services.crashed(message, message["stack"], kept)
                case "report":
                    status, text = services.report(message, channel.read_all(fds[0], int(message["len"])))
                    answer, data = {"status": status}, text.encode("utf-8", "backslashreplace")
                case "finish":
                    services.finish(int(message["status"]))
                    lifecycle.run_exit_functions()
                    channel.send(sock, {})
                    lifecycle.exit_now(0)
            channel.close_all(fds)
            body = channel.memfd("rpytest-answer", data)
            channel.send(sock, {**answer, "len": len(data)}, [body])
            os.close(body)
    lifecycle.exit_now(0)
