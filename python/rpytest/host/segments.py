"""Names of shared memory, which the command line makes and removes, and which others remove for it
if it was killed.
"""

from __future__ import annotations

from rpytest import stdlib
from rpytest.stdlib import contextlib, os, socket, struct

__builtins__ = stdlib.BUILTINS


_SHARED_MEMORY = "/dev/shm"
_CREDENTIALS = struct.Struct("3i")


def remove_segments_of(conn: socket.socket) -> None:
    """Remove the names of shared memory of the process at the other end, which was killed before it
    could do so itself.
    """
    with contextlib.suppress(OSError):
        pid, _, _ = _CREDENTIALS.unpack(
            conn.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        if pid <= 0:
            # The process is in another PID namespace, where its number is not known here.
            return
        for name in os.listdir(_SHARED_MEMORY):
            if name.startswith(f"rpytest-{pid}-"):
                os.unlink(os.path.join(_SHARED_MEMORY, name))
