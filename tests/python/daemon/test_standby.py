"""The process of the next run is there before the run is; nobody may notice, whatever happens to
it.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable

import pytest

from support import processes
from support.daemons import runs, status
from support.harness import Project

FILES = {
    "helper.py": "VALUE = 1\n",
    "conftest.py": """
        import os
        def pytest_collection_modifyitems(items):
            with open(os.environ["NOTES"], "a") as file:
                file.write(f"hook {os.getpid()}\\n")
        """,
    "test_a.py": """
        import os, random
        from helper import VALUE
        def test_value():
            with open(os.environ["NOTES"], "a") as file:
                file.write(f"test {os.getppid()} {random.random()}\\n")
            assert VALUE == 1
        def test_other(): pass
        """,
    "test_b.py": "def test_b(): pass\n",
}

#: Served by the session, and by the checkpoint.
ARGUMENTS = {"session": (), "checkpoint": ("test_a.py",)}


@pytest.fixture(params=ARGUMENTS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _standby(project: Project, kind: str) -> int:
    """The process that waits for the next run; 0: none."""
    place = "kept for other arguments: .*" if kind == "checkpoint" else r"session \d+: .*\n.*"
    found = re.search(place + r", process (\d+) waits for the next run", status(project))
    return int(found[1]) if found else 0


def _wait_for_standby(project: Project, kind: str, but: int = 0) -> int:
    assert processes.wait_until(lambda: _standby(project, kind) not in (0, but))
    return _standby(project, kind)


class Runs:
    """Runs of one kind, of which it is known which process has served them."""

    def __init__(self, project: Project, kind: str) -> None:
        self.project, self.arguments = project, ARGUMENTS[kind]
        self.notes = project.scratch / "notes"
        self.notes.touch()
        project.env["NOTES"] = str(self.notes)
        project.write(FILES)
        # The folder of pytest's cache is there: else the first run may make it after the process of
        # the next one was forked, for which the project's folder is then not as it was.
        assert project.pytest(junit=False).status == 0
        assert project.rpytest(junit=False).status == 0

    def run(self, expected: int = 0) -> tuple[int, str, list[int]]:
        """Run; returns the process that was the parent of the worker, a random number, and the
        processes in which hooks ran.
        """
        before = len(self.notes.read_text())
        result = self.project.rpytest(*self.arguments, junit=False)
        assert result.status == expected, result
        notes = [line.split() for line in self.notes.read_text()[before:].splitlines()]
        hooks = [int(pid) for kind, pid, *_ in notes if kind == "hook"]
        ((pid, number),) = [rest for kind, *rest in notes if kind == "test"]
        return int(pid), number, hooks


@pytest.fixture
def served(project: Project, kind: str) -> Runs:
    return Runs(project, kind)


def test_it_serves_the_next_run(project: Project, kind: str, served: Runs) -> None:
    pids, numbers = set(), set()
    for _ in range(3):
        standby = _wait_for_standby(project, kind)
        pid, number, hooks = served.run()
        assert pid == standby
        # A session has selected its tests once for all runs.
        assert hooks == ([standby] if kind == "checkpoint" else [])
        pids.add(pid)
        numbers.add(number)
    assert len(pids) == len(numbers) == 3
    if kind == "session":
        assert runs(project) == [4]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_while_it_waits(
    project: Project, kind: str, served: Runs, number: signal.Signals
) -> None:
    standby = _wait_for_standby(project, kind)
    processes.send([standby], number)
    assert processes.wait_until(lambda: not processes.is_alive(standby))
    assert served.run()[0] != standby
    # Afterwards there is another one.
    another = _wait_for_standby(project, kind, but=standby)
    assert served.run()[0] == another


def test_killed_when_it_has_the_run(project: Project, kind: str, served: Runs) -> None:
    """It is stopped, so that it has the run and does nothing with it; then it dies."""
    standby = _wait_for_standby(project, kind)
    processes.send([standby], signal.SIGSTOP)
    running = project.spawn(*ARGUMENTS[kind])
    # As a rule it has the run by then. If not, the same must be true.
    time.sleep(0.5)
    processes.send([standby], signal.SIGKILL)
    exit_status = running.wait()
    # Another process has served the run, or its end was noticed: nothing is green that has not run.
    assert "passed" in running.stdout if exit_status == 0 else "error: " in running.stderr
    assert served.run()[0] != standby


@pytest.mark.parametrize(
    "edit",
    [
        lambda project: project.write({"helper.py": "VALUE = 1 + 1\n"}),
        lambda project: project.write({"conftest.py": "import helper\nhelper.VALUE = 3\n"}),
    ],
    ids=["helper", "conftest"],
)
def test_what_has_changed_since_is_seen(
    project: Project, kind: str, served: Runs, edit: Callable[[Project], object]
) -> None:
    standby = _wait_for_standby(project, kind)
    edit(project)
    pid, _, hooks = served.run(expected=1)
    # It has not got as far as a hook.
    assert standby not in (pid, *hooks)
    assert processes.wait_until(lambda: not processes.is_alive(standby))


def test_a_touch_changes_nothing(project: Project, kind: str, served: Runs) -> None:
    """The session goes on, but what was forked before does not know the file's new state."""
    standby = _wait_for_standby(project, kind)
    (project.path / "helper.py").touch()
    assert served.run()[0] != standby
    another = _wait_for_standby(project, kind, but=standby)
    assert served.run()[0] == another
    _wait_for_standby(project, kind, but=another)
    project.write({"helper.py": "VALUE = 1 + 1\n"})
    served.run(expected=1)


@pytest.mark.usefixtures("served")
def test_it_goes_with_its_session(project: Project, kind: str) -> None:
    standby = _wait_for_standby(project, kind)
    project.stop_daemon()
    assert processes.wait_until(lambda: not processes.is_alive(standby))


def test_it_goes_when_its_session_is_killed(project: Project, kind: str, served: Runs) -> None:
    standby = _wait_for_standby(project, kind)
    parent = int((processes.PROC / str(standby) / "stat").read_text().rpartition(")")[2].split()[1])
    processes.send([parent], signal.SIGKILL)
    assert processes.wait_until(lambda: not processes.is_alive(standby))
    assert served.run()[0] not in (standby, parent)


def test_its_memory_counts(project: Project, kind: str, served: Runs) -> None:
    standby = _wait_for_standby(project, kind)
    served.run()
    _wait_for_standby(project, kind, but=standby)
    place = "kept for other arguments: .*" if kind == "checkpoint" else r"session \d+: .*\n.*"

    def shown() -> int:
        found = re.search(place + r" (\d+) MiB", status(project))
        assert found
        return int(found[1])

    standby = _standby(project, kind)
    # When it has got the memory that it needs.
    assert processes.wait_until(lambda: processes.state(standby) == "S")
    before = shown()
    # It is not replaced before the next run.
    processes.send([standby], signal.SIGKILL)
    assert processes.wait_until(lambda: shown() < before)
