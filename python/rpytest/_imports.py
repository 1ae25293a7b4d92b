"""Which module imports which, and from where.

pytest puts the folders of test modules on `sys.path`, one after the other. A module that is found in such a folder would not be found, or another one
would, if nothing of that folder had been collected: a selection that needs one must not be made from here.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from _pytest.pathlib import resolve_package_path

from rpytest import _sources

#: Functions that import what their first argument names.
_IMPORTING = frozenset({"__import__", "import_module", "importorskip"})

#: Modules of Python and of installed distributions have nothing from a project.
_FOREIGN = (sys.prefix + os.sep, sys.base_prefix + os.sep)

#: Modules that a selection must not find, and that must not be dropped either.
_kept: list[object] = []

#: What files import, as far as they have been looked at (`None`: only running them can tell), by name and module.
_known: dict[tuple[str, str | None], frozenset[str] | None] = {}


class Loaded:
    """The modules that are loaded at one moment, and which of them were found in some folders: to look at all of them takes a while."""

    def __init__(self, folders: Iterable[str]) -> None:
        self.folders = frozenset(folders)
        self._count = len(sys.modules)
        self._last = next(reversed(sys.modules), None)
        self.by_file: dict[str | None, str] = {
            getattr(module, "__file__", None): name for name, module in list(sys.modules.items())
        }
        #: Top-level modules that were found in one of the folders, with it.
        self.found: dict[str, str] = {}
        self._modules: list[tuple[str, object]] = []
        for name, module in list(sys.modules.items()):
            if "." not in name:
                folder = _folder(module)
                if folder in self.folders:
                    self.found[name] = folder
                    self._modules.append((name, module))
        #: The same and what is in them, by the name before the first dot.
        self.inside: dict[str, list[str]] = {}
        for name in list(sys.modules):
            top = name.partition(".")[0]
            if top in self.found:
                self.inside.setdefault(top, []).append(name)

    def is_now(self, folders: Iterable[str]) -> bool:
        """Whether that is still so, and about these folders."""
        return (
            self._count == len(sys.modules)
            and self._last == next(reversed(sys.modules), None)
            and self.folders == frozenset(folders)
            and all(sys.modules.get(name) is module for name, module in self._modules)
        )


def needed_by(files: Iterable[Path], loaded: Loaded) -> set[str] | None:
    """Names of all loaded modules that these files import, and so on, as their sources say; `None`: one imports what only running it can tell."""
    by_file = loaded.by_file
    found: set[str] = set()
    work = [str(file) for file in files]
    seen = set(work)
    while work:
        file = work.pop()
        names = _imported(file, by_file.get(file))
        if names is None:
            return None
        for name in _with_parents(names):
            module = sys.modules.get(name)
            if module is None or name in found:
                continue
            found.add(name)
            source = getattr(module, "__file__", None)
            if source and source.endswith(".py") and source not in seen and not source.startswith(_FOREIGN):
                seen.add(source)
                work.append(source)
    return found


def _with_parents(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        parts = name.split(".")
        yield from (".".join(parts[: end + 1]) for end in range(len(parts)))


def prepare(files: Iterable[str], loaded: Loaded, is_unchanged: Callable[[str], bool]) -> Iterator[None]:
    """Look what these files import, one at a time; ``is_unchanged`` says whether one still is what the modules were made from."""
    for file in files:
        key = file, loaded.by_file.get(file)
        if key not in _known:
            _imported(*key)
            if not is_unchanged(file):
                del _known[key]
            yield


def forget_file(file: str) -> None:
    """The file says something else now."""
    for key in [key for key in _known if key[0] == file]:
        del _known[key]


def _imported(file: str, module: str | None) -> frozenset[str] | None:
    key = file, module
    if key not in _known:
        _known[key] = _read_imports(file, module)
    return _known[key]


def _read_imports(file: str, module: str | None) -> frozenset[str] | None:
    try:
        with open(file, "rb") as source:
            tree = _sources.parse(source.read())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, file, module)
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node.func) in _IMPORTING:
            first = node.args[0] if node.args else None
            if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
                return None
            names.add(first.value)
    return frozenset(names)


def _absolute(node: ast.ImportFrom, file: str, module: str | None) -> str:
    name = node.module or ""
    if not node.level:
        return name
    parts = (module or "").split(".")
    if os.path.basename(file) == "__init__.py":
        parts.append("")
    base = ".".join(parts[: -node.level])
    return f"{base}.{name}".strip(".")


def _called(function: ast.expr) -> str:
    return str(getattr(function, "attr", None) or getattr(function, "id", ""))


def root_of(file: Path) -> str:
    """The folder that pytest puts on `sys.path` for a test module or conftest."""
    package = resolve_package_path(file)
    return str(file.parent if package is None else package.parent)


def _folder(module: Any) -> str | None:
    """Where a top-level module was found."""
    file = getattr(module, "__file__", None)
    if file is None:
        # A namespace package.
        folders = list(getattr(module, "__path__", ()))
        return os.path.dirname(folders[0]) if folders else None
    folder = os.path.dirname(str(file))
    return os.path.dirname(folder) if hasattr(module, "__path__") else folder


def is_ambiguous(name: str, folder: str, folders: Iterable[str]) -> bool:
    """Whether a top-level module would be found in another one of the folders, too: which is first depends on the order of the tests."""
    return any(
        other != folder and any(os.path.exists(os.path.join(other, name + end)) for end in (".py", os.sep))
        for other in folders
    )


def forget(folders: set[str], modules: Iterable[str], loaded: Loaded) -> None:
    """Make these folders and top-level modules as if they had never been there."""
    sys.path[:] = [entry for entry in sys.path if entry not in folders]
    names = [name for top in modules for name in loaded.inside[top]]
    _kept.extend(sys.modules.pop(name) for name in names)
