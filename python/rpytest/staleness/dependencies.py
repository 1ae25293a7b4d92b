"""Whether a collected session may be used again: nothing that it read has changed.

Observed, not guessed: `staleness.observer` says what was read while pytest configured and
collected. Here is the state in which it was, and whether it still is.
"""

from __future__ import annotations

import fnmatch
import itertools
import stat
import sys
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rpytest import stdlib
from rpytest.process import takeover
from rpytest.project import file_states
from rpytest.project.file_states import (
    ALL,
    IGNORED_NAMES,
    MODULES,
    MOST,
    PREFIX_IGNORED,
    SOME,
    VIRTUAL,
    YOUNG,
    FileState,
    FolderListing,
)
from rpytest.project.locations import ALL_VARIABLES
from rpytest.pytest_compat.cache_plugins import CACHE_FILES, reads_cache
from rpytest.pytest_compat.hooks import third_party_hooks
from rpytest.staleness import per_run
from rpytest.staleness.installation import startup_files
from rpytest.staleness.observer import Observer
from rpytest.stdlib import os

__builtins__ = stdlib.BUILTINS


#: Files that pytest and Python look for in every directory on the way; absence is a dependency,
#: too.
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
#: Hooks that are called with each file or folder that pytest has found.
_ASKED_FOR_NAMES = ("pytest_collect_file", "pytest_collect_directory", "pytest_ignore_collect")
#: What pytest knows a virtual environment by, which it does not look into.
_ENVIRONMENT = (("pyvenv.cfg",), ("conda-meta", "history"))
#: Larger files are compared by their stat alone.
_HASH_LIMIT = 8 << 20
#: The same for data files while the run waits.
_DATA_LIMIT = 1 << 20
#: Suffixes of what is no data.
_CODE = (".py", ".pyc", ".so")


