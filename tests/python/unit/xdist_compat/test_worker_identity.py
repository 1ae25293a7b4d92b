"""Who is noticed when he looks at what is different in each worker."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from rpytest.project.locations import ALL_VARIABLES
from rpytest.xdist_compat import worker_identity
from rpytest.xdist_compat.worker_identity import (
    ENV_COUNT,
    ENV_UID,
    ENV_WORKER,
    IdentityReads,
    WorkerInput,
)


@pytest.fixture
def watch() -> IdentityReads:
    return IdentityReads()


def made(watch: IdentityReads, **more: Any) -> WorkerInput:
    found = worker_identity.worker_input(["tests"], "gw1", 3, "uid", watch)
    found.fetch = lambda: {"given": 1, "workerid": "gw7", **more}
    return found


def test_as_pytest_xdist_has_it(watch: IdentityReads) -> None:
    watch.active = False
    assert made(watch) == {
        "workerid": "gw1",
        "workercount": 3,
        "testrunuid": "uid",
        "mainargv": ["tests"],
        "given": 1,
    }


def get(values: WorkerInput) -> None:
    values["workerid"]


def get_or_none(values: WorkerInput) -> None:
    values.get("testrunuid")


def pop(values: WorkerInput) -> None:
    values.pop("workerid")


def pop_or_none(values: WorkerInput) -> None:
    values.pop("testrunuid", None)


def set_default(values: WorkerInput) -> None:
    values.setdefault("workerid", "x")


def names(values: WorkerInput) -> None:
    list(values)


def keys(values: WorkerInput) -> None:
    values.keys()


def all_values(values: WorkerInput) -> None:
    values.values()


def items(values: WorkerInput) -> None:
    values.items()


def copied(values: WorkerInput) -> None:
    values.copy()


def unpacked(values: WorkerInput) -> None:
    dict(**values)


def shown(values: WorkerInput) -> None:
    repr(values)


def as_text(values: WorkerInput) -> None:
    str(values)


def compared(values: WorkerInput) -> None:
    assert values != {}


def from_the_end(values: WorkerInput) -> None:
    list(reversed(values))


def pop_any(values: WorkerInput) -> None:
    values.popitem()


def is_there(values: WorkerInput) -> None:
    assert "workerid" in values
    assert "testrunuid" in values
    number: Any = 3
    assert number not in values


def arguments(values: WorkerInput) -> None:
    values["mainargv"]


def size(values: WorkerInput) -> None:
    len(values)


@pytest.mark.parametrize(
    ("look", "key"),
    [
        (get, "workerid"),
        (get_or_none, "testrunuid"),
        (pop, "workerid"),
        (pop_or_none, "testrunuid"),
        (set_default, "workerid"),
        (names, "workerid"),
        (keys, "workerid"),
        (all_values, "workerid"),
        (items, "workerid"),
        (copied, "workerid"),
        (unpacked, "workerid"),
        (shown, "workerid"),
        (as_text, "workerid"),
        (compared, "workerid"),
        (from_the_end, "workerid"),
        (pop_any, "workerid"),
        # That it is there is the same in all workers.
        (is_there, None),
        (arguments, None),
        (size, None),
    ],
)
def test_own_values(
    watch: IdentityReads, look: Callable[[WorkerInput], None], key: str | None
) -> None:
    look(made(watch))
    if key is None:
        assert watch.reader is None
    else:
        assert watch.reader is not None
        line = look.__code__.co_firstlineno + 1
        assert watch.reader == f"`config.workerinput['{key}']` is read by {__file__}:{line}"


@pytest.mark.parametrize("look", [get, items, pop])
def test_nobody_is_noticed_once_there_are_workers(
    watch: IdentityReads, look: Callable[[WorkerInput], None]
) -> None:
    watch.active = False
    look(made(watch))
    assert watch.reader is None


def test_the_first_reader_counts(watch: IdentityReads) -> None:
    values = made(watch)
    get(values)
    first = watch.reader
    get_or_none(values)
    assert watch.reader == first


def test_how_many_there_are(watch: Any) -> None:
    values = made(watch)
    assert values["mainargv"] == ["tests"]
    assert not watch.counted
    assert values["workercount"] == 3
    assert watch.counted
    assert watch.reader is None


def test_values_of_the_controller_are_fetched_once(watch: Any) -> None:
    values = made(watch)
    fetched: list[int] = []

    def fetch() -> dict[str, Any]:
        fetched.append(1)
        return {"given": 1, "workerid": "gw7", "workercount": 99}

    values.fetch = fetch
    assert values["workercount"] == 3
    assert fetched == []
    assert values["given"] == 1
    assert values.get("other", 5) == 5
    assert "other" not in values
    assert fetched == [1]
    assert values.read == {"given", "other"}
    # What the worker knows better stays.
    watch.active = False
    assert values["workerid"] == "gw1"
    assert values["workercount"] == 3


@pytest.mark.parametrize(
    ("read", "other", "key"),
    [
        ([], {}, None),
        (["given"], {"given": 1}, None),
        (["given"], {"given": 2}, "given"),
        (["given"], {}, "given"),
        # What was looked for in vain is there in another worker.
        (["other"], {}, None),
        (["other"], {"other": None}, "other"),
        (["other", "given"], {"given": 2, "other": 2}, "given"),
        # What nobody has read may be anything.
        (["given"], {"given": 1, "more": 2}, None),
    ],
)
def test_differs(
    watch: IdentityReads, read: list[str], other: dict[str, Any], key: str | None
) -> None:
    values = made(watch)
    for name in read:
        values.get(name)
    assert values.differs(other) == key


def test_while_a_fixture_of_all_workers_is_set_up(watch: Any) -> None:
    """The id of the run is the same for all then, and what a hook has put in for one worker is
    not.
    """
    watch.replace_state((True, None, True))
    values = made(watch)
    assert values["testrunuid"] == "uid"
    assert values["workercount"] == 3
    assert not watch.reader
    assert values["given"] == 1
    assert str(watch.reader).startswith("`config.workerinput['given']` is read by ")
    assert values.read == set()


def test_watched_in_another_way_for_a_while(watch: IdentityReads) -> None:
    before = watch.replace_state((False, None, True))
    assert before == (True, None, False)
    watch.noticed("x")
    assert watch.replace_state(before) == (False, None, True)
    watch.noticed("x")
    seen = watch.replace_state((True, None, False))
    assert seen[1] is not None
    assert seen[1].startswith("x is read by ")


class Config:
    """As pytest's configuration, as far as it is looked at."""

    def __init__(self) -> None:
        self.option = SimpleNamespace(
            dist="loadgroup",
            looponfail=True,
            usepdb=True,
            distload=True,
            numprocesses=3,
            maxprocesses=2,
        )


