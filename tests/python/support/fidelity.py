"""Compare whole command lines: plain ``pytest`` against ``rpytest``, cold and warm, on the same
files.

A `Case` is a project and the commands that are run in it, one after the other. What must be equal
after each of them is a `View`: exit status, outcomes, the header, the results that are shown, and
every line from the first closing section to the end.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

import pytest

from support.harness import Project, Result, comparable, dedented

VERSION = tuple(int(part) for part in pytest.__version__.split(".")[:2])
"""pytest's, as (major, minor)."""

Step = str | Mapping[str, str | None]
"""A command's arguments, or files to write (None: to delete) before the next command.

Arguments that begin with `= ` are those of a command of which all output is pytest's own."""

_COLOR = r"(?:\x1b\[[0-9;]*m)*"
_TITLE = re.compile(rf"^{_COLOR}= {_COLOR}(?!test session starts).* {_COLOR}={_COLOR}$")
_COUNTS = re.compile(
    rf"^{_COLOR}(?:= )?(?:{_COLOR}\d+ [a-z]+{_COLOR}(?:, )?{_COLOR}|no tests ran|no tests collected)+.* in TIME"  # noqa: E501
)
_RESULT = re.compile(
    r"^(?P<worker>\[worker \d+\] )?(?P<result>\S.*? [A-Z]+(?:\[.*?\])?(?: \(.*)?)$"
)
_PERCENT = re.compile(r" +\[ *\d+(%|/\d+)\]$| +([\d.]+(ms|us|m)|TIME)$")
_LETTERS = re.compile(r"^(?P<file>[^ :]\S* )?(?P<letters>[.FEsxXu,]+)$")
_LETTER = {
    "PASSED": ".",
    "FAILED": "F",
    "ERROR": "E",
    "SKIPPED": "s",
    "XFAIL": "x",
    "XPASS": "X",
    "SUBPASSED": "u",
    "SUBFAILED": "u",
}

# Sets are shown in one order.
SAME_SETS = {"PYTHONHASHSEED": "0"}

_NORMALISE = (
    # Under `-v`, above each failure.
    (re.compile(r"^\[worker \d+\] \w+ -- Python \d.*\n", re.M), ""),
    # Times and what is padded to make room for them.
    (re.compile(r"\b\d+\.\d+s( \(\d+:\d\d:\d\d\))?"), "TIME"),
    (re.compile(r"([=_!*-])\1{2,}"), r"\1"),
    # What rpytest adds where a failed test uses what all workers share:
    # `tests/python/session_fixtures/test_suspects.py`.
    (re.compile(r"^= shared session fixtures =\n(?:(?!= ).*\n)*", re.M), ""),
    (re.compile(r"\b0x[0-9a-f]+"), "0xADDRESS"),
    # The junit file's.
    (re.compile(r' time="[0-9.]+"'), ""),
    (re.compile(r' timestamp="[^"]+"'), ""),
    (re.compile(r"\bat \d+\b"), "at NUMBER"),
    # The outermost frames of a traceback that ends pytest.
    (re.compile(r'^  File ".*/bin/pytest", .*\n(    .*\n)+', re.M), ""),
    (
        re.compile(
            r'^  File ".*/_pytest/config/__init__\.py", line \d+, in (console_main|main)\n(    .*\n)+',  # noqa: E501
            re.M,
        ),
        "",
    ),
    (re.compile(r'^  File ".*/rpytest/(\w+/)*\w+\.py", .*\n(    .*\n)+', re.M), ""),
    # The interpreter, by whichever of its names; base temp directories, one for each worker.
    (re.compile(r"/python[0-9.]*$", re.M), "/python"),
    (re.compile(r"pytest-of-(\w+)/pytest-\d+"), r"pytest-of-\1/pytest-N"),
    (re.compile(r"/popen-gw\d+(-\d+)?"), ""),
    (re.compile(r"<CaptureManager .*$", re.M), "<CaptureManager>"),
    (re.compile(r"junit-\d+\.xml"), "junit.xml"),
    (re.compile(r"\brpytest\b"), "pytest"),
    # An installed pytest-xdist: `-p no:xdist` leaves its name in the list.
    (re.compile(r"^plugins: xdist-[^,\n]*\n", re.M), ""),
    # How old stepwise's cache is.
    (re.compile(r"\(cache from \d+:\d\d:\d\d ago"), "(cache from TIME ago"),
    # Ours: two fixtures more, and how many workers there are.
    (re.compile(r"^- fixtures defined from pytest.xdist_compat.xdist_fixtures -\n+", re.M), ""),
    (re.compile(r"\n*^(worker_id|testrun_uid) \[session scope\].*\n(    .*\n)+", re.M), ""),
    (re.compile(r"^@pytest.mark.(?:xdist_group|serial).*\n+", re.M), ""),
    (re.compile(r"(available fixtures: .*), testrun_uid"), r"\1"),
    (re.compile(r"(available fixtures: .*), worker_id"), r"\1"),
    (re.compile(r"^(scheduling tests|start method|collection): .*\n", re.M), ""),
    (re.compile(r"^(created: \d+/\d+ workers?\n)?\d+ workers? \[\d+ items?\]\n", re.M), ""),
    (re.compile(r"^bringing up nodes\.\.\.\n", re.M), ""),
)


