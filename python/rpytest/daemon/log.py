"""The daemon's log: its standard error, which the command line has opened for it."""

from __future__ import annotations

import contextlib
import os
import stat
import time

#: Bytes; a longer log is begun anew.
_LOG_LIMIT = 1 << 20


def log(text: str) -> None:
    """Write a line to it."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    with contextlib.suppress(OSError, ValueError):
        state = os.fstat(2)
        if stat.S_ISREG(state.st_mode) and state.st_size > _LOG_LIMIT:
            os.ftruncate(2, 0)
        os.write(2, f"{stamp} [{os.getpid()}] {text}\n".encode("utf-8", "backslashreplace"))
