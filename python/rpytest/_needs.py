"""Which session fixtures the tests of a run need, and which of them one process can set up for all workers."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any

import pytest
from _pytest import skipping
from _pytest.fixtures import SubRequest
from _pytest.scope import Scope

#: A fixture function can say by this attribute, on itself or on what `pytest.fixture` has made of it, what it wants.
ATTRIBUTE = "rpytest_shared"

#: pytest's and our own: nothing of a project's is in their values.
_OURS = ("_pytest", "rpytest")

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


class Settings:
    """What `[tool.rpytest]` says about session fixtures."""

    def __init__(self, message: dict[str, Any]) -> None:
        self.per_worker_only = message.get("session_fixtures") == "per-worker"
        self.shared = frozenset(message.get("shared_fixtures") or ())
        self.per_worker = frozenset(message.get("per_worker_fixtures") or ())


class Need:
    """A session fixture that tests of this run request."""

    def __init__(self, definition: pytest.FixtureDef[Any]) -> None:
        self.definition = definition
        self.name = definition.argname
        #: Numbers of the tests that have it set up themselves (not through another session fixture), ascending.
        self.dependants: list[int] = []
        #: For each closure, by identity: when pytest sets the fixture up, and how deep it is among those of its name.
        self.places: dict[int, tuple[int, int]] = {}
        #: What it depends on.
        self.requests: list[Need] = []
        #: Why it can't be shared.
        self.obstacle: str | None = None
        #: The user wants it shared, whatever it looks like.
        self.is_forced = False
        #: It was set up, and its set-up raised.
        self.is_up = False
        self.has_failed = False

    @property
    def is_builtin(self) -> bool:
        """Whether it is pytest's or ours."""
        return _module(self.definition).split(".")[0] in _OURS


def _module(definition: pytest.FixtureDef[Any]) -> str:
    return str(getattr(definition.func, "__module__", "") or "")


#: The session fixtures in the closure of a test, in pytest's order: each definition, and how deep it is among those of its name.
Closure = tuple[tuple["pytest.FixtureDef[Any]", int], ...]


class Closures:
    """The session fixtures of each test: found once for a session, as far as it has been collected."""

    def __init__(self, interesting: set[str] | _Everything) -> None:
        self.interesting = interesting
        #: By identity of the list of names, which the tests of one function share; it is kept, so that no other has its identity.
        self._known: dict[int, tuple[list[str], Closure]] = {}
        #: Equal closures are one object.
        self._equal: dict[tuple[tuple[int, int], ...], Closure] = {}

    def of(self, item: Any) -> Closure:
        """The closure of a test."""
        names = getattr(item, "fixturenames", None)
        known = self._known.get(id(names))
        if known is not None and known[0] is names:
            return known[1]
        closure = self._find(item, names) if names else ()
        closure = self._equal.setdefault(tuple((id(definition), depth) for definition, depth in closure), closure)
        if names:
            self._known[id(names)] = (names, closure)
        return closure

    def _find(self, item: Any, names: list[str]) -> Closure:
        if self.interesting.isdisjoint(names):
            return ()
        definitions = _definitions(item)
        return tuple(
            (definitions[name][-depth], depth)
            for name in names
            if name in self.interesting and (depth := _session_depth(definitions, name))
        )


_CLOSURES = pytest.StashKey[Closures]()


def closures(session: pytest.Session) -> Closures:
    """What is known of a session."""
    interesting = _interesting(session)
    known = session.config.stash.get(_CLOSURES, None)
    if known is None or known.interesting != interesting:
        known = session.config.stash[_CLOSURES] = Closures(interesting)
    return known


