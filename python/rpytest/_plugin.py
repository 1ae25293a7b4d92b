"""The pytest plugin: options, fixtures and hooks of `rpytest -n`, registered under pytest-xdist's name.

Registered as ``xdist`` it keeps an installed pytest-xdist from loading, and plugins that ask for one find it.
"""

from __future__ import annotations

import argparse
import os
import warnings
from typing import TYPE_CHECKING, Literal

import pytest

from rpytest._identity import WorkerInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from rpytest._wire import Message

DIST_MODES = ("each", "load", "loadscope", "loadfile", "loadgroup", "worksteal", "no")
HONOURED_DIST = ("load", "worksteal", "no")

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


def _numprocesses(value: str) -> int | Literal["auto", "logical"]:
    if value == "auto":
        return "auto"
    if value == "logical":
        return "logical"
    try:
        number = int(value)
    except ValueError:
        raise _argument_error(
            f"`{value}` is not a number of workers; hint: give a number, `auto` or `logical`"
        ) from None
    if number < 0:
        raise _argument_error(f"`{value}` is less than 0; hint: `-n 0` runs pytest in one process")
    if number > 1024:
        raise _argument_error(f"`{value}` is more than 1024 workers; hint: `-n auto` takes one per processor")
    return number


def _argument_error(text: str) -> Exception:
    return argparse.ArgumentTypeError(text)


def add_options(parser: pytest.Parser) -> None:
    """Register ``-n`` and its companions, by pytest-xdist's names where it has them."""
    group = parser.getgroup("rpytest", "parallel execution (rpytest)")
    group._addoption(
        "-n",
        "--numprocesses",
        dest="numprocesses",
        metavar="N",
        action="store",
        type=_numprocesses,
        default=None,
        help="Number of parallel workers: a number, 'auto' (available processors) or 'logical'. 0 runs pytest itself in one process. Default: 1, or `default_workers` in [tool.rpytest].",
    )
    group.addoption(
        "--maxprocesses",
        dest="maxprocesses",
        metavar="N",
        type=int,
        default=None,
        help="Upper limit of the workers that 'auto' or 'logical' start.",
    )
    group.addoption(
        "--max-worker-restart",
        dest="maxworkerrestart",
        metavar="N",
        default=None,
        help="How many crashed workers are replaced before the run gives up (default: 4 for each worker).",
    )
    group.addoption(
        "--dist",
        dest="dist",
        metavar="MODE",
        choices=DIST_MODES,
        default="no",
        help="How tests are distributed: 'load' or 'worksteal' (both: longest first, idle workers steal) or 'no'.",
    )
    group._addoption("-d", dest="distload", action="store_true", default=False, help="Shortcut for '--dist=load'.")
    group.addoption(
        "--tx",
        dest="tx",
        metavar="SPEC",
        action="append",
        default=[],
        help="Add workers by pytest-xdist's specification; only 'popen' and 'N*popen' are possible.",
    )
    group.addoption(
        "--testrunuid",
        dest="testrunuid",
        metavar="ID",
        default=None,
        help="Value of the 'testrun_uid' fixture, the same in all workers (default: new for each run).",
    )
    group.addoption(
        "--start-method",
        dest="start_method",
        choices=("collected", "bare"),
        default=None,
        help="What workers are forked from: the collected session (default), or 'bare': each collects by itself.",
    )
    group.addoption(
        "--stats",
        dest="rpytest_stats",
        action="store_true",
        default=False,
        help="Show latencies of the shared-memory ring after the run.",
    )
    for name in ("--daemon-status", "--daemon-stop", "--no-daemon"):
        group.addoption(
            name, dest="rpytest_command_line_only", action="append_const", const=name, help=_COMMAND_LINE_ONLY[name]
        )
    group.addoption(
        "--timings",
        dest="rpytest_command_line_only",
        metavar="FILE",
        nargs="?",
        action=_Misplaced,
        help="Write a picture of the run (workers, fixtures, idle time, the plan) as an HTML page; default of FILE, which is given with '=': rpytest-timings.html.",
    )


class _Misplaced(argparse.Action):
    """An option with a value that pytest's parser sees only where the command line didn't: in `addopts`."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: object, option_string: str | None = None
    ) -> None:
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or ()), option_string])


_COMMAND_LINE_ONLY = {
    "--daemon-status": "Say what the daemon keeps warm, and exit.",
    "--daemon-stop": "Stop the daemon, and exit.",
    "--no-daemon": "Leave no daemon behind: one run in processes of its own.",
}


class Surface:
    """Hooks that hold in every role; the roles themselves are decided by ``decide``."""

    #: pytest registers a plugin object under its ``__name__``.
    __name__ = "xdist"

    def __init__(
        self, request: Message, decide: Callable[[pytest.Config], None], loop: Callable[[pytest.Session], bool | None]
    ) -> None:
        self.request = request
        self._decide = decide
        self._loop = loop

    def pytest_addoption(self, parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
        """Options first, then keep the rest of an installed pytest-xdist out."""
        for name in ("xdist.looponfail", "xdist.plugin"):
            pluginmanager.set_blocked(name)
        add_options(parser)

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
        if config.option.distload:
            config.option.dist = "load"
        if config.option.dist not in HONOURED_DIST:
            raise pytest.UsageError(
                f"`--dist {config.option.dist}` is not supported yet; hint: `--dist load` keeps a module's tests together where balance allows"
            )
        self._decide(config)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the marker of pytest-xdist."""
        config.addinivalue_line(
            "markers", "xdist_group(name): tests of one group run in the same worker under `--dist loadgroup`."
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Hand the collected session to its role; ``None`` lets pytest's own loop run."""
        return self._loop(session)


def wants_plain(config: pytest.Config) -> bool:
    """Whether pytest itself runs, in one process that owns the terminal."""
    option = config.option
    if any(getattr(option, name, False) for name in _PRINTING):
        return True
    return any(getattr(option, name, False) for name in ("usepdb", "trace"))


def refuse_timings(config: pytest.Config, request: Message) -> None:
    """`--timings` where pytest itself runs: no worker, nothing to draw."""
    option = config.option
    if not request.get("timings") or getattr(option, "help", False) or getattr(option, "version", False):
        return
    raise pytest.UsageError(
        "`--timings` draws the workers of a run, and here pytest itself runs, in one process; hint: leave out `--timings`, or use `-n 1` or more and no option that only prints or debugs (`--collect-only`, `--setup-show`, `--pdb`, …)"
    )


def workers(config: pytest.Config, request: Message) -> int:
    """Resolve ``-n`` and its companions to a number of workers; 0 means that pytest itself runs."""
    value = config.option.numprocesses
    # Looked at in any case: what can't be done must not be ignored.
    tx = _tx_workers(config.option.tx)
    if value is None:
        value = tx if tx else _default_workers(request.get("default_workers"))
    if value in ("auto", "logical"):
        count = auto_workers(int(request.get("cpus") or 1))
        limit = config.option.maxprocesses
        return max(1, min(count, limit) if limit else count)
    return int(value)


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


def become_worker_config(config: pytest.Config, workerinput: WorkerInput) -> None:
    """Give ``config`` what plugins look at to see that they are in a worker, as pytest-xdist does."""
    option = config.option
    option.loadgroup = option.dist == "loadgroup"
    option.looponfail = False
    option.usepdb = False
    option.dist = "no"
    option.distload = False
    option.numprocesses = None
    option.maxprocesses = None
    config.workerinput = workerinput  # type: ignore[attr-defined]
    config.workeroutput = {}  # type: ignore[attr-defined]
