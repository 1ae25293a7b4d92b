"""pytest's own text at the end of a run.

The command line counts and streams; what only pytest can say (failures with tracebacks, warnings,
the short summary, what hooks add) is written by its own terminal reporter, in the host: the reports
are replayed into it, then it is asked for its summary.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

from rpytest import stdlib
from rpytest.ipc import ring_records
from rpytest.ipc.run_messages import Crashed
from rpytest.pytest_compat import known_plugins
from rpytest.pytest_compat.cache_plugins import Cache, not_a_worker
from rpytest.reports.decode import decode_report, split_bodies
from rpytest.reports.encode import Encoder, needs_every_report
from rpytest.reports.recorded_warnings import decode_warning
from rpytest.reports.terminal import Terminal, test_verbosity
from rpytest.stdlib import time, traceback
from rpytest.xdist_compat.nodes import Gateway, Spec

__builtins__ = stdlib.BUILTINS


class Summary:
    """Replays a run into pytest's terminal reporter."""

    def __init__(self, config: pytest.Config, session: pytest.Session, terminal: Terminal) -> None:
        self.config = config
        self.session = session
        self.terminal = terminal
        self.cache = Cache(config)

    def restart_clock(self) -> None:
        """Let the duration in the final line begin now (a reused session was started long ago)."""
        self.terminal.restart_clock()

    def crashed(self, crashed: Crashed, stack: str, kept: bytes, encoder: Encoder) -> bytes:
        """Make the record of a test that ended without a result.

        ``kept``: reports of its other phases, if not all of them had passed. A test whose worker
        died in the teardown had passed by then, or been skipped: that counts, too, as with an error
        in the teardown in pytest, and with such a death in pytest-xdist. A failure before is shown
        with this one. In the junit file it is one test.
        """
        item = self._item(crashed.test)
        report = self._report(item, "call", crashed.outcome, crashed.message, 0.0, crashed.duration)
        vars(report).update(crashed.attributes)
        before = []
        for data in ring_records.load(kept) if kept else ():
            earlier = decode_report(self.config, data)
            if earlier.outcome == "failed":
                report.sections += [
                    (f"Failure before, in its {earlier.when}", earlier.longreprtext),
                    *earlier.sections,
                ]
            else:
                before.append(earlier)
        if stack:
            report.sections.append(("Captured stack of the worker", stack))
        if crashed.when == "teardown" and crashed.in_flight and not kept and not crashed.again:
            before = [self._report(item, "call", "passed", None, time.time(), 0.0)]
        _, body, _ = encoder.test([*before, report], (), junit_reports=[report])
        return body

    def replay(self, bodies: memoryview, cache_only: bool = False) -> None:
        """Feed the records of a run, `BODY_HEAD` and body one after the other, to the reporter's
        hooks.

        ``cache_only``: the text is another process's, this is for pytest's cache.
        """
        reporter = self.terminal.reporter
        everything = self.cache.has_failures() or (
            not cache_only and needs_every_report(self.config)
        )
        counts: Counter[str] = Counter()
        # Records are read in collection order, which is the order of a serial run.
        for test, flags, kind, slot, _, body in sorted(
            split_bodies(bodies), key=lambda record: record[0]
        ):
            if kind != ring_records.TEST:
                for blob in ring_records.decode_warnings(body):
                    self.add_warning(blob)
                continue
            plain = bool(flags & ring_records.PLAIN)
            if plain and not everything:
                counts["passed"] += 1
                continue
            self._replay_test(
                reporter, test, slot, ring_records.decode_test(body, plain), everything, counts
            )
        self.terminal.add_passed(counts)
        self.terminal.take()

    def add_deselected(self, count: int) -> None:
        """Count tests that other shards run."""
        self.terminal.add_deselected(count)

    def _item(self, number: int) -> pytest.Item:
        items = self.session.items
        # Under `--dist each` every worker has its own numbers.
        return items[number % len(items)]

    def _replay_test(
        self,
        reporter: TerminalReporter | None,
        test: int,
        slot: int,
        decoded: ring_records.Decoded,
        everything: bool,
        counts: Counter[str],
    ) -> None:
        item = self._item(test)
        labels = has_labels(self.config)
        for when, start, duration, category, blob in decoded.reports:
            name = ring_records.WHEN_NAMES[when]
            if blob:
                report = decode_report(self.config, ring_records.load(blob))
            elif everything and (category == "passed" or (not category and name != "call")):
                report = self._report(item, name, "passed", None, start, duration)
            else:
                if category:
                    counts[category] += 1
                continue
            if reporter is not None:
                reporter.pytest_runtest_logreport(report)
            if labels:
                # pytest then says above a failure which worker it was in.
                report.node = _Node(slot)  # type: ignore[attr-defined]
            self.cache.report(report)
        for blob in decoded.warnings:
            self.add_warning(blob)

    def add_warning(self, blob: bytes) -> None:
        """Show a warning that a worker recorded."""
        if self.terminal.reporter is not None:
            message, _when, nodeid, _location = decode_warning(blob)
            self.terminal.reporter.pytest_warning_recorded(warning_message=message, nodeid=nodeid)

    def _report(
        self,
        item: pytest.Item,
        when: Any,
        outcome: Any,
        longrepr: Any,
        start: float,
        duration: float,
    ) -> pytest.TestReport:
        return pytest.TestReport(
            item.nodeid,
            item.location,
            dict.fromkeys(item.keywords, 1),
            outcome,
            longrepr,
            when,
            (),
            duration,
            start,
            start + duration,
        )

    def text(
        self, status: int, interrupted: str | None, location: str, stop: str | None
    ) -> tuple[int, str]:
        """Return the exit status that pytest ends with, and everything it prints after the last
        test.
        """
        with not_a_worker(self.config):
            return self._text(status, interrupted, location, stop)

    def _text(
        self, status: int, interrupted: str | None, location: str, stop: str | None
    ) -> tuple[int, str]:
        session, reporter = self.session, self.terminal.reporter
        session.exitstatus = _exit_code(status)
        session.shouldfail = stop or False
        if reporter is None:
            return status, ""
        if interrupted is not None:
            reporter._keyboardinterrupt_memo = Interruption(interrupted, location)  # type: ignore[assignment]
        elif status == 2:
            reporter._keyboardinterrupt_memo = Interruption("KeyboardInterrupt", "")  # type: ignore[assignment]
        known_plugins.mute_summaries(self.config, reporter.stats)
        _index_teardowns(reporter)
        finish: Any = reporter.pytest_sessionfinish(session=session, exitstatus=session.exitstatus)
        # A hook wrapper, old style or new: one step before the other plugins' hooks, one after.
        next(finish)
        try:
            finish.send(_NoResult())
        except StopIteration:
            pass
        except pytest.exit.Exception as error:
            # As in `_pytest.main.wrap_session`.
            if error.returncode is not None:
                session.exitstatus = error.returncode
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        except SystemExit as error:
            # Never green: pytest, too, has a status of its own then.
            return _exit_status(error) or int(session.exitstatus), self.terminal.take()
        except BaseException as error:
            # A hook's: pytest would end with a traceback, and the interpreter with this status.
            trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
            traceback.print_exception(type(error), error, trace)
            is_interrupt = isinstance(error, KeyboardInterrupt)
            return 130 if is_interrupt else 1, self.terminal.take()
        # The reason of an interruption with an exit status of its own
        # (`pytest.exit(…, returncode=7)`) comes at the very end.
        reporter.pytest_unconfigure()
        return int(session.exitstatus), self.terminal.take()


