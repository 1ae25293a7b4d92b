"""The options that pytest's parser learns from rpytest: ``-n`` and its companions, by
pytest-xdist's names where it has them.
"""

from __future__ import annotations

import argparse
import importlib.util
from typing import Any, Literal

import pytest

from rpytest.options import sharding

DIST_MODES = ("each", "load", "loadscope", "loadfile", "loadgroup", "worksteal", "no")


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
        raise _argument_error(
            f"`{value}` is more than 1024 workers; hint: `-n auto` takes one per processor"
        )
    return number


def _natural(value: str) -> int:
    if not value.isdecimal():
        raise _argument_error(f"`{value}` is not a number; hint: give 0 or more")
    return int(value)


def _positive(value: str) -> int:
    if not value.isdecimal() or int(value) == 0:
        raise _argument_error(f"`{value}` is not a number of tests; hint: give 1 or more")
    return int(value)


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
        help=(
            "Number of parallel workers: a number, 'auto' (available processors) or 'logical'. "
            "0 runs pytest itself in one process. Default: 1, or `default_workers` in "
            "[tool.rpytest]."
        ),
    )
    group.addoption(
        "--maxprocesses",
        dest="maxprocesses",
        metavar="N",
        type=_natural,
        default=None,
        help="Upper limit of the workers that 'auto' or 'logical' start.",
    )
    group.addoption(
        "--max-worker-restart",
        dest="maxworkerrestart",
        metavar="N",
        type=_natural,
        default=None,
        help=(
            "How many crashed workers are replaced before the run gives up (default: 4 for "
            "each worker)."
        ),
    )
    group.addoption(
        "--dist",
        dest="dist",
        metavar="MODE",
        choices=DIST_MODES,
        default="no",
        help="How tests are distributed. 'load', 'worksteal' (both: longest first, idle workers "
        "steal; also the meaning of -n alone); "
        "'loadfile', 'loadscope' (a module's functions, a class's methods), 'loadgroup' "
        "(mark xdist_group): as load, but a group stays in one worker; "
        "'each': every test in every worker; 'no'.",
    )
    group._addoption(
        "-d",
        dest="distload",
        action="store_true",
        default=False,
        help="Shortcut for '--dist=load'.",
    )
    group.addoption(
        "--loadscope-reorder",
        dest="loadscopereorder",
        action="store_true",
        default=True,
        help="With groups: the longest first (default).",
    )
    group.addoption(
        "--no-loadscope-reorder",
        dest="loadscopereorder",
        action="store_false",
        help="With groups: in the order of collection.",
    )
    group.addoption(
        "--order",
        dest="rpytest_order",
        metavar="ORDER",
        choices=("lpt", "collected"),
        default="lpt",
        help=(
            "'lpt': longest first (default). 'collected': contiguous pieces in the order of "
            "collection, the same for each worker in every run; nothing is stolen."
        ),
    )
    group.addoption(
        "--record-plan",
        dest="rpytest_record_plan",
        metavar="FILE",
        default=None,
        help="Write down which worker ran which tests in which sequence.",
    )
    # A plugin of that name has an option of that name.
    replay = (
        ["--replay-plan"]
        if importlib.util.find_spec("pytest_replay")
        else ["--replay", "--replay-plan"]
    )
    group.addoption(
        *replay,
        dest="rpytest_replay",
        metavar="FILE",
        default=None,
        help="Run a recorded plan again, worker by worker in the same sequence.",
    )
    group.addoption(
        "--tx",
        dest="tx",
        metavar="SPEC",
        action="append",
        default=[],
        help=(
            "Add workers by pytest-xdist's specification; only 'popen' and 'N*popen' are possible."
        ),
    )
    group.addoption(
        "--testrunuid",
        dest="testrunuid",
        metavar="ID",
        default=None,
        help=(
            "Value of the 'testrun_uid' fixture, the same in all workers (default: new for "
            "each run)."
        ),
    )
    group.addoption(
        "--start-method",
        dest="start_method",
        choices=("collected", "imported", "bare"),
        default=None,
        help=(
            "What workers are forked from: the collected session (default); 'imported': one "
            "that is collected for this run; 'bare': each collects by itself."
        ),
    )
    group.addoption(
        "--stats",
        dest="rpytest_stats",
        action="store_true",
        default=False,
        help="Show latencies of the shared-memory ring after the run.",
    )
    group.addoption(
        "--maxschedchunk",
        dest="maxschedchunk",
        metavar="N",
        type=_positive,
        default=None,
        help=(
            "How many tests a worker may take in one step, as pytest-xdist has it. Workers "
            "take one at a time, which is within any limit."
        ),
    )
    for name in ("-f", "--looponfail"):
        group._addoption(
            name,
            dest="looponfail",
            action=_UnsupportedOption,
            nargs=0,
            default=None,
            help=argparse.SUPPRESS,
        )
    for name, destination in (
        ("--rsyncdir", "rsyncdir"),
        ("--rsyncignore", "rsyncignore"),
        ("--px", "px"),
    ):
        group._addoption(
            name,
            dest=destination,
            action=_UnsupportedOption,
            nargs="?",
            default=[],
            help=argparse.SUPPRESS,
        )
    for name in ("rsyncdirs", "rsyncignore", "looponfailroots"):
        parser.addini(name, "Of pytest-xdist; without effect.", type="paths")
    sharding.add_options(group)
    for name in _COMMAND_LINE_ONLY:
        group.addoption(
            name,
            dest="rpytest_command_line_only",
            action="append_const",
            const=name,
            help=_COMMAND_LINE_ONLY[name],
        )
    group.addoption(
        "--timings",
        dest="rpytest_command_line_only",
        metavar="FILE",
        nargs="?",
        action=_CommandLineOnly,
        help=(
            "Write a picture of the run (workers, fixtures, idle time, the plan) as an HTML "
            "page; default of FILE, which is given with '=': rpytest-timings.html."
        ),
    )


class _CommandLineOnly(argparse.Action):
    """An option with a value that pytest's parser sees only where the command line didn't: in
    `addopts`.
    """

    def __call__(self, *arguments: Any) -> None:
        _, namespace, _, option = arguments
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or ()), option])


class _UnsupportedOption(argparse.Action):
    """An option of pytest-xdist that can't be honoured: better an error than tests that run
    otherwise than was asked for.
    """

    def __call__(self, *_: object) -> None:
        hint = (
            "use `rpytest --watch`"
            if self.dest == "looponfail"
            else "rpytest has no remote workers"
        )
        raise argparse.ArgumentError(
            self, f"this option of pytest-xdist is not supported; hint: leave it out, {hint}"
        )


_COMMAND_LINE_ONLY = {
    "--daemon-status": "Say what the daemon keeps warm, and exit.",
    "--daemon-stop": "Stop the daemon, and exit.",
    "--watch": "Run the tests again whenever something that they depend on changes.",
    "--no-daemon": "Leave no daemon behind: one run in processes of its own.",
    "--history-export": "Write the durations of this project's tests to a file, and exit.",
    "--history-import": "Add the durations of exported files to this project's, and exit.",
    "--history-merge": "Merge files of durations into one, and exit.",
    "--merge-reports": "Merge the junit files of shards into one, and exit.",
}
