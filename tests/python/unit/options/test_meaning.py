"""How many workers the options ask for, and when pytest itself runs in their place."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rpytest.ipc.run_messages import RunRequest
from rpytest.options import meaning, sharding

DEFAULTS: dict[str, Any] = {
    "numprocesses": None,
    "maxprocesses": None,
    "tx": [],
    "dist": "no",
    "distload": False,
    "shard": None,
    "total_shards": None,
    "shard_history": None,
    "rpytest_record_plan": None,
    "rpytest_replay": None,
    "usepdb": False,
    "trace": False,
}


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)


def config_with(chosen: int | None = None, folder: Path | None = None, **options: Any) -> Any:
    """A configuration with these options; ``chosen``: a plugin's number of workers."""
    return SimpleNamespace(
        option=SimpleNamespace(**{**DEFAULTS, **options}),
        hook=SimpleNamespace(pytest_xdist_auto_num_workers=lambda **_: chosen),
        invocation_params=SimpleNamespace(dir=folder),
        stash=pytest.Stash(),
    )


def request(**fields: Any) -> RunRequest:
    needed = {
        "protocol": 2,
        "build": "",
        "argv": [],
        "cwd": "/",
        "env_key": "",
        "prog": "",
        "umask": 0,
        "affinity": [],
        "preload": False,
    }
    return RunRequest(**{**needed, **fields})


@pytest.mark.parametrize(
    ("options", "fields", "count"),
    [
        ({}, {}, 1),
        ({}, {"default_workers": "3"}, 3),
        ({}, {"default_workers": "0"}, 0),
        ({}, {"default_workers": "auto", "cpus": 8}, 8),
        ({}, {"default_workers": "logical", "cpus": 8}, 8),
        ({"numprocesses": 0}, {"default_workers": "3"}, 0),
        ({"numprocesses": 2}, {"default_workers": "3"}, 2),
        ({"numprocesses": "auto"}, {"cpus": 8}, 8),
        ({"numprocesses": "logical"}, {"cpus": 8}, 8),
        ({"numprocesses": "auto", "maxprocesses": 3}, {"cpus": 8}, 3),
        ({"numprocesses": "auto", "maxprocesses": 9}, {"cpus": 8}, 8),
        ({"numprocesses": 4, "maxprocesses": 2}, {}, 2),
        ({"maxprocesses": 2}, {"default_workers": "4"}, 2),
        # No limit, and not none at all.
        ({"numprocesses": 4, "maxprocesses": 0}, {}, 4),
        ({"tx": ["popen"]}, {}, 1),
        ({"tx": ["3*popen", "popen"]}, {"default_workers": "9"}, 4),
        # As under pytest-xdist, which limits `-n` only.
        ({"tx": ["3*popen"], "maxprocesses": 2}, {}, 3),
        ({"tx": ["3*popen"], "numprocesses": 5}, {}, 5),
        ({"tx": ["0*popen"]}, {"default_workers": "2"}, 2),
    ],
)
def test_workers(options: dict[str, Any], fields: dict[str, Any], count: int) -> None:
    assert meaning.workers(config_with(**options), request(**fields)) == count


@pytest.mark.parametrize(("chosen", "count"), [(None, 8), (5, 5), (0, 1), (-1, 1)])
def test_a_plugin_chooses_for_auto(chosen: int | None, count: int) -> None:
    config = config_with(chosen, numprocesses="auto")
    assert meaning.workers(config, request(cpus=8)) == count
    assert meaning.workers(config_with(chosen, numprocesses=3), request(cpus=8)) == 3


@pytest.mark.parametrize(
    "spec",
    ["²*popen", "ssh=host", "2*ssh=host", "x*popen", "*popen", "-1*popen", "popen//chdir=x", ""],
)
@pytest.mark.parametrize("count", [None, 2])
def test_remote_workers_are_refused_even_if_they_are_not_asked_for(
    spec: str, count: int | None
) -> None:
    with pytest.raises(pytest.UsageError, match="is not possible; hint: workers are local"):
        meaning.workers(config_with(tx=[spec], numprocesses=count), request())


@pytest.mark.parametrize(
    ("value", "count", "is_told"), [("5", 5, False), ("", 2, False), ("many", 2, True)]
)
def test_the_variable(
    monkeypatch: pytest.MonkeyPatch, value: str, count: int, is_told: bool
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", value)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert meaning.auto_workers(2) == count
    assert bool(told) == is_told


def test_a_variable_for_no_workers_makes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "0")
    assert meaning.workers(config_with(numprocesses="auto"), request(cpus=4)) == 1


