"""pytest's cache at the end of a run: `lastfailed`, `nodeids`, `stepwise`.

pytest writes it in the controller and never in a worker; a session is configured as a worker, so
the host does what the controller would.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from rpytest import stdlib
from rpytest.project.file_states import FileState, state
from rpytest.stdlib import contextlib, os

__builtins__ = stdlib.BUILTINS

_PLUGINS = ("lfplugin", "nfplugin", "stepwiseplugin")

#: All tests that there ever were.
_IDS = "cache/nodeids"

#: Tests that are in that file as long as it is in this state.
_kept_ids: set[str] = set()
_kept_state: FileState | None = None

#: What they keep.
CACHE_FILES = ("lastfailed", "nodeids", "stepwise")


def reads_cache(config: pytest.Config) -> bool:
    """Whether what was selected depends on the cache."""
    option = config.option
    return any(
        getattr(option, name, False)
        for name in ("lf", "failedfirst", "newfirst", "stepwise", "stepwise_skip")
    )


def is_read_by_pytest(frame: FrameType | None) -> bool:
    """Whether it is pytest for itself that opens a file in ``frame``, not somebody else by pytest's
    cache.
    """
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] != "pathlib" and (name, frame.f_code.co_name) != (
            "_pytest.cacheprovider",
            "get",
        ):
            return name.startswith("_pytest.")
        frame = frame.f_back
    return False


def save_without_run(session: pytest.Session) -> None:
    """At the end of a session of which no run was made (errors while collecting, no tests): pytest
    remembers what it knows by then.
    """
    try:
        Cache(session.config).save(session)
    except OSError as error:
        sys.stderr.write(f"warning: pytest's cache could not be updated: {error}\n")


class Cache:
    """The cache plugins of a session, used once for one run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.plugins: list[Any] = [
            plugin for plugin in map(config.pluginmanager.getplugin, _PLUGINS) if plugin is not None
        ]

    def reload(self) -> None:
        """Read the failures again in a reused session: other runs may have written since it was
        collected.
        """
        plugin: Any = self.config.pluginmanager.getplugin("lfplugin")
        if plugin is not None and not reads_cache(self.config):
            plugin.lastfailed = type(plugin)(self.config).lastfailed

    def has_failures(self) -> bool:
        """Whether a passing test may have to be removed from `lastfailed`: then passing reports
        matter, too.
        """
        return any(
            getattr(plugin, "lastfailed", None)
            or getattr(getattr(plugin, "cached_info", None), "last_failed", None)
            for plugin in self.plugins
        )

    def report(self, report: pytest.TestReport) -> None:
        """Take one report, as the plugins' hook would."""
        for plugin in self.plugins:
            hook = getattr(plugin, "pytest_runtest_logreport", None)
            if hook is not None:
                hook(report)

    def save(self, session: pytest.Session) -> None:
        """Write what changed."""
        with not_a_worker(self.config):
            for plugin in self.plugins:
                if hasattr(plugin, "cached_nodeids") and not plugin.active:
                    self._save_ids(session)
                    continue
                hook = plugin.pytest_sessionfinish
                hook(session) if hook.__func__.__code__.co_argcount > 1 else hook()

    def _save_ids(self, session: pytest.Session) -> None:
        """What `--nf` will know: all tests that there ever were. Without that option nobody has
        looked at them, and as a rule nothing is new.
        """
        option = self.config.option
        if getattr(option, "cacheshow", None) or getattr(option, "collectonly", False):
            return
        cache: Any = self.config.cache
        ids = {item.nodeid for item in session.items}
        if ids <= _kept_ids and _state_of_ids(cache) == _kept_state:
            return
        known = set(cache.get(_IDS, []))
        if not ids <= known:
            cache.set(_IDS, sorted(known | ids))


def remember_ids(config: pytest.Config, session: pytest.Session) -> None:
    """Look, ahead of a run, whether the file of all tests that there ever were has those of
    ``session``: its runs need not read it then.
    """
    global _kept_ids, _kept_state
    cache: Any = getattr(config, "cache", None)
    if cache is None:
        return
    now = _state_of_ids(cache)
    if now == _kept_state:
        return
    with not_a_worker(config):
        known = set(cache.get(_IDS, []))
    ids = {item.nodeid for item in session.items}
    if ids <= known and now == _state_of_ids(cache):
        _kept_ids, _kept_state = ids, now


def _state_of_ids(cache: Any) -> FileState | None:
    return state(os.path.join(str(cache._cachedir), "v", *_IDS.split("/")))


@contextlib.contextmanager
def not_a_worker(config: pytest.Config) -> Iterator[None]:
    """Take `workerinput`, by which hooks tell a worker, away for the time in which the host does
    what pytest does outside of workers.
    """
    holder: Any = config
    if not hasattr(holder, "workerinput"):
        yield
        return
    workerinput = holder.workerinput
    del holder.workerinput
    try:
        yield
    finally:
        holder.workerinput = workerinput