@dataclass(frozen=True)
class Case:
    """Commands in a little project, which must do the same under both runners."""

    options: str
    """What it is a test of: options or ini settings, separated by blanks."""
    files: Mapping[str, str]
    steps: Sequence[Step]
    n: int = 2
    junit: bool = True
    """Compare outcomes, too; off where the last lines are to be seen without a junit file's."""
    body: bool = True
    """Compare the results that are shown as far as they can be; off where a test writes in between.
    """
    env: Mapping[str, str | None] = field(default_factory=dict)
    since: tuple[int, int] = (0, 0)
    """pytest's version that has the option."""
    result_files: Sequence[str] = ()
    """Files that the commands write and that must be equal, normalised."""
    cwd: str = "."
    between: Callable[[Project, Path], None] | None = None
    """Called after each command of rpytest."""

    def __str__(self) -> str:
        commands = [step for step in self.steps if isinstance(step, str)]
        return f"{self.options.split()[0]}: {' ; '.join(commands)}"[:90]


@dataclass(frozen=True)
class View:
    """What can be compared of one command."""

    status: int
    outcomes: dict[str, tuple[str, ...]]
    header: str
    results: tuple[str, ...]
    closing: str
    stderr: str
    files: dict[str, str]

    def text(self) -> str:
        """One line for each fact, for a readable difference."""
        outcomes = [f"{id}: {' '.join(parts)}" for id, parts in sorted(self.outcomes.items())]
        files = [f"---- {name}\n{text}" for name, text in self.files.items()]
        parts = [
            f"exit status {self.status}",
            *outcomes,
            "---- header",
            self.header,
            "---- results",
            *self.results,
            "---- closing",
            self.closing,
            "---- standard error",
            self.stderr,
            *files,
        ]
        return "\n".join(parts)


def check(project: Project, folder: Path, case: Case) -> None:
    """Run the case by pytest, by rpytest cold and by rpytest warm; fail on any difference."""
    if case.since > VERSION:
        pytest.skip(f"needs pytest {'.'.join(map(str, case.since))}")
    expected = list(_run(project, folder, case, "pytest"))
    for temperature in ("cold", "warm"):
        actual = _run(project, folder, case, "rpytest")
        for (result, view), (reference, wanted) in zip(actual, expected, strict=True):
            if view != wanted:
                lines = unified_diff(
                    wanted.text().splitlines(),
                    view.text().splitlines(),
                    "pytest",
                    f"rpytest {temperature}",
                    lineterm="",
                )
                pytest.fail("\n".join([*lines, "", str(result), str(reference)]), pytrace=False)


