"""From pytest's reports of one test to the record that goes into the ring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rpytest import stdlib
from rpytest.ipc import ring_records
from rpytest.ipc.ring_records import Entry
from rpytest.pytest_compat import known_plugins
from rpytest.pytest_compat.hooks import third_party_hooks
from rpytest.reports import failure_text
from rpytest.reports.junit import CollectingXML
from rpytest.reports.serialization import to_serializable

__builtins__ = stdlib.BUILTINS

_PHASES = ["setup", "call", "teardown"]

#: What `pytest_report_teststatus` answers: category, letter, word, names of its colours separated
#: by commas.
Status = tuple[str, str, str, str]


def needs_every_report(config: pytest.Config) -> bool:
    """Whether pytest's text at the end is made from the reports of passed tests, too."""
    return bool(
        shows_passed_tests(config)
        or any(
            map(known_plugins.wants_reports, third_party_hooks(config, "pytest_terminal_summary"))
        )
        or third_party_hooks(config, "pytest_report_teststatus")
    )


def shows_passed_tests(config: pytest.Config) -> bool:
    """Whether options ask for passed tests in pytest's text at the end."""
    shown = getattr(config.pluginmanager.getplugin("terminalreporter"), "reportchars", "")
    return config.option.durations is not None or "p" in shown or "P" in shown


