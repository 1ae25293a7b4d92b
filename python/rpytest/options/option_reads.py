"""Which options and arguments a plugin or conftest looks at before the tests are known.

A session that was collected for one command line may serve another one, if what differs has not
been looked at yet: an option that only pytest reads, and reads when the tests are chosen, run or
reported. Whether somebody else has read it is observed here, as in
``xdist_compat/worker_identity.py``.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import FrameType, FunctionType
from typing import Any

import pytest

from rpytest.process import heap

#: Packages that read options for somebody else, or whose own reads are taken care of.
_OWN = frozenset({"_pytest", "pytest", "rpytest", "argparse", "copy", "copyreg", "pluggy"})
#: Those of them that read `sys.argv` only for somebody else.
_READERS = frozenset({"argparse", "copy", "copyreg"})
#: Functions of pytest that read an option for their caller.
_GETTERS = frozenset({"getoption", "getvalue", "getvalueorskip", "get_verbosity"})

#: Names that stand in the place of an option's: all of them, the paths and node ids, the command
#: line as it was given.
EVERYTHING = "*"
ARGUMENTS = "file_or_dir"
COMMAND_LINE = "argv"


class OptionReads:
    """What was looked at in this process, and where."""

    def __init__(self) -> None:
        self.active = False
        self.read: dict[str, str] = {}
        #: What was read for pytest's header only: that is written anew where it matters.
        self.in_header: dict[str, str] = {}
        self._target = self.read
        #: Parts of `sys.argv` that nobody has read, each with its slice and with the place where it
        #: was taken.
        self.parts: list[tuple[list[Any], slice, str]] = []
        #: Where such parts are kept, and what they are now; without a slice it is all of it.
        self.defaults: list[tuple[list[KeptPart], slice | None, list[str]]] = []

    def part_of(self, whole: ObservedArgv, index: slice, frame: FrameType) -> list[str]:
        """A module takes a part of ``whole``: if nobody reads it, it can be replaced."""
        part = ObservedArgv(list.__getitem__(whole, index))
        part.is_whole = False
        self.parts.append(([part], index, _place(frame)))
        return part

    def find_kept_parts(self) -> None:
        """The tests are collected: find out where parts of `sys.argv` are kept that nobody has
        read.

        They become what they seem to be, lists. One that can't be replaced for a run with other
        arguments counts as read.
        """
        parts, self.parts = self.parts, []
        active, self.active = self.active, False
        found: list[tuple[list[Any], slice | None, str]] = [*parts]
        if type(sys.argv) is ObservedArgv and sys.getrefcount(sys.argv) > 2:
            # Somebody besides `sys` holds it: `def main(argv=sys.argv)`, `from sys import argv`.
            found.append(([sys.argv], None, "somebody who keeps `sys.argv`"))
        for box, index, place in found:
            places = _places(box)
            if places is None:
                self.read.setdefault(COMMAND_LINE, place)
                continue
            new = list.copy(box[0])
            for each in places:
                each.put(box[0], new)
            self.defaults.append((places, index, new))
        self.active = active

    def replace(self, argv: list[str]) -> None:
        """Put what these are for ``argv`` in their places."""
        defaults, self.defaults = self.defaults, []
        for places, index, old in defaults:
            new = argv if index is None else argv[index]
            for each in places:
                each.put(old, new)
            self.defaults.append((places, index, new))

    def note(self, name: str, frame: FrameType | None) -> None:
        """Somebody in ``frame`` reads ``name``."""
        while frame is not None and frame.f_code.co_name in _GETTERS and _top(frame) == "_pytest":
            frame = frame.f_back
        own = _OWN if name != COMMAND_LINE else _OWN - _READERS
        if frame is None or _top(frame) in own or name in self._target:
            return
        self._target[name] = _place(frame)

    @contextmanager
    def for_header(self) -> Iterator[None]:
        """While hooks say what is to be in the header."""
        self._target = self.in_header
        try:
            yield
        finally:
            self._target = self.read

    def header_depends_on(self, different: Collection[str]) -> bool:
        """Whether a hook may say something else with other values of these options."""
        found = self.in_header
        return COMMAND_LINE in found or any(
            name in found or EVERYTHING in found for name in different
        )


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _top(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


#: One process has one configuration.
reads = OptionReads()


class ObservedOptions(argparse.Namespace):
    """`config.option`, which notices who reads it."""

    def __getattribute__(self, name: str) -> Any:
        if reads.active and (not name.startswith("__") or name == "__dict__"):
            frame = sys._getframe(1)
            # Nearly always pytest itself, a thousand times.
            if frame.f_code.co_name in _GETTERS or _top(frame) != "_pytest":
                reads.note(EVERYTHING if name == "__dict__" else name, frame)
        return super().__getattribute__(name)


class ObservedArgv(list[str]):
    """`sys.argv`, or a part of it that a module has taken while it was imported, which notices who
    reads it.
    """

    #: Nothing has been left out.
    is_whole = True

    def _note_read(self) -> None:
        if reads.active:
            reads.note(COMMAND_LINE, sys._getframe(2))

    def __getitem__(self, index: Any) -> Any:
        if not self.is_whole:
            self._note_read()
        elif isinstance(index, slice) and reads.active and _is_import(sys._getframe(1)):
            # The part is not read yet, and perhaps never: `def main(args=sys.argv[1:])`.
            return reads.part_of(self, index, sys._getframe(1))
        elif index != 0:
            # The program's name is the same.
            self._note_read()
        return super().__getitem__(index)

    def copy(self) -> list[str]:
        """As `list.copy`."""
        self._note_read()
        return super().copy()


def _noticing(name: str) -> Any:
    original = getattr(list, name)

    @functools.wraps(original)
    def method(self: ObservedArgv, *args: Any, **kwargs: Any) -> Any:
        if reads.active:
            reads.note(COMMAND_LINE, sys._getframe(1))
        return original(self, *args, **kwargs)

    return method


def _added_to(self: ObservedArgv, other: list[str]) -> list[str]:
    """As `list.__add__`, with the observed list on the right: `list` would not call its methods."""
    if reads.active:
        reads.note(COMMAND_LINE, sys._getframe(1))
    return [*other, *list.copy(self)]


for _name in (
    *("__iter__", "__reversed__", "__len__", "__contains__", "index", "count", "__repr__"),
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__add__", "__mul__", "__rmul__"),
    # A change counts as reading, too: the list of a run with other arguments would lack it.
    *(
        "__setitem__",
        "__delitem__",
        "__iadd__",
        "__imul__",
        "append",
        "extend",
        "insert",
        "pop",
        "remove",
        "clear",
    ),
    *("reverse", "sort"),
):
    setattr(ObservedArgv, _name, _noticing(_name))
ObservedArgv.__radd__ = _added_to  # type: ignore[attr-defined]


def _is_import(frame: FrameType) -> bool:
    """Whether the code of a module or of the body of a class runs in this frame."""
    return not frame.f_code.co_flags & inspect.CO_NEWLOCALS


class KeptPart:
    """A place where `sys.argv`, or a part of it, is kept: a default value of a function, or a
    variable of a module.
    """

    def __init__(self, owner: FunctionType | dict[str, Any], key: int | str) -> None:
        """``owner`` is a function, or the variables of a module; ``key``: the number of a
        positional default, or a name.
        """
        self.owner = owner
        self.key = key

    def put(self, old: list[str], new: list[str]) -> None:
        """Replace the value, unless it is another one by now."""
        if isinstance(self.key, int):
            function: Any = self.owner
            values = function.__defaults__ or ()
            if self.key < len(values) and values[self.key] is old:
                function.__defaults__ = (*values[: self.key], new, *values[self.key + 1 :])
            return
        held: Any = self.owner if isinstance(self.owner, dict) else self.owner.__kwdefaults__
        if held is not None and held.get(self.key) is old:
            held[self.key] = new


def _places(box: list[Any]) -> list[KeptPart] | None:
    """All places that hold the one object in ``box``; `None` if anything else does, too, or there
    is no telling.
    """
    found: list[KeptPart] = []
    references = 0
    own = sys.__dict__
    if own["argv"] is box[0]:
        # The dictionary of `sys` was there before, out of the collector's reach: `get_referrers`
        # does not find it.
        found.append(KeptPart(own, "argv"))
        references += 1
    for holder in heap.get_referrers(box[0]):
        if holder is box or holder is own or isinstance(holder, FrameType):
            continue
        if type(holder) is tuple:
            at = [place for place, value in enumerate(holder) if value is box[0]]
            functions = [each for each in heap.get_referrers(holder) if type(each) is FunctionType]
            functions = [each for each in functions if each.__defaults__ is holder]
            # Beside them: this variable, and the argument.
            if not functions or sys.getrefcount(holder) != len(functions) + _OWN_REFERENCES:
                return None
            found += [KeptPart(function, place) for function in functions for place in at]
            references += len(at)
        elif type(holder) is dict:
            keys = [key for key, value in holder.items() if value is box[0]]
            functions = [each for each in heap.get_referrers(holder) if type(each) is FunctionType]
            functions = [each for each in functions if each.__kwdefaults__ is holder]
            owners: list[Any] = functions[:1]
            if not owners and _is_of_module(holder):
                owners = [holder]
            if not owners:
                return None
            found += [KeptPart(owner, key) for owner in owners for key in keys]
            references += len(keys)
        else:
            return None
    # What the collector does not find holds it, too: nothing but `box`, and the argument of this
    # call.
    return found if sys.getrefcount(box[0]) == references + 2 else None


def _own_references() -> int:
    """How often `sys.getrefcount` counts an object that only a loop's variable and a list of the
    loop hold, as in `_places`.
    """
    for holder in [(object(),)]:
        return sys.getrefcount(holder)
    raise AssertionError


_OWN_REFERENCES = _own_references()


def _is_of_module(variables: dict[str, Any]) -> bool:
    module = sys.modules.get(str(variables.get("__name__")))
    return module is not None and getattr(module, "__dict__", None) is variables


class _Invocation(pytest.Config.InvocationParams):  # type: ignore[misc]
    """`config.invocation_params`, which notices who reads its arguments."""

    def __getattribute__(self, name: str) -> Any:
        if name == "args" and reads.active:
            reads.note(COMMAND_LINE, sys._getframe(1))
        return super().__getattribute__(name)


def observe(config: pytest.Config) -> None:
    """Begin to notice who reads the options; ``config`` has parsed nothing yet."""
    reads.active = True
    reads.read.clear()
    reads.in_header.clear()
    reads.parts.clear()
    reads.defaults.clear()
    config.option.__class__ = ObservedOptions
    object.__setattr__(config.invocation_params, "__class__", _Invocation)
    if type(sys.argv) is list:
        sys.argv = ObservedArgv(sys.argv)


def observe_argv(config: pytest.Config) -> None:
    """Notice, too, who reads `config.args`, now that they are known."""
    if not reads.active:
        return
    kind = type(config)

    class Config(kind):  # type: ignore[misc, valid-type]
        """pytest's configuration."""

        @property
        def args(self) -> list[str]:
            if reads.active:
                reads.note(ARGUMENTS, sys._getframe(1))
            held: list[str] = self.__dict__["args"]
            return held

        @args.setter
        def args(self, value: list[str]) -> None:
            self.__dict__["args"] = value

    Config.__name__, Config.__qualname__, Config.__module__ = (
        kind.__name__,
        kind.__qualname__,
        kind.__module__,
    )
    config.__class__ = Config


def resume(config: pytest.Config) -> None:
    """Notice again who reads the options, in a fork that has taken those of another command line
    over.
    """
    reads.active = True
    object.__setattr__(config.invocation_params, "__class__", _Invocation)
    sys.argv = ObservedArgv(sys.argv)


def end(config: pytest.Config) -> None:
    """The tests are known: nothing is noticed any more, and nothing is left that would have to."""
    if not reads.active:
        return
    reads.find_kept_parts()
    reads.active = False
    held: list[Any] = [config.option, config.known_args_namespace]
    for options in held:
        if type(options) is ObservedOptions:
            options.__class__ = argparse.Namespace  # type: ignore[assignment]
    params = config.invocation_params
    if type(params) is _Invocation:
        object.__setattr__(params, "__class__", pytest.Config.InvocationParams)
    if type(sys.argv) is ObservedArgv:
        sys.argv = list(sys.argv)


def where(name: str) -> str | None:
    """Where an option, or everything, was read; `None` if it was not."""
    found = reads.read.get(name) or reads.read.get(EVERYTHING) or reads.read.get(COMMAND_LINE)
    return (
        None
        if found is None
        else os.path.relpath(found)
        if found.startswith(os.getcwd() + os.sep)
        else found
    )
