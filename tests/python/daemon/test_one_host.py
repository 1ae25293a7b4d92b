"""Two commands at once: each run has one process that serves it, whatever becomes of the session
meanwhile.
"""

from __future__ import annotations

import os
import random
import re
import signal

from support import processes
from support.daemons import status
from support.harness import Project, Result
from support.running import Running

# A run with `-k "test_b or held"` waits where hooks select tests: it was given to a process, which
# has not taken it yet.
_CONFTEST = """
import os, pathlib, time

def pytest_collection_modifyitems(config):
    if "held" in config.option.keyword:
        place = pathlib.Path({place!r})
        with open(place / "came", "a") as file:
            file.write(f"{{os.getpid()}} {{os.getppid()}}\\n")
        while not (place / "go").exists():
            time.sleep(0.005)
"""

_HELD = ("test_b.py", "-k", "test_b or held")


class Scene:
    """A project with a warm checkpoint, and a run of `test_b` that one of its processes has begun
    with.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.conftest = _CONFTEST.format(place=str(project.scratch))
        project.write(
            conftest=self.conftest, test_a="def test_a(): pass\n", test_b="def test_b(): pass\n"
        )
        assert project.rpytest(junit=False).status == 0
        assert project.rpytest("-k", "test_b", junit=False).counts == {"passed": 1, "deselected": 1}
        # The checkpoint serves parts of its tests once it has looked at what their modules do.
        served = r"other arguments: [^\n]*, 2 tests,[^\n]*\n +a part of them: used as collected"
        assert processes.wait_until(lambda: re.search(served, status(project)) is not None)

    def hold(self) -> Running:
        held = self.project.spawn(*_HELD)
        assert processes.wait_until(lambda: bool(self.holders()))
        return held

    def holders(self) -> list[tuple[int, int]]:
        """The processes that have begun with the held run, and their parents, in the order of their
        coming.
        """
        came = self.project.scratch / "came"
        lines = came.read_text().splitlines(keepends=True) if came.exists() else []
        pairs = [line.split() for line in lines if line.endswith("\n")]
        return [(int(pid), int(parent)) for pid, parent in pairs]

    def let_go(self, held: Running, begun: int = 1) -> None:
        """The held run goes on. So many processes have begun with it, one after the other."""
        (self.project.scratch / "go").touch()
        result = ended(held)
        assert (result.status, result.stderr) == (0, ""), result
        assert result.counts == {"passed": 1}, result
        assert len(self.holders()) == begun


def ended(running: Running) -> Result:
    return Result(tuple(running.command), running.wait(), running.stdout, running.stderr)


def test_an_edit_for_which_another_run_is_declined(project: Project) -> None:
    scene = Scene(project)
    project.write(test_a="def test_a(): pass\nassert not 1\n")
    held = scene.hold()
    for _ in range(2):
        # Of the edited module this run wants something, and the checkpoint is of no use for it.
        other = project.rpytest(junit=False)
        assert other.status == 2, other
        assert "1 error in" in other.stdout, other
        assert other.stderr == "", other
    scene.let_go(held)


def test_a_change_that_makes_the_checkpoint_stale(project: Project) -> None:
    scene = Scene(project)
    held = scene.hold()
    project.write(conftest=f"{scene.conftest}\nprint('another')\n")
    for _ in range(2):
        other = project.rpytest("-k", "test_a", junit=False)
        assert (other.status, other.stderr, other.counts) == (0, "", {"passed": 1, "deselected": 1})
    scene.let_go(held)


def test_several_wait_behind_it(project: Project) -> None:
    scene = Scene(project)
    project.write(test_a="def test_a(): pass\nassert not 1\n")
    held = scene.hold()
    others = [project.spawn(*args) for args in ((), ("-k", "test_a"), ("test_a.py",), ())]
    for other in others:
        result = ended(other)
        assert (result.status, result.stderr) == (2, ""), result
    scene.let_go(held)


def test_the_checkpoint_is_killed(project: Project) -> None:
    scene = Scene(project)
    held = scene.hold()
    ((_, checkpoint),) = scene.holders()
    processes.send([checkpoint], signal.SIGKILL)
    other = project.rpytest("-k", "test_a", junit=False)
    assert (other.status, other.stderr, other.counts) == (0, "", {"passed": 1, "deselected": 1})
    scene.let_go(held)


def test_the_process_of_the_run_is_killed(project: Project) -> None:
    """Nobody has it then: another process takes it."""
    scene = Scene(project)
    held = scene.hold()
    ((pid, _),) = scene.holders()
    processes.send([pid], signal.SIGKILL)
    assert processes.wait_until(lambda: len(scene.holders()) == 2)
    scene.let_go(held, begun=2)


def test_checkpoint_and_process_are_killed(project: Project) -> None:
    scene = Scene(project)
    held = scene.hold()
    ((pid, checkpoint),) = scene.holders()
    processes.send([checkpoint, pid], signal.SIGKILL)
    assert processes.wait_until(lambda: len(scene.holders()) == 2)
    scene.let_go(held, begun=2)


def test_commands_and_edits_at_any_moment(project: Project) -> None:
    """Each command gets one answer, and what it prints is one run's."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    rounds = int(os.environ.get("RPYTEST_ONE_HOST_ROUNDS", "5"))
    names = [f"test_{letter}" for letter in "abcd"]
    project.write(
        conftest="import time\n\ndef pytest_collection_modifyitems():\n    time.sleep(0.05)\n"
    )
    for name in names:
        project.write(
            {
                f"{name}.py": (
                    "import pytest\n\n@pytest.mark.parametrize('x', range(3))\ndef test(x): pass\n"
                )
            }
        )
    for number in range(rounds):
        running = []
        for _ in range(rng.randint(2, 5)):
            if rng.random() < 0.6:
                extra = rng.choice(
                    [
                        "",
                        f"Y = {number}",
                        "import os\nos.environ['X'] = '1'",
                        "assert True",
                        "def f(): pass",
                    ]
                )
                name = rng.choice(names)
                text = (
                    f"import pytest\n{extra}\n@pytest.mark.parametrize('x', range(3))\n"
                    "def test(x): pass\n"
                )
                project.put({f"{name}.py": text})
            chosen = rng.sample(names, rng.choice([1, 2, 4]))
            args = rng.choice([[f"{each}.py" for each in chosen], ["-k", " or ".join(chosen)]])
            count = 3 * len(chosen)
            if len(chosen) == 4:
                args = []
            running.append((project.spawn("-n", "2", *args), count))
            processes.wait_until(lambda: False, rng.random() * 0.4)
        for each, count in running:
            result = ended(each)
            assert (result.status, result.stderr) == (0, ""), result
            assert result.counts["passed"] == count, result
