import asyncio
import socket

import pytest
from pytest_socket import SocketBlockedError


@pytest.mark.parametrize("i", range(4))
def test_blocked(i):
    with pytest.raises(SocketBlockedError):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def test_fails():
    socket.create_connection(("127.0.0.1", 9))


def test_enabled(socket_enabled):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname()) as client:
            client.sendall(b"hello")
            peer, _ = server.accept()
            with peer:
                assert peer.recv(5) == b"hello"


@pytest.mark.enable_socket
def test_marked():
    socket.socket().close()


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_hosts():
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", 9), timeout=1)


def test_unix():
    left, right = socket.socketpair()
    left.close()
    right.close()


def test_loop():
    async def nothing():
        await asyncio.sleep(0)

    asyncio.run(nothing())
