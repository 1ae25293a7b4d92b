"""What particular plugins need beside a session that is collected once and forked.

**pytest-cov** measures in workers from `pytest_sessionstart` on, which a session does before it is
forked: imports and collection are measured once, and each worker goes on with a copy. coverage
chooses the name of a data file when a process first writes, so copies don't collide.

**pytest-rerunfailures** opens a connection to the controller when a worker is configured, which
forks can't share: each opens its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rpytest import stdlib
from rpytest.stdlib import contextlib

if TYPE_CHECKING:
    import pytest

    from rpytest.xdist_compat.worker_identity import IdentityReads

__builtins__ = stdlib.BUILTINS

_RERUNFAILURES = "pytest_rerunfailures"

_HYPOTHESIS = "_hypothesis_pytestplugin"

#: Plugins whose hooks on the run as a whole don't look at the reports of passed tests, unless they
#: have put something into them.
_CONTENT_WITH_NUMBERS = frozenset(
    {
        "pytest_cov",
        "pytest_django",
        "pytest_metadata",
        _RERUNFAILURES,
        "pytest_timeout",
        "pytest_asyncio",
        _HYPOTHESIS,
    }
)

#: Hooks that look as if they acted on the run as a whole, and set something in the process that
#: they are called in.
_OF_THEIR_PROCESS = frozenset({(_HYPOTHESIS, "pytest_sessionstart")})


def wants_reports(implementation: Any) -> bool:
    """Whether an implementation of a reporting hook has to see every report, or only those with
    something to say.
    """
    return package(implementation) not in _CONTENT_WITH_NUMBERS


def concerns_the_run(implementation: Any, hook: str) -> bool:
    """Whether an implementation of one of the controller's hooks has something to do there."""
    return (package(implementation), hook) not in _OF_THEIR_PROCESS


def has_summary(
    implementation: Any, config: pytest.Config, stats: Mapping[str, list[Any]] | None = None
) -> bool:
    """Whether a `pytest_terminal_summary` may write something, with reports by their categories.

    Hypothesis writes about reports that it has put something into, statistics if asked for, and the
    files that its observability has written in this process. To know of the latter it imports
    itself, for seconds, in each run of a project that does not use it (and in pytest, too).
    """
    if package(implementation) != _HYPOTHESIS or "hypothesis.internal.observability" in sys.modules:
        return True
    plugin: Any = sys.modules.get(_HYPOTHESIS)
    try:
        keys: list[str] = [plugin.STATS_KEY, plugin.FAILING_EXAMPLES_KEY]
        if config.getoption(plugin.PRINT_STATISTICS_OPTION):
            return True
    except AttributeError:
        # Another version than the one that was read.
        return True
    reports = (report for reports in (stats or {}).values() for report in reports)
    return any(
        vars(report).get(key) for report in reports for key in keys if hasattr(report, "__dict__")
    )


def mute_summaries(config: pytest.Config, stats: Mapping[str, list[Any]]) -> None:
    """Leave out the summaries of plugins that have nothing to say, in a process that ends with
    pytest's summary.
    """
    implementation: Any
    for implementation in config.hook.pytest_terminal_summary.get_hookimpls():
        is_plain = not implementation.wrapper and not implementation.hookwrapper
        if is_plain and not has_summary(implementation, config, stats):
            implementation.function = lambda *_: None


def package(implementation: Any) -> str:
    """Name of the top-level package that the plugin of a hook's implementation comes from."""
    plugin = implementation.plugin
    return str(getattr(plugin, "__module__", None) or getattr(plugin, "__name__", "")).split(".")[0]


def prepare_session(config: pytest.Config, watch: IdentityReads) -> None:
    """Prepare plugins in a session that is about to be configured; its base has been forked."""
    module: Any = sys.modules.get(_RERUNFAILURES)
    if getattr(module, "HAS_PYTEST_HANDLECRASHITEM", False) and config.pluginmanager.hasplugin(
        "rerunfailures"
    ):
        # Counts in memory; in the controller, which the forks will talk to, it is left as it is.
        module.HAS_PYTEST_HANDLECRASHITEM = False
        watch.asked = True


def _measuring(config: pytest.Config) -> Any:
    plugin: Any = config.pluginmanager.getplugin("_cov")
    return getattr(plugin, "cov_controller", None)


def prepare_controller(config: pytest.Config) -> None:
    """At the start of a controller, which is a fork of a base that has served other runs: forget
    their data, as pytest-cov does at its start.
    """
    measuring = _measuring(config)
    if measuring is not None and not measuring.cov_append and measuring.cov is not None:
        measuring.combining_cov.erase()


def prepare_worker(config: pytest.Config, name: str, given: dict[str, Any]) -> None:
    """Prepare plugins in a forked worker of this name; ``given`` is what the controller has put
    into its input.
    """
    measuring = _measuring(config)
    if measuring is not None:
        measuring.nodeid = name
        measuring.config = config
    database: Any = getattr(config, "failures_db", None)
    if type(database).__name__ == "StatusDB" and "sock_port" in given:
        module: Any = sys.modules[_RERUNFAILURES]
        token = [given["statusdb_token"]] if "statusdb_token" in given else []
        config.failures_db = module.ClientStatusDB(given["sock_port"], *token)  # type: ignore[attr-defined]


@contextlib.contextmanager
def around_phase(config: pytest.Config, item: pytest.Item, when: str) -> Iterator[None]:
    """What plugins do around a phase of a test that concerns the set-up of a shared fixture, too.

    **pytest-cov** notes the test as coverage's context, **pytest-randomly** seeds,
    **pytest-timeout** limits the time.
    """
    contexts: Any = config.pluginmanager.getplugin("_cov_contexts")
    if contexts is not None:
        contexts.switch_context(item, when)
    randomly: Any = sys.modules.get("pytest_randomly")
    if randomly is not None and config.pluginmanager.hasplugin("randomly") and when == "setup":
        randomly.pytest_runtest_setup(item)
    timeout: Any = sys.modules.get("pytest_timeout")
    limited = False
    if timeout is not None and config.pluginmanager.hasplugin("timeout"):
        settings = timeout._get_item_settings(item)
        limited = bool(settings.timeout and settings.timeout > 0 and not settings.func_only)
        if limited:
            config.pluginmanager.hook.pytest_timeout_set_timer(item=item, settings=settings)
    try:
        yield
    finally:
        if limited:
            config.pluginmanager.hook.pytest_timeout_cancel_timer(item=item)


def finish_host(config: pytest.Config) -> None:
    """After the finalizers of shared fixtures: what was measured of them belongs to the run."""
    measuring = _measuring(config)
    if measuring is not None and measuring.cov is not None:
        measuring.cov.stop()
        measuring.cov.save()
