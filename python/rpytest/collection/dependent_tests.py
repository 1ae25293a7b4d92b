"""Tests that a plugin lets depend on others in the same process: they stay together without
`--dist`.

**pytest-steps** makes one test for each step of a function, and keeps the function's state between
them. Apart from the others a step runs the wrong code, and may pass.

**pytest-dependency** skips a test if those that it depends on have not passed in the same process.
What depends on what can also be said in a test's body (`depends`), so it is files that stay
together; all of them where a dependency goes beyond a module.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import pytest

#: The parameters that pytest-steps gives to its tests.
_STEPS = frozenset({"________step_name_", "test_step"})
_WIDE = frozenset({"session", "package"})


def names(items: list[pytest.Item]) -> list[str | None]:
    """For each test the name of what it must stay together with, if anything; empty when no such
    plugin is in use.
    """
    steps = "pytest_steps" in sys.modules
    depends = _dependent_files(items) if "pytest_dependency" in sys.modules else {}
    if not steps and not depends:
        return []
    return [depends.get(file_of(item)) or (_steps_of(item) if steps else None) for item in items]


def file_of(item: pytest.Item) -> str:
    """The file of a test, as its node id begins."""
    return item.nodeid.partition("::")[0]


def _steps_of(item: pytest.Item) -> str | None:
    node: Any = item
    callspec = getattr(node, "callspec", None)
    if callspec is None or not _STEPS & callspec.params.keys():
        return None
    parent = item.parent.nodeid if item.parent is not None else ""
    return f"{parent}::{node.originalname}"


def _dependent_files(items: list[pytest.Item]) -> dict[str, str]:
    """The group by file, of the files with dependencies."""
    files: set[str] = set()
    wide = False
    for item in items:
        marks = list(item.iter_markers("dependency"))
        if marks:
            files.add(file_of(item))
            wide = wide or any(mark.kwargs.get("scope") in _WIDE for mark in marks)
    # Without its option the plugin has been imported, and is not in use.
    with contextlib.suppress(ValueError, KeyError):
        if items and items[0].config.getini("automark_dependency"):
            files = {file_of(item) for item in items}
    return {file: "dependency" if wide else file for file in files}
