"""The control channel: JSON messages with file descriptors over a `SOCK_SEQPACKET` socket.

One packet is one message. See ``docs/design/protocol.md``; the Rust twin is ``src/daemon/wire.rs``.
"""

from __future__ import annotations

import _socket
import mmap
from collections.abc import Sequence
from typing import Any, TypeVar

from rpytest import stdlib
from rpytest.ipc.message import Message, Raw
from rpytest.ipc.run_messages import Exit
from rpytest.stdlib import array, contextlib, json, os, select, socket

__builtins__ = stdlib.BUILTINS

PROTOCOL = 2

#: A message whose JSON is longer than this many bytes travels in a memfd.
INLINE_LIMIT = 32 * 1024
_MAX_FDS = 16

_M = TypeVar("_M", bound=Message)

# Bound now: a test may have put something else in the place of `json.dumps` when its worker has to
# ask for something.
_to_json = json.JSONEncoder(separators=(",", ":")).encode
_from_json = json.JSONDecoder().decode


class Closed(Exception):
    """The other side is gone."""


_Socket = socket.socket


def memfd(name: str, data: bytes | bytearray | memoryview) -> int:
    """Return a descriptor of an anonymous file that holds ``data``; its offset is 0."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def read_all(fd: int, length: int) -> bytes:
    """Read exactly ``length`` bytes from the start of ``fd``; shorter files raise
    ``ValueError``.
    """
    parts = []
    done = 0
    while done < length:
        part = os.pread(fd, min(length - done, 1 << 24), done)
        if not part:
            raise ValueError(f"a message of {length} bytes ends after {done}")
        parts.append(part)
        done += len(part)
    return b"".join(parts)


def map_all(fd: int, length: int) -> memoryview:
    """The same, without a copy of it."""
    if os.fstat(fd).st_size < length:
        raise ValueError(f"a message of {length} bytes ends early")
    return (
        memoryview(mmap.mmap(fd, length, mmap.MAP_PRIVATE, mmap.PROT_READ))
        if length
        else memoryview(b"")
    )


def send(sock: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send one message; raises :class:`Closed` when the other side is gone."""
    data = _to_json(message.wire()).encode("utf-8", "surrogatepass")
    body = None
    try:
        if len(data) > INLINE_LIMIT:
            body = memfd("rpytest-message", data)
            data = _to_json({"memfd": len(data)}).encode()
            fds = [*fds, body]
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error
    finally:
        if body is not None:
            os.close(body)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets for messages. They block, even if a project has replaced those of
    Python (as `gevent.monkey` does).
    """
    ours, theirs = _socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return _Socket(fileno=ours.detach()), _Socket(fileno=theirs.detach())


def adopt(fd: int) -> socket.socket:
    """The socket of a descriptor, as those of :func:`pair`."""
    return _Socket(fileno=fd)


def _bring_environment(message: Raw, fds: list[int]) -> None:
    """Put the environment into a run's request, which was beside it until now; its descriptor is
    taken from ``fds`` and closed.
    """
    at = message.pop("env_at", None)
    if at is not None:
        if not isinstance(at, int) or not 0 <= at < len(fds):
            raise ValueError("a run's environment was announced, none came")
        message["env"] = read_environment(fds.pop(at))


def read_environment(fd: int) -> dict[str, str]:
    """The variables in a memfd, which is closed."""
    try:
        return _parse(read_all(fd, os.fstat(fd).st_size))
    finally:
        os.close(fd)


def receive(sock: socket.socket, family: type[_M], flags: int = 0) -> tuple[_M, list[int]]:
    """Receive one message of this family, or of this kind, and its descriptors (close-on-exec). A
    run's request has its environment.

    Raises :class:`Closed` at end of file, and `ValueError` or `OSError` for what is no such
    message.
    """
    raw, fds = receive_raw(sock, flags)
    try:
        return family.parse(raw), fds
    except BaseException:
        close_all(fds)
        raise


def receive_raw(
    sock: socket.socket, flags: int = 0, is_daemon: bool = False
) -> tuple[Raw, list[int]]:
    """Receive a JSON object and its descriptors, as :func:`receive`.

    A run's request has its environment, but not in the daemon (``is_daemon``): its memory is in
    every process of every project.
    """
    try:
        data, ancillary, _, _ = _receive_packet(sock, flags)
    except ConnectionResetError:
        # The other side has gone with something unread in its queue, which is told once; what it
        # had said is still there.
        try:
            data, ancillary, _, _ = _receive_packet(sock, flags)
        except ConnectionResetError as error:
            raise Closed from error
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    received = list(fds)
    if not data:
        close_all(received)
        raise Closed
    try:
        message = _parse(data)
        if "memfd" in message:
            length = message["memfd"]
            if not received or not isinstance(length, int):
                raise ValueError("a message in a memfd was announced, none came")
            message = _parse(read_all(received[-1], length))
            os.close(received.pop())
        if not is_daemon:
            _bring_environment(message, received)
    except BaseException:
        close_all(received)
        raise
    return message, received


def _parse(data: bytes) -> Raw:
    message = _from_json(data.decode("utf-8", "surrogatepass"))
    if not isinstance(message, dict):
        raise ValueError("a message is a JSON object")
    return message


def _receive_packet(
    sock: socket.socket, flags: int
) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
    return sock.recvmsg(
        INLINE_LIMIT + 4096, socket.CMSG_SPACE(_MAX_FDS * 4), flags | socket.MSG_CMSG_CLOEXEC
    )


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that came with a message and are not needed."""
    for fd in fds:
        os.close(fd)


def send_refusal(conn: socket.socket, text: str, hint: str) -> None:
    """Tell the command line that there is no run, and why."""
    with contextlib.suppress(Closed, OSError):
        send(conn, Exit(status=3, err=f"error: {text}\nhint: {hint}\n"))


def is_closed(conn: socket.socket) -> bool:
    """Whether the other end is gone; what it has sent stays unread."""
    poll = select.poll()
    poll.register(conn, 0)
    return bool(poll.poll(0))


def has_message(sock: socket.socket) -> bool:
    """Whether there is something to read."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
