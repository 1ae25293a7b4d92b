"""pytest's terminal reporter, with its text redirected to where it is wanted."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from _pytest import timing
from _pytest.terminal import TerminalReporter

from rpytest import stdlib
from rpytest.pytest_compat import known_plugins
from rpytest.pytest_compat.hooks import third_party_hooks
from rpytest.stdlib import io

__builtins__ = stdlib.BUILTINS


class Passed:
    """Stands for a passed test where only the number of them matters."""

    count_towards_summary = True


class Buffer(io.StringIO):
    """Takes the terminal reporter's text; says what the real stream said about being a terminal."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """Whether the command line's standard output is a terminal."""
        return self._is_terminal

    def take(self) -> str:
        """Return the text written since the last call; of a line that rewrote itself, what remained
        visible.
        """
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return (
            "".join(line.rpartition("\r")[2] for line in text.splitlines(keepends=True))
            if "\r" in text
            else text
        )


class Terminal:
    """pytest's terminal reporter with its text redirected into a buffer."""

    def __init__(self, config: pytest.Config, redirect: bool = True) -> None:
        self.config = config
        #: What pytest has written before it collected.
        self.header = ""
        #: Known from `pytest_sessionstart` on.
        self.session: pytest.Session | None = None
        #: The header is all that was written before collection, and pytest writes it again.
        self.has_plain_header = True
        #: See :meth:`_header_like`.
        self.header_like: tuple[Any, ...] = ()
        #: What the reporter had counted before collection: warnings about the configuration.
        self.early_stats: dict[str, list[Any]] = {}
        self.reporter: TerminalReporter | None = config.pluginmanager.getplugin("terminalreporter")
        self.buffer = Buffer(False)
        self.is_redirected = redirect and self.reporter is not None
        if self.reporter is not None and redirect:
            writer: Any = self.reporter._tw
            self.buffer = Buffer(bool(writer._file.isatty()))
            self.stream = writer._file
            writer._file = self.buffer

    def take(self) -> str:
        """Return and forget what was written."""
        return self.buffer.take()

    def end_header(self) -> None:
        """Collection begins: what was written so far stands at the beginning of every run."""
        self.header = self.take()
        self.header_like = self._header_like()
        if self.reporter is not None:
            self.early_stats = {
                name: list(reports) for name, reports in self.reporter.stats.items()
            }

    def release(self) -> None:
        """Write what is pending to the real stream and let the reporter use it from now on."""
        if self.reporter is not None and self.is_redirected:
            self.stream.write(self.header + self.take())
            self.reporter._tw._file = self.stream
            self.is_redirected = False

    def silence(self) -> None:
        """Nobody wants its text any more."""
        if self.reporter is not None:
            self.reporter._tw._file = Buffer(False)

    def renew(self) -> None:
        """A plugin may have put another reporter in the place of pytest's since: redirect that
        one.
        """
        current = self.config.pluginmanager.getplugin("terminalreporter")
        if current is not self.reporter and current is not None and self.is_redirected:
            self.reporter = current
            self.stream = current._tw._file
            current._tw._file = self.buffer

    def restart_clock(self) -> None:
        """Let the duration in pytest's final line begin now: a reused session was started long
        ago.
        """
        reporter: Any = self.reporter
        if reporter is not None:
            # pytest before 8.4 had plain times.
            clock = getattr(timing, "Instant", None)
            name = "_session_start" if clock is not None else "_sessionstarttime"
            setattr(reporter, name, clock() if clock is not None else timing.time())

    def begin_again(self, session: pytest.Session, may_keep: bool = False) -> None:
        """Initialise pytest's reporter anew, with the options as they are now, up to its header.

        ``may_keep``: the header that is there stays if nothing is different that pytest writes it
        from.
        """
        reporter: Any = self.reporter
        TerminalReporter.__init__(reporter, self.config, sys.stdout)
        self.restart_clock()
        self.stream = reporter._tw._file
        self.buffer = Buffer(bool(self.stream.isatty()))
        reporter._tw._file = self.buffer
        like = self._header_like()
        if may_keep and (like == self.header_like or not self.has_plain_header):
            reporter._session = session
            return
        reporter.pytest_sessionstart(session)
        self.header, self.header_like = self.take(), like

    def check_header(self, session: pytest.Session) -> None:
        """Find out whether the header, which was written before collection, can be written anew for
        other options.

        This process has no terminal, and another width.
        """
        reporter: Any = self.reporter
        if reporter is None:
            return
        stats, collected = reporter.stats, reporter._numcollected
        header, like = self.header, self.header_like
        self.begin_again(session)
        self.has_plain_header = _without_terminal(self.header) == _without_terminal(header)
        self.header, self.header_like = header, like
        reporter.stats, reporter._numcollected = stats, collected

    def _header_like(self) -> tuple[Any, ...]:
        """What pytest's header depends on, of all that may be different in another run with the
        same configuration.
        """
        option, writer = (
            self.config.option,
            self.reporter._tw if self.reporter is not None else None,
        )
        source: Any = getattr(self.config, "args_source", None)
        # With arguments of other places its hooks may say something else; those of plugins are
        # expected to say what pytest's own do.
        return (
            getattr(option, "verbose", 0),
            getattr(option, "no_header", False),
            getattr(option, "code_highlight", None),
            getattr(source, "name", None) == "TESTPATHS",
            bool(writer and writer.hasmarkup),
            writer.fullwidth if writer else 0,
        )

    def silence_hooks(self) -> None:
        """Let no hook of the reporter run any more in a worker, where plugins still find it by
        name.
        """
        if self.reporter is not None:
            manager = self.config.pluginmanager
            manager.unregister(self.reporter)
            manager._name2plugin["terminalreporter"] = self.reporter

    def add_passed(self, counts: Mapping[str, int]) -> None:
        """Count tests, by category, whose reports nobody looks at."""
        if self.reporter is not None:
            for category, count in counts.items():
                self.reporter._add_stats(category, [Passed()] * count)
                self.reporter._tests_ran = True

    def add_deselected(self, count: int) -> None:
        """Count tests that don't run."""
        if self.reporter is not None and count:
            self.reporter._add_stats("deselected", [Passed()] * count)

    def has_color(self) -> bool:
        """pytest's decision about colours for this output."""
        return bool(self.reporter is not None and self.reporter.hasmarkup)


def needs_report(config: pytest.Config, terminal: Terminal) -> bool:
    """Whether a run of which every test passes still has something that only pytest can say."""
    reporter = terminal.reporter
    if reporter is None:
        return True
    if reporter.stats.get("warnings") or reporter.stats.get("error"):
        return True
    if "p" in reporter.reportchars or "P" in reporter.reportchars:
        # Plain passed tests don't ask for it.
        return True
    if config.option.durations is not None or getattr(config.option, "pastebin", None):
        return True
    if getattr(config.option, "max_warnings", None) is not None:
        return True
    return any(
        known_plugins.has_summary(each, config)
        for each in third_party_hooks(config, "pytest_terminal_summary")
    )


def _without_terminal(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", re.sub("=+", "=", text))


def test_verbosity(config: pytest.Config) -> int:
    """pytest's verbosity for the lines of tests, which the ini option `verbosity_test_cases` may
    set apart.
    """
    if not hasattr(config.option, "verbose"):
        # `-p no:terminal`.
        return 0
    return config.get_verbosity(pytest.Config.VERBOSITY_TEST_CASES)


def replaces_terminal(config: pytest.Config) -> bool:
    """Whether a plugin has put its own terminal reporter in the place of pytest's."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    return reporter is not None and type(reporter).__module__.split(".")[0] != "_pytest"
