"""Which session fixtures the tests of a run need, and which of them one process can set up for all workers."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any

import pytest
from _pytest import skipping
from _pytest.fixtures import SubRequest
from _pytest.scope import Scope

from rpytest import _real
from rpytest._closures import Need, closures, definitions
from rpytest._obstacles import Settings, inherited_obstacle, own_obstacle

__builtins__ = _real.BUILTINS


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
        self._needs: dict[int, Need] = {}
        self._skipped: dict[int, bool] = {}
        #: Those of each closure, in the order in which pytest sets them up.
        self._at: dict[int, list[Need]] = {}
        self._closures = closures(session)
        if self._closures.interesting:
            self._find(planned)
            for need in self._needs.values():
                need.obstacle = own_obstacle(need, self, settings, remembered)
            for need in self._needs.values():
                need.obstacle = need.obstacle or inherited_obstacle(need, set())

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
            known = definitions(item)
            depths = {}
            asked = []
            for definition, depth in of(item):
                need = self._need(known, definition.argname, depth)
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

    def _need(self, by_name: dict[str, Any], name: str, depth: int) -> Need:
        definition = by_name[name][-depth]
        need = self._needs.get(id(definition))
        if need is None:
            need = self._needs[id(definition)] = Need(definition)
            for argument in definition.argnames:
                deeper = depth + 1 if argument == name else 1
                known = by_name.get(argument) or ()
                if argument != "request" and deeper <= len(known):
                    need.requests.append(self._need(by_name, argument, deeper))
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

    # Setting up

    def request(self, number: int, need: Need) -> SubRequest:
        """A request for the fixture by a test."""
        item: Any = self.item(number)
        item._initrequest()
        known = definitions(item)[need.name]
        _, depth = need.places[self._key(number)]
        request = item._request
        for level in range(1, depth + 1):
            definition = known[-level]
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
