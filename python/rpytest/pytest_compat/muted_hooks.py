"""Hooks that must not be called for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rpytest.pytest_compat.hooks import third_party_hooks

if TYPE_CHECKING:
    import pytest


class MutedHooks:
    """Hooks that have been called for the items of a collection already, or that would be called
    for one that is broken off.
    """

    def __init__(self) -> None:
        self._off: list[tuple[Any, Any]] = []

    def begin(self, config: pytest.Config) -> None:
        """From here on they do nothing."""
        off: list[Any] = [
            *third_party_hooks(config, "pytest_itemcollected"),
            *config.hook.pytest_collection_finish.get_hookimpls(),
        ]
        for implementation in off:
            self._off.append((implementation, implementation.function))
            implementation.function = _nothing(implementation)

    def end(self) -> None:
        """Give the hooks their functions back."""
        for implementation, function in self._off:
            implementation.function = function
        self._off.clear()


def _nothing(implementation: Any) -> Any:
    """A function for a hook's implementation that does nothing: `yield` where it wraps others."""
    if implementation.hookwrapper or implementation.wrapper:

        def wrapper(*_: object) -> Any:
            return (yield)

        return wrapper
    return lambda *_: None
