"""A project with installed packages of its own, for tests of the preload."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from support import processes
from support.daemons import status
from support.harness import Project, Result


class Site:
    """A project with installed packages of its own."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.folder = project.scratch / "lib" / "site-packages"
        self.folder.mkdir(parents=True)
        project.env["PYTHONPATH"] = str(self.folder)
        self.edits = 0

    def package(self, name: str, text: str) -> Path:
        """Install a module or, with dots, a part of a package."""
        *parents, last = name.split(".")
        folder = self.folder
        for parent in parents:
            folder /= parent
            folder.mkdir(exist_ok=True)
            if (folder.parent / f"{parent}.py").exists():
                (folder.parent / f"{parent}.py").rename(folder / "__init__.py")
            (folder / "__init__.py").touch()
        path = folder / f"{last}.py"
        path.write_text(textwrap.dedent(text))
        return path

    def run(self, *args: str) -> Result:
        """A run, which has to be as pytest's."""
        expected = self.project.pytest("-p", "no:cacheprovider", *args, junit=False)
        actual = self.project.rpytest("-p", "no:cacheprovider", *args, junit=False)
        assert (actual.status, actual.counts) == (expected.status, expected.counts), (
            f"{actual}\n{expected}"
        )
        return actual

    def edit(self, name: str = "conftest.py") -> None:
        """An edit, of a conftest unless there is a name, that changes nothing but the file: its
        session is of no use any more.
        """
        self.edits += 1
        with (self.project.path / name).open("a") as file:
            file.write(f"# {self.edits}\n" + "\n" * self.edits)

    def learn(self, *args: str) -> str:
        """Run once and wait for the preload; returns what the daemon says of it."""
        self.run(*args)
        return self.wait()

    def wait(self) -> str:
        """Wait until no preload is being made."""
        text = ""

        def is_ready() -> bool:
            nonlocal text
            text = status(self.project)
            return "  preload " in text and "being made" not in text

        assert processes.wait_until(is_ready), f"no preload\n{text}\n{self.log()}"
        return text

    def log(self) -> str:
        """The daemon's log."""
        return "".join(path.read_text() for path in self.project.runtime_dir.glob("*.log"))

    def refusals(self) -> list[str]:
        """Why sessions did without the preload."""
        return re.findall(r"a session does without its preload: (.*)", self.log())
