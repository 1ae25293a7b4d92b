"""The elements of a junit file: pytest's own writer makes them, the command line puts them
together.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from _pytest.junitxml import LogXML, xml_key

from rpytest import stdlib

__builtins__ = stdlib.BUILTINS

_JUNIT_COUNTS = ("passed", "failure", "error", "skipped")


class CollectingXML(LogXML):
    """pytest's own junit writer, used one test at a time: it makes the elements, the command line
    writes the file.

    Only the fixtures reach it through ``config.stash``; as a plugin it hears of collection, and
    announces the file at the end.
    """

    #: A run that ends without workers (collection errors, no tests) has a file, too: pytest's code
    #: writes it, in this process.
    writes_file = True

    # The name does not begin with `pytest_`: pytest would take it for a hook that it does not know.
    log_report = LogXML.pytest_runtest_logreport
    # pluggy registers routines only: as `None` these are no hooks.
    pytest_runtest_logreport = None  # type: ignore[assignment]

    def pytest_internalerror(self, excrepr: Any) -> None:
        """An internal error is a test case of its own; in a worker the command line hears of it."""
        if self.writes_file:
            super().pytest_internalerror(excrepr)

    def pytest_sessionfinish(self) -> None:
        """Write the file, unless it is the command line's."""
        if self.writes_file:
            super().pytest_sessionfinish()

    def take(self) -> tuple[str, tuple[int, ...]]:
        """Return the elements made since the last call, and what was counted: passed, failure,
        error, skipped, double.
        """
        text = "".join(
            ElementTree.tostring(node.to_xml(), encoding="unicode")
            for node in self.node_reporters_ordered
        )
        counts = (*(self.stats[name] for name in _JUNIT_COUNTS), self.cnt_double_fail_tests)
        self.node_reporters_ordered.clear()
        self.node_reporters.clear()
        self.open_reports.clear()
        self.stats = dict.fromkeys(self.stats, 0)
        self.cnt_double_fail_tests = 0
        return text, counts


def install_junit(config: pytest.Config, writes_file: bool) -> CollectingXML | None:
    """Create the writer that pytest does not create in a worker; ``None`` without
    ``--junitxml``.
    """
    path = getattr(config.option, "xmlpath", None)
    if not path or config.pluginmanager.is_blocked("junitxml"):
        return None
    xml = CollectingXML(
        path,
        config.option.junitprefix,
        config.getini("junit_suite_name"),
        config.getini("junit_logging"),
        config.getini("junit_duration_report"),
        config.getini("junit_family"),
        config.getini("junit_log_passing_tests"),
    )
    xml.writes_file = writes_file
    config.stash[xml_key] = xml
    config.pluginmanager.register(xml)
    return xml
