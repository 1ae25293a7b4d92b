"""A session that was forked from a preload: each import of a held package is answered with the
modules that were made there.

Nothing of a held package is in `sys.modules` before the session imports it. It is shown only where
it is what the session would have got: the same file by the same finders, the same environment, not
rewritten by pytest. Where it is not, the session starts again without a preload, as a second copy
of a package next to the first one is nobody's intention.
"""

from __future__ import annotations

import locale
import logging
import mmap
import os
import socket
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rpytest.preload import import_steps
from rpytest.preload.import_steps import ImportStep
from rpytest.process import takeover
from rpytest.project.locations import ALL_VARIABLES, top_level

if TYPE_CHECKING:
    import importlib.machinery

    from rpytest.preload.builder import PreloadBuilder

#: Set by pytest itself, and by us, before anything of the project is imported.
_OF_PYTEST = ("PYTEST_VERSION", "PYTEST_CURRENT_TEST", "PYTEST_XDIST_")


class PreloadFinder:
    """The first finder of such a session."""

    def __init__(self, preload: PreloadBuilder, refuse: Callable[[str, list[str]], object]) -> None:
        """``refuse`` gets a reason and the names of steps that can't be used here, and does not
        return while tests are collected.
        """
        self.preload = preload
        self.refuse: Callable[[str, list[str]], object] | None = refuse
        self.shown: set[ImportStep] = set()
        #: Environment variables that these have looked at.
        self.read: set[str] = set()
        self._found: dict[str, str | None] = {}
        self._state = self._surroundings()
        self._pid = os.getpid()
        self._path: list[str] = []
        sys.meta_path.insert(0, self)

    def find_spec(
        self,
        name: str,
        path: Any = None,
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        """The module as it was made, once; whoever removes it from `sys.modules` and imports it
        again means another one.
        """
        step = self.preload.owner.get(name)
        if step is None or step in self.shown:
            return None
        coming = [each for each in step.closure if each not in self.shown]
        objection = self._objection(name, path, coming)
        if objection is not None:
            self._refuse(*objection)
            return None
        for each in coming:
            each.show(name)
            self.shown.add(each)
            self.read |= each.reads
        return import_steps.PreloadedSpec(name, step.modules[name])

    def enter_fork(self) -> None:
        """Let a fork refuse, too, when it is a session of its own."""
        self._pid = os.getpid()

    def check_modules(self) -> None:
        """At any time: refuse if a held module was imported by other means than this finder."""
        for name, step in self.preload.owner.items():
            module = sys.modules.get(name)
            if module is not None and step not in self.shown and module is not step.modules[name]:
                self._refuse(
                    f"`{name}` is another module than the one that was preloaded", [step.name]
                )
                return
        if import_steps.is_traced():
            self._refuse("imports are traced", [])

    def stop_refusing(self) -> None:
        """From here on nothing can start again: what can't be shown is imported as if there were no
        preload.
        """
        self.refuse = None

    def _refuse(self, reason: str, names: list[str]) -> None:
        # A process that somebody else has forked is not the session, and can't start over.
        if self.refuse is not None and os.getpid() == self._pid:
            self.refuse(reason, names)

    def _objection(
        self, name: str, path: Any, coming: list[ImportStep]
    ) -> tuple[str, list[str]] | None:
        """Why these steps are not what the session would get, and which of them."""
        if import_steps.is_traced():
            return "imports are traced", []
        state = self._surroundings()
        if state != self._state:
            changed = next(what for what, value in state.items() if value != self._state[what])
            return f"the project changes {changed} before `{name}` is imported", [name]
        variables = self._changed_variables()
        marked = self._marked_for_rewriting()
        if sys.path != self._path:
            self._path = list(sys.path)
            self._found.clear()
        replaced = self._replaced(coming)
        if replaced is not None:
            what, of = replaced
            # No telling whether the others have looked at it.
            rest = {
                each.name
                for each in self.preload.owner.values()
                if of is None or of in each.closure
            }
            rest -= {name, *(each.name for each in self.shown)}
            return f"the project replaces `{what}` before `{name}` is imported", [
                name,
                *sorted(rest),
            ]
        for step in coming:
            for each in step.found & step.modules.keys():
                if "." not in each or each == name:
                    found = self._origin(each, path if each == name else None)
                    if found != import_steps.kind(step.modules[each].__spec__):
                        return f"`{each}` is found elsewhere ({found})", [step.name]
            for each in step.missing:
                if self._origin(each, None) is not None:
                    return f"`{each}` exists here", [step.name]
            other = step.use.first_difference()
            if other is not None:
                return f"`{other}` is another one here", [step.name]
            if variables:
                read = variables if ALL_VARIABLES in step.reads else variables & step.reads
                read = read or (
                    variables & _named_in_libraries(step, variables) if step.native else read
                )
                if read:
                    return f"the project changes ${min(read)} before `{step.name}` is imported", [
                        step.name
                    ]
            if any(top_level(each) in step.modules or each in step.modules for each in marked):
                rewritten = next(
                    (
                        each
                        for each in marked
                        for key in step.modules
                        if key == each or key.startswith(each + ".")
                    ),
                    None,
                )
                if rewritten is not None:
                    return f"pytest rewrites `{rewritten}`", [step.name]
        return None

    def _replaced(self, coming: list[ImportStep]) -> tuple[str, ImportStep | None] | None:
        """What somebody has replaced of the modules that these steps may have looked at, and whose
        it is.
        """
        if self.refuse is None and any(step.native for step in coming):
            # A test has replaced it, if anybody has. Many libraries can't be initialised a second
            # time, and it is too late for starting over.
            return None
        needed = {each for step in coming for each in step.closure if each in self.shown}
        for step, states in (
            (None, self.preload.states),
            *((step, step.states) for step in needed),
        ):
            for state in states:
                replaced = state.first_replaced()
                if replaced is not None:
                    return replaced, step
        return None

    def _origin(self, name: str, path: Any) -> str | None:
        """What the import system would make ``name`` of, or ``None``."""
        if name not in self._found:
            spec = import_steps.resolve(name, path, self)
            self._found[name] = None if spec is None else import_steps.kind(spec)
        return self._found[name]

    def _changed_variables(self) -> set[str]:
        before = self.preload.environment
        now: Any = os.environ
        current = {os.fsdecode(key): os.fsdecode(value) for key, value in dict.items(now._data)}
        changed = {
            name for name in before.keys() | current.keys() if before.get(name) != current.get(name)
        }
        return {
            name
            for name in changed
            if not (name.startswith(_OF_PYTEST) or name in takeover.NOISE)
            or not self.preload.reads.isdisjoint(
                (name, ALL_VARIABLES) if name in takeover.NOISE else (name,)
            )
        }

    @staticmethod
    def _marked_for_rewriting() -> set[str]:
        marked: set[str] = set()
        for finder in sys.meta_path:
            names = getattr(finder, "_must_rewrite", None)
            if isinstance(names, set):
                marked |= names
        return marked

    @staticmethod
    def _surroundings() -> dict[str, Any]:
        return {
            "the current directory": os.getcwd(),
            "the locale": locale.setlocale(locale.LC_ALL),
            "the timeout of sockets": socket.getdefaulttimeout(),
            "the class of loggers": logging.getLoggerClass(),
        }


def _named_in_libraries(step: ImportStep, names: set[str]) -> set[str]:
    """Which of ``names``, variables of the environment, occur in a library that the step has
    loaded: C code may look at them without being seen.
    """
    found: set[str] = set()
    for module in step.modules.values():
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".so"):
            continue
        found |= {name for name in names if _contains(file, os.fsencode(name))}
    for file in _libraries_beside(step):
        found |= {name for name in names if _contains(file, os.fsencode(name))}
    return found


def _libraries_beside(step: ImportStep) -> set[str]:
    """Libraries that wheels bring along (`numpy.libs`)."""
    own = {os.path.join(top_level(name) + ".libs", "") for name in step.modules}
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        mapped = {line.split(maxsplit=5)[-1].rstrip("\n") for line in file if "/" in line}
    return {path for path in mapped if any(os.sep + folder in path for folder in own)}


def _contains(file: str, text: bytes) -> bool:
    try:
        with (
            open(file, "rb") as opened,
            mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as content,
        ):
            return content.find(text) >= 0
    except (OSError, ValueError):
        # Can't be told: the same as yes.
        return True
