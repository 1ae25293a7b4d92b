"""Which options and arguments a plugin or conftest looks at before the tests are known.

A session that was collected for one command line may serve another one, if what differs has not been looked at yet: an option that only
pytest reads, and reads when the tests are chosen, run or reported. Whether somebody else has read it is observed here, as in ``_identity.py``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

#: Who reads options for somebody else, or takes care of them itself.
_OWN = frozenset({"_pytest", "pytest", "rpytest", "argparse", "copy", "copyreg", "pluggy"})
#: Functions of pytest that read an option for their caller.
_GETTERS = frozenset({"getoption", "getvalue", "getvalueorskip", "get_verbosity"})

#: In the place of an option's name: all of them, or the arguments as they were given.
EVERYTHING = "*"
ARGUMENTS = "file_or_dir"


class Looks:
    """What was looked at in this process, and where."""

    def __init__(self) -> None:
        self.active = False
        self.seen: dict[str, str] = {}

    def note(self, name: str, frame: FrameType | None) -> None:
        """Somebody in ``frame`` reads ``name``."""
        while frame is not None and frame.f_code.co_name in _GETTERS and _top(frame) == "_pytest":
            frame = frame.f_back
        if frame is None or _top(frame) in _OWN or name in self.seen:
            return
        self.seen[name] = f"{frame.f_code.co_filename}:{frame.f_lineno}"

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While something is done that is done again for every run."""
        before, self.active = self.active, False
        try:
            yield
        finally:
            self.active = before


def _top(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


#: One process has one configuration.
looks = Looks()


class Options(argparse.Namespace):
    """`config.option`, which notices who reads it."""

    def __getattribute__(self, name: str) -> Any:
        if looks.active and (not name.startswith("__") or name == "__dict__"):
            looks.note(EVERYTHING if name == "__dict__" else name, sys._getframe(1))
        return super().__getattribute__(name)


class Arguments(list[str]):
    """`sys.argv`, which notices who reads it."""

    def _look(self) -> None:
        if looks.active:
            looks.note(ARGUMENTS, sys._getframe(2))

    def __getitem__(self, index: Any) -> Any:
        self._look()
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[str]:
        self._look()
        return super().__iter__()

    def __len__(self) -> int:
        self._look()
        return super().__len__()

    def __contains__(self, item: object) -> bool:
        self._look()
        return super().__contains__(item)

    def __eq__(self, other: object) -> bool:
        self._look()
        return super().__eq__(other)

    def __add__(self, other: Any) -> Any:
        self._look()
        return super().__add__(other)

    def copy(self) -> list[str]:
        """As `list.copy`."""
        self._look()
        return super().copy()


class _Invocation(pytest.Config.InvocationParams):  # type: ignore[misc]
    """`config.invocation_params`, which notices who reads its arguments."""

    def __getattribute__(self, name: str) -> Any:
        if name == "args" and looks.active:
            looks.note(ARGUMENTS, sys._getframe(1))
        return super().__getattribute__(name)


def watch(config: pytest.Config) -> None:
    """Begin to notice who reads the options; ``config`` has parsed nothing yet."""
    looks.active = True
    looks.seen.clear()
    config.option.__class__ = Options
    object.__setattr__(config.invocation_params, "__class__", _Invocation)
    if type(sys.argv) is list:
        sys.argv = Arguments(sys.argv)


def watch_arguments(config: pytest.Config) -> None:
    """Notice, too, who reads `config.args`, now that they are known."""
    if not looks.active:
        return
    kind = type(config)

    class Config(kind):  # type: ignore[misc, valid-type]
        """pytest's configuration."""

        @property
        def args(self) -> list[str]:
            if looks.active:
                looks.note(ARGUMENTS, sys._getframe(1))
            held: list[str] = self.__dict__["args"]
            return held

        @args.setter
        def args(self, value: list[str]) -> None:
            self.__dict__["args"] = value

    Config.__name__, Config.__qualname__, Config.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    config.__class__ = Config


def end(config: pytest.Config) -> None:
    """The tests are known: nothing is noticed any more, and nothing is left that would have to."""
    if not looks.active:
        return
    looks.active = False
    held: list[Any] = [config.option, config.known_args_namespace]
    for options in held:
        if type(options) is Options:
            options.__class__ = argparse.Namespace  # type: ignore[assignment]
    params = config.invocation_params
    if type(params) is _Invocation:
        object.__setattr__(params, "__class__", pytest.Config.InvocationParams)
    if type(sys.argv) is Arguments:
        sys.argv = list(sys.argv)


def where(name: str) -> str | None:
    """Where an option, or everything, was read; `None` if it was not."""
    found = looks.seen.get(name) or looks.seen.get(EVERYTHING)
    return None if found is None else os.path.relpath(found) if found.startswith(os.getcwd() + os.sep) else found
