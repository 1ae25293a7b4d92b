"""What the workers of the project in `project/` said of themselves before they died, and who is who
in /proc.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# The layout that project/conftest.py writes.
PUSHES, NODEID = 4, 16

#: In which phase a kill struck, by the letter that the worker wrote; in the order of a worker's
#: life.
PHASES = {
    "start": "forked, not yet at work",
    "respawn": "a replacement, forked, not yet at work",
    "claiming": "taking a test of its own part",
    "stealing": "taking a test of another's part",
    "setup": "",
    "call": "",
    "teardown": "",
    "commit": "between the end of the test and the end of the commit",
    "full ring": "waiting for room",
    "leaving": "no test left, not yet said goodbye",
}
_LETTERS = {
    "q": "claiming",
    "x": "stealing",
    "s": "setup",
    "c": "call",
    "t": "teardown",
    "e": "commit",
    "p": "commit",
    "a": "commit",
    "g": "leaving",
}
GOODBYE = "z"


@dataclass(frozen=True)
class Words:
    """What one worker said last."""

    pid: int
    #: A replacement of a dead worker.
    incarnated: bool
    letter: str
    #: 0: no test in flight; 1: one is; 2: that is being changed at this moment.
    in_flight: int
    #: Records of tests that it began to write.
    pushes: int
    nodeid: str

    @property
    def phase(self) -> str:
        """One of `PHASES`."""
        if self.letter == "r":
            return "respawn" if self.incarnated else "start"
        return _LETTERS[self.letter]


class Folder:
    """The folder in which a project's workers leave their words and draw their tickets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clear({})

    def clear(self, tickets: dict[str, int]) -> None:
        """Begin anew, with so many tickets of each kind."""
        for name in ("state", "tickets", "used"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
            for file in (self.path / name).iterdir():
                file.unlink()
        for kind, count in tickets.items():
            for number in range(count):
                (self.path / "tickets" / f"{kind}-{number}").touch()

    def words(self) -> dict[int, Words]:
        """Of each worker, by pid."""
        found = {}
        # The folder is made anew for each run.
        folder = self.path / "state"
        for file in list(folder.iterdir()) if folder.is_dir() else []:
            kind, _, pid = file.name.partition("-")
            data = file.read_bytes()
            if len(data) <= NODEID:
                continue
            (pushes,) = struct.unpack_from("<I", data, PUSHES)
            nodeid = data[NODEID:].partition(b"\0")[0].decode()
            letter = chr(data[0]) if data[0] else "r"
            found[int(pid)] = Words(int(pid), kind == "next", letter, data[1], pushes, nodeid)
        return found


def children(pid: int) -> list[int]:
    """Pids of the children of a process with one thread; none when it is gone."""
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []


def parent(pid: int) -> int:
    """Pid of a process's parent; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_orphan(pid: int) -> bool:
    """Whether nobody is left who has started this process, which is not a daemon."""
    try:
        return parent(pid) == 1 and os.getsid(pid) != pid
    except ProcessLookupError:
        return False


@dataclass
class Tree:
    """The processes of one run."""

    daemon: int = 0
    session: int = 0
    host: int = 0
    #: Has forked the host, and stands by because of the shared fixtures.
    supervisor: int = 0

    @property
    def workers(self) -> list[int]:
        """Pids of the living workers."""
        return children(self.host) if self.host else []


def _maps_segment(pid: int) -> bool:
    try:
        return "/dev/shm/rpytest-" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


def tree(pids: Iterable[int], bare: bool) -> Tree:
    """Find out who is who among the processes of one project with one run going on."""
    pythons = set()
    for pid in pids:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"rpytest.daemon.daemon" in command:
            pythons.add(pid)
    found = Tree()
    for pid in pythons:
        # It leads a session of its own; under `bare` there is another one without a parent, which
        # answers for worker 0.
        with contextlib.suppress(ProcessLookupError):
            if parent(pid) not in pythons and os.getsid(pid) == pid:
                found.daemon = pid
                break
    for session in children(found.daemon) if found.daemon else []:
        if bare:
            found.host = session
        else:
            found.session = found.session or session
    if not bare:
        # The project has a session fixture: the host is a fork of the supervisor's, which is the
        # session's; that may be the daemon's child, a preload's or nobody's. What else a session
        # forks, for hooks, does not map the run's memory.
        mapping = set(filter(_maps_segment, pythons))
        for supervisor in mapping:
            if parent(supervisor) in pythons - mapping:
                found.session, found.supervisor = parent(supervisor), supervisor
                found.host = next((pid for pid in children(supervisor) if pid in mapping), 0)
    return found
