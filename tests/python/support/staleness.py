"""Compare a warm ``rpytest`` with a cold ``pytest`` after every change of a little project.

A `Scenario` is a project and what happens to it. After each step the same command is run by
rpytest, twice, and by plain pytest, which starts from nothing and sees the same files and byte
code. All three must agree in everything that `fidelity` can compare.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

import pytest

from support import fidelity
from support.daemons import runs, status
from support.harness import Project, Result
from support.running import Running

# `-p no:xdist` leaves its name in the header.
_XDIST = re.compile(r", xdist-[\d.]+(?=,|$)|xdist-[\d.]+, ", re.M)

# File systems take the time of the last tick of the kernel's clock, which is behind by up to this.
_TICK_SECONDS = 0.02

Files = Mapping[str, str | None]
"""Path → text; None deletes."""


class Scene:
    """A project while things happen to it: what a step may change."""

    def __init__(self, project: Project, folder: Path, scenario: Scenario) -> None:
        self.project = project
        self.folder = folder
        """The project's folder."""
        self.cwd = folder
        """Where the commands are started."""
        self.env: dict[str, str | None] = dict(scenario.env)
        self.args = scenario.args
        self.prefix: tuple[str, ...] = ()
        """A command that starts the others: ``("sh", "-c", 'umask 077; exec "$@"', "sh")``."""
        self.pytest = "pytest"
        """The reference's program."""
        self.changed = time.time()
        """When something was changed last."""

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def write(self, files: Files) -> None:
        for name, text in files.items():
            path = self.folder / name
            if text is not None:
                self.project.fill(self.folder, {name: text})
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        self.changed = time.time()

    def apply(self, step: Step) -> None:
        """Let a step happen now."""
        if callable(step):
            step(self)
        else:
            self.write(step)
        self.changed = time.time()

    def settle(self) -> None:
        """Wait for another second than that of the last change.

        Python knows byte code by its source's size and *second*: an edit that keeps the size in the
        second of the edit before makes no difference to it, and byte code of that second may be
        either's.
        """
        wait_for_next_second(self.changed)


def wait_for_next_second(since: float) -> None:
    """Until what is written has another modification second than what was written at `since`."""
    while (left := int(since) + 1 + _TICK_SECONDS - time.time()) > 0:
        time.sleep(left)


Step = Files | Callable[[Scene], None]


@dataclass(frozen=True)
class Same:
    """A step that changes nothing for pytest, and after which the session must be used again. It
    comes in a second of its own, as a plain one does.
    """

    step: Step


@dataclass(frozen=True)
class Perhaps:
    """A step of which pytest itself decides whether it makes a difference; it must be the same one.
    It comes at once: in the second of the step before, if the machine is fast.
    """

    step: Step


@dataclass(frozen=True)
class Select:
    """Another command on the unchanged project, between two steps."""

    args: str


@dataclass(frozen=True)
class Scenario:
    """What happens to a project. A plain step must make a difference to pytest's own output: a
    scenario without effect tests nothing.

    Plain steps wait for another second than that of the step before, without which pytest itself
    might not notice them.
    """

    name: str
    files: Mapping[str, str]
    steps: Sequence[Step | Same | Perhaps | Select]
    args: str = ""
    env: Mapping[str, str | None] = field(default_factory=dict)
    since: tuple[int, int] = (0, 0)
    """pytest's version that has what it is about."""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


@dataclass(frozen=True)
class Seen:
    """What is compared of one command."""

    status: int
    header: str
    results: tuple[str, ...]
    closing: str
    stderr: str

    def text(self) -> list[str]:
        """One line for each fact."""
        parts = [
            f"exit status {self.status}",
            self.header,
            *self.results,
            self.closing,
            self.stderr,
        ]
        return "\n".join(parts).splitlines()


def check(project: Project, folder: Path, scenario: Scenario, scene: Scene | None = None) -> None:
    """Run the scenario; fail at the first difference."""
    if scenario.since > fidelity.VERSION:
        pytest.skip(f"needs pytest {'.'.join(map(str, scenario.since))}")
    scene = scene or Scene(project, folder, scenario)
    scene.write(scenario.files)
    before = agree(scene, "at the beginning")
    for number, step in enumerate(scenario.steps, 1):
        where = f"after step {number} of {len(scenario.steps)}"
        if isinstance(step, Select):
            agree(scene, where, step.args)
            continue
        change = step.step if isinstance(step, Same | Perhaps) else step
        served = runs(project, scene.cwd) if isinstance(step, Same) else []
        if not isinstance(step, Perhaps):
            scene.settle()
        scene.apply(change)
        now = agree(scene, where)
        if isinstance(step, Same):
            after = runs(project, scene.cwd)
            assert sum(after) == sum(served) + 2, (
                f"{where}: not used again ({served} → {after})\n{status(project)}"
            )
            assert now == before, f"{where}: it makes a difference"
        elif not isinstance(step, Perhaps):
            assert now != before, f"{where}: it makes no difference\n" + "\n".join(now.text())
        before = now


