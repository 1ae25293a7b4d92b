"""The `bare` start method: every worker is forked from the daemon, configures and collects by
itself, in pytest-xdist's order.

Slower than forking a collected session and the same as what pytest-xdist does: the way out for
suites that look at a worker's identity while they are collected, or that have threads by then.
"""

from __future__ import annotations

from typing import NoReturn

import pytest

from rpytest import stdlib
from rpytest.bare.remote_services import RemotePytest
from rpytest.bare.worker import BareWorker
from rpytest.controller.base import ControllerStart
from rpytest.controller.client import ControllerClient, Ended
from rpytest.host.children import Child
from rpytest.host.host import Host
from rpytest.ipc import channel, ring_records
from rpytest.ipc.process_messages import (
    Bare,
    BareAttached,
    BareCollected,
    BareDependencies,
    BareEnded,
    BareGo,
    ControllerEnded,
    HandedOver,
    Quit,
    Resolved,
    StartController,
    WorkerRequest,
)
from rpytest.ipc.run_messages import (
    Attached,
    Collected,
    Dependencies,
    Exit,
    HostRequest,
    Options,
    Report,
    RunRequest,
)
from rpytest.process import lifecycle, signal_handlers
from rpytest.pytest_compat import debug_log
from rpytest.role import pytest_plugin
from rpytest.role.entry import take_over_command_line
from rpytest.role.role import Role
from rpytest.stdlib import contextlib, os, select, signal, socket
from rpytest.worker.crash_file import crash
from rpytest.worker.spec import WorkerSpec

__builtins__ = stdlib.BUILTINS

_SHOWN_DIFFERENCES = 10
_DIFFERENCE_HINT = (
    "hint: ids must not depend on the process that collects: sets, `random`, addresses and "
    "times make them differ\n"
)
_DIED_HINT = (
    "hint: a test module, conftest or plugin may have ended it while it was imported, or the "
    "system when memory was short\n"
)


class BareController(Role):
    """A controller that configures itself from the start."""

    def __init__(self, start: ControllerStart, request: RunRequest, argv: list[str]) -> None:
        super().__init__()
        self.start = start
        self.argv = argv
        self.request = request

    def main(self) -> NoReturn:
        """Run pytest as a controller."""
        plugin = pytest_plugin.RpytestPlugin(self.request, self.decide, self.loop)
        status = self.run_pytest(self.argv, plugin)
        if self.controller is None:
            # pytest failed before it called `decide`: there is no controller to end.
            lifecycle.run_exit_functions()
            with contextlib.suppress(channel.Closed):
                channel.send(self.start.sock, ControllerEnded(status=status))
            lifecycle.exit_now(0)
        self.controller.end(status)

    def decide(self, config: pytest.Config) -> None:
        """`pytest_cmdline_main`: be the controller."""
        self.become_controller(config, self.start, list(self.request.argv))

    def loop(self, session: pytest.Session) -> bool | None:
        """`pytest_runtestloop`."""
        assert self.controller is not None
        return self.controller.loop(session)


#: The news of a worker that did not get as far as collecting.
_NO_NEWS = ring_records.dump(
    {"tests": 0, "reports": [], "warnings": [], "deselected": 0, "ids": None}
)


