"""What tests learn from the garbage collector: in forks it does not look at what was there before them, and must not tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import Project

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
        assert shared_project.rpytest("-n2", "--start-method", method, cwd=folder).outcomes == expected


def test_in_one_process(shared_project: Project, folder: Path) -> None:
    shared_project.fill(folder, {"test_a.py": _TEST})
    assert shared_project.rpytest("-n0", cwd=folder).outcomes == shared_project.pytest(cwd=folder).outcomes
