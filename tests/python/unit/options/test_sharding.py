"""What `--shard` and its companions mean, by hand and in the jobs of CI systems."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rpytest.ipc.run_messages import Shard
from rpytest.options import sharding

GITLAB = {"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "4"}
CIRCLE = {"CIRCLE_NODE_INDEX": "1", "CIRCLE_NODE_TOTAL": "4"}
BUILDKITE = {"BUILDKITE_PARALLEL_JOB": "3", "BUILDKITE_PARALLEL_JOB_COUNT": "4"}


@pytest.mark.parametrize(
    ("shard", "total", "environment", "wanted"),
    [
        (None, None, {}, None),
        # What a CI system says counts only if it was asked for.
        (None, None, GITLAB, None),
        ("0", "1", {}, (0, 1)),
        ("3", "4", {}, (3, 4)),
        ("2", "4", GITLAB, (2, 4)),
        ("007", "0100000", {}, (7, 100_000)),
        # GitLab counts its jobs from 1, the others from 0.
        ("auto", None, GITLAB, (0, 4)),
        ("auto", None, CIRCLE, (1, 4)),
        ("auto", None, BUILDKITE, (3, 4)),
        ("auto", "4", GITLAB, (0, 4)),
        ("auto", "04", GITLAB, (0, 4)),
        # A job that is not parallel.
        ("auto", None, {"CI_NODE_TOTAL": "1"}, (0, 1)),
        ("auto", None, {"CI_NODE_TOTAL": "1", "CI_NODE_INDEX": ""}, (0, 1)),
        # Of several systems the first one counts.
        ("auto", None, {**BUILDKITE, **CIRCLE}, (1, 4)),
        ("auto", None, {"CI_NODE_TOTAL": "", **BUILDKITE}, (3, 4)),
        ("auto", None, {"CI_NODE_INDEX": "9", **BUILDKITE}, (3, 4)),
    ],
)
def test_which_one(
    shard: str | None,
    total: str | None,
    environment: dict[str, str],
    wanted: tuple[int, int] | None,
) -> None:
    found = sharding.resolve(shard, total, environment)
    assert found == (None if wanted is None else Shard(index=wanted[0], total=wanted[1]))


@pytest.mark.parametrize(
    ("shard", "total", "environment", "text"),
    [
        (None, "4", {}, "`--total-shards` needs to know which one"),
        ("1", None, GITLAB, "`--shard=1` needs the number of shards"),
        ("x", "4", {}, "`--shard=x` is no number"),
        ("-1", "4", {}, "`--shard=-1` is no number"),
        ("1.0", "4", {}, "`--shard=1.0` is no number"),
        ("", "4", {}, "`--shard=` is no number"),
        # Digits of other scripts are numbers for Python.
        ("²", "4", {}, "`--shard=²` is no number"),
        ("٣", "4", {}, "`--shard=٣` is no number"),
        ("0", "many", {}, "`--total-shards=many` is no number"),
        ("4", "4", {}, "there is no shard 4 of 4; hint: they are counted from 0 to 3"),
        ("0", "0", {}, "0 shards are not possible"),
        ("0", "100001", {}, "100001 shards are not possible"),
        ("auto", None, {}, "finds no parallel CI job"),
        ("auto", None, {"CI_NODE_INDEX": "1"}, "finds no parallel CI job"),
        ("auto", None, {"CI_NODE_TOTAL": "4"}, "`CI_NODE_TOTAL=4` without `CI_NODE_INDEX`"),
        ("auto", "5", GITLAB, "`--total-shards=5` is not GitLab's `CI_NODE_TOTAL=4`"),
        ("auto", "x", GITLAB, "`--total-shards=x` is no number"),
        ("auto", None, {**GITLAB, "CI_NODE_INDEX": "0"}, "none of its 4 jobs.*from 1"),
        ("auto", None, {**GITLAB, "CI_NODE_INDEX": "5"}, "none of its 4 jobs.*from 1"),
        ("auto", None, {**CIRCLE, "CIRCLE_NODE_INDEX": "4"}, "none of its 4 jobs.*from 0"),
        ("auto", None, {**CIRCLE, "CIRCLE_NODE_INDEX": "a"}, "`CIRCLE_NODE_INDEX=a` is no number"),
        ("auto", None, {**CIRCLE, "CIRCLE_NODE_TOTAL": "a"}, "`CIRCLE_NODE_TOTAL=a` is no number"),
    ],
)
def test_what_is_refused(
    shard: str | None, total: str | None, environment: dict[str, str], text: str
) -> None:
    with pytest.raises(pytest.UsageError, match=text):
        sharding.resolve(shard, total, environment)


def configured(tmp_path: Path, **options: str) -> pytest.Stash:
    option = {"shard": None, "total_shards": None, "shard_history": None, **options}
    config: Any = SimpleNamespace(
        option=SimpleNamespace(**option),
        invocation_params=SimpleNamespace(dir=tmp_path),
        stash=pytest.Stash(),
    )
    sharding.configure(config)
    stash: pytest.Stash = config.stash
    return stash


def test_a_configuration_keeps_it(tmp_path: Path) -> None:
    assert sharding.KEY not in configured(tmp_path)
    # A history alone divides nothing.
    assert sharding.KEY not in configured(tmp_path, shard_history="file")
    kept = configured(tmp_path, shard="1", total_shards="2")[sharding.KEY]
    assert kept == Shard(index=1, total=2)


@pytest.mark.parametrize(
    ("given", "kept"), [("sub/file", "{}/sub/file"), ("/x/file", "/x/file"), ("", None)]
)
def test_a_history_is_where_the_command_was_called(
    tmp_path: Path, given: str, kept: str | None
) -> None:
    stash = configured(tmp_path, shard="1", total_shards="2", shard_history=given)
    assert stash[sharding.KEY].history == (None if kept is None else kept.format(tmp_path))
