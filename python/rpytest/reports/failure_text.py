"""Failure texts that pytest can't serialise with their form: a doctest's, a missing fixture's, a
plugin's own.

pytest turns what is not an ordinary traceback into a string, which loses colours and changes its
line in the short summary. Here what such an object writes is recorded where it exists, and played
back where the summary is written.
"""

from __future__ import annotations

from typing import Any

import pytest
from _pytest._io import TerminalWriter

from rpytest import stdlib
from rpytest.stdlib import contextlib, io

__builtins__ = stdlib.BUILTINS

#: Beside the keys of `pytest_report_to_serializable`.
KEY = "$rpytest_longrepr"

Writes = list[tuple[str, dict[str, bool]]]


class _Recorder(TerminalWriter):  # type: ignore[misc]
    """A terminal writer that keeps the texts and the names of their colours."""

    def __init__(self, like: TerminalWriter | None) -> None:
        super().__init__(io.StringIO())
        self.writes: Writes = []
        if like is not None:
            self.hasmarkup = like.hasmarkup
            self.code_highlight = like.code_highlight
            self.fullwidth = like.fullwidth

    def write(self, msg: str, *, flush: bool = False, **markup: bool) -> None:
        """See the class."""
        self.writes.append((msg, {name: bool(on) for name, on in markup.items()}))
        super().write(msg, flush=flush, **markup)


class Recorded:
    """Writes what was recorded; pytest asks no more of a report's ``longrepr``."""

    def __init__(self, writes: Writes) -> None:
        self.writes = writes

    def toterminal(self, tw: TerminalWriter) -> None:
        """Write it to a terminal."""
        for text, markup in self.writes:
            tw.write(text, **markup)

    def __str__(self) -> str:
        return "".join(text for text, _ in self.writes).strip()


def record(longrepr: Any, like: TerminalWriter | None) -> Writes | None:
    """What ``longrepr`` writes to a terminal; ``None`` when pytest's own serialisation keeps it."""
    if not hasattr(longrepr, "toterminal") or (
        hasattr(longrepr, "reprtraceback") and hasattr(longrepr, "reprcrash")
    ):
        return None
    writer = _Recorder(like)
    try:
        longrepr.toterminal(writer)
    except Exception:
        # The string will do.
        return None
    return writer.writes


def interrupt_location() -> str:
    """Where the interrupt that is dealt with was raised, as pytest shows it: `path:line`; empty if
    that can't be said.
    """
    crash = None
    # A signal may strike where Python 3.11 knows no line, which pytest's own code does not expect.
    with contextlib.suppress(Exception):
        crash = getattr(pytest.ExceptionInfo.from_current().getrepr(), "reprcrash", None)
    return f"{crash.path}:{crash.lineno}" if crash is not None else ""
