"""What Python does while pytest configures and collects: every file that it opens, folder that it
lists and module that it imports.

An audit hook sees them. What is looked at without being opened is `staleness.stat_observer`; what
can't be seen (opens in C code) is listed in ``docs/staleness.md``.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from rpytest._native import call_soon
from rpytest.process import lifecycle, random_seeds
from rpytest.project import file_states, locations
from rpytest.project.callers import acts_for_project, is_for_python, is_of_project
from rpytest.project.file_states import ALL, MODULES, SOME, VIRTUAL, FileState, FolderListing
from rpytest.pytest_compat.cache_plugins import CACHE_FILES, is_read_by_pytest
from rpytest.staleness import per_run, stat_observer
from rpytest.staleness.bytecode import ByteCode, is_cached, source_of
from rpytest.staleness.stat_observer import StatObserver

_LOADER_CACHE = "/etc/ld.so.cache"
#: How often it is tried to follow a new connection: in the hook each call of a function may be
#: followed by some dozens of attempts.
_ATTEMPTS = 5000
#: A statement of SQL by which another database is opened, and its name in quotation marks.
_ATTACH = re.compile(
    r"""(?:\s|--[^\n]*\n|/\*.*?\*/)*ATTACH\b\s*(?:DATABASE\b\s*)?"""
    r"""(?P<name>'(?:[^']|'')*'|"(?:[^"]|"")*")?(?(name)\s*AS\b|)""",
    re.I | re.S,
)
#: Events that name a program and its arguments. From Python 3.13 on the former mostly comes with
#: the latter.
STARTING = ("subprocess.Popen", "os.posix_spawn")


def opened(args: tuple[Any, ...]) -> tuple[str, int] | None:
    """Absolute name and flags of an `open` event; `None`: what is opened is no name."""
    path, _, flags = args
    if not isinstance(path, (str, bytes)):
        return None
    return stat_observer.absolute(path, stat_observer.opening()), flags if isinstance(
        flags, int
    ) else 0


def listed(args: tuple[Any, ...]) -> str | None:
    """Absolute name of the folder of an `os.listdir` or `os.scandir` event, which may be an open
    one; `None`: it has no name.
    """
    path = "." if args[0] is None else args[0]
    if isinstance(path, int):
        return file_states.name_of(path)
    return os.path.abspath(os.fsdecode(path)) if isinstance(path, (str, bytes)) else None


