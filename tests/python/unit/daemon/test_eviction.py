"""Which warm processes go, and which stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rpytest.daemon import entries, eviction
from rpytest.daemon.entries import SessionEntry
from rpytest.ipc.process_messages import Info

#: KiB of the daemon itself.
DAEMON = 1024


def session(pid: int, used: float = 0.0, tests: int | None = 0, **fields: Any) -> SessionEntry:
    """A warm one without a run; without ``tests`` it is collecting."""
    nobody: Any = None
    info = None if tests is None else Info(tests=tests, root="/")
    return SessionEntry("", pid, -1, nobody, 0.0, None, info=info, used=used, **fields)


@dataclass
class Preload:
    """As `PreloadEntry`, as far as it is looked at."""

    pid: int
    used: float

    def memory_kb(self) -> int:
        return self.pid * 1024


@pytest.fixture(autouse=True)
def _sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process has as many MiB as its number says."""
    monkeypatch.setattr(entries, "memory_kb", lambda pid: pid * 1024)
    monkeypatch.setattr(eviction, "memory_kb", lambda _: DAEMON)


def pids(found: Sequence[Any]) -> list[int]:
    return [each.pid for each in found]


def test_idle_ones_by_their_use() -> None:
    run: Any = object()
    found = eviction.idle(
        [
            session(1, used=3.0),
            session(2, used=1.0),
            session(3, tests=None),
            session(4, pending=[run]),
            session(5, is_over=True),
            session(6, used=2.0, is_checkpoint=True),
        ]
    )
    assert pids(found) == [2, 6, 1]


def test_of_no_folder(tmp_path: Path) -> None:
    run: Any = object()
    gone, file = str(tmp_path / "gone"), tmp_path / "file"
    file.touch()
    found = eviction.of_no_folder(
        [
            session(1, cwd=str(tmp_path)),
            session(2, cwd=gone),
            session(3, cwd=str(file)),
            session(4, cwd=gone, pending=[run]),
        ]
    )
    assert pids(found) == [2, 3]


@pytest.mark.parametrize("count", [0, 7, 8, 9, 11])
def test_too_many_sessions(count: int) -> None:
    """One more is about to come: so that there are eight with it."""
    found = eviction.too_many([session(pid, used=-pid) for pid in range(1, count + 1)])
    gone = max(0, count - 7)
    assert pids([entry for entry, _ in found]) == list(range(count, count - gone, -1))
    assert {why for _, why in found} <= {"more than 8 are warm"}


@pytest.mark.parametrize("count", [3, 4, 6])
def test_too_many_checkpoints(count: int) -> None:
    checkpoints = [
        session(pid, used=pid, is_checkpoint=True, base=str(pid)) for pid in range(1, count + 1)
    ]
    # They are counted apart.
    sessions = [session(100 + pid) for pid in range(7)]
    found = eviction.too_many([*checkpoints, *sessions])
    assert pids([entry for entry, _ in found]) == list(range(1, count - 2))
    assert {why for _, why in found} <= {"more than 4 are warm"}


def test_the_largest_checkpoint_of_a_project_goes_last() -> None:
    checkpoints = [
        session(1, used=1.0, tests=900, is_checkpoint=True, base="a"),
        session(2, used=2.0, tests=10, is_checkpoint=True, base="a"),
        session(3, used=3.0, tests=20, is_checkpoint=True, base="a"),
        session(4, used=4.0, tests=1, is_checkpoint=True, base="b"),
    ]
    assert pids([entry for entry, _ in eviction.too_many(checkpoints)]) == [2]
    # If all are the largest, the one that was used least recently.
    for entry in checkpoints:
        entry.base = str(entry.pid)
    assert pids([entry for entry, _ in eviction.too_many(checkpoints)]) == [1]


def test_those_at_work_count_and_stay() -> None:
    run: Any = object()
    busy = [session(pid, pending=[run]) for pid in range(1, 9)]
    assert eviction.too_many(busy) == []
    assert pids([entry for entry, _ in eviction.too_many([*busy, session(20)])]) == [20]
    # Those that only have something to say don't count.
    over = [session(pid, is_over=True) for pid in range(1, 9)]
    assert eviction.too_many([*over, session(20)]) == []


@pytest.mark.parametrize(
    ("limit", "gone"),
    [
        (1000, []),
        # 10 + 20 + 30 + 5 + 6, and the daemon's 1.
        (72, []),
        (71, [20]),
        (52, [20]),
        (51, [20, 5]),
        (46, [20, 5, 10]),
        (37, [20, 5, 10]),
        (36, [20, 5, 10, 6]),
        # One that is at work goes when it is done.
        (0, [20, 5, 10, 6]),
    ],
)
def test_too_large(limit: int, gone: list[int]) -> None:
    run: Any = object()
    sessions = [session(10, used=3.0), session(20, used=1.0), session(30, pending=[run])]
    preloads: Any = [Preload(5, 2.0), Preload(6, 4.0)]
    assert pids(eviction.too_large(sessions, preloads, limit)) == gone


def test_a_standby_process_counts_for_its_session() -> None:
    sessions = [session(10, standby=40, used=1.0), session(20, used=2.0)]
    assert pids(eviction.too_large(sessions, [], 71)) == []
    assert pids(eviction.too_large(sessions, [], 70)) == [10]
    assert pids(eviction.too_large(sessions, [], 21)) == [10]
    assert pids(eviction.too_large(sessions, [], 20)) == [10, 20]
