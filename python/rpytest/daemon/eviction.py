"""Which warm processes a daemon lets go: when there are too many of them, or when they need too much memory."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence

from rpytest.daemon.entries import Warm
from rpytest.daemon.preloads import Process
from rpytest.process.inspection import memory_kb

#: More warm sessions than this, and the least recently used one goes.
MAX_SESSIONS = 8

#: The same for trunks, each of which is kept beside the session that it was forked from.
MAX_TRUNKS = 4


def idle(sessions: Iterable[Warm]) -> list[Warm]:
    """Those without a run, the least recently used first."""
    found = [warm for warm in sessions if warm.info and not warm.pending and not warm.is_over]
    return sorted(found, key=lambda warm: warm.used)


def of_no_folder(sessions: Iterable[Warm]) -> list[Warm]:
    """Idle ones whose project is gone."""
    return [warm for warm in idle(sessions) if not os.path.isdir(warm.cwd)]


def too_many(sessions: Collection[Warm]) -> list[tuple[Warm, str]]:
    """Those that make room for one more session and one more trunk, and why."""
    found: list[tuple[Warm, str]] = []
    for is_trunk, most in ((False, MAX_SESSIONS), (True, MAX_TRUNKS)):
        kept = sum(warm.is_trunk == is_trunk and not warm.is_over for warm in sessions)
        candidates = [warm for warm in idle(sessions) if warm.is_trunk == is_trunk]
        if is_trunk:
            # The one with most tests serves most command lines.
            largest = {warm.base: warm for warm in sorted(candidates, key=lambda warm: int(warm.info.get("tests", 0)))}
            candidates.sort(key=lambda warm: largest[warm.base] is warm)
        found += [(warm, f"more than {most} are warm") for warm in candidates[: max(0, kept - most + 1)]]
    return found


def too_large(sessions: Collection[Warm], preloads: Sequence[Process], limit: int) -> list[Warm | Process]:
    """What was used least recently, until the rest is within the limit (MiB); one that is at work ends when it is done."""
    everything: list[Warm | Process] = [*sessions, *preloads]
    sizes = {process.pid: process.memory_kb() for process in everything}
    total = sum(sizes.values()) + memory_kb(os.getpid())
    found = []
    candidates: list[Warm | Process] = [*idle(sessions), *preloads]
    for kept in sorted(candidates, key=lambda kept: kept.used):
        if total <= limit << 10:
            break
        total -= sizes[kept.pid]
        found.append(kept)
    return found
