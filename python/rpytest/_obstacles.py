"""What stands against sharing a session fixture that is known before it is set up: the user's wish, a plugin's ways, parameters, what it requests."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from rpytest._closures import module_of

if TYPE_CHECKING:
    from rpytest._closures import Need

#: A fixture function can say by this attribute, on itself or on what `pytest.fixture` has made of it, what it wants.
ATTRIBUTE = "rpytest_shared"

#: Fixtures of plugins that must be made in the process that uses them: names, or all of a plugin's.
_OF_EACH_WORKER: dict[str, frozenset[str] | None] = {
    "pytest_django": frozenset(
        {
            "django_db_setup",
            "django_db_modify_db_settings",
            "django_db_modify_db_settings_parallel_suffix",
            "django_db_modify_db_settings_tox_suffix",
            "django_db_modify_db_settings_xdist_suffix",
            "live_server",
        }
    ),
    "pytest_asyncio": None,
    "pytest_trio": None,
    "pytest_twisted": None,
    "pytest_playwright": None,
    "xdist": None,
}

_NOT_THERE: Any = object()


class Tests(Protocol):
    """The planned tests, by their numbers."""

    def item(self, number: int) -> pytest.Item:
        """The test with a number."""

    def is_skipped(self, number: int) -> bool:
        """Whether a mark keeps the test from running."""


class Settings:
    """What `[tool.rpytest]` says about session fixtures."""

    def __init__(self, message: dict[str, Any]) -> None:
        self.per_worker_only = message.get("session_fixtures") == "per-worker"
        self.shared = frozenset(message.get("shared_fixtures") or ())
        self.per_worker = frozenset(message.get("per_worker_fixtures") or ())


def own_obstacle(
    need: Need,
    tests: Tests,
    settings: Settings,
    remembered: Callable[[pytest.FixtureDef[Any]], str | None],
) -> str | None:
    """What stands against sharing it, whatever it depends on; ``remembered`` is what earlier set-ups have shown. Notes whether the user insists."""
    definition = need.definition
    if need.name in settings.per_worker:
        return "per_worker_fixtures"
    need.is_forced = need.name in settings.shared
    if settings.per_worker_only and not (need.is_forced or need.is_builtin):
        return 'session_fixtures = "per-worker"'
    function = inspect.unwrap(definition.func)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "async"
    if _has_several_parameters(need, tests):
        return "parametrized"
    if need.name == "worker_id" and module_of(definition).startswith("rpytest"):
        return "requests worker_id"
    if need.is_forced or need.is_builtin:
        return None
    wish = _wish(definition)
    if wish is not None:
        need.is_forced = wish
        return None if wish else f"{ATTRIBUTE} = False"
    plugin = module_of(definition).split(".")[0]
    if plugin in _OF_EACH_WORKER:
        names = _OF_EACH_WORKER[plugin]
        if names is None or need.name in names:
            return f"{plugin} makes one for each worker"
    return remembered(definition)


def _has_several_parameters(need: Need, tests: Tests) -> bool:
    """Whether two tests request it with different parameters."""
    first: Any = _NOT_THERE
    if need.definition.params is not None and len(need.definition.params) < 2:
        return False
    for number in need.dependants:
        callspec = getattr(tests.item(number), "callspec", None)
        value = None if callspec is None else callspec.params.get(need.name)
        if value is first or (value is None and first is _NOT_THERE and need.definition.params is None):
            continue
        if tests.is_skipped(number):
            continue
        if first is _NOT_THERE:
            first = value
        elif not _equal(first, value):
            return True
    return False


def inherited_obstacle(need: Need, seen: set[int]) -> str | None:
    """What stands against something that it depends on; ``seen`` are those that were looked at, by identity."""
    if id(need) in seen:
        return None
    seen.add(id(need))
    for requested in need.requests:
        deeper = inherited_obstacle(requested, seen)
        if deeper is not None:
            return deeper
        if requested.obstacle is not None:
            own = requested.obstacle
            return own if own.startswith(("requests ", "session_fixtures ")) else f"requests {requested.name}"
        if requested.definition.scope != "session":
            # pytest's error about scopes, in the test where it belongs.
            return f"requests {requested.name}"
    return None


def _wish(definition: pytest.FixtureDef[Any]) -> bool | None:
    """What the fixture says itself by :data:`ATTRIBUTE`."""
    function: Any = definition.func
    holders = [function, inspect.unwrap(function)]
    with contextlib.suppress(AttributeError):
        # pytest 8.4 and newer give a name in a module or class another object than the function.
        found: Any = sys.modules.get(function.__module__)
        for part in function.__qualname__.split("."):
            found = vars(found)[part] if isinstance(found, type) else getattr(found, part)
        holders.append(found)
    for holder in holders:
        with contextlib.suppress(Exception):
            value = getattr(holder, ATTRIBUTE, None)
            if value is not None:
                return bool(value)
    return None


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        return bool(one == other)
    except Exception:
        return False
