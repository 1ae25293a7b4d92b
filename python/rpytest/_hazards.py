"""What a set-up left in its process that a fork can't share: found by looking before and after."""

from __future__ import annotations

import builtins
import contextlib
import os
import re
import select
import signal
import socket
import stat
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from rpytest import _frozen, _inspection, _process, _wire

_WRITABLE = os.O_WRONLY | os.O_RDWR

#: Anonymous inodes whose events would go to whoever of the workers asks first.
_EVENTS = {
    "[eventpoll]": "an event loop",
    "[io_uring]": "an io_uring",
    "inotify": "an inotify watch",
    "[signalfd]": "a signalfd",
    "[timerfd]": "a timerfd",
    "[eventfd]": "an eventfd",
}
#: Hundredths of a second that an ended thread may take to disappear.
_PATIENCE = 25

_GPUS = ("/dev/nvidia", "/dev/kfd", "/dev/dri/")
#: Devices that have no state of their own.
_STATELESS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
#: Libraries whose threads survive a fork: they are started anew when they are needed.
_BLAS = ("openblas", "libmkl", "libblis")
#: Libraries whose threads don't.
_OPENMP = ("libgomp", "libiomp", "libomp")


#: What the host does its own work with, while workers run. The modules themselves: some libraries replace what their names stand for.
_TOOLS: tuple[tuple[ModuleType, tuple[str, ...]], ...] = (
    (builtins, ("open",)),
    (
        os,
        (
            "close",
            "dup",
            "dup2",
            "fork",
            "fstat",
            "getpid",
            "getppid",
            "kill",
            "listdir",
            "lseek",
            "memfd_create",
            "open",
            "pidfd_open",
            "pipe",
            "pipe2",
            "pread",
            "read",
            "readlink",
            "stat",
            "unlink",
            "waitid",
            "waitpid",
            "write",
        ),
    ),
    (select, ("poll",)),
    (signal, ("getsignal", "signal")),
)
_NAMES = ("open", "os", "select", "signal")


def _tools() -> dict[str, object]:
    """What they are now, and what this module means by them: who replaces them where they are imported does so here, too."""
    found = {f"{module.__name__}.{name}": getattr(module, name, None) for module, names in _TOOLS for name in names}
    meant = globals()
    found.update((f"{tool} in {__name__}", meant[tool]) for tool in _NAMES if tool in meant)
    return found


class Snapshot:
    """What is there now."""

    def __init__(self) -> None:
        self.tools = _tools()
        self.threads = {id(thread): thread for thread in threading.enumerate()}
        self.tasks = _tasks()
        self.files = {fd: _identity(fd) for fd in _descriptors()}
        self.memory = _shared_memory()
        self.timers = _inspection.interval_timers()
        self.interrupt = signal.getsignal(signal.SIGINT)
        self.objects = _delicate_objects()
        _frozen.counting.add(self)

    def returned(self, back: bool) -> None:
        """See :class:`rpytest._frozen.Counting`: what comes back was there before."""
        for kind, count in _delicate_objects().items():
            self.objects[kind] = self.objects.get(kind, 0) + (count if back else -count)

    def hazard(self) -> str | None:
        """What has come since that must not be inherited, in words that follow "its set-up"."""
        # Before anything else: nothing can be looked at without them.
        now = _tools()
        for name, tool in self.tools.items():
            if now.get(name, tool) is not tool:
                return f"replaced `{name.partition(' ')[0].removeprefix('builtins.')}`"
        for thread in threading.enumerate():
            if id(thread) not in self.threads and thread.is_alive():
                return f"started a thread: {thread.name}"
        native = self._native_threads()
        if native is not None:
            return native
        files = [fd for fd in _descriptors() if self.files.get(fd) != _identity(fd)]
        ours = _descriptors_of_multiprocessing()
        delicate = _delicate_objects()
        for kind in ("sqlite connection", "multiprocessing primitive"):
            if delicate.get(kind, 0) > self.objects.get(kind, 0):
                return f"left a {kind}"
        for fd in files:
            found = None if fd in ours else _describe(fd)
            if found is not None:
                return f"left {found}"
        if not _shared_memory() <= self.memory:
            return "left shared memory that can be written to"
        if _inspection.interval_timers() - self.timers:
            return "left an interval timer running"
        if signal.getsignal(signal.SIGINT) != self.interrupt:
            # The host's and the workers' are ours.
            return "set a handler of SIGINT"
        return None

    def readers(self) -> list[int]:
        """Regular files that have been opened for reading since."""
        return [fd for fd in _descriptors() if self.files.get(fd) != _identity(fd) and _is_reader(fd)]

    def _native_threads(self) -> str | None:
        """A thread that Python doesn't know."""
        known = {thread.native_id for thread in threading.enumerate()}
        # One that was joined may be about to leave.
        for _ in range(_PATIENCE):
            new = _tasks() - self.tasks - known
            if not new:
                return None
            _process.pause(0.01)
        own = _name_of(os.getpid())
        names = {_name_of(task) for task in new} - {""}
        named = sorted(names - {own})
        if named:
            return f"started a thread: {named[0]}"
        libraries = _mapped_libraries()
        if not names or (any(name in libraries for name in _BLAS) and not any(name in libraries for name in _OPENMP)):
            return None
        return "started a thread of a library's"


def _tasks() -> set[int]:
    with contextlib.suppress(OSError):
        return set(map(int, os.listdir("/proc/self/task")))
    return set()


