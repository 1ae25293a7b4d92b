"""Messages with descriptors over a socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from rpytest.ipc import channel


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = channel.pair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"text": "ä\n\0", "list": [1, 2.5, None, True], "nested": {"a": {}}},
        {"lone surrogate": "\udc80"},
        {"long": "x" * (channel.INLINE_LIMIT + 1)},
        {"just as long as fits": "x" * (channel.INLINE_LIMIT - 40)},
    ],
    ids=lambda message: next(iter(message), "empty"),
)
def test_a_message_arrives(ends: tuple[socket.socket, socket.socket], message: channel.Message) -> None:
    ours, theirs = ends
    channel.send(ours, message)
    assert channel.receive(theirs) == (message, [])


def test_messages_stay_apart(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    for number in range(3):
        channel.send(ours, {"number": number})
    assert [channel.receive(theirs)[0] for _ in range(3)] == [{"number": number} for number in range(3)]


@pytest.mark.parametrize("length", [1, channel.INLINE_LIMIT + 1])
def test_descriptors_come_along(ends: tuple[socket.socket, socket.socket], length: int) -> None:
    ours, theirs = ends
    files = [channel.memfd("test", text) for text in (b"one", b"two")]
    channel.send(ours, {"text": "x" * length}, files)
    _, received = channel.receive(theirs)
    assert [channel.read_all(file, 3) for file in received] == [b"one", b"two"]
    assert not any(os.get_inheritable(file) for file in received)
    channel.close_all([*files, *received])


def test_the_other_side_is_gone(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(channel.Closed):
        channel.send(ours, {})
    with pytest.raises(channel.Closed):
        channel.receive(ours)


def test_what_was_said_before_the_end_is_heard(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    channel.send(theirs, {"unread": 1})
    channel.send(ours, {"last": 1})
    ours.close()
    assert channel.receive(theirs)[0] == {"last": 1}
    with pytest.raises(channel.Closed):
        channel.receive(theirs)


@pytest.mark.parametrize("data", [b"[]", b"1", b"{", b"\xff", b'{"memfd": 3}', b'{"memfd": "long"}'])
def test_no_message(ends: tuple[socket.socket, socket.socket], data: bytes) -> None:
    ours, theirs = ends
    ours.send(data)
    with pytest.raises(ValueError, match=r"message|Expecting|decode"):
        channel.receive(theirs)


def test_no_descriptor_is_kept_of_what_is_no_message(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    file = channel.memfd("test", b"short")
    socket.send_fds(ours, [b'{"memfd": 99}'], [file])
    os.close(file)
    with pytest.raises(ValueError, match="ends after 5"):
        channel.receive(theirs)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
