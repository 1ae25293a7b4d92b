"""Where the temporary directories of a worker, and of shared fixtures, lie: below the run's, which
the host makes when somebody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _pytest.tmpdir import TempPathFactory

from rpytest import stdlib

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

__builtins__ = stdlib.BUILTINS


class _BelowRun(TempPathFactory):  # type: ignore[misc]
    """A temp path factory that asks for its directory when it is first needed."""

    _ask: Callable[[], Path]

    def getbasetemp(self) -> Any:
        """The directory of this process, or of what it sets up, in the run's base directory."""
        if self._basetemp is None and self._given_basetemp is None:
            self._given_basetemp = self._ask()
        return super().getbasetemp()


def use_basetemp(config: pytest.Config, ask: Callable[[], Path]) -> None:
    """Turn the configuration's factory, which fixtures and plugins may hold already, into one that
    has made nothing yet, and asks where to.
    """
    factory: Any = getattr(config, "_tmp_path_factory", None)
    if factory is not None:
        factory.__class__ = _BelowRun
        vars(factory).update(_ask=ask, _given_basetemp=None, _basetemp=None)
