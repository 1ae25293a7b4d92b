"""What an import must not do if it is to be preloaded: it is refused before it does so, by an audit
hook that raises.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from rpytest.process import lifecycle
from rpytest.project.locations import top_level
from rpytest.staleness.observer import STARTING, listed, opened

if TYPE_CHECKING:
    from rpytest.staleness.dependencies import Dependencies

#: Audit events that no import of a preloaded package may cause.
_REFUSED = {
    "os.fork": "starts a process",
    "os.forkpty": "starts a process",
    "os.exec": "starts a process",
    "os.system": "starts a process",
    "socket.connect": "connects a socket",
    "socket.sendto": "uses a socket",
    "socket.sendmsg": "uses a socket",
    "socket.getaddrinfo": "looks up a host",
    "socket.gethostbyname": "looks up a host",
    "os.chdir": "changes the directory",
    "os.remove": "removes a file",
    "os.rmdir": "removes a folder",
    "os.rename": "renames a file",
    "os.link": "makes a link",
    "os.symlink": "makes a link",
    "os.truncate": "changes a file",
    "os.chmod": "changes a file",
    "os.utime": "changes a file",
    "tempfile.mkstemp": "makes a temporary file",
    "tempfile.mkdtemp": "makes a temporary folder",
    "sqlite3.connect": "opens a database",
    "syslog.openlog": "opens the system's log",
    "sys.settrace": "traces",
    "sys.setprofile": "traces",
}


_register = os.register_at_fork


class NotPreloadable(BaseException):
    """An import can't be preloaded. Not an `Exception`: packages catch those of optional parts."""


class ImportGuard:
    """Watches over the imports of one process."""

    def __init__(
        self, dependencies: Dependencies, roots: tuple[str, ...], inside: tuple[str, ...]
    ) -> None:
        """``roots``: folders of the project; ``inside``: folders of installed modules, which may
        lie in it.
        """
        self._dependencies = dependencies
        self._roots = roots
        self._inside = inside
        #: An import is going on.
        self.is_on = False
        #: The first thing that was refused.
        self.objection: str | None = None
        self._replaced: list[tuple[ModuleType, str, Any]] = []

    def begin(self) -> None:
        """Be there from now on, and refuse as long as it is on."""
        sys.addaudithook(self._audit)
        # Some functions cause no audit event (of threads not before Python 3.12).
        ours = {
            (os, "register_at_fork"): self._register_at_fork,
            (warnings, "showwarning"): self._warned,
            **{
                (module, prefix + name): self._start_thread
                for module, prefix in ((threading, "_"), (_thread, ""))
                for name in ("start_new_thread", "start_joinable_thread")
            },
        }
        for (module, name), value in ours.items():
            if hasattr(module, name):
                self._replaced.append((module, name, getattr(module, name)))
                setattr(module, name, value)

    def end(self) -> None:
        """Put back what was replaced."""
        for module, name, value in self._replaced:
            setattr(module, name, value)
        self._replaced.clear()

    def spoiled(self, reason: str) -> NotPreloadable:
        """The exception to be raised when the import can't be kept."""
        # Remembered, in case that it is swallowed by an `except:`.
        self.objection = self.objection or reason
        return NotPreloadable(reason)

    def _warned(self, message: object, category: type[Warning], *_: object, **__: object) -> None:
        raise self.spoiled(f"warns: {category.__name__}: {message}")

    def _register_at_fork(self, **handlers: Any) -> None:
        module = str(sys._getframe(1).f_globals.get("__name__", ""))
        # A handler for children alone finds nothing to do there: a child has nothing of the package
        # yet.
        if top_level(module) not in sys.stdlib_module_names and handlers.keys() != {
            "after_in_child"
        }:
            raise self.spoiled("has handlers for forks")
        _register(**handlers)

    def _start_thread(self, *_: object, **__: object) -> NoReturn:
        raise self.spoiled("starts a thread")

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        if event == "open":
            file = opened(args)
            if file is not None:
                name, flags = file
                if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and name != os.devnull:
                    raise self.spoiled(f"writes {name}")
                if self._is_project(name):
                    raise self.spoiled(f"reads {name}")
        elif event in ("os.listdir", "os.scandir"):
            folder = listed(args)
            if folder is not None and self._is_project(folder):
                raise self.spoiled("looks into the project's folder")
        elif event == "os.mkdir":
            if not os.path.isdir(args[0]):
                raise self.spoiled(f"makes a folder ({os.fspath(args[0])!r})")
        elif event in STARTING:
            if not self._dependencies.observer.asks_the_system(args[1]):
                raise self.spoiled("starts a process")
        elif event in _REFUSED:
            if event == "os.fork" and lifecycle.is_own_fork():
                return
            raise self.spoiled(_REFUSED[event])

    def _is_project(self, path: str) -> bool:
        return (os.path.join(path, "")).startswith(self._roots) and not path.startswith(
            self._inside
        )
