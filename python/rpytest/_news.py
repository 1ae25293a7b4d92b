"""What the set-up of a shared fixture has said: the first test that needs it reports it, as it would in a serial run."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from _pytest.logging import caplog_records_key

from rpytest import _real

if TYPE_CHECKING:
    import logging

    from rpytest._record import Setup

__builtins__ = _real.BUILTINS


class News:
    """Of one test's shared fixtures."""

    def __init__(self) -> None:
        #: Seconds.
        self.duration = 0.0
        #: What was written and logged: `stdout`, `stderr` or `log`, and the text.
        self.sections: list[tuple[str, str]] = []
        #: The records of what was logged, for `caplog`.
        self.records: list[logging.LogRecord] = []
        #: Encoded.
        self.warnings: list[bytes] = []
        #: For `--timings`.
        self.setups: list[Setup] = []


class _Clock(Protocol):
    def add(self, setups: list[Setup]) -> None: ...


class Reporting(Protocol):
    """The worker, as far as it is needed here."""

    #: The number of the test that it runs.
    index: int
    #: Those of the test, encoded.
    warnings: list[bytes]

    @property
    def clock(self) -> _Clock | None:
        """Measures set-ups, if they are measured."""


class Herald:
    """In a worker: adds the news to the set-up report of the test that they are for."""

    def __init__(self, worker: Reporting, news: dict[int, News]) -> None:
        self.worker = worker
        self.news = dict(news)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: Any) -> Generator[None, None, None]:
        """After capture and logging have put aside what the worker's part of the set-up wrote."""
        __tracebackhide__ = True
        news = self.news.get(self.worker.index)
        if news is None:
            return (yield)
        self.worker.warnings.extend(news.warnings)
        news.warnings = []
        sections = item._report_sections
        try:
            return (yield)
        finally:
            # Absent with `-p no:logging`.
            phases = item.stash.get(caplog_records_key, {})
            if "setup" in phases:
                phases["setup"][:0] = news.records
            for key, content in reversed(news.sections):
                place = next(
                    (at for at, (when, known, _) in enumerate(sections) if (when, known) == ("setup", key)), None
                )
                if place is None:
                    sections.insert(0, ("setup", key, content))
                else:
                    sections[place] = ("setup", key, content + sections[place][2])

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """The report's duration is that of the whole set-up."""
        if call.when == "setup":
            news = self.news.pop(self.worker.index, None)
            if news is not None:
                call.duration += news.duration
                if self.worker.clock is not None:
                    self.worker.clock.add(news.setups)
        return (yield)
