"""What the sections of a controller's summary see of the workers."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest

from rpytest.controller.summary_labels import summary_parts
from rpytest.reports.summary import worker_line


def report(name: str, node: Any = None) -> Any:
    found = SimpleNamespace(name=name)
    if node is not None:
        found.node = node
    return found


class Summary:
    """A controller with two workers, and who writes its summary: pytest, then a plugin.

    What they see is noted: names of reports, with a `*` if there is a node.
    """

    def __init__(self, dist: str = "load", verbose: int = 0, is_live: bool = False) -> None:
        self.workers = {slot: SimpleNamespace(slot=slot) for slot in range(2)}
        one, two = self.workers.values()
        self.collected = report("collected")
        self.first, self.second, self.third = report("1", two), report("2", one), report("3", two)
        self.stats: dict[str, list[Any]] = {
            "failed": [self.third, self.first, self.collected],
            "": [self.second],
            "warnings": [report("w2"), report("w1")],
        }
        self.reporter: Any = SimpleNamespace(stats=self.stats)
        # Warnings are not looked for, whatever has the identity of one.
        each = (self.first, self.second, self.third, *reversed(self.stats["warnings"]))
        self.controller: Any = SimpleNamespace(
            is_live=is_live,
            terminal=SimpleNamespace(reporter=self.reporter),
            nodes=self.workers,
            numbers={id(one): number for number, one in enumerate(each)},
        )
        self.config: Any = SimpleNamespace(
            option=SimpleNamespace(rpytest_dist=dist, verbose=verbose),
            get_verbosity=lambda _: verbose,
        )
        self.seen: dict[str, list[str]] = {}
        #: What each of them does beside looking.
        self.acts: dict[str, Any] = {}
        self.manager = pluggy.PluginManager("pytest")
        outer, inner = summary_parts(self.controller)
        # Whoever comes in which order.
        for part in (inner, Plugin(self), Pytest(self), outer):
            self.manager.register(part)

    def look(self, who: str) -> None:
        self.seen[who] = [
            one.name + "*" * hasattr(one, "node") for each in self.stats.values() for one in each
        ]
        if who in self.acts:
            self.acts[who]()

    def write(self) -> Any:
        found = self.manager.hook.pytest_terminal_summary(config=self.config)
        self.look("end")
        return found


class Pytest:
    """As pytest's own reporter: sections before and after those of plugins."""

    def __init__(self, summary: Summary) -> None:
        self.summary = summary

    @pytest.hookimpl(wrapper=True)
    def pytest_terminal_summary(self) -> Iterator[None]:
        self.summary.look("before")
        result = yield
        self.summary.look("after")
        return result


class Plugin:
    def __init__(self, summary: Summary) -> None:
        self.summary = summary

    @pytest.hookimpl
    def pytest_terminal_summary(self) -> str:
        self.summary.look("plugin")
        return "result"


PLAIN = ["collected", "1", "3", "2", "w2", "w1"]
WITH_NODES = ["collected", "1*", "3*", "2*", "w2", "w1"]


def test_plugins_see_nodes_and_pytest_does_not() -> None:
    """In the order of the tests; what is of no test comes first, and warnings stay as they are."""
    summary = Summary()
    assert summary.write() == ["result"]
    assert summary.seen == {
        "before": PLAIN,
        "plugin": WITH_NODES,
        "after": PLAIN,
        "end": WITH_NODES,
    }
    assert summary.first.node is summary.workers[1]
    assert summary.second.node is summary.workers[0]
    assert not hasattr(summary.workers[0], "_workerinfocache")


@pytest.mark.parametrize(("dist", "verbose"), [("each", 0), ("load", 1)])
def test_labels(dist: str, verbose: int) -> None:
    summary = Summary(dist, verbose)
    summary.write()
    assert list(summary.seen.values()) == [WITH_NODES] * 4
    for slot, worker in summary.workers.items():
        assert worker._workerinfocache == worker_line(slot)
        assert worker._workerinfocache.startswith(f"[worker {slot}] ")


def test_no_labels_if_it_is_quieter() -> None:
    summary = Summary(verbose=-1)
    summary.write()
    assert summary.seen["before"] == PLAIN


def test_a_live_controller_writes_its_own() -> None:
    """It has written about tests as they came."""
    summary = Summary(is_live=True)
    summary.write()
    assert list(summary.seen.values()) == [["3*", "1*", "collected", "2*", "w2", "w1"]] * 4


def test_no_terminal() -> None:
    summary = Summary()
    summary.controller.terminal.reporter = None
    assert summary.write() == ["result"]


@pytest.mark.parametrize("who", ["before", "plugin", "after"])
def test_nodes_are_back_whatever_is_raised(who: str) -> None:
    def fail() -> None:
        raise KeyError(who)

    summary = Summary()
    summary.acts[who] = fail
    with pytest.raises(KeyError, match=who):
        summary.write()
    summary.look("end")
    assert summary.seen["end"] == WITH_NODES


def test_a_second_summary() -> None:
    """Of one that has more reports by then."""
    summary = Summary()
    summary.write()
    more = report("4", summary.workers[0])
    summary.stats["failed"].append(more)
    summary.write()
    assert summary.seen["before"] == ["collected", "4", "1", "3", "2", "w2", "w1"]
    assert more.node is summary.workers[0]
