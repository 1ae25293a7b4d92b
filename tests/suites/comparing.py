"""Runs the commands of `real_suites.py`, and judges an outcome that differs from pytest's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

sys.path[1:1] = [str(Path(__file__).resolve().parent.parent / "python")]

from support import junit_files as junit  # noqa: E402

PATIENCE_SECONDS = 900
"""After this a command hangs."""

_STRIP = ("PYTEST_", "RPYTEST_", "PYTHON", "COV_")
_FAST = re.compile(r"^collection: kept", re.M)
_SLOW = re.compile(r"^collection: afresh", re.M)


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    status: int
    outcomes: Counter[tuple[str, str]]
    """How often each (test, outcome) is in the junit file."""
    seconds: float
    text: str

    def of(self, id: str) -> list[str]:
        """The outcomes of one test."""
        return sorted(
            outcome
            for (test, outcome), count in self.outcomes.items()
            if test == id
            for _ in range(count)
        )


@dataclass
class Place:
    """A suite that can be run: its sources, its environment, a daemon of its own."""

    root: Path
    bin: Path
    scratch: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="rps-", dir="/tmp")))

    def run(self, program: str, *args: str) -> Ran:
        """One command; the watchdog ends it, with status 124."""
        file = self.scratch / "junit.xml"
        file.unlink(missing_ok=True)
        command = [str(self.bin / program), *args]
        if not args or not args[0].startswith("--daemon"):
            command += ["-p", "no:cacheprovider", f"--junitxml={file}", "-o", "junit_family=xunit2"]
        began = time.monotonic()
        # Not a pipe: a process that is left would hold it open.
        with tempfile.TemporaryFile(dir=self.scratch) as output:
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env=self._env(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                status = process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                status = 124
            seconds = time.monotonic() - began
            output.seek(0)
            text = output.read().decode(errors="replace")
        return Ran(status, _outcomes(file), seconds, text)

    def close(self) -> None:
        """Stop its daemon."""
        if (self.bin / "rpytest").exists():
            self.run("rpytest", "--daemon-stop")
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _env(self) -> dict[str, str]:
        keep = {name: value for name, value in os.environ.items() if not name.startswith(_STRIP)}
        return {
            **keep,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "PYTHONHASHSEED": "0",
            "RPYTEST_RUNTIME_DIR": str(self.scratch / "run"),
            "RPYTEST_CACHE_DIR": str(self.scratch / "cache"),
        }


def _outcomes(file: Path) -> Counter[tuple[str, str]]:
    if not file.exists():
        return Counter()
    try:
        return Counter((case.id, case.outcome) for case in junit.read(file))
    except ElementTree.ParseError as error:
        return Counter({("<junit file>", f"not XML: {error}"): 1})


class Reference:
    """What pytest says of some arguments, alone and under pytest-xdist: more often when somebody
    says something else.
    """

    def __init__(self, place: Place, args: Sequence[str], again: int) -> None:
        self._place = place
        self._args = args
        self._left = again
        self.runs = [self._alone()]

    @property
    def first(self) -> Ran:
        return self.runs[0]

    def differences(self, ran: Ran, workers: int) -> tuple[list[str], list[str]]:
        """What `ran` says otherwise, and what pytest or pytest-xdist says this way and that,
        too.
        """
        differing = self._differing(ran)
        while differing and self._left:
            self._left -= 1
            self.runs += [self._alone(), self._place.run("pytest", "-n", str(workers), *self._args)]
            if not [id for id in differing if not self._is_unstable(id, ran)]:
                break
        wrong = [id for id in differing if not self._is_unstable(id, ran)]
        unstable = [id for id in differing if id not in wrong]
        if not differing and ran.status not in {run.status for run in self.runs}:
            wrong.append(f"exit status {ran.status}, pytest {self.first.status}")
        described = [
            f"{id}: {ran.of(id) or 'missing'}, pytest {self.first.of(id) or 'none'}" for id in wrong
        ]
        return described if differing else wrong, unstable

    def _alone(self) -> Ran:
        return self._place.run("pytest", "-p", "no:xdist", *self._args)

    def _differing(self, ran: Ran) -> list[str]:
        either = (ran.outcomes - self.first.outcomes) + (self.first.outcomes - ran.outcomes)
        return sorted({id for id, _ in either})

    def _is_unstable(self, id: str, ran: Ran) -> bool:
        said = {tuple(run.of(id)) for run in self.runs}
        if len(said) > 1 or tuple(ran.of(id)) in said:
            return True
        # Its name holds a time, a path: pytest has others of its function in each run.
        name = id.partition("[")[0]
        of_function = {
            frozenset(id for id, _ in run.outcomes if id.partition("[")[0] == name)
            for run in self.runs
        }
        return "[" in id and not self.first.of(id) and bool(ran.of(id)) and len(of_function) > 1


def way(text: str) -> str:
    """Which way a run went, as ``-v`` or ``--daemon-status`` says it: ``fast``, ``slow`` or
    ``?``.
    """
    lines = [line for line in text.splitlines() if "::" not in line]
    if any(_SLOW.search(line) for line in lines):
        return "slow"
    return "fast" if any(_FAST.search(line) for line in lines) else "?"


def reason(text: str) -> str:
    """The line that says why, if there is one."""
    return next(
        (line.strip() for line in text.splitlines() if _SLOW.search(line) and "::" not in line), ""
    )
