"""A process that is forked before there is a run for it.

A fork is not only the call: both processes share all memory afterwards, and each page has to be
copied when one of them writes to it first. In Python nearly everything that is looked at is written
to (its references are counted), so the first milliseconds of a run are spent on that. A kept
process therefore forks the next run's process while nobody waits for it, and this one gets the
pages copied that the run before it has needed: see ``docs/design/processes.md``.

It is told of a run at once, and does what nobody else sees of it. Meanwhile its parent finds out
whether what both were made from has changed, and then says so, or ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container
from typing import TYPE_CHECKING, NoReturn

from rpytest import _native, stdlib
from rpytest.ipc import channel
from rpytest.ipc.process_messages import Confirmed
from rpytest.ipc.run_messages import RunRequest
from rpytest.process import heap, lifecycle
from rpytest.process.inspection import is_stopped
from rpytest.pytest_compat.cache_plugins import remember_ids
from rpytest.stdlib import array, contextlib, os, select, signal, socket

__builtins__ = stdlib.BUILTINS


if TYPE_CHECKING:
    import pytest

    from rpytest.staleness.dependencies import Dependencies

#: More bytes than this are not copied ahead: they would be kept twice for a run that may never
#: come. What was copied for nothing can't be told from what was needed, so the pages become more
#: from run to run; beyond this it is begun anew.
_MOST_BYTES = 32 << 20


class StandbyProcess:
    """The waiting process, as its parent sees it."""

    def __init__(self, pid: int, pidfd: int, sock: socket.socket) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self._sock = sock

    def hand_over(self, message: RunRequest, fds: list[int]) -> bool:
        """Tell it of its run; the descriptors stay open here. `False`: it is gone."""
        try:
            channel.send(self._sock, message, fds)
        except (channel.Closed, OSError):
            return False
        return True

    def confirm(self, edited: Collection[str] = ()) -> bool:
        """Nothing has changed but what is ``edited``: the run, and the process, are on their own.
        `False`: it is gone.
        """
        try:
            channel.send(self._sock, Confirmed(edited=sorted(edited)))
        except (channel.Closed, OSError):
            return False
        self._sock.close()
        return True

    def end(self) -> None:
        """Kill the standby process: it is not needed, or of no use."""
        self._sock.close()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)

    def let_go(self) -> None:
        """Let go of the standby process in a fork of its parent."""
        self._sock.close()
        os.close(self.pidfd)


class StandbyForker:
    """Forks one standby process after the other, and knows which pages they need."""

    def __init__(self) -> None:
        #: The process of the next run.
        self.standby: StandbyProcess | None = None
        #: The other side, in the standby process itself.
        self.waiting: StandbySide | None = None
        self._pages: list[tuple[int, int]] = []
        #: What the process of the last run has noted for the next one.
        self._notes = -1

    def prepare(
        self,
        config: pytest.Config,
        session: pytest.Session,
        dependencies: Dependencies,
        main: Callable[[StandbySide], NoReturn],
        editable: Container[str] = (),
    ) -> StandbyProcess | None:
        """Fork the process of the next run, which does ``main``; `None` if that is not possible.

        Files that are ``editable`` may have changed.
        """
        if dependencies.changed(editable) is not None:
            # What the last run has left in the project is to be known to both.
            return None
        remember_ids(config, session)
        heap.freeze()
        self.standby = self._fork(main)
        return self.standby

    def offer(
        self,
        message: RunRequest,
        fds: list[int],
        dependencies: Dependencies,
        editable: Container[str] = (),
    ) -> tuple[StandbyProcess | None, str | None]:
        """Tell the process of its run, and look meanwhile whether what it was made from has
        changed, beside the files that may.

        Returns the process, if it may be confirmed, and what has changed, if anything. The
        descriptors stay open.
        """
        standby, self.standby = self.standby, None
        # While it begins, and nobody sees anything of it, it becomes clear whether it may go on.
        if standby is not None and (is_stopped(standby.pid) or not standby.hand_over(message, fds)):
            standby.end()
            standby = None
        updates = dependencies.updates
        reason = dependencies.other_variable(message.variables) or dependencies.changed(editable)
        if standby is not None and (reason is not None or dependencies.updates != updates):
            standby.end()
            standby = None
        return standby, reason

    def register(self, poll: select.poll) -> None:
        """Let the poll notice the end of the process."""
        if self.standby is not None:
            poll.register(self.standby.pidfd, select.POLLIN)

    def is_lost(self, ready: Container[int]) -> bool:
        """Whether the process has ended; it is forgotten then. Whoever has killed it may do so
        again.
        """
        if self.standby is None or self.standby.pidfd not in ready:
            return False
        self.end()
        return True

    def end(self) -> None:
        """There will be no run for it."""
        standby, self.standby = self.standby, None
        if standby is not None:
            standby.end()

    def _fork(self, main: Callable[[StandbySide], NoReturn]) -> StandbyProcess | None:
        self._learn()
        try:
            notes = os.memfd_create("rpytest-pages", os.MFD_CLOEXEC)
        except OSError:
            return None
        try:
            ours, theirs = channel.pair()
        except OSError:
            os.close(notes)
            return None

        def be_standby() -> None:
            ours.close()
            lifecycle.keep_private(theirs)
            lifecycle.forget_inherited_cleanups()
            self.waiting = StandbySide(theirs, notes, self._pages)
            main(self.waiting)

        try:
            pid = lifecycle.fork_into(be_standby)
        except OSError:
            ours.close()
            theirs.close()
            os.close(notes)
            return None
        theirs.close()
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            # No descriptor is left. It ends when it sees that nobody is there.
            ours.close()
            os.close(notes)
            os.waitpid(pid, 0)
            return None
        lifecycle.keep_private(ours)
        self._notes = notes
        return StandbyProcess(pid, pidfd, ours)

    def _learn(self) -> None:
        """Take over what the last process has noted, if it has come that far."""
        notes, self._notes = self._notes, -1
        if notes < 0:
            return
        size = os.fstat(notes).st_size
        if size:
            numbers = array.array("Q")
            # Tests have had the file open: whatever is in there names pages, and no more than that.
            with contextlib.suppress(ValueError):
                numbers.frombytes(channel.read_all(notes, size))
            self._pages = list(zip(numbers[::2], numbers[1::2], strict=False))
        os.close(notes)


class StandbySide:
    """The waiting process, as it sees itself."""

    def __init__(self, sock: socket.socket, notes: int, pages: list[tuple[int, int]]) -> None:
        """``pages``: addresses and lengths of those that the last run has needed."""
        self._sock = sock
        self._notes = notes
        self._pages = pages
        self._is_confirmed = False
        #: Files that have changed, which the parent has found to be no obstacle.
        self.edited: list[str] = []

    def wait(self) -> tuple[RunRequest, list[int]]:
        """Get ready, and return the run; ends this process when there will be none.

        By now it must hold no connection of its parent's, whose end would not be seen as long as
        this process stands still.
        """
        try:
            _native.copy_pages(self._pages)
            return channel.receive(self._sock, RunRequest)
        except (channel.Closed, OSError, ValueError):
            self._leave()

    def confirmed(self) -> None:
        """Return when the parent has said that nothing has changed; before, nobody may notice
        anything of this process.
        """
        if self._is_confirmed:
            return
        self._is_confirmed = True
        try:
            message, _ = channel.receive(self._sock, Confirmed)
        except (channel.Closed, OSError, ValueError):
            self._leave()
        self.edited = message.edited
        self._sock.close()

    def note(self) -> None:
        """At the end of the run: leave word which pages it has needed."""
        with contextlib.suppress(OSError):
            pages = _native.own_pages()
            if sum(length for _, length in pages) > _MOST_BYTES:
                pages = [(0, 0)]
            os.pwrite(
                self._notes, array.array("Q", [number for both in pages for number in both]), 0
            )

    def _leave(self) -> NoReturn:
        lifecycle.exit_now(0)
