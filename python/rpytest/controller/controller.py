"""The controller: a process in which pytest's main function runs as it does in pytest-xdist's
controller.

It is configured without ``workerinput``, collects nothing, and gets the reports of the workers from
the host. Hooks that act on the run as a whole (reports of all tests, terminal sections,
`pytest_sessionfinish` outside of workers, nodes) act here, once.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, NoReturn

import pytest
from _pytest.junitxml import xml_key

from rpytest.controller.base import ControllerStart
from rpytest.controller.ending import conclude
from rpytest.controller.summary_labels import summary_parts
from rpytest.fixtures import sharing_hints
from rpytest.ipc import channel, ring_records
from rpytest.ipc.process_messages import (
    CollectionTold,
    ControllerConfigured,
    ControllerEnded,
    ControllerEvent,
    ControllerTaken,
    ControllerText,
    CrashVerdict,
    MakeNode,
    NodeInput,
)
from rpytest.ipc.run_messages import ControllerRequest, Crashed, Report, Reports
from rpytest.process import heap, lifecycle, takeover
from rpytest.pytest_compat import known_plugins
from rpytest.pytest_compat.hooks import finish_session_without_tests, third_party_hooks
from rpytest.pytest_compat.output import restart_capture, restart_log_file
from rpytest.reports.decode import decode_report, split_bodies
from rpytest.reports.encode import shows_passed_tests
from rpytest.reports.junit import CollectingXML, install_junit
from rpytest.reports.recorded_warnings import decode_warning
from rpytest.reports.summary import Interruption
from rpytest.reports.terminal import Terminal, replaces_terminal
from rpytest.xdist_compat.nodes import NodeManager, WorkerNode

#: pytest keeps its cache in the host, which knows the items.
_CACHE_PLUGINS = ("lfplugin", "nfplugin", "stepwiseplugin")

#: Hooks to which the reports of passed tests matter, too.
_REPORT_HOOKS = (
    "pytest_runtest_logstart",
    "pytest_runtest_logreport",
    "pytest_runtest_logfinish",
    "pytest_terminal_summary",
    "pytest_report_teststatus",
    "pytest_sessionfinish",
    "pytest_unconfigure",
)

_NOT_TERMINATED = "Not properly terminated"


class Controller:
    """Hooks and loop of a controller. Registered under pytest-xdist's name for the same,
    ``dsession``.
    """

    def __init__(
        self, start: ControllerStart, workers: int, uid: str, arguments: list[str]
    ) -> None:
        self.sock = start.sock
        self.start = start
        self.uid = uid
        self.workers = workers
        self.arguments = arguments
        self.config: pytest.Config
        self.terminal: Terminal
        self.manager: NodeManager
        #: The workers' nodes, by slot and incarnation.
        self.nodes: dict[tuple[int, int], WorkerNode] = {}
        #: Nobody waits for an answer any more.
        self.is_forsaken = False
        self.is_live = False
        self.wants_reports = False
        #: Configuring has ended, and the other side knows.
        self.is_ready = False
        #: The request to which the end of this process is the answer.
        self.last: Report | None = None
        self.interruption: Interruption | None = None
        #: Takes properties for the junit file.
        self.xml: CollectingXML | None = None
        #: The exception that has escaped from a hook, with its traceback.
        self.internal = ""
        #: Node ids by number, where they are needed.
        self.ids: list[str] = []
        #: The test that `pytest_handlecrashitem` is asked about, and whether it called
        #: `mark_test_pending`.
        self.crashing = ""
        self.again = False
        #: Number of the test by identity of its report.
        self.numbers: dict[int, int] = {}

    # Becoming one

    def enter(self, config: pytest.Config) -> None:
        """Take over the run's streams and give the options the values that they have in a
        controller.
        """
        self.config = config
        takeover.adopt_streams(self.start.streams)
        if self.start.message.env is not None:
            takeover.adopt_noise(self.start.message.env)
        restart_capture(config)
        option = config.option
        option.numprocesses = self.workers
        option.tx = ["popen"] * self.workers
        if option.dist == "no":
            option.dist = "load"
        known_plugins.prepare_controller(config)
        config.pluginmanager.register(self, "dsession")
        for part in summary_parts(self):
            config.pluginmanager.register(part)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """After pytest's own plugins: take those out whose work is done elsewhere."""
        self.terminal = Terminal(config)
        manager = config.pluginmanager
        for name in _CACHE_PLUGINS:
            plugin = manager.getplugin(name)
            if plugin is not None:
                manager.unregister(plugin)
        xml = config.stash.get(xml_key, None)
        if xml is not None:
            # The file is the command line's; there is one for those who add properties to it.
            manager.unregister(xml)
            self.xml = install_junit(config, writes_file=False)
        # Workers write to it at the same time.
        restart_log_file(config)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Make the nodes, and tell what the workers need."""
        config, hook = session.config, session.config.hook
        manager = self.manager = NodeManager(config, self.workers, self.uid)
        hook.pytest_xdist_setupnodes(config=config, specs=manager.specs)
        for slot in range(self.workers):
            self.nodes[slot, 0] = self._node(slot)
        self.is_live = replaces_terminal(config)
        self.wants_reports = (
            self.is_live
            or shows_passed_tests(config)
            or any(
                known_plugins.wants_reports(implementation)
                for name in _REPORT_HOOKS
                for implementation in third_party_hooks(config, name)
            )
        )
        if self.is_live:
            self.terminal.release()
            self.terminal = Terminal(config, redirect=False)
        elif self.terminal.reporter is not None:
            # Progress is the command line's.
            self.terminal.reporter._show_progress_info = False
        if third_party_hooks(config, "pytest_xdist_make_scheduler"):
            raise pytest.UsageError(
                "a plugin or conftest has a scheduler of its own "
                "(`pytest_xdist_make_scheduler`), which can't be obeyed; hint: remove it, "
                "`--dist` and the mark `xdist_group` say what stays together"
            )
        inputs = ring_records.dump([node.workerinput for node in self.nodes.values()])
        self.is_ready = True
        try:
            self._send(self._description(config), inputs)
        except channel.Closed:
            finish_session_without_tests(session)
            lifecycle.exit_now(0)

    def _description(self, config: pytest.Config) -> ControllerConfigured:
        return ControllerConfigured(
            pid=os.getpid(),
            header="" if self.is_live else self.terminal.take(),
            live=self.is_live,
            wants_reports=self.wants_reports,
            handles_crashes=bool(third_party_hooks(config, "pytest_handlecrashitem")),
            wants_ids=bool(
                third_party_hooks(config, "pytest_xdist_node_collection_finished")
                or third_party_hooks(config, "pytest_handlecrashitem")
            ),
        )

    def _node(self, slot: int) -> WorkerNode:
        node = WorkerNode(self.manager, slot, self.arguments)
        hook = self.config.hook
        hook.pytest_xdist_newgateway(gateway=node.gateway)
        hook.pytest_configure_node(node=node)
        return node

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> bool:
        """Nothing is collected here."""
        return True

    # The run

    def loop(self, session: pytest.Session) -> bool:
        """`pytest_runtestloop`: serve until the run is over, then end as pytest's own loop would
        have ended.
        """
        try:
            return self._serve(session)
        except channel.Closed:
            # While it waited, or while it answered: who has given it up reports by itself, and
            # wants no word of it.
            self.is_forsaken = True
            self.interruption = Interruption("the run was given up", "")
            self.terminal.silence()
            raise KeyboardInterrupt from None

    def _serve(self, session: pytest.Session) -> bool:
        """Do as the command line asks until it sends the report; raises `Closed` when it is
        gone.
        """
        while True:
            message, fds = channel.receive(self.sock, ControllerRequest)
            match message:
                case CollectionTold() | Reports() | Report():
                    data = channel.read_all(fds[0], message.len)
                case _:
                    data = b""
            channel.close_all(fds)
            match message:
                case CollectionTold():
                    self._collected(session, message.slots, ring_records.load(data))
                case Reports():
                    self._replay(memoryview(data))
                    self._send(self._wishes(session), b"")
                case MakeNode():
                    node = self._node(message.slot)
                    self.nodes[node.slot, message.incarnation] = node
                    self._send(NodeInput(), ring_records.dump(node.workerinput))
                    self._ready(node)
                case Crashed():
                    self._crashed(message)
                case Report():
                    self.last = message
                    self._replay(memoryview(data))
                    return self._conclude(session, message)

    def _wishes(self, session: pytest.Session) -> ControllerTaken:
        """What hooks have asked for: the end of the run."""
        stop, fail = session.shouldstop, session.shouldfail
        return ControllerTaken(
            shouldstop=str(stop) if stop else None, shouldfail=str(fail) if fail else None
        )

    def _collected(self, session: pytest.Session, slots: int, news: dict[str, Any]) -> None:
        hook = self.config.hook
        session.testscollected = int(news["tests"])
        self.ids = news["ids"] or []
        for data in news["reports"]:
            report = hook.pytest_report_from_serializable(config=self.config, data=data)
            hook.pytest_collectreport(report=report)
        for blob in news["warnings"]:
            self._warning(blob)
        self.terminal.add_deselected(news["deselected"])
        if self.terminal.reporter is not None:
            self.terminal.reporter._numcollected = session.testscollected
        for node in list(self.nodes.values())[:slots]:
            self._ready(node)
            if third_party_hooks(self.config, "pytest_xdist_node_collection_finished"):
                hook.pytest_xdist_node_collection_finished(node=node, ids=self.ids)
        if not self.is_live:
            self.terminal.take()

    def _ready(self, node: WorkerNode) -> None:
        node.is_ready = True
        self.config.hook.pytest_testnodeready(node=node)

    def _down(self, node: WorkerNode, error: object | None) -> None:
        if node.is_ready and not node.is_down:
            node.is_down = True
            self.config.hook.pytest_testnodedown(node=node, error=error)

    def _replay(self, bodies: memoryview) -> None:
        """Feed records to the hooks, in the order in which they were written."""
        counts: dict[str, int] = {}
        for test, flags, kind, slot, incarnation, body in split_bodies(bodies):
            # What nobody ran is reported in the name of the first.
            node = self.nodes.get((slot, incarnation)) or self.nodes[slot, 0]
            if kind == ring_records.TEST:
                plain = bool(flags & ring_records.PLAIN)
                self._replay_test(node, test, ring_records.decode_test(body, plain), counts)
                continue
            for blob in ring_records.decode_warnings(body):
                self._warning(blob)
            node.workeroutput = ring_records.load(ring_records.decode_output(body))
            self._down(node, None)
        self.terminal.add_passed(counts)
        if not self.is_live:
            # Progress lines; the command line has its own.
            self.terminal.take()

    def _replay_test(
        self, node: WorkerNode, test: int, decoded: ring_records.Decoded, counts: dict[str, int]
    ) -> None:
        hook = self.config.hook
        first: pytest.TestReport | None = None
        for _when, _start, _duration, category, blob in decoded.reports:
            if not blob:
                if category:
                    counts[category] = counts.get(category, 0) + 1
                continue
            report = decode_report(self.config, ring_records.load(blob))
            if first is None:
                first = report
                hook.pytest_runtest_logstart(nodeid=report.nodeid, location=report.location)
            attributes: Any = report
            attributes.item_index = test
            self._log(node, report)
            self.numbers[id(report)] = test
        if first is not None:
            hook.pytest_runtest_logfinish(nodeid=first.nodeid, location=first.location)
        for blob in decoded.warnings:
            self._warning(blob)

    def _log(self, node: WorkerNode, report: pytest.TestReport) -> None:
        attributes: Any = report
        attributes.node = node
        attributes.worker_id = node.gateway.id
        attributes.testrun_uid = self.uid
        self.config.hook.pytest_runtest_logreport(report=report)

    def _warning(self, blob: bytes) -> None:
        message, when, nodeid, location = decode_warning(blob)
        self.config.hook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": message,
                "when": when,
                "nodeid": nodeid,
                "location": location,
            }
        )

    def _crashed(self, crashed: Crashed) -> None:
        """A worker has died in a test: plugins may look at it, change the outcome, and ask for
        another run.
        """
        # Under `--dist each` every worker has its own numbers.
        nodeid = self.ids[crashed.test % len(self.ids)]
        path = nodeid.partition("::")[0]
        when: Any = "???"
        where = (path, None, path)
        report: Any = pytest.TestReport(nodeid, where, {}, "failed", crashed.message, when)
        report.node = next(
            node for (slot, _), node in reversed(self.nodes.items()) if slot == crashed.slot
        )
        self.crashing, self.again = nodeid, False
        known = dict(vars(report))
        self.config.hook.pytest_handlecrashitem(crashitem=nodeid, report=report, sched=self)
        added = {
            name: value
            for name, value in vars(report).items()
            if name not in known and isinstance(value, (bool, int, float, str))
        }
        self._send(
            CrashVerdict(
                outcome=str(report.outcome),
                message=str(report.longrepr),
                attributes=added,
                again=self.again,
            ),
            b"",
        )

    def mark_test_pending(self, item: str) -> None:
        """As pytest-xdist's schedulers do: run the test once more. Only the test that
        `pytest_handlecrashitem` is called with can be named, while the hook runs.
        """
        if item != self.crashing:
            raise ValueError(
                f"`{item}` is not the test that a worker has died in, which is `{self.crashing}`"
            )
        self.again = True

    # The end

    def _conclude(self, session: pytest.Session, report: Report) -> bool:
        for node in self.nodes.values():
            self._down(node, _NOT_TERMINATED)
        # Tests of other shards.
        self.terminal.add_deselected(report.elsewhere)
        if report.interrupted is not None:
            self.interruption = Interruption(report.interrupted, report.location)
        sharing_hints.tell(session.config, report)
        conclude(session, report)
        return True

    @pytest.hookimpl
    def pytest_internalerror(self, excrepr: object) -> None:
        """The junit file has it as a case of its own."""
        self.internal = self.internal or str(excrepr)

    @pytest.hookimpl(trylast=True)
    def pytest_keyboard_interrupt(self) -> None:
        """Name the place where the interrupt happened, which is not in this process."""
        if self.interruption is not None and self.terminal.reporter is not None:
            self.terminal.reporter._keyboardinterrupt_memo = self.interruption  # type: ignore[assignment]

    def status_of_tests(self) -> int:
        """What the run would end with if no hook had a say."""
        return self.last.status if self.last is not None else int(pytest.ExitCode.INTERNAL_ERROR)

    def end(self, status: int) -> NoReturn:
        """pytest's main function has returned: answer with its status and text, and go."""
        if (
            self.last is not None
            and status == pytest.ExitCode.OK
            and self.last.status > pytest.ExitCode.TESTS_FAILED
        ):
            # Chosen by a hook in a worker.
            status = self.last.status
        text = ""
        if hasattr(self, "terminal"):
            if self.last is not None and not self.is_live:
                text = self.terminal.take()
            elif not self.is_forsaken:
                # pytest ended without being told to, and what it says is why.
                self.terminal.release()
        lifecycle.run_exit_functions()
        heap.flush_files()
        properties = (
            []
            if self.xml is None
            else [[str(name), str(value)] for name, value in self.xml.global_properties]
        )
        kind = ControllerEnded if self.last is None else ControllerText
        answer = kind(status=status, internal=self.internal, properties=properties)
        with contextlib.suppress(channel.Closed):
            self._send(answer, text.encode("utf-8", "backslashreplace"))
        lifecycle.exit_now(0)

    def _send(self, message: ControllerEvent, body: bytes) -> None:
        fd = channel.memfd("rpytest-answer", body)
        try:
            message.len = len(body)
            channel.send(self.sock, message, [fd])
        finally:
            os.close(fd)