class Encoder:
    """Encodes the reports of one test at a time."""

    def __init__(
        self, config: pytest.Config, xml: CollectingXML | None, every_report: bool = False
    ) -> None:
        """``every_report``: somebody looks at the reports of passed tests, too, and has no items to
        make them from.
        """
        self.config = config
        self.xml = xml
        self._every_report = every_report
        self._ask_status = bool(third_party_hooks(config, "pytest_report_teststatus"))
        sample = pytest.TestReport("sample", ("sample", 0, "sample"), {}, "passed", None, "call")
        self._plain_keys = sample.__dict__.keys()
        terminal = config.pluginmanager.getplugin("terminalreporter")
        self._writer = getattr(terminal, "_tw", None)
        self._report_characters: str = getattr(terminal, "reportchars", "")
        self._xfail_tb = bool(getattr(config.option, "xfail_tb", False))
        self._keep_all = needs_every_report(config)
        #: A plugin may have put something into a passed test's report that it takes out again at
        #: the end.
        self._keep_additions = bool(third_party_hooks(config, "pytest_terminal_summary"))
        #: Nobody but pytest says how a report travels.
        self._is_ours = not any(
            third_party_hooks(config, f"pytest_report_{way}_serializable") for way in ("to", "from")
        )

    def is_plain(self, report: pytest.TestReport) -> bool:
        """Whether the report says no more than that its phase passed."""
        return (
            type(report) is pytest.TestReport
            and report.outcome == "passed"
            and not report.sections
            and not report.user_properties
            and report.__dict__.keys() == self._plain_keys
        )

    def encode_kept(self, reports: Sequence[pytest.TestReport]) -> bytes:
        """The reports that must not be lost if the worker dies in the test's teardown: none if all
        have passed, which goes without saying.
        """
        if not any(map(_tells, reports)):
            return b""
        # Subtests may have failed where the test itself has not: its own report is among them in
        # any case.
        kept = [
            report
            for report in reports
            if _tells(report) or (type(report) is pytest.TestReport and report.when == "call")
        ]
        return ring_records.dump([self._data(report) for report in kept])

    def test(
        self,
        reports: Sequence[pytest.TestReport],
        recorded: Sequence[bytes],
        junit_reports: Sequence[pytest.TestReport] | None = None,
    ) -> tuple[int, bytes, bool]:
        """Encode one test: record flags, body, and whether the command line should look at it at
        once.

        ``junit_reports``: those that the junit file is made from, if not all of them are.
        """
        plain = self._is_plain_test(reports, recorded)
        # Before anybody is asked for its status: pytest 9 makes a passed test with failed subtests
        # fail there, which `--maxfail` doesn't count.
        failures = [
            report.outcome == "failed" and not hasattr(report, "wasxfail") for report in reports
        ]
        statuses = [] if plain else self._statuses(reports)
        junit, counts = "", ring_records.NO_COUNTS
        if self.xml is not None:
            for report in reports if junit_reports is None else junit_reports:
                self.xml.log_report(report)
            junit, counts = self.xml.take()  # type: ignore[assignment]
        if plain:
            setup, call, teardown = reports
            return (
                ring_records.PLAIN,
                ring_records.plain_test(
                    setup.start, setup.duration, call.duration, teardown.duration, junit, counts
                ),
                False,
            )
        # What a passed test has written, perhaps hundreds of megabytes, is shown with another
        # report of the same test, or with none.
        is_quiet = all(
            _is_quiet(report, status) for report, status in zip(reports, statuses, strict=True)
        )
        entries = [
            self._entry(report, status, is_failure, is_quiet)
            for report, status, is_failure in zip(reports, statuses, failures, strict=True)
        ]
        return 0, ring_records.full_test(entries, recorded, junit, counts), any(failures)

    def _is_plain_test(
        self, reports: Sequence[pytest.TestReport], recorded: Sequence[bytes]
    ) -> bool:
        if len(reports) != 3 or recorded or self._ask_status or self._every_report:
            return False
        return [report.when for report in reports] == _PHASES and all(map(self.is_plain, reports))

    def _statuses(self, reports: Sequence[pytest.TestReport]) -> list[Status]:
        # Among others, such as those of subtests, an ordinary report may have another status than
        # alone.
        ask = self._ask_status or any(type(report) is not pytest.TestReport for report in reports)
        return [self._status(report, ask) for report in reports]

    def _status(self, report: pytest.TestReport, ask: bool) -> Status:
        if not ask and self.is_plain(report):
            return ("passed", ".", "PASSED", "") if report.when == "call" else ("", "", "", "")
        answer = self.config.hook.pytest_report_teststatus(report=report, config=self.config)
        if not answer:
            # `-p no:terminal`: nobody would ask.
            return report.outcome if report.when == "call" else "", "", "", ""
        category, letter, word = answer
        markup = ""
        if isinstance(word, tuple):
            word, colours = word
            markup = ",".join(name for name, on in colours.items() if on)
        return str(category), str(letter), str(word), markup

    def _entry(
        self, report: pytest.TestReport, status: Status, is_failure: bool, is_quiet: bool
    ) -> Entry:
        category, letter, word, markup = status
        plain = self.is_plain(report)
        bits = ring_records.IS_FAILURE if is_failure else 0
        if self._in_summary(category, report):
            bits |= ring_records.IN_SUMMARY
        reason = ""
        if not plain and (hasattr(report, "wasxfail") or report.outcome == "skipped"):
            reason = skip_reason(report)
        blob = b""
        keeps = self._keep_all or (self._keep_additions and self._has_additions(report))
        counts = self._only_counts(report, bits) or (is_quiet and not bits)
        if self._every_report or (not plain and (keeps or not counts)):
            blob = (
                ring_records.dump_plain(report) if plain and self._is_ours else b""
            ) or self._serialized(report)
        return Entry(
            ring_records.WHEN.get(str(report.when), 3),
            ring_records.OUTCOME.get(report.outcome, 3),
            bits,
            float(getattr(report, "start", 0.0)),
            float(getattr(report, "duration", 0.0)),
            category,
            letter,
            word,
            markup,
            reason,
            blob,
        )

    def _serialized(self, report: pytest.TestReport) -> bytes:
        return ring_records.dump(self._data(report))

    def _data(self, report: pytest.TestReport) -> Any:
        hook = self.config.hook.pytest_report_to_serializable
        if self._is_ours and type(report) is pytest.TestReport:
            data = to_serializable(report, hook, self.config)
        else:
            data = hook(config=self.config, report=report)
        writes = failure_text.record(report.longrepr, self._writer)
        if writes is not None:
            data[failure_text.KEY] = writes
        return data

    def _has_additions(self, report: pytest.TestReport) -> bool:
        return type(report) is pytest.TestReport and not self._plain_keys >= report.__dict__.keys()

    @staticmethod
    def _only_counts(report: pytest.TestReport, bits: int) -> bool:
        """A passed extra report without output, such as a subtest's: its category says all (a test
        can have 10,000 of them).
        """
        return (
            report.outcome == "passed"
            and not bits
            and not report.sections
            and not report.user_properties
            and not hasattr(report, "wasxfail")
        )

    def _in_summary(self, category: str, report: pytest.TestReport) -> bool:
        shown = self._report_characters
        match category:
            case "" | "passed":
                return "p" in shown or ("P" in shown and bool(report.sections))
            case "skipped":
                return "s" in shown
            case "xfailed":
                return "x" in shown or self._xfail_tb
            case "xpassed":
                return "X" in shown
            case _:
                return True


def _is_quiet(report: pytest.TestReport, status: Status) -> bool:
    """Whether the report is an ordinary one of a phase that passed, and shown as that."""
    return type(report) is pytest.TestReport and not _tells(report) and status[0] in ("", "passed")


def _tells(report: pytest.TestReport) -> bool:
    return report.outcome != "passed" or hasattr(report, "wasxfail")


def skip_reason(report: pytest.TestReport) -> str:
    """Why a test was skipped or expected to fail, without pytest's prefixes."""
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail).removeprefix("reason: ")
    if isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2])
        return "" if reason == "Skipped" else reason.removeprefix("Skipped: ")
    return ""
