"""Tests that plugins let depend on each other, and what their groups are with and without a mode of
distribution.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rpytest.collection import dependent_tests, grouping
from support import inner_session

CONFTEST = """
def pytest_addoption(parser):
    parser.addini("automark_dependency", "", type="bool", default=False)
"""
STEPS = """
import pytest
steps = pytest.mark.parametrize("test_step", ["a", "b"])
old_steps = pytest.mark.parametrize("________step_name_", ["a", "b"])
@steps
def test_one(test_step): pass
@old_steps
def test_two(________step_name_): pass
class TestX:
    @steps
    @pytest.mark.parametrize("more", [1, 2])
    def test_one(self, test_step, more): pass
@pytest.mark.parametrize("step", ["a"])
def test_other(step): pass
def test_plain(): pass
"""
DEPENDS = """
import pytest
@pytest.mark.dependency
def test_1(): pass
@pytest.mark.dependency(depends=["test_1"] {more})
@pytest.mark.xdist_group("own")
def test_2(): pass
def test_3(): pass
"""


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[pytest.Item]]:
    folder = tmp_path_factory.mktemp("dependent")
    inner_session.write(
        folder,
        conftest=CONFTEST,
        test_steps=STEPS,
        test_depends=DEPENDS.format(more=""),
        test_other="def test_1(): pass",
    )
    with inner_session.collected(folder, ini="markers =\n  dependency\n  xdist_group") as session:
        yield session.items


@pytest.fixture
def _steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest_steps", ModuleType("pytest_steps"))


@pytest.fixture
def _dependency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest_dependency", ModuleType("pytest_dependency"))


def by_id(items: list[pytest.Item]) -> dict[str, str | None]:
    """What each test must stay with, if there is anything to know."""
    found = dependent_tests.names(items)
    return dict(zip((item.nodeid for item in items), found, strict=bool(found)))


def test_without_the_plugins(items: list[pytest.Item]) -> None:
    assert dependent_tests.names(items) == []
    assert grouping.groups(items, "load") == []


@pytest.mark.usefixtures("_steps")
def test_steps(items: list[pytest.Item]) -> None:
    """All of one function, with whatever other parameters."""
    assert by_id(items) == {
        "test_depends.py::test_1": None,
        "test_depends.py::test_2": None,
        "test_depends.py::test_3": None,
        "test_other.py::test_1": None,
        "test_steps.py::test_one[a]": "test_steps.py::test_one",
        "test_steps.py::test_one[b]": "test_steps.py::test_one",
        "test_steps.py::test_two[a]": "test_steps.py::test_two",
        "test_steps.py::test_two[b]": "test_steps.py::test_two",
        "test_steps.py::TestX::test_one[1-a]": "test_steps.py::TestX::test_one",
        "test_steps.py::TestX::test_one[1-b]": "test_steps.py::TestX::test_one",
        "test_steps.py::TestX::test_one[2-a]": "test_steps.py::TestX::test_one",
        "test_steps.py::TestX::test_one[2-b]": "test_steps.py::TestX::test_one",
        "test_steps.py::test_other[a]": None,
        "test_steps.py::test_plain": None,
    }


@pytest.mark.usefixtures("_dependency")
def test_dependencies(items: list[pytest.Item]) -> None:
    """All tests of the file: what they depend on may be said within them."""
    found = by_id(items)
    assert {name for name, group in found.items() if group is not None} == {
        f"test_depends.py::test_{number}" for number in (1, 2, 3)
    }
    assert set(found.values()) == {None, "test_depends.py"}


@pytest.mark.usefixtures("_dependency", "_steps")
def test_a_dependency_comes_before_steps(items: list[pytest.Item]) -> None:
    found = by_id(items)
    assert found["test_depends.py::test_3"] == "test_depends.py"
    assert found["test_steps.py::test_two[a]"] == "test_steps.py::test_two"


@pytest.mark.usefixtures("_dependency")
@pytest.mark.parametrize("scope", ["module", "class", "package", "session"])
def test_a_dependency_beyond_a_module(tmp_path: Path, scope: str) -> None:
    """Then it is all files with dependencies, and still no others."""
    inner_session.write(
        tmp_path,
        conftest=CONFTEST,
        test_a=DEPENDS.format(more=f", scope='{scope}'"),
        test_b=DEPENDS.format(more=""),
        test_c="def test_1(): pass",
    )
    with inner_session.collected(tmp_path, ini="markers =\n  dependency\n  xdist_group") as session:
        found = dependent_tests.names(session.items)
    if scope in ("package", "session"):
        assert found == ["dependency"] * 6 + [None]
    else:
        assert found == ["test_a.py"] * 3 + ["test_b.py"] * 3 + [None]


@pytest.mark.usefixtures("_dependency")
@pytest.mark.parametrize(
    ("conftest", "ini", "wanted"),
    [
        (CONFTEST, "automark_dependency = true", ["test_a.py", "test_b.py"]),
        (CONFTEST, "automark_dependency = false", []),
        # Imported, and not in use.
        ("", "", []),
    ],
)
def test_every_test_is_marked(tmp_path: Path, conftest: str, ini: str, wanted: list[str]) -> None:
    text = "def test_1(): pass"
    inner_session.write(tmp_path, conftest=conftest, test_a=text, test_b=text)
    with inner_session.collected(tmp_path, ini=ini) as session:
        assert dependent_tests.names(session.items) == wanted


@pytest.mark.usefixtures("_dependency", "_steps")
def test_no_tests() -> None:
    assert dependent_tests.names([]) == []
    assert grouping.groups([], "load") == []


@pytest.mark.usefixtures("_dependency")
@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("load", [1, 1, 1, 0]),
        ("worksteal", [1, 1, 1, 0]),
        ("no", [1, 1, 1, 0]),
        # Each worker has all of them.
        ("each", []),
        ("loadfile", [1, 1, 1, 2]),
        # A mark says more; without one it says nothing.
        ("loadgroup", [1, 2, 1, 0]),
    ],
)
def test_groups(items: list[Any], mode: str, wanted: list[int]) -> None:
    assert grouping.groups(items[:4], mode) == wanted


def test_the_file_of_a_test(items: list[pytest.Item]) -> None:
    assert {dependent_tests.file_of(item) for item in items} == {
        "test_depends.py",
        "test_other.py",
        "test_steps.py",
    }
