"""The pytest plugin: hooks of `rpytest -n`, and what its options come to, registered under pytest-xdist's name.

Registered as ``xdist`` it keeps an installed pytest-xdist from loading, and plugins that ask for one find it.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from rpytest.options import sharding
from rpytest.options.definitions import add_options
from rpytest.stdlib import json
from rpytest.xdist_compat import distribution, hookspecs
from rpytest.xdist_compat.worker_identity import Watch, WorkerInput, hide_input

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rpytest.ipc.channel import Message

#: Options of pytest that print and run nothing, or that own the terminal: pytest itself runs, in one process.
_PRINTING = (
    "collectonly",
    "showfixtures",
    "show_fixtures_per_test",
    "markers",
    "help",
    "version",
    "cacheshow",
    "setuponly",
    "setupshow",
    "setupplan",
)


class _Placeholder:
    """Takes the name of a pytest-xdist plugin, so that plugins find one, and an installed one does not load."""


class Surface:
    """Hooks that hold in every role; the roles themselves are decided by ``decide``."""

    #: pytest registers a plugin object under its ``__name__``.
    __name__ = "rpytest"

    def __init__(
        self,
        request: Message,
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

    def pytest_addoption(self, parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
        """Options first, then keep the rest of an installed pytest-xdist out."""
        placeholder = _Placeholder()
        distribution.name_when_loaded(pluginmanager, placeholder)
        for name in ("xdist", "xdist.looponfail", "xdist.plugin"):
            # Not blocked: `-p` would undo that. Not this object: `-p no:xdist` is to do no harm.
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
            config.option.rpytest_command_line_only if hasattr(config.option, "rpytest_command_line_only") else None
        )
        if misplaced:
            raise pytest.UsageError(
                f"`{misplaced[0]}` works on the command line only; hint: remove it from `addopts` and `PYTEST_ADDOPTS`"
            )
        settle_options(config)
        self._decide(config)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the marks that say where tests run."""
        config.addinivalue_line(
            "markers", "serial: the test runs alone: after all others, in one worker, while no other test runs."
        )
        config.addinivalue_line(
            "markers", "xdist_group(name): tests of one group run in the same worker under `--dist loadgroup`."
        )
        _warn_of_settings(config)

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Hand the collected session to its role; ``None`` lets pytest's own loop run."""
        return self._loop(session)


def _warn_of_settings(config: pytest.Config) -> None:
    """pytest-xdist warns of these settings as deprecated; with local workers they have no effect there, either."""
    for name, hint in (
        ("looponfailroots", "`rpytest --watch` watches what the tests depend on"),
        ("rsyncdirs", "workers are forks on this machine, for which nothing is copied"),
        ("rsyncignore", "workers are forks on this machine, for which nothing is copied"),
    ):
        if config.getini(name):
            text = f"the setting `{name}` of pytest-xdist is deprecated and has no effect; hint: remove it, {hint}"
            config.issue_config_time_warning(DeprecationWarning(text), 2)


def settle_options(config: pytest.Config) -> None:
    """Complete and check our options once they are parsed; raises `pytest.UsageError`."""
    if config.option.distload:
        config.option.dist = "load"
    config.option.rpytest_dist = config.option.dist
    sharding.configure(config)
    _check_combinations(config.option)


def wants_plain(config: pytest.Config) -> bool:
    """Whether pytest itself runs, in one process that owns the terminal."""
    option = config.option
    if any(getattr(option, name, False) for name in _PRINTING):
        return True
    if getattr(option, "pastebin", None) == "all":
        # Everything that pytest writes is that of one process.
        return True
    return any(getattr(option, name, False) for name in ("usepdb", "trace"))


def refuse_workers_options(config: pytest.Config, request: Message) -> None:
    """What is about workers, where pytest itself runs: there are none."""
    option = config.option
    if getattr(option, "help", False) or getattr(option, "version", False):
        return
    for name, is_given, what in (
        ("--timings", request.get("timings"), "draws the workers of a run"),
        ("--record-plan", option.rpytest_record_plan, "writes down what each worker runs"),
        ("--replay", option.rpytest_replay, "runs a plan in workers"),
    ):
        if is_given:
            raise pytest.UsageError(
                f"`{name}` {what}, and here pytest itself runs, in one process; hint: leave out `{name}`, or use `-n 1` or more and no option that only prints or debugs (`--collect-only`, `--setup-show`, `--pdb`, …)"
            )


