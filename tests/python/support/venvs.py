"""Virtual environments that tests may change, move and delete: pytest and rpytest are copied into
them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import rpytest
from support.harness import Project

# What pytest needs in one version of it and Python or another.
_DISTRIBUTIONS = (
    "pytest",
    "pluggy",
    "iniconfig",
    "packaging",
    "pygments",
    "exceptiongroup",
    "tomli",
    "typing-extensions",
)


def make(project: Project, path: Path) -> Path:
    """Make a virtual environment with a program `pytest`, but nothing installed; returns its
    site-packages.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
    _, _, code = (project.bin / "pytest").read_text().partition("\n")
    script = path / "bin/pytest"
    script.write_text(f"#!{path}/bin/python\n{code}")
    script.chmod(0o755)
    (site,) = path.glob("lib/python*/site-packages")
    return site


class Environment:
    """A virtual environment with copies of pytest and rpytest."""

    def __init__(self, project: Project, path: Path) -> None:
        self.project = project
        self.path = path
        make(project, path)
        for name in _DISTRIBUTIONS:
            self._copy(name)
        shutil.copytree(Path(rpytest.__file__).parent, self.site / "rpytest", dirs_exist_ok=True)
        shutil.copy(project.bin / "rpytest", path / "bin")

    def remove(self) -> None:
        """Delete it. A process that is at work in it may write byte code meanwhile, and make a
        folder for that.
        """
        while self.path.exists():
            shutil.rmtree(self.path, ignore_errors=True)

    def _copy(self, name: str) -> None:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            # Of another version of Python.
            return
        for file in found.files or ():
            source = Path(str(file.locate()))
            if ".." not in file.parts and "__pycache__" not in file.parts and source.is_file():
                target = self.site.joinpath(*file.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)

    @property
    def site(self) -> Path:
        """Its site-packages."""
        (site,) = self.path.glob("lib/python*/site-packages")
        return site

    def program(self, name: str) -> str:
        """The path of one of its programs."""
        return str(self.path / "bin" / name)

    def run(
        self, *args: str, program: str = "rpytest", cwd: Path | None = None
    ) -> tuple[int, str, str]:
        """Exit status, output and error output."""
        running = self.project.spawn(*args, program=self.program(program), cwd=cwd)
        return running.wait(), running.stdout, running.stderr

    def passes(self, cwd: Path | None = None) -> str:
        """Run the tests, which have to pass; returns the output."""
        status, stdout, stderr = self.run("-n2", cwd=cwd)
        assert (status, stderr) == (0, ""), f"{stdout}\n{stderr}"
        return stdout

    def daemon(self) -> str:
        """What it says of its daemon, in one line."""
        status, stdout, stderr = self.run("--daemon-status")
        assert (status, stderr) == (0, ""), f"{stdout}\n{stderr}"
        return stdout.splitlines()[0]
