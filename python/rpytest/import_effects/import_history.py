"""Which of a project's modules were executed while its tests were collected, in their order, and
whether a selection of them would find the same process without the others.

The proof goes by induction over the order of execution. A test module or conftest that leaves
nothing (:mod:`rpytest.import_effects.analysis`) changes nothing for those after it, so it may be
left out, or come at another place. What it *imports* is executed then, too, once, by whoever is
first: the selection alone must execute the same other modules in the same order. If both hold, each
module of the selection has found what it finds when nothing else is collected; what is left to do
is to take the left-out modules out of `sys.modules`, and their folders off `sys.path`.
"""

from __future__ import annotations

import ast
import glob
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rpytest import stdlib
from rpytest.import_effects.analysis import import_effects
from rpytest.import_effects.symbolic_values import ImportEffects, MayLeaveTraces
from rpytest.project import imports, parsing
from rpytest.stdlib import os

__builtins__ = stdlib.BUILTINS


#: Modules that a selection must not find, and that must not be dropped either.
_kept: list[object] = []

#: Names by which somebody may find, or change, what is in a process without naming it.
_SEARCHING = (b"__subclasses__", b"get_objects", b"get_referrers", b"get_referents")


@dataclass
class Executed:
    """A test module or conftest that was executed while the tests were collected."""

    path: Path
    module: ModuleType | None
    #: Names in `sys.modules` that came while it was executed and collected, its own among them.
    brought: list[str] = field(default_factory=list)
    #: The collector of a plain test module.
    collector: pytest.Module | None = None
    #: Why it is none of those that can be judged, if so: "was imported by another module".
    objection: str | None = None

    is_conftest: bool = False

    @property
    def name(self) -> str:
        """The name that the module has, or had, in `sys.modules`."""
        return imports.module_name_of(self.path) if self.module is None else self.module.__name__


