"""Cases of session fixtures: a little project, what is to be shared, and how that is found out.

Fixtures of a case write a line for what they do (``up db``, ``down db``) into one file of the run.
So it is seen which set-ups there were, in which order, and that the finalizers came after the last
test; whichever process it was.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from support import junit_files as junit
from support.harness import Project, Result, comparable

NOTES = '''
"""Writes down what happens. Imported once by each process that collects."""
import os

def note(text):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{text}\\n")

# Not by a file that is opened: what was read while tests were collected and has changed since makes a session unfit for another run.
os.symlink("nothing", f"{os.environ['NOTES']}-imported-by-{os.getpid()}")
'''  # noqa: E501

STANDALONE = '''
"""For plain pytest: what pytest-xdist and rpytest have."""
import pytest

@pytest.fixture(scope="session")
def worker_id():
    return "master"

@pytest.fixture(scope="session")
def testrun_uid():
    return "master"

def pytest_configure(config):
    config.addinivalue_line("markers", "serial: runs alone")
    config.addinivalue_line("markers", "xdist_group(name): runs in one worker")
'''

SHARED = "shared session fixtures: "
OWN = "session fixture of each worker: "

#: Every case with every number of workers: takes three times as long.
WHOLE = "RPYTEST_WHOLE_GRID" in os.environ

#: How reasons begin that are found by looking, when it was set up once in vain.
FOUND = ("its set-up ", "asks which worker ")


@dataclass(frozen=True)
class Run:
    """One run of a case."""

    n: int
    warm: bool
    learning: bool
    """No earlier run can have told which set-ups can't be shared."""
    result: Result
    notes: tuple[str, ...]
    serial: Result
    """What plain pytest said."""
    followed: int
    """Workers that a fresh one has followed, since what was left lay behind what they had run: on a
    busy machine that happens.
    """


@dataclass(frozen=True)
class Case:
    """A project and what is expected of it; everything else must be as in plain pytest."""

    id: str
    files: Mapping[str, str]
    shared: tuple[str, ...] = ()
    """Names in the order of their set-ups, as ``-v`` lists them."""
    own: Mapping[str, str | None] = field(default_factory=dict)
    """Session fixtures of each worker and the reason that ``-v`` gives; None: not known before it
    runs, not listed.
    """
    times: int | None = 1
    """How often those are set up in one process; None: as often as it goes on with another
    parameter.
    """
    notes: tuple[str, ...] = ()
    """What plain pytest writes; the lines of shared fixtures must be the same in every run."""
    args: tuple[str, ...] = ()
    more_args: tuple[str, ...] = ()
    """Which plain pytest does not have."""
    as_serial: bool = True
    """Outcomes, counts and exit status are plain pytest's; if not, `check` says what they are."""
    check: Callable[[Run], None] | None = None
    """Looks at every run of rpytest."""


def parametrized(fixtures: str, body: str = "pass", count: int = 16) -> str:
    """A module of `count` tests that request the fixtures."""
    return (
        f"import pytest\n\n@pytest.mark.parametrize('i', range({count}))\n"
        f"def test_one(i, {fixtures}):\n    {body}\n"
    )


def announced(result: Result) -> tuple[tuple[str, ...], dict[str, str]]:
    """The shared fixtures that ``-v`` listed, and the others with their reasons."""
    shared: tuple[str, ...] = ()
    own: dict[str, str] = {}
    for line in result.lines:
        if line.startswith(SHARED):
            assert not shared, f"two lines of shared fixtures\n{result}"
            shared = tuple(line.removeprefix(SHARED).split(", "))
        elif line.startswith(OWN):
            found = re.fullmatch(r"(\S+) \((.*)\)", line.removeprefix(OWN))
            assert found, f"{line!r} is not understood\n{result}"
            assert found[1] not in own, f"{found[1]} is listed twice\n{result}"
            own[found[1]] = found[2]
    return shared, own


