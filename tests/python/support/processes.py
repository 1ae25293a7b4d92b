"""Which processes belong to a test, and what they are doing: looks into Linux' ``/proc``."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

PROC = Path("/proc")
SHARED_MEMORY = Path("/dev/shm")

PATIENCE_SECONDS = 300.0
"""After this, what is waited for never comes. A machine may stop for seconds, at any place: never a
measure of speed.
"""


def with_variable(name: str, value: str) -> list[int]:
    """Living processes that were started with the environment variable, oldest pid first.

    Forked children count (they show their parent's initial environment), orphans too: that is
    what makes this better than walking from parent to child. Zombies don't count.
    """
    wanted = f"{name}={value}".encode()
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is somebody else's
            continue
        if wanted in variables:
            found.append(int(entry.name))
    return sorted(found)


def with_pipe(descriptor: int) -> list[int]:
    """Other processes that hold an end of the pipe that our `descriptor` is an end of."""
    pipe = (PROC / "self" / "fd" / str(descriptor)).readlink()
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            held = {link.readlink() for link in (entry / "fd").iterdir()}
        except OSError:
            continue
        if pipe in held:
            found.append(int(entry.name))
    return found


def segments_of(pids: Iterable[int]) -> list[Path]:
    """Shared memory entries whose names say that one of `pids` made them."""
    return [path for pid in pids for path in SHARED_MEMORY.glob(f"rpytest-{pid}-*")]


def describe(pid: int) -> str:
    """Several lines on what a process is and where it waits; never fails."""

    def read(path: Path) -> str:
        try:
            return path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError as error:
            return f"<{error.strerror}>"

    home = PROC / str(pid)
    wanted = ("State:", "PPid:", "Threads:", "SigPnd:", "SigBlk:", "SigCgt:")
    status = [line for line in read(home / "status").splitlines() if line.startswith(wanted)]
    lines = [f"process {pid}: {read(home / 'cmdline')}"]
    lines.append("  " + ", ".join(line.replace("\t", " ") for line in status))
    try:
        tasks = sorted((home / "task").iterdir())
    except OSError:
        tasks = []
    for task in tasks:
        name, wchan, syscall = (read(task / what) for what in ("comm", "wchan", "syscall"))
        lines.append(f"  thread {task.name} {name}: waits in {wchan}, syscall {syscall}")
        lines += [f"    {frame}" for frame in read(task / "stack").splitlines()]
    try:
        links = sorted((home / "fd").iterdir(), key=lambda link: int(link.name))
        lines.append("  open: " + ", ".join(f"{link.name}={link.readlink()}" for link in links))
    except OSError:
        pass
    return "\n".join(lines)


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    return state(pid) not in "ZX"


def state(pid: int) -> str:
    """A letter, as `ps` shows it: `T` stopped, `S` asleep until something happens, `R` at work or
    kept from it; `X`: gone.
    """
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return "X"
    # The name, in parentheses, may contain anything.
    return stat.rpartition(")")[2].split()[0]


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each of `pids` that still exists."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    """Wait for `condition`; returns whether it came true. `seconds` guards against hangs only."""
    end = time.monotonic() + seconds
    while True:
        # This process may have been stopped, too: the condition has the last word.
        is_late = time.monotonic() > end
        if condition():
            return True
        if is_late:
            return False
        time.sleep(0.01)
