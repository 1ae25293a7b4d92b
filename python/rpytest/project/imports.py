"""Which modules a file imports, as its source says, and where modules lie."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

from _pytest.pathlib import resolve_package_path

from rpytest import stdlib
from rpytest.project import parsing
from rpytest.stdlib import os

__builtins__ = stdlib.BUILTINS


#: Functions that import what their first argument names.
_IMPORTING = frozenset({"__import__", "import_module", "importorskip"})

#: Functions that may import whatever there is.
_SEARCHING = frozenset({"exec", "eval", "iter_modules", "run_module", "run_path", "walk_packages"})

#: Modules of Python and of installed distributions have nothing from a project.
FOREIGN = (sys.prefix + os.sep, sys.base_prefix + os.sep)


def imported(file: str, module: str) -> frozenset[str] | None:
    """Names that a file imports anywhere in it, by full names; `None`: only running it can tell.

    Of `from a import b` both `a` and `a.b` are among them. ``module`` is the file's own full name.
    """
    try:
        with open(file, "rb") as source:
            tree = parsing.parse(source.read())
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
        elif isinstance(node, ast.Call) and _called(node.func) in _SEARCHING:
            return None
        elif isinstance(node, ast.Call) and _called(node.func) in _IMPORTING:
            first = node.args[0] if node.args else None
            if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
                return None
            names.add(first.value)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.modules":
            return None
    return frozenset(names)


def _absolute(node: ast.ImportFrom, file: str, module: str) -> str:
    name = node.module or ""
    if not node.level:
        return name
    parts = module.split(".")
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


def module_name_of(file: Path) -> str:
    """The name under which pytest imports a test module or conftest from its :func:`root_of`."""
    return ".".join(file.with_suffix("").relative_to(root_of(file)).parts)


def folder_of(module: Any) -> str | None:
    """Where a top-level module was found."""
    file = getattr(module, "__file__", None)
    if file is None:
        # A namespace package.
        folders = list(getattr(module, "__path__", ()))
        return os.path.dirname(folders[0]) if folders else None
    folder = os.path.dirname(str(file))
    return os.path.dirname(folder) if hasattr(module, "__path__") else folder
