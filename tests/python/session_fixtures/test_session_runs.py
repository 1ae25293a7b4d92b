"""Shared session fixtures with what needs more than one command, or another file than a
project's.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from cases_threads import CASES as THREADS
from grid import OWN, SHARED, Ground, announced, parametrized
from support.harness import MEETING, Project

NOTES = ("up db", "down db")

DB = """
import pytest
from notes import note

@pytest.fixture(scope="session")
def db():
    note("up db")
    yield 1
    note("down db")
"""


@pytest.fixture
def ground(project: Project) -> Ground:
    return Ground(project, project.path, {})


def test_shards(ground: Ground) -> None:
    """Only what the shard's tests request is set up."""
    names = [f"db{number}" for number in range(6)]
    head = "import pytest\nfrom notes import note\n"
    ground.project.write(
        {
            "conftest.py": head
            + "".join(DB.replace("db", name).replace(head, "") for name in names),
            **{f"test_{name}.py": parametrized(name, count=4) for name in names},
        }
    )
    seen = []
    for shard in (0, 1):
        result, notes = ground.rpytest("-n2", f"--shard={shard}", "--total-shards=2")
        assert result.status == 0
        selected = sorted({id.partition("::")[0].removeprefix("test_") for id in result.outcomes})
        assert announced(result) == (tuple(selected), {})
        assert notes == (
            *(f"up {name}" for name in selected),
            *(f"down {name}" for name in reversed(selected)),
        )
        seen += selected
    assert sorted(seen) == names


def test_replay(ground: Ground, tmp_path: Path) -> None:
    ground.project.write({"conftest.py": DB, "test_a.py": parametrized("db")})
    plan = str(tmp_path / "plan.json")
    for option in ("--record-plan", "--replay"):
        result, notes = ground.rpytest("-n4", option, plan)
        assert result.status == 0
        assert announced(result) == (("db",), {})
        assert notes == NOTES


def test_last_failed(ground: Ground) -> None:
    """A selection that leaves the dependants out leaves the fixture down."""
    ground.project.write(
        {
            "conftest.py": DB,
            "test_a.py": parametrized("db"),
            "test_b.py": "def test_fails(): assert 0\n",
        }
    )
    result, notes = ground.rpytest("-n2")
    assert (result.status, notes) == (1, NOTES)
    result, notes = ground.rpytest("-n2", "--lf")
    assert (result.status, notes) == (1, ())
    assert announced(result) == ((), {})


def test_one_node_id(ground: Ground) -> None:
    ground.project.write(
        {"conftest.py": DB, "test_a.py": parametrized("db") + "def test_alone(): pass\n"}
    )
    for id, expected in (("test_a.py::test_alone", ()), ("test_a.py::test_one[3]", NOTES)):
        result, notes = ground.rpytest("-n2", id)
        assert (result.status, result.counts, notes) == (0, {"passed": 1}, expected)


def test_no_tests(ground: Ground) -> None:
    ground.project.write(
        {"conftest.py": DB.replace('scope="session"', 'scope="session", autouse=True')}
    )
    result, notes = ground.rpytest("-n2")
    assert (result.status, notes) == (5, ())


def test_bare_workers_share_nothing(ground: Ground) -> None:
    tests = "from meeting import meet\n" + parametrized("db", "meet()")
    ground.project.write({"conftest.py": DB, "meeting.py": MEETING, "test_a.py": tests})
    result, notes = ground.rpytest("-n2", "--start-method=bare")
    assert result.status == 0
    assert announced(result)[0] == ()
    assert sorted(notes) == ["down db", "down db", "up db", "up db"]
    assert "session fixtures: each worker has its own (start method bare)" in result.lines


def test_without_workers(ground: Ground) -> None:
    """It is pytest itself."""
    ground.project.write({"conftest.py": DB, "test_a.py": parametrized("db")})
    result, notes = ground.rpytest("-n0")
    assert (result.status, notes) == (0, NOTES)
    assert SHARED not in result.stdout
    assert OWN not in result.stdout


def test_said_with_v_only(ground: Ground) -> None:
    hazard = next(case for case in THREADS if case.id == "thread-of-a-dependency")
    ground.project.write(hazard.files)
    ground.project.rpytest("-n2", env=ground.env)
    result = ground.project.rpytest("-n2", env=ground.env)
    assert result.status == 0
    assert "session fixture" not in result.stdout + result.stderr


