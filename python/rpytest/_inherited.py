"""Child processes that a shared fixture has started, as a worker sees them: not its own children."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import subprocess
import time
from typing import Any


class InheritedPopen(subprocess.Popen[Any]):
    """A process of the host's. Only a parent can wait for a child; everybody else can see whether it lives."""

    _rpytest_pidfd = -1

    def _gone(self) -> int | None:
        """Its wait status once it has ended; 0 where the system doesn't tell."""
        try:
            with open(f"/proc/{self.pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return 0
        if fields[0] not in "ZX":
            return None
        # Exit code, the last field but those of newer kernels.
        return int(fields[49]) if len(fields) > 49 else 0

    def _internal_poll(self, *_args: Any, **_kwargs: Any) -> int | None:
        if self.returncode is None:
            status = self._gone()
            if status is not None:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        while True:
            status = self._gone()
            if status is not None:
                return self.pid, status
            if wait_flags & os.WNOHANG:
                return 0, 0
            if self._rpytest_pidfd >= 0:
                select.select([self._rpytest_pidfd], [], [], 1.0)
            else:
                time.sleep(0.02)


def living() -> list[subprocess.Popen[Any]]:
    """The processes that this one has started by `subprocess` and that have not been waited for."""
    return [
        candidate
        for candidate in gc.get_objects()
        if issubclass(type(candidate), subprocess.Popen) and getattr(candidate, "returncode", 0) is None
    ]


def take_over(processes: list[subprocess.Popen[Any]]) -> None:
    """In a worker: make them answer by whether they live."""
    for process in processes:
        kind = type(process)
        with contextlib.suppress(TypeError):
            # A subclass keeps what it adds.
            process.__class__ = (
                InheritedPopen if kind is subprocess.Popen else type(kind.__name__, (InheritedPopen, kind), {})
            )
        with contextlib.suppress(OSError):
            process._rpytest_pidfd = os.pidfd_open(process.pid)  # type: ignore[attr-defined]
