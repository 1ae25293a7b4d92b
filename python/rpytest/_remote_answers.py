"""Answers of a configured pytest that is another process's than the host: both ends of the socket between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from rpytest import _process, _real, _wire
from rpytest._real import contextlib, os, pathlib, socket

if TYPE_CHECKING:
    from rpytest._answers import LocalAnswers
    from rpytest._wire import Message

__builtins__ = _real.BUILTINS


class RemoteAnswers:
    """Answers from a process that worker 0 forked when it had collected; see :class:`rpytest._answers.Answers`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def _ask(self, message: Message, body: bytes | memoryview | None = None) -> tuple[Message, bytes]:
        fds = [] if body is None else [_wire.memfd("rpytest-bodies", body)]
        _wire.send(self.sock, message, fds)
        _wire.close_all(fds)
        answer, fds = _wire.receive(self.sock)
        data = _wire.read_all(fds[0], int(answer["len"])) if fds else b""
        _wire.close_all(fds)
        return answer, data

    def base_temp(self) -> pathlib.Path:
        """See :class:`rpytest._answers.Answers`."""
        answer, _ = self._ask({"op": "basetemp"})
        if "error" in answer:
            raise OSError(answer["error"])
        return pathlib.Path(answer["path"])

    def crashed(self, message: Message, stack: str, kept: bytes = b"") -> bytes:
        """See :class:`rpytest._answers.Answers`."""
        return self._ask({**message, "op": "crashed", "stack": stack, "len": len(kept)}, kept)[1]

    def report(self, message: Message, bodies: bytes | memoryview) -> tuple[int, str]:
        """See :class:`rpytest._answers.Answers`."""
        answer, text = self._ask({**message, "op": "report", "len": len(bodies)}, bodies)
        return int(answer["status"]), text.decode("utf-8", "replace")

    def finish(self, status: int) -> None:
        """See :class:`rpytest._answers.Answers`."""
        with contextlib.suppress(_wire.Closed):
            self._ask({"op": "finish", "status": status})


def answer_remotely(sock: socket.socket, answers: LocalAnswers) -> NoReturn:
    """Serve a :class:`RemoteAnswers` until it is told to finish or goes away."""
    with contextlib.suppress(_wire.Closed):
        while True:
            message, fds = _wire.receive(sock)
            answer: Message = {}
            data = b""
            match message["op"]:
                case "basetemp":
                    try:
                        answer = {"path": str(answers.base_temp())}
                    except OSError as error:
                        answer = {"error": str(error)}
                case "crashed":
                    kept = _wire.read_all(fds[0], int(message["len"]))
                    data = answers.crashed(message, message["stack"], kept)
                case "report":
                    status, text = answers.report(message, _wire.read_all(fds[0], int(message["len"])))
                    answer, data = {"status": status}, text.encode("utf-8", "backslashreplace")
                case "finish":
                    answers.finish(int(message["status"]))
                    _process.run_exit_functions()
                    _wire.send(sock, {})
                    _process.leave(0)
            _wire.close_all(fds)
            body = _wire.memfd("rpytest-answer", data)
            _wire.send(sock, {**answer, "len": len(data)}, [body])
            os.close(body)
    _process.leave(0)