def test_a_hazard_is_looked_for_again_when_the_fixture_was_edited(ground: Ground) -> None:
    thread = """
    import threading
    import pytest
    from notes import note

    @pytest.fixture(scope="session")
    def thing():
        note("up thing")
        end = threading.Event()
        thread = threading.Thread(target=end.wait, name="waits")
        thread.start()
        yield 1
        end.set()
        thread.join()
        note("down thing")
    """
    ground.project.write({"conftest.py": thread, "test_a.py": parametrized("thing")})
    found: tuple[tuple[str, ...], dict[str, str]] = (
        (),
        {"thing": "its set-up started a thread: waits"},
    )
    result, notes = ground.rpytest("-n1")
    assert announced(result) == found
    assert notes == ("up thing", "down thing") * 2
    for args in (("-n1",), ("-n1", "--no-daemon"), ("-n1", "-k", "one")):
        result, notes = ground.rpytest(*args)
        assert announced(result) == found
        assert notes == ("up thing", "down thing")
    # Without its thread it can be shared, and with it again it is found out again.
    ground.project.write(
        {
            "conftest.py": thread.replace(
                "thread.start()", "thread = threading.Thread(); thread.start()"
            )
        }
    )
    result, notes = ground.rpytest("-n1")
    assert announced(result) == (("thing",), {})
    assert notes == ("up thing", "down thing")
    ground.project.write({"conftest.py": thread})
    result, notes = ground.rpytest("-n1")
    assert announced(result) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('session_fixtures = "sometimes"', "sometimes"),
        ('shared_fixtures = "db"', "shared_fixtures"),
        ("per_worker_fixtures = [1]", "per_worker_fixtures"),
        ('shared_fixtures = ["db", "a"]\nper_worker_fixtures = ["b", "db"]', "db"),
        ("session_fixture = 1", "session_fixture"),
    ],
)
def test_wrong_configuration(ground: Ground, text: str, said: str) -> None:
    ground.project.write(
        {
            "pyproject.toml": f"[tool.rpytest]\n{text}\n",
            "conftest.py": DB,
            "test_a.py": parametrized("db"),
        }
    )
    result, notes = ground.rpytest("-n2")
    assert result.status == 4
    assert said in result.stderr
    assert "hint: " in result.stderr
    assert notes == ()


def test_changed_configuration_is_heard_by_a_warm_session(ground: Ground) -> None:
    ground.project.write(
        {"pyproject.toml": "[tool.rpytest]\n", "conftest.py": DB, "test_a.py": parametrized("db")}
    )
    for text, expected in (
        ("", (("db",), {})),
        ('per_worker_fixtures = ["db"]', ((), {"db": "per_worker_fixtures"})),
        ('session_fixtures = "per-worker"', ((), {"db": 'session_fixtures = "per-worker"'})),
        ("", (("db",), {})),
    ):
        ground.project.write({"pyproject.toml": f"[tool.rpytest]\n{text}\n"})
        result, _ = ground.rpytest("-n2")
        assert announced(result) == expected


@pytest.mark.parametrize("body", ["pass", "assert i != 3"], ids=["passed", "failed"])
def test_junit_of_a_failing_finalizer(ground: Ground, tmp_path: Path, body: str) -> None:
    """The file has the elements and counts that pytest writes."""
    ground.project.write(
        {
            "conftest.py": DB.replace('note("down db")', 'raise ValueError("stays up")'),
            "test_a.py": parametrized("db", body, count=4),
        }
    )

    def elements(file: Path) -> list[object]:
        suite = ElementTree.parse(file).getroot()[0]
        counts = [(name, suite.get(name)) for name in ("errors", "failures", "skipped", "tests")]
        cases = [
            (case.get("name"), [(child.tag, child.get("message")) for child in case])
            for case in suite.iter("testcase")
        ]
        return [*counts, *sorted(cases, key=repr)]

    serial, ours = tmp_path / "serial.xml", tmp_path / "ours.xml"
    result = ground.project.pytest(f"--junitxml={serial}", junit=False, env=ground.env)
    assert result.status == 1, result
    for n in (1, 4):
        result = ground.project.rpytest(f"-n{n}", f"--junitxml={ours}", junit=False, env=ground.env)
        assert result.status == 1, result
        assert elements(ours) == elements(serial)


def test_durations_of_a_set_up(ground: Ground) -> None:
    """The fixture's time is in the first dependant's set-up, as in plain pytest."""
    ground.project.write(
        {
            "conftest.py": "import time\n"
            + DB.replace('note("up db")', 'note("up db"); time.sleep(0.5)'),
            "test_a.py": parametrized("db"),
        }
    )
    result, _ = ground.rpytest("-n4", "--durations=0", "-v")
    (seconds,) = re.findall(
        r"^(\d+\.\d\d)s setup +test_a\.py::test_one\[0\]$", "\n".join(result.lines), re.M
    )
    assert float(seconds) >= 0.5, result


def test_history_does_not_blame_the_first_dependant(ground: Ground) -> None:
    """What the plan expects of a test is without the set-up that happens before the workers."""
    ground.project.write(
        {
            "conftest.py": "import time\n"
            + DB.replace('note("up db")', 'note("up db"); time.sleep(2)'),
            "test_a.py": parametrized("db"),
        }
    )
    run, _ = ground.rpytest("-n2", "--durations=0", "-v")
    shown = re.findall(r"^(\d+\.\d\d)s \w+ +test_a\.py::test_one\[0\]$", "\n".join(run.lines), re.M)
    assert len(shown) == 3, run
    result = ground.project.rpytest(
        "--inventory-status", "-v", "--inventory-format=json", junit=False, env=ground.env
    )
    assert result.status == 0
    (known,) = [
        test["mean"]
        for test in json.loads(result.stdout)["durations"]
        if test["nodeid"].endswith("test_one[0]")
    ]
    # What is shown has the fixture's two seconds in it; the rest is as long as the machine makes
    # it.
    assert known <= sum(map(float, shown)) - 2 + 0.05, (known, run)
