"""Whether a collected session may be used again: nothing that it read has changed.

Observed, not guessed: the audit hook sees every file that Python opens and every directory it lists while pytest configures and collects, and
`_glances` what is looked at without being opened. What can't be seen (opens in C code) is listed in ``docs/staleness.md``.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import stat
import sys
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from rpytest import _contents, _perrun, _process, _seeds, _steps
from rpytest._bytecode import ByteCode, FileState, is_cached, source_of
from rpytest._bytecode import state as _state
from rpytest._cache import CACHE_FILES, is_read_by_pytest, reads_cache
from rpytest._glances import Glances, is_for_python
from rpytest._lookups import Lookups
from rpytest._warm import startup_files

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
_SUFFIXES_IGNORED = (".swp", "~")
#: Files that pytest and Python look for in every directory on the way; absence is a dependency, too.
_PROBED = (
    "conftest.py",
    "__init__.py",
    "pytest.toml",
    ".pytest.toml",
    "pytest.ini",
    ".pytest.ini",
    "pyproject.toml",
    "tox.ini",
    "setup.cfg",
    "setup.py",
)
#: What pytest knows a virtual environment by, which it does not look into.
_ENVIRONMENT = (("pyvenv.cfg",), ("conda-meta", "history"))
#: What is in there is made when somebody looks.
_VIRTUAL = ("/proc/", "/sys/", "/dev/")
_LOADER_CACHE = "/etc/ld.so.cache"
#: Larger files are compared by their stat alone.
_HASH_LIMIT = 8 << 20
#: The same for data files while the run waits.
_DATA_LIMIT = 1 << 20
#: Suffixes of what is no data.
_CODE = (".py", ".pyc", ".so")


class Dependencies:
    """The files and directories that a session was made from."""

    def __init__(self) -> None:
        #: Each file with its state when it was opened first.
        self._opened: dict[str, FileState | None] = {}
        #: Entries of a directory when it was listed first.
        self._listed: dict[str, bytes] = {}
        self._written: set[str] = set()
        #: Files of pytest's cache that a conftest or plugin has read.
        self._cache_read: set[str] = set()
        #: Modules in the order in which their imports began; those that could not be imported, too.
        self.imports: dict[str, None] = {}
        #: Source files whose modules may have replaced something of others while they were imported.
        self.replacing: set[str] = set()
        #: The code of the project's modules by source file; `None` where a file was executed twice.
        self.codes: dict[str, CodeType | None] = {}
        #: Which functions of the project that may find any module have run.
        self.lookups = Lookups()
        #: Sources that somebody has opened to read them, and not to import or show them.
        self._texts: set[str] = set()
        #: Contents of files that were read and written, before they were written.
        self._overwritten: dict[str, bytes] = {}
        self._byte_code = ByteCode()
        self._glances = Glances(self._written)
        self._watching = False
        self._installed = False
        self._complete = False
        #: How names of files begin that are not the project's; what is made of a text has none, and whoever does that is known.
        self._no_project = (*_steps.folders(), "<")
        self.started_ns = 0
        #: Why this can't be used again, and, if it is that, what has to happen in every run.
        self.effects: str | None = None
        self.per_run: str | None = None
        self._files: dict[str, FileState | None] = {}
        #: Modules whose files are among these, by what `id` says of them.
        self._known: dict[str, int] = {}
        #: How many files had been opened, and modules imported, when the state of all was taken.
        self._taken = (0, -1)
        self._is_taken = False
        self._imported = 0
        #: Files of pytest's cache whose state was not taken then.
        self._ignored: set[str] = set()
        self._hashes: dict[str, bytes] = {}
        self._cwd: tuple[str, tuple[int, int] | None] = ("", None)
        self._directories: dict[str, tuple[FileState | None, bytes]] = {}
        #: What `changed` has found to have other contents, and may have.
        self.edited: set[str] = set()
        #: How often something had another state and was found to be the same: forks from before don't know of it.
        self.updates = 0

    def watch(self) -> None:
        """Start to observe. An audit hook can't be removed, only told to do nothing."""
        import time

        self.started_ns = self.started_ns or time.time_ns()
        self._watching = True
        if not self._installed:
            self._installed = True
            sys.addaudithook(self._audit)
        self._glances.start()

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._watching:
            return
        if event == "open":
            path, _, flags = args
            if isinstance(path, (str, bytes)):
                self._open(os.path.abspath(os.fsdecode(path)), flags if isinstance(flags, int) else 0)
        elif event == "import":
            self._imported += 1
            self.imports.setdefault(args[0])
        elif event == "sqlite3.connect":
            self._open_database(args[0])
        elif event in ("os.listdir", "os.scandir"):
            path = args[0]
            if path is None:
                path = "."
            if isinstance(path, (str, bytes)):
                name = os.path.abspath(os.fsdecode(path))
                if name not in self._listed and not name.startswith(_VIRTUAL):
                    self._watching = False
                    self._listed[name] = _listing(name)
                    self._watching = True
        elif event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"):
            # Fails safe: whatever it printed or wrote may be part of what was collected.
            if not _process.is_own_fork() and not (event == "subprocess.Popen" and self.asks_the_system(args[1])):
                self.per_run = "collection started a process"
        elif event == "socket.connect":
            self.per_run = "collection connected a socket"
        elif event == "exec":
            self._execute(args[0])
        self._glances.acted(event, args)
        if self.per_run is None and event in _perrun.EVENTS:
            self.per_run = _perrun.effect(event, args)

    def _execute(self, code: object) -> None:
        if isinstance(code, CodeType) and code.co_name == "<module>":
            name = code.co_filename
            if _contents.replaces(code):
                self.replacing.add(name)
            if not name.startswith(self._no_project):
                _seeds.see(code)
                self.codes[name] = None if name in self.codes else code
                self.lookups.see(code)
            elif name.startswith("<") and not name.startswith("<frozen "):
                # Executed two frames above.
                self.lookups.see_text(code, sys._getframe(2).f_code.co_filename.startswith(self._no_project[:-1]))

    def _open(self, name: str, flags: int) -> None:
        # Temporary and new files have nothing in them that was there before.
        if not flags & (os.O_WRONLY | os.O_TRUNC | os.O_EXCL) and flags & os.O_TMPFILE != os.O_TMPFILE:
            if is_cached(name):
                self._byte_code.opened(name)
            source = source_of(name)
            if source.endswith(".py") and not is_for_python(sys._getframe(2)):
                self._texts.add(source)
            if source not in self._opened:
                found = _state(source)
                if found is None or not stat.S_ISDIR(found[0]) or not self._glances.is_own(source):
                    # Else it is a folder of this process's own that `rmtree` removes.
                    self._opened[source] = found
            if name.endswith(CACHE_FILES) and not is_read_by_pytest(sys._getframe(2)):
                self._cache_read.add(name)
        if flags & (os.O_WRONLY | os.O_RDWR):
            if name in self._opened and name not in self._overwritten and name not in self._written:
                self._watching = False
                self._overwritten[name] = _digest(name)
                self._watching = True
            self._written.add(name)

    def _open_database(self, database: object) -> None:
        """The library opens it by itself, and a log of what was written last, if there is one."""
        if not isinstance(database, (str, bytes, os.PathLike)):
            return
        name = os.fsdecode(database)
        if name.startswith("file:"):
            from urllib.parse import unquote, urlsplit

            name = unquote(urlsplit(name).path)
        if name and name != ":memory:":
            for suffix in ("", "-wal", "-journal"):
                self._opened.setdefault(file := os.path.abspath(name + suffix), _state(file))

    def asks_the_system(self, command: object) -> bool:
        """Whether it is one of the programs that `ctypes.util.find_library` and `platform` ask about this system."""
        if not isinstance(command, (list, tuple)) or not command:
            return False
        name, *arguments = (os.fsdecode(word) for word in command)
        name = os.path.basename(name)
        if name == "ldconfig" and arguments == ["-p"]:
            # It prints what is in there.
            self._opened.setdefault(_LOADER_CACHE, _state(_LOADER_CACHE))
            return True
        return name == "uname"

    def stop_watching(self) -> None:
        """Collection is over; what this process opens from now on is its own business."""
        self._watching = False
        self._glances.stop()
        self.lookups.stop()

    def inherit(self, other: Dependencies) -> None:
        """Depend on all that the process has read that this one was forked from, which has just found it unchanged.

        Its tables become this process's own, as they are. Looking at each entry would copy the memory that all forks share, and the states are
        those that count: what is changed from now on has another one.
        """
        self._opened, self._listed = other._opened, other._listed
        self._files, self._directories, self._known = other._files, other._directories, other._known
        self._taken = (len(self._opened), -1)
        self._byte_code.inherit(other._byte_code)
        self._glances.inherit(other._glances)
        self.started_ns = other.started_ns

    def take(self, modules: Mapping[str, ModuleType], files: Iterable[str], folders: Iterable[str]) -> None:
        """Take the state of ``modules``, ``files``, everything that was opened and ``folders``: of a process that has no session."""
        for name in {*_files_of(modules.values()), *files, *self._opened}:
            self._take_file(name)
        self._known = {name: id(module) for name, module in modules.items()}
        for name in {*folders, *self._listed}:
            self._directories[name] = (_state(name), self._listed.get(name) or _listing(name))
        self._byte_code.snapshot(())
        self._byte_code.leave(_foreign())
        self._find_changes(self._files)
        self._cwd = (os.getcwd(), _identity(os.getcwd()))

    def _take_file(self, name: str) -> None:
        if not name.endswith(_SUFFIXES_IGNORED) and not name.startswith(_VIRTUAL):
            self._files[name] = _state(name)

    def _find_changes(self, names: Iterable[str]) -> None:
        """What changed while it may have been read is unknown, except by collection itself."""
        for name in names:
            state = self._files[name]
            new = state is not None and stat.S_ISREG(state[0]) and max(state[3], state[4]) >= self.started_ns
            if name in self._overwritten:
                changed = _digest(name) != self._overwritten[name]
            else:
                changed = (new or self._opened.get(name, state) != state) and name not in self._written
            if changed:
                self.effects = self.effects or f"{name} changed during collection"
        changed_name = self._glances.settle()
        if changed_name is not None:
            self.effects = self.effects or f"{changed_name} changed during collection"

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """While this process looks at itself."""
        before, self._watching = self._watching, False
        try:
            yield
        finally:
            self._watching = before

    def snapshot(self, config: pytest.Config, session: pytest.Session) -> None:
        """Take the state of everything that was seen, right after collection; once more when hooks have had their say about the tests."""
        was_opened, was_imported = self._taken
        # Only what is new is looked at: the rest is memory that forks share.
        opened = set(itertools.islice(reversed(self._opened), len(self._opened) - was_opened))
        files = opened | self._ignored
        if self._imported != was_imported:
            files.update(_files_of(module for name, module in _modules() if self._known.get(name) != id(module)))
        self._taken, self._is_taken = (len(self._opened), self._imported), True
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
        files.update(self._looks_for_environments())
        files.update(startup_files())
        ignored = self._pytest_cache(config)
        self._ignored = files & ignored
        fresh = files - ignored - self._files.keys()
        for name in fresh:
            self._take_file(name)
        # Tests may write their data anew, with the same contents, before there is time for the rest.
        foreign = _foreign()
        data = (name for name in opened if not name.endswith(_CODE) and not name.startswith(foreign))
        self._hash(data, _DATA_LIMIT)
        for name in (folders | self._listed.keys()) - self._directories.keys():
            # Where the collection itself listed it, that listing counts: what came later was not seen.
            self._directories[name] = (_state(name), self._listed.get(name) or _listing(name))
        self._byte_code.snapshot(_foreign())
        self._find_changes({*fresh, *opened, *self._overwritten} & self._files.keys())
        self.per_run = self.per_run or _perrun.reason(config)
        self.effects = self.effects or self.per_run
        self._cwd = (os.getcwd(), _identity(os.getcwd()))

    def _looks_for_environments(self) -> Iterator[str]:
        """Files that make a folder that was not looked into a virtual environment, or the other way round."""
        for folder in list(self._listed):
            if folder.startswith(_foreign()):
                continue
            try:
                with os.scandir(folder) as entries:
                    names = [entry.path for entry in entries if entry.name not in IGNORED_NAMES and entry.is_dir()]
            except OSError:
                continue
            for name in names:
                if name not in self._listed:
                    yield from (os.path.join(name, *parts) for parts in _ENVIRONMENT)

    def hash_files(self) -> None:
        """Remember the contents, so that a new time stamp alone changes nothing; once, any time after :meth:`snapshot`."""
        if self._complete:
            return
        self._complete = True
        doubtful = self._byte_code.doubtful_sources()
        self._hash(self._files.keys() - doubtful - self._hashes.keys(), _HASH_LIMIT)

    def _hash(self, names: Iterable[str], limit: int) -> None:
        for name in names:
            state = self._files.get(name)
            if (
                state is not None
                and stat.S_ISREG(state[0])
                and state[2] <= limit
                and not name.startswith(sys.base_prefix)
            ):
                digest = _digest(name)
                # Changed since: these are not the contents that were collected.
                if _state(name) == state:
                    self._hashes[name] = digest

    def project_files(self) -> list[str]:
        """Files that were read so far and belong neither to Python nor to an installed distribution."""
        foreign = (*_foreign(), *_VIRTUAL)
        files = {*self._opened, *_files_of(module for _, module in _modules())}
        return sorted(name for name in files if not name.startswith(foreign) and not name.endswith(_SUFFIXES_IGNORED))

    def states(self) -> Iterator[tuple[str, FileState | None]]:
        """Every file that was read or looked for so far, as it was then; for `--watch`."""
        for name, state in (self._files if self._is_taken else self._opened).items():
            if name not in self._written:
                yield name, self._opened.get(name, state) if self.effects is not None else state
        for name in self._glances.missing():
            yield name, None

    def latest(self, names: Iterable[str]) -> list[str]:
        """Those of these files that were read, the ones that were changed last first."""
        known = [(max(state[3], state[4]), name) for name in names if (state := self._files.get(name)) is not None]
        return [name for _, name in sorted(known, reverse=True)]

    def text(self, name: str) -> bytes | None:
        """What a file says, if that is what it said when it was collected."""
        try:
            with open(name, "rb") as file:
                found = file.read()
        except OSError:
            return None
        return found if self.is_unchanged(name) else None

    def is_unchanged(self, name: str) -> bool:
        """Whether a file is in the state in which it was collected."""
        return name in self._files and _state(name) == self._files[name]

    def folders(self) -> list[str]:
        """Every folder that was listed so far."""
        return list(self._listed)

    def _pytest_cache(self, config: pytest.Config) -> set[str]:
        """Files of pytest's cache that it reads and rewrites in every run, unless this selection was made from them, or somebody else has read them."""
        cache: Any = getattr(config, "cache", None)
        if cache is None or reads_cache(config):
            return set()
        return {os.path.join(cache._cachedir, "v", "cache", name) for name in CACHE_FILES} - self._cache_read

    def changed(self, editable: Container[str] = ()) -> str | None:
        """Why the session can't be used again, or ``None``.

        Files that are ``editable`` may have other contents: :attr:`edited` says afterwards which have.
        """
        self.edited.clear()
        if self.effects is not None:
            return self.effects
        path, directory = self._cwd
        if directory is None or _identity(path) != directory or _identity(".") != directory:
            return f"{path} is another directory now"
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
                if stat.S_ISREG(now[0]) and name in editable and name not in self._texts:
                    self.edited.add(name)
                    continue
                return f"{name} changed"
            self._files[name] = now
            self.updates += 1
        for name, (state, listing) in self._directories.items():
            now = _state(name)
            if now == state:
                continue
            if _listing(name) != listing:
                return f"the entries of {name} changed"
            self._directories[name] = (now, listing)
            self.updates += 1
        return self._glances.changed() or self._byte_code.changed(self.edited)


def _modules() -> list[tuple[str, ModuleType]]:
    return list(sys.modules.items())


def _files_of(modules: Iterable[ModuleType]) -> Iterator[str]:
    """Where modules lie: of one with cached byte code, or of a library, that is not what was opened."""
    for module in modules:
        name = getattr(module, "__file__", None)
        if isinstance(name, str):
            yield os.path.abspath(name)


def _foreign() -> tuple[str, str]:
    """Where neither sources of the project lie, nor folders that it looks into."""
    return sys.prefix + os.sep, sys.base_prefix + os.sep


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _digest(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return hashlib.blake2b(file.read(), digest_size=16).digest()
    except OSError:
        return b""


def _listing(name: str) -> bytes:
    try:
        with os.scandir(name) as entries:
            names = sorted(
                f"{entry.name}\0{entry.is_dir()}"
                for entry in entries
                if entry.name not in IGNORED_NAMES and not entry.name.endswith(_SUFFIXES_IGNORED)
            )
    except OSError:
        return b""
    return hashlib.blake2b("\n".join(names).encode("utf-8", "surrogateescape"), digest_size=16).digest()
