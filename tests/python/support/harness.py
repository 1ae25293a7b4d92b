"""Drive the installed ``rpytest`` program on little projects, with plain ``pytest`` as reference.

Tests get a `Project` from the ``project`` fixture of conftest.py; the rest is what it hands out.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import stat
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support import junit_files, processes
from support.running import WATCHDOG_SECONDS, Running

# What the caller's environment must not bring into a test.
_STRIP = {
    "BUILD_NUMBER",
    "CI",
    "COLUMNS",
    "FORCE_COLOR",
    "LINES",
    "NO_COLOR",
    "PY_COLORS",
    "VIRTUAL_ENV",
}
_STRIP_PREFIXES = ("PYTEST_", "RPYTEST_", "PYTHON", "COV_")


@dataclass(frozen=True)
class Result:
    """A command that has ended."""

    command: tuple[str, ...]
    status: int
    """Exit status; negative: the signal that ended it."""
    stdout: str
    stderr: str
    cases: tuple[junit_files.Case, ...] | None = field(default=None, repr=False)
    """From ``--junitxml``; None when it was not asked for or the run wrote none."""

    @property
    def outcomes(self) -> dict[str, str]:
        """Outcome by test id, from the junit file; a run that wrote none has no outcomes."""
        return {case.id: case.outcome for case in self.cases or ()}

    def outcome(self, name: str) -> str:
        """Outcome of the one test whose id ends with `name` (``::test_one``, ``test_one[1-a]``)."""
        return self.case(name).outcome

    def case(self, name: str) -> junit_files.Case:
        """The one test whose id ends with `name`."""
        found = [case for case in self.cases or () if case.id.endswith(name)]
        assert len(found) == 1, f"{len(found)} tests end with {name!r}\n{self}"
        return found[0]

    @property
    def counts(self) -> dict[str, int]:
        """The counts of the final line: ``{"passed": 3, "errors": 1}``; always in the plural."""
        for line in reversed(self.stdout.splitlines()):
            if re.search(r"\bin \d+(\.\d+)?s", line):
                plural = {"error": "errors", "warning": "warnings"}
                return {
                    plural.get(word, word): int(count)
                    for count, word in re.findall(r"(\d+) ([a-z]+)\b", line.partition(" in ")[0])
                }
        raise AssertionError(f"no final line\n{self}")

    @property
    def lines(self) -> list[str]:
        """Standard output by lines, without trailing spaces."""
        return [line.rstrip() for line in self.stdout.splitlines()]

    def __str__(self) -> str:
        return (
            f"$ {' '.join(self.command)}\nexit status {self.status}\n"
            f"---- stdout\n{self.stdout}\n---- stderr\n{self.stderr}\n----"
        )


class Project:
    """A little project in a folder of its own, with a daemon of its own.

    Everything that it starts carries ``RPYTEST_RUNTIME_DIR`` in its environment, which is how
    leftovers are found, whoever their parent is by then.

    `bin` is the folder of the programs, by default that of this Python.
    """

    def __init__(self, path: Path, bin: Path | None = None) -> None:
        self.path = path
        # Not below tmp_path: a socket's path may have 107 bytes, and tests' names are long.
        self.scratch = Path(tempfile.mkdtemp(prefix="rp-", dir=_short_folder()))
        self.runtime_dir = self.scratch / "run"
        self.runtime_dir.mkdir(mode=0o700)
        self.cache_dir = self.scratch / "cache"
        self.bin = bin or Path(sys.executable).parent
        self.env = {
            name: value
            for name, value in os.environ.items()
            if name not in _STRIP and not name.startswith(_STRIP_PREFIXES)
        }
        self.env.update(
            COLUMNS="80",
            PYTEST_DEBUG_TEMPROOT=str(self.scratch),
            RPYTEST_CACHE_DIR=str(self.cache_dir),
            RPYTEST_RUNTIME_DIR=str(self.runtime_dir),
            PATH=f"{self.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        )
        self._started: list[Running] = []
        self._junit_numbers = itertools.count()

    # -- files

    def write(self, files: Mapping[str, str] | None = None, /, **modules: str) -> Path:
        """Write files (path → text) and modules (name → text of ``name.py``), dedented.

        Returns the path of the last one.
        """
        path = self.path
        texts = dict(files or {}) | {f"{name}.py": text for name, text in modules.items()}
        for name, text in texts.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedented(text))
        return path

    def fill(self, folder: Path, files: Mapping[str, str]) -> None:
        """As `write`, into a folder."""
        self.write({str(folder / name): text for name, text in files.items()})

    def put(self, files: Mapping[str, str], /) -> None:
        """As `write`, but each file appears with all of its text, and a new folder with its first
        file: for somebody who looks at the project meanwhile.
        """
        for name, text in files.items():
            path = self.path / name
            new = [folder for folder in path.parents if not folder.exists()]
            target = new[-1] if new else path
            hidden = target.with_name(f".{target.name}.put")
            file = hidden / path.relative_to(target) if new else hidden
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(dedented(text))
            hidden.replace(target)

    # -- commands

    def spawn(
        self,
        *args: str,
        program: str = "rpytest",
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        tty: bool = False,
    ) -> Running:
        """Start a program of this environment and return at once.

        `env` is added to the project's environment (None removes a variable). With `tty` its
        standard streams are a terminal of 80 × 24, which is also its controlling one.
        """
        command = [str(self.bin / program), *args]
        if not Path(command[0]).exists():
            pytest.fail(f"`{command[0]}` is not installed; hint: `scripts/test python`")
        variables: dict[str, str] = dict(self.env)
        for name, value in (env or {}).items():
            if value is None:
                variables.pop(name, None)
            else:
                variables[name] = value
        running = Running(
            command, cwd=cwd or self.path, env=variables, tty=tty, tree=self.processes
        )
        self._started.append(running)
        return running

    def rpytest(
        self,
        *args: str,
        junit: bool = True,
        timeout: float = WATCHDOG_SECONDS,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
    ) -> Result:
        """Run ``rpytest`` to its end. `junit` adds ``--junitxml``, from which `Result.cases` come;
        switch it off where the exact output matters. `timeout` is a guard against hangs."""
        return self._run("rpytest", args, junit=junit, timeout=timeout, env=env, cwd=cwd)

    def pytest(
        self,
        *args: str,
        junit: bool = True,
        timeout: float = WATCHDOG_SECONDS,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
    ) -> Result:
        """Run plain ``pytest`` (xdist off) to its end; see `rpytest`."""
        args = ("-p", "no:xdist", *args)
        return self._run("pytest", args, junit=junit, timeout=timeout, env=env, cwd=cwd)

    def compare(
        self,
        *args: str,
        n: int | str = 2,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
    ) -> Result:
        """Run both with the same arguments, `rpytest` with ``-n``; fail unless every test has the
        same outcome, skip reason and properties, and the exit status is the same.

        Returns rpytest's result.
        """
        expected = self.pytest(*args, env=env, cwd=cwd)
        actual = self.rpytest("-n", str(n), *args, env=env, cwd=cwd)
        differences = []
        if actual.status != expected.status:
            differences.append(f"exit status {actual.status}, pytest {expected.status}")
        if (actual.cases is None) != (expected.cases is None):
            missing = "rpytest" if actual.cases is None else "pytest"
            differences.append(f"{missing} wrote no junit file")
        wanted, seen = comparable(expected), comparable(actual)
        differences += [
            f"{id}: {seen.get(id, 'missing')}, pytest {wanted.get(id, 'missing')}"
            for id in sorted(wanted.keys() | seen.keys())
            if seen.get(id) != wanted.get(id)
        ]
        if differences:
            pytest.fail(
                "\n".join(["rpytest and pytest differ:", *differences, str(actual), str(expected)])
            )
        return actual

    def _run(
        self,
        program: str,
        args: tuple[str, ...],
        *,
        junit: bool,
        timeout: float,
        env: Mapping[str, str | None] | None,
        cwd: Path | None,
    ) -> Result:
        # Outside of the project: a new file there is a change that a warm session may notice.
        file = self.scratch / f"junit-{next(self._junit_numbers)}.xml"
        if junit:
            args = (*args, f"--junitxml={file}")
        running = self.spawn(*args, program=program, env=env, cwd=cwd)
        status = running.wait(timeout)
        cases = junit_files.read(file) if junit and file.exists() else None
        return Result(tuple(running.command), status, running.stdout, running.stderr, cases)

    # -- the end

    def processes(self) -> list[int]:
        """Living processes of this project: programs started here and all that they started."""
        return processes.with_variable("RPYTEST_RUNTIME_DIR", str(self.runtime_dir))

    def leftovers(self) -> list[str]:
        """What of this project is still there and should not be once its daemon has stopped."""
        found = [f"process left: {processes.describe(pid)}" for pid in self.processes()]
        pids = [running.pid for running in self._started]
        found += [f"shared memory left: {path}" for path in processes.segments_of(pids)]
        found += [
            f"socket left: {path}"
            for path in self.runtime_dir.rglob("*")
            if stat.S_ISSOCK(path.lstat().st_mode)
        ]
        return found

    def stop_daemon(self) -> Result:
        """``rpytest --daemon-stop``."""
        return self.rpytest("--daemon-stop", junit=False)

    def close(self) -> None:
        """Stop what runs, and fail the test if anything is left behind."""
        problems = [
            f"still running at the end of the test: {processes.describe(running.pid)}"
            for running in self._started
            if running.is_running()
        ]
        try:
            for running in self._started:
                running.kill()
            if any(Path(running.command[0]).name != "pytest" for running in self._started):
                self.stop_daemon()
            # Ended processes need a moment to go; one that never goes is described below.
            processes.wait_until(lambda: not self.leftovers())
            problems += self.leftovers()
        finally:
            self.kill_all()
            for path in processes.segments_of(running.pid for running in self._started):
                path.unlink(missing_ok=True)
            shutil.rmtree(self.scratch, ignore_errors=True)
        assert not problems, "\n".join(problems)

    def kill_all(self) -> None:
        """Kill every process of this project, those started meanwhile included."""

        def all_gone() -> bool:
            left = self.processes()
            processes.send(left, signal.SIGKILL)
            return not left

        processes.wait_until(all_gone)


MEETING = """
import os, pathlib, time

