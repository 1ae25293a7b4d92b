"""After an edit of test modules: may these alone be imported and collected anew, in a process that has imported what they were before?

They may if nobody can tell. Their old versions have left nothing behind: no other module knows of them, and all that their statements have used while
they were imported is known to keep nothing, or belongs to the project's own modules, whose contents were watched (``_contents.py``), or is used by the
new version as well. Otherwise everything is collected afresh. See ``docs/design/edits.md``.
"""

from __future__ import annotations

import builtins
import importlib
import linecache
import sys
from collections.abc import Callable, Collection, Container, Iterable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NoReturn

import pytest

from rpytest import _imports, _steps
from rpytest._statements import Statements, root_of

#: Top-level modules whose functions and classes keep nothing of what they are given, and change nothing that others can see.
_PURE = frozenset(
    {
        "_pytest",
        "abc",
        "array",
        "attr",
        "attrs",
        "base64",
        "binascii",
        "bisect",
        "builtins",
        "calendar",
        "cmath",
        "collections",
        "colorsys",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
        "difflib",
        "enum",
        "fnmatch",
        "fractions",
        "functools",
        "genericpath",
        "hashlib",
        "heapq",
        "html",
        "hypothesis",
        "inspect",
        "io",
        "ipaddress",
        "itertools",
        "json",
        "math",
        "numbers",
        "operator",
        "pathlib",
        "posixpath",
        "pprint",
        "pytest",
        "pytest_asyncio",
        "re",
        "secrets",
        "statistics",
        "string",
        "struct",
        "textwrap",
        "time",
        "types",
        "typing",
        "typing_extensions",
        "unittest",
        "urllib",
        "uuid",
        "zoneinfo",
    }
)

#: Those that have a state which the new version sets as the old one has done, if it still does: `random.seed(0)`.
_WITH_STATE = frozenset({"decimal", "logging", "numpy", "os", "pandas", "platform", "random", "sys"})

#: Attributes and functions by which something is put where it stays.
_KEEPING = frozenset(
    {
        "__import__",
        "addFilter",
        "addHandler",
        "addLevelName",
        "basicConfig",
        "captureWarnings",
        "dictConfig",
        "displayhook",
        "eval",
        "excepthook",
        "exec",
        "fileConfig",
        "import_module",
        "install",
        "load_profile",
        "meta_path",
        "modules",
        "path_hooks",
        "path_importer_cache",
        "register",
        "register_assert_rewrite",
        "register_profile",
        "register_random",
        "register_type_strategy",
        "removeHandler",
        "setLogRecordFactory",
        "setLoggerClass",
        "setprofile",
        "settrace",
        "unraisablehook",
    }
)

#: By which a module may change the environment itself.
_OF_THE_ENVIRONMENT = frozenset({"environ", "environb", "putenv", "unsetenv"})

#: Imports what it is told.
_IMPORTING = "importorskip"


