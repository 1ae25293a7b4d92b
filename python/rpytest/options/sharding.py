"""``--shard``: which one of several machines this is. The command line chooses the tests; here is
what the options mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rpytest import stdlib
from rpytest.ipc.run_messages import Shard
from rpytest.stdlib import os

__builtins__ = stdlib.BUILTINS

#: Where a configuration keeps what `resolve` returned.
KEY = pytest.StashKey[Shard]()

#: For each CI system: its name, the variables with the number of the job and of all jobs, and the
#: number of its first job.
_SYSTEMS = (
    ("GitLab", "CI_NODE_INDEX", "CI_NODE_TOTAL", 1),
    ("CircleCI", "CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", 0),
    ("Buildkite", "BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", 0),
)


def add_options(group: Any) -> None:
    """Register the options with pytest."""
    group.addoption(
        "--shard",
        dest="shard",
        metavar="I",
        default=None,
        help=(
            "Run one part of the suite: number I, from 0, of --total-shards; 'auto' takes both "
            "from GitLab, CircleCI or Buildkite."
        ),
    )
    group.addoption(
        "--total-shards",
        dest="total_shards",
        metavar="N",
        default=None,
        help="Number of parts that the suite is divided into.",
    )
    group.addoption(
        "--shard-history",
        dest="shard_history",
        metavar="FILE",
        default=None,
        help=(
            "Make shards of equal duration by this file, the same for all (see "
            "--history-export); without it modules are dealt by their names."
        ),
    )


def configure(config: pytest.Config) -> None:
    """Check the options; raises `pytest.UsageError`."""
    option = config.option
    shard = resolve(option.shard, option.total_shards, os.environ)
    if shard is not None:
        history = option.shard_history
        shard.history = os.path.join(config.invocation_params.dir, history) if history else None
        config.stash[KEY] = shard


def resolve(shard: str | None, total: str | None, environment: Mapping[str, str]) -> Shard | None:
    """Number and total of the shard, `None` when the suite is not divided."""
    if shard is None:
        if total is not None:
            raise pytest.UsageError(
                "`--total-shards` needs to know which one to run; hint: add `--shard=I`, "
                "with I from 0, or `--shard=auto`"
            )
        return None
    if shard == "auto":
        return _automatic(total, environment)
    if total is None:
        raise pytest.UsageError(
            f"`--shard={shard}` needs the number of shards; hint: add `--total-shards=N`"
        )
    return _checked(_number("--shard", shard), _number("--total-shards", total))


def _automatic(total: str | None, environment: Mapping[str, str]) -> Shard:
    for system, index_name, total_name, first in _SYSTEMS:
        jobs = environment.get(total_name)
        if not jobs:
            continue
        job = environment.get(index_name)
        # GitLab sets the total alone in jobs that are not parallel.
        index = _number(index_name, job) - first if job else 0
        if not job and jobs != "1":
            raise pytest.UsageError(
                f"{system} has set `{total_name}={jobs}` without `{index_name}`; hint: "
                "give `--shard=I --total-shards=N`"
            )
        if total is not None and _number("--total-shards", total) != _number(total_name, jobs):
            raise pytest.UsageError(
                f"`--total-shards={total}` is not {system}'s `{total_name}={jobs}`; hint: "
                "leave it out with `--shard=auto`"
            )
        count = _number(total_name, jobs)
        if job and not 0 <= index < count:
            raise pytest.UsageError(
                f"{system}'s `{index_name}={job}` is none of its {count} jobs, which are "
                f"counted from {first}; hint: give `--shard=I --total-shards=N`"
            )
        return _checked(index, count)
    hint = (
        "give `--shard=I --total-shards=N`; in GitHub Actions `--shard=${{ matrix.shard }}` or "
        "`--shard=${{ strategy.job-index }} --total-shards=${{ strategy.job-total }}`"
    )
    names = ", ".join(name for _, _, name, _ in _SYSTEMS)
    raise pytest.UsageError(
        f"`--shard=auto` finds no parallel CI job (looked for {names}); hint: {hint}"
    )


def _number(name: str, text: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    raise pytest.UsageError(
        f"`{name}={text}` is no number; hint: shards are counted from 0, as in `--shard=0 "
        "--total-shards=4`"
    )


def _checked(index: int, total: int) -> Shard:
    if not 1 <= total <= 100_000:
        raise pytest.UsageError(f"{total} shards are not possible; hint: give from 1 to 100000")
    if not 0 <= index < total:
        raise pytest.UsageError(
            f"there is no shard {index} of {total}; hint: they are counted from 0 to {total - 1}"
        )
    return Shard(index=index, total=total)
