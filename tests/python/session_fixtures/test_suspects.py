"""A failure of a test that uses what all workers share says so, and how each worker gets its
own.
"""

from __future__ import annotations

import pytest

from support.harness import MEETING, Project

CONFTEST = """
import os, pytest, sqlite3

@pytest.fixture(scope="session")
def db(tmp_path_factory):
    path = tmp_path_factory.mktemp("db") / "app.db"
    connection = sqlite3.connect(path)
    connection.execute("create table rows (value)")
    connection.commit()
    connection.close()
    return path

@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    yield tmp_path_factory.mktemp("empty")

@pytest.fixture(scope="session")
def name():
    return f"name-{os.getpid()}"

@pytest.fixture(scope="session")
def broken():
    raise ValueError

@pytest.fixture(scope="session")
def mine(worker_id):
    return worker_id
"""

#: Both workers' tests are there before one of them writes; the second to write fails.
WRITES = """
import sqlite3
import pytest
from meeting import meet

@pytest.mark.parametrize("number", range(2))
def test_rows(db, name, number):
    meet()
    connection = sqlite3.connect(db, timeout=100)
    with connection:
        connection.execute("insert into rows values (?)", [number])
    meet(place="written")
    assert connection.execute("select count(*) from rows").fetchone() == (1,)
    connection.close()
"""

SECTION = "shared session fixtures ==="
HINT = (
    "hint: if each worker needs its own, as under pytest-xdist, say `per_worker_fixtures = {}` "
    "in [tool.rpytest]"
)


def section(text: str) -> list[str]:
    """The lines of the section; it stands right before pytest's short summary."""
    lines = text.splitlines()
    at = [number for number, line in enumerate(lines) if SECTION in line]
    if not at:
        return []
    end = next(number for number, line in enumerate(lines) if "short test summary info" in line)
    return lines[at[0] + 1 : end]


@pytest.mark.parametrize(
    "hook", ["", "def pytest_runtest_logreport(report): pass\n"], ids=["host", "controller"]
)
def test_a_file_that_tests_write_to(project: Project, hook: str) -> None:
    """Named with the fixture that has made it, cold and warm; with the setting it passes."""
    project.write({"conftest.py": CONFTEST + hook, "meeting.py": MEETING, "test_a.py": WRITES})
    for _ in range(2):
        result = project.rpytest("-n2")
        assert result.counts == {"failed": 2}, result
        told = section(result.stdout)
        assert told[0] == (
            "failed tests use the session fixtures `db`, `name`, which all 2 workers share: "
            "test_a.py::test_rows[0], test_a.py::test_rows[1]"
        )
        assert told[1].startswith("tests have written to what `db` has made: ") and told[
            1
        ].endswith("/app.db"), told
        assert told[2:] == [HINT.format('["db"]')]
        assert (
            result.stdout.splitlines()[-1].startswith("=")
            and " in " in result.stdout.splitlines()[-1]
        )
        assert all("per_worker" not in str(case) for case in result.cases or ()), result.cases
    project.write({"pyproject.toml": '[tool.rpytest]\nper_worker_fixtures = ["db"]\n'})
    result = project.rpytest("-n2")
    assert result.counts == {"passed": 2} and not section(result.stdout), result


def test_a_folder_that_tests_write_into(project: Project) -> None:
    """What is new in it counts; its finalizer comes later."""
    test = (
        "def test_{0}(folder):\n    (folder / '{0}').touch()\n"
        "    assert len(list(folder.iterdir())) == 3\n"
    )
    project.write({"conftest.py": CONFTEST, "test_a.py": test.format("a") + test.format("b")})
    told = section(project.rpytest("-n2").stdout)
    assert told[1].startswith("tests have written to what `folder` has made: "), told
    assert told[2:] == [HINT.format('["folder"]')]


def test_nothing_but_a_failure(project: Project) -> None:
    """All that are shared are named where nobody knows more."""
    project.write(
        {
            "conftest.py": CONFTEST,
            "test_a.py": "def test_a(db, name): assert 0\ndef test_b(): assert 0\n",
        }
    )
    assert section(project.rpytest("-n2").stdout) == [
        (
            "failed tests use the session fixtures `db`, `name`, which all 2 workers share: "
            "test_a.py::test_a"
        ),
        HINT.format('["db", "name"]'),
    ]


@pytest.mark.parametrize(
    ("test", "args"),
    [
        ("def test_a(db): pass\ndef test_b(): assert 0\n", ["-n2"]),
        ("def test_a(db): assert 0\ndef test_b(db): pass\n", ["-n1"]),
        ("def test_a(broken): pass\ndef test_b(broken): pass\n", ["-n2"]),
        ("def test_a(mine): assert 0\ndef test_b(mine): assert 0\n", ["-n2"]),
        ("def test_a(db): assert 0\ndef test_b(db): pass\n", ["-n2", "--start-method=bare"]),
        ("def test_a(db): assert 0\ndef test_b(db): pass\n", ["-n2", "--no-summary"]),
    ],
    ids=["another test", "one worker", "the set-up fails", "not shared", "bare", "no summary"],
)
def test_it_is_not_said_of_others(project: Project, test: str, args: list[str]) -> None:
    """Where sharing can't be the reason, the text is pytest's."""
    project.write({"conftest.py": CONFTEST, "test_a.py": test})
    result = project.rpytest(*args)
    assert result.status == 1 and "session fixtures" not in result.stdout, result
