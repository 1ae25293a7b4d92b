"""What the daemon's sessions say, and what becomes of a run whose session does not serve it."""

from __future__ import annotations

import contextlib
import os
import time

from rpytest.daemon import eviction
from rpytest.daemon.assignment import Assignment
from rpytest.daemon.entries import Line, Other, Pending, Warm
from rpytest.daemon.log import log
from rpytest.daemon.reaper import cause as reaper_cause
from rpytest.daemon.reaper import is_this_python, successor
from rpytest.ipc import channel
from rpytest.ipc.channel import Message, has_news, refuse
from rpytest.staleness.installation import file_times

#: What a session dies of when its command line is interrupted before pytest can deal with that.
_BY_COMMAND_LINE = ("was killed by SIGINT", "was killed by SIGTERM", "was killed by SIGHUP")


class Sessions(Assignment):
    """The sessions, and who listens to them."""

    # What they say

    def hear_all(self) -> None:
        """Whatever they have said by now."""
        while talking := next((warm for warm in self.warm.values() if has_news(warm.control)), None):
            self.hear(talking)
        while line := next((line for line in self.lines.values() if has_news(line.sock)), None):
            self.hear_line(line)

    def hear(self, warm: Warm) -> None:
        """It has said something, or is gone."""
        try:
            message, fds = channel.receive(warm.control)
        except (channel.Closed, OSError, ValueError):
            self._lost(warm)
            return
        if message.get("ev") == "trunk":
            self._plant(warm, message, fds)
            return
        if message.get("ev") == "configured":
            if warm.first is not None and self.is_kept:
                self.preloads.add_configured(warm.first.request, message, fds[0])
            else:
                channel.close_all(fds)
            return
        if warm.is_trunk:
            self._hear_trunk(warm, message, fds)
            return
        controller = message.pop("controller", None)
        if controller is not None and warm.pending:
            # Of the run that it was to serve next.
            warm.pending[0].keep(controller, fds)
        else:
            channel.close_all(fds)
        match message.get("ev"):
            case "accepted" | "done":
                if warm.pending:
                    warm.pending.pop(0).close()
                    warm.sent = None
                    self._pass_on(warm)
            case "info":
                # A run has begun, in the process that waited for it if there was one.
                warm.info, warm.spare = message, 0
                if not self.is_kept:
                    # One run only: the session ends when its host has.
                    self._forget(warm)
                self.has_grown = True
            case "spare":
                warm.spare = int(message["pid"])
                self.has_grown = True
            case "plain":
                # pytest itself, for one run only; whoever waits for a session gets another one.
                waiting, warm.pending = warm.pending[1:], warm.pending[:1]
                warm.key = f"plain {warm.pid}"
                warm.is_plain = True
                for run in waiting:
                    self._run(run)
            case "stale":
                self.last_reason = message["reason"]
                for run in warm.pending:
                    run.reason = self.last_reason
                log(f"session {warm.pid} is not reused: {self.last_reason}")
                self._restart(warm, message.get("learns", False))
            case "learned":
                if self.is_kept and warm.first is not None:
                    self.preloads.learn(warm.first.request, warm.first.environment, message)
            case "unsuited":
                log(f"the configured process can't serve `{' '.join(warm.args)}`: {message['reason']}")
                pending, warm.pending = warm.pending, []
                if warm.reaper is not None:
                    for run in pending:
                        run.unsuited.add(warm.reaper.fileno())
                self._forget(warm)
                for run in pending:
                    self._run(run)
            case "over":
                pending, warm.pending = warm.pending, []
                self._forget(warm)
                self._fell_trunks(warm)
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
                self._fell_trunks(warm)
                if reason != "asked for":
                    self._bare[warm.key] = (message, file_times(message["files"]))
                for run in pending:
                    self._start_bare(run, message)

    def _plant(self, warm: Warm, message: Message, fds: list[int]) -> None:
        """A session has forked a trunk."""
        (fd,) = fds
        control = channel.adopt(fd)
        control.set_inheritable(False)
        self._numbers += 1
        self.warm[fd] = Warm(
            f"trunk {self._numbers}",
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
            number=self._numbers,
            source=warm.pid,
        )

    def _fell_trunks(self, warm: Warm) -> None:
        """Let the trunks of a session go. Runs that they have begun with stay with their processes."""
        for trunk in [other for other in self.warm.values() if other.source == warm.pid and other.is_trunk]:
            self._forget(trunk)

    def _hear_trunk(self, warm: Warm, message: Message, fds: list[int]) -> None:
        match message.get("ev"):
            case "info":
                warm.info, warm.pid = message, int(message["pid"])
                (warm.pidfd,) = fds
                return
            case "spare":
                warm.spare = int(message["pid"])
                self.has_grown = True
            case "judged":
                warm.parts = str(message["parts"])
            case "stale":
                self.last_reason = message["reason"]
                log(f"trunk {warm.pid} is not reused: {self.last_reason}")
                self._fell(warm)
        channel.close_all(fds)

    def hear_line(self, line: Line) -> None:
        """A run that a trunk has was accepted or declined, or nobody has it any more."""
        trunk, pending = line.trunk, line.pending
        try:
            message, fds = channel.receive(line.sock)
            if message.get("controller") is not None:
                pending.keep(message["controller"], fds)
            else:
                channel.close_all(fds)
        except (channel.Closed, OSError, ValueError):
            message = {}
            # It may have said why.
            while trunk.control.fileno() in self.warm and has_news(trunk.control):
                self.hear(trunk)
        del self.lines[line.sock.fileno()]
        line.sock.close()
        if message.get("ev") == "accepted":
            if trunk.spare == line.spare:
                trunk.spare = 0
            pending.close()
            return
        if message or trunk.control.fileno() in self.warm:
            pending.declined.add(trunk.number)
            self.last_reason = str(message.get("reason", "its process died"))
            log(f"trunk {trunk.pid} does not serve `{' '.join(pending.request['argv'])}`: {self.last_reason}")
        pending.reason = self.last_reason
        if message.get("edited") and trunk.control.fileno() in self.warm:
            # After this edit it is of no use.
            self._fell(trunk)
        self._run(pending)

    def _fell(self, trunk: Warm) -> None:
        """Let a trunk go that has found something changed."""
        for source in eviction.idle(self.warm.values()):
            # It was made from the same files, and would find the same.
            if source.pid == trunk.source:
                self._forget(source)
        self._restart(trunk)

    # Processes that have become other programs

    def _follow(self, warm: Warm, pending: Pending, program: str) -> None:
        """Project code has put another program in the place of the session (`os.execv` in a conftest): the run is this program's."""
        log(f"session {warm.pid} has become `{program}`")
        # The command line passes interrupts on to the same process.
        self.others[warm.pidfd] = Other(warm.pid, warm.pidfd, pending, warm.reaper, is_this_python(warm.pid))
        # It stays open.
        warm.pidfd = -1

    def hear_other(self, other: Other) -> None:
        """Such a program has ended: its exit status is the run's."""
        del self.others[other.pidfd]
        status = self._reaper.status(other.pid, other.reaper)
        os.close(other.pidfd)
        if status == 0 and not other.is_python:
            text = "another program than Python was put in the place of this run (`os.execv`): no test was seen to run"
            refuse(other.pending.conn, text, "a test module or conftest did it while it was imported")
        elif status is not None and os.WIFEXITED(status):
            with contextlib.suppress(channel.Closed, OSError):
                channel.send(other.pending.conn, {"ev": "exit", "status": os.WEXITSTATUS(status), "out": "", "err": ""})
        else:
            text = f"the program that a conftest or plugin has put in the place of this run (`os.execv`) {reaper_cause(status)}"
            refuse(other.pending.conn, text, "`pytest` itself would have ended the same way")
        other.pending.close()

    def _restart(self, warm: Warm, has_more_to_say: bool = False) -> None:
        pending, warm.pending, warm.sent = warm.pending, [], None
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
        status = self._reaper.status(warm.pid, warm.reaper) if collected_for else None
        other = successor(warm.pid) if collected_for and status is None else None
        if other is not None:
            self._follow(warm, collected_for[0], other)
            collected_for = []
        cause = reaper_cause(status)
        self._forget(warm)
        for pending in collected_for:
            log(f"session {warm.pid} {cause} while it collected")
            if cause in _BY_COMMAND_LINE:
                # It has passed a signal on, and knows what it means when the connection ends.
                pending.close()
                continue
            if warm.is_plain:
                text = f"the process that runs pytest itself {cause}"
                hint = (
                    "what has ended it would end pytest; with workers (`-n 2`) a crash costs only the test that crashes"
                )
            else:
                text = f"the process that collects the tests {cause} before it was done"
                hint = "`rpytest -n 0` runs pytest itself; look for `os._exit` or a crash in what is imported last"
            refuse(pending.conn, text, hint)
            pending.close()
        for pending in waiting:
            self._run(pending)
