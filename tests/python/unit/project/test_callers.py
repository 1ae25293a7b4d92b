"""Who does something, by the frames of the call."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from rpytest.project import callers

#: Files of the project, of Python's library, of an installed package and of one that is installed
#: elsewhere.
PROJECT = "/p/test_a.py"
PYTHON = sysconfig.get_path("stdlib") + "/x.py"
PACKAGE = sysconfig.get_path("purelib") + "/x/__init__.py"
ELSEWHERE = "/other/lib/python3/site-packages/x.py"
FROZEN = "<frozen x>"

Call = tuple[str, str]


def ask(calls: list[Call], question: Callable[[Any], Any]) -> Any:
    """Ask about the frame of the last of these calls, each by the name of a module and a file, of a
    function `f`.
    """

    def last() -> Any:
        return question(sys._getframe(1))

    function = last
    for name, file in reversed(calls):
        contents: dict[str, Any] = {"__name__": name, "function": function}
        exec(compile("def f(): return function()", file, "exec"), contents)
        function = contents["f"]
    return function()


@pytest.mark.parametrize(
    ("calls", "is_asked", "is_of_project", "is_for_python"),
    [
        ([("test_a", PROJECT)], True, True, False),
        # Through helpers.
        ([("test_a", PROJECT), ("pathlib", PYTHON), ("os", FROZEN)], True, True, False),
        ([("test_a", PROJECT), ("importlib.resources._common", PYTHON)], True, True, False),
        # Python and pytest for themselves.
        ([("test_a", PROJECT), ("importlib._bootstrap", FROZEN)], False, False, True),
        ([("test_a", PROJECT), ("linecache", PYTHON), ("os", FROZEN)], False, False, True),
        ([("test_a", PROJECT), ("_pytest.pathlib", PACKAGE)], False, False, True),
        ([("test_a", PROJECT), ("_pytest", PACKAGE), ("posixpath", FROZEN)], False, False, True),
        # Others want to know, and are not the project.
        ([("test_a", PROJECT), ("subprocess", PYTHON)], True, False, False),
        ([("test_a", PROJECT), ("x", PACKAGE)], True, False, False),
        ([("x", PACKAGE), ("test_a", PROJECT)], True, True, False),
        # A package counts with what is in it; other names only begin like it.
        ([("rpytest.worker", PROJECT)], False, False, True),
        ([("pytest_plugin", PROJECT)], True, True, False),
        ([("posixpath_of_mine", PROJECT)], True, True, False),
    ],
)
def test_who_asks(
    calls: list[Call], is_asked: bool, is_of_project: bool, is_for_python: bool
) -> None:
    assert ask(calls, callers.is_asked_by_others) is is_asked
    assert ask(calls, callers.is_of_project) is is_of_project
    assert ask(calls, callers.is_for_python) is is_for_python


def test_what_was_called() -> None:
    """The outermost of the helpers is what the asker has called."""

    def names(frame: FrameType) -> tuple[str, str]:
        function, who = callers.asker(frame)
        assert who is not None
        return function, who.f_globals["__name__"]

    assert ask([("test_a", PROJECT)], names) == ("", "test_a")
    assert ask([("test_a", PROJECT), ("glob", PYTHON), ("os", FROZEN)], names) == ("f", "test_a")


def test_nobody() -> None:
    assert callers.asker(None) == ("", None)
    assert not callers.acts_for_project(None)


@pytest.mark.parametrize(
    ("calls", "acts"),
    [
        ([("test_a", PROJECT)], True),
        ([("test_a", "<string>")], True),
        # Be it through Python's library.
        ([("test_a", PROJECT), ("subprocess", PYTHON), ("os", FROZEN)], True),
        ([("x", PACKAGE), ("subprocess", PYTHON)], False),
        # A package for itself, even if the project has called it.
        ([("test_a", PROJECT), ("x", PACKAGE)], False),
        ([("test_a", PROJECT), ("x", ELSEWHERE)], False),
        ([("x", PACKAGE), ("test_a", PROJECT)], True),
        # The import system reads and writes byte code.
        ([("test_a", PROJECT), ("importlib._bootstrap_external", FROZEN)], False),
        ([("test_a", PROJECT), ("importlib.util", PYTHON), ("os", FROZEN)], False),
        # pytest and this package, wherever they lie.
        ([("test_a", PROJECT), ("_pytest.runner", "/src/pytest/runner.py")], False),
        ([("rpytest.worker", "/src/rpytest/worker.py"), ("os", FROZEN)], False),
        ([("pytest_of_mine", PROJECT)], True),
    ],
)
def test_who_acts(calls: list[Call], acts: bool) -> None:
    assert ask(calls, callers.acts_for_project) is acts
