"""The socket by whose name command lines find the daemon, and whether they still can."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys

_CREDENTIALS = struct.Struct("3i")


class Listener:
    """A bound socket; takes the name over from a daemon that had it before."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._socket.bind(path)
        os.chmod(path, 0o600)
        self._socket.listen(64)
        #: Which file the socket's name stands for, and which folder the environment is.
        self._socket_inode, self._prefix_inode = _inode(path), _inode(sys.prefix)

    def fileno(self) -> int:
        """The descriptor of the listening socket."""
        return self._socket.fileno()

    def accept(self) -> socket.socket | None:
        """The next connection, unless it is another user's or gone already."""
        with contextlib.suppress(OSError):
            conn, _ = self._socket.accept()
            _pid, uid, _gid = _CREDENTIALS.unpack(
                conn.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            if uid == os.getuid():
                return conn
            conn.close()
        return None

    def owns_name(self) -> bool:
        """Whether the socket's name still stands for this daemon."""
        return _inode(self.path) == self._socket_inode

    def is_replaced(self) -> bool:
        """Whether nobody can reach this daemon: the socket's name is gone or another daemon's, or
        the environment was deleted or moved.
        """
        return not self.owns_name() or _inode(sys.prefix) != self._prefix_inode

    def close(self) -> None:
        """Let go of the socket in a fork of the daemon, which accepts no connections."""
        self._socket.close()

    def remove_name(self) -> None:
        """Remove the socket's name at the daemon's end."""
        if self.owns_name():
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None