class Observer:
    """What was opened, listed and imported, and how each was found."""

    def __init__(self) -> None:
        #: Each file with its state when it was opened first.
        self.opened: dict[str, FileState | None] = {}
        #: Entries of a directory when it was listed first, or first by somebody to whom more of the
        #: names count; and which these are.
        self.listed: dict[str, FolderListing] = {}
        self.told: dict[str, int] = {}
        #: Entries of the directories on `sys.path` in the beginning: Python's finders may know them
        #: from before.
        self.given: dict[str, FolderListing] = {}
        #: What was something else when it was looked at again.
        self.changed: str | None = None
        self.written: set[str] = set()
        #: Files of pytest's cache that a conftest or plugin has read.
        self.cache_read: set[str] = set()
        #: Modules in the order in which their imports began; those that could not be imported, too.
        self.imports: dict[str, None] = {}
        #: How many imports have begun.
        self.imported = 0
        #: The code of the project's modules by source file; `None` where a file was executed twice.
        self.codes: dict[str, CodeType | None] = {}
        #: Sources that somebody has opened to read them, and not to import or show them.
        self.texts: set[str] = set()
        #: Contents of files that were read and written, before they were written.
        self.overwritten: dict[str, bytes] = {}
        self.byte_code = ByteCode()
        self.stat_observer = StatObserver(self.written)
        #: What was done that has to happen in every run, if anything.
        self.per_run: str | None = None
        #: Told of what is about to be done that each worker may have to do for itself; it need not
        #: return.
        self.before_effect: Callable[[str, tuple[Any, ...]], None] | None = None
        #: When it began to observe, in nanoseconds since the epoch.
        self.started_ns = 0
        self._watching = False
        self._installed = False
        #: How names of files begin that are not the project's; what is made of a text has none, and
        #: whoever does that is known.
        self._no_project = (*locations.installed_folders(), "<")

    def start(self) -> None:
        """Start to observe. An audit hook can't be removed, only told to do nothing."""
        import time

        self.started_ns = self.started_ns or time.time_ns()
        for folder in sys.path:
            name = os.path.abspath(folder)
            if name not in self.listed and name not in self.given:
                self.given[name] = file_states.listing(name)
        self._watching = True
        if not self._installed:
            self._installed = True
            sys.addaudithook(self._audit)
        self.stat_observer.start()

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._watching:
            return
        if (
            self.before_effect is not None
            and event in per_run.STARTING_EVENTS
            and not lifecycle.is_own_fork()
            and not (event in STARTING and self.asks_the_system(args[1]))
        ):
            self.before_effect(event, args)
        if event == "open":
            file = opened(args)
            if file is not None:
                self._open(*file)
        elif event == "import":
            self.imported += 1
            self.imports.setdefault(args[0])
            if isinstance(args[1], str):
                # A library, which the loader of the system opens.
                self._see(os.path.abspath(args[1]))
        elif event == "ctypes.dlopen":
            if isinstance(args[0], (str, bytes)) and os.sep in os.fsdecode(args[0]):
                self._see(os.path.abspath(os.fsdecode(args[0])))
        elif event == "sqlite3.connect":
            self._open_database(args[0])
        elif event == "sqlite3.connect/handle":
            self._follow(args[0])
        elif event in ("os.listdir", "os.scandir"):
            name = listed(args)
            if name is not None and not name.startswith(VIRTUAL):
                with self.paused():
                    self._list(name, event)
        elif event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"):
            # Fails safe: whatever it printed or wrote may be part of what was collected.
            if not lifecycle.is_own_fork() and not (
                event in STARTING and self.asks_the_system(args[1])
            ):
                self.per_run = "collection started a process"
        elif event == "socket.connect":
            self.per_run = "collection connected a socket"
        elif event == "exec":
            self._execute(args[0])
        self.stat_observer.acted(event, args)
        if self.per_run is None and event in per_run.EVENTS:
            self.per_run = per_run.effect(event, args)

    def _list(self, name: str, event: str) -> None:
        who = sys._getframe(2)
        kind = (
            ALL
            if is_of_project(who)
            else MODULES
            if str(who.f_globals.get("__name__")).startswith("importlib")
            else SOME
        )
        before, known = self.listed.get(name), self.told.get(name, -1)
        if before is None or kind > known or file_states.state(name) != before.state:
            now = file_states.listing(name)
            same = ALL if known == ALL else MODULES
            if before is not None and now.names[same] != before.names[same]:
                self.changed = self.changed or name
            if kind > known:
                self.listed[name], self.told[name] = now, kind
        if kind == ALL and event == "os.scandir":
            self.stat_observer.scanned(name, who)

    def _see(self, name: str) -> None:
        """Note the state of a file that is about to be read, or that it has come since it was
        noted.
        """
        if name not in self.opened:
            self.opened[name] = file_states.state(name)
        elif (
            self.opened[name] is None
            and file_states.state(name) is not None
            and not self.stat_observer.is_own(name)
        ):
            self.changed = self.changed or name

    def _execute(self, code: object) -> None:
        if isinstance(code, CodeType) and code.co_name == "<module>":
            name = code.co_filename
            if not name.startswith("<"):
                # The source's byte code may have been read in its place, under a name that says
                # nothing about the source; and the module may be gone in the end.
                source = os.path.abspath(name)
                if source not in self.opened and (found := file_states.state(source)) is not None:
                    self.opened[source] = found
            if not name.startswith(self._no_project):
                random_seeds.note_seeds(code)
                self.codes[name] = None if name in self.codes else code

    def _open(self, name: str, flags: int) -> None:
        # Temporary and new files have nothing in them that was there before.
        if (
            not flags & (os.O_WRONLY | os.O_TRUNC | os.O_EXCL)
            and flags & os.O_TMPFILE != os.O_TMPFILE
        ):
            if is_cached(name):
                self.byte_code.opened(name)
            source = source_of(name)
            if source.endswith(".py") and not is_for_python(sys._getframe(2)):
                self.texts.add(source)
            if source not in self.opened:
                found = file_states.state(source)
                if (
                    found is None
                    or not stat.S_ISDIR(found[0])
                    or not self.stat_observer.is_own(source)
                ):
                    # A folder of this process's own is left out: `rmtree` opens what it removes.
                    self.opened[source] = found
            if name.endswith(CACHE_FILES) and not is_read_by_pytest(sys._getframe(2)):
                self.cache_read.add(name)
        if flags & (os.O_WRONLY | os.O_RDWR):
            if name in self.opened and name not in self.overwritten and name not in self.written:
                self._watching = False
                self.overwritten[name] = file_states.digest(name)
                self._watching = True
            if name not in self.written:
                if (
                    not is_cached(name)
                    and not name.startswith(VIRTUAL)
                    and acts_for_project(sys._getframe(2))
                ):
                    self.stat_observer.wrote(name, flags)
                self.written.add(name)

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
                self._see(os.path.abspath(name + suffix))

    def _follow(self, connection: Any) -> None:
        """``ATTACH`` opens more databases, without an event of its own. Who wants to trace the
        connection himself takes this one's place.
        """
        import sqlite3

        attempts = iter(range(_ATTEMPTS))

        def trace() -> None:
            try:
                sqlite3.Connection.set_trace_callback(connection, self._executes)
            except sqlite3.ProgrammingError:
                # The connection is not complete before this event's hook has returned; or it
                # belongs to another thread.
                if next(attempts, None) is None or not call_soon(trace):
                    self.per_run = (
                        self.per_run or "collection opened a database that can't be followed"
                    )

        trace()

    def _executes(self, statement: str) -> None:
        if not self._watching:
            return
        found = _ATTACH.match(statement)
        if found is not None:
            name = found["name"]
            if name is None:
                # An expression: only the library knows what it comes to.
                self.per_run = self.per_run or "collection attached a database"
            else:
                self._open_database(name.replace(name[:1] * 2, name[:1])[1:-1])

    def asks_the_system(self, command: object) -> bool:
        """Whether it is one of the programs that `ctypes.util.find_library` and `platform` ask
        about this system.
        """
        if not isinstance(command, (list, tuple)) or not command:
            return False
        name, *arguments = (os.fsdecode(word) for word in command)
        name = os.path.basename(name)
        if name == "ldconfig" and arguments == ["-p"]:
            # The program prints what is in this file.
            self.opened.setdefault(_LOADER_CACHE, file_states.state(_LOADER_CACHE))
            return True
        return name == "uname"

    def stop(self) -> None:
        """Collection is over; what this process opens from now on is its own business."""
        self._watching = False
        self.stat_observer.stop()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """While this process looks at itself."""
        before, self._watching = self._watching, False
        try:
            yield
        finally:
            self._watching = before

    def inherit(self, other: Observer) -> None:
        """What was seen in the process that this one was forked from.

        Its tables become this process's own, as they are: looking at each entry would copy the
        memory that all forks share.
        """
        self.opened, self.listed, self.told = other.opened, other.listed, other.told
        self.byte_code.inherit(other.byte_code)
        self.stat_observer.inherit(other.stat_observer)
        self.started_ns = other.started_ns
