"""Where tests run: `--dist`, marks, orders, recorded plans. Tests write down who ran them, when and
in which process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.harness import MEETING, Project, Result

# Every test appends one line of JSON to a file of its process; written in one system call.
CONFTEST = """
    import json, os, pathlib, time

    import pytest

    LOG = pathlib.Path(__file__).parent / "log"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(item, nextitem):
        began = time.monotonic()
        try:
            return (yield)
        finally:
            LOG.mkdir(exist_ok=True)
            line = {"id": item.nodeid, "worker": os.environ.get("PYTEST_XDIST_WORKER"), "pid": os.getpid(), "began": began, "ended": time.monotonic()}
            with open(LOG / str(os.getpid()), "a") as file:
                file.write(json.dumps(line) + "\\n")

    @pytest.fixture(autouse=True)
    def a_while():
        time.sleep(0.005)
"""  # noqa: E501

#: Every worker has a test, however late it starts.
ALL_MEET = (
    CONFTEST
    + """
    @pytest.fixture(autouse=True)
    def together():
        from meeting import meet
        meet()
"""
)


@dataclass(frozen=True)
class Ran:
    """One test as it was run."""

    id: str
    worker: str
    pid: int
    began: float
    ended: float

    @property
    def file(self) -> str:
        return self.id.partition("::")[0]


def ran(project: Project) -> list[Ran]:
    """What ran since the last call, by begin."""
    found = []
    for file in (project.path / "log").glob("*"):
        found += [Ran(**json.loads(line)) for line in file.read_text().splitlines()]
        file.unlink()
    return sorted(found, key=lambda test: test.began)


def workers_by(tests: list[Ran], key: str) -> dict[str, set[int]]:
    """Processes by what `key` (an attribute of `Ran`) says."""
    found = defaultdict(set)
    for test in tests:
        found[getattr(test, key)].add(test.pid)
    return dict(found)


def module(tests: int, classes: int = 0) -> str:
    functions = "".join(f"def test_{number}(): pass\n" for number in range(tests))
    methods = "".join(
        f"class Test{number}:\n    def test_x(self): pass\n    def test_y(self): pass\n"
        for number in range(classes)
    )
    return functions + methods


@pytest.fixture
def suite(project: Project) -> Project:
    """Six modules of different size, of which every worker gets something."""
    project.write(
        conftest=ALL_MEET,
        meeting=MEETING,
        **{
            f"test_{name}": module(2 + 3 * number, number % 3)
            for number, name in enumerate("abcdef")
        },
    )
    return project


METHODS = pytest.mark.parametrize("method", ["collected", "bare"])


@METHODS
def test_loadfile_keeps_files_in_one_worker(suite: Project, method: str) -> None:
    for _ in range(2):
        result = suite.rpytest("-n", "3", "--dist", "loadfile", "--start-method", method)
        assert result.status == 0, result
        tests = ran(suite)
        assert len(tests) == len(result.outcomes)
        files = workers_by(tests, "file")
        assert all(len(pids) == 1 for pids in files.values()), files
        assert len({test.pid for test in tests}) == 3


@METHODS
def test_fewer_files_than_workers(project: Project, method: str) -> None:
    project.write(conftest=CONFTEST, test_a=module(4), test_b=module(3))
    result = project.rpytest("-n", "4", "--dist", "loadfile", "--start-method", method)
    assert (result.status, result.counts) == (0, {"passed": 7})
    assert {frozenset(pids) for pids in workers_by(ran(project), "file").values()}
    assert "2 workers [7 items]" in result.stdout


def test_loadscope_keeps_classes_and_functions_together(suite: Project) -> None:
    suite.write(
        test_params="""
        import pytest

        @pytest.mark.parametrize("text", ["a::b", "c::d", "e", "f::g"])
        def test_param(text): pass
        """
    )
    assert suite.rpytest("-n", "3", "--dist", "loadscope").status == 0
    scopes = defaultdict(set)
    for test in ran(suite):
        parts = test.id.partition("[")[0].split("::")
        scopes["::".join(parts[:-1])].add(test.pid)
    assert {"test_b.py", "test_b.py::Test0", "test_f.py::Test1", "test_params.py"} <= scopes.keys()
    assert all(len(pids) == 1 for pids in scopes.values()), scopes


def test_loadgroup_keeps_groups_together_and_leaves_ids_alone(project: Project) -> None:
    source = """
        import pytest

        @pytest.mark.xdist_group("db")
        @pytest.mark.parametrize("i", range(5))
        def test_one(i): pass

        @pytest.mark.xdist_group(name="db")
        def test_two(): pass

        @pytest.mark.xdist_group
        def test_default(): pass

        @pytest.mark.xdist_group("b")
        class TestBoth:
            @pytest.mark.xdist_group("a")
            def test_inner(self): pass
            def test_outer(self): pass

        @pytest.mark.parametrize("i", range(20))
        def test_free(i): meeting.meet()
        """
    source = source.replace("import pytest\n", "import meeting, pytest\n", 1)
    project.write(conftest=CONFTEST, meeting=MEETING, test_a=source, test_b=source)
    result = project.rpytest("-n", "3", "--dist", "loadgroup", "-v")
    assert result.status == 0
    assert "@" not in result.stdout.replace("conftest", "")
    assert not [id for id in result.outcomes if "@" in id]
    groups = defaultdict(set)
    for test in ran(project):
        name = test.id.partition("::")[2].partition("[")[0]
        group = {
            "test_one": "db",
            "test_two": "db",
            "test_default": "default",
            "TestBoth::test_inner": "a_b",
            "TestBoth::test_outer": "b",
        }.get(name, "free")
        groups[group].add(test.pid)
    assert groups.keys() == {"db", "default", "a_b", "b", "free"}
    assert len(groups.pop("free")) == 3
    assert all(len(pids) == 1 for pids in groups.values()), groups


@METHODS
def test_the_rest_of_a_crashed_workers_file_goes_to_one_other(
    project: Project, method: str
) -> None:
    crash = "import os\n" + module(15).replace(
        "def test_2(): pass", "def test_2(): os.kill(os.getpid(), 9)"
    )
    files = {"test_a": crash, "test_b": crash}
    project.write(conftest=CONFTEST, test_c=module(30), test_d=module(30), **files)
    result = project.rpytest("-n", "3", "--dist", "loadfile", "--start-method", method)
    assert result.status == 1
    assert result.counts == {"failed": 2, "passed": 88}, result
    for file, pids in workers_by(ran(project), "file").items():
        # The one that died, and the one that did the rest.
        assert len(pids) == (2 if file in ("test_a.py", "test_b.py") else 1), (file, pids)


def test_each_runs_everything_in_every_worker(suite: Project) -> None:
    suite.write(test_g="def test_fails(worker_id): assert worker_id != 'gw1'\n")
    suite.write(test_h="import pytest\n@pytest.mark.serial\ndef test_alone(): pass\n")
    result = suite.rpytest("-n", "3", "--dist", "each")
    tests = ran(suite)
    by_worker = defaultdict(list)
    for test in tests:
        by_worker[test.worker].append(test.id)
    assert by_worker.keys() == {"gw0", "gw1", "gw2"}
    assert len({tuple(ids) for ids in by_worker.values()}) == 1, "all the same, in the same order"
    count = len(by_worker["gw0"])
    assert result.status == 1
    assert result.counts == {"failed": 1, "passed": 3 * count - 1}
    # As under pytest-xdist, the file has a case for each run of a test.
    suite.rpytest("-n", "3", "--dist", "each", "--junitxml=cases.xml", junit=False)
    assert (suite.path / "cases.xml").read_text().count("<testcase ") == 3 * count
    assert "[worker 1] test_g.py::test_fails FAILED" in result.lines
    assert "[worker 2] test_g.py::test_fails PASSED" in result.lines
    assert any(line.startswith("[worker 1] linux -- Python") for line in result.lines), result
    # With `-v` pytest's reporter looks at more of a report.
    verbose = suite.rpytest("-n", "2", "--dist", "each", "-v", junit=False)
    assert (verbose.status, verbose.stderr) == (1, ""), verbose
    assert suite.rpytest("-n", "2", "--dist", "each", "--record-plan", "x").status == 4


def test_each_survives_a_crash_in_one_worker(project: Project) -> None:
    project.write(
        conftest=CONFTEST,
        test_a="""
        import os, pytest
        @pytest.mark.parametrize("i", range(8))
        def test_it(i, worker_id):
            if worker_id == "gw1" and i == 3:
                os.kill(os.getpid(), 9)
        """,
    )
    result = project.rpytest("-n", "2", "--dist", "each")
    assert (result.status, result.counts) == (1, {"failed": 1, "passed": 15})
    ids = [test.id for test in ran(project) if test.worker == "gw1"]
    assert ids == [f"test_a.py::test_it[{i}]" for i in (0, 1, 2, 4, 5, 6, 7)]


SERIAL = """
    import meeting, os, pytest, time

    @pytest.fixture(scope="module")
    def slow_end():
        yield
        time.sleep(0.3)

    def test_0(slow_end): meeting.meet(min(2, int(os.environ["PYTEST_XDIST_WORKER_COUNT"])))
    @pytest.mark.serial
    def test_alone(): time.sleep(0.1)
    class TestMore:
        @pytest.mark.serial
        def test_alone(self): time.sleep(0.1)
        def test_1(self): time.sleep(0.05)
        def test_2(self): time.sleep(0.05)
