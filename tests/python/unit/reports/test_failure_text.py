"""Failures that pytest makes a string of, kept with their form."""

from __future__ import annotations

import io
from typing import Any

import pytest
from _pytest._io import TerminalWriter

from rpytest.reports import failure_text


def writer(colours: bool = False, width: int = 80) -> TerminalWriter:
    found = TerminalWriter(io.StringIO())
    found.hasmarkup = colours
    found.fullwidth = width
    return found


def text_of(longrepr: Any, to: TerminalWriter) -> str:
    longrepr.toterminal(to)
    file: Any = to._file
    return str(file.getvalue())


class Own:
    """As a plugin's: it uses what there is to write with."""

    def toterminal(self, tw: TerminalWriter) -> None:
        tw.line("first", red=True, bold=True)
        tw.write("second ", green=False)
        tw.sep("=", "title")
        tw.write("\n\n")
        if tw.hasmarkup:
            tw.line("coloured")


class Odd:
    """Its markup is no truth value, and it has one of the two attributes of a traceback."""

    reprcrash = None

    def toterminal(self, tw: TerminalWriter) -> None:
        tw.write("ä\udc80", red=1)  # type: ignore[arg-type]


class Broken:
    def toterminal(self, tw: TerminalWriter) -> None:
        tw.line("before")
        raise KeyError


class LikeATraceback:
    """pytest's own way keeps these."""

    reprtraceback = reprcrash = None

    def toterminal(self, tw: TerminalWriter) -> None:
        tw.line("text")


@pytest.mark.parametrize(
    "longrepr", [None, "text", ("a.py", 3, "Skipped: why"), LikeATraceback(), Broken()]
)
def test_what_is_not_recorded(longrepr: Any) -> None:
    assert failure_text.record(longrepr, None) is None


@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize("width", [40, 100])
def test_what_is_played_back(colours: bool, width: int) -> None:
    """Byte for byte, on a terminal like the one that it is for."""
    writes = failure_text.record(Own(), writer(colours, width))
    assert writes is not None
    played = failure_text.Recorded(writes)
    wanted = text_of(Own(), writer(colours, width))
    assert text_of(played, writer(colours, width)) == wanted
    assert ("\x1b[" in wanted) is colours
    # As pytest's: without colours and white space around it.
    plain = str(played)
    assert plain.startswith("first\nsecond ==")
    assert not plain.endswith("\n")
    assert "\x1b" not in plain


def test_no_terminal_to_be_like() -> None:
    writes = failure_text.record(Own(), None)
    assert writes is not None
    assert "coloured" not in str(failure_text.Recorded(writes))


def test_plain_values_only() -> None:
    """They travel to another process."""
    writes = failure_text.record(Odd(), None)
    assert writes == [("ä\udc80", {"red": True})]
    assert writes[0][1]["red"] is True


def test_nothing_was_written() -> None:
    class Silent:
        def toterminal(self, tw: TerminalWriter) -> None:
            pass

    assert failure_text.record(Silent(), None) == []
    assert str(failure_text.Recorded([])) == ""


def test_where_an_interrupt_was_raised() -> None:
    found = [failure_text.interrupt_location()]
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        found.append(failure_text.interrupt_location())
    found.append(failure_text.interrupt_location())
    line = test_where_an_interrupt_was_raised.__code__.co_firstlineno + 3
    assert found == ["", f"{__file__}:{line}", ""]
