"""What the collectors of a session have collected, so that pytest can collect a selection from it without importing anything again.

pytest's own collection runs: it resolves the arguments, walks down to what they name, and calls its hooks. Only the step from one collector to what
is in it, `pytest_make_collect_report`, is answered from memory. The nodes are those that exist already.
"""

from __future__ import annotations

import copy
import os
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from rpytest._contents import Contents

#: A node below a given parent.
_Key = tuple[type, Path, str]


class Memo:
    """The collectors of one session."""

    def __init__(self, session: pytest.Session, replacing: Container[str]) -> None:
        """``replacing``: files of modules that may have replaced something of others while they were imported."""
        self.session = session
        self._replacing = replacing
        self._contents = Contents()
        self.reports: dict[pytest.Collector, pytest.CollectReport] = {}
        #: Warnings that were recorded while a collector was at work.
        self.warnings: dict[pytest.Collector, list[warnings.WarningMessage]] = {}
        #: What importing a file has done to the process, beside defining something.
        self.effects: dict[pytest.Collector, str] = {}
        #: Entries of `sys.path` that came while a collector was at work.
        self.path_entries: dict[pytest.Collector, list[str]] = {}
        #: Collectors of the paths that lie above all others.
        self._first: dict[Path, Sequence[pytest.Collector]] = {}
        #: Paths that were given when everything was collected.
        self._own_initial: frozenset[Path] = frozenset()
        #: Ends the process: the selection can't be made from here.
        self._decline: Callable[[str], NoReturn] | None = None
        #: Folders are listed again: what is left out of them has changed.
        self._lists_again = False
        self._wanted: dict[Path, set[Path]] = {}
        self._given: set[Path] = set()
        self.used: list[pytest.Collector] = []
        self._make: Any = None
        self._install()
        self._contents.start()

    # While everything is collected

    def _install(self) -> None:
        config = self.session.config
        runner = config.pluginmanager.getplugin("runner")
        implementation: Any
        for implementation in config.hook.pytest_make_collect_report.get_hookimpls():
            if implementation.plugin is runner:
                self._make = implementation.function
                implementation.function = self._report
        held: Any = self.session
        original = held._collect_path

        def collect_path(path: Path, cache: dict[Path, Any]) -> Any:
            if self._decline is not None and path in self._first:
                return self._first[path]
            found = original(path, cache)
            return self._first.setdefault(path, found)

        held._collect_path = collect_path

    def _report(self, collector: pytest.Collector) -> pytest.CollectReport:
        """In the place of pytest's own `pytest_make_collect_report`."""
        if self._decline is not None:
            return self._recall(collector, self._decline)
        log = recorded_warnings()
        before = 0 if log is None else len(log)
        # Modules are imported by files, conftests by folders.
        surroundings = _surroundings() if isinstance(collector, (pytest.File, pytest.Directory)) else None
        entries = list(sys.path)
        is_file = isinstance(collector, pytest.File)
        if is_file:
            self._contents.begin(str(collector.path))
        report: pytest.CollectReport = self._make(collector)
        if log is not None and len(log) > before:
            self.warnings[collector] = log[before:]
        if sys.path != entries:
            self.path_entries[collector] = [entry for entry in sys.path if entry not in entries]
        if surroundings is not None:
            effect = _difference(surroundings, _surroundings())
            if is_file:
                changes = self._contents.end()
                if changes is None and str(collector.path) in self._replacing:
                    changes = "may replace something of other modules"
                effect = effect or changes
            if effect is not None:
                self.effects[collector] = effect
        self.reports[collector] = _copy(report)
        return report

    def settle(self) -> None:
        """Everything is collected."""
        self._contents.stop()
        held: Any = self.session
        self._own_initial = held._initialpaths

    @property
    def has_failed(self) -> bool:
        """Whether something could not be collected."""
        return any(report.failed for report in self.reports.values())

    def added_entries(self) -> set[str]:
        """Entries of `sys.path` that came with what was collected."""
        return {entry for entries in self.path_entries.values() for entry in entries}

    def loose_warnings(self) -> bool:
        """Whether warnings were recorded of which nobody knows whose they are."""
        log = recorded_warnings()
        if log is None:
            return self.session.config.pluginmanager.hasplugin("warnings")
        return len(log) > sum(map(len, self.warnings.values()))

    # While a selection is collected

    def harmful(self) -> str | None:
        """What a module that is left out, or comes at another place in the sequence, has done to others."""
        used = dict.fromkeys(self.used)
        for collector, effect in self.effects.items():
            if collector not in used:
                return f"importing {collector.nodeid} {effect}"
        if self.effects:
            importing = [node for node in used if isinstance(node, pytest.File) or node in self.effects]
            known = set(importing)
            if importing != [node for node in self.reports if node in known]:
                collector, effect = next(iter(self.effects.items()))
                return f"the sequence is another one, and importing {collector.nodeid} {effect}"
        return None

    def begin(self, decline: Callable[[str], NoReturn], lists_again: bool) -> None:
        """From here on answer from memory; ``decline`` is called when that is not possible."""
        self._decline = decline
        self._lists_again = lists_again
        self.used.clear()
        log = recorded_warnings()
        if log is not None:
            log.clear()
        self._given = set(_above(self._own_initial))

    def _recall(self, collector: pytest.Collector, decline: Callable[[str], NoReturn]) -> pytest.CollectReport:
        if isinstance(collector, pytest.Session):
            held: Any = self.session
            self._wanted = _above(held._initialpaths)
            report: pytest.CollectReport = self._make(collector)
            return report
        known = self.reports.get(collector)
        if known is None:
            decline(f"{collector.nodeid or collector.name} was not collected")
        if known.failed:
            decline(f"{collector.nodeid or collector.name} could not be collected")
        self.used.append(collector)
        log = recorded_warnings()
        if log is not None:
            log.extend(self.warnings.get(collector, ()))
        if isinstance(collector, pytest.Directory) and not self._is_true(collector, known):
            return self._list_again(collector, known, decline)
        return _copy(known)

    def _is_true(self, directory: pytest.Directory, known: pytest.CollectReport) -> bool:
        """Whether the folder would be found to contain the same: given paths are never left out, whatever their names."""
        if self._lists_again or directory.path in self._given:
            return False
        wanted = self._wanted.get(directory.path)
        return not wanted or wanted <= {child.path for child in known.result}

    def _list_again(
        self, directory: pytest.Directory, known: pytest.CollectReport, decline: Callable[[str], NoReturn]
    ) -> pytest.CollectReport:
        report: pytest.CollectReport = self._make(directory)
        if not report.passed:
            decline(f"{directory.nodeid} can't be listed")
        nodes: dict[_Key, Any] = {_key(child): child for child in known.result}
        report.result = [nodes.get(_key(child), child) for child in report.result]
        return report