class ImportRecord:
    """All executed test modules and conftests, from the beginning of collection on."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.executed: list[Executed] = []
        #: Modules that were there before, and `sys.path` as it was.
        self.given: frozenset[str] = frozenset()
        self._given_path: list[str] = []
        #: `sys.path` after collection.
        self._path: list[str] = []
        #: Conftests that were loaded before collection.
        self.early: frozenset[Path] = frozenset()
        self._conftests: set[ModuleType] = set()
        self._last: str | None = None
        self._open: list[list[str]] = []
        #: Why nothing can be said, if so.
        self.objection: str | None = None
        #: What is known of each file, or why it may leave something.
        self._effects: dict[Path, ImportEffects | str] = {}
        self._empty: dict[str, bool] = {}
        self._roots: dict[Path, str] = {}
        #: What is the same for each selection, once everything has been looked at.
        self._whole: dict[str, list[str]] = {}
        self._common: str | None = (
            "nobody has had the time to look what the left-out modules do while they are imported"
        )

    # While the tests are collected

    def begin(self) -> None:
        """Nothing of the tests is collected yet."""
        self.given = frozenset(sys.modules)
        self._given_path = list(sys.path)
        self._conftests = set(self._loaded_conftests())
        self.early = frozenset(Path(str(module.__file__)) for module in self._conftests)
        self._last = next(reversed(sys.modules), None)

    def enter(self) -> None:
        """A collector begins its work, perhaps in the middle of another one's."""
        new = self._new_names()
        if self._open:
            self._open[-1] += new
        self._open.append([])

    def leave(self, collector: pytest.Collector, outcome: str | None) -> None:
        """``collector`` has done its work; ``outcome`` is its report's, if it has come to one."""
        names = [*self._open.pop(), *self._new_names()]
        loaded = self._loaded_conftests() - self._conftests
        self._conftests |= loaded
        for conftest in sorted(loaded, key=lambda each: str(each.__file__)):
            self.executed.append(
                Executed(Path(str(conftest.__file__)), conftest, names, is_conftest=True)
            )
            names = []
        if not isinstance(collector, pytest.File):
            if names:
                self.objection = (
                    self.objection
                    or f"collecting {collector.nodeid or 'a folder'} has imported a module"
                )
            return
        module: Any = vars(collector).get("_obj")
        entry = Executed(collector.path, module if type(module) is ModuleType else None, names)
        self.executed.append(entry)
        is_skipped = outcome == "skipped" and self._config.getoption("importmode") != "importlib"
        if type(collector) is not pytest.Module or (entry.module is None and not is_skipped):
            entry.objection = "is no plain test module"
            return
        entry.collector = collector
        if entry.module is None:
            # The module has left its import by `pytest.skip`, and Python has taken it out of
            # `sys.modules`.
            return
        if entry.name not in names or sys.modules.get(entry.name) is not entry.module:
            entry.objection = "was imported by another module"

    def end(self) -> None:
        """Everything is collected."""
        if self._new_names():
            self.objection = self.objection or "a hook has imported a module"
        self._path = list(sys.path)

    def _loaded_conftests(self) -> set[ModuleType]:
        manager: Any = self._config.pluginmanager
        return set(manager._conftest_plugins)

    def _new_names(self) -> list[str]:
        """Names in `sys.modules` since the last question: they are in the order of their coming."""
        found: list[str] = []
        for name in reversed(sys.modules):
            if name == self._last:
                break
            found.append(name)
        else:
            if self._last is not None:
                self.objection = self.objection or f"`{self._last}` was taken out of `sys.modules`"
        self._last = next(reversed(sys.modules), None)
        return found[::-1]

    # What each of them does

    def judge(self, read: Callable[[str], bytes | None]) -> Iterator[None]:
        """Find out what each module does, a little at a time; ``read`` returns what was
        collected.
        """
        for entry in self.executed:
            if entry.path not in self._effects:
                self._effects[entry.path] = self._judge(entry, read(str(entry.path)))
                yield
        self._common = self._obstacle_of_all()
        yield

    def _obstacle_of_all(self) -> str | None:
        """Why no selection may leave out any module, if so; remembers what each is compared
        with.
        """
        if self.objection is not None:
            return self.objection
        for entry in self.executed:
            effects = self._effects[entry.path]
            if isinstance(effects, str):
                return f"{self._shown(entry.path)} {effects}"
        try:
            self._whole = self._order(self.executed)
        except MayLeaveTraces as reason:
            return str(reason)
        if self.path_of(self.executed) != self._path:
            return "`sys.path` was changed while the tests were collected"
        return self._named_elsewhere()

    def _judge(self, entry: Executed, source: bytes | None) -> ImportEffects | str:
        if entry.objection is not None:
            return entry.objection
        if source is None:
            return "was changed meanwhile"
        return effects_of(source, entry.module, entry.name, entry.collector)

    def effects(self, path: Path) -> ImportEffects | str | None:
        """What is known of a file that was collected; a text: why nothing is; `None`: not yet."""
        return self._effects.get(path)

    def summary(self) -> str:
        """How runs of a part of the tests are served, as it is shown to the user."""
        found = {entry.path: self._effects.get(entry.path) for entry in self.executed}
        noisy = {path: reason for path, reason in found.items() if isinstance(reason, str)}
        if self._common is not None and not noisy:
            return f"collected afresh, as {self._common}"
        if not noisy:
            return (
                f"used as collected, as none of {len(found)} modules leaves anything when it "
                "is imported"
            )
        path, reason = next(iter(noisy.items()))
        several = f" and {len(noisy) - 1} more do" if len(noisy) > 1 else ""
        return (
            f"collected afresh, as {self._shown(path)} {reason}{several} (of {len(found)} modules)"
        )

    # A selection

    def obstacle(
        self,
        selected: Sequence[Executed],
        early: Sequence[ModuleType] = (),
        changed: Mapping[Path, ImportEffects] | None = None,
    ) -> str | None:
        """Why a process that had executed only these, in this order, might be another one.

        ``early``: conftests that it would have executed before it was configured. ``changed``: what
        files do now that were edited since.
        """
        if self._common is not None:
            return self._common
        for entry in selected:
            effects = self._effects[entry.path]
            if (
                isinstance(effects, ImportEffects)
                and effects.reads is not None
                and entry.module in early
            ):
                return (
                    f"{self._shown(entry.path)} looks at {effects.reads}, and would be "
                    "imported earlier"
                )
        try:
            whole, part = self._whole, self._order(selected, changed)
        except MayLeaveTraces as reason:
            return str(reason)
        for name, other in itertools.zip_longest(whole, part):
            if name != other:
                return f"`{name or other}` is imported by a left-out module, or at another moment"
            folders = {*whole[name], *part[name]} - set(self._given_path)
            if whole[name] != part[name] and _is_in(name, folders):
                return f"`{name}` is found by the order in which folders come to `sys.path`"
        return self._path_obstacle(selected)

    def _shown(self, path: Path) -> str:
        try:
            return str(path.relative_to(self._config.rootpath))
        except ValueError:
            return str(path)

    def _order(
        self, entries: Iterable[Executed], changed: Mapping[Path, ImportEffects] | None = None
    ) -> dict[str, list[str]]:
        """The other modules that these execute when they are imported one after the other, in their
        order, each with `sys.path` as it is then.
        """
        own = {entry.name for entry in self.executed}
        found: dict[str, list[str]] = {}
        path = list(self._given_path)
        for entry in entries:
            before = len(found)
            path = self._path_with(path, entry)
            effects = (changed or {}).get(entry.path) or self._effects.get(entry.path)
            if not isinstance(effects, ImportEffects):
                raise MayLeaveTraces(f"{self._shown(entry.path)} {effects or 'is not known'}")
            ancestors = list(_parents(entry.name))
            for target in (*ancestors, *effects.imports):
                for name in (*_parents(target), target):
                    if (
                        name in found
                        or name in self.given
                        or (name in ancestors and self._is_empty(name))
                    ):
                        continue
                    if name in own:
                        raise MayLeaveTraces(
                            f"{self._shown(entry.path)} imports the test module `{name}`"
                        )
                    if target in effects.conditional:
                        raise MayLeaveTraces(
                            f"{self._shown(entry.path)} imports `{target}` under a condition"
                        )
                    found[name] = path
            extra = (
                set(entry.brought)
                - {entry.name}
                - {name for name in ancestors if self._is_empty(name)}
            )
            if len(found) == before and extra - found.keys() and not changed:
                raise MayLeaveTraces(
                    f"{self._shown(entry.path)} brings `{min(extra)}` in a way of its own"
                )
        return found

    def _is_empty(self, name: str) -> bool:
        """Whether a package has no statements: it may be there or not, nothing is executed."""
        if name not in self._empty:
            self._empty[name] = _has_no_statements(sys.modules.get(name))
        return self._empty[name]

    def _named_elsewhere(self) -> str | None:
        """Which module may have found a left-out one in `sys.modules` when it imported it."""
        own = {entry.name: entry for entry in self.executed}
        for entry in self.executed:
            for name in entry.brought:
                module = sys.modules.get(name)
                file = getattr(module, "__file__", None)
                if (
                    name in own
                    or not file
                    or file.startswith(imports.FOREIGN)
                    or not file.endswith(".py")
                ):
                    continue
                names = imports.imported(file, name)
                if names is None:
                    return f"`{name}` imports what only running it can tell"
                found = own.keys() & names
                if found:
                    return f"`{name}` imports the test module `{min(found)}`"
        return None

    def _path_obstacle(self, selected: Sequence[Executed]) -> str | None:
        extra = set(self._path) - set(self.path_of(selected))
        if not extra:
            return None
        own = {entry.name for entry in self.executed}
        for name in list(sys.modules):
            if name in self.given or name in own:
                continue
            folder = imports.folder_of(sys.modules[name]) if "." not in name else None
            if folder in extra and not (
                self._is_empty(name) and any(each.startswith(f"{name}.") for each in own)
            ):
                return f"`{name}` was found in {folder}, which would not be on `sys.path`"
        return None

    def path_of(self, entries: Iterable[Executed]) -> list[str]:
        """`sys.path` when only these have been imported, by pytest's rules for its import modes."""
        path = list(self._given_path)
        for entry in entries:
            path = self._path_with(path, entry)
        return path

    def _path_with(self, path: list[str], entry: Executed) -> list[str]:
        mode = self._config.getoption("importmode")
        if entry.path not in self._roots:
            self._roots[entry.path] = imports.root_of(entry.path)
        root = self._roots[entry.path]
        if mode == "prepend" and path[:1] != [root]:
            return [root, *path]
        if mode == "append" and root not in path:
            return [*path, root]
        return path

    def leave_out(self, selected: Sequence[Executed]) -> None:
        """Make all others as if they had never been there."""
        kept = {entry.name for entry in selected}
        packages = {name for entry in selected for name in _parents(entry.name)}
        packages |= {
            package for name in self._order(selected) for package in (*_parents(name), name)
        }
        # Conftests that are in no package have one name: which of them keeps it is seen to
        # elsewhere.
        gone = [entry.name for entry in self.executed if entry.name not in kept]
        gone += {
            name: None
            for entry in self.executed
            for name in _parents(entry.name)
            if name not in packages and name not in self.given
        }
        for name in gone:
            module = sys.modules.pop(name, None)
            _kept.append(module)
            package, _, attribute = name.rpartition(".")
            holder = sys.modules.get(package)
            if holder is not None and module is not None and vars(holder).get(attribute) is module:
                delattr(holder, attribute)
        sys.path[:] = self.path_of(selected)

    # What comes after a module

    def is_quiet_after(self, path: Path) -> bool:
        """Whether nothing that was executed after this file has left anything, other modules
        included.
        """
        entries = list(self.executed)
        at = next(
            (index for index, entry in enumerate(entries) if entry.path == path), len(entries)
        )
        own = {entry.name for entry in entries}
        for entry in entries[at + 1 :]:
            if not isinstance(self._effects.get(entry.path), ImportEffects):
                return False
            packages = {name for name in _parents(entry.name) if self._is_empty(name)}
            if set(entry.brought) - own - packages:
                return False
        return True