class BareHost(Host):
    """A host that is not configured itself: its workers are, each for itself."""

    def __init__(
        self,
        conn: socket.socket,
        request: RunRequest,
        known: Bare,
        controller: tuple[HandedOver, list[int]] | None = None,
    ) -> None:
        """``controller``: one that is there already for this run."""
        self.request = request
        self.reason = known.reason
        #: `--debug`: the file.
        self.debug = known.debug
        self.lists: dict[int, bytes] = {}
        #: Exit status of worker 0 when it has nothing to run.
        self.ended: int | None = None
        #: Exit statuses and texts of others that have nothing to run.
        self.failed: dict[int, tuple[int, str]] = {}
        self.answering: socket.socket | None = None
        self.expected = known.workers
        self.handed_over = controller
        uid = known.uid if controller is None else controller[0].uid
        super().__init__(conn, _nothing_yet(uid), b"", RemotePytest(conn))

    def _fork_controller(self) -> ControllerClient:
        """Everything begins with the controller, as under pytest-xdist; it has seen nothing that is
        a worker's.
        """
        ours, theirs = channel.pair()
        lifecycle.keep_private(ours)
        lifecycle.flush_streams()
        streams = [os.dup(fd) for fd in range(3)]

        def be_controller() -> None:
            ours.close()
            self.conn.close()
            lifecycle.keep_private(theirs)
            signal_handlers.ignore_interrupts()
            message = StartController(uid=self.uid, workers=self.expected)
            argv = debug_log.arguments(self.request.argv, self.debug, "controller")
            BareController(ControllerStart(message, theirs, streams), self.request, argv).main()

        lifecycle.fork_detached_into(be_controller)
        theirs.close()
        channel.close_all(streams)
        client = ControllerClient(ours)
        client.conn = self.conn.fileno()
        try:
            client.wait()
        except channel.Closed:
            client.kill()
            raise
        return client

    def _forked(self, child: Child) -> None:
        """The first workers are announced when all have collected, replacements at once."""
        if self.segment is not None:
            self.children.announce(child)

    def _reap(self, child: Child) -> None:
        """Before the first workers were announced nobody can be told of their deaths."""
        if self.segment is None:
            child.ended = True
        else:
            super()._reap(child)

    def _be_worker(self, spec: WorkerSpec) -> NoReturn:
        if self.controller is not None:
            self.controller.close()
        try:
            signal_handlers.default_signals(held=(signal.SIGINT,))
            if self.answering is not None:
                self.answering.close()
            spec.count, spec.uid = self.expected, self.uid
            argv = debug_log.arguments(self.request.argv, self.debug, spec.name)
            BareWorker(spec, self.request, argv, self.reason, self.segment).main()
        except BaseException as error:
            crash(spec, error)

    def announce(self) -> None:
        """Start the controller, let worker 0 say how many there are, fork the others, and wait
        until all have collected.
        """
        try:
            if self.handed_over is not None:
                self.controller = ControllerClient.take_over(*self.handed_over, self.conn.fileno())
            else:
                self.controller = self._fork_controller()
            self._listen_to(self.controller)
        except Ended as ended:
            self._give_up(ended.status, "")
        self._spawn(0, 0)
        while self.ended is None and len(self.lists) + len(self.failed) < self.expected:
            self._wait_for_workers()
        if self.ended is not None:
            assert self.controller is not None
            self.controller.collected(self.collection_log, 0)
            status, _, _ = self.controller.conclude(Report(status=self.ended, alone=True), b"")
            self._give_up(status, "")
        for slot, (status, text) in sorted(self.failed.items()):
            text += (
                f"error: worker 'gw{slot}' ended with status {status} before any test, worker "
                "'gw0' has tests to run\n"
            )
            self._give_up(status or 2, text + _DIFFERENCE_HINT)
        first = self.lists[0]
        for slot, other in sorted(self.lists.items()):
            if other != first:
                self._give_up(2, _difference(0, first, slot, other))
        count = self.announcement.options.workers
        self._dismiss(count)
        self.inventory = first
        super().announce()

    def _dismiss(self, count: int) -> None:
        """Let the workers after the first `count` go: there is nothing for them."""
        for slot in sorted(self.children.by_slot):
            if slot >= count:
                child = self.children.by_slot.pop(slot)
                channel.send(child.spec.host, Quit())
                os.waitpid(child.pid, 0)
                os.close(child.pidfd)
                os.close(child.spec.crash)
                os.close(child.spec.stacks)
                child.spec.host.close()

    def _wait_for_workers(self) -> None:
        poll = select.poll()
        poll.register(self.conn, select.POLLIN)
        for child in self.children:
            poll.register(child.pidfd, select.POLLIN)
            if child.talks:
                poll.register(child.spec.host, select.POLLIN)
        ready = {fd for fd, _ in poll.poll()}
        if self.conn.fileno() in ready:
            # Nothing but the end can come before `collected`.
            channel.receive(self.conn, HostRequest)
            raise channel.Closed
        for child in self.children:
            if child.spec.host.fileno() in ready:
                self._answer(child)
            elif child.pidfd in ready:
                _, status = os.waitpid(child.pid, 0)
                del self.children.by_slot[child.spec.slot]
                if self.ended is None and child.spec.slot not in self.failed:
                    cause = (
                        f"signal {os.WTERMSIG(status)}"
                        if os.WIFSIGNALED(status)
                        else f"exit status {os.waitstatus_to_exitcode(status)}"
                    )
                    self._give_up(
                        3,
                        (
                            f"error: worker '{child.spec.name}' died while it collected: "
                            f"{cause}\n{_DIED_HINT}"
                        ),
                    )

    def _heard(self, child: Child, message: WorkerRequest, fds: list[int]) -> None:
        match message:
            case Resolved() if child.spec.slot == 0 and child.spec.incarnation == 0:
                self.expected = message.workers
                self.uid = message.uid
                for slot in range(1, self.expected):
                    self._spawn(slot, 0)
            case Resolved():
                pass
            case BareCollected():
                self._collected(child, message, fds)
            case BareDependencies():
                channel.send(self.conn, Dependencies(len=message.len), fds)
                channel.close_all(fds)
            case BareEnded() if child.spec.slot == 0:
                self.ended = message.status
                self.collection_log = (
                    channel.read_all(fds[0], message.len) if message.len else _NO_NEWS
                )
                channel.close_all(fds)
            case BareEnded():
                self.failed[child.spec.slot] = (message.status, message.text)
                channel.close_all(fds)
            case BareAttached():
                pass
            case _:
                super()._heard(child, message, fds)

    def _collected(self, child: Child, message: BareCollected, fds: list[int]) -> None:
        ids = channel.read_all(fds[-1], message.len)
        os.close(fds[-1])
        slot = child.spec.slot
        if message.announcement is not None:
            self.answering = channel.adopt(fds[0])
            self.services = RemotePytest(self.answering)
            self.announcement = message.announcement
            self.announcement.options.testrunuid = self.uid
            self.collection_log = channel.read_all(fds[1], message.log_len)
            os.close(fds[1])
        if self.segment is None:
            self.lists[slot] = ids
        elif ids != self.inventory:
            # A replacement that collected something else can't take part; its death is reported as
            # any other.
            signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        else:
            self._send_go(child, "")

    def _go(self, segment: str) -> None:
        from rpytest import _native

        self._dismiss(self.slots)
        self.segment = _native.Segment.open(segment)
        # One that was killed in the meantime is announced as the others are, and reaped afterwards.
        for child in self.children:
            with contextlib.suppress(channel.Closed, OSError):
                self._send_go(child, segment)
        for child in self.children:
            child.ended = False
            # One that has ended instead says so; its pidfd tells the rest.
            with contextlib.suppress(channel.Closed, OSError, ValueError):
                _, fds = channel.receive(child.spec.host, WorkerRequest)
                channel.close_all(fds)
        self._start_controller()
        channel.send(self.conn, Attached())
        for slot in range(self.slots):
            self.children.announce(self.children.by_slot[slot])

    def _send_go(self, child: Child, segment: str) -> None:
        channel.send(child.spec.host, BareGo(segment=segment, timings=self.timings), [self.bell])

    def _give_up(self, status: int, text: str) -> NoReturn:
        self.children.kill()
        with contextlib.suppress(channel.Closed):
            channel.send(self.conn, Exit(status=status, err=text))
        lifecycle.exit_now(0)