def refuse_watch(config: pytest.Config, request: Message) -> None:
    """`--watch` where pytest itself runs: once, and perhaps with a debugger that needs the keys."""
    option = config.option
    if not request.get("watch") or getattr(option, "help", False) or getattr(option, "version", False):
        return
    raise pytest.UsageError(
        "`--watch` runs tests in workers, and here pytest itself runs, in one process; hint: leave out `--watch`, or use `-n 1` or more and no option that only prints or debugs (`--collect-only`, `--setup-show`, `--pdb`, …)"
    )


def _check_combinations(option: Any) -> None:
    each = option.rpytest_dist == "each"
    if option.shard is not None and (each or option.rpytest_replay):
        other = "--dist each" if each else "--replay"
        raise pytest.UsageError(f"`--shard` and `{other}` both say which tests run; hint: leave out one of them")
    if each and (option.rpytest_record_plan or option.rpytest_replay):
        raise pytest.UsageError(
            "with `--dist each` there is no plan to record or replay; hint: every worker runs all tests in the order of collection"
        )
    if option.rpytest_replay and (option.usepdb or option.trace or option.numprocesses == 0):
        raise pytest.UsageError("`--replay` runs a plan in workers; hint: leave out `-n 0`, `--pdb` and `--trace`")


def workers(config: pytest.Config, request: Message) -> int:
    """Resolve ``-n`` and its companions to a number of workers; 0 means that pytest itself runs."""
    if config.option.rpytest_replay:
        return _recorded_workers(config.invocation_params.dir / config.option.rpytest_replay)
    value = config.option.numprocesses
    # Looked at in any case: what can't be done must not be ignored.
    tx = _tx_workers(config.option.tx)
    if value is None:
        value = tx if tx else _default_workers(request.get("default_workers"))
    if value in ("auto", "logical"):
        chosen = config.hook.pytest_xdist_auto_num_workers(config=config)
        value = max(1, auto_workers(int(request.get("cpus") or 1)) if chosen is None else int(chosen))
    elif config.option.numprocesses is None and tx:
        # Not of `--tx`, as under pytest-xdist.
        return int(value)
    limit = config.option.maxprocesses
    return min(int(value), limit) if limit else int(value)


def _recorded_workers(file: Path) -> int:
    """The number of workers in a recorded plan; the command line reads the rest."""
    try:
        count = len(json.loads(file.read_text())["workers"])
    except OSError as error:
        raise pytest.UsageError(
            f"cannot read the plan `{file}`: {error.strerror}; hint: `--record-plan FILE` writes one"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise pytest.UsageError(f"`{file}` is not a plan; hint: `--record-plan FILE` writes one") from None
    if not 1 <= count <= 1024:
        raise pytest.UsageError(f"the plan `{file}` is for {count} workers")
    return count


def _default_workers(value: object) -> int | str:
    if value is None:
        return 1
    text = str(value)
    return text if text in ("auto", "logical") else int(text)


def _tx_workers(specs: list[str]) -> int:
    total = 0
    for spec in specs:
        count, star, kind = spec.rpartition("*")
        if kind != "popen" or (star and not count.isdigit()):
            raise pytest.UsageError(
                f"`--tx {spec}` is not possible; hint: workers are local forks, `--tx N*popen` or `-n N`"
            )
        total += int(count) if star else 1
    return total


def auto_workers(cpus: int) -> int:
    """What ``-n auto`` means: the variable that pytest-xdist reads, else the processors that this run may use."""
    text = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS")
    if text:
        try:
            return int(text)
        except ValueError:
            warnings.warn(f"PYTEST_XDIST_AUTO_NUM_WORKERS is not a number: {text!r}. Ignoring it.", stacklevel=2)
    return cpus


def become_worker_config(config: pytest.Config, workerinput: WorkerInput, watch: Watch) -> None:
    """Give ``config`` what plugins look at to see that they are in a worker, as pytest-xdist does."""
    become_worker_options(config.option)
    hide_input(config, workerinput, watch)
    config.workeroutput = {}  # type: ignore[attr-defined]


def become_worker_options(option: Any) -> None:
    """The values that options have in a worker."""
    option.loadgroup = option.dist == "loadgroup"
    option.looponfail = False
    option.usepdb = False
    option.dist = "no"
    option.distload = False
    option.numprocesses = None
    option.maxprocesses = None