def _name_of(task: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/comm") as file:
        return file.read().strip()
    return ""


def _mapped_libraries() -> str:
    with contextlib.suppress(OSError), open("/proc/self/maps") as file:
        return file.read()
    return ""


def _descriptors() -> list[int]:
    with contextlib.suppress(OSError):
        return [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]
    return []


def _identity(fd: int) -> tuple[int, int, str] | None:
    with contextlib.suppress(OSError):
        status = os.fstat(fd)
        return status.st_dev, status.st_ino, _name(os.readlink(f"/proc/self/fd/{fd}"))
    return None


def _name(target: str) -> str:
    """The name of a file; that it has been unlinked since (as our segment is when everybody has mapped it) makes it no other one."""
    return target.removesuffix(" (deleted)")


def _flags(fd: int) -> int:
    with contextlib.suppress(OSError, ValueError), open(f"/proc/self/fdinfo/{fd}") as file:
        for line in file:
            if line.startswith("flags:"):
                return int(line.split()[1], 8)
    return 0


def _is_reader(fd: int) -> bool:
    with contextlib.suppress(OSError):
        return stat.S_ISREG(os.fstat(fd).st_mode) and not _flags(fd) & _WRITABLE
    return False


def _describe(fd: int) -> str | None:
    """What is delicate about an open file."""
    try:
        mode = os.fstat(fd).st_mode
        target = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        # Of the list of descriptors itself.
        return None
    if stat.S_ISSOCK(mode):
        return _describe_socket(fd)
    if stat.S_ISFIFO(mode):
        return "a pipe to write to" if _flags(fd) & _WRITABLE else None
    if target.startswith("anon_inode:"):
        return _EVENTS.get(target.removeprefix("anon_inode:"))
    if target.startswith(_GPUS):
        return "a GPU in use"
    writable = bool(_flags(fd) & _WRITABLE)
    if stat.S_ISCHR(mode):
        return f"a device open: {target}" if writable and target not in _STATELESS else None
    if stat.S_ISREG(mode) and writable and not target.startswith("/memfd:rpytest-"):
        return f"a file open for writing: {os.path.basename(_name(target))}"
    return None


def _describe_socket(fd: int) -> str | None:
    # Not by the class of that name: a project may have put another one in its place.
    with contextlib.suppress(OSError), _wire.adopt(os.dup(fd)) as sock:
        with contextlib.suppress(OSError):
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return None
        with contextlib.suppress(OSError):
            sock.getpeername()
            return "a connected socket"
        # One that is connected later, by one of the workers, would be connected for all.
        return "a socket that is not connected yet" if sock.type == socket.SOCK_STREAM else "a datagram socket"
    return None


#: Lines of `/proc/self/maps`: address, permissions, …
_SHARED = re.compile(r"^\S+ rw.s .*$", re.M)


def _shared_memory() -> set[str]:
    """Mappings that forks share and can write to; ours are those of the run."""
    found = set()
    with contextlib.suppress(OSError), open("/proc/self/maps") as file:
        # There are hundreds of others.
        for line in _SHARED.findall(file.read()):
            fields = line.split(None, 5)
            path = _name(fields[5].strip()) if len(fields) > 5 else ""
            if not path.startswith(("/dev/shm/rpytest-", "/memfd:rpytest-", "/dev/shm/sem.")):
                found.add(f"{fields[0]} {path}")
    return found


def _delicate_objects() -> dict[str, int]:
    """How many objects there are of kinds that show nowhere else. What is frozen was there before and is not looked at, until somebody asks for it (:meth:`Snapshot.returned`)."""
    kinds: list[tuple[str, Callable[[object], bool]]] = []
    sqlite: Any = sys.modules.get("sqlite3")
    if sqlite is not None:
        connection = sqlite.Connection
        kinds.append(("sqlite connection", lambda candidate: issubclass(type(candidate), connection)))
    synchronize: Any = sys.modules.get("multiprocessing.synchronize")
    if synchronize is not None:
        semaphore = synchronize.SemLock
        kinds.append(("multiprocessing primitive", lambda candidate: issubclass(type(candidate), semaphore)))
    counts: dict[str, int] = {}
    if kinds:
        for candidate in _frozen.get_objects():
            for name, belongs in kinds:
                with contextlib.suppress(Exception):
                    if belongs(candidate):
                        counts[name] = counts.get(name, 0) + 1
    return counts


def _descriptors_of_multiprocessing() -> set[int]:
    """Pipes by which a parent and its child notice each other's end."""
    found: set[int] = set()
    process: Any = sys.modules.get("multiprocessing.process")
    for child in getattr(process, "_children", ()):
        finalizer = getattr(getattr(child, "_popen", None), "finalizer", None)
        # `util.close_fds`, with the descriptors as arguments.
        arguments = getattr(finalizer, "_args", None) or ()
        for value in arguments[0] if arguments and isinstance(arguments[0], tuple) else arguments:
            if isinstance(value, int):
                found.add(value)
    tracker: Any = sys.modules.get("multiprocessing.resource_tracker")
    server: Any = sys.modules.get("multiprocessing.forkserver")
    for value in (
        getattr(getattr(tracker, "_resource_tracker", None), "_fd", None),
        getattr(getattr(server, "_forkserver", None), "_forkserver_alive_fd", None),
    ):
        if isinstance(value, int):
            found.add(value)
    loky: Any = sys.modules.get("joblib.externals.loky.backend.resource_tracker")
    value = getattr(getattr(loky, "_resource_tracker", None), "_fd", None)
    if isinstance(value, int):
        found.add(value)
    return found


def reopen(fds: list[int]) -> None:
    """Give this process a position of its own in files that are read."""
    for fd in fds:
        with contextlib.suppress(OSError):
            position = os.lseek(fd, 0, os.SEEK_CUR)
            fresh = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
            os.lseek(fresh, position, os.SEEK_SET)
            os.dup2(fresh, fd, inheritable=os.get_inheritable(fd))
            os.close(fresh)