def _exit_status(error: SystemExit) -> int:
    """What the interpreter makes of it (`handle_system_exit` in CPython's `pythonrun.c`)."""
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return 1


def _index_teardowns(reporter: TerminalReporter) -> None:
    """Let the reporter find the teardown of a test that has failed without looking through the
    reports of all tests.

    It looks for the sections to show with a failure (`TerminalReporter._get_teardown_reports`):
    with 20,000 failures that took longer than all the rest of a run together.
    """
    original: Any = getattr(TerminalReporter, "_get_teardown_reports", None)
    if original is None or getattr(type(reporter), "_get_teardown_reports", None) is not original:
        return
    known: dict[str, list[Any]] = {}
    counted = -1

    def teardowns(nodeid: object) -> list[Any]:
        nonlocal counted
        reports = reporter.stats.get("", ())
        if len(reports) != counted:
            counted = len(reports)
            known.clear()
            for report in reporter.getreports(""):
                if report.when == "teardown":
                    known.setdefault(report.nodeid, []).append(report)
        return known.get(str(nodeid), [])

    vars(reporter)["_get_teardown_reports"] = teardowns


class _Node:
    """A worker as pytest's failure sections know it, and hooks that ask a report for its worker's
    name.
    """

    def __init__(self, slot: int) -> None:
        self._workerinfocache = worker_line(slot)
        self.gateway = Gateway(Spec(f"gw{slot}"))


def has_labels(config: pytest.Config) -> bool:
    """Whether each failure says which worker it was in, as the lines of the tests do: where a test
    has several results, and under `-v`. Else the sections are plain pytest's.
    """
    return bool(config.option.rpytest_dist == "each") or test_verbosity(config) > 0


def worker_line(slot: int) -> str:
    """What pytest writes about a worker above a failure, with our label."""
    version = ".".join(map(str, sys.version_info[:3]))
    return f"[worker {slot}] {sys.platform} -- Python {version} {sys.executable}"


def _exit_code(status: int) -> int | pytest.ExitCode:
    try:
        return pytest.ExitCode(status)
    except ValueError:
        return status


class _NoResult:
    """What a hook wrapper of the old style expects from its `yield`."""

    def get_result(self) -> None:
        return None

    def force_result(self, result: object) -> None:
        pass


class Interruption:
    """Looks like the representation of the exception that ended the run."""

    def __init__(self, message: str, location: str) -> None:
        self.message = message
        self.location = location
        self.reprcrash = self

    def toterminal(self, writer: Any) -> None:
        if self.location:
            path, _, line = self.location.rpartition(":")
            writer.write(path, bold=True, red=True)
            writer.line(f":{line}: {self.message}")
