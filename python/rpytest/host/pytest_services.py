"""What only a configured pytest can answer in a run: text for crashes, the summary, the run's base
temp directory.
"""

from __future__ import annotations

from typing import Any, Protocol

from _pytest import tmpdir
from _pytest.tmpdir import TempPathFactory

from rpytest import stdlib
from rpytest.collection.collected import Collected
from rpytest.fixtures import sharing_hints
from rpytest.ipc.run_messages import Crashed, Report
from rpytest.pytest_compat import debug_log
from rpytest.reports.encode import Encoder
from rpytest.reports.summary import Summary
from rpytest.stdlib import pathlib

__builtins__ = stdlib.BUILTINS


class PytestServices(Protocol):
    """How a host gets at a configured pytest: in its own process, or in another one."""

    def base_temp(self) -> pathlib.Path:
        """The run's base temp directory, created when first asked for; raises `OSError`."""

    def crashed(self, crashed: Crashed, stack: str, kept: bytes = b"") -> bytes:
        """The record of a test that ended without a result; ``kept``: reports that it has had
        (:meth:`rpytest.reports.encode.Encoder.kept`).
        """

    def report(self, report: Report, bodies: bytes | memoryview) -> tuple[int, str]:
        """Exit status and pytest's text at the end of the run."""

    def finish(self, status: int) -> None:
        """The run is over: clean up as pytest does at the end of a session."""


class LocalPytest:
    """Answers from this process."""

    def __init__(self, collected: Collected) -> None:
        self.collected = collected
        self.summary = Summary(collected.config, collected.session, collected.terminal)
        self._encoder: Encoder | None = None
        self._temp: TempPathFactory | None = None

    def base_temp(self) -> pathlib.Path:
        """See :class:`PytestServices`."""
        if self._temp is None:
            self._temp = TempPathFactory.from_config(self.collected.config, _ispytest=True)
        return self._temp.getbasetemp()

    def crashed(self, crashed: Crashed, stack: str, kept: bytes = b"") -> bytes:
        """See :class:`PytestServices`."""
        if self._encoder is None:
            # If a controller looks at the result: it has no items to make reports from.
            self._encoder = Encoder(self.collected.config, self.collected.xml, every_report=True)
        return self.summary.crashed(crashed, stack, kept, self._encoder)

    def report(self, report: Report, bodies: bytes | memoryview) -> tuple[int, str]:
        """See :class:`PytestServices`."""
        self.summary.replay(memoryview(bodies), report.cache_only)
        if report.cache_only:
            return report.status, ""
        sharing_hints.tell(self.collected.config, report)
        self.summary.add_deselected(report.elsewhere)
        return self.summary.text(report.status, report.interrupted, report.location, report.stop)

    def finish(self, status: int) -> None:
        """See :class:`PytestServices`."""
        debug_log.close(self.collected.config)
        self.summary.cache.save(self.collected.session)
        if self._temp is not None:
            config: Any = self.collected.config
            config._tmp_path_factory = self._temp
            tmpdir.pytest_sessionfinish(self.collected.session, status)
