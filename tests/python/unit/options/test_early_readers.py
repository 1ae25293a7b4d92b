"""Which plugins read the arguments before pytest has parsed them, and whether other arguments mean
something else to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from _pytest.config import get_config

from rpytest.options import early_readers


def uses(early_config: pytest.Config, args: list[str]) -> None:
    early_config.seen = len(args)  # type: ignore[attr-defined]


def names_only(args: list[str], early_config: pytest.Config, parser: pytest.Parser) -> None:  # noqa: ARG001
    early_config.addinivalue_line("markers", "mine")


def without(early_config: pytest.Config) -> None:
    early_config.addinivalue_line("markers", "mine")


def in_a_closure(args: list[str]) -> None:
    def inner() -> list[str]:
        return args

    inner()


def by_another_name(args: list[str]) -> None:
    print(locals())


def config_with(name: str, function: Callable[..., Any]) -> Any:
    config: Any = get_config([])
    module = ModuleType(name)
    function.__module__ = name
    module.pytest_load_initial_conftests = function  # type: ignore[attr-defined]
    config.pluginmanager.register(module, name)
    return config


@pytest.mark.parametrize(
    ("function", "reads"),
    [
        (uses, True),
        (names_only, False),
        (without, False),
        (in_a_closure, True),
        (by_another_name, True),
    ],
)
def test_who_uses_the_arguments(function: Callable[..., Any], reads: bool) -> None:
    config = config_with("somebodys_plugin", function)
    reader = early_readers.who_minds(config, ["tests"], ["tests/test_a.py"])
    assert reader == ("`pytest_load_initial_conftests` of somebodys_plugin" if reads else None)
    assert early_readers.who_minds(config, ["tests"], ["tests"]) is None


def test_pytests_own_do_not_mind() -> None:
    assert early_readers.who_minds(get_config([]), ["a"], ["b"]) is None


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ([], ["tests/test_a.py", "-q"], True),
        (["--cov=src"], ["--cov=src", "tests"], True),
        (["--cov=src"], ["--no-cov", "--cov=src"], False),
        ([], ["--no-cov"], False),
    ],
)
def test_coverage(before: Sequence[str], now: Sequence[str], same: bool) -> None:
    config = config_with("pytest_cov", uses)
    assert (early_readers.who_minds(config, before, now) is None) == same


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ([], ["site/tests/test_a.py::test_x"], True),
        (["site/tests"], ["site/tests/test_a.py"], True),
        (["site"], ["other/tests"], False),
        (["other/tests"], ["other/tests/test_b.py"], True),
        ([], ["other"], False),
    ],
)
def test_django(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: Sequence[str],
    now: Sequence[str],
    same: bool,
) -> None:
    for folder in ("site/tests", "other/tests"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "manage.py").touch()
    (tmp_path / "other/manage.py").touch()
    monkeypatch.chdir(tmp_path)
    config = config_with("pytest_django", uses)
    assert (early_readers.who_minds(config, before, now) is None) == same
