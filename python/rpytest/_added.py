"""Finalizers that tests have added to a shared fixture (`request.addfinalizer` in a factory): of the worker in which they were added."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import pytest
from _pytest.outcomes import TEST_OUTCOME

from rpytest import _real

__builtins__ = _real.BUILTINS


class AddedFinalizers:
    """In a worker: runs them where pytest would finalize the session's fixtures, with whatever the worker has of these."""

    def __init__(self, definitions: Sequence[pytest.FixtureDef[Any]]) -> None:
        #: The shared ones, in the order of their set-ups.
        self.definitions = definitions

    # Inside of capture and logging, and after pytest's own.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """With the last test that this worker knows of."""
        __tracebackhide__ = True
        if nextitem is not None:
            return (yield)
        return (yield from self._around(item))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """After an interrupt."""
        __tracebackhide__ = True
        return (yield from self._around(session))

    def _around(self, node: pytest.Item | pytest.Session) -> Generator[None, object, object]:
        __tracebackhide__ = True
        result: object = None
        errors: list[BaseException] = []
        try:
            result = yield
        except TEST_OUTCOME as error:
            errors.append(error)
        for definition in reversed(self.definitions):
            finalizers = definition._finalizers
            while finalizers:
                finalizer: Any = finalizers.pop()
                if isinstance(getattr(getattr(finalizer, "func", None), "__self__", None), pytest.FixtureDef):
                    # Of a fixture that depends on it, and has been finalized itself.
                    continue
                try:
                    finalizer()
                except TEST_OUTCOME as error:
                    errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            from rpytest._finalizers import group

            raise group(f"errors while tearing down {node!r}", errors)
        return result
