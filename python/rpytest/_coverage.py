"""pytest-cov beside a session that is collected once and forked.

Its workers measure from `pytest_sessionstart` on, which a session does before it is forked: imports and collection are measured once, and
each worker goes on with a copy. coverage chooses the name of a data file when a process first writes, so copies don't collide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def _measuring(config: pytest.Config) -> Any:
    plugin: Any = config.pluginmanager.getplugin("_cov")
    return getattr(plugin, "cov_controller", None)


def prepare_controller(config: pytest.Config) -> None:
    """At the start of a controller, which is a fork of a base that has served other runs: forget their data, as pytest-cov does at its start."""
    measuring = _measuring(config)
    if measuring is not None and not measuring.cov_append and measuring.cov is not None:
        measuring.combining_cov.erase()


def prepare_worker(config: pytest.Config, name: str) -> None:
    """In a forked worker: its data is that of ``name``."""
    measuring = _measuring(config)
    if measuring is not None:
        measuring.nodeid = name
        measuring.config = config
