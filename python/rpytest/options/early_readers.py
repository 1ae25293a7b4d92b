"""Plugins that read the arguments before pytest has parsed them.

`pytest_load_initial_conftests` and `pytest_cmdline_parse` are given the arguments as a list that
pytest itself goes on to parse, so it can't be one that notices who reads it (see
``options/option_reads.py``). Instead the code of an implementation is asked whether it uses its
parameter: many name it and don't.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any

import pytest

from rpytest import stdlib
from rpytest.pytest_compat import known_plugins
from rpytest.pytest_compat.hooks import plugin_name, third_party_hooks
from rpytest.stdlib import pathlib

__builtins__ = stdlib.BUILTINS

_HOOKS = ("pytest_load_initial_conftests", "pytest_cmdline_parse")
_PARAMETER = "args"

#: Functions with which a parameter is read without its name.
_BY_ANY_NAME = frozenset({"locals", "vars", "eval", "exec", "_getframe"})


def _coverage(args: Sequence[str]) -> object:
    """pytest-cov (5 to 7) looks for `--no-cov` before an option that begins with `--cov`."""
    return [arg for arg in args if arg.startswith(("--cov", "--no-cov"))]


def _django(args: Sequence[str]) -> object:
    """pytest-django (4) looks for `manage.py`: in each path that is given, and above it, then in
    the working directory.
    """
    here = pathlib.Path.cwd()
    paths = [pathlib.Path(arg.split("::", 1)[0]) for arg in args if not arg.startswith("-")]
    for path in (*paths, here):
        for folder in (path, *path.parents):
            try:
                if folder.is_dir() and (folder / "manage.py").exists():
                    return folder.absolute()
            except OSError:
                continue
    return None


#: What known plugins find out, by the names of their packages.
_FOUND_BY: dict[str, Callable[[Sequence[str]], object]] = {
    "pytest_cov": _coverage,
    "pytest_django": _django,
}


def who_minds(config: pytest.Config, before: Sequence[str], now: Sequence[str]) -> str | None:
    """An implementation that may have done something else with the arguments ``now`` than with
    those ``before``, in words.
    """
    for hook in _HOOKS:
        for implementation in third_party_hooks(config, hook, _PARAMETER):
            find = _FOUND_BY.get(known_plugins.package(implementation), list)
            if find(before) != find(now) and reads_arguments(implementation):
                return f"`{hook}` of {plugin_name(implementation)}"
    return None


def reads_arguments(implementation: Any) -> bool:
    """Whether an implementation that takes the arguments uses them."""
    function = implementation.function
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if not isinstance(code, CodeType) or hasattr(function, "__wrapped__"):
        return True
    if _PARAMETER in code.co_cellvars or not _BY_ANY_NAME.isdisjoint(code.co_names):
        return True
    return any(_names(instruction.argval) for instruction in dis.get_instructions(code))


def _names(value: object) -> bool:
    # Python 3.13 has instructions that load two variables.
    return value == _PARAMETER or (isinstance(value, tuple) and _PARAMETER in value)
