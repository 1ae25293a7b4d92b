"""What every test of the project knows about itself, so that a mixed-up or torn result shows."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable

#: Bytes of output; the last ones are longer than a record in a ring can be, and than the whole
#: ring.
SIZES = (0, 0, 0, 0, 80, 80, 700, 700, 6_000, 6_000, 20_000, 20_000, 40_000, 300_000)
#: In a fat run all have output whose record (which contains it three times) just fits into a ring:
#: a dozen tests fill it.
FAT_SIZES = (4_000, 5_000, 6_000)
FAT = "KILL_FAT"


def token(nodeid: str) -> str:
    """A word that only this test's result contains."""
    return hashlib.sha256(nodeid.encode()).hexdigest()[:12]


def number(nodeid: str) -> int:
    """A number that makes tests differ, always the same ones."""
    return int(hashlib.sha256(nodeid.encode()).hexdigest()[12:20], 16)


def lines(nodeid: str, fat: bool) -> list[str]:
    """The output of a test: numbered lines with its token."""
    word = token(nodeid)
    sizes = FAT_SIZES if fat else SIZES
    size = sizes[number(nodeid) % len(sizes)]
    return [f"{word}:{index:06d}" for index in range(size // (len(word) + 8))]


def seconds(nodeid: str) -> float:
    """How long a test takes: most a few milliseconds, some longer."""
    value = number(nodeid) // 64
    return 0.0 if value % 3 == 0 else (value % 7) / 1000 if value % 40 else 0.06


def work(nodeid: str, record_property: Callable[[str, object], None]) -> str:
    """Do what a test of that name does; returns its token."""
    record_property("token", token(nodeid))
    for line in lines(nodeid, FAT in os.environ):
        print(line)
    time.sleep(seconds(nodeid))
    return token(nodeid)
