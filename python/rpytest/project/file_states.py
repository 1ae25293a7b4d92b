"""What files and folders are compared by: their states, their contents, the names in a folder."""

from __future__ import annotations

import functools
import hashlib
import importlib.machinery
import stat
from typing import NamedTuple

from rpytest import stdlib
from rpytest.stdlib import contextlib, os, time

__builtins__ = stdlib.BUILTINS


#: Names in a listing that come and go without meaning anything to pytest. Who lists a folder
#: himself may mean just these: that is `ALL`.
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
#: What pytest itself makes while it runs.
_OF_PYTEST = frozenset({"__pycache__", ".pytest_cache"})
#: pytest makes its cache under such a name, and renames it: another run may look at that moment.
PREFIX_IGNORED = "pytest-cache-files-"
#: What is in there is made when somebody looks.
VIRTUAL = ("/proc/", "/sys/", "/dev/")

FileState = tuple[int, int, int, int, int]

#: Which names of a folder count. MODULES: to Python's import system and to pytest, which makes
#: doctests of texts (`_pytest.doctest.pytest_collect_file`), folders and what may be a module, a
#: text or an installed distribution. SOME: in doubt, all but those that come and go. MOST: to a
#: hook that is asked what to collect, all that pytest has not made. ALL: to who has listed it, all.
MODULES, SOME, MOST, ALL = range(4)
_SUFFIXES = (
    *importlib.machinery.all_suffixes(),
    ".pth",
    ".zip",
    ".egg",
    ".egg-link",
    ".egg-info",
    ".txt",
    ".rst",
)

#: Stands in the place of the state of a folder that was changed just now. File systems know the
#: time of the last tick of the kernel's clock only (`current_time` in the kernel), so what is made
#: in the same tick would leave no trace.
YOUNG: FileState = (0, 0, 0, 0, 0)
_TICK_NS = 20_000_000

#: The functions of the daemon's start: `staleness/stat_observer.py` replaces those of `os`, and our
#: own looks are not to be noticed, nor to cost anything.
_stat = os.stat
_readlink = os.readlink
#: The clock is in a `partial`, because libraries that fake the time look for such functions in all
#: modules.
_now = functools.partial(time.clock_gettime_ns, time.CLOCK_REALTIME)


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


class FolderListing(NamedTuple):
    """The state of a folder, and after that what was in it: a hash for each of `MODULES` to `ALL`,
    which is empty if it can't be read.
    """

    state: FileState | None
    names: tuple[bytes, ...]

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder. If not, the names say nothing: it is a zip file on `sys.path`, or
        not there.
        """
        return self.names[ALL] != b""


def listing(name: str) -> FolderListing:
    """What is in a folder, by name, and which of these are folders."""
    before = state(name)
    hashes = [hashlib.blake2b(digest_size=16) for _ in range(ALL + 1)]
    try:
        with os.scandir(name) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries)
    except (OSError, ValueError):
        return FolderListing(before, (b"",) * len(hashes))
    for entry, is_folder in found:
        text = f"{entry}\0{is_folder}\n".encode("utf-8", "surrogateescape")
        first = _matters_from(entry)
        if first == SOME and (is_folder or entry.endswith(_SUFFIXES)):
            first = MODULES
        for kind in range(first, len(hashes)):
            hashes[kind].update(text)
    # `_now` is no clock that a project may have replaced.
    if before is not None and max(before[3], before[4]) >= _now() - _TICK_NS:
        before = YOUNG
    return FolderListing(before, tuple(found.digest() for found in hashes))


def is_ordinary(entry: str) -> bool:
    """Whether a name in a folder always counts."""
    return _matters_from(entry) == SOME


def _matters_from(entry: str) -> int:
    if entry in _OF_PYTEST or entry.startswith(PREFIX_IGNORED):
        return ALL
    return MOST if entry in IGNORED_NAMES or entry.endswith(SUFFIXES_IGNORED) else SOME


def is_folder(found: FileState | None) -> bool:
    """Whether it is the state of a folder."""
    return found is not None and stat.S_ISDIR(found[0])


def name_of(descriptor: int) -> str | None:
    """What an open file or folder is called, if it has a name."""
    with contextlib.suppress(OSError):
        name = _readlink(f"/proc/self/fd/{descriptor}")
        if name.startswith("/") and not name.endswith(" (deleted)"):
            return name
    return None
