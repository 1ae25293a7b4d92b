"""Order within a worker: a process only ever goes upwards in the collection; what lies behind it is
a fresh fork's.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import defaultdict
from pathlib import Path

import pytest

from support.harness import MEETING, Project

#: Every test writes down its process, its worker, and its number in the collection.
CONFTEST = """
    import os, pytest

    def note(*words):
        fd = os.open(os.environ["ORDER_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, (" ".join(map(str, words)) + "\\n").encode())
        os.close(fd)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(items):
        for number, item in enumerate(items):
            item.number = number

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(item):
        note("test", os.getpid(), os.environ.get("PYTEST_XDIST_WORKER", "main"), item.number)
"""


class Log:
    """What the processes of a project write down."""

    def __init__(self, project: Project) -> None:
        self.file = project.path / "order.log"
        project.env["ORDER_LOG"] = str(self.file)

    def take(self) -> list[list[str]]:
        """What was written since the last call."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        self.file.unlink(missing_ok=True)
        return [line.split() for line in lines]


def processes(lines: list[list[str]]) -> dict[tuple[str, str], list[int]]:
    """Per worker and process the numbers of its tests."""
    found = defaultdict(list)
    for kind, pid, worker, *rest in lines:
        if kind == "test":
            found[worker, pid].append(int(rest[0]))
    return dict(found)


def check_upwards(lines: list[list[str]], count: int) -> None:
    found = processes(lines)
    for (worker, pid), numbers in found.items():
        assert numbers == sorted(set(numbers)), f"{worker} ({pid}) went back: {numbers}"
    assert sorted(number for numbers in found.values() for number in numbers) == list(range(count))


def mixed(seed: int) -> dict[str, str]:
    """Modules of quick tests, a few slow ones anywhere, classes, a module with an expensive
    fixture.
    """
    files = {}
    for module in range(6):
        slow = (seed + module * 7) % 11
        files[f"test_{module}"] = f"""
            import pytest, time

            @pytest.fixture(scope="module")
            def expensive():
                time.sleep({0.05 if module == 3 else 0})

            @pytest.mark.parametrize("i", range(12))
            def test_quick(i, expensive):
                time.sleep(0.12 if i == {slow} else 0.001)

            class TestOne:
                def test_a(self): time.sleep({0.2 if module == 5 else 0})
                def test_b(self): pass

            class TestTwo:
                def test_c(self): time.sleep({0.1 if module == 0 else 0.002})
                def test_d(self): pass
            """
    return files


@pytest.mark.parametrize("workers", [2, 4])
def test_a_process_only_goes_upwards(project: Project, workers: int) -> None:
    log = Log(project)
    project.write(conftest=CONFTEST, **mixed(workers))
    for run in range(4):
        args = ["--record-plan", "plan.json"]
        if run == 2:
            # Other durations than the history has.
            project.write(
                test_5="import time\ndef test_new(): time.sleep(0.3)\n",
                test_2="def test_gone(): pass\n",
            )
        result = project.rpytest("-n", str(workers), *args)
        assert result.status == 0, result
        lines = log.take()
        check_upwards(lines, len(result.outcomes))
        # The record says the same.
        plan = json.loads((project.path / "plan.json").read_text())
        numbers = {id: number for number, id in enumerate(collected(project))}
        log.take()
        recorded = [[numbers[id] for id in ids] for ids in plan["workers"]]
        assert all(ids == sorted(ids) for ids in recorded)
        assert sorted(filter(None, recorded)) == sorted(processes(lines).values())


def collected(project: Project) -> list[str]:
    return [
        line for line in project.pytest("--collect-only", "-q", junit=False).lines if "::" in line
    ]


@pytest.mark.parametrize(
    "args",
    [
        ["--dist", "loadfile"],
        ["--dist", "worksteal"],
        ["--dist", "loadfile", "--no-loadscope-reorder"],
    ],
)
def test_so_it_does_under_other_distributions(project: Project, args: list[str]) -> None:
    log = Log(project)
    project.write(conftest=CONFTEST, **mixed(1))
    for _ in range(2):
        result = project.rpytest("-n", "3", *args)
        assert result.status == 0
        check_upwards(log.take(), len(result.outcomes))


def test_one_worker_runs_the_collection(project: Project) -> None:
    log = Log(project)
    project.write(conftest=CONFTEST, **mixed(3))
    for _ in range(2):
        result = project.rpytest("-n", "1")
        (numbers,) = processes(log.take()).values()
        assert numbers == list(range(len(result.outcomes)))


#: The last test took long when it was learned, so a worker begins with it. Then it ends at once,
#: and all others lie behind it.
BEHIND = """
    import meeting, os, pathlib, pytest, time
    from conftest import note

    @pytest.fixture(scope="session")
    def own(worker_id, tmp_path_factory, request):
        # A name that can be given once.
        folder = tmp_path_factory.mktemp("own", numbered=False)
        note("begin", os.getpid(), worker_id)
        yield folder
        note("end", os.getpid(), worker_id)

    @pytest.mark.parametrize("i", range(60))
    def test_light(i, own):
        time.sleep(0.03)

    def test_last(own, worker_id):
        if pathlib.Path("slow").exists():
            time.sleep(2.5)
"""


@pytest.fixture
def behind(project: Project) -> Project:
    project.write(conftest=CONFTEST, meeting=MEETING, test_a=BEHIND)
    (project.path / "slow").touch()
    return project


def learn(project: Project, log: Log, *args: str) -> None:
    assert project.rpytest("-n", "2", *args).status == 0
    check_upwards(log.take(), 61)
    (project.path / "slow").unlink()


def test_what_lies_behind_is_done_by_a_fresh_fork(behind: Project) -> None:
    log = Log(behind)
    learn(behind, log)
    result = behind.rpytest("-n", "2", "--record-plan", "plan.json", "--max-worker-restart", "0")
    assert (result.status, result.counts) == (0, {"passed": 61}), result
    lines = log.take()
    check_upwards(lines, 61)
    of_worker = defaultdict(list)
    for (worker, pid), numbers in processes(lines).items():
        of_worker[worker].append((pid, numbers))
    assert set(of_worker) == {"gw0", "gw1"}, "the fork is the same worker"
    first, *later = next(processes for processes in of_worker.values() if processes[0][1] == [60])
    assert later, "what lies behind was left to the other worker"
    # Its session ends before the next one begins, in the same worker.
    worker = next(worker for worker, found in of_worker.items() if first in found)
    session = [
        (kind, pid) for kind, pid, name, *_ in lines if kind in ("begin", "end") and name == worker
    ]
    assert session == [(kind, pid) for pid, _ in [first, *later] for kind in ("begin", "end")]
    # It is no crash, and nobody hears of it.
    assert not re.search("crash|restart|replac", result.stdout + result.stderr), result

    plan = json.loads((behind.path / "plan.json").read_text())
    assert len(plan["workers"]) == len(processes(lines))
    again = behind.rpytest("--replay", "plan.json", "--record-plan", "again.json")
    assert (again.status, again.counts) == (0, {"passed": 61})
    assert json.loads((behind.path / "again.json").read_text()) == plan
    replayed = log.take()
    assert sorted(processes(replayed).values()) == sorted(processes(lines).values())
    assert sorted(worker for worker, _ in processes(replayed)) == sorted(
        worker for worker, _ in processes(lines)
    )


def test_what_the_first_process_left_can_be_looked_at(behind: Project) -> None:
    behind.write(
        test_a=textwrap.dedent(BEHIND)
        + "\n@pytest.fixture(autouse=True)\ndef keeps(tmp_path):\n    note('path', tmp_path, '-')\n"
    )
    log = Log(behind)
    learn(behind, log, "-o", "tmp_path_retention_policy=all")
    assert behind.rpytest("-n", "2", "-o", "tmp_path_retention_policy=all").status == 0
    lines = log.take()
    assert len(processes(lines)) > 2
    paths = [Path(words[1]) for words in lines if words[0] == "path"]
    assert len(set(paths)) == 61
    assert all(path.is_dir() for path in paths)


def test_a_crash_in_the_fork_is_a_crash_like_any_other(behind: Project) -> None:
    log = Log(behind)
    learn(behind, log)
    lethal = "if i == 40 and not pathlib.Path('slow').exists(): os.kill(os.getpid(), 9)"
    behind.write(
        test_a=textwrap.dedent(BEHIND).replace(
            "time.sleep(0.03)", f"time.sleep(0.03); {lethal}".replace("; if", "\n    if")
        )
    )
    result = behind.rpytest("-n", "2")
    assert (result.status, result.counts) == (1, {"failed": 1, "passed": 60}), result
    assert result.outcome("test_light[40]") in ("failed", "error")
    check_upwards(log.take(), 61)


def test_a_session_fixture_that_fails_at_its_end_is_told_once(behind: Project) -> None:
    log = Log(behind)
    learn(behind, log)
    behind.write(
        test_a=textwrap.dedent(BEHIND).replace(
            'note("end", os.getpid(), worker_id)',
            (
                'note("end", os.getpid(), worker_id)\n'
                '    assert not pathlib.Path(f"bad-{worker_id}").exists()'
            ),
        )
    )
    for worker in ("gw0", "gw1"):
        (behind.path / f"bad-{worker}").touch()
    result = behind.rpytest("-n", "2")
    lines = log.take()
    check_upwards(lines, 61)
    assert result.status == 1
    # One error for each session, as with so many workers.
    assert result.counts == {"passed": 61, "errors": len(processes(lines))}, result


def test_the_first_failure_ends_it(behind: Project) -> None:
    log = Log(behind)
    learn(behind, log)
    behind.write(
        test_a=textwrap.dedent(BEHIND).replace(
            "time.sleep(0.03)", "time.sleep(0.03); assert i != 30"
        )
    )
    result = behind.rpytest("-n", "2", "-x")
    assert result.status == 1
    assert result.counts["failed"] == 1
    found = processes(log.take())
    assert all(numbers == sorted(numbers) for numbers in found.values())


def test_where_a_fork_is_dear_nobody_is_forked(behind: Project) -> None:
    log = Log(behind)
    behind.write(
        test_a=textwrap.dedent(BEHIND).replace("    # A name", "    time.sleep(4)\n    # A name")
    )
    learn(behind, log)
    result = behind.rpytest("-n", "2")
    assert result.status == 0
    lines = log.take()
    check_upwards(lines, 61)
    assert len(processes(lines)) == 2, "a second session would take longer than all that is left"


#: As `freezegun` and `jsonschema` have it: a late test leaves something that an early one can't
#: bear.
LEAVES = """
    import pytest, registry, time

    @pytest.mark.parametrize("i", range(30))
    def test_early(i):
        time.sleep(0.002 * (i % 3))
        assert not registry.names

    class TestLate:
        @pytest.mark.parametrize("i", range(10))
        def test_it(self, i):
            time.sleep(0.04)
            registry.names.append(i)
"""


def test_what_a_late_test_leaves_is_seen_by_no_early_one(project: Project) -> None:
    project.write(registry="names = []\n", test_a=LEAVES, test_b="def test_b(): pass\n")
    assert project.pytest().status == 0
    for run in range(6):
        result = project.rpytest("-n", str(2 + run % 3))
        assert (result.status, result.counts) == (0, {"passed": 41}), result
