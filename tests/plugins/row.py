"""What a row of the matrix is: a plugin, a project that uses it, and what its use must leave
behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from support.harness import Result

PROJECTS = Path(__file__).resolve().parent / "projects"


@dataclass(frozen=True)
class Run:
    """One command that has ended, in a copy of the row's project."""

    kind: str
    """``pytest``, or ``rpytest -n 2``; the second run in the same folder is ``… again``."""
    workers: int
    """0: pytest itself."""
    folder: Path
    result: Result
    product: dict[str, object] = field(default_factory=dict)
    """What `Row.product` found right after the run."""

    @property
    def stdout(self) -> str:
        """Standard output, without colours and with lines that end as in a file."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.result.stdout).replace("\r\n", "\n")

    def read(self, path: str) -> str:
        """The text of a file of the project; empty when there is none."""
        file = self.folder / path
        return file.read_text() if file.exists() else ""

    def files(self, pattern: str) -> dict[str, str]:
        """Text by path of the project's files that match."""
        return {
            str(path.relative_to(self.folder)): path.read_text()
            for path in sorted(self.folder.glob(pattern))
        }


class Row:
    """A plugin. Outcomes and exit status are compared for every row; `product` is what else must be
    the same.
    """

    plugin: ClassVar[str]
    """Name of the distribution."""
    name: ClassVar[str] = ""
    """Of the row, where a plugin has several; by default `plugin`."""
    folder: ClassVar[str] = ""
    """Of the project, below `projects`; by default `plugin` without ``pytest-``."""
    packages: ClassVar[tuple[str, ...]] = ()
    """What else the project needs."""
    args: ClassVar[tuple[str, ...]] = ()
    """Arguments of both commands."""
    rpytest_args: ClassVar[tuple[str, ...]] = ()
    workers: ClassVar[tuple[int, ...]] = (2, 4)
    reference: ClassVar[str] = "pytest"
    """``pytest``, or ``xdist`` where a plugin behaves differently in workers: then pytest-xdist
    with 2 workers.
    """
    compared: ClassVar[str] = ""
    """What is compared beside outcomes and exit status, for the table."""
    tty: ClassVar[bool] = False
    """Run in a terminal: the plugin does nothing without one."""
    otherwise: ClassVar[dict[str, str]] = {}
    """Outcomes that are meant to be others than the reference's, by test."""
    known: ClassVar[str] = ""
    """What differs, and why, when the row is red."""

    @property
    def title(self) -> str:
        """The row's name."""
        return self.name or self.plugin

    @property
    def project(self) -> Path:
        """The project's folder."""
        return PROJECTS / (self.folder or self.plugin.removeprefix("pytest-"))

    def product(self, run: Run) -> dict[str, object]:
        """What the plugin made, without what may differ (times, order); compared with the
        reference's.
        """
        del run
        return {}

    def check(self, run: Run) -> Iterator[str]:
        """What is wrong with this run of rpytest, beyond comparisons."""
        del run
        return iter(())

    def prepare(self, folder: Path) -> None:
        """Change a fresh copy of the project before its first run."""
