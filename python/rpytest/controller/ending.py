"""How the loop of a controller ends: as pytest's own loop would have ended after the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rpytest.ipc.run_messages import Report

#: Exit statuses that pytest itself finds.
_NATURAL = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


class _InternalError(Exception):
    """Stands for one that was already shown."""


def conclude(session: pytest.Session, report: Report) -> None:
    """Raise what ended the run that a `report` request is about, or return when it ended by
    itself.
    """
    status, interrupted, stop = report.status, report.interrupted, report.stop
    if interrupted is not None:
        if status != pytest.ExitCode.INTERRUPTED:
            raise pytest.exit.Exception(interrupted, returncode=status)
        raise KeyboardInterrupt
    if stop is not None:
        session.shouldfail = stop
        raise session.Failed(stop)
    if report.alone:
        _conclude_alone(session, status)
    if status == pytest.ExitCode.INTERNAL_ERROR:
        # What the command line has shown is not shown again.
        session.config.notify_exception = lambda *_: None  # type: ignore[method-assign]
        raise _InternalError
    if report.alone and status not in _NATURAL:
        raise pytest.exit.Exception("ended before the first test", returncode=status)
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
    if status == pytest.ExitCode.TESTS_FAILED and not session.testsfailed:
        # A worker has died between two tests.
        session.testsfailed = 1


def _conclude_alone(session: pytest.Session, status: int) -> None:
    """No worker was needed: collection has ended the run."""
    if status == pytest.ExitCode.INTERRUPTED:
        errors = session.testsfailed
        if not errors:
            raise KeyboardInterrupt
        raise session.Interrupted(f"{errors} error{'s' if errors != 1 else ''} during collection")
    if status == pytest.ExitCode.USAGE_ERROR:
        # What it is about has been said.
        raise pytest.UsageError
