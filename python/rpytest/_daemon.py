"""The daemon: a warm, single-threaded interpreter with pytest imported. It forks sessions and never runs a test itself."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from rpytest import __version__, _process, _wire
from rpytest._layers import Preloads, Process
from rpytest._warm import (
    FileTimes,
    Pending,
    Warm,
    base_key,
    default_memory_limit,
    file_times,
    has_news,
    hung_up,
    memory_kb,
    refuse,
    session_key,
    signal_name,
    startup_files,
)
from rpytest._wire import Message

#: More warm sessions than this, and the least recently used one goes.
MAX_SESSIONS = 8

#: The same for trunks, each of which is kept beside the session that it was forked from.
MAX_TRUNKS = 4

#: Inherited descriptors are looked for up to this number.
_MOST_DESCRIPTORS = 1 << 16

#: Seconds that a session may take to end once it has closed its connection; a core dump takes longer.
_LAST_MOMENTS = 2.0

#: What a session dies of when its command line is interrupted before pytest can deal with that.
_BY_COMMAND_LINE = ("was killed by SIGINT", "was killed by SIGTERM", "was killed by SIGHUP")

#: Seconds between two looks at how much memory is in use.
_MEASURED_EVERY = 2.0

#: Bytes; a longer log is begun anew.
_LOG_LIMIT = 1 << 20

_CREDENTIALS = struct.Struct("3i")


class Daemon:
    """Accepts connections and hands runs to sessions."""

    def __init__(self, listener: socket.socket | None, path: str | None, idle: float) -> None:
        self.listener = listener
        self.path = path
        self.idle = idle
        self.started = time.time()
        self.last_use = time.monotonic()
        self.waiting: dict[int, socket.socket] = {}
        self.sessions: dict[int, Warm] = {}
        self.last_reason: str | None = None
        #: Why sessions can't be forked into workers, and the state of the files that this was seen with.
        self.bare: dict[str, tuple[Message, FileTimes]] = {}
        #: Wait statuses of sessions that have been reaped and not yet been missed.
        self.ended: dict[int, int] = {}
        self.preloads = Preloads(self._fork, log)
        #: MiB, by the latest run's configuration.
        self.memory_limit = default_memory_limit()
        self._measured = -_MEASURED_EVERY
        self._has_grown = False
        self.stopping = False
        self.runs = 0
        #: The program that started this daemon; another one gets a daemon of its own.
        self.build = __version__
        #: The state of the modules that every fork inherits: pytest, its plugins of its own, rpytest.
        self.modules = file_times(
            sorted({str(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))})
        )
        #: The state of what the interpreter has read at its start: path files of site-packages above all.
        self.startup = file_times(startup_files())

    # The loop

    def serve(self, first: socket.socket) -> None:
        """Serve until told to stop, or idle for too long; without a listener, until the first run has ended."""
        self.waiting[first.fileno()] = first
        while not self.stopping:
            if self.listener is None and not self.waiting and not self.sessions:
                return
            poll = select.poll()
            for fd in [*self.waiting, *self.sessions, *self.preloads.processes]:
                poll.register(fd, select.POLLIN)
            for pending in self._unaccepted():
                # Whatever it says is for the session; that it is gone is reported without being asked for.
                poll.register(pending.conn, 0)
            if self.listener is not None:
                poll.register(self.listener, select.POLLIN)
            for fd, _ in poll.poll(1000):
                if self.listener is not None and fd == self.listener.fileno():
                    self._accept(self.listener)
                elif fd in self.waiting:
                    self._request(self.waiting.pop(fd))
                elif fd in self.sessions and has_news(self.sessions[fd].control):
                    # Looked at again, as what was dealt with before may have read it, or closed it and opened another by its number.
                    self._hear(self.sessions[fd])
                elif fd in self.preloads.processes and has_news(self.preloads.processes[fd].control):
                    self.preloads.hear(self.preloads.processes[fd])
                    self._has_grown = True
            self._look_after_pending()
            self._reap()
            self._shrink()
            if self._idle_for() > self.idle or self._replaced():
                return

    def _idle_for(self) -> float:
        if any(warm.pending or not warm.info for warm in self.sessions.values()):
            self.last_use = time.monotonic()
        return time.monotonic() - self.last_use

    def _replaced(self) -> bool:
        """Whether nobody can reach this daemon: the socket's name is gone or another daemon's, or the environment was deleted or moved."""
        if self.listener is None:
            return False
        return not self.owns_socket() or _inode(sys.prefix) != self._prefix_inode

    def owns_socket(self) -> bool:
        """Whether the socket's name still stands for this daemon."""
        return self.path is not None and _inode(self.path) == self._socket_inode

    def listen_inode(self) -> None:
        """Remember which file the socket's name stands for, and which folder the environment is."""
        assert self.path is not None
        self._socket_inode, self._prefix_inode = _inode(self.path), _inode(sys.prefix)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            conn, _ = listener.accept()
            _pid, uid, _gid = _CREDENTIALS.unpack(
                conn.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            if uid != os.getuid():
                conn.close()
                return
            self.waiting[conn.fileno()] = conn

    def _unaccepted(self) -> list[Pending]:
        return [pending for warm in self.sessions.values() for pending in warm.pending if not pending.gone]

    def _look_after_pending(self) -> None:
        """End sessions that collect for nobody: a command line that was killed takes with it what it started."""
        for pending in self._unaccepted():
            pending.gone = hung_up(pending.conn)
        for warm in list(self.sessions.values()):
            # Warm, it only has to take note; not heard yet, it may have taken the run already.
            if (
                warm.pending
                and not warm.info
                and all(pending.gone for pending in warm.pending)
                and not has_news(warm.control)
            ):
                log(f"session {warm.pid} is killed: the command line that it collected for is gone")
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(warm.pidfd, signal.SIGKILL)
                for pending in warm.pending:
                    pending.close()
                warm.pending = []
                self._forget(warm)

    def _reap(self) -> None:
        sessions = {warm.pid for warm in self.sessions.values()}
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid in sessions:
                    self.ended[pid] = status

    # Requests

    def _request(self, conn: socket.socket) -> None:
        self.last_use = time.monotonic()
        try:
            message, fds = _wire.receive(conn)
        except (_wire.Closed, ValueError, OSError):
            conn.close()
            return
        try:
            self._dispatch(message, conn, fds)
        except (_wire.Closed, KeyError, TypeError, ValueError) as error:
            log(f"a request could not be served: {error!r}")
            _wire.close_all(fds)
            conn.close()
        except OSError as error:
            # No process could be forked: the next request may find more room.
            log(f"a request could not be served: {error!r}")
            refuse(
                conn,
                f"the daemon can't start a session: {error.strerror}",
                "there may be too many processes, or too little memory",
            )
            _wire.close_all(fds)
            conn.close()

    def _dispatch(self, message: Message, conn: socket.socket, fds: list[int]) -> None:
        operation = message["op"]
        if operation == "stop":
            self.stopping = True
            _wire.send(conn, {"stopped": True})
            conn.close()
        elif operation == "status":
            _wire.send(conn, self._status())
            conn.close()
        elif message["protocol"] != _wire.PROTOCOL or message["build"] != self.build:
            self._resign(conn, fds, f"this daemon is rpytest {self.build}, protocol {_wire.PROTOCOL}")
        elif operation == "run":
            self.runs += 1
            self._run(Pending(message, conn, fds, self.runs))
        else:
            raise ValueError(f"unknown request {operation!r}")

    def _resign(self, conn: socket.socket, fds: list[int], reason: str) -> None:
        """Ask the command line to start a daemon of its own in the place of this one."""
        log(f"to be replaced: {reason}")
        _wire.close_all(fds)
        with contextlib.suppress(_wire.Closed):
            _wire.send(conn, {"ev": "replace", "reason": reason})
        conn.close()

    def _run(self, pending: Pending) -> None:
        key = session_key(pending.request)
        self.memory_limit = pending.request.get("memory_limit") or default_memory_limit()
        warm = next((warm for warm in self.sessions.values() if warm.key == key), None)
        if warm is not None:
            # It finds out by itself whether anything it was made from has changed.
            self._hand_over(warm, pending)
            return
        warm = self._trunk(pending)
        if warm is not None:
            self._hand_over(warm, pending)
            return
        if self.listener is not None:
            if self.modules != file_times(self.modules):
                self._resign(pending.conn, pending.fds, "pytest or rpytest was installed anew")
                return
            if self.startup != file_times(startup_files()):
                self._resign(pending.conn, pending.fds, "a path file (`.pth`) of the environment changed")
                return
        if key in self.bare:
            known, times = self.bare[key]
            if times == file_times(times):
                self._start_bare(pending, known)
                return
            # What was in the way may be gone.
            del self.bare[key]
        self._start(key, pending)

    def _hand_over(self, warm: Warm, pending: Pending) -> None:
        warm.pending.append(pending)
        warm.used = time.monotonic()
        # A broken session is noticed as an end of file, and the run goes to a fresh one.
        with contextlib.suppress(_wire.Closed):
            _wire.send(warm.control, {**pending.request, "run": pending.number}, [pending.conn.fileno(), *pending.fds])

    def _trunk(self, pending: Pending) -> Warm | None:
        """A trunk that may serve the run: the one with most tests, of equal ones the newest."""
        base = base_key(pending.request)
        trunks = [
            warm
            for warm in self.sessions.values()
            if warm.is_trunk and warm.base == base and warm.number not in pending.declined
        ]
        return max(trunks, key=lambda warm: (warm.info.get("tests", 0), warm.since), default=None)

    def _plant(self, warm: Warm, message: Message, fds: list[int]) -> None:
        """A session has forked a trunk."""
        (fd,) = fds
        control = _wire.adopt(fd)
        control.set_inheritable(False)
        self.runs += 1
        self.sessions[fd] = Warm(
            f"trunk {self.runs}",
            0,
            -1,
            control,
            time.time(),
            None,
            info=message,
            used=time.monotonic(),
            cwd=warm.cwd,
            args=warm.args,
            is_trunk=True,
            base=warm.base,
            number=self.runs,
            source=warm.pid,
        )

    def _fork(self, main: Callable[[], object], but: Pending | None = None) -> int:
        """Run ``main`` in a fork that lets go of everything that belongs to the daemon or to other runs than ``but``."""
        pid = _process.fork()
        if pid == 0:
            with _last_resort():
                self._enter_child(but)
                main()
        return pid

    def _start(self, key: str, pending: Pending, preloaded: bool = True) -> None:
        self._make_room()
        request = pending.request
        ours, theirs = _wire.pair()
        reaper = None
        forked = self.preloads.session(request, theirs) if preloaded else None
        if forked is not None:
            pid, pidfd, reaper = forked
            with contextlib.suppress(_wire.Closed):
                _wire.send(ours, request, [pending.conn.fileno(), *pending.fds])
        else:

            def main() -> None:
                from rpytest._session import session_main

                ours.close()
                session_main(theirs, pending.conn, request, pending.fds, self.listener is not None)

            pid = self._fork(main, but=pending)
            pidfd = os.pidfd_open(pid)
        theirs.close()
        self.sessions[ours.fileno()] = Warm(
            key,
            pid,
            pidfd,
            ours,
            time.time(),
            pending,
            [pending],
            used=time.monotonic(),
            cwd=request["cwd"],
            args=request["argv"],
            reaper=reaper,
            base=base_key(request),
        )

    def _start_bare(self, pending: Pending, known: Message) -> None:
        def main() -> None:
            from rpytest._bare import bare_main

            bare_main(pending.conn, pending.request, pending.fds, known)

        self._fork(main, but=pending)
        pending.close()

    def _enter_child(self, but: Pending | None) -> None:
        self.preloads.leave()
        if self.listener is not None:
            self.listener.close()
        for warm in self.sessions.values():
            warm.control.close()
            if warm.pidfd >= 0:
                os.close(warm.pidfd)
            for pending in warm.pending:
                if pending is not but:
                    pending.close()
        for conn in self.waiting.values():
            conn.close()
        self.sessions.clear()

    def _idle_sessions(self) -> list[Warm]:
        """The least recently used first."""
        idle = [warm for warm in self.sessions.values() if warm.info and not warm.pending and not warm.is_over]
        return sorted(idle, key=lambda warm: warm.used)

    def _make_room(self) -> None:
        for warm in self._idle_sessions():
            if not os.path.isdir(warm.cwd):
                log(f"session {warm.pid} goes: {warm.cwd} is gone")
                self._forget(warm)
        for process in list(self.preloads.processes.values()):
            if not os.path.isdir(process.request["cwd"]):
                self.preloads.drop(process, f"{process.request['cwd']} is gone")
        idle = self._idle_sessions()
        for is_trunk, most in ((False, MAX_SESSIONS), (True, MAX_TRUNKS)):
            kept = sum(warm.is_trunk == is_trunk and not warm.is_over for warm in self.sessions.values())
            for warm in [warm for warm in idle if warm.is_trunk == is_trunk][: max(0, kept - most + 1)]:
                log(f"{'trunk' if is_trunk else 'session'} {warm.pid} goes: more than {most} are warm")
                self._forget(warm)

    def _shrink(self) -> None:
        """Let go of what was used least recently until the rest is within the limit; one that is at work ends when it is done."""
        if not self._has_grown or time.monotonic() < self._measured + _MEASURED_EVERY:
            return
        self._measured, self._has_grown = time.monotonic(), False
        everything: list[Warm | Process] = [*self.sessions.values(), *self._preloads()]
        sizes = {process.pid: process.memory_kb() for process in everything}
        total = sum(sizes.values()) + memory_kb(os.getpid())
        idle: list[Warm | Process] = [*self._idle_sessions(), *self._preloads()]
        for kept in sorted(idle, key=lambda kept: kept.used):
            if total <= self.memory_limit << 10:
                return
            total -= sizes[kept.pid]
            reason = f"more than {self.memory_limit} MiB are in use"
            if isinstance(kept, Warm):
                log(f"session {kept.pid} goes: {reason}")
                self._forget(kept)
                self.last_reason = f"it was let go, as {reason} (`memory_limit`)"
            else:
                self.preloads.drop(kept, reason)

    def _preloads(self) -> list[Process]:
        return [process for process in self.preloads.processes.values() if process.is_ready]

    # Sessions

    def _hear(self, warm: Warm) -> None:
        self.last_use = time.monotonic()
        try:
            message, fds = _wire.receive(warm.control)
        except (_wire.Closed, OSError, ValueError):
            self._lost(warm)
            return
        if message.get("ev") == "trunk":
            self._plant(warm, message, fds)
            return
        if warm.is_trunk:
            self._hear_trunk(warm, message, fds)
            return
        _wire.close_all(fds)
        match message.get("ev"):
            case "accepted" | "done":
                if warm.pending:
                    warm.pending.pop(0).close()
            case "info":
                # A run has begun, in the process that waited for it if there was one.
                warm.info, warm.spare = message, 0
                if self.listener is None:
                    # One run only: the session ends when its host has.
                    self._forget(warm)
                self._has_grown = True
            case "spare":
                warm.spare = int(message["pid"])
                self._has_grown = True
            case "plain":
                # pytest itself, for one run only; whoever waits for a session gets another one.
                waiting, warm.pending = warm.pending[1:], warm.pending[:1]
                warm.key = f"plain {warm.pid}"
                for run in waiting:
                    self._run(run)
            case "stale":
                self.last_reason = message["reason"]
                log(f"session {warm.pid} is not reused: {self.last_reason}")
                self._restart(warm, message.get("learns", False))
            case "learned":
                if self.listener is not None and warm.first is not None:
                    self.preloads.learn(warm.first.request, message)
            case "over":
                pending, warm.pending = warm.pending, []
                self._forget(warm)
                pending += self._fell_trunks(warm)
                for run in pending[:1]:
                    self._start(warm.key, run, preloaded=False)
                for run in pending[1:]:
                    self._run(run)
                if warm.first is not None:
                    self.preloads.refused(warm.first.request, message)
            case "bare":
                reason = message["reason"]
                log(f"session {warm.pid} can't be forked: {reason}")
                pending, warm.pending = warm.pending, []
                self._forget(warm)
                # What is in the way came when tests were selected, as it would in every run.
                pending += self._fell_trunks(warm)
                if reason != "asked for":
                    self.bare[warm.key] = (message, file_times(message["files"]))
                for run in pending:
                    self._start_bare(run, message)

    def _fell_trunks(self, warm: Warm) -> list[Pending]:
        """Let the trunks of a session go; returns the runs that wait for them."""
        pending = []
        for trunk in [other for other in self.sessions.values() if other.source == warm.pid and other.is_trunk]:
            pending += trunk.pending
            trunk.pending = []
            self._forget(trunk)
        return pending

    def _hear_trunk(self, warm: Warm, message: Message, fds: list[int]) -> None:
        run = next((pending for pending in warm.pending if pending.number == message.get("run")), None)
        match message.get("ev"):
            case "info":
                warm.info, warm.pid = message, int(message["pid"])
                (warm.pidfd,) = fds
                return
            case "spare":
                warm.spare = int(message["pid"])
                self._has_grown = True
            case "accepted" if run is not None:
                warm.spare = 0
                warm.pending.remove(run)
                run.close()
            case "declined" if run is not None:
                warm.pending.remove(run)
                run.declined.add(warm.number)
                self.last_reason = message["reason"]
                log(f"trunk {warm.pid} does not serve `{' '.join(run.request['argv'])}`: {self.last_reason}")
                if message.get("edited"):
                    # After this edit it is of no use.
                    self._fell(warm)
                self._run(run)
            case "stale":
                self.last_reason = message["reason"]
                log(f"trunk {warm.pid} is not reused: {self.last_reason}")
                self._fell(warm)
        _wire.close_all(fds)

    def _fell(self, trunk: Warm) -> None:
        """Let a trunk go that has found something changed."""
        for source in self._idle_sessions():
            # It was made from the same files, and would find the same.
            if source.pid == trunk.source:
                self._forget(source)
        self._restart(trunk)

    def _restart(self, warm: Warm, has_more_to_say: bool = False) -> None:
        pending, warm.pending = warm.pending, []
        if has_more_to_say:
            # It ends when its run has.
            warm.key, warm.is_over = f"over {warm.pid}", True
        else:
            self._forget(warm)
        for run in pending:
            self._run(run)

    def _lost(self, warm: Warm) -> None:
        if warm.info and warm.pending:
            # It was warm and died before it took the run: a fresh one takes it.
            self.last_reason = "the session's process died"
            self._restart(warm)
            return
        # It died while it collected. Who only waited for it gets one that is not to blame.
        collected_for = [pending for pending in warm.pending if pending is warm.first]
        waiting = [pending for pending in warm.pending if pending is not warm.first]
        warm.pending = []
        cause = self._cause_of_death(warm.pid, warm.reaper) if collected_for else ""
        self._forget(warm)
        for pending in collected_for:
            log(f"session {warm.pid} {cause} while it collected")
            if cause in _BY_COMMAND_LINE:
                # It has passed a signal on, and knows what it means when the connection ends.
                pending.close()
                continue
            hint = "`rpytest -n 0` runs pytest itself; look for `os._exit` or a crash in what is imported last"
            refuse(pending.conn, f"the process that collects the tests {cause} before it was done", hint)
            pending.close()
        for pending in waiting:
            self._run(pending)

    def _cause_of_death(self, pid: int, reaper: socket.socket | None) -> str:
        deadline = time.monotonic() + _LAST_MOMENTS
        while pid not in self.ended and time.monotonic() < deadline:
            if reaper is not None:
                found_status = self.preloads.status_of(pid, reaper)
                if found_status is not None:
                    self.ended[pid] = found_status
                    break
                time.sleep(0.005)
                continue
            with contextlib.suppress(ChildProcessError):
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    self.ended[pid] = status
                    break
            time.sleep(0.005)
        status = self.ended.pop(pid, -1)
        if status == -1:
            return "closed its connection"
        if os.WIFSIGNALED(status):
            return f"was killed by {signal_name(os.WTERMSIG(status))}"
        return f"ended with status {os.WEXITSTATUS(status)}"

    def _forget(self, warm: Warm) -> None:
        self.sessions.pop(warm.control.fileno(), None)
        self.ended.pop(warm.pid, None)
        self.preloads.forget(warm.pid)
        warm.control.close()
        if warm.pidfd >= 0:
            os.close(warm.pidfd)

    def _status(self) -> Message:
        return {
            "pid": os.getpid(),
            "protocol": _wire.PROTOCOL,
            "build": __version__,
            "python": sys.version.split()[0],
            "pytest": _pytest_version(),
            "started": self.started,
            "idle_timeout": self.idle,
            "memory_kb": memory_kb(os.getpid()),
            "memory_limit": self.memory_limit,
            "sessions": [warm.status() for warm in self.sessions.values() if not warm.is_trunk and not warm.is_over],
            "trunks": [warm.status() for warm in self.sessions.values() if warm.is_trunk],
            "preloads": [process.status() for process in self.preloads.processes.values()],
            "last_reason": self.last_reason,
        }


@contextlib.contextmanager
def _last_resort() -> Iterator[None]:
    """Around all that a fork does: whatever escapes from it must not run the end of the daemon, whose socket it would remove."""
    try:
        yield
    except _wire.Closed:
        # Nobody is there any more to be told anything.
        pass
    except BaseException:
        import traceback

        with contextlib.suppress(BaseException):
            log(traceback.format_exc())
    _process.leave(3)


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def _pytest_version() -> str:
    import pytest

    return pytest.__version__


def log(text: str) -> None:
    """Write a line to the daemon's log (its standard error)."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    with contextlib.suppress(OSError, ValueError):
        state = os.fstat(2)
        if stat.S_ISREG(state.st_mode) and state.st_size > _LOG_LIMIT:
            os.ftruncate(2, 0)
        os.write(2, f"{stamp} [{os.getpid()}] {text}\n".encode("utf-8", "backslashreplace"))


def _preload(conn: socket.socket) -> None:
    """Import pytest with its default plugins, so that no session has to; say so clearly when there is none."""
    import importlib

    wanted = "pytest"
    try:
        from _pytest import config

        for name in config.default_plugins:
            importlib.import_module(f"_pytest.{name}")
        wanted = "rpytest"
        for name in ("_native", "_session", "_trunk", "_host", "_worker", "_bare", "_preload"):
            importlib.import_module(f"rpytest.{name}")
    except ImportError as error:
        missing = error.name or str(error)
        text = f"error: `{missing}` can't be imported by {sys.executable}: {error}\n"
        if wanted == "pytest":
            text += f"hint: install pytest there: {sys.executable} -m pip install pytest\n"
        else:
            text += "hint: install rpytest into the environment whose Python runs the tests\n"
        with contextlib.suppress(_wire.Closed):
            # The run's request carries descriptors: take it, so that the answer is not lost with an unread socket.
            _, fds = _wire.receive(conn)
            _wire.close_all(fds)
            _wire.send(conn, {"ev": "exit", "status": 4, "out": "", "err": text})
        sys.exit(4)


def main() -> NoReturn:
    """Entry: ``--conn FD`` is the first client; ``--socket PATH`` is where others find this daemon."""
    parser = argparse.ArgumentParser(prog="rpytest-daemon")
    parser.add_argument("--conn", type=int, required=True)
    parser.add_argument("--socket")
    parser.add_argument("--build", default=__version__)
    parser.add_argument("--idle", type=float, default=900.0)
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    # What a shell or a CI runner leaves open must not be held open by a process that stays.
    os.closerange(3, options.conn)
    os.closerange(options.conn + 1, _MOST_DESCRIPTORS)
    conn = _wire.adopt(options.conn)
    conn.set_inheritable(False)
    if sys.path and sys.path[0] == "":
        # From `python -c`: the daemon has no directory of its own.
        del sys.path[0]
    _process.remember_exit_functions()
    _preload(conn)
    listener = None
    if options.socket and not options.once:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(options.socket)
        listener.bind(options.socket)
        os.chmod(options.socket, 0o600)
        listener.listen(64)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    daemon = Daemon(listener, options.socket if listener else None, options.idle)
    daemon.build = options.build
    if listener is not None:
        daemon.listen_inode()
    _process.freeze()
    try:
        daemon.serve(conn)
    finally:
        if listener is not None and daemon.owns_socket():
            with contextlib.suppress(OSError):
                os.unlink(options.socket)
        for warm in list(daemon.sessions.values()):
            warm.control.close()
        daemon.preloads.close()
    # For one run the command line waits for this process, and so for all below it.
    _wait_for_children(float("inf") if options.once else 5)
    sys.exit(0)


def _wait_for_children(seconds: float) -> None:
    """Sessions end when their control socket closes; give those that clean up this long, then go."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                time.sleep(0.01)