def meet(count=None, place="run", _been=set()):
    \"\"\"Returns when `count` workers of the run have called it (None: all): each of them has a test then, however late it starts.

    In each worker only the first call waits.
    \"\"\"
    if place in _been:
        return
    _been.add(place)
    run = f"meeting-{place}-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
    here = pathlib.Path(os.environ["PYTEST_DEBUG_TEMPROOT"], run)
    here.mkdir(exist_ok=True)
    (here / os.environ.get("PYTEST_XDIST_WORKER", "master")).touch()
    count = count or int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    late = time.monotonic() + 240
    while len(list(here.iterdir())) < count:
        assert time.monotonic() < late, f"only {sorted(here.iterdir())} of {count} workers have come"
        time.sleep(0.002)
"""  # noqa: E501
"""A project's module ``meeting.py``, for tests about what several workers do."""


def dedented(text: str) -> str:
    """As `Project.write` writes it."""
    return textwrap.dedent(text).lstrip("\n")


def comparable(result: Result) -> dict[str, tuple[str, ...]]:
    """What must be the same under both runners; failures' texts may contain addresses and times."""
    return {
        case.id: (
            case.outcome,
            case.message if case.outcome in ("skipped", "xfailed") else "",
            *(f"{name}={value}" for name, value in case.properties),
        )
        for case in result.cases or ()
    }


def _short_folder() -> str | None:
    """A folder for sockets: /tmp where possible, the default may be deep (as on macOS)."""
    return "/tmp" if os.access("/tmp", os.W_OK) else None
