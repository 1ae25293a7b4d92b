"""A report is serialised as pytest does it, whatever its traceback consists of."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from _pytest._io import TerminalWriter

from rpytest.ipc import ring_records
from rpytest.reports.serialization import to_serializable
from support import inner_session

TESTS = """
import pytest
class Odd(Exception):
    def __repr__(self): raise ValueError
    __str__ = __repr__
def deeper(n):
    local = "ä" * n
    assert n, local
    deeper(n - 1)
def test_pass(): pass
def test_assert():
    text = "\\udc80 is not unicode"
    local = [1, {"a": object()}]
    assert local == 3, "why"
def test_deeper(): deeper(3)
def test_chain():
    try:
        try: raise KeyError("a")
        except KeyError as error: raise ValueError("b") from error
    except ValueError: raise OSError("c")
def test_odd(): raise Odd
def test_lines(): raise ValueError("one\\ntwo\\n\\nE   three")
def test_recursion():
    def again(): again()
    again()
def test_string(): pytest.fail("only a text", pytrace=False)
def test_skip(): pytest.skip("why")
@pytest.mark.xfail(reason="why")
def test_xfail(): assert 0
@pytest.mark.xfail(strict=True)
def test_xpass(): pass
def test_no_such_fixture(no_such_fixture): pass
@pytest.fixture
def broken(): raise ValueError("in a fixture")
def test_broken(broken): pass
def test_exec(): exec("raise ValueError('no source')")
"""

NAMES = [
    "test_pass",
    "test_assert",
    "test_deeper",
    "test_chain",
    "test_odd",
    "test_lines",
    "test_string",
    "test_skip",
    "test_xfail",
    "test_xpass",
    "test_no_such_fixture",
    "test_broken",
    "test_exec",
]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("serialization")
    inner_session.write(folder, test_a=TESTS)
    with inner_session.collected(folder) as session:
        yield session


def both(session: Any, report: pytest.TestReport) -> tuple[Any, Any]:
    """Ours and pytest's."""
    hook = session.config.hook.pytest_report_to_serializable
    ours = to_serializable(report, hook, session.config)
    return ours, hook(config=session.config, report=report)


def text_of(report: Any) -> str:
    writer = TerminalWriter(io.StringIO())
    writer.hasmarkup = True
    report.toterminal(writer)
    file: Any = writer._file
    return str(file.getvalue())


@pytest.mark.parametrize("name", NAMES)
def test_as_pytest_does(session: Any, name: str) -> None:
    for report in inner_session.run(session, name):
        longrepr, before = report.longrepr, dict(vars(report))
        ours, wanted = both(session, report)
        assert ours == wanted
        # The report is what it was.
        assert report.longrepr is longrepr
        assert vars(report) == before


@pytest.mark.parametrize("style", ["long", "short", "line", "native", "no", "value", "auto"])
@pytest.mark.parametrize("shows_locals", [False, True])
def test_styles(
    session: Any, monkeypatch: pytest.MonkeyPatch, style: str, shows_locals: bool
) -> None:
    monkeypatch.setattr(session.config.option, "tbstyle", style)
    monkeypatch.setattr(session.config.option, "showlocals", shows_locals)
    for name in ("test_assert", "test_chain", "test_deeper"):
        for report in inner_session.run(session, name):
            ours, wanted = both(session, report)
            assert ours == wanted


@pytest.mark.parametrize("name", NAMES)
def test_what_pytest_makes_of_it(session: Any, name: str) -> None:
    """After a journey through a record it is the same report, with the same text."""
    hook = session.config.hook.pytest_report_from_serializable
    for report in inner_session.run(session, name):
        if name in ("test_no_such_fixture", "test_odd"):
            # These become a string, in pytest, too.
            continue
        data = ring_records.load(ring_records.dump(both(session, report)[0]))
        found = hook(config=session.config, data=data)
        assert text_of(found) == text_of(report)
        assert found.outcome == report.outcome
        assert found.longreprtext == report.longreprtext
        assert getattr(found, "wasxfail", None) == getattr(report, "wasxfail", None)


def test_recursion(session: Any) -> None:
    """pytest leaves most of it out, and says so in an entry of another kind."""
    (_, report, _) = inner_session.run(session, "test_recursion")
    ours, wanted = both(session, report)
    assert ours == wanted
    assert "Recursion" in report.longreprtext


def test_sections_of_a_plugin(session: Any) -> None:
    (_, report, _) = inner_session.run(session, "test_assert")
    longrepr: Any = report.longrepr
    longrepr.addsection("title", "content")
    ours, wanted = both(session, report)
    assert ours == wanted
    assert ours["longrepr"]["sections"] == [("title", "content", "-")]


def test_a_traceback_without_a_crash(session: Any) -> None:
    (_, report, _) = inner_session.run(session, "test_assert")
    longrepr: Any = report.longrepr
    longrepr.reprcrash = None
    longrepr.chain = [(one, None, text) for one, _, text in longrepr.chain]
    ours, wanted = both(session, report)
    assert ours == wanted
    assert ours["longrepr"]["reprcrash"] is None


@dataclass
class Inner:
    value: int


@dataclass
class OwnEntry:
    """A plugin's, of parts that pytest's have nowhere."""

    parts: list[Inner]
    pair: tuple[Inner, int]
    nested: list[list[Inner]]


def test_entries_of_a_plugin(session: Any) -> None:
    (_, report, _) = inner_session.run(session, "test_assert")
    longrepr: Any = report.longrepr
    longrepr.reprtraceback.reprentries = [OwnEntry([Inner(1)], (Inner(2), 3), [[Inner(4)]])]
    ours, wanted = both(session, report)
    assert ours == wanted
    (entry,) = ours["longrepr"]["reprtraceback"]["reprentries"]
    assert entry["data"]["pair"] == ({"value": 2}, 3)


def test_hooks_see_the_rest(session: Any) -> None:
    """As the report that it is, with what others have put into it."""

    class Own(pytest.TestReport):
        pass

    (_, report, _) = inner_session.run(session, "test_assert")
    own = Own.__new__(Own)
    vars(own).update(vars(report), extra=1)
    seen: list[Any] = []

    def hook(config: Any, report: Any) -> dict[str, Any]:
        assert config is session.config
        seen.append(report)
        return {"extra": report.extra, "longrepr": "mine"}

    data = to_serializable(own, hook, session.config)
    (rest,) = seen
    assert type(rest) is Own
    assert rest.longrepr is None
    assert data["extra"] == 1
    assert data["longrepr"]["reprcrash"]["message"].startswith("AssertionError: why")