def agree(scene: Scene, where: str, args: str | None = None) -> Seen:
    """Run the command by rpytest, by rpytest with what is warm now, and by pytest; they must
    agree.
    """
    words = ["-rA", *(scene.args if args is None else args).split()]
    cache = scene.folder / ".pytest_cache"
    kept = scene.project.scratch / "pytest_cache"
    reads_cache = any(word in ("--lf", "--ff", "--nf", "--sw") for word in words)
    seen: list[tuple[str, Result, Seen]] = []
    if reads_cache:
        _copy(cache, kept)
    started: list[tuple[str, tuple[str, ...], Running]] = []
    for who in ("rpytest", "rpytest again", "pytest"):
        if reads_cache:
            # Each run rewrites what the next one would be selected by.
            _copy(kept, cache)
        started.append((who, *_start(scene, who, words)))
        if who == "rpytest" or reads_cache:
            # The other two only look at what is there: they may run at the same time.
            started[-1][2].wait()
    for who, command, running in started:
        result = Result(command, running.wait(), running.stdout, running.stderr)
        seen.append((who, result, look(result, ours=who != "pytest")))
    *ours, (_, reference, wanted) = seen
    for who, result, view in ours:
        must_be(wanted, view, f"{who} differs {where}", result, reference, scene.project)
    return wanted


def _copy(folder: Path, place: Path) -> None:
    """Make `place` what `folder` is; nothing, if that does not exist yet."""
    shutil.rmtree(place, ignore_errors=True)
    if folder.exists():
        shutil.copytree(folder, place)


def look(result: Result, ours: bool) -> Seen:
    """What is compared of a command that has ended; `ours`: it was rpytest."""
    stdout = _XDIST.sub("", fidelity.normalise(result.stdout))
    header, results, closing = fidelity.split_output(stdout, ours)
    return Seen(result.status, header, tuple(results), closing, fidelity.normalise(result.stderr))


def must_be(
    wanted: Seen, view: Seen, what: str, result: Result, reference: Result, project: Project
) -> None:
    """Fail, and show both, if rpytest's view is not pytest's."""
    if view != wanted:
        lines = unified_diff(wanted.text(), view.text(), "pytest", "rpytest", lineterm="")
        pytest.fail(
            "\n".join([what, *lines, "", str(result), str(reference), status(project)]),
            pytrace=False,
        )


def _start(scene: Scene, who: str, words: list[str]) -> tuple[tuple[str, ...], Running]:
    program, *args = [scene.pytest, "-p", "no:xdist"] if who == "pytest" else ["rpytest", "-n2"]
    command = (program, *args, *words)
    if scene.prefix:
        command = (*scene.prefix, str(scene.project.bin / program), *command[1:])
    found = command[0] if not scene.prefix else shutil.which(command[0]) or command[0]
    return command, scene.project.spawn(*command[1:], program=found, env=scene.env, cwd=scene.cwd)


# Steps


def edit(name: str, old: str, new: str) -> Callable[[Scene], None]:
    """Replace a piece of a file's text."""

    def change(scene: Scene) -> None:
        text = (scene / name).read_text()
        assert old in text
        (scene / name).write_text(text.replace(old, new))

    return change


def rename(old: str, new: str) -> Callable[[Scene], None]:
    """Rename a file or a folder of the project."""

    def change(scene: Scene) -> None:
        (scene / old).rename(scene / new)

    return change


def link(name: str, target: str) -> Callable[[Scene], None]:
    """Make `name` a symbolic link to `target`, in the place of what was there."""

    def change(scene: Scene) -> None:
        (scene / name).unlink(missing_ok=True)
        (scene / name).symlink_to(target)

    return change


def setenv(**variables: str | None) -> Callable[[Scene], None]:
    """Run the following commands with other environment variables."""
    return lambda scene: scene.env.update(variables)


def keep_time(step: Step) -> Callable[[Scene], None]:
    """The same, but every file has the modification time that it had before."""

    def change(scene: Scene) -> None:
        times = {
            path: path.stat()
            for path in scene.folder.rglob("*.*")
            if path.is_file() and path.suffix != ".pyc"
        }
        scene.apply(step)
        for path, found in times.items():
            if path.exists():
                os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    return change


def chain(*steps: Step) -> Callable[[Scene], None]:
    """Several steps without a run in between."""

    def change(scene: Scene) -> None:
        for step in steps:
            scene.apply(step)

    return change
