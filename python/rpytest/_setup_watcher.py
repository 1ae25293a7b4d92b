"""What the set-up of a shared fixture leaves behind in its process: something that workers can't inherit?"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from rpytest import _hazards, _real

if TYPE_CHECKING:
    from rpytest._closures import Need
    from rpytest._identity import Watch
    from rpytest._needs import Needs

__builtins__ = _real.BUILTINS


class _Given(BaseException):
    """Leaves a set-up that another process makes instead."""


class Hazard:
    """Why a fixture that was set up can't be inherited."""

    def __init__(self, definition: pytest.FixtureDef[Any], reason: str, remember: bool) -> None:
        self.definition = definition
        self.reason = reason
        self.remember = remember


class SetupWatcher:
    """Looks at what each set-up leaves behind."""

    def __init__(self, needs: Needs, watch: Watch, set_up: list[tuple[pytest.FixtureDef[Any], Any]]) -> None:
        """``set_up`` is added to: each fixture that was, with the request that did it."""
        self.needs = needs
        self.watch = watch
        self.set_up = set_up
        self.hazard: Hazard | None = None
        #: Descriptors of files that each worker has to open for itself.
        self.readers: list[int] = []
        #: What is being set up.
        self.need: Need | None = None
        #: A failure that pytest remembers, of this fixture or one that it requests.
        self.has_seen_failure = False

    def start(self, need: Need) -> None:
        """The next set-up is for this fixture."""
        self.need = need
        self.has_seen_failure = False

    def debugger(self) -> NoReturn:
        """The set-up calls `breakpoint()`: in a worker that is alone it gets the terminal."""
        assert self.need is not None
        self.hazard = Hazard(self.need.definition, "its set-up wants a debugger", False)
        raise _Given

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any], request: Any) -> Generator[None, object, object]:
        """Compare the process before and after a set-up."""
        need = self.needs.of(fixturedef)
        forced = need is not None and need.is_forced
        watch = self.watch
        if need is not None and need.obstacle is not None and self.need is not None and self.hazard is None:
            # Asked for at run time by one that looked shareable.
            self.hazard = Hazard(self.need.definition, f"requests {need.name}", True)
        before = _hazards.Snapshot()
        outer = watch.swap((not forced, None, True))
        try:
            return (yield)
        finally:
            _, reader, _ = watch.swap(outer)
            self.set_up.append((fixturedef, request))
            failed = fixturedef.cached_result is not None and fixturedef.cached_result[2] is not None
            self.has_seen_failure |= failed
            if need is not None:
                need.is_up, need.has_failed = True, failed
            if not forced and self.hazard is None:
                reason = before.hazard()
                if reader is not None:
                    reason = "asks which worker it is in"
                if reason is not None:
                    self.hazard = Hazard(fixturedef, reason if reader else f"its set-up {reason}", True)
            if self.hazard is None:
                self.readers += [fd for fd in before.readers() if fd not in self.readers]
