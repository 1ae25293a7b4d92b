"""The host: one per run. Forks the workers, reaps them, and answers what only a configured pytest
can answer.
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from rpytest import stdlib
from rpytest.controller.client import ControllerClient, Died, Ended
from rpytest.host.children import Child, Children
from rpytest.host.pytest_services import PytestServices
from rpytest.host.segments import remove_segments_of
from rpytest.ipc import channel, ring_records
from rpytest.ipc.message import Empty
from rpytest.ipc.process_messages import (
    BaseTemp,
    BaseTempAnswer,
    ControllerTaken,
    Waits,
    WorkerDebugger,
    WorkerRequest,
)
from rpytest.ipc.run_messages import (
    Attached,
    Collected,
    Crashed,
    DebuggerMayBegin,
    DebuggerWanted,
    Exit,
    Fixtures,
    Go,
    HostRequest,
    Interrupt,
    Notice,
    Record,
    Report,
    Reports,
    Spawn,
    Stop,
    StopRun,
    Summary,
    Taken,
)
from rpytest.process import heap, lifecycle, takeover
from rpytest.reports.decode import BODY_HEAD, split_bodies
from rpytest.stdlib import contextlib, os, select, signal, socket, time, traceback, uuid
from rpytest.worker import exit_functions
from rpytest.worker.spec import WorkerForked, WorkerSpec

if TYPE_CHECKING:
    from rpytest import _native
    from rpytest.fixtures.sharing import SharedFixtures

__builtins__ = stdlib.BUILTINS

#: After a notice on who does not end.
_HINT = "hint: Ctrl-C ends it"


class Host:
    """Serves one run until the command line says `stop` or goes away, and ends."""

    def __init__(
        self,
        conn: socket.socket,
        announcement: Collected,
        inventory: bytes,
        services: PytestServices,
        controller: ControllerClient | None = None,
        shared: SharedFixtures | None = None,
    ) -> None:
        self.conn = conn
        self.announcement = announcement
        self.inventory = inventory
        self.services = services
        self.controller = controller
        #: Session fixtures that are set up here; `None`: each worker has its own.
        self.shared = shared
        if controller is not None:
            self._listen_to(controller)
        #: Called when nobody waits for this process any more.
        self.at_end: Callable[[], None] = lambda: None
        #: What collection has said, for the controller.
        self.collection_log = b""
        self.uid = announcement.options.testrunuid or uuid.uuid4().hex
        announcement.options.testrunuid = self.uid
        self.children = Children(conn)
        self.segment: _native.Segment | None = None
        self.bell = -1
        self.slots = 0
        self.timings = False
        #: What a finalizer of a shared fixture has ended the run with.
        self.interruption: Stop | None = None

    def run(self) -> NoReturn:
        """Announce the tests, then serve; see the class."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def serve() -> NoReturn:
            self.announce()
            self._serve()

        self._end_after(serve)

    def _end_after(self, serve: Callable[[], NoReturn]) -> NoReturn:
        """Serve, and see to the end of the run however that ends."""
        try:
            serve()
        except channel.Closed:
            self._abandon()
        except Died as error:
            self._give_up_run(3, f"error: {error}\n")
        except Ended as error:
            # Without its hooks the run is not what was asked for, whatever its tests say.
            self._give_up_run(
                error.status or 3,
                "error: the process that runs the reporting hooks has ended the run\n",
                error.internal,
            )
        except Exception as error:
            self._fail(error)

    def announce(self) -> None:
        """Send `collected`."""
        if self.controller is not None:
            control_run(self.announcement, self.controller)
        body = channel.memfd("rpytest-inventory", self.inventory)
        channel.send(
            self.conn, self.announcement.replace(inventory_len=len(self.inventory)), [body]
        )
        os.close(body)

    def _listen_to(self, controller: ControllerClient) -> None:
        controller.conn = self.conn.fileno()

        def taken(message: ControllerTaken) -> None:
            channel.send(
                self.conn, Taken(shouldstop=message.shouldstop, shouldfail=message.shouldfail)
            )

        controller.on_taken = taken

    # The loop

    def _serve(self) -> NoReturn:
        while True:
            poll = select.poll()
            poll.register(self.conn, select.POLLIN)
            if self.controller is not None:
                poll.register(self.controller.sock, select.POLLIN)
            for child in self.children:
                if not child.ended:
                    poll.register(child.pidfd, select.POLLIN)
                if child.talks:
                    poll.register(child.spec.host, select.POLLIN)
                if child.spec.stacks >= 0:
                    poll.register(child.spec.stacks, select.POLLIN)
            ready = {fd for fd, _ in poll.poll()}
            for child in self.children:
                if child.talks and child.spec.host.fileno() in ready:
                    self._answer(child)
                if child.spec.stacks in ready:
                    self.children.pass_on_stacks(child)
                if child.pidfd in ready:
                    self._reap(child)
            if self.controller is not None and self.controller.sock.fileno() in ready:
                self.controller.read_unsolicited()
            if self.conn.fileno() in ready:
                self._obey(*channel.receive(self.conn, HostRequest))

    def _obey(self, message: HostRequest, fds: list[int]) -> None:
        match message:
            case Go():
                (self.bell,) = fds
                self.slots, self.timings = message.slots, message.timings
                self._go(message.segment)
            case Spawn():
                self._spawn(message.slot, message.incarnation)
            case Interrupt():
                for child in self.children:
                    signal.pidfd_send_signal(child.pidfd, signal.SIGINT)
            case DebuggerMayBegin():
                asking = self.children.by_slot.get(message.slot)
                if asking is not None:
                    with contextlib.suppress(channel.Closed):
                        channel.send(asking.spec.host, Empty())
            case Crashed():
                self._crashed(message)
            case Reports():
                (fd,) = fds
                if self.controller is not None:
                    self.controller.reports(fd, message.len)
                os.close(fd)
            case Report():
                (fd,) = fds
                self._report(message, fd)
            case StopRun():
                if not self._finalize(message):
                    # Workers that are still there have finished, and are on their way out.
                    self._end(message.status)
            case _:
                raise ValueError(f"{message!r} is of no use to a host")

    # Workers

    def _go(self, segment: str) -> None:
        """Map the segment and fork the first workers, which inherit the mapping."""
        from rpytest import _native

        self.segment = _native.Segment.open(segment)
        # What was collected is no worker's to look through for garbage: that would copy the pages
        # it lies in. Shared fixtures come later.
        heap.freeze()
        self._start_controller()
        channel.send(self.conn, Attached(pid=os.getpid()))
        if self.shared is not None:
            message = self.shared.prepare(
                self.conn, self.segment.planned(), self.slots, self.timings, self._go_on
            )
            if self.shared.unanswered_request is not None:
                # The command line has asked this of the fork that has been the host.
                self._obey(*self.shared.unanswered_request)
                return
            self._tell_shared(message)
        self._spawn_first()

    def _go_on(self, message: Fixtures | None) -> NoReturn:
        """Go on as the host, in a fork that has set session fixtures up for all workers."""

        def serve() -> NoReturn:
            self._tell_shared(message)
            channel.send(self.conn, Attached(pid=os.getpid()))
            self._spawn_first()
            self._serve()

        self._end_after(serve)

    def _spawn_first(self) -> None:
        for slot in range(self.slots):
            self._spawn(slot, 0)

    def _tell_shared(self, message: Fixtures | None) -> None:
        """Tell the command line what was set up, and whether that has ended the run."""
        assert self.shared is not None and self.segment is not None
        if message is not None:
            channel.send(self.conn, message)
        if self.shared.stop is not None:
            self.segment.stop()
            channel.send(self.conn, self.shared.stop)

    def _finalize(
        self,
        request: HostRequest,
        fds: Sequence[int] = (),
        has_run: Collection[int] | None = None,
        failures: int = 0,
    ) -> list[tuple[int, bytes]]:
        """After the last worker: end what was shared."""
        if self.shared is None:
            return []
        every_report = self.controller is not None and self.controller.wants_reports
        records = self.shared.finalize(every_report, request, fds, has_run, failures)
        notes, self.shared.unassigned = self.shared.unassigned, []
        if notes:
            channel.send(self.conn, Fixtures(notes=notes))
        stop, self.shared.stop = self.shared.stop, None
        for number, (test, body) in enumerate(records, 1):
            fd = channel.memfd("rpytest-record", body)
            channel.send(
                self.conn, Record(test=test, len=len(body), more=number < len(records)), [fd]
            )
            os.close(fd)
        if stop is not None:
            channel.send(self.conn, stop)
            self.interruption = stop
        return records

    def _start_controller(self) -> None:
        """The run begins: tell the controller what it consists of."""
        if self.controller is not None:
            self.controller.collected(self.collection_log, self.slots)

    def _spawn(self, slot: int, incarnation: int) -> None:
        spill = os.memfd_create(f"rpytest-spill-{slot}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        # A test may truncate whatever is open.
        fcntl.fcntl(spill, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        stack = os.memfd_create(f"rpytest-crash-{slot}", os.MFD_CLOEXEC)
        ours, theirs = channel.pair()
        spec = WorkerSpec(slot, incarnation, self.slots, self.uid, self.bell, spill, stack, ours)
        if self.controller is not None:
            if incarnation > 0:
                self.controller.replaced(slot, incarnation)
            spec.input = self.controller.inputs[slot]
            spec.every_report = self.controller.wants_reports
            spec.is_live, spec.wants_ids = self.controller.is_live, self.controller.wants_ids
        spec.timings = self.timings
        if self.shared is not None:
            spec.outputs = self.shared.outputs
            spec.shared = [definition for definition, _ in self.shared.set_up]
        self._forked(self.children.fork(spec, theirs, self._be_worker))

    def _be_worker(self, spec: WorkerSpec) -> NoReturn:
        """Leave the host's frames in a forked worker, and go back to the session's."""
        if self.controller is not None:
            self.controller.close()
        assert self.segment is not None
        raise WorkerForked(spec, self.segment)

    def _forked(self, child: Child) -> None:
        """A worker was forked; the command line hears of it at once."""
        self.children.announce(child)

    def _reap(self, child: Child) -> None:
        self.children.reap(child)

    def _answer(self, child: Child) -> None:
        try:
            message, fds = channel.receive(child.spec.host, WorkerRequest)
            self._heard(child, message, fds)
        except (channel.Closed, OSError, ValueError, KeyError):
            # The worker's end of the socket is closed, or a test has written nonsense to it; the
            # pidfd tells the rest.
            child.talks = False
            # A worker that waits for an answer goes on.
            child.spec.host.close()

    def _heard(self, child: Child, message: WorkerRequest, fds: list[int]) -> None:
        """Answer a worker's request."""
        channel.close_all(fds)
        match message:
            case BaseTemp():
                try:
                    answer = BaseTempAnswer(path=str(self.services.base_temp()))
                except OSError as error:
                    answer = BaseTempAnswer(error=str(error))
                except channel.Closed:
                    # Asked of a process that was killed.
                    answer = BaseTempAnswer(
                        error="the process that knows the run's base temp directory died"
                    )
                channel.send(child.spec.host, answer)
            case Waits():
                text = (
                    f"[worker {child.spec.slot}] has run its tests and waits for "
                    f"{message.text}\n{_HINT}"
                )
                channel.send(self.conn, Notice(text=text, slot=child.spec.slot))
            case WorkerDebugger():
                # The command line answers when it has let go of the terminal.
                channel.send(self.conn, DebuggerWanted(slot=child.spec.slot, active=message.active))
            case _:
                raise ValueError(f"{message!r} is no request of a worker of this host")

    # Answers

    def _crashed(self, crashed: Crashed) -> None:
        slot = crashed.slot
        if self.controller is not None and self.controller.handles_crashes and crashed.in_flight:
            verdict = self.controller.crashed(crashed)
            crashed.outcome, crashed.message = verdict.outcome, verdict.message
            crashed.attributes, crashed.again = verdict.attributes, verdict.again
        kept = self.children.kept.get(slot, b"") if crashed.in_flight and not crashed.again else b""
        body = self.services.crashed(crashed, self.children.stacks.get(slot, ""), kept)
        fd = channel.memfd("rpytest-record", body)
        channel.send(self.conn, Record(test=crashed.test, len=len(body), again=crashed.again), [fd])
        os.close(fd)

    def _report(self, report: Report, fd: int) -> None:
        bodies: bytes | memoryview = channel.map_all(fd, report.len)
        began = time.monotonic()
        # A run that has passed is not reported: without a report, every test has a result.
        ran_in = {
            test: (slot, incarnation)
            for test, _, kind, slot, incarnation, _ in split_bodies(memoryview(bodies))
            if kind == ring_records.TEST
        }
        if self.shared is not None and report.status != 0:
            # Hints about tests that have failed; they come before the finalizers, which say what
            # they have to say themselves.
            report.suspects = self.shared.suspects(bodies)
        records = self._finalize(report, [fd], set(ran_in), report.failures)
        os.close(fd)
        for test, body in records:
            head = BODY_HEAD.pack(test, 0, ring_records.TEST, *ran_in.get(test, (0, 0)), len(body))
            bodies = b"".join((bodies, head, body))
            if report.status == 0 and ring_records.decode_test(memoryview(body), False).reports:
                report.status = 1
        if self.interruption is not None and report.status in (0, 1):
            # The command line did not know yet when it asked.
            _interrupt(report, self.interruption)
        report.duration += time.monotonic() - began
        properties: list[Any] = []
        if self.controller is None:
            status, text = self.services.report(report, bodies)
        else:
            # pytest's cache is this side's.
            self.services.report(report.replace(cache_only=True), bodies)
            status, text, properties = self.controller.conclude(report, bodies[report.streamed :])
            # The controller ends now, which is no news.
            self.controller.close()
            self.controller = None
        data = text.encode("utf-8", "backslashreplace")
        answer = channel.memfd("rpytest-summary", data)
        channel.send(
            self.conn, Summary(status=status, len=len(data), properties=properties), [answer]
        )
        os.close(answer)

    # Ends

    def _end(self, status: int) -> NoReturn:
        self._finish(status)
        # The command line waits for the end of this connection, and the end of a large process
        # takes a while.
        self.conn.close()
        # A reader of this process's output must not wait for that either.
        takeover.detach_streams()
        self.children.kill()
        self.at_end()
        lifecycle.exit_now(0)

    def _finish(self, status: int, is_waited_for: bool = True) -> None:
        if self.shared is not None:
            # The run ends in another way than by `stop`.
            self.shared.finalize(False)
        try:
            self.services.finish(status)
        except Exception as error:
            # Every test has its result: what else pytest keeps of a run is not worth losing that.
            sys.stderr.write(
                "warning: pytest's cache or temporary directories could not be updated: "
                f"{_describe(error)}\n"
            )
        exit_functions.run_exit_functions(
            self._tell_what_is_waited_for, self.conn if is_waited_for else None
        )

    def _tell_what_is_waited_for(self, text: str) -> None:
        """Called from another thread."""
        with contextlib.suppress(channel.Closed, OSError):
            text = f"the run's host process waits for {text}\n{_HINT}"
            channel.send(self.conn, Notice(text=text))

    def _fail(self, error: Exception) -> NoReturn:
        """A mistake of ours, or of a plugin at the summary: say so, pytest must not take it for one
        of its own.
        """
        self.children.kill()
        text = f"error: the run's host process failed: {_describe(error)}\n"
        text += "".join(traceback.format_exception(error))
        if self.shared is not None:
            with contextlib.suppress(Exception):
                self.shared.finalize(False)
        with contextlib.suppress(channel.Closed, OSError):
            channel.send(self.conn, Exit(status=3, err=text))
        lifecycle.run_exit_functions()
        lifecycle.exit_now(1)

    def _give_up_run(self, status: int, text: str, internal: str = "") -> NoReturn:
        """End the run because of an error that is somebody else's; ``internal``: an exception in a
        hook, for the junit file.
        """
        self.children.kill()
        with contextlib.suppress(channel.Closed, OSError):
            channel.send(self.conn, Exit(status=status, err=text, internal=internal))
        self._end(status)

    def _abandon(self) -> NoReturn:
        """The command line is gone: so is the run."""
        self.children.kill()
        if self.controller is not None:
            self.controller.kill()
        remove_segments_of(self.conn)
        self._finish(2, is_waited_for=False)
        lifecycle.exit_now(1)


def control_run(announcement: Collected, controller: ControllerClient) -> None:
    """Add to the `collected` message what a controller changes about a run."""
    options = announcement.options
    # The controller's hooks run at the end whether there is something to say or not.
    options.needs_report = options.controlled = True
    options.stream = controller.wants_reports
    options.silent = options.silent or controller.is_live
    if controller.header:
        announcement.header = controller.header + announcement.collection


def _interrupt(report: Report, stop: Stop) -> None:
    """Make of a request what the command line would have made of it, had it known of this."""
    is_exit = stop.why == ring_records.WHY_EXIT
    report.status = stop.status if stop.status >= 0 else 2
    report.interrupted = f"_pytest.outcomes.Exit: {stop.text}" if is_exit else stop.text
    report.location = "" if is_exit else stop.location


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
