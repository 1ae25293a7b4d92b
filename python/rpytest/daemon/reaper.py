"""What the processes of sessions have died of: the daemon's own children, and those of preloads."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Container

from rpytest.process import lifecycle
from rpytest.process.inspection import signal_name

#: How often it is looked whether a session has ended that has closed its connection: 2 seconds. A
#: core dump takes longer.
_LAST_MOMENTS = 400
#: Seconds between two looks.
_TICK = 0.005


class Reaper:
    """Waits for children."""

    def __init__(self, told: Callable[[int, socket.socket], int | None]) -> None:
        """``told`` gives the wait status of a preload's child, once the preload has told."""
        self._told = told
        #: Wait statuses of sessions that have been reaped and not yet been missed.
        self._ended: dict[int, int] = {}

    def reap(self, sessions: Container[int]) -> None:
        """Wait for all that have ended; remember how those of ``sessions`` did."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid in sessions:
                    self._ended[pid] = status

    def forget(self, pid: int) -> None:
        """The session is not of interest any more."""
        self._ended.pop(pid, None)

    def status(self, pid: int, preload: socket.socket | None) -> int | None:
        """The wait status of a session that has closed its connection; ``preload``: who has forked
        it, if not the daemon.

        `None`: it has not ended, or nobody knows how.
        """
        for _ in range(_LAST_MOMENTS):
            if pid in self._ended or successor(pid) is not None:
                break
            if preload is not None:
                found_status = self._told(pid, preload)
                if found_status is not None:
                    self._ended[pid] = found_status
                    break
                lifecycle.pause(_TICK)
                continue
            with contextlib.suppress(ChildProcessError):
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    self._ended[pid] = status
                    break
            lifecycle.pause(_TICK)
        return self._ended.pop(pid, None)


def cause(status: int | None) -> str:
    """What a wait status says, as a clause that begins with a verb."""
    if status is None:
        return "closed its connection"
    if os.WIFSIGNALED(status):
        return f"was killed by {signal_name(os.WTERMSIG(status))}"
    return f"ended with status {os.WEXITSTATUS(status)}"


def successor(pid: int) -> str | None:
    """The command line of the program that a fork of this process has put in its own place
    (`os.execv`); `None`: it has not.
    """
    own, other = _command_line("self"), _command_line(str(pid))
    if not other or other == own:
        return None
    return b" ".join(other).decode(errors="replace")


def is_this_python(pid: int) -> bool:
    """Whether a process is the same interpreter, which may run pytest again."""
    try:
        return os.path.samefile(f"/proc/{pid}/exe", "/proc/self/exe")
    except OSError:
        return False


def _command_line(pid: str) -> list[bytes]:
    """Empty for a process that has ended, or is just about to become another program."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")[:-1]
    except OSError:
        return []
