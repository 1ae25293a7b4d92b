"""Which options and arguments a plugin or conftest looks at before the tests are known.

A session that was collected for one command line may serve another one, if what differs has not been looked at yet: an option that only
pytest reads, and reads when the tests are chosen, run or reported. Whether somebody else has read it is observed here, as in ``_identity.py``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

#: Who reads options for somebody else, or takes care of them itself.
_OWN = frozenset({"_pytest", "pytest", "rpytest", "argparse", "copy", "copyreg", "pluggy"})
#: Of these, those that read `sys.argv` only for somebody else.
_READERS = frozenset({"argparse", "copy", "copyreg"})
#: Functions of pytest that read an option for their caller.
_GETTERS = frozenset({"getoption", "getvalue", "getvalueorskip", "get_verbosity"})

#: In the place of an option's name: all of them, the paths and node ids, the command line as it was given.
EVERYTHING = "*"
ARGUMENTS = "file_or_dir"
GIVEN = "argv"


class Looks:
    """What was looked at in this process, and where."""

    def __init__(self) -> None:
        self.active = False
        self.seen: dict[str, str] = {}
        #: What was read for pytest's header only: that is written anew where it matters.
        self.in_header: dict[str, str] = {}
        self._target = self.seen

    def note(self, name: str, frame: FrameType | None) -> None:
        """Somebody in ``frame`` reads ``name``."""
        while frame is not None and frame.f_code.co_name in _GETTERS and _top(frame) == "_pytest":
            frame = frame.f_back
        own = _OWN if name != GIVEN else _OWN - _READERS
        if frame is None or _top(frame) in own or name in self._target:
            return
        self._target[name] = f"{frame.f_code.co_filename}:{frame.f_lineno}"

    @contextmanager
    def for_header(self) -> Iterator[None]:
        """While hooks say what is to be in the header."""
        self._target = self.in_header
        try:
            yield
        finally:
            self._target = self.seen

    def header_depends_on(self, different: Collection[str]) -> bool:
        """Whether a hook may say something else with other values of these options."""
        found = self.in_header
        return GIVEN in found or any(name in found or EVERYTHING in found for name in different)


def _top(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


#: One process has one configuration.
looks = Looks()


class Options(argparse.Namespace):
    """`config.option`, which notices who reads it."""

    def __getattribute__(self, name: str) -> Any:
        if looks.active and (not name.startswith("__") or name == "__dict__"):
            frame = sys._getframe(1)
            # Nearly always pytest itself, a thousand times.
            if frame.f_code.co_name in _GETTERS or _top(frame) != "_pytest":
                looks.note(EVERYTHING if name == "__dict__" else name, frame)
        return super().__getattribute__(name)


class Arguments(list[str]):
    """`sys.argv`, which notices who reads it."""

    def _look(self) -> None:
        if looks.active:
            looks.note(GIVEN, sys._getframe(2))

    def __getitem__(self, index: Any) -> Any:
        if index != 0:
            # The program's name is the same.
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
            looks.note(GIVEN, sys._getframe(1))
        return super().__getattribute__(name)


def watch(config: pytest.Config) -> None:
    """Begin to notice who reads the options; ``config`` has parsed nothing yet."""
    looks.active = True
    looks.seen.clear()
    looks.in_header.clear()
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


def resume(config: pytest.Config) -> None:
    """Notice again who reads the options, in a fork that has taken those of another command line over."""
    looks.active = True
    object.__setattr__(config.invocation_params, "__class__", _Invocation)
    sys.argv = Arguments(sys.argv)


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
    found = looks.seen.get(name) or looks.seen.get(EVERYTHING) or looks.seen.get(GIVEN)
    return None if found is None else os.path.relpath(found) if found.startswith(os.getcwd() + os.sep) else found