def _run(project: Project, folder: Path, case: Case, program: str) -> Iterator[tuple[Result, View]]:
    _reset(project, folder, case.files)
    for step in case.steps:
        if not isinstance(step, str):
            project.fill(folder, {name: text for name, text in step.items() if text is not None})
            for name in (name for name, text in step.items() if text is None):
                (folder / name).unlink()
            continue
        exact = step.startswith("= ")
        args = _split(step.removeprefix("= "))
        cwd = folder / case.cwd
        env = {**SAME_SETS, **case.env}
        if program == "rpytest":
            result = project.rpytest("-n", str(case.n), *args, junit=case.junit, env=env, cwd=cwd)
            if case.between is not None:
                case.between(project, folder)
        else:
            result = project.pytest(*args, junit=case.junit, env=env, cwd=cwd)
        yield result, _view(folder, case, result, program, exact)


def _split(arguments: str) -> list[str]:
    """By blanks; `␠` stands for one inside of an argument, and `∅` for nothing."""
    return [part.replace("␠", " ").replace("∅", "") for part in arguments.split()]


def _reset(project: Project, folder: Path, files: Mapping[str, str]) -> None:
    """Back to the files as they were, without touching what is right: a warm session stays warm."""
    for path in sorted(folder.rglob("*"), reverse=True):
        name = str(path.relative_to(folder))
        if path.is_dir() and not path.is_symlink():
            if (
                not any(file.startswith(f"{name}/") for file in files)
                and path.name != "__pycache__"
            ):
                shutil.rmtree(path)
        elif name not in files and path.suffix != ".pyc":
            path.unlink()
    changed = {name: text for name, text in files.items() if _text(folder / name) != dedented(text)}
    project.fill(folder, changed)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _view(folder: Path, case: Case, result: Result, program: str, exact: bool) -> View:
    stdout = normalise(result.stdout)
    header, results, closing = split_output(stdout, ours=program == "rpytest")
    if exact:
        header, results, closing = stdout, [], ""
    elif not case.body:
        results = []
    return View(
        status=result.status,
        outcomes=comparable(result),
        header=header,
        results=tuple(results),
        closing=closing,
        stderr=normalise(result.stderr),
        files={name: normalise(_text(folder / name)) for name in case.result_files},
    )


def normalise(text: str) -> str:
    """Without what differs from run to run."""
    for pattern, replacement in _NORMALISE:
        text = pattern.sub(replacement, text)
    text = "\n".join(line.rstrip() for line in text.splitlines())
    return _sorted_durations(re.sub(r"\n{3,}", "\n\n", text))


def _sorted_durations(text: str) -> str:
    """The slowest tests are others in each run of a little project."""
    lines = text.split("\n")
    found = [at for at, line in enumerate(lines) if re.match(r"TIME (setup|call|teardown) ", line)]
    for at, line in zip(found, sorted(lines[at] for at in found), strict=True):
        lines[at] = line
    return "\n".join(lines)


def split_output(text: str, ours: bool) -> tuple[str, list[str], str]:
    """Header, results as far as they are comparable, and everything from the first closing section
    on.
    """
    lines = text.split("\n")
    header = []
    if lines and "test session starts" in lines[0]:
        # Letters may follow the header at once.
        end = next(
            (
                at
                for at, line in enumerate(lines)
                if not line or _LETTERS.match(_PERCENT.sub("", line))
            ),
            len(lines),
        )
        header, lines = lines[:end], lines[end:]
    end = next(
        (at for at, line in enumerate(lines) if _TITLE.match(line) or _COUNTS.match(line)),
        len(lines),
    )
    body, closing = lines[:end], lines[end:]
    return "\n".join(header), _results(body, ours), "\n".join(closing).strip()


def _results(body: list[str], ours: bool) -> list[str]:
    """Each result as `node id OUTCOME` or, where one of the runners shows letters, as
    `file letter`; sorted, without percentages and workers.
    """
    found = []
    for text in body:
        line = _PERCENT.sub("", text)
        if match := _LETTERS.match(line):
            found += [f"{match['file'] or ''}{letter}" for letter in match["letters"]]
        elif match := _RESULT.match(line):
            # pytest cuts reasons to make room for percentages.
            id, word = re.sub(r" \(.*", "", match["result"]).rsplit(" ", 1)
            if ours and not match["worker"]:
                found.append(f"{id.partition('::')[0]} {_LETTER.get(word.partition('[')[0], word)}")
            else:
                found.append(f"{id} {word}")
    return sorted(found)
