"""A collector's nodes, as pytest finds node ids in them."""

from __future__ import annotations

from types import CodeType, SimpleNamespace
from typing import Any

import pytest

from rpytest.pytest_compat import node_list
from rpytest.pytest_compat.node_list import Members

NAMES = [
    *(f"test_{number}" for number in range(40)),
    "test_p[a]",
    "test_p[b]",
    "test_1",
    "test_p",
    "test_q[x[y]",
]


def nodes() -> list[Any]:
    return [SimpleNamespace(name=name) for name in NAMES]


def asked(members: list[Any], parts: list[Any]) -> list[str]:
    """What `reversed` gives to pytest's function, in which the name in question is a local
    variable.
    """
    matchparts = parts
    assert matchparts is not None
    return [node.name for node in reversed(members)]


@pytest.fixture
def by_pytest(monkeypatch: pytest.MonkeyPatch) -> CodeType:
    """The function above is taken for pytest's."""
    monkeypatch.setattr(node_list, "_COLLECT", asked.__code__)
    return asked.__code__


@pytest.mark.usefixtures("by_pytest")
@pytest.mark.parametrize(
    "name", ["test_1", "test_p", "test_p[a]", "test_q", "test_q[x[y]", "nothing"]
)
def test_all_that_may_match(name: str) -> None:
    found = asked(Members(nodes()), [name])
    # As pytest compares: with parameters exactly, without them any.
    assert found == [each for each in reversed(NAMES) if name in (each, each.split("[")[0])]


@pytest.mark.usefixtures("by_pytest")
def test_a_list_that_was_changed() -> None:
    members = Members(nodes())
    assert asked(members, ["test_3"]) == ["test_3"]
    members.append(SimpleNamespace(name="test_3"))
    assert asked(members, ["test_3"]) == ["test_3", "test_3"]
    members[0] = SimpleNamespace(name="test_new")
    assert asked(members, ["test_new"]) == ["test_new"]
    assert asked(members, ["test_0"]) == []


@pytest.mark.usefixtures("by_pytest")
@pytest.mark.parametrize("parts", [[], [3], None])
def test_everything_where_nobody_knows(parts: Any) -> None:
    members = Members(nodes())
    if parts is None:
        assert [node.name for node in reversed(members)] == NAMES[::-1]
    else:
        assert asked(members, parts) == NAMES[::-1]


def test_the_function_of_this_pytest() -> None:
    """Its variable has the name that is looked for; without it everything is as slow as in pytest,
    and right.
    """
    code = pytest.Session.collect.__code__
    assert "matchparts" in code.co_varnames
