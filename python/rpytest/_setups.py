"""What fixtures took to set up: all of them only for `--timings`, expensive session fixtures of a worker always."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

import pytest
from _pytest import python as pytest_python
from _pytest import timing

from rpytest import _real

if TYPE_CHECKING:
    from rpytest._record import Setup

__builtins__ = _real.BUILTINS

#: Seconds below which a session fixture is not told from the test that needed it first.
_NEGLIGIBLE = 0.001

#: What pytest makes of an argument of `parametrize`: a fixture in form only.
_direct_parameter = getattr(pytest_python, "get_direct_param_fixture_func", None)


class SetupClock:
    """Measures each `pytest_fixture_setup` of a worker; the record of the test takes what has gathered."""

    def __init__(self) -> None:
        # Attributes of an object: a library that replaces the functions of `time` in every module does not find them.
        self._time = timing.time
        self._counter = timing.perf_counter
        self._setups: list[Setup] = []
        #: For each set-up in progress, what others took that it asked for by `getfixturevalue`.
        self._nested: list[float] = []

    def add(self, setups: list[Setup]) -> None:
        """Set-ups that another process has made for the running test."""
        self._setups[:0] = setups

    def take(self) -> list[Setup]:
        """The set-ups since the last call, in the order in which they ended."""
        setups, self._setups = self._setups, []
        return setups

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """Around all others: a plugin that runs the fixture itself (asyncio, trio) is part of what it takes."""
        if fixturedef.func is _direct_parameter:
            return (yield)
        nested = self._nested
        nested.append(0.0)
        start, began = self._time(), self._counter()
        failed = True
        try:
            value = yield
            failed = False
            return value
        finally:
            total = self._counter() - began
            own = max(0.0, total - nested.pop())
            if nested:
                nested[-1] += total
            self._setups.append(
                (fixturedef.argname, str(fixturedef.scope), fixturedef.baseid or "", start, own, failed)
            )


class SessionClock:
    """Measures the set-ups of a worker's own session fixtures, and nothing else: a call of another fixture costs nothing.

    The first test of each worker pays for them. They are no part of what it takes: in another run another test is the first.
    """

    def __init__(self, definitions: Iterable[pytest.FixtureDef[Any]]) -> None:
        self._time = timing.time
        self._counter = timing.perf_counter
        self._setups: list[Setup] = []
        #: A set-up is in progress; what it requests is part of it.
        self._is_inside = False
        for definition in definitions:
            if definition.cached_result is None:
                measured: Any = functools.partial(self._measure, definition, definition.execute)
                definition.execute = measured  # type: ignore[method-assign]

    def add(self, setups: list[Setup]) -> None:
        """Set-ups of another process: none of this worker's."""

    def take(self) -> list[Setup]:
        """The set-ups since the last call."""
        setups, self._setups = self._setups, []
        return setups

    def _measure(self, definition: pytest.FixtureDef[Any], execute: Callable[..., Any], request: Any) -> Any:
        __tracebackhide__ = True
        if self._is_inside:
            return execute(request=request)
        self._is_inside = True
        start, began = self._time(), self._counter()
        try:
            return execute(request=request)
        finally:
            self._is_inside = False
            took = self._counter() - began
            if took >= _NEGLIGIBLE:
                self._setups.append((definition.argname, "session", definition.baseid or "", start, took, False))
