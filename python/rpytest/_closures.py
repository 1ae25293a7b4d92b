"""The session fixtures of each test of a session: pytest has computed the closures when it collected, this picks from them."""

from __future__ import annotations

from typing import Any

import pytest

from rpytest import _real

__builtins__ = _real.BUILTINS

#: pytest's and our own: nothing of a project's is in their values.
_OURS = ("_pytest", "rpytest")

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
        known = definitions(item)
        return tuple(
            (known[name][-depth], depth)
            for name in names
            if name in self.interesting and (depth := _session_depth(known, name))
        )


_CLOSURES = pytest.StashKey[Closures]()


def closures(session: pytest.Session) -> Closures:
    """What is known of a session."""
    interesting = _interesting(session)
    known = session.config.stash.get(_CLOSURES, None)
    if known is None or known.interesting != interesting:
        known = session.config.stash[_CLOSURES] = Closures(interesting)
    return known


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
    for of_name in (flat or {}).values():
        found += filter(_is_of_project, of_name)
    for table in nested:
        for by_node in (table or {}).values():
            for of_name in by_node.values():
                found += filter(_is_of_project, of_name)
    return found


def _is_of_project(definition: Any) -> bool:
    """Whether it is a session fixture, and neither pytest's nor ours."""
    return definition.scope == "session" and not is_ours(definition)


def definitions(item: Any) -> dict[str, Any]:
    """All fixtures that a test may request, by name; of one name, the one that overrides the others last."""
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


def is_ours(definition: pytest.FixtureDef[Any]) -> bool:
    """Whether it is pytest's or ours."""
    return module_of(definition).split(".")[0] in _OURS


def module_of(definition: pytest.FixtureDef[Any]) -> str:
    """The name of the module that defines a fixture."""
    return str(getattr(definition.func, "__module__", "") or "")


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
        return is_ours(self.definition)
