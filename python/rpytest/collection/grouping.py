"""Which tests must stay together in one worker, and which run alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rpytest.collection import dependent_tests
from rpytest.collection.dependent_tests import file_of

if TYPE_CHECKING:
    from collections.abc import Callable

#: Modes of `--dist` that keep tests together, by what.
_GROUPED: dict[str, Callable[[pytest.Item], str | None]]


def groups(items: list[pytest.Item], mode: str) -> list[int]:
    """For each test 0, or a number that all tests of its group have; empty when the mode knows no
    groups.
    """
    names = _names(items, mode)
    numbers: dict[str, int] = {}
    return [0 if name is None else numbers.setdefault(name, len(numbers) + 1) for name in names]


def _names(items: list[pytest.Item], mode: str) -> list[str | None]:
    if mode == "each":
        return []
    name_of = _GROUPED.get(mode)
    dependent = dependent_tests.names(items)
    if name_of is None:
        return dependent
    found = [name_of(item) for item in items]
    # Without a mark `loadgroup` says nothing of a test.
    return (
        [one or other for one, other in zip(found, dependent, strict=True)] if dependent else found
    )


def serial(items: list[pytest.Item]) -> list[int]:
    """The numbers of the tests with the mark `serial`."""
    return [
        number for number, item in enumerate(items) if item.get_closest_marker("serial") is not None
    ]


def _scope(item: pytest.Item) -> str:
    # The id is not split at its last `::`, which may be within a parameter.
    scope: Any = item.getparent(pytest.Class)
    return scope.nodeid if scope is not None else file_of(item)


def _marked(item: pytest.Item) -> str | None:
    names = {
        str(mark.args[0] if mark.args else mark.kwargs.get("name", "default"))
        for mark in item.iter_markers("xdist_group")
    }
    return "_".join(sorted(names)) if names else None


_GROUPED = {"loadfile": file_of, "loadscope": _scope, "loadgroup": _marked}