class Needs:
    """The session fixtures of the planned tests."""

    def __init__(
        self,
        session: pytest.Session,
        planned: Sequence[int],
        settings: Settings,
        remembered: Callable[[pytest.FixtureDef[Any]], str | None],
    ) -> None:
        self.items = session.items
        self.settings = settings
        self.remembered = remembered
        self._needs: dict[int, Need] = {}
        self._skipped: dict[int, bool] = {}
        #: Those of each closure, in the order in which pytest sets them up.
        self._at: dict[int, list[Need]] = {}
        self._closures = closures(session)
        if self._closures.interesting:
            self._find(planned)
            for need in self._needs.values():
                need.obstacle = self._obstacle(need)
            for need in self._needs.values():
                need.obstacle = need.obstacle or _inherited_obstacle(need, set())

    def item(self, number: int) -> pytest.Item:
        """The test with a number; under `--dist each` every worker has its own numbers."""
        return self.items[number % len(self.items)]

    def __iter__(self) -> Iterator[Need]:
        """All that the user would call a session fixture of theirs."""
        return (need for need in self._needs.values() if not need.is_builtin and self.is_live(need))

    def of(self, definition: object) -> Need | None:
        """The need for a fixture, if a planned test requests it in a way that is known before it runs."""
        return self._needs.get(id(definition))

    def shareable(self) -> list[Need]:
        """Those that can be set up before there are workers."""
        return [need for need in self if need.obstacle is None]

    # Finding

    def _find(self, planned: Iterable[int]) -> None:
        groups: dict[int, list[int]] = {}
        of, items, count = self._closures.of, self.items, len(self.items)
        for number in planned:
            closure = of(items[number % count])
            if closure:
                groups.setdefault(id(closure), []).append(number)
        for key, numbers in groups.items():
            item = self.item(numbers[0])
            definitions = _definitions(item)
            depths = {}
            asked = []
            for definition, depth in of(item):
                need = self._need(definitions, definition.argname, depth)
                depths[id(need)] = depth
                asked.append(need)
            self._at[key] = [need for need in _in_order_of_set_up(asked) if id(need) in depths]
            for position, need in enumerate(self._at[key]):
                need.places[key] = (position, depths[id(need)])
                need.dependants.extend(numbers)
        if len(groups) > 1:
            for need in self._needs.values():
                need.dependants.sort()

    def _key(self, number: int) -> int:
        return id(self._closures.of(self.item(number)))

    def _need(self, definitions: dict[str, Any], name: str, depth: int) -> Need:
        definition = definitions[name][-depth]
        need = self._needs.get(id(definition))
        if need is None:
            need = self._needs[id(definition)] = Need(definition)
            for argument in definition.argnames:
                deeper = depth + 1 if argument == name else 1
                known = definitions.get(argument) or ()
                if argument != "request" and deeper <= len(known):
                    need.requests.append(self._need(definitions, argument, deeper))
        return need

    # Who needs it

    def is_skipped(self, number: int) -> bool:
        """Whether a mark that can be judged before anything is set up keeps the test from running."""
        known = self._skipped.get(number)
        if known is None:
            known = self._skipped[number] = _is_skipped(self.item(number))
        return known

    def is_live(self, need: Need) -> bool:
        """Whether a test will have it set up."""
        return self.first(need) is not None

    def first(self, need: Need) -> int | None:
        """The first test, as collected, that will have it set up."""
        return next((number for number in need.dependants if self._wants(number, need)), None)

    def last(self, need: Need, has_run: Container[int] | None = None) -> int | None:
        """The last test that requests it, as collected; of those that have run, if they are known."""
        for number in reversed(need.dependants):
            if (has_run is None or number in has_run) and not self.is_skipped(number):
                return number
        return None

    def _wants(self, number: int, need: Need) -> bool:
        if self.is_skipped(number):
            return False
        key = self._key(number)
        position, _ = need.places[key]
        # After a fixture that has failed pytest sets up no other for this test.
        return not any(other.has_failed and other.places[key][0] < position for other in self._at[key])

    def next_set_up(self, shareable: Sequence[Need]) -> tuple[int, Need] | None:
        """What pytest would set up next, in a serial run, and for which test."""
        best: tuple[int, int, Need] | None = None
        for need in shareable:
            number = None if need.is_up else self.first(need)
            if number is None:
                continue
            position, _ = need.places[self._key(number)]
            if best is None or (number, position) < best[:2]:
                best = (number, position, need)
        return None if best is None else (best[0], best[2])

    # What stands against sharing it

    def _obstacle(self, need: Need) -> str | None:
        definition, settings = need.definition, self.settings
        if need.name in settings.per_worker:
            return "per_worker_fixtures"
        need.is_forced = need.name in settings.shared
        if settings.per_worker_only and not (need.is_forced or need.is_builtin):
            return 'session_fixtures = "per-worker"'
        function = inspect.unwrap(definition.func)
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            return "async"
        if self._has_several_parameters(need):
            return "parametrized"
        if need.name == "worker_id" and _module(definition).startswith("rpytest"):
            return "requests worker_id"
        if need.is_forced or need.is_builtin:
            return None
        wish = _wish(definition)
        if wish is not None:
            need.is_forced = wish
            return None if wish else f"{ATTRIBUTE} = False"
        plugin = _module(definition).split(".")[0]
        if plugin in _OF_EACH_WORKER:
            names = _OF_EACH_WORKER[plugin]
            if names is None or need.name in names:
                return f"{plugin} makes one for each worker"
        return self.remembered(definition)

    def _has_several_parameters(self, need: Need) -> bool:
        """Whether two tests request it with different parameters."""
        first: Any = _NOT_THERE
        if need.definition.params is not None and len(need.definition.params) < 2:
            return False
        for number in need.dependants:
            callspec = getattr(self.item(number), "callspec", None)
            value = None if callspec is None else callspec.params.get(need.name)
            if value is first or (value is None and first is _NOT_THERE and need.definition.params is None):
                continue
            if self.is_skipped(number):
                continue
            if first is _NOT_THERE:
                first = value
            elif not _equal(first, value):
                return True
        return False

    # Setting up

    def request(self, number: int, need: Need) -> SubRequest:
        """A request for the fixture by a test."""
        item: Any = self.item(number)
        item._initrequest()
        definitions = _definitions(item)
        _, depth = need.places[self._key(number)]
        request = item._request
        for level in range(1, depth + 1):
            definition = definitions[need.name][-level]
            callspec = getattr(item, "callspec", None)
            scope = definition._scope
            parameter: tuple[Any, int] | None = None
            if callspec is not None and need.name in callspec.params:
                parameter = (callspec.params[need.name], callspec.indices[need.name])
                scope = callspec._arg2scope[need.name]
            if level < depth:
                # Stands for the fixture that overrides it.
                scope = Scope.Function
            request = _sub_request(request, scope, parameter, definition)
        return request  # type: ignore[no-any-return]


