"""A worker: takes tests from the segment, runs them with pytest, writes one record for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from _pytest.runner import call_and_report

from rpytest import stdlib
from rpytest.fixtures.closures import session_definitions
from rpytest.fixtures.setup_output import SetupOutputPlugin
from rpytest.fixtures.worker_finalizers import WorkerFinalizers
from rpytest.ipc import channel, ring_records
from rpytest.ipc.process_messages import BaseTemp, BaseTempAnswer, Waits
from rpytest.process import heap, lifecycle, random_generators
from rpytest.pytest_compat.basetemp import use_basetemp
from rpytest.pytest_compat.hooks import third_party_hooks
from rpytest.pytest_compat.known_plugins import prepare_worker
from rpytest.reports.encode import Encoder
from rpytest.reports.failure_text import interrupt_location
from rpytest.reports.junit import CollectingXML
from rpytest.reports.recorded_warnings import encode_warning
from rpytest.stdlib import contextlib, os, time
from rpytest.worker import exit_functions, live_log
from rpytest.worker.crash_file import CrashFile
from rpytest.worker.debugger import Debugger
from rpytest.worker.spec import WorkerSpec
from rpytest.xdist_compat import worker_identity

if TYPE_CHECKING:
    import warnings
    from pathlib import Path

    from rpytest import _native
    from rpytest.fixtures.setup_clocks import SessionClock, SetupClock
    from rpytest.worker.live_log import LiveLog

__builtins__ = stdlib.BUILTINS

_UNKNOWN = -2
_NOTHING = -1

#: Seconds that a fresh worker is reckoned to take at least: the end of one session and the
#: beginning of another. By some milliseconds any worker is late now and then, because it did not
#: get a processor; nothing is to be set up once more for that.
_LEAST_FORK = 0.05


class Worker:
    """Runs the claimed tests inside `pytest_runtestloop`, then says goodbye."""

    def __init__(self, spec: WorkerSpec, segment: _native.Segment) -> None:
        from rpytest import _native

        self.spec = spec
        self.native = _native.Worker(segment, spec.slot, spec.incarnation, spec.bell, spec.spill)
        self.config: pytest.Config
        self.session: pytest.Session
        self.encoder: Encoder
        self.xml: CollectingXML | None = None
        self.index = _NOTHING
        self.following = _NOTHING
        self.claims_early = False
        self.crash_file = CrashFile(spec.crash)
        self.reports: list[pytest.TestReport] = []
        self.warnings: list[bytes] = []
        #: Live logs, if they are switched on.
        self.live: LiveLog | None = None
        #: Names of the session fixtures that this worker does not make.
        self.shared = frozenset(definition.argname for definition in spec.shared)
        self.clock: SetupClock | SessionClock | None = None
        #: Seconds that a fresh worker in the place of this one would take to get as far: session
        #: fixtures included.
        self.fork_cost = 0.0
        #: What this process had before its first test.
        self.footprint: ResourceFootprint | None = None

    # Life

    def configure(
        self, config: pytest.Config, session: pytest.Session, xml: CollectingXML | None
    ) -> None:
        """Make the (forked) configuration this worker's own."""
        random_generators.observe_no_longer()
        self.config, self.session, self.xml = config, session, xml
        spec = self.spec
        worker_identity.set_environment(spec.name, spec.count, spec.uid)
        workerinput: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]
        workerinput.update(
            spec.input, workerid=spec.name, workercount=spec.count, testrunuid=spec.uid
        )
        prepare_worker(config, spec.name, spec.input)
        use_basetemp(config, self._basetemp)
        self.claims_early = bool(
            third_party_hooks(config, "pytest_runtest_protocol", "nextitem")
            or third_party_hooks(config, "pytest_runtest_teardown", "nextitem")
        )
        self.encoder = Encoder(config, xml, spec.every_report)
        self.live = live_log.install(config, self._log)
        reporter: Any = config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            reporter._tw._file = self.crash_file
        debugger = Debugger(spec)
        debugger.install()
        config.pluginmanager.register(debugger, "rpytest-debugger")
        config.pluginmanager.register(self, "rpytest-worker")
        self._measure_setups()
        if spec.outputs:
            config.pluginmanager.register(
                SetupOutputPlugin(self, spec.outputs), "rpytest-setup-output"
            )
        if spec.shared:
            config.pluginmanager.register(WorkerFinalizers(spec.shared), "rpytest-added")
        # Being registered, a plugin hears of all warnings so far: those of collection have been
        # reported by the session.
        self.warnings.clear()
        self._replace_protocol()

    def run(self) -> None:
        """Run claimed tests until there are none; ends early as pytest's own loop does."""
        hook = self.config.hook.pytest_runtest_protocol
        native = self.native
        self.footprint = ResourceFootprint()
        # The end of this session takes about as long as its beginning did.
        self._add_fork_cost(max(_LEAST_FORK, 2 * (time.monotonic() - self.spec.forked)))
        try:
            current = native.claim()
            if current == _NOTHING:
                current = native.linger()
            while current != _NOTHING:
                self.index = current
                self.following = native.claim() if self.claims_early else _UNKNOWN
                native.begin(current)
                hook(
                    item=self._item(current),
                    nextitem=self._item(self.following) if self.following >= 0 else None,
                )
                self._commit()
                if self.session.shouldfail:
                    self._stop(ring_records.WHY_SHOULDFAIL, -1, str(self.session.shouldfail))
                    raise self.session.Failed(self.session.shouldfail)
                if self.session.shouldstop:
                    self._stop(ring_records.WHY_SHOULDSTOP, -1, str(self.session.shouldstop))
                    raise self.session.Interrupted(self.session.shouldstop)
                current = self._next()
                if current == _NOTHING:
                    # Everything is torn down and recorded; what others have left may still become
                    # worth it.
                    current = native.linger()
            self.index = _NOTHING
        except pytest.exit.Exception as error:
            self._commit_call()
            status = -1 if error.returncode is None else error.returncode
            self._stop(ring_records.WHY_EXIT, status, str(error.msg))
            raise
        except (self.session.Interrupted, self.session.Failed):
            raise
        except KeyboardInterrupt:
            self._commit_call()
            self._stop(ring_records.WHY_INTERRUPT, -1, "KeyboardInterrupt", interrupt_location())
            raise
        except BaseException:
            # The exception has escaped from a hook, and pytest reports it; what the test has come
            # to is known.
            if any(report.when == "call" or report.outcome != "passed" for report in self.reports):
                self._commit()
            raise

    def finish(self, exitstatus: int) -> NoReturn:
        """Write the last record, run what this process registered for its end, and leave."""
        properties: list[tuple[str, str]] = []
        if self.xml is not None:
            properties = [(str(name), str(value)) for name, value in self.xml.global_properties]
        output = ring_records.dump(self.config.workeroutput)  # type: ignore[attr-defined]
        exit_functions.run_exit_functions(self._tell_what_is_waited_for)
        heap.flush_files()
        self.native.idle()
        holds = self.footprint is None or self.footprint.have_grown()
        self.native.push(
            ring_records.BYE,
            0,
            ring_records.NO_TEST,
            ring_records.bye(exitstatus, properties, self.warnings, output, holds),
            True,
        )
        lifecycle.exit_now(0)

    def _tell_what_is_waited_for(self, text: str) -> None:
        """Called from another thread."""
        with contextlib.suppress(channel.Closed, OSError):
            channel.send(self.spec.host, Waits(text=text))

    def abort(self, status: int) -> NoReturn:
        """Leave without a goodbye: something escaped from pytest, so this session was not
        finished.
        """
        exit_functions.run_exit_functions(self._tell_what_is_waited_for)
        lifecycle.exit_now(status)

    def _basetemp(self) -> Path:
        """The worker's own directory, `popen-gwN`, in the run's base directory, which the host
        knows.

        Who follows it in its place has another one: what the tests before have left is there for
        people to look at, and names are free.
        """
        from pathlib import Path

        spec = self.spec
        channel.send(spec.host, BaseTemp())
        answer, _ = channel.receive(spec.host, BaseTempAnswer)
        if answer.path is None:
            raise OSError(answer.error)
        follower = f"-{spec.incarnation}" if spec.incarnation else ""
        return Path(answer.path) / f"popen-{spec.name}{follower}"

    # The loop's parts

    def _item(self, number: int) -> pytest.Item:
        items = self.session.items
        # Under `--dist each` every worker has its own numbers.
        return items[number % len(items)]

    def _next(self) -> int:
        if self.following == _UNKNOWN:
            self.following = self.native.claim()
        return self.following

    def _commit(self) -> None:
        self._leave_if_foreign()
        reports, self.reports = self.reports, []
        recorded, self.warnings = self.warnings, []
        if self.live is not None:
            # What other threads have logged.
            self.live.flush()
        flags, body, urgent = self.encoder.test(reports, recorded)
        if self.clock is not None:
            setups = self.clock.take()
            if setups:
                own = [
                    duration
                    for name, scope, _, _, duration, _ in setups
                    if scope == "session" and name not in self.shared
                ]
                # Their finalizers take some time as well.
                self._add_fork_cost(1.5 * sum(own))
                flags |= ring_records.SETUPS
                body += ring_records.setups(setups)
        self.native.push(ring_records.TEST, flags, self.index, body, urgent)
        if self.crash_file.dirty:
            self.crash_file.forget()
        self.index = _NOTHING

    def _add_fork_cost(self, seconds: float) -> None:
        if seconds > 0:
            self.fork_cost += seconds
            self.native.set_fork_cost(int(self.fork_cost * 1e6))

    def _leave_if_foreign(self, status: int = 1) -> None:
        """End a child that a test has forked and that came back from it: it must not be a second
        worker.
        """
        if lifecycle.is_foreign():
            lifecycle.flush_streams()
            lifecycle.exit_now(status)

    def _commit_call(self) -> None:
        """Interrupted in its teardown, a test has its result all the same, as under pytest."""
        if any(report.when == "call" for report in self.reports):
            self._commit()

    def _log(self, text: str) -> None:
        test = self.index if self.index >= 0 else ring_records.NO_TEST
        self.native.push(ring_records.LOG, 0, test, ring_records.log(text), True)

    def _stop(self, why: int, status: int, text: str, location: str = "") -> None:
        self._leave_if_foreign()
        self.native.stop()
        test = self.index if self.index >= 0 else ring_records.NO_TEST
        self.native.push(
            ring_records.STOP, 0, test, ring_records.stop(why, status, text, location), True
        )

    def _measure_setups(self) -> None:
        if self.spec.timings:
            from rpytest.fixtures.setup_clocks import SetupClock

            self.clock = SetupClock()
            self.config.pluginmanager.register(self.clock, "rpytest-setups")
        elif definitions := session_definitions(self.session):
            from rpytest.fixtures.setup_clocks import SessionClock

            self.clock = SessionClock(definitions)

    def _replace_protocol(self) -> None:
        """Put ours in the place of pytest's own protocol: plugins that bring one come before it, as
        they should.
        """
        runner = self.config.pluginmanager.getplugin("runner")
        implementation: Any
        for implementation in self.config.hook.pytest_runtest_protocol.get_hookimpls():
            if implementation.plugin is runner:
                implementation.function = self._protocol

    def _protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """pytest's protocol, but the next test is claimed after the call phase.

        pytest must be told the next test before teardown, and no earlier: claimed at the start, it
        would wait behind a slow test while other workers are idle (pytest-xdist issue 339).
        """
        native = self.native
        hook = item.ihook
        # Tests outside of Python have no request object.
        node: Any = item
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        has_request = hasattr(item, "_request")
        if has_request and not node._request:
            node._initrequest()
        try:
            report = call_and_report(item, "setup")
            if report.passed:
                native.phase(1)
                report = call_and_report(item, "call")
                self._leave_if_foreign(0 if report.passed else 1)
            if not self.claims_early:
                # With a failure that ends the session everything is torn down, as at its end.
                ending = self.session.shouldfail or self.session.shouldstop
                self.following = _NOTHING if ending else native.claim()
                nextitem = self._item(self.following) if self.following >= 0 else None
            if kept := self.encoder.encode_kept(self.reports):
                self.crash_file.keep(kept)
            native.phase(2)
            call_and_report(item, "teardown", nextitem=nextitem)
        finally:
            if has_request:
                node._request = False
                node.funcargs = None
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    # Hooks

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reports of the running test: first, as pytest's terminal and junit file have
        what a conftest's hook then raises about.
        """
        self.reports.append(report)

    @pytest.hookimpl
    def pytest_warning_recorded(
        self,
        warning_message: warnings.WarningMessage,
        when: str,
        nodeid: str,
        location: tuple[str, int, str] | None,
    ) -> None:
        """Keep the warnings of the running test (or, outside of tests, of the session's end)."""
        self.warnings.append(encode_warning(warning_message, when, nodeid, location))

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: object) -> bool:
        """Send an exception that escaped from a hook to the command line, which prints it as pytest
        does.
        """
        self._stop(ring_records.WHY_INTERNAL, 3, str(excrepr))
        return True


class ResourceFootprint:
    """What a process gives back only when it is gone: somebody may want the port, the lock or the
    memory as soon as the command has ended.
    """

    #: Pages by which a process may have grown until its end takes noticeably long.
    _GROWTH = (32 << 20) // os.sysconf("SC_PAGESIZE")

    def __init__(self) -> None:
        self._files = frozenset(os.listdir("/proc/self/fd"))
        self._pages = self._resident()

    def have_grown(self) -> bool:
        """Whether there are files, threads, or a lot of memory that were not there in the
        beginning.
        """
        try:
            return (
                not self._files.issuperset(os.listdir("/proc/self/fd"))
                or len(os.listdir("/proc/self/task")) > 1
                or self._resident() - self._pages > self._GROWTH
            )
        except Exception:
            # A project may have put anything in the place of these functions.
            return True

    @staticmethod
    def _resident() -> int:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read(100).split()[1])