def test_a_plan_says_how_many(tmp_path: Path) -> None:
    (tmp_path / "plan").write_text(json.dumps({"workers": [[], ["test_a.py::test_1"], []]}))
    # Whatever else was asked for.
    config = config_with(folder=tmp_path, rpytest_replay="plan", numprocesses=7, tx=["ssh=x"])
    assert meaning.workers(config, request()) == 3
    config = config_with(folder=Path("/"), rpytest_replay=str(tmp_path / "plan"))
    assert meaning.workers(config, request()) == 3


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "cannot read the plan"),
        ("", "is not a plan"),
        ("[]", "is not a plan"),
        ("{}", "is not a plan"),
        ('{"workers": 3}', "is not a plan"),
        ('{"workers": []}', "is for 0 workers"),
        (json.dumps({"workers": [[]] * 1025}), "is for 1025 workers"),
    ],
)
def test_what_is_no_plan(tmp_path: Path, text: str | None, error: str) -> None:
    if text is not None:
        (tmp_path / "plan").write_text(text)
    with pytest.raises(pytest.UsageError, match=error):
        meaning.workers(config_with(folder=tmp_path, rpytest_replay="plan"), request())


@pytest.mark.parametrize(
    ("options", "is_plain"),
    [
        ({}, False),
        ({"collectonly": True}, True),
        ({"showfixtures": True}, True),
        ({"setupplan": True}, True),
        ({"version": 1}, True),
        ({"version": 0}, False),
        ({"cacheshow": ["*"]}, True),
        ({"cacheshow": None}, False),
        ({"usepdb": True}, True),
        ({"trace": True}, True),
        ({"pastebin": "all"}, True),
        ({"pastebin": "failed"}, False),
    ],
)
def test_when_pytest_itself_runs(options: dict[str, Any], is_plain: bool) -> None:
    assert meaning.wants_plain(config_with(**options)) == is_plain


@pytest.mark.parametrize(
    ("refuse", "options", "fields", "text"),
    [
        (meaning.refuse_workers_options, {}, {}, None),
        (meaning.refuse_workers_options, {}, {"timings": True}, "`--timings` draws"),
        (meaning.refuse_workers_options, {"rpytest_record_plan": "x"}, {}, "`--record-plan` wri"),
        (meaning.refuse_workers_options, {"rpytest_replay": "x"}, {}, "`--replay` runs a plan"),
        (meaning.refuse_workers_options, {"help": True}, {"timings": True}, None),
        (meaning.refuse_workers_options, {"version": 1}, {"timings": True}, None),
        (meaning.refuse_watch, {}, {}, None),
        (meaning.refuse_watch, {}, {"watch": True}, "`--watch` runs tests in workers"),
        (meaning.refuse_watch, {"help": True}, {"watch": True}, None),
        (meaning.refuse_watch, {"version": 1}, {"watch": True}, None),
    ],
)
def test_what_needs_workers(
    refuse: Callable[[Any, RunRequest], None],
    options: dict[str, Any],
    fields: dict[str, Any],
    text: str | None,
) -> None:
    if text is None:
        refuse(config_with(**options), request(**fields))
    else:
        with pytest.raises(pytest.UsageError, match=text):
            refuse(config_with(**options), request(**fields))


@pytest.mark.parametrize(
    ("options", "mode"),
    [({}, "no"), ({"distload": True, "dist": "loadfile"}, "load"), ({"dist": "each"}, "each")],
)
def test_settled(options: dict[str, Any], mode: str) -> None:
    config = config_with(**options)
    meaning.settle_options(config)
    assert config.option.rpytest_dist == config.option.dist == mode


def test_the_shard_is_settled_too(tmp_path: Path) -> None:
    config = config_with(folder=tmp_path, shard="1", total_shards="2")
    meaning.settle_options(config)
    assert config.stash[sharding.KEY].index == 1


SHARD = {"shard": "0", "total_shards": "2"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({**SHARD, "dist": "each"}, "`--shard` and `--dist each` both"),
        ({**SHARD, "rpytest_replay": "x"}, "`--shard` and `--replay` both"),
        ({"dist": "each", "rpytest_record_plan": "x"}, "there is no plan to record or replay"),
        ({"dist": "each", "rpytest_replay": "x"}, "there is no plan to record or replay"),
        ({"rpytest_replay": "x", "numprocesses": 0}, "`--replay` runs a plan in workers"),
        ({"rpytest_replay": "x", "usepdb": True}, "`--replay` runs a plan in workers"),
        ({"rpytest_replay": "x", "trace": True}, "`--replay` runs a plan in workers"),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    with pytest.raises(pytest.UsageError, match=text):
        meaning.settle_options(config_with(folder=tmp_path, **options))


@pytest.mark.parametrize(
    "options",
    [
        {**SHARD, "rpytest_record_plan": "x"},
        {"rpytest_replay": "x", "numprocesses": 3},
        {"rpytest_replay": "x", "rpytest_record_plan": "y"},
        {"dist": "each", "numprocesses": 0},
    ],
)
def test_what_does(tmp_path: Path, options: dict[str, Any]) -> None:
    meaning.settle_options(config_with(folder=tmp_path, **options))
