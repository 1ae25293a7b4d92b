"""Reads the page that ``--timings`` writes: its data, unpacked as the page does it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENDINGS = {
    "p": "passed",
    "F": "failed",
    "E": "error",
    "s": "skipped",
    "x": "xfailed",
    "X": "xpassed",
    "R": "rerun",
    "o": "other",
}


@dataclass(frozen=True)
class Test:
    """A row; times in microseconds since the command was started."""

    __test__ = False

    id: str
    outcome: str
    worker: int
    start: int
    setup: int
    call: int
    teardown: int
    estimate: int
    """0: none."""
    attempts: tuple[str, ...]
    setups: tuple[tuple[str, int], ...]
    """Fixtures that took at least 0.1 ms, and how long."""
    reason: str

    @property
    def fixtures(self) -> tuple[str, ...]:
        """Names of `setups`."""
        return tuple(name for name, _ in self.setups)

    @property
    def length(self) -> int:
        """Time in the test."""
        return self.setup + self.call + self.teardown


@dataclass(frozen=True)
class Page:
    """What the page contains."""

    text: str
    data: dict[str, Any]
    tests: tuple[Test, ...]

    def test(self, end: str) -> Test:
        """The one test whose id ends with this."""
        (found,) = [test for test in self.tests if test.id.endswith(end)]
        return found

    def fixture(self, name: str) -> dict[str, Any]:
        """The totals of the one fixture of this name."""
        (found,) = [fixture for fixture in self.data["fixtures"] if fixture["name"] == name]
        return dict(found)

    @property
    def outcomes(self) -> dict[str, str]:
        """Outcome by node id."""
        return {test.id: test.outcome for test in self.tests}


def read(file: Path) -> Page:
    """Parse a page; fails unless there is exactly one element with data, and valid."""
    text = file.read_text("utf-8")
    (raw,) = re.findall(
        r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL
    )
    data = json.loads(raw)
    assert data["format"] == 1
    return Page(text, data, tuple(_tests(data)))


def _tests(data: dict[str, Any]) -> list[Test]:
    columns = data["tests"]
    attempts = dict(columns["attempts"])
    reasons = dict(columns["reasons"])
    setups: dict[int, list[tuple[str, int]]] = {}
    flat = iter(data["setups"])
    for row, fixture, _offset, length in zip(flat, flat, flat, flat, strict=True):
        setups.setdefault(row, []).append((data["fixtures"][fixture]["name"], length))
    tests: list[Test] = []
    units = b""
    for worker, lane in enumerate(data["lanes"]):
        end = 0
        for _ in range(lane["tests"]):
            row = len(tests)
            # JavaScript counts UTF-16 units.
            units = units[: 2 * columns["shared"][row]] + columns["rest"][row].encode("utf-16-le")
            phases = [columns[phase][row] for phase in ("setup", "call", "teardown")]
            start = end + columns["gap"][row]
            goes = attempts.get(row)
            end = start + (max(sum(go[:4]) for go in goes) if goes else sum(phases))
            tests.append(
                Test(
                    id=units.decode("utf-16-le"),
                    outcome=ENDINGS[columns["endings"][row]],
                    worker=worker,
                    start=start,
                    setup=phases[0],
                    call=phases[1],
                    teardown=phases[2],
                    estimate=columns["estimate"][row] if columns["estimate"] else 0,
                    attempts=tuple(ENDINGS[go[4]] for go in goes) if goes else (),
                    setups=tuple(setups.get(row, ())),
                    reason=reasons.get(row, ""),
                )
            )
    lengths = {
        name: len(column)
        for name, column in columns.items()
        if name in ("shared", "rest", "gap", "endings")
    }
    assert set(lengths.values()) == {len(tests)}, lengths
    return tests
