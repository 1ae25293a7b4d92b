"""The daemon's preloads: processes with the packages of a project imported, which fork sessions in
the daemon's place.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from rpytest.daemon.entries import Environment, base_key
from rpytest.ipc import channel
from rpytest.ipc.process_messages import (
    ConfiguredForked,
    Ended,
    Forked,
    ForkSession,
    Learned,
    Over,
    ProcessEvent,
    Ready,
    ReadyToFork,
    Spoiled,
    Stale,
)
from rpytest.ipc.run_messages import PreloadStatus, RunRequest
from rpytest.preload.import_steps import LEFT_OUT
from rpytest.process.inspection import memory_kb

#: More preloads than this, and the least recently used one goes.
MAX_PRELOADS = 3

#: How often one is begun anew because something in it could not be preloaded.
_ATTEMPTS = 8

#: Milliseconds that a preload may take to fork a session; it looks at its files before.
_PATIENCE = 10_000


@dataclass
class PreloadEntry:
    """A preload as the daemon sees it."""

    key: str
    pid: int
    pidfd: int
    control: socket.socket
    request: RunRequest
    learned: Learned
    failed: dict[str, str]
    attempts: int
    #: `None`: it is configured, and has it.
    environment: Environment | None = None
    since: float = field(default_factory=time.time)
    used: float = field(default_factory=time.monotonic)
    is_ready: bool = False
    packages: list[str] = field(default_factory=list)
    modules: int = 0
    #: The key that a run must share with it; `None`: it is a preload, and not configured.
    base: str | None = None
    #: Configured: it was forked from a session that had a preload.
    is_preloaded: bool = False

    def memory_kb(self) -> int:
        """What it has in use, in KiB."""
        return memory_kb(self.pid)

    def status(self) -> PreloadStatus:
        """The process as `--daemon-status` shows it."""
        return PreloadStatus(
            pid=self.pid,
            cwd=self.request.cwd,
            packages=self.packages,
            modules=self.modules,
            ready=self.is_ready,
            since=self.since,
            memory_kb=self.memory_kb(),
            left_out=self.left_out(),
        )

    @property
    def kind(self) -> str:
        """What it is called in the log."""
        return "preload" if self.base is None else "configured process"

    def left_out(self) -> dict[str, str]:
        """What could not be preloaded and why, without what only depends on it."""
        return {
            name: reason
            for name, reason in sorted(self.failed.items())
            if not reason.endswith(LEFT_OUT)
        }


def surroundings_key(request: RunRequest) -> str:
    """What packages may look at while they are imported: directory, environment and the like, but
    no arguments.
    """
    rest = [request.umask, request.cpus, request.cwd_on_path, request.prog]
    return json.dumps([request.cwd, request.env_key, rest])


class Preloads:
    """All preloads of a daemon."""

    def __init__(
        self, fork: Callable[[Callable[[], object]], int], log: Callable[[str], None]
    ) -> None:
        """``fork`` runs its argument in a fork of the daemon and returns the process id."""
        self._fork = fork
        self._log = log
        self.processes: dict[int, PreloadEntry] = {}
        #: Runs whose sessions do without: what they do does not go with a preload.
        self._without: set[str] = set()
        #: Wait statuses of sessions that were forked from a preload.
        self._ended: dict[int, int] = {}

    def learn(self, request: RunRequest, environment: Environment, learned: Learned) -> None:
        """A session has imported packages that no preload holds: make one that does."""
        if not request.preload:
            return
        key = surroundings_key(request)
        modules = learned.modules
        tried = set(learned.tried)
        failed: dict[str, str] = {}
        for process in self._preloads(key):
            known = process.learned.modules
            if modules.keys() <= known.keys():
                return
            # Modules that a session does not ask for stay hidden and do no harm, and another part
            # of the suite may need them again.
            modules = {**known, **modules}
            tried |= set(process.learned.tried)
            failed |= process.failed
            if not process.is_ready:
                self._drop(process)
        self._make(
            key,
            request,
            environment,
            Learned(modules=modules, tried=sorted(tried - modules.keys()), root=learned.root),
            failed,
            0,
        )

    def _make(
        self,
        key: str,
        request: RunRequest,
        environment: Environment,
        learned: Learned,
        failed: dict[str, str],
        attempts: int,
    ) -> None:
        ours, theirs = channel.pair()
        # The fork lets go of all environments.
        fd = os.dup(environment.fd)

        def main() -> None:
            ours.close()
            from rpytest.preload.process import preload_main
            from rpytest.session.session import session_main

            preload_main(
                theirs,
                request.replace(env=channel.read_environment(fd)),
                learned,
                failed,
                session_main,
            )

        try:
            pid = self._fork(main)
        except OSError as error:
            self._log(f"no preload: {error.strerror}")
            ours.close()
            return
        finally:
            theirs.close()
            os.close(fd)
        process = PreloadEntry(
            key, pid, os.pidfd_open(pid), ours, request, learned, failed, attempts, environment
        )
        self.processes[ours.fileno()] = process

    def add_configured(self, request: RunRequest, message: ConfiguredForked, fd: int) -> None:
        """A session has left a process behind that is configured as itself, and has collected
        nothing.
        """
        control = channel.adopt(fd)
        control.set_inheritable(False)
        process = PreloadEntry(
            surroundings_key(request),
            0,
            -1,
            control,
            request,
            Learned(modules={}, tried=[], root=message.root),
            {},
            0,
            base=base_key(request),
            is_preloaded=message.preloaded,
        )
        self.processes[fd] = process

    def read(self, process: PreloadEntry) -> None:
        """Called when the process has said something, or is gone."""
        try:
            message, fds = channel.receive(process.control, ProcessEvent)
            if isinstance(message, ReadyToFork):
                process.pid, process.pidfd, process.is_ready = message.pid, fds[0], True
                self._make_room()
                return
            channel.close_all(fds)
        except (channel.Closed, OSError, ValueError):
            self._drop(process)
            return
        self._heard(process, message)

    def _heard(self, process: PreloadEntry, message: ProcessEvent) -> None:
        match message:
            case Ready():
                process.is_ready = True
                process.packages = message.packages
                process.modules = message.modules
                process.failed = message.failed
                for other in self._preloads(process.key):
                    if other is not process and other.is_ready:
                        self._drop(other)
                self._log(f"preload {process.pid} has {process.modules} modules")
                for name, reason in process.left_out().items():
                    self._log(f"preload {process.pid} is without `{name}`, which {reason}")
                self._make_room()
            case Spoiled(failed=failed):
                self._drop(process)
                if process.attempts < _ATTEMPTS:
                    self._make_again(process, failed, process.attempts + 1)
                else:
                    self._log(f"no preload: {failed}")
            case Ended():
                self._ended[message.pid] = message.status

    def session(
        self, request: RunRequest, theirs: socket.socket, unsuited: Collection[int] = ()
    ) -> tuple[int, int, socket.socket] | None:
        """Let a process fork a session that waits at the other end of ``theirs``; its process id,
        pidfd, and who will reap it.

        It is a configured one, if there is one that is not known to be ``unsuited``, else a
        preload.
        """
        if not request.preload or self._run_key(request) in self._without:
            return None
        while True:
            process = self._configured(request, unsuited) or self._preload(
                surroundings_key(request)
            )
            if process is None:
                return None
            forked = self._fork_from(process, theirs)
            if forked is not None:
                return forked

    def _preloads(self, key: str) -> list[PreloadEntry]:
        return [
            process
            for process in self.processes.values()
            if process.key == key and process.base is None
        ]

    def _preload(self, key: str) -> PreloadEntry | None:
        return next((process for process in self._preloads(key) if process.is_ready), None)

    def _configured(self, request: RunRequest, unsuited: Collection[int]) -> PreloadEntry | None:
        """The newest one that may do; without the installed packages it is of less use than a
        preload.
        """
        base = base_key(request)
        has_preload = self._preload(surroundings_key(request)) is not None
        fitting = [
            process
            for process in self.processes.values()
            if process.base == base
            and process.is_ready
            and process.control.fileno() not in unsuited
            and (process.is_preloaded or not has_preload)
        ]
        return max(fitting, key=lambda process: process.since, default=None)

    def _fork_from(
        self, process: PreloadEntry, theirs: socket.socket
    ) -> tuple[int, int, socket.socket] | None:
        process.used = time.monotonic()
        try:
            channel.send(process.control, ForkSession(), [theirs.fileno()])
            while _readable(process.control, _PATIENCE):
                message, fds = channel.receive(process.control, ProcessEvent)
                if isinstance(message, Forked):
                    return message.pid, fds[0], process.control
                channel.close_all(fds)
                if isinstance(message, Stale):
                    self._log(f"{process.kind} {process.pid} is not used again: {message.reason}")
                    self._drop(process)
                    return None
                self._heard(process, message)
            self._log(f"{process.kind} {process.pid} does not answer")
        except (channel.Closed, OSError, ValueError, IndexError):
            self._log(f"{process.kind} {process.pid} is gone")
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)
        self._drop(process)
        return None

    def refused(self, request: RunRequest, message: Over) -> None:
        """A session found that it can't use its preload: leave out what was in the way."""
        key = surroundings_key(request)
        reason, names = message.reason, message.names
        self._log(f"a session does without its preload: {reason}")
        if not names:
            self._without.add(self._run_key(request))
            return
        for process in [
            each for each in self.processes.values() if each.key == key and each.base is not None
        ]:
            # A configured process has inherited what the preload has.
            self._drop(process)
        for process in self._preloads(key):
            self._drop(process)
            first, *others = names
            failed = {
                **process.failed,
                **dict.fromkeys(others, f"would come after `{first}`, {LEFT_OUT}"),
                first: reason,
            }
            self._make_again(process, failed, 0)

    def _make_again(self, process: PreloadEntry, failed: dict[str, str], attempts: int) -> None:
        if process.environment is not None:
            self._make(
                process.key, process.request, process.environment, process.learned, failed, attempts
            )

    @staticmethod
    def _run_key(request: RunRequest) -> str:
        return json.dumps([surroundings_key(request), request.argv])

    def status_of(self, pid: int, reaper: socket.socket) -> int | None:
        """The wait status of a session, once its preload has told; ``reaper`` is what `session`
        returned.
        """
        process = self.processes.get(reaper.fileno())
        if process is not None and pid not in self._ended and _readable(reaper, 0):
            self.read(process)
        return self._ended.pop(pid, None)

    def forget(self, pid: int) -> None:
        """The session is not of interest any more."""
        self._ended.pop(pid, None)

    def _make_room(self) -> None:
        for is_preload in (True, False):
            found = [
                process
                for process in self.processes.values()
                if (process.base is None) == is_preload
            ]
            by_use = sorted(found, key=lambda process: process.used)
            for process in by_use[: max(0, len(by_use) - MAX_PRELOADS)]:
                self.drop(process, f"more than {MAX_PRELOADS} are there")

    def drop(self, process: PreloadEntry, reason: str) -> None:
        """Let one go."""
        self._log(f"{process.kind} {process.pid} goes: {reason}")
        self._drop(process)

    def _drop(self, process: PreloadEntry) -> None:
        self.processes.pop(process.control.fileno(), None)
        process.control.close()
        if not process.is_ready and process.base is None:
            # The preload may be in the middle of a long import; no session depends on it yet.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)
        if process.pidfd >= 0:
            os.close(process.pidfd)

    def close(self) -> None:
        """Let go of all: they end when their sessions have."""
        for process in list(self.processes.values()):
            self._drop(process)

    def close_in_child(self) -> None:
        """Let go of the processes in a fork of the daemon, which has only inherited them."""
        for process in self.processes.values():
            process.control.close()
            if process.pidfd >= 0:
                os.close(process.pidfd)
        self.processes.clear()


def _readable(sock: socket.socket, milliseconds: int) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(milliseconds))
