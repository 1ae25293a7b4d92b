"""What tests learn from the garbage collector: in forks it does not look at what was there before
them, and must not tell.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.harness import Project

_TEST = """
import gc
from gc import get_referrers
import pytest

class Held: pass
HELD = Held()
HOLDER = {"held": HELD}

@pytest.fixture(scope="session")
def shared(): return [Held()]

def test_referrers():
    found = gc.get_referrers(HELD)
    assert any(each is HOLDER for each in found) and any(each is globals() for each in found)
    assert len(found) == 2

def test_by_another_name():
    assert any(each is HOLDER for each in get_referrers(HELD))

def test_objects():
    assert any(each is HOLDER for each in gc.get_objects())

def test_old_objects():
    gc.collect()
    assert any(each is HOLDER for each in gc.get_objects(generation=2))

def test_shared(shared):
    assert any(each is shared for each in gc.get_referrers(shared[0]))

def test_again(shared):
    assert gc.get_referrers(Held) and any(each is shared for each in gc.get_objects())
"""


@pytest.mark.parametrize("method", ["collected", "imported", "bare"])
def test_what_is_alive_is_found(shared_project: Project, folder: Path, method: str) -> None:
    shared_project.fill(folder, {"test_a.py": _TEST, "test_b.py": _TEST})
    expected = shared_project.pytest(cwd=folder).outcomes
    assert set(expected.values()) == {"passed"}
    for _ in range(2):
        assert (
            shared_project.rpytest("-n2", "--start-method", method, cwd=folder).outcomes == expected
        )


_BUFFERED = """
import gc
import pytest

LOG = open("log.txt", "w")
LOG.write("header\\n")

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    if ASKS: gc.get_objects()
    LOG.write(f"{number}\\n")
"""


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("method", ["collected", "imported", "bare"])
def test_buffered_files_are_written_once(project: Project, method: str, asks: bool) -> None:
    project.write(test_a=_BUFFERED.replace("ASKS", str(asks)))
    assert project.pytest().status == 0
    expected = (project.path / "log.txt").read_text().splitlines()
    assert project.rpytest("-n1", "--start-method", method, "--no-daemon").status == 0
    assert (project.path / "log.txt").read_text().splitlines() == expected
    # Each `bare` worker opens it anew.
    if method != "bare":
        assert project.rpytest("-n2", "--start-method", method, "--no-daemon").status == 0
        assert sorted((project.path / "log.txt").read_text().splitlines()) == sorted(expected)


@pytest.mark.parametrize(
    "made",
    [
        "import multiprocessing\nMADE = multiprocessing.RLock()",
        "import sqlite3\nMADE = sqlite3.connect(':memory:')",
    ],
    ids=["lock", "sqlite"],
)
def test_a_set_up_that_asks_is_shared(project: Project, made: str) -> None:
    project.write(
        conftest=f"""import gc, os, pytest
{made}
@pytest.fixture(scope="session")
def shared():
    gc.get_referrers(MADE)
    with open("set-ups", "a") as file: file.write("1")
""",
        test_a="""import pytest
@pytest.mark.parametrize("number", range(8))
def test_it(shared, number): pass
""",
    )
    for times in (1, 2):
        assert project.rpytest("-n2").counts == {"passed": 8}
        assert (project.path / "set-ups").read_text() == "1" * times


def test_in_one_process(shared_project: Project, folder: Path) -> None:
    shared_project.fill(folder, {"test_a.py": _TEST})
    assert (
        shared_project.rpytest("-n0", cwd=folder).outcomes
        == shared_project.pytest(cwd=folder).outcomes
    )
