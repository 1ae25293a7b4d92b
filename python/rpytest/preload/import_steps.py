"""Imports that were made once and can be shown to, and hidden from, a process: the units of the
preload.

A *step* is one import of an installed package and what it alone brought in. While a step is made,
everything that earlier steps have brought in is hidden, so whatever it needs of them it has to
import again, in Python or in C, and is seen doing so: the steps that it needs are known completely.
See ``docs/design/preload.md``.
"""

from __future__ import annotations

import gc
import importlib.machinery
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from rpytest.preload.stand_ins import Use
from rpytest.process.inspection import python_threads
from rpytest.project.locations import ALL_VARIABLES, OWN, top_level
from rpytest.staleness.module_state import MISSING, ModuleState

#: The end of a reason that is another step's.
LEFT_OUT = "which is not preloaded"

_LOADERS = (importlib.machinery.SourceFileLoader, importlib.machinery.ExtensionFileLoader)

#: Native threads of these don't survive a fork and need not: they start them again (OpenBLAS, by
#: fork handlers of its own).
RESTARTS_ITS_THREADS = frozenset({"numpy", "scipy"})


@dataclass
class Binding:
    """A sub-module that is an attribute of a package which another step has brought in."""

    package: ModuleType
    attribute: str
    module: ModuleType
    #: What it was before.
    before: object

    def undo(self) -> None:
        """Put back what it was before."""
        if vars(self.package).get(self.attribute) is not self.module:
            return
        if self.before is MISSING:
            delattr(self.package, self.attribute)
        else:
            setattr(self.package, self.attribute, self.before)


@dataclass(eq=False)
class ImportStep:
    """One import and what it brought in."""

    name: str
    modules: dict[str, ModuleType] = field(default_factory=dict)
    #: Names of those modules that the import system has found; these have put the others in place.
    found: set[str] = field(default_factory=set)
    #: The steps that it needs, each after those that it needs itself; the last is this one.
    closure: list[ImportStep] = field(default_factory=list)
    bindings: list[Binding] = field(default_factory=list)
    filters: list[Any] = field(default_factory=list)
    #: Finders that it put into `sys.meta_path`, and whether at the front.
    finders: list[tuple[Any, bool]] = field(default_factory=list)
    #: Top-level modules that it asked for and that were not there.
    missing: set[str] = field(default_factory=set)
    #: Environment variables that it looked at.
    reads: set[str] = field(default_factory=set)
    #: What it does with what is each run's own in `sys`.
    use: Use = field(default_factory=Use)
    #: The step has loaded a library; many libraries can't be initialised a second time.
    native: bool = False
    #: What its modules consisted of when the preload was done.
    states: list[ModuleState] = field(default_factory=list)

    def show(self, name: str | None = None) -> None:
        """Let this process have it imported; ``name`` is what the import system itself is about to
        put in place.
        """
        for key, module in self.modules.items():
            if key != name:
                sys.modules[key] = module
        self.bind()
        self.use.put()
        for finder, front in self.finders:
            if finder not in sys.meta_path:
                sys.meta_path.insert(0 if front else len(sys.meta_path), finder)
        if self.filters:
            # New filters go to the front of the list, where the import would have put them.
            new = [entry for entry in self.filters if entry not in warnings.filters]
            warnings.filters[:0] = new  # type: ignore[index]
            filters_changed()

    def unbind(self) -> None:
        """Take its sub-modules out of other steps' packages."""
        for binding in self.bindings:
            binding.undo()

    def bind(self) -> None:
        """Undo :meth:`unbind`."""
        for binding in self.bindings:
            setattr(binding.package, binding.attribute, binding.module)


class PreloadedSpec(importlib.machinery.ModuleSpec):
    """The spec of a module that is imported already."""

    def __init__(self, name: str, module: ModuleType) -> None:
        super().__init__(
            name,
            _PreloadedLoader(module),  # type: ignore[arg-type]
            origin=getattr(module.__spec__, "origin", None),
            is_package=hasattr(module, "__path__"),
        )


class _PreloadedLoader:
    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.spec = module.__spec__

    def create_module(self, _: importlib.machinery.ModuleSpec) -> ModuleType:
        """The module as it is."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Only restore the spec, which the import system has replaced: the module was executed
        before.
        """
        module.__spec__ = self.spec


