"""Where installed modules lie, and what their names say: the vocabulary in which imports and
surroundings are talked about.
"""

from __future__ import annotations

import functools
import os
import site
import sys
import sysconfig

import rpytest

#: This package's folder: frames of our own code are those whose file begins with it.
PACKAGE = os.path.join(os.path.dirname(rpytest.__file__), "")

#: Packages that every process here has from the daemon, or that pytest imports in its own way.
OWN = frozenset(
    {
        "rpytest",
        "pytest",
        "_pytest",
        "pluggy",
        "iniconfig",
        "xdist",
        "execnet",
        "conftest",
        "__main__",
    }
)

#: Stands for "all variables" among those that a step has read.
ALL_VARIABLES = "*"


def top_level(name: str) -> str:
    """The top-level package of a module."""
    return name.partition(".")[0]


def with_parents(name: str) -> list[str]:
    """The packages that a module is in, from the outermost on, and the module."""
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def is_installed(file: str) -> bool:
    """Whether a file lies where installed packages and Python's own modules lie."""
    return file.startswith(installed_folders())


def is_project_module(name: str) -> bool:
    """Whether a module is the project's, a conftest for example: neither pytest's nor ours nor
    installed.
    """
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return top_level(name) not in OWN - {"conftest"} and not is_installed(file)


def installed_folders() -> tuple[str, ...]:
    """Where installed packages and Python's own modules lie; each ends with a separator."""
    return _installed_folders(tuple(sys.path))


@functools.lru_cache(maxsize=8)
def _installed_folders(sys_path: tuple[str, ...]) -> tuple[str, ...]:
    found = {os.path.abspath(path) for path in (*sys_path, *site.getsitepackages())}
    kept = {path for path in found if os.path.basename(path) in ("site-packages", "dist-packages")}
    for name in ("purelib", "platlib", "stdlib", "platstdlib"):
        kept.add(os.path.abspath(sysconfig.get_path(name)))
    return tuple(sorted(path + os.sep for path in kept))