def effects_of(
    source: bytes, module: ModuleType | None, name: str, collector: pytest.Module | None
) -> ImportEffects | str:
    """What a test module or conftest (no ``collector``) does, or why it may leave something."""
    if any(word in source for word in _SEARCHING):
        return "looks for what is in the process"
    held: Any = collector
    is_class = held.classnamefilter if held is not None else _no
    is_test = held.funcnamefilter if held is not None else _no
    try:
        return import_effects(source, module, name, is_class, is_test, collector is None)
    except MayLeaveTraces as reason:
        return f"{reason} while it is imported"
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"can't be read: {error}"


def _no(_: str) -> bool:
    return False


def _parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    for end in range(1, len(parts)):
        yield ".".join(parts[:end])


def _is_in(name: str, folders: Iterable[str]) -> bool:
    """Whether a top-level module of this name may be found in one of the folders."""
    top = name.partition(".")[0]
    return any(
        os.path.isdir(os.path.join(folder, top))
        or glob.glob(os.path.join(glob.escape(folder), f"{top}.*"))
        for folder in folders
    )


def _has_no_statements(module: ModuleType | None) -> bool:
    file = getattr(module, "__file__", None)
    if module is None or type(module) is not ModuleType:
        return False
    if file is None:
        # A namespace package, or one that pytest has made for `--import-mode=importlib`.
        return hasattr(module, "__path__") or module.__spec__ is None
    if os.path.basename(file) != "__init__.py":
        return False
    try:
        with open(file, "rb") as source:
            body = parsing.parse(source.read()).body
    except (OSError, SyntaxError, ValueError):
        return False
    return all(isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) for each in body)