class Ground:
    """A folder for a case, in which it is run by both programs."""

    def __init__(self, project: Project, folder: Path, files: Mapping[str, str]) -> None:
        self.project = project
        self.folder = folder
        self.file = project.scratch / f"notes-{folder.name}"
        self.plan = project.scratch / f"{folder.name}-plan.json"
        self.env = {"NOTES": str(self.file)}
        project.fill(folder, {"notes.py": NOTES, "standalone.py": STANDALONE, **files})

    def pytest(self, *args: str) -> tuple[Result, tuple[str, ...]]:
        """Plain pytest; its result and notes."""
        self.forget()
        env = {**self.env, "PYTHONPATH": str(self.folder)}
        result = self.project.pytest("-p", "standalone", *args, env=env, cwd=self.folder)
        return result, self.noted()

    def rpytest(
        self, *args: str, env: Mapping[str, str] | None = None
    ) -> tuple[Result, tuple[str, ...]]:
        """rpytest with ``-v``; its result and notes. Each time the same junit file: with another
        one it might not be warm.
        """
        self.forget()
        file = self.project.scratch / f"{self.folder.name}.xml"
        file.unlink(missing_ok=True)
        args = ("-v", *args, f"--junitxml={file}")
        result = self.project.rpytest(
            *args, junit=False, env={**self.env, **(env or {})}, cwd=self.folder
        )
        return replace(result, cases=junit.read(file) if file.exists() else None), self.noted()

    def noted(self) -> tuple[str, ...]:
        """What was written down since the last run began."""
        return tuple(self.file.read_text().splitlines()) if self.file.exists() else ()

    def followed(self) -> int:
        """How many workers a fresh one has followed in the last run, which has recorded its
        plan.
        """
        if not self.plan.exists():
            return 0
        slots = json.loads(self.plan.read_text()).get("slots", [])
        self.plan.unlink()
        return len(slots) - len(set(slots))

    def imports(self) -> int:
        """How many processes have imported the project in the last run."""
        return len(self._marks())

    def _marks(self) -> list[Path]:
        return list(self.file.parent.glob(f"{self.file.name}-imported-by-*"))

    def forget(self) -> None:
        """Remove what the last run has written."""
        for file in (self.file, *self._marks()):
            file.unlink(missing_ok=True)


def hold(case: Case, ground: Ground) -> None:
    """Run the case with 4 and with 1 or 16 workers, each cold and then warm, and see that
    everything holds each time.

    With ``$RPYTEST_WHOLE_GRID`` with 4, 1 and 16, and all of that twice.
    """
    serial, notes = ground.pytest(*case.args)
    assert notes == case.notes, f"plain pytest wrote {notes}\n{serial}"
    says_so = any("import note" in text for text in case.files.values())
    learning = True
    counts = (4, 1, 16) * 2 if WHOLE else (4, (1, 16)[zlib.crc32(case.id.encode()) % 2])
    for turn, n in enumerate(counts):
        for warm in (False, True):
            # Another environment is another session: a cold start that leaves the files as they
            # are.
            args = (*case.args, *case.more_args)
            if "--dist" not in args:
                args = (*args, f"--record-plan={ground.plan}")
            result, notes = ground.rpytest(f"-n{n}", *args, env={"COLD": str(turn)})
            run = Run(n, warm, learning, result, notes, serial, ground.followed())
            try:
                if ground.imports() != (0 if warm or not says_so else 1):
                    status = ground.project.rpytest("--daemon-status", junit=False)
                    raise AssertionError(f"imported {ground.imports()} times; {status}")
                check(case, run)
            except AssertionError as error:
                name = f"{'warm' if warm else 'cold'} run with {n}"
                raise AssertionError(
                    f"{name}: {error}\nnotes: {', '.join(ground.noted())}\n{result}"
                ) from error
            learning = False


def check(case: Case, run: Run) -> None:
    """See that a run has shared what it should have, and nothing else, and has ended as plain
    pytest does.
    """
    shared, own = announced(run.result)
    assert shared == case.shared
    assert own == {name: reason for name, reason in case.own.items() if reason is not None}
    learned = run.learning and any((reason or "").startswith(FOUND) for reason in case.own.values())
    mine = tuple(line for line in run.notes if subject(line) in case.shared)
    expected = tuple(line for line in case.notes if subject(line) in case.shared)
    if learned:
        # Others may be set up and finalized again when a fresh host takes the place of the one with
        # the thread.
        assert mine[-len(expected) :] == expected if expected else not mine
        assert set(mine) == set(expected)
    else:
        assert mine == expected
    # An exception may be another one next time: it is tried in every run.
    tried = learned or any(
        (reason or "").startswith("its set-up raised") for reason in case.own.values()
    )
    counted = Counter(" ".join(line.split()[:2]) for line in run.notes)
    for name in case.own:
        if not any(line.startswith(f"up {name}") for line in case.notes):
            continue
        ups, downs = counted[f"up {name}"], counted[f"down {name}"]
        if any(line.startswith(f"down {name}") for line in case.notes):
            assert ups == downs, f"{name} was set up {ups} times, finalized {downs} times"
        most = (
            sum(run.result.counts.values())
            if case.times is None
            else (run.n + run.followed + tried) * case.times
        )
        assert 1 <= ups <= most, f"{name} was set up {ups} times"
        if learned and (case.own[name] or "").startswith(FOUND):
            assert ups > 1, f"nobody has looked at {name}"
    if case.as_serial:
        assert run.result.status == run.serial.status
        assert comparable(run.result) == comparable(run.serial)
        assert run.result.counts == run.serial.counts
    if case.check is not None:
        case.check(run)


def subject(line: str) -> str:
    """The fixture that a note is about."""
    return line.split()[1]
