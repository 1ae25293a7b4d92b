"""Hooks of pytest: who implements them beside pytest and us, and those at the end of a session
without tests.
"""

from __future__ import annotations

from typing import Any

import pytest

from rpytest import stdlib
from rpytest.pytest_compat import known_plugins
from rpytest.stdlib import contextlib

__builtins__ = stdlib.BUILTINS


def third_party_hooks(config: pytest.Config, hook: str, argument: str | None = None) -> list[Any]:
    """Implementations of ``hook`` outside of pytest and rpytest; with ``argument``, only those that
    take it.
    """
    # pytest before 9 has functions in `config.hook`, for hooks that take paths.
    caller = getattr(config.pluginmanager.hook, hook, None)
    found = []
    for impl in caller.get_hookimpls() if caller is not None else ():
        if known_plugins.package(impl) in ("_pytest", "rpytest"):
            continue
        if argument is None or argument in impl.argnames:
            found.append(impl)
    return found


def plugin_name(implementation: Any) -> str:
    """What to call the plugin of a hook's implementation in a message."""
    return getattr(implementation.plugin, "__name__", None) or type(implementation.plugin).__name__


def finish_session_without_tests(session: pytest.Session) -> None:
    """Let hooks end what they have started for a session in which no test runs."""
    with contextlib.suppress(BaseException):
        session.config.hook.pytest_sessionfinish(
            session=session, exitstatus=pytest.ExitCode.NO_TESTS_COLLECTED
        )
    with contextlib.suppress(BaseException):
        session.config._ensure_unconfigure()
