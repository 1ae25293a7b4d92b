"""Child processes that a shared fixture has started, as a worker sees them: not its own children."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from rpytest import _frozen, _process, _real
from rpytest._real import contextlib, os, select

__builtins__ = _real.BUILTINS


def _gone(pid: int) -> int | None:
    """The wait status of a process once it has ended; 0 where the system doesn't tell."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0
    if fields[0] not in "ZX":
        return None
    # Exit code, the last field but those of newer kernels.
    return int(fields[49]) if len(fields) > 49 else 0


class InheritedPopen(subprocess.Popen[Any]):
    """A process of the host's. Only a parent can wait for a child; everybody else can see whether it lives."""

    _rpytest_pidfd = -1

    def _internal_poll(self, *_args: Any, **_kwargs: Any) -> int | None:
        if self.returncode is None:
            status = _gone(self.pid)
            if status is not None:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        while True:
            status = _gone(self.pid)
            if status is not None:
                return self.pid, status
            if wait_flags & os.WNOHANG:
                return 0, 0
            if self._rpytest_pidfd >= 0:
                select.select([self._rpytest_pidfd], [], [], 1.0)
            else:
                _process.pause(0.02)


class InheritedChild:
    """What `multiprocessing.Process` asks about its process, in front of the class that it is of."""

    pid: int
    returncode: int | None

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """Its exit code once it has ended; waits for that unless ``flag`` says otherwise."""
        while self.returncode is None:
            status = _gone(self.pid)
            if status is not None:
                self.returncode = os.waitstatus_to_exitcode(status)
            elif flag & os.WNOHANG:
                return None
            else:
                _process.pause(0.02)
        return self.returncode


class Living:
    """The processes that this one has started and that have not been waited for."""

    def __init__(self) -> None:
        #: By `subprocess`.
        self.processes: list[subprocess.Popen[Any]] = [
            candidate
            for candidate in _frozen.get_objects()
            if issubclass(type(candidate), subprocess.Popen) and getattr(candidate, "returncode", 0) is None
        ]
        #: By `multiprocessing`.
        self.children: list[Any] = list(getattr(sys.modules.get("multiprocessing.process"), "_children", ()))

    def take_over(self) -> None:
        """In a worker: make them answer by whether they live."""
        _take_over(self.processes)
        for child in self.children:
            running = child._popen
            if running is None:
                continue
            kind = type(running)
            with contextlib.suppress(TypeError):
                running.__class__ = type(kind.__name__, (InheritedChild, kind), {})
                # `multiprocessing` refuses to answer anybody else.
                child._parent_pid = os.getpid()


def _take_over(processes: list[subprocess.Popen[Any]]) -> None:
    for process in processes:
        kind = type(process)
        with contextlib.suppress(TypeError):
            # A subclass keeps what it adds.
            process.__class__ = (
                InheritedPopen if kind is subprocess.Popen else type(kind.__name__, (InheritedPopen, kind), {})
            )
        with contextlib.suppress(OSError):
            process._rpytest_pidfd = os.pidfd_open(process.pid)  # type: ignore[attr-defined]
