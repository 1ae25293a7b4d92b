"""What files and folders are compared by: their states, their contents, the names in a folder."""

from __future__ import annotations

import hashlib

from rpytest import _real
from rpytest._real import os

__builtins__ = _real.BUILTINS


#: Names in a listing that come and go without meaning anything to collection.
IGNORED_NAMES = frozenset(
    {
        "__pycache__",
        ".pytest_cache",
        ".git",
        ".hg",
        ".mypy_cache",
        ".ruff_cache",
        ".hypothesis",
        ".coverage",
        ".DS_Store",
    }
)
#: An editor's own files: they come and go, too.
SUFFIXES_IGNORED = (".swp", "~")
#: pytest makes its cache under such a name, and renames it: another run may look at that moment.
PREFIX_IGNORED = "pytest-cache-files-"
#: What is in there is made when somebody looks.
VIRTUAL = ("/proc/", "/sys/", "/dev/")

FileState = tuple[int, int, int, int, int]

#: Of the daemon's start: our own looks are not among those that are noticed, and cost nothing.
_stat = os.stat


def state(name: str) -> FileState | None:
    """Mode, inode, size, modification and change time in nanoseconds; `None`: not there."""
    try:
        found = _stat(name)
    except (OSError, ValueError):
        return None
    return found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def digest(name: str) -> bytes:
    """A hash of its contents; empty if it can't be read."""
    try:
        with open(name, "rb") as file:
            return hashlib.blake2b(file.read(), digest_size=16).digest()
    except OSError:
        return b""


def listing(name: str) -> bytes:
    """A hash of the names in a folder that mean something, and of which of them are folders; empty if it can't be read."""
    try:
        with os.scandir(name) as entries:
            names = sorted(
                f"{entry.name}\0{entry.is_dir()}"
                for entry in entries
                if entry.name not in IGNORED_NAMES
                and not entry.name.endswith(SUFFIXES_IGNORED)
                and not entry.name.startswith(PREFIX_IGNORED)
            )
    except OSError:
        return b""
    return hashlib.blake2b("\n".join(names).encode("utf-8", "surrogateescape"), digest_size=16).digest()
