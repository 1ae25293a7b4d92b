"""The workers of a host as its child processes: forked, announced to the command line, reaped,
killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn

from rpytest import stdlib
from rpytest.ipc import channel
from rpytest.ipc.run_messages import Born, Died, Stack
from rpytest.process import lifecycle
from rpytest.stdlib import contextlib, os, select, signal, socket
from rpytest.worker.crash_file import read_crash_file

if TYPE_CHECKING:
    from rpytest.worker.spec import WorkerSpec

__builtins__ = stdlib.BUILTINS

#: Most bytes of a dead worker's stack dump that are passed on.
_STACK_LIMIT = 64 * 1024


class Child:
    """A live worker as the host sees it."""

    def __init__(self, spec: WorkerSpec, pid: int, pidfd: int) -> None:
        self.spec = spec
        self.pid = pid
        self.pidfd = pidfd
        #: The worker's end of the socket is open.
        self.talks = True
        #: The worker died before it was announced, so that its death can't be told yet.
        self.ended = False


class Children:
    """The live ones, and the last words of the dead."""

    def __init__(self, conn: socket.socket) -> None:
        """``conn``: the command line's connection."""
        self.conn = conn
        self.by_slot: dict[int, Child] = {}
        #: Stack dumps of those that have died last, by slot.
        self.stacks: dict[int, str] = {}
        #: Reports of the test that a dead worker was tearing down.
        self.kept: dict[int, bytes] = {}

    def __iter__(self) -> Iterator[Child]:
        """The live workers, in a list of its own: some may be removed meanwhile."""
        return iter(list(self.by_slot.values()))

    def fork(
        self, spec: WorkerSpec, theirs: socket.socket, main: Callable[[WorkerSpec], NoReturn]
    ) -> Child:
        """Fork a worker, which talks by ``theirs`` and does ``main``; nothing is left of the others
        there.
        """
        lifecycle.flush_streams()
        host = os.getpid()
        # A dump that does not fit is cut off: no process waits for anybody because of it.
        stacks, spec.stacks = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

        def be_worker() -> None:
            from rpytest import _native

            _native.die_with_parent()
            if os.getppid() != host:
                lifecycle.exit_now(1)
            spec.host.close()
            spec.host = theirs
            lifecycle.keep_private(theirs)
            os.close(stacks)
            self._close_in_worker()
            main(spec)

        pid = lifecycle.fork_into(be_worker)
        theirs.close()
        os.close(spec.stacks)
        spec.stacks = stacks
        child = self.by_slot[spec.slot] = Child(spec, pid, os.pidfd_open(pid))
        return child

    def _close_in_worker(self) -> None:
        self.conn.close()
        for child in self:
            for fd in (child.pidfd, child.spec.spill, child.spec.crash, child.spec.stacks):
                if fd >= 0:
                    os.close(fd)
            child.spec.host.close()
        self.by_slot.clear()

    def announce(self, child: Child) -> None:
        """Tell the command line of it."""
        spec = child.spec
        channel.send(
            self.conn,
            Born(slot=spec.slot, incarnation=spec.incarnation, pid=child.pid),
            [child.pidfd, spec.spill],
        )
        os.close(spec.spill)
        spec.spill = -1

    def pass_on_stacks(self, child: Child) -> None:
        """faulthandler has something to say about the test that this worker runs: pass it on while
        the test hangs.
        """
        parts = []
        poll = select.poll()
        poll.register(child.spec.stacks, select.POLLIN)
        # faulthandler writes line by line, and word by word: wait for the rest.
        while poll.poll(20):
            part = os.read(child.spec.stacks, 1 << 16)
            if not part:
                os.close(child.spec.stacks)
                child.spec.stacks = -1
                break
            parts.append(part)
        text = b"".join(parts).decode("utf-8", "replace")
        if text:
            channel.send(self.conn, Stack(slot=child.spec.slot, text=text))

    def reap(self, child: Child) -> None:
        """Called when a worker is dead: tell the command line how, and keep what it said last."""
        try:
            _, status = os.waitpid(child.pid, 0)
        except ChildProcessError:
            # A project's code has waited for whoever ends; what the worker has written says how it
            # went.
            status = 0
        if child.spec.stacks >= 0:
            self.pass_on_stacks(child)
        if child.spec.stacks >= 0:
            os.close(child.spec.stacks)
            child.spec.stacks = -1
        stack, kept = read_crash_file(child.spec.crash, _STACK_LIMIT)
        os.close(child.pidfd)
        os.close(child.spec.crash)
        child.spec.host.close()
        del self.by_slot[child.spec.slot]
        self.stacks[child.spec.slot] = stack
        self.kept[child.spec.slot] = kept
        channel.send(
            self.conn,
            Died(
                slot=child.spec.slot, incarnation=child.spec.incarnation, status=status, stack=stack
            ),
        )

    def kill(self) -> None:
        """End all that are there, and wait for them."""
        for child in self:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        for child in self:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child.pid, 0)
        self.by_slot.clear()