class Edits:
    """The test modules that a run has found edited, from the moment on that it was forked for this."""

    def __init__(
        self,
        session: pytest.Session,
        files: Collection[str],
        codes: dict[str, CodeType | None],
        mentions: Callable[[], dict[str, set[str]]],
        given: Container[str],
        decline: Callable[[str], NoReturn],
    ) -> None:
        """``codes``: of all modules of the project, by file; ``mentions``: files that may refer to a module, by the last part of its name.

        ``given``: modules that were there before the project. ``decline`` ends this process: the run is served otherwise.
        """
        self.files = frozenset(map(Path, files))
        self._session = session
        self._codes = codes
        self._mentions = mentions
        self._given = given
        self._decline = decline
        self._inside = _steps.folders()
        #: Of each old version: its statements, which names of those have a state, and whether one of these is the project's.
        self._old: dict[Path, tuple[Statements, set[str], bool]] = {}
        #: The modules' names.
        self._names: set[str] = set()
        #: Modules that were there before the new versions, and these.
        self._before: set[str] = set()
        self._has_folders = False

    def leave(
        self,
        collectors: Iterable[pytest.Module],
        nodes: Container[Any],
        effects: Container[pytest.Collector],
        has_folders: bool,
    ) -> None:
        """Make the old versions as if they had never been there; ``nodes`` are theirs: the collectors, and all that is in them.

        ``effects``: collectors that have changed the environment, or what they have imported has. ``has_folders``: pytest has put more than one folder of tests on `sys.path`.
        """
        self._has_folders = has_folders
        for collector in collectors:
            self._leave_one(collector, collector in effects)
        _forget_fixtures(self._session, nodes, [collector.nodeid for collector in collectors], self._decline)
        importlib.invalidate_caches()
        self._before = set(sys.modules) | self._names

    def _leave_one(self, collector: pytest.Module, has_effect: bool) -> None:
        file = str(collector.path)
        module: Any = vars(collector).get("_obj")
        code = self._codes.pop(file, None)
        if type(module) is not ModuleType or code is None or sys.modules.get(module.__name__) is not module:
            self._decline(f"nobody knows how {collector.nodeid} was imported")
        others = self._mentions().get(module.__name__.rpartition(".")[2], set()) - {file}
        if others:
            self._decline(f"{min(others)} may have something of {collector.nodeid}")
        statements = Statements(code)
        self._check(collector, statements, module)
        if has_effect and statements.names & _OF_THE_ENVIRONMENT:
            self._decline(f"importing {collector.nodeid} changes the environment")
        with_state = {chain for chain in statements.chains if self._has_state(chain, module)}
        uses_project = any(self._is_of_project(_origin(vars(module).get(root_of(chain)))) for chain in with_state)
        self._old[collector.path] = statements, with_state, uses_project
        self._names.add(module.__name__)
        package, _, name = module.__name__.rpartition(".")
        holder = sys.modules.get(package)
        if holder is not None and vars(holder).get(name) is module:
            delattr(holder, name)
        del sys.modules[module.__name__]
        linecache.cache.pop(file, None)
        _imports.forget_file(file)
        seen = getattr(self._session._fixturemanager, "_holderobjseen", None)
        if seen is not None:
            seen.discard(module)

    def made(self, collector: pytest.Module) -> None:
        """The new version of a module was collected."""
        module: Any = vars(collector).get("_obj")
        code = self._codes.get(str(collector.path))
        if code is None or type(module) is not ModuleType:
            self._decline(f"nobody knows how {collector.nodeid} was imported")
        more = sys.modules.keys() - self._before
        if more:
            self._decline(f"{collector.nodeid} imports `{min(more)}`, which nothing has imported before")
        (old, with_state, uses_project), new = self._old[collector.path], Statements(code)
        self._check(collector, new, module)
        for name in sorted(new.imports - old.imports):
            if name.rpartition(".")[2] in {each.rpartition(".")[2] for each in self._names}:
                self._decline(f"{collector.nodeid} imports `{name}`, which has been edited, too")
            if self._has_folders and (name.startswith(".") or self._is_of_project(name)):
                self._decline(
                    f"{collector.nodeid} imports `{name}`, which it may not find with fewer folders on `sys.path`"
                )
        dropped = {name for name in old.imports - new.imports if self._counts(name)}
        if _IMPORTING in old.names:
            told = old.constants - new.constants
            dropped |= {name for name in told if isinstance(name, str) and self._counts(name)}
        if dropped:
            self._decline(f"{collector.nodeid} does not import `{min(dropped)}` any more")
        unused = with_state - new.chains
        if with_state:
            unused |= old.loose - new.loose
        if uses_project:
            # Told to something of the project, perhaps.
            unused |= set(map(repr, old.constants - new.constants))
        if unused:
            self._decline(f"{collector.nodeid} does not use `{min(unused)}` any more while it is imported")

    def _counts(self, name: str) -> bool:
        """Whether somebody could tell that this was imported."""
        if name.startswith("."):
            return True
        # Else it is something in a module, and no module.
        return name in sys.modules and name not in self._given

    def _check(self, collector: pytest.Module, statements: Statements, module: ModuleType) -> None:
        """Decline if what is done while the module is imported may leave something in other places."""
        keeping = statements.names & _KEEPING
        keeping |= {chain for chain in statements.chains if chain.startswith("sys.path")}
        if keeping:
            self._decline(f"{collector.nodeid} uses `{min(keeping)}` while it is imported")
        for root in statements.roots:
            value = vars(module).get(root, vars(builtins).get(root))
            if not self._is_known(value, module):
                self._decline(
                    f"{collector.nodeid} uses `{root}` while it is imported, of which nobody knows what it keeps"
                )
        for name, value in list(vars(module).items()):
            # Never `isinstance`: objects that are made when they are first used say so in `__class__`.
            if issubclass(type(value), type) and value.__module__ == module.__name__:
                for base in value.__mro__[1:]:
                    if not self._may_have_subclasses(base, module):
                        self._decline(
                            f"`{name}` of {collector.nodeid} is a sub-class of `{base.__qualname__}`, which may know of it"
                        )

    def _may_have_subclasses(self, base: type, module: ModuleType) -> bool:
        origin = str(base.__module__)
        if origin == module.__name__ or _steps.top(origin) in _PURE:
            return True
        return self._is_of_project(origin) and any(name.startswith("test") for name in vars(base))

    def _is_known(self, value: object, module: ModuleType) -> bool:
        origin = _origin(value)
        return origin == module.__name__ or _steps.top(origin) in _PURE | _WITH_STATE or self._is_of_project(origin)

    def _has_state(self, chain: str, module: ModuleType) -> bool:
        origin = _origin(vars(module).get(root_of(chain)))
        return origin != module.__name__ and _steps.top(origin) not in _PURE

    def _is_of_project(self, name: str) -> bool:
        origin = getattr(getattr(sys.modules.get(name), "__spec__", None), "origin", None)
        return isinstance(origin, str) and origin.endswith(".py") and not origin.startswith(self._inside)