def _nothing_yet(uid: str | None) -> Collected:
    """Before the first worker has collected nothing but the run's name is known."""
    options = Options(testrunuid=uid)
    return Collected(
        options=options,
        header="",
        collection="",
        tests=0,
        warm=False,
        method="bare",
        why=None,
        how=None,
    )


def _difference(one: int, first: bytes, two: int, second: bytes) -> str:
    import json

    a, b = json.loads(first)["ids"], json.loads(second)["ids"]
    lines = [
        (
            f"error: worker 'gw{one}' collected {len(a)} tests and worker 'gw{two}' collected "
            f"{len(b)}, in another order or not the same"
        )
    ]
    only_a = [name for name in a if name not in set(b)]
    only_b = [name for name in b if name not in set(a)]
    for worker, names in ((one, only_a), (two, only_b)):
        lines += [f"  only gw{worker}: {name}" for name in names[:_SHOWN_DIFFERENCES]]
        if len(names) > _SHOWN_DIFFERENCES:
            lines.append(f"  … and {len(names) - _SHOWN_DIFFERENCES} more")
    if not only_a and not only_b:
        at = next(index for index, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
        lines.append(f"  the order differs first at number {at}: {a[at]} and {b[at]}")
    return "\n".join(lines) + "\n" + _DIFFERENCE_HINT


def bare_main(
    conn: socket.socket,
    request: RunRequest,
    fds: list[int],
    known: Bare,
    controller: tuple[HandedOver, list[int]] | None = None,
) -> NoReturn:
    """Entry of a host that the daemon forked for one run.

    ``known`` is what a session has found out: ``reason``, number of ``workers``, ``uid``
    (``--testrunuid`` or ``None``). ``controller``: one that the session has started for this run.
    """
    lifecycle.forget_inherited_cleanups()
    take_over_command_line(request, fds, conn)
    BareHost(conn, request, known, controller).run()
    raise AssertionError("a bare host's workers don't come back")