def test_a_configuration_becomes_a_worker_s(watch: Any) -> None:
    config: Any = Config()
    values = made(watch)
    worker_identity.become_worker_config(config, values, watch)
    assert vars(config.option) == {
        "loadgroup": True,
        "dist": "no",
        "looponfail": False,
        "usepdb": False,
        "distload": False,
        "numprocesses": None,
        "maxprocesses": None,
    }
    assert config.workeroutput == {}
    assert not watch.asked
    assert hasattr(config, "workerinput")
    assert watch.asked
    assert config.workerinput is values
    # It looks like what it was.
    assert type(config).__name__ == "Config"
    assert type(config).__module__ == __name__
    del config.workerinput
    assert not hasattr(config, "workerinput")
    config.workerinput = values
    assert config.workerinput is values
    assert isinstance(config, Config)


@pytest.mark.parametrize("mode", ["load", "no"])
def test_other_modes_of_distribution(mode: str) -> None:
    option = SimpleNamespace(dist=mode)
    worker_identity.become_worker_options(option)
    assert option.loadgroup is False
    assert option.dist == "no"


@pytest.mark.parametrize(
    ("module", "is_asked"),
    [
        ("conftest", True),
        ("some_plugin", True),
        ("pytest_cov.plugin", True),
        ("_pytest.junitxml", False),
        ("rpytest.worker.worker", False),
    ],
)
def test_who_asks_whether_this_is_a_worker(
    watch: IdentityReads, module: str, is_asked: bool
) -> None:
    config: Any = Config()
    worker_identity.hide_input(config, made(watch), watch)
    exec("hasattr(config, 'workerinput')", {"__name__": module, "config": config})
    assert watch.asked is is_asked


