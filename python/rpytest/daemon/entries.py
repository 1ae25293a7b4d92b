"""What the daemon knows about runs that wait and sessions that are warm."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import weakref
from dataclasses import dataclass, field
from typing import ClassVar

from rpytest.daemon.log import log
from rpytest.ipc import channel
from rpytest.ipc.process_messages import HandedOver, Info
from rpytest.ipc.run_messages import Replace, RunRequest, SessionStatus
from rpytest.process.inspection import memory_kb


class Environment:
    """The variables of a run, in a file in memory that the daemon does not read.

    The daemon's memory is in each session of each project: what it had read, a password of another
    project's run, would be, too.
    """

    _all: ClassVar[weakref.WeakSet[Environment]] = weakref.WeakSet()

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._all.add(self)

    @classmethod
    def close_in_child(cls, but: Environment | None) -> None:
        """Let go of all environments but one in a fork of the daemon."""
        for each in list(cls._all):
            if each is not but:
                each.close()

    def load(self) -> dict[str, str]:
        """The variables; called once, in a fork for a run of this environment."""
        fd, self.fd = self.fd, -1
        return channel.read_environment(fd)

    def close(self) -> None:
        """Let go of the file: this process does not need the variables."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    __del__ = close


@dataclass
class PendingRun:
    """A run that no session has accepted yet; the daemon keeps its descriptors so that it can pass
    them on.
    """

    request: RunRequest
    conn: socket.socket
    fds: list[int]
    environment: Environment
    #: Checkpoints that have declined it.
    declined: set[int] = field(default_factory=set)
    #: Configured processes, by descriptor, that can't fork a session for it.
    unsuited: set[int] = field(default_factory=set)
    #: Why it is collected afresh, although something was kept.
    reason: str | None = None
    #: The command line is no longer there.
    gone: bool = False
    #: `time.monotonic` when it came.
    since: float = field(default_factory=time.monotonic)
    #: A controller that was started for it by a session which could not serve it:
    #: `controller.client.ControllerClient.hand_over`.
    controller: tuple[HandedOver, list[int]] | None = None

    def keep(self, controller: HandedOver | None, fds: list[int]) -> None:
        """Whoever serves the run goes on with this controller."""
        self._let_controller_go()
        if controller is not None:
            self.controller = controller, fds

    def pass_on(self, sock: socket.socket, request: RunRequest, *more: int) -> None:
        """Send the run, as ``request``, to a process that may serve it, with ``more`` descriptors;
        raises `Closed`.
        """
        fds = [self.conn.fileno(), *self.fds, self.environment.fd]
        channel.send(sock, request.replace(env_at=len(fds) - 1), [*fds, *more])

    def complete(self, request: RunRequest) -> RunRequest:
        """``request`` with the environment; called in the fork of the daemon that serves it."""
        return request.replace(env=self.environment.load())

    def close(self) -> None:
        """Let go of the connection, of the run's streams and of its controller."""
        self.conn.close()
        channel.close_all(self.fds)
        self.fds = []
        self._let_controller_go()

    def _let_controller_go(self) -> None:
        if self.controller is not None:
            channel.close_all(self.controller[1])
            self.controller = None


@dataclass
class SessionEntry:
    """A session's process as the daemon sees it."""

    key: str
    pid: int
    pidfd: int
    control: socket.socket
    since: float
    #: The run that it was made for.
    first: PendingRun | None
    pending: list[PendingRun] = field(default_factory=list)
    #: The first of these, once it was passed on. The others stay here, so that a command that does
    #: not wait any longer is let go of.
    sent: PendingRun | None = None
    #: What it has said of itself; `None`: it collects.
    info: Info | None = None
    used: float = 0.0
    cwd: str = ""
    args: list[str] = field(default_factory=list)
    #: The preload that has forked it, which is told of its end; `None`: the daemon itself.
    reaper: socket.socket | None = None
    #: No run will follow, but it still has something to say.
    is_over: bool = False
    #: pytest itself runs there, without workers.
    is_plain: bool = False
    #: It is a checkpoint: it serves runs with other arguments, each by a fork from the moment
    #: before tests are selected.
    is_checkpoint: bool = False
    #: The key that runs must share for that.
    base: str = ""
    #: A checkpoint's number, and the process of the session that it was forked from.
    number: int = 0
    source: int = 0
    #: A process of it that waits for the next run.
    standby: int = 0
    #: How runs of a part of its tests are served, in words.
    parts: str = ""

    def memory_kb(self) -> int:
        """What its processes have in use, in KiB."""
        return memory_kb(self.pid) + (memory_kb(self.standby) if self.standby else 0)

    @property
    def tests(self) -> int:
        """How many it has collected."""
        return 0 if self.info is None else self.info.tests

    def status(self) -> SessionStatus:
        """The session as `--daemon-status` shows it."""
        info = self.info or Info(tests=0, root=self.cwd)
        return SessionStatus(
            pid=self.pid,
            root=info.root,
            args=self.args,
            tests=info.tests,
            since=self.since,
            runs=info.runs,
            memory_kb=self.memory_kb(),
            method=info.method,
            standby=self.standby,
            parts=self.parts,
        )


@dataclass
class Line:
    """What a run that was given to a checkpoint is decided by.

    The other end is the checkpoint's until it has forked a process for the run, and that process's
    then: it says `accepted` or `declined`. An end of file says that nobody has the run, whatever
    became of checkpoint and process.
    """

    sock: socket.socket
    pending: PendingRun
    checkpoint: SessionEntry
    #: The checkpoint's waiting process, which is used up if the run is accepted.
    standby: int


@dataclass
class Other:
    """A session that has become another program, and whose run that is."""

    pid: int
    pidfd: int
    pending: PendingRun
    reaper: socket.socket | None
    #: The program is Python again, and may run pytest: its exit status counts, whatever that is.
    is_python: bool


def session_key(request: RunRequest) -> str:
    """What makes two runs the same session: what :func:`base_key` says, the arguments, and how wide
    a terminal is.
    """
    return json.dumps([base_key(request), request.argv, request.tty and request.tty.wire()])


def base_key(request: RunRequest) -> str:
    """What two runs must have in common that use one collection: directory, environment, whether
    there is a terminal.
    """
    rest = [
        request.umask,
        request.cpus,
        request.default_workers,
        request.start_method,
        request.cwd_on_path,
        request.prog,
        request.preload,
    ]
    is_terminal = request.tty is not None and request.tty.stdout
    # JSON, and not lines: a line break in an argument or a variable must not look like two of them.
    return json.dumps([request.cwd, request.env_key, rest, is_terminal])


def default_memory_limit() -> int:
    """A quarter of the machine's memory, in MiB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (4 << 20)


def resign(conn: socket.socket, fds: list[int], reason: str) -> None:
    """Ask the command line to start a daemon of its own in the place of this one."""
    log(f"to be replaced: {reason}")
    channel.close_all(fds)
    with contextlib.suppress(channel.Closed):
        channel.send(conn, Replace(reason=reason))
    conn.close()
