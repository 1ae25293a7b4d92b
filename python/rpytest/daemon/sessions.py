"""What the daemon's sessions say, and what becomes of a run whose session does not serve it."""

from __future__ import annotations

import contextlib
import os
import time

from rpytest.daemon import eviction
from rpytest.daemon.assignment import Assignment
from rpytest.daemon.entries import Line, Other, PendingRun, SessionEntry
from rpytest.daemon.log import log
from rpytest.daemon.reaper import cause as reaper_cause
from rpytest.daemon.reaper import is_this_python, successor
from rpytest.ipc import channel
from rpytest.ipc.channel import has_message, send_refusal
from rpytest.ipc.process_messages import (
    Accepted,
    Bare,
    CheckpointForked,
    ConfiguredForked,
    Declined,
    Done,
    Info,
    Learned,
    LineEvent,
    Over,
    Parts,
    Plain,
    SessionEvent,
    Stale,
    Standby,
    Unsuited,
)
from rpytest.ipc.run_messages import Exit
from rpytest.staleness.installation import file_times

#: What a session dies of when its command line is interrupted before pytest can deal with that.
_BY_COMMAND_LINE = ("was killed by SIGINT", "was killed by SIGTERM", "was killed by SIGHUP")


class Sessions(Assignment):
    """The sessions, and who listens to them."""

    # What they say

    def read_all(self) -> None:
        """Whatever they have said by now."""
        while talking := next(
            (entry for entry in self.entries.values() if has_message(entry.control)), None
        ):
            self.read(talking)
        while line := next((line for line in self.lines.values() if has_message(line.sock)), None):
            self.read_line(line)

    def read(self, entry: SessionEntry) -> None:
        """Called when the session has said something, or is gone."""
        try:
            message, fds = channel.receive(entry.control, SessionEvent)
        except (channel.Closed, OSError, ValueError):
            self._lost(entry)
            return
        if isinstance(message, CheckpointForked):
            self._add_checkpoint(entry, message, fds)
            return
        if isinstance(message, ConfiguredForked):
            if entry.first is not None and self.is_kept:
                self.preloads.add_configured(entry.first.request, message, fds[0])
            else:
                channel.close_all(fds)
            return
        if entry.is_checkpoint:
            self._read_checkpoint(entry, message, fds)
            return
        if message.controller is not None and entry.pending:
            # The controller is that of the run which the session was to serve next.
            entry.pending[0].keep(message.controller, fds)
        else:
            channel.close_all(fds)
        match message:
            case Accepted() | Done():
                if entry.pending:
                    entry.pending.pop(0).close()
                    entry.sent = None
                    self._pass_on(entry)
            case Info():
                # A run has begun, in the process that waited for it if there was one.
                entry.info, entry.standby = message, 0
                if not self.is_kept:
                    # One run only: the session ends when its host has.
                    self._forget(entry)
                self.has_grown = True
            case Standby(pid=pid):
                entry.standby = pid
                self.has_grown = True
            case Plain():
                # pytest itself, for one run only; whoever waits for a session gets another one.
                waiting, entry.pending = entry.pending[1:], entry.pending[:1]
                entry.key = f"plain {entry.pid}"
                entry.is_plain = True
                for run in waiting:
                    self._run(run)
            case Stale():
                self.last_reason = message.reason
                for run in entry.pending:
                    run.reason = self.last_reason
                log(f"session {entry.pid} is not reused: {self.last_reason}")
                self._restart(entry, message.learns)
            case Learned():
                if self.is_kept and entry.first is not None:
                    self.preloads.learn(entry.first.request, entry.first.environment, message)
            case Unsuited():
                log(
                    f"the configured process can't serve `{' '.join(entry.args)}`: {message.reason}"
                )
                pending, entry.pending = entry.pending, []
                if entry.reaper is not None:
                    for run in pending:
                        run.unsuited.add(entry.reaper.fileno())
                self._forget(entry)
                for run in pending:
                    self._run(run)
            case Over():
                pending, entry.pending = entry.pending, []
                self._forget(entry)
                self._drop_checkpoints_of(entry)
                for run in pending[:1]:
                    self._start(entry.key, run, preloaded=False)
                for run in pending[1:]:
                    self._run(run)
                if entry.first is not None:
                    self.preloads.refused(entry.first.request, message)
            case Bare(reason=reason):
                log(f"session {entry.pid} can't be forked: {reason}")
                pending, entry.pending = entry.pending, []
                self._forget(entry)
                # What is in the way came when tests were selected, as it would in every run.
                self._drop_checkpoints_of(entry)
                if reason != "asked for":
                    self._bare[entry.key] = (message, file_times(message.files))
                for run in pending:
                    self._start_bare(run, message)

    def _add_checkpoint(
        self, entry: SessionEntry, message: CheckpointForked, fds: list[int]
    ) -> None:
        """A session has forked a checkpoint."""
        (fd,) = fds
        control = channel.adopt(fd)
        control.set_inheritable(False)
        self._numbers += 1
        self.entries[fd] = SessionEntry(
            f"checkpoint {self._numbers}",
            0,
            -1,
            control,
            time.time(),
            None,
            info=Info(tests=message.tests, root=message.root),
            used=time.monotonic(),
            cwd=entry.cwd,
            args=entry.args,
            is_checkpoint=True,
            base=entry.base,
            number=self._numbers,
            source=entry.pid,
        )

    def _drop_checkpoints_of(self, entry: SessionEntry) -> None:
        """Let the checkpoints of a session go. Runs that they have begun with stay with their
        processes.
        """
        for checkpoint in [
            other
            for other in self.entries.values()
            if other.source == entry.pid and other.is_checkpoint
        ]:
            self._forget(checkpoint)

    def _read_checkpoint(self, entry: SessionEntry, message: SessionEvent, fds: list[int]) -> None:
        match message:
            case Info(pid=int(pid)):
                entry.info, entry.pid = message, pid
                (entry.pidfd,) = fds
                return
            case Standby(pid=pid):
                entry.standby = pid
                self.has_grown = True
            case Parts():
                entry.parts = message.parts
            case Stale():
                self.last_reason = message.reason
                log(f"checkpoint {entry.pid} is not reused: {self.last_reason}")
                self._drop_changed(entry)
        channel.close_all(fds)

    def read_line(self, line: Line) -> None:
        """A run that a checkpoint has was accepted or declined, or nobody has it any more."""
        checkpoint, pending = line.checkpoint, line.pending
        message: LineEvent | None = None
        try:
            message, fds = channel.receive(line.sock, LineEvent)
            if message.controller is not None:
                pending.keep(message.controller, fds)
            else:
                channel.close_all(fds)
        except (channel.Closed, OSError, ValueError):
            # The checkpoint itself may have said why nobody has the run.
            while checkpoint.control.fileno() in self.entries and has_message(checkpoint.control):
                self.read(checkpoint)
        del self.lines[line.sock.fileno()]
        line.sock.close()
        if isinstance(message, Accepted):
            if checkpoint.standby == line.standby:
                checkpoint.standby = 0
            pending.close()
            return
        if message is not None or checkpoint.control.fileno() in self.entries:
            pending.declined.add(checkpoint.number)
            self.last_reason = (
                message.reason if isinstance(message, Declined) else "its process died"
            )
            log(
                f"checkpoint {checkpoint.pid} does not serve "
                f"`{' '.join(pending.request.argv)}`: {self.last_reason}"
            )
        pending.reason = self.last_reason
        if (
            isinstance(message, Declined)
            and message.edited
            and checkpoint.control.fileno() in self.entries
        ):
            # After this edit it is of no use.
            self._drop_changed(checkpoint)
        self._run(pending)

    def _drop_changed(self, checkpoint: SessionEntry) -> None:
        """Let a checkpoint go that has found something changed."""
        for source in eviction.idle(self.entries.values()):
            # The checkpoint's session was made from the same files, and would find the same.
            if source.pid == checkpoint.source:
                self._forget(source)
        self._restart(checkpoint)

    # Processes that have become other programs

    def _follow(self, entry: SessionEntry, pending: PendingRun, program: str) -> None:
        """Project code has put another program in the place of the session (`os.execv` in a
        conftest): the run is this program's.
        """
        log(f"session {entry.pid} has become `{program}`")
        # The command line passes interrupts on to the same process.
        self.others[entry.pidfd] = Other(
            entry.pid, entry.pidfd, pending, entry.reaper, is_this_python(entry.pid)
        )
        # `_forget` must not close the descriptor, by which the program is followed.
        entry.pidfd = -1

    def read_other(self, other: Other) -> None:
        """Such a program has ended: its exit status is the run's."""
        del self.others[other.pidfd]
        status = self._reaper.status(other.pid, other.reaper)
        os.close(other.pidfd)
        if status == 0 and not other.is_python:
            text = (
                "another program than Python was put in the place of this run (`os.execv`): no "
                "test was seen to run"
            )
            send_refusal(
                other.pending.conn, text, "a test module or conftest did it while it was imported"
            )
        elif status is not None and os.WIFEXITED(status):
            with contextlib.suppress(channel.Closed, OSError):
                channel.send(other.pending.conn, Exit(status=os.WEXITSTATUS(status)))
        else:
            text = (
                "the program that a conftest or plugin has put in the place of this run "
                f"(`os.execv`) {reaper_cause(status)}"
            )
            send_refusal(other.pending.conn, text, "`pytest` itself would have ended the same way")
        other.pending.close()

    def _restart(self, entry: SessionEntry, has_more_to_say: bool = False) -> None:
        pending, entry.pending, entry.sent = entry.pending, [], None
        if has_more_to_say:
            # The session ends when its run has ended.
            entry.key, entry.is_over = f"over {entry.pid}", True
        else:
            self._forget(entry)
        for run in pending:
            self._run(run)

    def _lost(self, entry: SessionEntry) -> None:
        if entry.info is not None and entry.pending:
            # The session was warm and died before it took the run: a fresh one takes it.
            self.last_reason = "the session's process died"
            self._restart(entry)
            return
        # The session died while it collected. Runs that only waited for it get one that is not to
        # blame.
        collected_for = [pending for pending in entry.pending if pending is entry.first]
        waiting = [pending for pending in entry.pending if pending is not entry.first]
        entry.pending = []
        status = self._reaper.status(entry.pid, entry.reaper) if collected_for else None
        other = successor(entry.pid) if collected_for and status is None else None
        if other is not None:
            self._follow(entry, collected_for[0], other)
            collected_for = []
        cause = reaper_cause(status)
        self._forget(entry)
        for pending in collected_for:
            log(f"session {entry.pid} {cause} while it collected")
            if cause in _BY_COMMAND_LINE:
                # The command line has passed a signal on, and knows what it means when the
                # connection ends.
                pending.close()
                continue
            if entry.is_plain:
                text = f"the process that runs pytest itself {cause}"
                hint = (
                    "what has ended it would end pytest; with workers (`-n 2`) a crash costs "
                    "only the test that crashes"
                )
            else:
                text = f"the process that collects the tests {cause} before it was done"
                hint = (
                    "`rpytest -n 0` runs pytest itself; look for `os._exit` or a crash in what "
                    "is imported last"
                )
            send_refusal(pending.conn, text, hint)
            pending.close()
        for pending in waiting:
            self._run(pending)
