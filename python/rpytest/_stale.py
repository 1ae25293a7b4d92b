"""Whether a collected session may be used again: nothing that it read has changed.

Observed, not guessed: the audit hook sees every file that Python opens and every directory it lists while pytest configures and collects.
What can't be seen (`stat` without `open`, opens in C code) is listed in ``docs/staleness.md``.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from rpytest._cache import reads_cache

#: Names in a listing that come and go without meaning anything to collection.
IGNORED_NAMES = frozenset({"__pycache__", ".pytest_cache", ".git", ".hg", ".mypy_cache", ".ruff_cache", ".coverage", ".DS_Store"})
_SUFFIXES_IGNORED = (".pyc", ".pyo", ".swp", "~")
#: Files that pytest and Python look for in every directory on the way; absence is a dependency, too.
_PROBED = ("conftest.py", "__init__.py", "pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "setup.py")
#: Larger files are compared by their stat alone.
_HASH_LIMIT = 8 << 20

FileState = tuple[int, int, int, int, int]


class Dependencies:
    """The files and directories that a session was made from."""

    def __init__(self) -> None:
        self._opened: set[str] = set()
        self._listed: set[str] = set()
        self._written: set[str] = set()
        self._watching = False
        self._installed = False
        self._complete = False
        self.started_ns = 0
        self.effects: str | None = None
        self._files: dict[str, FileState | None] = {}
        self._hashes: dict[str, bytes] = {}
        self._directories: dict[str, tuple[FileState | None, bytes]] = {}

    def watch(self) -> None:
        """Start to observe. An audit hook can't be removed, only told to do nothing."""
        import time

        self.started_ns = time.time_ns()
        self._watching = True
        if not self._installed:
            self._installed = True
            sys.addaudithook(self._audit)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._watching:
            return
        if event == "open":
            path, mode, flags = args
            if isinstance(path, (str, bytes)):
                name = os.path.abspath(os.fsdecode(path))
                writes = (flags & (os.O_WRONLY | os.O_RDWR)) if isinstance(flags, int) else ("w" in str(mode) or "a" in str(mode))
                (self._written if writes else self._opened).add(name)
        elif event in ("os.listdir", "os.scandir"):
            path = args[0]
            if path is None:
                path = "."
            if isinstance(path, (str, bytes)):
                self._listed.add(os.path.abspath(os.fsdecode(path)))
        elif event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"):
            # Fails safe: whatever it printed or wrote may be part of what was collected.
            self.effects = "collection started a process"
        elif event == "socket.connect":
            self.effects = "collection connected a socket"

    def stop_watching(self) -> None:
        """Collection is over; what this process opens from now on is its own business."""
        self._watching = False

    def complete(self, config: pytest.Config, session: pytest.Session) -> None:
        """Take the state of everything that was seen, once.

        May be late: what changed since collection began is recognised by its time stamps.
        """
        if self._complete:
            return
        self._complete = True
        files = self._read_files()
        folders = {os.path.abspath(path or ".") for path in sys.path}
        roots = {str(config.rootpath), str(config.invocation_params.dir)}
        for item in session.items:
            roots.add(str(item.path.parent))
        for root in sorted(roots):
            folder = Path(root)
            for parent in (folder, *folder.parents):
                files.update(str(parent / name) for name in _PROBED)
                if parent == config.rootpath:
                    break
        if config.inipath is not None:
            files.add(str(config.inipath))
        cache = self._cache_folder(config)
        for name in files:
            if name.endswith(_SUFFIXES_IGNORED) or name.startswith(("/proc/", "/sys/", "/dev/")) or (cache is not None and name.startswith(cache)):
                continue
            self._files[name] = _state(name)
        for name in folders | self._listed:
            if cache is None or not name.startswith(cache):
                self._directories[name] = (_state(name), _listing(name))
        for name, state in self._files.items():
            if state is not None and stat.S_ISREG(state[0]):
                if max(state[3], state[4]) >= self.started_ns:
                    # It changed while it may have been read: what was read is unknown.
                    self.effects = self.effects or f"{name} changed during collection"
                if state[2] <= _HASH_LIMIT and not name.startswith(sys.base_prefix):
                    self._hashes[name] = _digest(name)

    def _read_files(self) -> set[str]:
        files = self._opened - self._written
        for module in list(sys.modules.values()):
            # A module's cached byte code is what is opened.
            name = getattr(module, "__file__", None)
            if isinstance(name, str):
                files.add(os.path.abspath(name))
        return files

    def project_files(self) -> list[str]:
        """Files that were read so far and belong neither to Python nor to an installed distribution."""
        foreign = (sys.prefix + os.sep, sys.base_prefix + os.sep, "/proc/", "/sys/", "/dev/")
        return sorted(name for name in self._read_files() if not name.startswith(foreign) and not name.endswith(_SUFFIXES_IGNORED))

    @staticmethod
    def _cache_folder(config: pytest.Config) -> str | None:
        """The cache directory, unless this selection was read from it."""
        if reads_cache(config):
            return None
        cache: Any = getattr(config, "cache", None)
        return None if cache is None else str(cache._cachedir)

    def changed(self) -> str | None:
        """Why the session can't be used again, or ``None``."""
        if self.effects is not None:
            return self.effects
        for name, state in self._files.items():
            now = _state(name)
            if now == state:
                continue
            if now is None:
                return f"{name} is gone"
            if state is None:
                return f"{name} is new"
            digest = self._hashes.get(name)
            if digest is None or not stat.S_ISREG(now[0]) or _digest(name) != digest:
                return f"{name} changed"
            self._files[name] = now
        for name, (state, listing) in self._directories.items():
            now = _state(name)
            if now == state:
                continue
            if _listing(name) != listing:
                return f"the entries of {name} changed"
            self._directories[name] = (now, listing)
        return None


def _state(name: str) -> FileState | None:
    try:
        found = os.stat(name)
    except (OSError, ValueError):
        return None
    return found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _digest(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return hashlib.blake2b(file.read(), digest_size=16).digest()
    except OSError:
        return b""


def _listing(name: str) -> bytes:
    try:
        with os.scandir(name) as entries:
            names = sorted(f"{entry.name}\0{entry.is_dir()}" for entry in entries if entry.name not in IGNORED_NAMES and not entry.name.endswith(_SUFFIXES_IGNORED))
    except OSError:
        return b""
    return hashlib.blake2b("\n".join(names).encode("utf-8", "surrogateescape"), digest_size=16).digest()
