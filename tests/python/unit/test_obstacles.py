"""What stands against sharing a session fixture, before it is set up."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from rpytest.fixtures.eligibility import Settings, inherited_obstacle, own_obstacle


@dataclass
class Need:
    """As `rpytest.fixtures.closures.Need`, as far as it is looked at."""

    name: str
    definition: Any
    requests: list[Need] = field(default_factory=list)
    dependants: list[int] = field(default_factory=list)
    is_builtin: bool = False
    is_forced: bool = False
    obstacle: str | None = None


class Needs:
    def __init__(self, params: list[Any], skipped: set[int]) -> None:
        self.params = params
        self.skipped = skipped

    def item(self, number: int) -> Any:
        return types.SimpleNamespace(callspec=types.SimpleNamespace(params=self.params[number]))

    def is_skipped(self, number: int) -> bool:
        return number in self.skipped


def plain() -> int:
    return 1


def wants() -> int:
    return 1


def does_not_want() -> int:
    return 1


wants.rpytest_shared = True  # type: ignore[attr-defined]
does_not_want.rpytest_shared = False  # type: ignore[attr-defined]


async def coroutine() -> int:
    return 1


async def generator() -> AsyncIterator[int]:
    yield 1


def need(
    function: Callable[..., Any] = plain, name: str = "value", params: list[Any] | None = None, **more: Any
) -> Any:
    return Need(name, types.SimpleNamespace(func=function, params=params, scope=more.pop("scope", "session")), **more)


def look(one: Any, message: dict[str, Any] | None = None, **tests: Any) -> str | None:
    needs: Any = Needs(tests.get("params", []), tests.get("skipped", set()))
    return own_obstacle(one, needs, Settings(message or {}), lambda _: tests.get("remembered"))


@pytest.mark.parametrize(
    ("function", "message", "obstacle", "forced"),
    [
        (plain, {}, None, False),
        (plain, {"per_worker_fixtures": ["value"]}, "per_worker_fixtures", False),
        (plain, {"shared_fixtures": ["value"]}, None, True),
        (plain, {"shared_fixtures": ["value"], "per_worker_fixtures": ["value"]}, "per_worker_fixtures", False),
        (plain, {"session_fixtures": "per-worker"}, 'session_fixtures = "per-worker"', False),
        (plain, {"session_fixtures": "per-worker", "shared_fixtures": ["value"]}, None, True),
        (wants, {}, None, True),
        (does_not_want, {}, "rpytest_shared = False", False),
        # The project's settings come before what the fixture says.
        (does_not_want, {"shared_fixtures": ["value"]}, None, True),
        (coroutine, {}, "async", False),
        (generator, {}, "async", False),
        (coroutine, {"shared_fixtures": ["value"]}, "async", True),
    ],
)
def test_wishes(function: Callable[..., Any], message: dict[str, Any], obstacle: str | None, forced: bool) -> None:
    one = need(function)
    assert look(one, message) == obstacle
    assert one.is_forced == forced


def test_what_was_remembered_counts_unless_the_user_insists() -> None:
    assert look(need(), remembered="it has bound a socket") == "it has bound a socket"
    assert look(need(wants), remembered="it has bound a socket") is None


@pytest.mark.parametrize(
    ("own", "params", "skipped", "obstacle"),
    [
        (None, [], set(), None),
        ([1], [{"value": 1}, {"value": 1}], set(), None),
        ([1, 2], [{"value": 1}, {"value": 2}], set(), "parametrized"),
        ([1, 2], [{"value": 1}, {"value": 1}], set(), None),
        ([1, 2], [{"value": 1}, {"value": 2}], {1}, None),
        ([1, 2], [{"value": 1}, {"value": 2}, {"value": 1}], {1}, None),
        (None, [{"value": 1}, {"value": 2}], set(), "parametrized"),
    ],
)
def test_parameters(own: list[Any] | None, params: list[Any], skipped: set[int], obstacle: str | None) -> None:
    assert look(need(params=own, dependants=list(range(len(params)))), params=params, skipped=skipped) == obstacle


def test_inherited() -> None:
    bad = need(name="bad", obstacle="async")
    middle = need(name="middle", requests=[bad])
    assert inherited_obstacle(need(requests=[middle]), set()) == "requests bad"
    assert inherited_obstacle(need(requests=[need(name="own", scope="function")]), set()) == "requests own"
    assert inherited_obstacle(need(requests=[need(name="good")]), set()) is None
    said = need(name="bad", obstacle="requests worker_id")
    assert inherited_obstacle(need(requests=[said]), set()) == "requests worker_id"


def test_fixtures_that_request_each_other_have_an_end() -> None:
    one, other = need(name="one"), need(name="other")
    one.requests.append(other)
    other.requests.append(one)
    assert inherited_obstacle(one, set()) is None
