"""Which warm processes a daemon lets go: when there are too many of them, or when they need too
much memory.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence

from rpytest.daemon.entries import SessionEntry
from rpytest.daemon.preloads import PreloadEntry
from rpytest.process.inspection import memory_kb

#: More warm sessions than this, and the least recently used one goes.
MAX_SESSIONS = 8

#: The same for checkpoints, each of which is kept beside the session that it was forked from.
MAX_CHECKPOINTS = 4


def idle(sessions: Iterable[SessionEntry]) -> list[SessionEntry]:
    """The sessions without a run, the least recently used first."""
    found = [
        entry
        for entry in sessions
        if entry.info is not None and not entry.pending and not entry.is_over
    ]
    return sorted(found, key=lambda entry: entry.used)


def of_no_folder(sessions: Iterable[SessionEntry]) -> list[SessionEntry]:
    """Idle ones whose project is gone."""
    return [entry for entry in idle(sessions) if not os.path.isdir(entry.cwd)]


def too_many(sessions: Collection[SessionEntry]) -> list[tuple[SessionEntry, str]]:
    """The sessions and checkpoints that must go to make room for one more of each, and why."""
    found: list[tuple[SessionEntry, str]] = []
    for is_checkpoint, most in ((False, MAX_SESSIONS), (True, MAX_CHECKPOINTS)):
        kept = sum(entry.is_checkpoint == is_checkpoint and not entry.is_over for entry in sessions)
        candidates = [entry for entry in idle(sessions) if entry.is_checkpoint == is_checkpoint]
        if is_checkpoint:
            # The one with most tests serves most command lines.
            largest = {
                entry.base: entry for entry in sorted(candidates, key=lambda entry: entry.tests)
            }
            candidates.sort(key=lambda entry: largest[entry.base] is entry)
        found += [
            (entry, f"more than {most} are warm") for entry in candidates[: max(0, kept - most + 1)]
        ]
    return found


def too_large(
    sessions: Collection[SessionEntry], preloads: Sequence[PreloadEntry], limit: int
) -> list[SessionEntry | PreloadEntry]:
    """What was used least recently, until the rest is within the limit (MiB); one that is at work
    ends when it is done.
    """
    everything: list[SessionEntry | PreloadEntry] = [*sessions, *preloads]
    sizes = {process.pid: process.memory_kb() for process in everything}
    total = sum(sizes.values()) + memory_kb(os.getpid())
    found = []
    candidates: list[SessionEntry | PreloadEntry] = [*idle(sessions), *preloads]
    for kept in sorted(candidates, key=lambda kept: kept.used):
        if total <= limit << 10:
            break
        total -= sizes[kept.pid]
        found.append(kept)
    return found
