"""Live logs (`log_cli`): what pytest writes to its terminal while a test runs, sent to the command
line record by record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from rpytest import stdlib
from rpytest.process import lifecycle
from rpytest.reports.terminal import Buffer
from rpytest.stdlib import copy, threading

if TYPE_CHECKING:
    import logging

    from _pytest.terminal import TerminalReporter

__builtins__ = stdlib.BUILTINS


class LiveLog:
    """Stands where pytest's handler of live logs has its terminal reporter."""

    def __init__(self, reporter: TerminalReporter, send: Callable[[str], None]) -> None:
        self._buffer = Buffer(False)
        # With the width and the colours that pytest has decided on.
        self._writer: Any = copy.copy(reporter._tw)
        self._writer._file = self._buffer
        self._send = send
        self._thread = threading.get_ident()

    def write(self, content: str, *, flush: bool = False, **markup: bool) -> None:
        """As `TerminalReporter.write`; the line break that ends the reporter's unfinished line is
        not needed.
        """
        if content != "\n":
            self._writer.write(content, flush=flush, **markup)

    def section(self, title: str, sep: str = "=", **kw: bool) -> None:
        """As `TerminalReporter.section`."""
        self._writer.sep(sep, title, **kw)

    def flush(self) -> None:
        """After each record of the log: send it. Only the worker's own thread may; what others have
        logged goes with the next record or result.
        """
        if lifecycle.is_foreign():
            # A child that a test has forked has no way to the command line.
            self._buffer.take()
            return
        if threading.get_ident() != self._thread:
            return
        text = self._buffer.take()
        if not text:
            return
        try:
            self._send(text)
        except RuntimeError:
            # Called from a signal handler while another record is being written.
            self._buffer.write(text)


def install(config: pytest.Config, send: Callable[[str], None]) -> LiveLog | None:
    """Redirect pytest's live logs, if they are switched on."""
    plugin: Any = config.pluginmanager.getplugin("logging-plugin")
    handler: logging.Handler | None = getattr(plugin, "log_cli_handler", None)
    if handler is None or not hasattr(handler, "stream"):
        return None
    stream: Any = handler
    stream.stream = live = LiveLog(stream.stream, send)
    # Nothing is printed, so capturing need not be interrupted.
    stream.capture_manager = None
    return live