def _key(node: Any) -> _Key:
    return type(node), node.path, node.name


def _copy(report: pytest.CollectReport) -> pytest.CollectReport:
    """A report with a list of its own (hooks change it in place), and without the exception that pytest has there for a moment."""
    new = copy.copy(report)
    new.__dict__.pop("call", None)
    new.result = list(report.result or ())
    return new


def _above(paths: frozenset[Path]) -> dict[Path, set[Path]]:
    """For each folder above one of the paths: its entries that lead to them."""
    found: dict[Path, set[Path]] = defaultdict(set)
    for path in paths:
        child = path
        for parent in path.parents:
            if child in found[parent]:
                break
            found[parent].add(child)
            child = parent
    return dict(found)


def recorded_warnings() -> list[warnings.WarningMessage] | None:
    """The list in which pytest collects warnings right now; ``None``: it can't be found, or there is none."""
    show: Any = getattr(warnings, "_showwarnmsg_impl", None)
    found = getattr(show, "__self__", None)
    return found if isinstance(found, list) else None


def _surroundings() -> tuple[dict[Any, Any], str | None, list[Any]]:
    # The mapping below: a copy of `os.environ` itself would look every variable up.
    environment: Any = os.environ
    try:
        folder = os.getcwd()
    except OSError:
        folder = None
    # Libraries have some for certain messages or modules, their own: whoever imports them first adds these.
    filters = [entry for entry in warnings.filters if entry[1] is None and entry[3] is None]
    return dict(dict.items(environment._data)), folder, filters


def _difference(
    before: tuple[dict[Any, Any], str | None, list[Any]], after: tuple[dict[Any, Any], str | None, list[Any]]
) -> str | None:
    if before[1] != after[1]:
        return "changes the current directory"
    if before[2] != after[2]:
        return "changes which warnings are shown"
    if before[0] != after[0]:
        keys = before[0].keys() | after[0].keys()
        names = sorted(os.fsdecode(key) for key in keys if before[0].get(key) != after[0].get(key))
        return f"changes the environment variable {names[0]}"
    return None
