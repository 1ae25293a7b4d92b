"""``--debug`` with several processes: each writes down what it does in a file of its own, beside
that of the session.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import Any, TextIO

import pytest


def own_name(path: str, process: str) -> str:
    """``pytestdebug.log`` is ``pytestdebug.gw0.log`` in the process gw0."""
    stem, suffix = os.path.splitext(path)
    return f"{stem}.{process}{suffix}"


def prepare(config: pytest.Config) -> None:
    """Before this process is forked: nothing may be pending in the file, or each fork would write
    it again.
    """
    trace = _Trace.of(config)
    if trace is not None:
        trace.file.reconfigure(line_buffering=True)  # type: ignore[attr-defined]


def separate(config: pytest.Config, process: str, again: bool = False) -> None:
    """Write to a fork's own file from here on. ``again``: this process takes the place of one that
    has written there.
    """
    trace = _Trace.of(config)
    if trace is None:
        return
    path = os.path.join(config.invocation_params.dir, own_name(config.option.debug, process))
    own = open(path, "a" if again else "w", encoding="utf-8", buffering=1)  # noqa: SIM115
    config.trace.root.setwriter(own.write)
    # pytest closes its file when it is unconfigured, and says where it is: this one.
    trace.file = own


def close(config: pytest.Config) -> None:
    """The run is over in a process that is not unconfigured: close the file and say where it is, as
    pytest does then.
    """
    trace = _Trace.of(config)
    if trace is not None:
        trace.end()


def arguments(argv: Sequence[str], path: str | None, process: str) -> list[str]:
    """Arguments of a process that configures itself from the start: with them pytest opens this
    process's file.
    """
    if not path:
        return list(argv)
    end = argv.index("--") if "--" in argv else len(argv)
    return [*argv[:end], f"--debug={own_name(path, process)}", *argv[end:]]


class _Trace:
    """The variable in which pytest keeps the file, a local one of its hook: the function that
    closes it has it.
    """

    def __init__(self, end: FunctionType, cell: Any) -> None:
        #: Closes the file and says where it is.
        self.end = end
        self._cell = cell

    @classmethod
    def of(cls, config: pytest.Config) -> _Trace | None:
        if not getattr(config.option, "debug", None):
            return None
        for function in _cleanups(config):
            if isinstance(function, FunctionType) and "debugfile" in function.__code__.co_freevars:
                index = function.__code__.co_freevars.index("debugfile")
                return cls(function, (function.__closure__ or ())[index])
        return None

    @property
    def file(self) -> TextIO:
        return self._cell.cell_contents  # type: ignore[no-any-return]

    @file.setter
    def file(self, file: TextIO) -> None:
        self._cell.cell_contents = file


def _cleanups(config: pytest.Config) -> Iterator[object]:
    # pytest before 8.4 has a list.
    yield from getattr(config, "_cleanup", ())
    stack = getattr(config, "_cleanup_stack", None)
    for _, callback in getattr(stack, "_exit_callbacks", ()):
        yield getattr(callback, "__wrapped__", None)
