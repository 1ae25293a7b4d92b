"""What the options of `rpytest -n` come to: how many workers there are, and whether pytest itself
runs.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from rpytest.options import sharding
from rpytest.stdlib import json

if TYPE_CHECKING:
    from pathlib import Path

    from rpytest.ipc.run_messages import RunRequest

#: Options of pytest that print and run nothing, or that own the terminal: pytest itself runs, in
#: one process.
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


def refuse_workers_options(config: pytest.Config, request: RunRequest) -> None:
    """What is about workers, where pytest itself runs: there are none."""
    option = config.option
    if getattr(option, "help", False) or getattr(option, "version", False):
        return
    for name, is_given, what in (
        ("--timings", request.timings, "draws the workers of a run"),
        ("--record-plan", option.rpytest_record_plan, "writes down what each worker runs"),
        ("--replay", option.rpytest_replay, "runs a plan in workers"),
    ):
        if is_given:
            raise pytest.UsageError(
                f"`{name}` {what}, and here pytest itself runs, in one process; hint: "
                f"leave out `{name}`, or use `-n 1` or more and no option that only prints "
                "or debugs (`--collect-only`, `--setup-show`, `--pdb`, …)"
            )


def refuse_watch(config: pytest.Config, request: RunRequest) -> None:
    """`--watch` where pytest itself runs: once, and perhaps with a debugger that needs the keys."""
    option = config.option
    if not request.watch or getattr(option, "help", False) or getattr(option, "version", False):
        return
    raise pytest.UsageError(
        "`--watch` runs tests in workers, and here pytest itself runs, in one process; "
        "hint: leave out `--watch`, or use `-n 1` or more and no option that only prints "
        "or debugs (`--collect-only`, `--setup-show`, `--pdb`, …)"
    )


def _check_combinations(option: Any) -> None:
    each = option.rpytest_dist == "each"
    if option.shard is not None and (each or option.rpytest_replay):
        other = "--dist each" if each else "--replay"
        raise pytest.UsageError(
            f"`--shard` and `{other}` both say which tests run; hint: leave out one of them"
        )
    if each and (option.rpytest_record_plan or option.rpytest_replay):
        raise pytest.UsageError(
            "with `--dist each` there is no plan to record or replay; hint: every worker "
            "runs all tests in the order of collection"
        )
    if option.rpytest_replay and (option.usepdb or option.trace or option.numprocesses == 0):
        raise pytest.UsageError(
            "`--replay` runs a plan in workers; hint: leave out `-n 0`, `--pdb` and `--trace`"
        )


def workers(config: pytest.Config, request: RunRequest) -> int:
    """Resolve ``-n`` and its companions to a number of workers; 0 means that pytest itself runs."""
    if config.option.rpytest_replay:
        return _recorded_workers(config.invocation_params.dir / config.option.rpytest_replay)
    value = config.option.numprocesses
    # Looked at in any case: what can't be done must not be ignored.
    tx = _tx_workers(config.option.tx)
    if value is None:
        value = tx if tx else _default_workers(request.default_workers)
    if value in ("auto", "logical"):
        chosen = config.hook.pytest_xdist_auto_num_workers(config=config)
        value = max(1, auto_workers(request.cpus) if chosen is None else int(chosen))
    elif config.option.numprocesses is None and tx:
        # `--maxprocesses` does not limit `--tx`, as under pytest-xdist.
        return int(value)
    limit = config.option.maxprocesses
    return min(int(value), limit) if limit else int(value)


def _recorded_workers(file: Path) -> int:
    """The number of workers in a recorded plan; the command line reads the rest."""
    try:
        count = len(json.loads(file.read_text())["workers"])
    except OSError as error:
        raise pytest.UsageError(
            f"cannot read the plan `{file}`: {error.strerror}; hint: `--record-plan FILE` "
            "writes one"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise pytest.UsageError(
            f"`{file}` is not a plan; hint: `--record-plan FILE` writes one"
        ) from None
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
        if kind != "popen" or (star and not (count.isascii() and count.isdigit())):
            raise pytest.UsageError(
                f"`--tx {spec}` is not possible; hint: workers are local forks, `--tx "
                "N*popen` or `-n N`"
            )
        total += int(count) if star else 1
    return total


def auto_workers(cpus: int) -> int:
    """What ``-n auto`` means: the variable that pytest-xdist reads, else the processors that this
    run may use.
    """
    text = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS")
    if text:
        try:
            return int(text)
        except ValueError:
            warnings.warn(
                f"PYTEST_XDIST_AUTO_NUM_WORKERS is not a number: {text!r}. Ignoring it.",
                stacklevel=2,
            )
    return cpus
