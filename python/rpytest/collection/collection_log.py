"""What collection has said, for a controller that does not collect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rpytest.ipc import ring_records
from rpytest.reports.recorded_warnings import encode_warning

if TYPE_CHECKING:
    import warnings


class CollectionLog:
    """A plugin that keeps what collection says, for a controller that does not collect."""

    def __init__(self) -> None:
        self.reports: list[pytest.CollectReport] = []
        self.warnings: list[bytes] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what pytest-xdist tells its controller: failures and skips."""
        if not report.passed:
            self.reports.append(report)

    def pytest_warning_recorded(
        self,
        warning_message: warnings.WarningMessage,
        when: str,
        nodeid: str,
        location: tuple[str, int, str] | None,
    ) -> None:
        """Keep the warnings of collection; those of configuring the controller has itself."""
        if when == "collect":
            self.warnings.append(encode_warning(warning_message, when, nodeid, location))

    def encode(self, session: pytest.Session, wants_ids: bool) -> bytes:
        """What `ControllerClient.collected` sends."""
        config = session.config
        hook = config.hook
        reporter = config.pluginmanager.getplugin("terminalreporter")
        stats: dict[str, list[Any]] = getattr(reporter, "stats", {})
        return ring_records.dump(
            {
                "tests": len(session.items),
                "reports": [
                    hook.pytest_report_to_serializable(config=config, report=report)
                    for report in self.reports
                ],
                "warnings": self.warnings,
                "deselected": len(stats.get("deselected", ())),
                "ids": [item.nodeid for item in session.items] if wants_ids else None,
            }
        )