class Dependencies:
    """The files and directories that a session was made from."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """``environment`` is that of the command line."""
        self.observer = Observer()
        self._environment = environment or {}
        #: Variables that were looked at, of those that are no part of what makes two runs the same
        #: session; or `ALL_VARIABLES`.
        self.variables: set[str] = set()
        self._complete = False
        #: Why this can't be used again.
        self.effects: str | None = None
        self._files: dict[str, FileState | None] = {}
        #: Modules whose files are among these, by what `id` says of them.
        self._known: dict[str, int] = {}
        #: How many files had been opened, and modules imported, when the state of all was taken.
        self._taken = (0, -1)
        self._is_taken = False
        #: Files of pytest's cache whose state was not taken then.
        self._ignored: set[str] = set()
        self._hashes: dict[str, bytes] = {}
        self._cwd: tuple[str, tuple[int, int] | None] = ("", None)
        #: Folders, and which of the names in them count.
        self._directories: dict[str, tuple[FolderListing, int]] = {}
        #: What `changed` has found to have other contents, and may have.
        self.edited: set[str] = set()
        #: How often something had another state and was found to be the same: forks from before
        #: don't know of it.
        self.updates = 0

    def inherit(self, other: Dependencies) -> None:
        """Depend on all that the process has read that this one was forked from, which has just
        found it unchanged.

        Its tables become this process's own, as they are. Looking at each entry would copy the
        memory that all forks share, and the states are those that count: what is changed from now
        on has another one.
        """
        self.observer.inherit(other.observer)
        self._files, self._directories, self._known = other._files, other._directories, other._known
        self._confirm_folders()
        self._taken = (len(self.observer.opened), -1)

    def begin_again(self, environment: Mapping[str, str], began_ns: int) -> None:
        """Observe what a fork does: what both were made from has just been found unchanged.

        ``environment`` is that of its command line; ``began_ns`` is the time before which that was
        found.
        """
        self._environment = environment
        self.observer.started_ns = began_ns
        self.effects = None
        self._complete = False
        self._confirm_folders()
        self.observer.start()

    def _confirm_folders(self) -> None:
        """The folders on `sys.path` have just been looked at."""
        for folder in map(os.path.abspath, sys.path):
            if folder in self._directories:
                self.observer.given[folder] = self._directories[folder][0]

    def record_state(
        self, modules: Mapping[str, ModuleType], files: Iterable[str], folders: Iterable[str]
    ) -> None:
        """Take the state of ``modules``, ``files``, everything that was opened and ``folders``: of
        a process that has no session.
        """
        for name in {*_files_of(modules.values()), *files, *self.observer.opened}:
            self._take_file(name)
        self._known = {name: id(module) for name, module in modules.items()}
        for name in {*folders, *self.observer.listed}:
            self._take_directory(name, SOME)
        self.observer.byte_code.snapshot(())
        self.observer.byte_code.for_children(_foreign())
        self._find_changes(self._files)
        self._cwd = (os.getcwd(), _identity(os.getcwd()))

    def _take_file(self, name: str) -> None:
        if not name.startswith(VIRTUAL):
            self._files[name] = file_states.state(name)

    def _take_directory(self, name: str, kind: int) -> None:
        """Depend on what was in a folder when somebody was told first: what came later was not
        seen.
        """
        # How much of the folder was told; the finders of the import system were told long ago.
        known = self.observer.told.get(name, MODULES)
        kind = max(kind, known)
        if known == SOME:
            # pytest makes tests of what it knows by its suffix; hooks of others may want more.
            known = kind if kind != SOME else MODULES
        told = self.observer.listed.get(name) or self.observer.given.get(name)
        found = told if told is not None and _is(told.state, name) else file_states.listing(name)
        if (
            told is not None
            and found.names[known] != told.names[known]
            and not self.observer.stat_observer.is_own(name)
        ):
            self.effects = self.effects or f"the entries of {name} changed during collection"
        self._directories[name] = (found, kind)

    def _find_changes(self, names: Iterable[str]) -> None:
        """What changed while it may have been read is unknown, except by collection itself."""
        for name in names:
            state = self._files[name]
            new = (
                state is not None
                and stat.S_ISREG(state[0])
                and max(state[3], state[4]) >= self.observer.started_ns
            )
            if name in self.observer.overwritten:
                changed = file_states.digest(name) != self.observer.overwritten[name]
            else:
                changed = (
                    new or self.observer.opened.get(name, state) != state
                ) and name not in self.observer.written
            if changed:
                self.effects = self.effects or f"{name} changed during collection"
        changed_name = (
            self.observer.changed or self.observer.stat_observer.first_changed_while_collecting()
        )
        if changed_name is not None:
            self.effects = self.effects or f"{changed_name} changed during collection"

    def snapshot(self, config: pytest.Config, session: pytest.Session) -> None:
        """Take the state of everything that was seen, right after collection; once more when hooks
        have had their say about the tests.
        """
        was_opened, was_imported = self._taken
        # Only what is new is looked at: to look at the rest would copy memory that forks share.
        opened = set(
            itertools.islice(reversed(self.observer.opened), len(self.observer.opened) - was_opened)
        )
        files = opened | self._ignored
        if self.observer.imported != was_imported:
            files.update(
                _files_of(
                    module for name, module in _modules() if self._known.get(name) != id(module)
                )
            )
        self._taken, self._is_taken = (len(self.observer.opened), self.observer.imported), True
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
        # Tests may write their data anew, with the same contents, before there is time for the
        # rest.
        foreign = _foreign()
        data = (
            name for name in opened if not name.endswith(_CODE) and not name.startswith(foreign)
        )
        self._hash(data, _DATA_LIMIT)
        kind = MOST if _shows_all_names(config) else SOME
        for name in folders | self.observer.listed.keys():
            known = self._directories.get(name)
            if known is not None and self.observer.told.get(name, -1) <= known[1]:
                # Nobody has asked for more of the folder since its state was taken.
                continue
            # The project itself may have such a name.
            if (
                name in folders
                or name in roots
                or not os.path.basename(name).startswith(PREFIX_IGNORED)
            ):
                self._take_directory(name, kind)
        self._take_made(roots)
        self.observer.byte_code.snapshot(_foreign())
        self._find_changes({*fresh, *opened, *self.observer.overwritten} & self._files.keys())
        self.observer.stat_observer.forget_known(self._is_listed)
        self.observer.per_run = self.observer.per_run or per_run.reason(config)
        # What has to happen in every run says more than what it has left behind.
        self.effects = self.observer.per_run or self.effects
        self._cwd = (os.getcwd(), _identity(os.getcwd()))

    def _take_made(self, roots: Container[str]) -> None:
        """What the project has made or removed meanwhile is to be as it has left it: a fresh
        collection would do it once more.
        """
        stat_observer = self.observer.stat_observer
        for name in stat_observer.made:
            state = file_states.state(name)
            if state is None or stat.S_ISREG(state[0]):
                self._files[name] = state
            elif file_states.is_folder(state):
                self._directories[name] = (file_states.listing(name), ALL)
        # Elsewhere it is a log, of which nobody takes notice.
        appended = {
            name: size for name, size in stat_observer.appended.items() if _is_below(name, roots)
        }
        for name, size in appended.items():
            state = file_states.state(name)
            if (-1 if state is None else state[2]) != size:
                self.effects = self.effects or f"collection has written more into {name}"
        stat_observer.depend_on(appended)
        stat_observer.made.clear()
        stat_observer.appended.clear()

    def _is_listed(self, name: str) -> bool:
        """Whether it is noticed in the listing of its folder, or by its own state, if something
        comes to be there or goes.
        """
        folder, base = os.path.split(name)
        if name in self._files:
            return True
        return folder in self.observer.listed and (
            self.observer.told[folder] == ALL or file_states.is_ordinary(base)
        )

    def _looks_for_environments(self) -> Iterator[str]:
        """Files that make a folder that was not looked into a virtual environment, or the other way
        round.
        """
        for folder in list(self.observer.listed):
            if folder.startswith(_foreign()):
                continue
            try:
                with os.scandir(folder) as entries:
                    names = [
                        entry.path
                        for entry in entries
                        if entry.name not in IGNORED_NAMES and entry.is_dir()
                    ]
            except OSError:
                continue
            for name in names:
                if name not in self.observer.listed:
                    yield from (os.path.join(name, *parts) for parts in _ENVIRONMENT)

    def hash_files(self) -> None:
        """Remember the contents, so that a new time stamp alone changes nothing; once, any time
        after :meth:`snapshot`.
        """
        if self._complete:
            return
        self._complete = True
        doubtful = self.observer.byte_code.doubtful_sources()
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
                digest = file_states.digest(name)
                # Changed since: these are not the contents that were collected.
                if file_states.state(name) == state:
                    self._hashes[name] = digest

    def project_files(self) -> list[str]:
        """Files that were read so far and belong neither to Python nor to an installed
        distribution.
        """
        foreign = (*_foreign(), *VIRTUAL)
        files = {*self.observer.opened, *_files_of(module for _, module in _modules())}
        return sorted(name for name in files if not name.startswith(foreign))

    def states(self) -> Iterator[tuple[str, FileState | None]]:
        """Every file that was read or looked for so far, as it was then; for `--watch`."""
        for name, state in (self._files if self._is_taken else self.observer.opened).items():
            if name not in self.observer.written:
                yield (
                    name,
                    self.observer.opened.get(name, state) if self.effects is not None else state,
                )
        for name in self.observer.stat_observer.missing():
            yield name, None

    def latest(self, names: Iterable[str]) -> list[str]:
        """Which of these files were read, the ones that were changed last first."""
        known = [
            (max(state[3], state[4]), name)
            for name in names
            if (state := self._files.get(name)) is not None
        ]
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
        return name in self._files and file_states.state(name) == self._files[name]

    def folders(self) -> list[str]:
        """Every folder that was listed so far."""
        return list(self.observer.listed)

    def _pytest_cache(self, config: pytest.Config) -> set[str]:
        """Files of pytest's cache that it reads and rewrites in every run, unless this selection
        was made from them, or somebody else has read them.
        """
        cache: Any = getattr(config, "cache", None)
        if cache is None or reads_cache(config):
            return set()
        return {
            os.path.join(cache._cachedir, "v", "cache", name) for name in CACHE_FILES
        } - self.observer.cache_read

    def other_variable(self, environment: Mapping[str, str]) -> str | None:
        """A variable in words that counts as noise, was looked at, and has another value in
        ``environment``; or `None`.
        """
        if not self.variables:
            return None
        for name in (
            takeover.NOISE if ALL_VARIABLES in self.variables else takeover.NOISE & self.variables
        ):
            if self._environment.get(name) != environment.get(name):
                return f"${name} is another one"
        return None

    def changed(self, editable: Container[str] = ()) -> str | None:
        """Why the session can't be used again, or ``None``.

        Files that are ``editable`` may have other contents: :attr:`edited` says afterwards which
        have.
        """
        self.edited.clear()
        if self.effects is not None:
            return self.effects
        path, directory = self._cwd
        if directory is None or _identity(path) != directory or _identity(".") != directory:
            return f"{path} is another directory now"
        for name, state in self._files.items():
            now = file_states.state(name)
            if now == state:
                continue
            if now is None:
                return f"{name} is gone"
            if state is None:
                return f"{name} is new"
            digest = self._hashes.get(name)
            if digest is None or not stat.S_ISREG(now[0]) or file_states.digest(name) != digest:
                if stat.S_ISREG(now[0]) and name in editable and name not in self.observer.texts:
                    self.edited.add(name)
                    continue
                return f"{name} changed"
            self._files[name] = now
            self.updates += 1
        for name, (listing, kind) in self._directories.items():
            if _is(listing.state, name):
                continue
            found = file_states.listing(name)
            if found.names[kind] != listing.names[kind] or not found.is_folder:
                return f"the entries of {name} changed"
            self._directories[name] = (found, kind)
            self.updates += 1
        return self.observer.stat_observer.changed() or self.observer.byte_code.changed(self.edited)


def _is(known: FileState | None, name: str) -> bool:
    """Whether a folder is in a state that is known."""
    return known is not YOUNG and file_states.state(name) == known


def _is_below(name: str, folders: Container[str]) -> bool:
    return any(str(parent) in folders for parent in Path(name).parents)


def _shows_all_names(config: pytest.Config) -> bool:
    """Whether somebody else than pytest hears of each file and folder while tests are collected, or
    pytest of more than usual.
    """
    option = config.option
    if getattr(option, "doctestglob", None) or any(
        third_party_hooks(config, hook) for hook in _ASKED_FOR_NAMES
    ):
        return True
    patterns = config.getini("norecursedirs")
    folders = (name for name in IGNORED_NAMES if name != "__pycache__")
    return not all(any(fnmatch.fnmatch(name, pattern) for pattern in patterns) for name in folders)


def _modules() -> list[tuple[str, ModuleType]]:
    return list(sys.modules.items())


def _files_of(modules: Iterable[ModuleType]) -> Iterator[str]:
    """Where modules lie: of one with cached byte code, or of a library, that is not what was
    opened.
    """
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