def test_who_asks_through_a_function_of_pytest_xdist(watch: Any) -> None:
    from rpytest.xdist_compat.xdist_module import is_xdist_worker

    config: Any = Config()
    worker_identity.hide_input(config, made(watch), watch)
    contents = {"is_worker": is_xdist_worker, "of": SimpleNamespace(config=config)}
    exec("is_worker(of)", {"__name__": "_pytest.x", **contents})
    assert not watch.asked
    exec("is_worker(of)", {"__name__": "conftest", **contents})
    assert watch.asked


class Variables:
    """Variables of its own, and who looks at them."""

    def __init__(self, **values: str) -> None:
        self.watch = IdentityReads()
        self.real: Any = os.environ
        encoded = {os.fsencode(name): os.fsencode(value) for name, value in values.items()}
        data: Any = worker_identity._Environ(encoded, self.watch)
        self.environ = type(self.real)(
            data,
            self.real.encodekey,
            self.real.decodekey,
            self.real.encodevalue,
            self.real.decodevalue,
        )


IDENTITY = {"A": "1", ENV_WORKER: "gw1", ENV_COUNT: "3", ENV_UID: "uid", "SHLVL": "2"}


@pytest.mark.parametrize(
    ("look", "reader", "counted", "variables"),
    [
        (lambda environ: environ["A"], None, False, set()),
        (lambda environ: environ[ENV_WORKER], f"${ENV_WORKER}", False, set()),
        (lambda environ: environ.get(ENV_UID), f"${ENV_UID}", False, set()),
        # There is one in workers only.
        (lambda environ: ENV_WORKER in environ, f"${ENV_WORKER}", False, set()),
        (lambda environ: environ[ENV_COUNT], None, True, set()),
        # What another run may have another value of.
        (lambda environ: environ["SHLVL"], None, False, {"SHLVL"}),
        (lambda environ: environ.get("OLDPWD"), None, False, {"OLDPWD"}),
        # A copy of all is for a child process: nobody has looked at one.
        (dict, None, False, {ALL_VARIABLES, "SHLVL"}),
        (lambda environ: environ.copy(), None, False, {ALL_VARIABLES, "SHLVL"}),
        (lambda environ: list(environ.items()), None, False, {ALL_VARIABLES, "SHLVL"}),
        (repr, None, False, {ALL_VARIABLES}),
        (list, None, False, {ALL_VARIABLES}),
        (
            lambda environ: (dict(environ), environ[ENV_WORKER]),
            f"${ENV_WORKER}",
            False,
            {ALL_VARIABLES, "SHLVL"},
        ),
        (
            lambda environ: (list(environ), environ[ENV_WORKER]),
            f"${ENV_WORKER}",
            False,
            {ALL_VARIABLES},
        ),
    ],
)
def test_variables(
    look: Callable[[Any], object], reader: str | None, counted: bool, variables: set[str]
) -> None:
    held = Variables(**IDENTITY)
    look(held.environ)
    found = held.watch.reader
    assert (found and found.partition(" is read by ")[0]) == reader
    assert held.watch.counted is counted
    assert held.watch.variables == variables


def test_a_count_that_is_not_there() -> None:
    """Arguments aren't parsed yet: nobody knows how many workers there will be."""
    held = Variables()
    assert held.environ.get(ENV_COUNT) is None
    assert held.watch.reader is not None
    assert held.watch.reader.startswith(f"${ENV_COUNT} is read by ")
    assert not held.watch.counted


def test_nobody_looks_at_variables_once_there_are_workers() -> None:
    held = Variables(**IDENTITY)
    held.watch.active = False
    assert held.environ[ENV_WORKER] == "gw1"
    assert dict(held.environ) == IDENTITY
    assert held.environ["SHLVL"] == "2"
    assert (held.watch.reader, held.watch.variables) == (None, set())


def test_the_id_of_a_run_while_a_fixture_of_all_workers_is_set_up() -> None:
    held: Any = Variables(**IDENTITY)
    held.watch.replace_state((True, None, True))
    assert held.environ[ENV_UID] == "uid"
    assert held.watch.reader is None
    assert held.environ[ENV_WORKER] == "gw1"
    assert held.watch.reader is not None


def test_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (ENV_WORKER, ENV_COUNT, ENV_UID):
        monkeypatch.setenv(name, "before")
    worker_identity.set_environment("gw1", 3, "uid")
    assert [os.environ[name] for name in (ENV_WORKER, ENV_COUNT, ENV_UID)] == ["gw1", "3", "uid"]
