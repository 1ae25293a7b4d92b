"""Modules have effects on others while they are imported: whatever is run after what, rpytest says what a cold pytest says.

The kinds of effects are in `effects.KINDS`. Of each, the whole project is run, then each part of it in turn, alone and in other orders, and the whole
again; then the module with the effect is edited, so that it has the effect as before, no longer, and once more.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from effects import KINDS, MORE, Kind
from harness import Project, Result
from running import Running
from staleness import Seen, look, must_be

HERE = [kind for kind in KINDS if kind.runs_here]


class Pair:
    """A project, and what pytest has said of it as it is now."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project = project
        self.folder = folder
        self._files: dict[str, str] = {}
        self._known: dict[str, tuple[Result, Seen]] = {}
        self._done: list[str] = []

    def write(self, files: dict[str, str], what: str) -> None:
        """The project is now this; only what differs is written."""
        self.project.fill(self.folder, {name: text for name, text in files.items() if self._files.get(name) != text})
        self._files = files
        self._known.clear()
        self._done.append(what)

    def run(self, args: str = "") -> Seen:
        """Run rpytest, and pytest if it has not been asked this; they must agree."""
        reference = None if args in self._known else self._start("pytest", args)
        ours = _ended(self._start("rpytest", args))
        if reference is not None:
            result = _ended(reference)
            self._known[args] = result, look(result, ours=False)
        self._done.append(f"rpytest {args}")
        result, wanted = self._known[args]
        what = f"rpytest and pytest differ; what was done: {'; '.join(self._done)}"
        must_be(wanted, look(ours, ours=True), what, ours, result, self.project)
        return wanted

    def _start(self, program: str, args: str) -> Running:
        options = ["-p", "no:xdist"] if program == "pytest" else ["-n2"]
        return self.project.spawn(*options, "-rA", *args.split(), program=program, cwd=self.folder)


def _ended(running: Running) -> Result:
    return Result(tuple(running.command), running.wait(), running.stdout, running.stderr)


def told(seen: Seen) -> set[str]:
    """What tests have printed, and why modules could not be imported or were skipped."""
    return {line for line in seen.text() if line.startswith(("state:", "E  ", "SKIPPED"))}


@pytest.mark.parametrize("kind", HERE, ids=str)
def test_selections(shared_project: Project, folder: Path, kind: Kind) -> None:
    pair = Pair(shared_project, folder)
    pair.write(kind.project(), "written")
    whole = pair.run()
    # The first one twice: a session that was made for it, if any, serves the second one.
    for args in (*kind.selections, kind.selections[0], ""):
        part = pair.run(args)
        if args == "test_b.py" and not kind.alike:
            assert told(part) - told(whole), "the kind has no effect that can be seen"


@pytest.mark.parametrize("kind", [kind for kind in HERE if kind.edits], ids=str)
def test_edits(shared_project: Project, folder: Path, kind: Kind) -> None:
    pair = Pair(shared_project, folder)
    pair.write(kind.project(), "written")
    before = pair.run()
    pair.write(kind.project(comment="edited"), "a comment added")
    assert pair.run().status == before.status
    pair.write(kind.project(effect=False), "the effect taken away")
    pair.run()
    pair.run(kind.selections[0])
    pair.write(kind.project(comment="back again"), "the effect is back")
    pair.run()
    pair.run("test_a.py")


@pytest.mark.parametrize("kind", HERE[::9], ids=str)
def test_parts_come_first(shared_project: Project, folder: Path, kind: Kind) -> None:
    """Nothing has been collected before a part is."""
    pair = Pair(shared_project, folder)
    pair.write(kind.project(), "written")
    for args in (*MORE, "", *reversed(MORE)):
        pair.run(args)