"""


@METHODS
def test_serial_tests_run_while_nothing_else_does(project: Project, method: str) -> None:
    project.write(conftest=CONFTEST, meeting=MEETING, test_a=SERIAL, test_b=SERIAL, test_c=SERIAL)
    result = project.rpytest("-n", "4", "--start-method", method)
    assert (result.status, result.counts) == (0, {"passed": 15})
    tests = ran(project)
    alone = [test for test in tests if test.id.endswith("test_alone")]
    assert len(alone) == 6
    assert len({test.pid for test in alone}) == 1
    for test in alone:
        overlapping = [
            other.id
            for other in tests
            if other is not test and other.began < test.ended and test.began < other.ended
        ]
        assert not overlapping, (test, overlapping)
    assert len({test.pid for test in tests if test not in alone}) > 1
    files = [test.file for test in alone]
    assert files == sorted(files), "in the order of collection"


def test_serial_without_workers_and_strict_markers(project: Project) -> None:
    project.write(conftest=CONFTEST, meeting=MEETING, test_a=SERIAL)
    result = project.rpytest("-n", "1", "--strict-markers")
    assert (result.status, result.counts) == (0, {"passed": 5})
    assert [test.id for test in ran(project)][1] == "test_a.py::test_alone", (
        "in the order of collection"
    )


def test_a_group_with_a_serial_test_is_serial_as_a_whole(project: Project) -> None:
    alone = SERIAL.replace("meeting.meet", "(lambda count: time.sleep(0.05))")
    project.write(
        conftest=CONFTEST, meeting=MEETING, test_a=alone, test_b=module(20), test_c=module(20)
    )
    assert project.rpytest("-n", "3", "--dist", "loadfile").status == 0
    tests = ran(project)
    files = workers_by(tests, "file")
    assert all(len(pids) == 1 for pids in files.values())
    assert [test.file for test in tests[-5:]] == ["test_a.py"] * 5


def test_a_serial_test_that_crashes_does_not_stop_the_others(project: Project) -> None:
    project.write(
        conftest=CONFTEST,
        test_a="""
        import os, pytest
        pytestmark = pytest.mark.serial
        def test_0(): pass
        def test_1(): os.kill(os.getpid(), 9)
        def test_2(): pass
        """,
        test_b=module(20),
    )
    result = project.rpytest("-n", "3")
    assert (result.status, result.counts) == (1, {"failed": 1, "passed": 22})
    assert [test.id for test in ran(project)][-1] == "test_a.py::test_2"


def test_a_failure_before_the_serial_tests_ends_the_run_under_x(project: Project) -> None:
    project.write(
        test_a="import pytest\n@pytest.mark.serial\ndef test_alone(): pass\n",
        test_b="def test_fails(): assert False\n",
        test_c="def test_ok(): pass\n",
    )
    result = project.rpytest("-n", "3", "-x")
    assert result.status == 1
    assert "test_alone" not in result.stdout


def sequences(tests: list[Ran]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for test in tests:
        found[test.worker].append(test.id)
    return dict(found)


def test_the_collected_order_is_the_same_every_time(suite: Project) -> None:
    seen = []
    for _ in range(3):
        assert suite.rpytest("-n", "3", "--order", "collected").status == 0
        seen.append(sequences(ran(suite)))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0].keys() == {"gw0", "gw1", "gw2"}
    collected = [
        line for line in suite.pytest("--collect-only", "-q", junit=False).lines if "::" in line
    ]
    assert [id for worker in sorted(seen[0]) for id in seen[0][worker]] == collected


def test_no_loadscope_reorder_goes_through_the_files_in_order(suite: Project) -> None:
    # The first module waits for the second, whichever worker is late; which of two claims is logged
    # first is chance.
    assert suite.rpytest("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder").status == 0
    files = [[id.partition("::")[0] for id in ids] for ids in sequences(ran(suite)).values()]
    assert sorted(of_one[0] for of_one in files) == ["test_a.py", "test_b.py"]
    assert all(of_one == sorted(of_one) for of_one in files)


STATE = """
    import pytest
    seen = []

    @pytest.mark.parametrize("i", range(12))
    def test_it(i):
        seen.append(i)
        assert i != 7 or 3 not in seen, seen
