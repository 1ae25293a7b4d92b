"""What the project's modules consist of, and whether importing a test module has changed that of another module.

A run of other tests alone would not find it changed. Of each module is remembered, when it has just been imported, what its names stand for and how
much is in its containers: registries are filled by whoever is imported later.
"""

from __future__ import annotations

import importlib
import opcode
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Sized
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any

from rpytest import _patches, _steps
from rpytest._glances import plain
from rpytest._native import Noticed

_CONTAINERS = frozenset({list, dict, set, bytearray, deque, defaultdict, OrderedDict, Counter})
#: Names by which a module's own statements replace something of other objects.
_REPLACING = frozenset({"setattr", "delattr", "setitem", "delitem"})

_STORES = tuple(opcode.opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR"))

_OURS = _steps.OWN - {"conftest"}

_bootstrap: Any = importlib._bootstrap

#: The attributes of a class, whatever its metaclass says.
CLASS_CONTENTS: Any = type.__dict__["__dict__"].__get__


class Contents:
    """The modules of the project that have been imported so far."""

    def __init__(self) -> None:
        self._inside = _steps.folders()
        self._marks: list[_patches.Mark] = []
        #: Containers with their names and sizes. Three lists: they are compared for each test module, thousands at a time.
        self._names: list[str] = []
        self._containers: list[Sized] = []
        self._sizes: list[int] = []
        #: Imported since the test module began with its latest import statement: they may still fill each other.
        self._young: list[ModuleType] = []
        self._file: str | None = None
        self._load: Any = None

    def start(self) -> None:
        """Notice each module when it has been imported; conftests of outer folders have brought some already."""
        self._young += [module for module in list(sys.modules.values()) if self._is_of_project(module)]
        self._load = _bootstrap._load_unlocked
        _bootstrap._load_unlocked = Noticed(self._load, self._loaded)

    def stop(self) -> None:
        """Notice nothing any more."""
        if self._load is not None and plain(_bootstrap._load_unlocked) is self._load:
            _bootstrap._load_unlocked = self._load
        self._load = None
        # Objects that a test lets go of are to go.
        for held in (self._marks, self._names, self._containers, self._sizes, self._young):
            held.clear()

    def begin(self, file: str) -> None:
        """A test module is about to be imported; what was changed before is not its doing."""
        self._settle()
        for mark in self._marks:
            mark.replaced()
        self._sizes = list(map(len, self._containers))
        self._file = file

    def end(self) -> str | None:
        """What its import has changed, or `None`."""
        self._file = None
        for mark in self._marks:
            replaced = mark.replaced()
            if replaced is not None:
                return f"replaces `{replaced}`"
        sizes = list(map(len, self._containers))
        # What a module of the project that came meanwhile consists of has been measured since.
        if sizes != self._sizes:
            name = next(
                name for name, now, before in zip(self._names, sizes, self._sizes, strict=True) if now != before
            )
            return f"changes what is in `{name}`"
        return None

    def _loaded(self, args: tuple[Any, ...], _: Any, module: Any) -> None:
        if self._is_of_project(module) and getattr(args[0], "origin", None) != self._file:
            self._young.append(module)
            if self._file is not None and self._is_direct():
                self._settle()

    def _is_of_project(self, module: object) -> bool:
        if type(module) is not ModuleType:
            return False
        origin = getattr(vars(module).get("__spec__"), "origin", None)
        if not isinstance(origin, str) or origin in ("built-in", "frozen") or origin.startswith(self._inside):
            return False
        return _steps.top(module.__name__) not in _OURS

    def _is_direct(self) -> bool:
        frame = sys._getframe(2)
        while frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
            frame = frame.f_back  # type: ignore[assignment]
        return frame is not None and frame.f_code.co_filename == self._file and frame.f_code.co_name == "<module>"

    def _settle(self) -> None:
        for module in self._young:
            name = module.__name__
            self._marks.append(_patches.Mark(name, module))
            for key, value in list(vars(module).items()):
                self._measure(f"{name}.{key}", value)
                # Never `isinstance`: objects that are made when they are first used say so in `__class__`.
                # Nor what a metaclass may answer.
                if issubclass(type(value), type):
                    held = CLASS_CONTENTS(value)
                    if held.get("__module__") == name:
                        for attribute, part in list(held.items()):
                            self._measure(f"{name}.{key}.{attribute}", part)
        self._young.clear()

    def _measure(self, name: str, value: Any) -> None:
        if type(value) is FunctionType:
            # Of `functools.singledispatch`.
            value = value.__dict__.get("registry")
            if type(value) is not MappingProxyType:
                return
        elif type(value) not in _CONTAINERS or name.rpartition(".")[2].startswith("__"):
            return
        self._names.append(name)
        self._containers.append(value)
        self._sizes.append(len(value))


def replaces(code: CodeType) -> bool:
    """Whether the statements of a module may set attributes of other objects: ``requests.get = fake``, ``patch(…).start()``."""
    names = frozenset(code.co_names)
    if names & _REPLACING or ("start" in names and any("patch" in name for name in names)):
        return True
    operations = code.co_code[::2]
    return any(operation in operations for operation in _STORES)
