"""What the system tells about a process: what it has open, its children, its threads, whether it
stands still.
"""

from __future__ import annotations

from collections.abc import Container

from rpytest import stdlib
from rpytest.stdlib import contextlib, os, select, signal, threading

__builtins__ = stdlib.BUILTINS


def shared_when_forked(own: Container[int]) -> str | None:
    """Name something open that forks would share and break for each other, such as an event loop
    made at import; ``own`` are ours.
    """
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            if target == "anon_inode:[eventpoll]":
                return "an event loop"
            if target.startswith("socket:") and int(name) > 2 and int(name) not in own:
                return "a socket"
    return None


def child_processes() -> list[str]:
    """Names of living processes that this process has started; zombies don't count. Empty where the
    system doesn't tell.
    """
    names = []
    with contextlib.suppress(OSError):
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/children") as file:
                for pid in file.read().split():
                    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat_file:
                        name, _, rest = stat_file.read().partition("(")[2].rpartition(")")
                        if not rest.split()[0].startswith(("Z", "X")):
                            names.append(name)
    return names


def interval_timers() -> set[int]:
    """Timers of `signal.setitimer` and `signal.alarm` that run: forks don't have them."""
    kinds = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    return {kind for kind in kinds if signal.getitimer(kind)[0] > 0}


def python_threads() -> list[str]:
    """Names of Python threads besides the current one: a process with one can't be forked
    safely.
    """
    current = threading.current_thread()
    return [
        thread.name
        for thread in threading.enumerate()
        if thread is not current and thread.is_alive()
    ]


def memory_kb(pid: int) -> int:
    """Memory that the process has in use, in KiB; what it shares with others counts in part
    (PSS).
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    except (OSError, ValueError, StopIteration):
        return 0


def signal_name(number: int) -> str:
    """`SIGSEGV`, or the number of a signal without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def has_ended(pidfd: int) -> bool:
    """Whether the process has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def is_stopped(pid: int) -> bool:
    """Whether a process stands still because of SIGSTOP or the like."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name before it, in parentheses, may contain anything.
            return file.read().rpartition(b")")[2].split()[0] == b"T"
    except (OSError, IndexError):
        return False