"""


def test_a_recorded_plan_is_replayed(suite: Project) -> None:
    suite.write(test_g=STATE)
    first = suite.rpytest("-n", "3", "--record-plan", "plans/plan.json")
    expected = sequences(ran(suite))
    plan = json.loads((suite.path / "plans/plan.json").read_text())
    assert plan["workers"] == [expected[f"gw{number}"] for number in range(3)]
    # Whatever else is said, it is run as it was.
    for args in (["-n", "1"], [], ["--dist", "loadfile", "-n", "5"]):
        again = suite.rpytest(*args, "--replay", "plans/plan.json")
        assert sequences(ran(suite)) == expected
        assert (again.status, again.outcomes) == (first.status, first.outcomes)


def test_a_replay_crashes_where_the_run_did(project: Project) -> None:
    crash = (
        "import os\ndef test_0(): pass\ndef test_1(): os.kill(os.getpid(), 9)\ndef test_2(): pass\n"
    )
    serial = "import pytest\n@pytest.mark.serial\ndef test_alone(): pass\n"
    project.write(conftest=CONFTEST, test_a=crash, test_b=module(8), test_c=serial)
    first = project.rpytest("-n", "2", "--record-plan", "plan.json")
    expected = sequences(ran(project))
    assert first.counts == {"failed": 1, "passed": 11}
    plan = json.loads((project.path / "plan.json").read_text())
    assert plan["serial"] == ["test_c.py::test_alone"]
    assert any("test_a.py::test_1" in tests for tests in plan["workers"]), "the crash is part of it"
    again = project.rpytest("--replay", "plan.json")
    assert sequences(ran(project)) == expected
    assert again.counts == first.counts


def test_a_plan_for_other_tests_is_refused(suite: Project) -> None:
    assert suite.rpytest("-n", "2", "--record-plan", "plan.json").status == 0
    ran(suite)
    result = suite.rpytest("test_a.py", "--replay", "plan.json", junit=False)
    assert result.status == 4
    assert "were not collected" in result.stderr and "hint: " in result.stderr
    assert not ran(suite)
    suite.write(test_new=module(3))
    result = suite.rpytest("--replay", "plan.json")
    assert result.status == 0
    assert "3 collected tests are not in the plan" in result.stderr
    assert not [test for test in ran(suite) if test.file == "test_new.py"]


@pytest.mark.parametrize(
    "text", [None, "", "[]", '{"workers": []}', '{"version": 9, "workers": [["x"]]}']
)
def test_what_is_no_plan_is_a_usage_error(project: Project, text: str | None) -> None:
    project.write(test_a=module(2))
    if text is not None:
        Path(project.path, "plan.json").write_text(text)
    result = project.rpytest("--replay", "plan.json", junit=False)
    assert result.status == 4
    assert "plan.json" in result.stdout + result.stderr


def test_options_of_xdist(suite: Project) -> None:
    def workers(*args: str, env: dict[str, str | None] | None = None) -> int:
        result: Result = suite.rpytest(*args, env=env)
        assert result.status == 0, result
        return len({test.worker for test in ran(suite)})

    assert workers("--tx", "3*popen") == 3
    assert workers("--tx", "popen", "--tx", "popen", "-d") == 2
    assert workers("--dist", "load", "-n", "2") == 2
    assert (
        workers("-n", "auto", "--maxprocesses", "2", env={"PYTEST_XDIST_AUTO_NUM_WORKERS": "5"})
        == 2
    )
    # As under pytest-xdist the number that is asked for is limited as well; that of `--tx` is not.
    assert workers("-n", "5", "--maxprocesses", "2") == 2
    assert workers("-n", "2", "--maxprocesses", "5") == 2
    assert workers("--tx", "3*popen", "--maxprocesses", "2") == 3
    assert workers("-n", "3", "--dist", "worksteal") == 3
    assert suite.rpytest("--tx", "ssh=host").status == 4
    assert suite.rpytest("--dist", "nonsense").status == 4


def test_max_worker_restart_ends_the_run_with_an_error(project: Project) -> None:
    project.write(
        test_a="""
        import os, pytest
        @pytest.mark.parametrize("i", range(6))
        def test_it(i): os.kill(os.getpid(), 9)
        """
    )
    result = project.rpytest("-n", "1", "--max-worker-restart", "2")
    assert result.status == 1
    assert "more than 2 workers crashed" in result.stdout


def test_module_fixtures_are_set_up_once_when_their_cost_is_known(project: Project) -> None:
    source = """
        import os, pathlib, pytest, time

        @pytest.fixture(scope="module")
        def expensive():
            time.sleep(0.2)
            (pathlib.Path(__file__).parent / "setups").open("a").write(f"{__name__}\\n")

        @pytest.mark.parametrize("i", range(6))
        def test_it(i, expensive): time.sleep(0.01)
        """
    project.write({f"test_{name}.py": source for name in "abcdefgh"})
    counts: list[int] = []
    while len(counts) < 30 and 8 not in counts[1:]:
        assert project.rpytest("-n", "4").status == 0
        counts.append(len((project.path / "setups").read_text().splitlines()))
        (project.path / "setups").unlink()
    # Nothing is known in the first run; on a busy machine a worker may be held up so long that
    # taking over pays.
    assert counts[0] >= 8
    assert counts[-1] == 8, counts


def test_tests_of_one_parameter_are_planned_together(project: Project) -> None:
    """A session fixture with two values exists with one at a time: to go on with the other costs
    what entering a class does.
    """
    project.write(
        test_a="""
        import pytest

        @pytest.fixture(scope="session", params=["sqlite", "postgres"])
        def engine(request): pass

        @pytest.mark.parametrize("i", range(3))
        def test_it(i, engine): pass
        """,
        ask="""
        import json, sys, pytest
        from rpytest.collection.collected import inventory

        class Plugin:
            def pytest_collection_finish(self, session):
                json.dump(json.loads(inventory(session.items, "load", 0))["classes"], open("classes", "w"))

        sys.exit(pytest.main(["--collect-only", "-q"], plugins=[Plugin()]))
        """,  # noqa: E501
    )
    subprocess.run(
        [sys.executable, "ask.py"], cwd=project.path, check=True, stdout=subprocess.DEVNULL
    )
    assert json.loads((project.path / "classes").read_text()) == [0, 0, 0, 1, 1, 1]