class ObservedEnvironment(dict[bytes, bytes]):
    """The mapping under `os.environ`, which tells ``steps`` what was looked up."""

    def __init__(self, values: Mapping[bytes, bytes], steps: Sequence[ImportStep]) -> None:
        super().__init__(values)
        self._steps = steps

    def _note(self, name: str) -> None:
        for step in self._steps:
            step.reads.add(name)

    def __getitem__(self, key: bytes) -> bytes:
        self._note(os.fsdecode(key))
        return super().__getitem__(key)

    def __iter__(self) -> Iterator[bytes]:
        self._note(ALL_VARIABLES)
        return super().__iter__()


def filters_changed() -> None:
    """Tell the interpreter that `warnings.filters` was changed in place."""
    changed: Any = getattr(warnings, "_filters_mutated", None) or getattr(
        warnings, "_filters_mutated_lock_held", None
    )
    if changed is not None:
        changed()


def origin_of(name: str, module: object, inside: tuple[str, ...]) -> str | None:
    """The file of an installed module that Python's own import system has loaded, or ``""`` for a
    namespace package; ``None`` for any other.
    """
    spec = getattr(module, "__spec__", None)
    if not isinstance(module, ModuleType) or spec is None or spec.name != name:
        return None
    if type(spec.loader) in _LOADERS:
        origin = spec.origin
        return origin if isinstance(origin, str) and origin.startswith(inside) else None
    if is_namespace(spec) and all(
        (path + os.sep).startswith(inside) for path in spec.submodule_search_locations
    ):
        return ""
    return None


def is_namespace(spec: Any) -> bool:
    """Whether it is a package without a file."""
    if spec.origin is not None or spec.submodule_search_locations is None:
        return False
    return spec.loader is None or "Namespace" in type(spec.loader).__name__


def kind(spec: Any) -> str:
    """File and loader: equal for two specs that make the same module."""
    if is_namespace(spec):
        return f"a namespace in {', '.join(spec.submodule_search_locations)}"
    return f"{spec.origin} by {type(spec.loader).__name__}"


def installed(
    order: Iterable[str], known: Iterable[str], inside: tuple[str, ...]
) -> dict[str, str]:
    """The installed modules that are imported here, and their files, in the ``order`` in which
    their imports began; without those ``known``.
    """
    passed = set(known)
    found = {}
    for name in (*order, *list(sys.modules)):
        if name in passed or top_level(name) in OWN:
            continue
        passed.add(name)
        origin = origin_of(name, sys.modules.get(name), inside)
        if origin is not None:
            found[name] = origin
    return found


def resolve(
    name: str, path: Any, but: object, finders: Iterable[Any] | None = None
) -> importlib.machinery.ModuleSpec | None:
    """What the import system would find with these ``finders``, by default all, were it not for the
    finder ``but``.
    """
    for finder in list(sys.meta_path if finders is None else finders):
        find = getattr(finder, "find_spec", None)
        if finder is but or find is None:
            continue
        spec: importlib.machinery.ModuleSpec | None = find(name, path, None)
        if spec is not None:
            return spec
    return None


def surroundings() -> dict[str, Any]:
    """State of the process that an import may change and a preload can't take back or give to one
    session and not to another.
    """
    logging: Any = sys.modules.get("logging")
    sockets: Any = sys.modules.get("socket")
    locale: Any = sys.modules.get("locale")
    environment: Any = os.environ
    return {
        "the environment": dict(dict.items(environment._data)),
        "the current directory": os.getcwd(),
        "`sys.path`": list(sys.path),
        "`sys.path_hooks`": list(sys.path_hooks),
        "`sys.excepthook`": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "a limit of the interpreter": (
            sys.getrecursionlimit(),
            sys.getswitchinterval(),
            gc.isenabled(),
            gc.get_threshold(),
        ),
        "a signal handler": [signal.getsignal(number) for number in sorted(signal.valid_signals())],
        "`logging`": logging
        and (
            logging.getLoggerClass(),
            list(logging.root.handlers),
            logging.root.level,
            logging.root.manager.disable,
        ),
        "the timeout of sockets": sockets and sockets.getdefaulttimeout(),
        "the locale": locale and locale.setlocale(locale.LC_ALL),
        "tracing": (sys.gettrace(), sys.getprofile()),
        "open files": sorted(_descriptors()),
        "a thread": python_threads(),
    }


def _descriptors() -> set[str]:
    return {name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}


def native_threads() -> int:
    """How many threads the system sees in this process."""
    return len(os.listdir("/proc/self/task"))


def is_traced() -> bool:
    """Whether somebody, such as coverage, wants to see modules being executed."""
    if sys.gettrace() is not None or sys.getprofile() is not None:
        return True
    monitoring: Any = getattr(sys, "monitoring", None)
    return monitoring is not None and any(
        monitoring.get_tool(number) is not None for number in range(6)
    )
