"""One project, run by rpytest and by pytest again and again: what pytest says of unchanged files is
asked once.
"""

from __future__ import annotations

from pathlib import Path

from support.harness import Project, Result
from support.running import Running
from support.staleness import Seen, look, must_be


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
        self.project.fill(
            self.folder,
            {name: text for name, text in files.items() if self._files.get(name) != text},
        )
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
