"""The pytest plugin: hooks of `rpytest -n`, registered under pytest-xdist's name.

Registered as ``xdist`` it keeps an installed pytest-xdist from loading, and plugins that ask for
one find it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rpytest.options.definitions import add_options
from rpytest.options.meaning import settle_options
from rpytest.xdist_compat import distribution, hookspecs

if TYPE_CHECKING:
    from collections.abc import Callable

    from rpytest.ipc.run_messages import RunRequest


class _Placeholder:
    """Takes the name of a pytest-xdist plugin, so that plugins find one, and an installed one does
    not load.
    """


class RpytestPlugin:
    """Hooks that hold in every role; the roles themselves are decided by ``decide``."""

    #: pytest registers a plugin object under its ``__name__``.
    __name__ = "rpytest"

    def __init__(
        self,
        request: RunRequest,
        decide: Callable[[pytest.Config], None],
        loop: Callable[[pytest.Session], bool | None],
        begin: Callable[[pytest.Config], None] = lambda _: None,
    ) -> None:
        self.request = request
        #: Called when there is a configuration and it has parsed nothing yet.
        self._begin = begin
        self._decide = decide
        self._loop = loop

    def pytest_addhooks(self, pluginmanager: pytest.PytestPluginManager) -> None:
        """Make pytest-xdist's hooks known."""
        pluginmanager.add_hookspecs(hookspecs)

    def pytest_addoption(
        self, parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager
    ) -> None:
        """Options first, then keep the rest of an installed pytest-xdist out."""
        placeholder = _Placeholder()
        distribution.name_when_loaded(pluginmanager, placeholder)
        for name in ("xdist", "xdist.looponfail", "xdist.plugin"):
            # The name is not blocked, because `-p xdist` would undo that (`consider_pluginarg`). It
            # does not stand for this object, because `-p no:xdist` is to do no harm.
            if not pluginmanager.is_blocked(name):
                pluginmanager.register(placeholder if name == "xdist" else _Placeholder(), name)
        add_options(parser)
        config = pluginmanager.get_plugin("pytestconfig")
        if config is not None:
            self._begin(config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        """Resolve the options and take a role before pytest configures itself."""
        misplaced = (
            config.option.rpytest_command_line_only
            if hasattr(config.option, "rpytest_command_line_only")
            else None
        )
        if misplaced:
            raise pytest.UsageError(
                f"`{misplaced[0]}` works on the command line only; hint: remove it from "
                "`addopts` and `PYTEST_ADDOPTS`"
            )
        settle_options(config)
        self._decide(config)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the marks that say where tests run."""
        config.addinivalue_line(
            "markers",
            (
                "serial: the test runs alone: after all others, in one worker, while no other "
                "test runs."
            ),
        )
        config.addinivalue_line(
            "markers",
            (
                "xdist_group(name): tests of one group run in the same worker under `--dist "
                "loadgroup`."
            ),
        )
        _warn_of_settings(config)

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Hand the collected session to its role; ``None`` lets pytest's own loop run."""
        return self._loop(session)


def _warn_of_settings(config: pytest.Config) -> None:
    """pytest-xdist warns of these settings as deprecated; with local workers they have no effect
    there, either.
    """
    for name, hint in (
        ("looponfailroots", "`rpytest --watch` watches what the tests depend on"),
        ("rsyncdirs", "workers are forks on this machine, for which nothing is copied"),
        ("rsyncignore", "workers are forks on this machine, for which nothing is copied"),
    ):
        if config.getini(name):
            text = (
                f"the setting `{name}` of pytest-xdist is deprecated and has no effect; hint: "
                f"remove it, {hint}"
            )
            config.issue_config_time_warning(DeprecationWarning(text), 2)
