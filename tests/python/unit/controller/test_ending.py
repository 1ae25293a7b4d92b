"""How the loop of a controller ends, by what became of the run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rpytest.controller.ending import conclude
from rpytest.ipc.run_messages import Report

OK, FAILED, INTERRUPTED, INTERNAL, USAGE, NOTHING = range(6)


def session_with(**state: Any) -> Any:
    """A session as it is after the run."""
    shown: list[object] = []
    return SimpleNamespace(
        Failed=pytest.Session.Failed,
        Interrupted=pytest.Session.Interrupted,
        config=SimpleNamespace(notify_exception=shown.append, shown=shown),
        **{"shouldfail": False, "shouldstop": False, "testsfailed": 0, **state},
    )


def ended(session: Any, report: Report) -> tuple[str, str] | None:
    """Name and text of what was raised."""
    try:
        conclude(session, report)
    except BaseException as error:
        return type(error).__name__, str(error)
    return None


@pytest.mark.parametrize(
    ("fields", "state", "raised"),
    [
        ({"status": OK}, {}, None),
        ({"status": FAILED}, {"testsfailed": 2}, None),
        ({"status": NOTHING}, {}, None),
        # Another status than pytest's own is a plugin's, at the end of the session.
        ({"status": 77}, {}, None),
        ({"status": INTERRUPTED, "interrupted": ""}, {}, ("KeyboardInterrupt", "")),
        ({"status": INTERRUPTED, "interrupted": "text"}, {}, ("KeyboardInterrupt", "")),
        # `pytest.exit`, with its text.
        ({"status": 7, "interrupted": "enough"}, {}, ("Exit", "enough")),
        ({"status": FAILED, "stop": "stopping after 1 failures"}, {}, ("Failed", "stopping af*")),
        ({"status": INTERNAL}, {}, ("_InternalError", "")),
        ({"status": FAILED}, {"shouldfail": "of a plugin"}, ("Failed", "of a plugin")),
        ({"status": INTERRUPTED}, {"shouldstop": "of a plugin"}, ("Interrupted", "of a plugin")),
        # Of two reasons the first one counts.
        ({"status": 7, "interrupted": "enough", "stop": "x"}, {}, ("Exit", "enough")),
        ({"status": FAILED, "stop": "x"}, {"shouldstop": "y"}, ("Failed", "x")),
        ({"status": FAILED}, {"shouldfail": "x", "shouldstop": "y"}, ("Failed", "x")),
        ({"status": INTERNAL}, {"shouldfail": "x"}, ("_InternalError", "")),
    ],
)
def test_with_workers(
    fields: dict[str, Any], state: dict[str, Any], raised: tuple[str, str] | None
) -> None:
    found = ended(session_with(**state), Report(**fields))
    if raised is None or found is None:
        assert found is raised is None
    else:
        assert found[0] == raised[0]
        assert found[1].startswith(raised[1].rstrip("*"))


@pytest.mark.parametrize(
    ("status", "state", "raised"),
    [
        (OK, {}, None),
        (NOTHING, {}, None),
        (FAILED, {"testsfailed": 1}, None),
        (INTERRUPTED, {}, ("KeyboardInterrupt", "")),
        (INTERRUPTED, {"testsfailed": 1}, ("Interrupted", "1 error during collection")),
        (INTERRUPTED, {"testsfailed": 2}, ("Interrupted", "2 errors during collection")),
        (INTERNAL, {}, ("_InternalError", "")),
        (USAGE, {}, ("UsageError", "")),
        (77, {}, ("Exit", "ended before the first test")),
        (77, {"shouldstop": "x"}, ("Exit", "ended before the first test")),
        (OK, {"shouldstop": "x"}, ("Interrupted", "x")),
    ],
)
def test_without_workers(
    status: int, state: dict[str, Any], raised: tuple[str, str] | None
) -> None:
    assert ended(session_with(**state), Report(status=status, alone=True)) == raised


def test_the_status_of_an_exit() -> None:
    with pytest.raises(pytest.exit.Exception) as caught:
        conclude(session_with(), Report(status=7, interrupted="enough"))
    assert caught.value.returncode == 7
    with pytest.raises(pytest.exit.Exception) as caught:
        conclude(session_with(), Report(status=77, alone=True))
    assert caught.value.returncode == 77


def test_plugins_see_why_it_stopped() -> None:
    session = session_with()
    with pytest.raises(pytest.Session.Failed):
        conclude(session, Report(status=FAILED, stop="stopping"))
    assert session.shouldfail == "stopping"


def test_an_internal_error_is_shown_once() -> None:
    """The command line has shown it."""
    session = session_with()
    assert ended(session, Report(status=INTERNAL)) is not None
    session.config.notify_exception("excinfo", "option")
    assert session.config.shown == []


@pytest.mark.parametrize(
    ("status", "before", "after"), [(FAILED, 0, 1), (FAILED, 3, 3), (OK, 0, 0), (NOTHING, 0, 0)]
)
def test_a_run_that_failed_has_failures(status: int, before: int, after: int) -> None:
    """A worker that died between two tests is no test's failure, and pytest goes by their
    number.
    """
    session = session_with(testsfailed=before)
    conclude(session, Report(status=status))
    assert session.testsfailed == after
