"""Which session serves a run, and which sessions are let go."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable

from rpytest.daemon import eviction
from rpytest.daemon.entries import (
    Environment,
    Line,
    Other,
    PendingRun,
    SessionEntry,
    base_key,
    default_memory_limit,
    resign,
    session_key,
)
from rpytest.daemon.log import log
from rpytest.daemon.preloads import Preloads
from rpytest.daemon.reaper import Reaper
from rpytest.ipc import channel
from rpytest.ipc.channel import has_message, is_closed
from rpytest.ipc.message import Raw
from rpytest.ipc.process_messages import Bare
from rpytest.ipc.run_messages import RunRequest
from rpytest.process.inspection import is_stopped
from rpytest.staleness.installation import FileTimes, InstalledFiles, file_times

#: Checkpoints that are asked whether they serve a run.
_MOST_ASKED = 2

#: Seconds after which it is looked at whether the process that a run waits for stands still.
_STOPPED_AFTER = 2.0

#: Milliseconds that a process may take to end after SIGKILL.
_DEATH_MS = 1000

#: Seconds between two looks at how much memory is in use.
_MEASURED_EVERY = 2.0


class Assignment:
    """All sessions of a daemon, checkpoints among them, and the runs that wait for one."""

    def __init__(
        self,
        fork: Callable[[Callable[[], object], PendingRun | None], int],
        preloads: Preloads,
        is_kept: bool,
    ) -> None:
        """``fork`` runs its argument in a fork of the daemon, which keeps the descriptors of one
        run, and returns the process id.

        ``is_kept``: a session serves more than one run.
        """
        self._fork = fork
        self.preloads = preloads
        self.is_kept = is_kept
        #: Sessions and checkpoints, by the descriptor of their connections.
        self.entries: dict[int, SessionEntry] = {}
        #: Runs that checkpoints have, by the descriptor of their lines.
        self.lines: dict[int, Line] = {}
        #: Runs whose process has become another program, by its pidfd.
        self.others: dict[int, Other] = {}
        self.last_reason: str | None = None
        #: Why sessions can't be forked into workers, and the state of the files that this was seen
        #: with.
        self._bare: dict[str, tuple[Bare, FileTimes]] = {}
        self._reaper = Reaper(preloads.status_of)
        #: MiB, by the latest run's configuration.
        self.memory_limit = default_memory_limit()
        self._measured = -_MEASURED_EVERY
        #: Since the last look at how much memory is in use.
        self.has_grown = False
        self._numbers = 0
        self._parts = InstalledFiles()

    def is_busy(self) -> bool:
        """Whether a session collects, or a run waits."""
        return bool(self.lines or self.others) or any(
            entry.pending or entry.info is None for entry in self.entries.values()
        )

    def status(self) -> Raw:
        """The sessions as `--daemon-status` shows them: a part of `DaemonStatus`."""
        return {
            "memory_limit": self.memory_limit,
            "sessions": [
                entry.status()
                for entry in self.entries.values()
                if not entry.is_checkpoint and not entry.is_over
            ],
            "checkpoints": [
                entry.status() for entry in self.entries.values() if entry.is_checkpoint
            ],
            "preloads": [
                each.status() for each in self.preloads.processes.values() if each.base is None
            ],
            "configured": [
                each.status() for each in self.preloads.processes.values() if each.base is not None
            ],
            "last_reason": self.last_reason,
        }

    def close(self) -> None:
        """Let go of all sessions at the daemon's end: they end when nobody is connected to them."""
        for entry in list(self.entries.values()):
            entry.control.close()

    def close_in_child(self, but: PendingRun | None) -> None:
        """Let go of sessions and their runs in a fork of the daemon, except for the run ``but``."""
        for entry in self.entries.values():
            entry.control.close()
            if entry.pidfd >= 0:
                os.close(entry.pidfd)
            for pending in entry.pending:
                if pending is not but:
                    pending.close()
        for line in self.lines.values():
            line.sock.close()
            if line.pending is not but:
                line.pending.close()
        for other in self.others.values():
            os.close(other.pidfd)
            if other.pending is not but:
                other.pending.close()
        self.entries.clear()
        self.lines.clear()
        self.others.clear()

    # Runs

    def take(self, request: RunRequest, conn: socket.socket, fds: list[int]) -> None:
        """Give a new run to a session, or to workers without one."""
        if request.env_at is None or not 0 <= request.env_at < len(fds):
            raise ValueError("a run without its environment")
        environment = Environment(fds.pop(request.env_at))
        self._run(PendingRun(request.replace(env_at=None), conn, fds, environment))

    def _run(self, pending: PendingRun) -> None:
        key = session_key(pending.request)
        # No session or checkpoint goes on with a controller that another session has started.
        is_new = pending.controller is not None
        self.memory_limit = pending.request.memory_limit or default_memory_limit()
        entry = next((entry for entry in self.entries.values() if entry.key == key), None)
        if entry is not None and not is_new:
            # The session finds out by itself whether anything it was made from has changed.
            self._hand_over(entry, pending)
            return
        entry = None if is_new else self._checkpoint(pending)
        if entry is not None:
            self._hand_over(entry, pending)
            return
        if self.is_kept:
            reason = self._parts.changed()
            if reason is not None:
                resign(pending.conn, pending.fds, reason)
                return
        if key in self._bare:
            known, times = self._bare[key]
            if times == file_times(times):
                self._start_bare(pending, known)
                return
            # What was in the way may be gone.
            del self._bare[key]
        self._start(key, pending)

    def _hand_over(self, entry: SessionEntry, pending: PendingRun) -> None:
        entry.used = time.monotonic()
        if not entry.is_checkpoint:
            entry.pending.append(pending)
            self._pass_on(entry)
            return
        ours, theirs = channel.pair()
        self.lines[ours.fileno()] = Line(ours, pending, entry, entry.standby)
        # A broken checkpoint is noticed as the end of the line, and the run goes to a fresh
        # session.
        with contextlib.suppress(channel.Closed), theirs:
            pending.pass_on(entry.control, pending.request, theirs.fileno())

    def _pass_on(self, entry: SessionEntry) -> None:
        """Give a session its next run, once it has taken the one before."""
        if entry.sent is not None or not entry.pending:
            return
        run = entry.sent = entry.pending[0]
        # A broken session is noticed as an end of file, and the run goes to a fresh one.
        with contextlib.suppress(channel.Closed):
            run.pass_on(entry.control, run.request)

    def _checkpoint(self, pending: PendingRun) -> SessionEntry | None:
        """A checkpoint that may serve the run: the one with most tests, or else the one that was
        used last.

        To ask takes time; a session from a configured process takes not much more.
        """
        base = base_key(pending.request)
        checkpoints = [
            entry for entry in self.entries.values() if entry.is_checkpoint and entry.base == base
        ]
        if not checkpoints:
            return None
        largest = max(checkpoints, key=lambda entry: (entry.tests, entry.since))
        if largest.number not in pending.declined:
            return largest
        latest = max(checkpoints, key=lambda entry: (entry is not largest, entry.used))
        return (
            latest
            if latest.number not in pending.declined and len(pending.declined) < _MOST_ASKED
            else None
        )

    def _start(self, key: str, pending: PendingRun, preloaded: bool = True) -> None:
        self._make_room()
        request = pending.request
        ours, theirs = channel.pair()
        reaper = None
        if pending.reason is not None:
            request = request.replace(afresh=pending.reason)
        is_plain = preloaded and pending.controller is None
        forked = self.preloads.session(request, theirs, pending.unsuited) if is_plain else None
        if forked is None and is_plain:
            # The preload may have forked a session that it could not tell of, which must not share
            # a socket with another one.
            ours.close()
            theirs.close()
            ours, theirs = channel.pair()
        if forked is not None:
            pid, pidfd, reaper = forked
            with contextlib.suppress(channel.Closed):
                pending.pass_on(ours, request)
        else:

            def main() -> None:
                from rpytest.session.session import session_main

                ours.close()
                run, is_kept = pending.complete(request), self.is_kept
                session_main(
                    theirs, pending.conn, run, pending.fds, is_kept, controller=pending.controller
                )

            pid = self._fork(main, pending)
            pidfd = os.pidfd_open(pid)
        theirs.close()
        self.entries[ours.fileno()] = SessionEntry(
            key,
            pid,
            pidfd,
            ours,
            time.time(),
            pending,
            [pending],
            pending,
            used=time.monotonic(),
            cwd=request.cwd,
            args=request.argv,
            reaper=reaper,
            base=base_key(request),
        )

    def _start_bare(self, pending: PendingRun, known: Bare) -> None:
        def main() -> None:
            from rpytest.bare.host import bare_main

            request = pending.complete(pending.request)
            bare_main(pending.conn, request, pending.fds, known, pending.controller)

        self._fork(main, pending)
        pending.close()

    # Their ends

    def unaccepted(self) -> list[PendingRun]:
        """Runs that no session has accepted yet, and whose command lines are there."""
        held = [pending for entry in self.entries.values() for pending in entry.pending]
        held += [line.pending for line in self.lines.values()]
        held += [other.pending for other in self.others.values()]
        return [pending for pending in held if not pending.gone]

    def look_after_runs(self) -> None:
        """End sessions that collect for nobody: a command line that was killed takes with it what
        it started.
        """
        for pending in self.unaccepted():
            pending.gone = is_closed(pending.conn)
        for other in self.others.values():
            if other.pending.gone:
                _kill(other.pidfd)
        self._look_for_stopped()
        for entry in list(self.entries.values()):
            for pending in [
                pending for pending in entry.pending if pending.gone and pending is not entry.sent
            ]:
                entry.pending.remove(pending)
                pending.close()
            # Warm, it only has to take note; not heard yet, it may have taken the run already.
            if (
                entry.pending
                and entry.info is None
                and all(pending.gone for pending in entry.pending)
                and not has_message(entry.control)
            ):
                log(
                    f"session {entry.pid} is killed: the command line that it collected for is gone"
                )
                _kill(entry.pidfd)
                for pending in entry.pending:
                    pending.close()
                entry.pending = []
                self._forget(entry)

    def _look_for_stopped(self) -> None:
        """Give runs to others that are waited for by a process that stands still (SIGSTOP), and has
        not begun with them.

        It is killed before: when it goes on it would read what was sent to it.
        """
        stuck = {
            id(entry): entry
            for entry in self.entries.values()
            if entry.info is not None and entry.sent and _is_old(entry.sent)
        }
        stuck |= {
            id(line.checkpoint): line.checkpoint
            for line in self.lines.values()
            if _is_old(line.pending)
        }
        for entry in stuck.values():
            if entry.pidfd >= 0 and is_stopped(entry.pid) and not has_message(entry.control):
                log(f"session {entry.pid} is killed: it is stopped, and a run waits for it")
                self.last_reason = "the session's process was stopped"
                _kill(entry.pidfd)
                self._cut_off(entry)

    def _cut_off(self, entry: SessionEntry) -> None:
        """See to it that the end of a process that was killed is read, after what it said last.

        Its end of the connections may be held by a fork of it that was stopped before it could let
        go of them.
        """
        poll = select.poll()
        poll.register(entry.pidfd, select.POLLIN)
        if not poll.poll(_DEATH_MS):
            return
        lines = [line.sock for line in self.lines.values() if line.checkpoint is entry]
        for sock in (entry.control, *lines):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def reap(self) -> None:
        """Wait for all children of the daemon that have ended."""
        sessions = {entry.pid for entry in self.entries.values()}
        self._reaper.reap(sessions | {other.pid for other in self.others.values()})

    def shrink(self) -> None:
        """Let go of what needs too much memory."""
        if not self.has_grown or time.monotonic() < self._measured + _MEASURED_EVERY:
            return
        self._measured, self.has_grown = time.monotonic(), False
        preloads = [process for process in self.preloads.processes.values() if process.is_ready]
        reason = f"more than {self.memory_limit} MiB are in use"
        for kept in eviction.too_large(self.entries.values(), preloads, self.memory_limit):
            if isinstance(kept, SessionEntry):
                log(f"session {kept.pid} goes: {reason}")
                self._forget(kept)
                self.last_reason = f"it was let go, as {reason} (`memory_limit`)"
            else:
                self.preloads.drop(kept, reason)

    def _make_room(self) -> None:
        for entry in eviction.of_no_folder(self.entries.values()):
            log(f"session {entry.pid} goes: {entry.cwd} is gone")
            self._forget(entry)
        for process in list(self.preloads.processes.values()):
            if not os.path.isdir(process.request.cwd):
                self.preloads.drop(process, f"{process.request.cwd} is gone")
        for entry, reason in eviction.too_many(self.entries.values()):
            log(f"{'checkpoint' if entry.is_checkpoint else 'session'} {entry.pid} goes: {reason}")
            self._forget(entry)

    def _forget(self, entry: SessionEntry) -> None:
        self.entries.pop(entry.control.fileno(), None)
        self._reaper.forget(entry.pid)
        self.preloads.forget(entry.pid)
        entry.control.close()
        if entry.pidfd >= 0:
            os.close(entry.pidfd)


def _kill(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _is_old(pending: PendingRun) -> bool:
    return time.monotonic() > pending.since + _STOPPED_AFTER
