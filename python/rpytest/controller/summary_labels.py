"""What pytest writes about workers above the failures of a controller's summary: nothing, or our
label where results have one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

from rpytest.reports.summary import has_labels, worker_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rpytest.reports.terminal import Terminal
    from rpytest.xdist_compat.nodes import WorkerNode


class Reporting(Protocol):
    """The controller, as far as its summary needs it."""

    is_live: bool

    @property
    def terminal(self) -> Terminal:
        """Where the summary is written."""

    @property
    def nodes(self) -> Mapping[Any, WorkerNode]:
        """The nodes of the workers."""

    @property
    def numbers(self) -> Mapping[int, int]:
        """Each report's test, by the identity of the report."""


def summary_parts(controller: Reporting) -> tuple[object, object]:
    """Plugins around all sections of the summary, and around those of plugins and conftests."""
    outer = _AroundSummary(controller)
    return outer, _AroundPlugins(outer)


class _AroundSummary:
    """Around pytest's own sections: with a node, a failure would begin with a line that plain
    pytest does not have.
    """

    def __init__(self, controller: Reporting) -> None:
        self.controller = controller
        #: Reports without their nodes, while pytest writes about them.
        self.hidden: list[tuple[Any, WorkerNode]] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, config: pytest.Config) -> Iterator[None]:
        """Put reports into pytest's order, and hide or label their workers."""
        self.hidden = []
        reporter = self.controller.terminal.reporter
        if reporter is not None and not self.controller.is_live:
            self._sort(reporter.stats)
            if has_labels(config):
                for node in self.controller.nodes.values():
                    node._workerinfocache = worker_line(node.slot)
            else:
                self._hide(reporter.stats)
        try:
            return (yield)
        finally:
            self.show()

    def _sort(self, stats: dict[str, list[Any]]) -> None:
        """Put reports in collection order, as a serial run has them; what collection itself has
        reported stays in front.
        """
        numbers = self.controller.numbers
        for name, reports in stats.items():
            if name != "warnings":
                reports.sort(key=lambda report: numbers.get(id(report), -1))

    def _hide(self, stats: dict[str, list[Any]]) -> None:
        for reports in stats.values():
            for report in reports:
                node = getattr(report, "node", None)
                if node is not None:
                    del report.node
                    self.hidden.append((report, node))

    def show(self) -> None:
        """Plugins see the nodes."""
        for report, node in self.hidden:
            report.node = node


class _AroundPlugins:
    """Inside of pytest's own sections."""

    def __init__(self, outer: _AroundSummary) -> None:
        self.outer = outer

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_terminal_summary(self) -> Iterator[None]:
        """Around the hooks of plugins and conftests."""
        self.outer.show()
        try:
            return (yield)
        finally:
            for report, _ in self.outer.hidden:
                del report.node
