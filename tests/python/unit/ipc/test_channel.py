"""Messages with descriptors over a socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from rpytest.ipc import channel
from rpytest.ipc.message import Empty, Message
from rpytest.ipc.process_messages import Confirmed
from rpytest.ipc.run_messages import Crashed, Exit, HostEvent, Spawn


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = channel.pair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize(
    "message",
    [
        Empty(),
        Crashed(test=1, message="ä\n\0", duration=2.5, attributes={"a": {}, "b": None, "c": True}),
        Exit(status=1, err="\udc80"),
        Exit(status=1, out="x" * (channel.INLINE_LIMIT + 1)),
        Exit(status=1, out="x" * (channel.INLINE_LIMIT - 70)),
    ],
    ids=["empty", "nested", "lone surrogate", "long", "just as long as fits"],
)
def test_a_message_arrives(ends: tuple[socket.socket, socket.socket], message: Message) -> None:
    ours, theirs = ends
    channel.send(ours, message)
    assert channel.receive(theirs, type(message)) == (message, [])


def test_messages_stay_apart(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    messages = [Spawn(slot=slot, incarnation=0) for slot in range(3)]
    for message in messages:
        channel.send(ours, message)
    assert [channel.receive(theirs, Spawn)[0] for _ in range(3)] == messages


@pytest.mark.parametrize("length", [1, channel.INLINE_LIMIT + 1])
def test_descriptors_come_along(ends: tuple[socket.socket, socket.socket], length: int) -> None:
    ours, theirs = ends
    files = [channel.memfd("test", text) for text in (b"one", b"two")]
    channel.send(ours, Exit(status=0, out="x" * length), files)
    _, received = channel.receive(theirs, HostEvent)
    assert [channel.read_all(file, 3) for file in received] == [b"one", b"two"]
    assert not any(os.get_inheritable(file) for file in received)
    channel.close_all([*files, *received])


def test_the_other_side_is_gone(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(channel.Closed):
        channel.send(ours, Empty())
    with pytest.raises(channel.Closed):
        channel.receive(ours, Empty)


def test_what_was_said_before_the_end_is_heard(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    channel.send(theirs, Empty())
    channel.send(ours, Confirmed(edited=["last"]))
    ours.close()
    assert channel.receive(theirs, Confirmed)[0] == Confirmed(edited=["last"])
    with pytest.raises(channel.Closed):
        channel.receive(theirs, Empty)


@pytest.mark.parametrize(
    "data", [b"[]", b"1", b"{", b"\xff", b'{"memfd": 3}', b'{"memfd": "long"}']
)
def test_no_message(ends: tuple[socket.socket, socket.socket], data: bytes) -> None:
    ours, theirs = ends
    ours.send(data)
    with pytest.raises(ValueError, match=r"message|Expecting|decode"):
        channel.receive(theirs, Empty)


def test_no_descriptor_is_kept_of_what_is_no_message(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    file = channel.memfd("test", b"short")
    socket.send_fds(ours, [b'{"memfd": 99}'], [file])
    os.close(file)
    with pytest.raises(ValueError, match="ends after 5"):
        channel.receive(theirs, Empty)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_no_descriptor_is_kept_of_another_message(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    file = channel.memfd("test", b"text")
    channel.send(ours, Spawn(slot=1, incarnation=1), [file])
    os.close(file)
    with pytest.raises(ValueError, match="no HostEvent: 'spawn'"):
        channel.receive(theirs, HostEvent)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_the_environment_is_put_into_the_request(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    file = channel.memfd("test", b'{"A": "1"}')
    channel.send(ours, Crashed(test=1, message=""), [])
    assert channel.receive_raw(theirs)[0]["test"] == 1
    for is_daemon in (False, True):
        ours.send(b"")  # An empty packet is an end of file, whoever sends it.
        with pytest.raises(channel.Closed):
            channel.receive_raw(theirs, is_daemon=is_daemon)
    socket.send_fds(ours, [b'{"op": "run", "env_at": 0}'], [file])
    assert channel.receive_raw(theirs) == ({"op": "run", "env": {"A": "1"}}, [])
    file_again = channel.memfd("test", b"{}")
    socket.send_fds(ours, [b'{"op": "run", "env_at": 0}'], [file_again])
    raw, received = channel.receive_raw(theirs, is_daemon=True)
    assert (raw, len(received)) == ({"op": "run", "env_at": 0}, 1)
    channel.close_all([file, file_again, *received])