def _origin(value: object) -> str:
    """The module that something comes from."""
    if type(value) is ModuleType:
        return value.__name__
    if issubclass(type(value), type) or type(value).__module__ == "builtins":
        # A class, a function, a method; what else there is of Python's own has none.
        return str(getattr(value, "__module__", None) or "builtins")
    return str(type(value).__module__)


def _forget_fixtures(
    session: pytest.Session, nodes: Container[Any], ids: Collection[str], decline: Callable[[str], NoReturn]
) -> None:
    """Take the fixtures of these nodes out of pytest's lists."""
    manager: Any = session._fixturemanager
    begins = tuple(f"{each}::" for each in ids)

    def is_gone(node: Any) -> bool:
        return node in nodes

    def has_gone_id(nodeid: str) -> bool:
        return nodeid in ids or nodeid.startswith(begins)

    if hasattr(manager, "_arg2fixturedefs"):
        # pytest 8: visible where the node id begins so.
        definitions = manager._arg2fixturedefs
        for name, found in list(definitions.items()):
            found[:] = [each for each in found if not has_gone_id(each.baseid)]
            if not found:
                del definitions[name]
    elif hasattr(manager, "_arg2node2fixturedefs"):
        for by_name, is_its in (
            (manager._arg2node2fixturedefs, is_gone),
            (manager._arg2nodeid2fixturedefs, has_gone_id),
        ):
            for name, by_place in list(by_name.items()):
                for place in [place for place in by_place if is_its(place)]:
                    del by_place[place]
                if not by_place:
                    del by_name[name]
        for node in [node for node in manager._node_autousenames if is_gone(node)]:
            del manager._node_autousenames[node]
    else:
        decline("nobody knows where this pytest keeps its fixtures")
    for nodeid in [nodeid for nodeid in manager._nodeid_autousenames if has_gone_id(nodeid)]:
        del manager._nodeid_autousenames[nodeid]
