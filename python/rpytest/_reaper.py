"""What the processes of sessions have died of: the daemon's own children, and those of preloads."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Container

from rpytest import _process
from rpytest._warm import signal_name

#: How often it is looked whether a session has ended that has closed its connection: 2 seconds. A core dump takes longer.
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

    def cause(self, pid: int, preload: socket.socket | None) -> str:
        """What a session that has closed its connection has died of; ``preload``: who has forked it, if not the daemon."""
        for _ in range(_LAST_MOMENTS):
            if pid in self._ended:
                break
            if preload is not None:
                found_status = self._told(pid, preload)
                if found_status is not None:
                    self._ended[pid] = found_status
                    break
                _process.pause(_TICK)
                continue
            with contextlib.suppress(ChildProcessError):
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    self._ended[pid] = status
                    break
            _process.pause(_TICK)
        status = self._ended.pop(pid, -1)
        if status == -1:
            return "closed its connection"
        if os.WIFSIGNALED(status):
            return f"was killed by {signal_name(os.WTERMSIG(status))}"
        return f"ended with status {os.WEXITSTATUS(status)}"