def _in_order_of_set_up(asked: Iterable[Need]) -> list[Need]:
    """Whoever comes first has what it requests set up before it, wherever that stands in the closure."""
    order: dict[int, Need] = {}

    def visit(need: Need) -> None:
        if id(need) not in order:
            for requested in need.requests:
                visit(requested)
            order[id(need)] = need

    for need in asked:
        visit(need)
    return list(order.values())


def _sub_request(
    request: Any, scope: Scope, parameter: tuple[Any, int] | None, definition: pytest.FixtureDef[Any]
) -> SubRequest:
    from _pytest.compat import NOTSET

    value, index = parameter if parameter is not None else (NOTSET, 0)
    return SubRequest(request, scope, value, index, definition, _ispytest=True)


class _Everything:
    """Of a pytest whose tables look otherwise: any name may be a session fixture's."""

    def __contains__(self, name: object) -> bool:
        return True

    def isdisjoint(self, _names: object) -> bool:
        """As of a set."""
        return False


_EVERYTHING = _Everything()


def _interesting(session: pytest.Session) -> set[str] | _Everything:
    """Names of session fixtures that are neither pytest's nor ours."""
    found = session_definitions(session)
    return _EVERYTHING if found is None else {definition.argname for definition in found}


def session_definitions(session: pytest.Session) -> list[pytest.FixtureDef[Any]] | None:
    """The session fixtures that are neither pytest's nor ours; `None` where pytest keeps them in a way that we don't know."""
    manager: Any = session._fixturemanager
    found: list[pytest.FixtureDef[Any]] = []
    # One table before pytest 9.1, two of tables by node since.
    flat = getattr(manager, "_arg2fixturedefs", None)
    nested = [getattr(manager, name, None) for name in ("_arg2node2fixturedefs", "_arg2nodeid2fixturedefs")]
    if flat is None and None in nested:
        return None
    for definitions in (flat or {}).values():
        found += filter(_is_of_project, definitions)
    for table in nested:
        for by_node in (table or {}).values():
            for definitions in by_node.values():
                found += filter(_is_of_project, definitions)
    return found


def _is_of_project(definition: Any) -> bool:
    """Whether it is a session fixture, and neither pytest's nor ours."""
    return definition.scope == "session" and _module(definition).split(".")[0] not in _OURS


def _definitions(item: Any) -> dict[str, Any]:
    info = getattr(item, "_fixtureinfo", None)
    return {} if info is None else info.name2fixturedefs


def _session_depth(definitions: dict[str, Any], name: str) -> int:
    """How deep among the fixtures of one name, from 1, the session's is that is requested; 0: none is."""
    known = definitions.get(name) or ()
    for depth, definition in enumerate(reversed(known), 1):
        if definition.scope == "session":
            return depth
        if name not in definition.argnames:
            break
    return 0


def _inherited_obstacle(need: Need, seen: set[int]) -> str | None:
    """What stands against something that it depends on."""
    if id(need) in seen:
        return None
    seen.add(id(need))
    for requested in need.requests:
        deeper = _inherited_obstacle(requested, seen)
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


def _is_skipped(item: pytest.Item) -> bool:
    marks = {mark.name for mark in item.iter_markers()}
    try:
        if marks & {"skip", "skipif"} and skipping.evaluate_skip_marks(item) is not None:
            return True
        if "xfail" in marks and not item.config.option.runxfail:
            expected = skipping.evaluate_xfail_marks(item)
            return expected is not None and not expected.run
    except BaseException:
        # A condition that can't be evaluated, whatever it or a hook raises: the worker's affair, before anything is set up.
        return True
    return False
