"""What the collectors of a session have collected, so that pytest can collect a selection from it
without importing anything again.

pytest's own collection runs: it resolves the arguments, walks down to what they name, and calls its
hooks. Only the step from one collector to what is in it, `pytest_make_collect_report`, is answered
from memory. The nodes are those that exist already.
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from rpytest import stdlib
from rpytest.import_effects.import_history import Executed, ImportRecord
from rpytest.import_effects.symbolic_values import ImportEffects
from rpytest.project.imports import root_of
from rpytest.pytest_compat.node_list import Members
from rpytest.stdlib import copy

__builtins__ = stdlib.BUILTINS


if TYPE_CHECKING:
    from rpytest.selection.edited_modules import EditedModules

#: A node below a given parent.
_Key = tuple[type, Path, str]


class CollectionCache:
    """The collectors of one session."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        #: What was executed meanwhile.
        self.record = ImportRecord(session.config)
        self.reports: dict[pytest.Collector, pytest.CollectReport] = {}
        #: Warnings that were recorded while a collector was at work.
        self.warnings: dict[pytest.Collector, list[warnings.WarningMessage]] = {}
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
        #: Test modules that are collected anew, and what was collected in their place.
        self._edits: EditedModules | None = None
        self._renewed: dict[pytest.Collector, pytest.Module] = {}
        #: Other modules have changed since how warnings are shown.
        self._must_not_warn = False
        self._make: Any = None
        self._install()

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
                return self._renew_all(self._first[path], self._decline)
            found = original(path, cache)
            return self._first.setdefault(path, found)

        held._collect_path = collect_path

    def _report(self, collector: pytest.Collector) -> pytest.CollectReport:
        """Stands in the place of pytest's own `pytest_make_collect_report`."""
        if self._decline is not None:
            return self._recall(collector, self._decline)
        self.record.enter()
        outcome = None
        try:
            report = self._observed(collector)
            outcome = report.outcome
        finally:
            self.record.leave(collector, outcome)
        self.reports[collector] = _copy(report)
        if type(report.result) is list:
            report.result = Members(report.result)
        return report

    def _observed(self, collector: pytest.Collector) -> pytest.CollectReport:
        """Collect it, and keep what that warns of."""
        log = recorded_warnings()
        before = 0 if log is None else len(log)
        report: pytest.CollectReport = self._make(collector)
        if log is not None and len(log) > before:
            self.warnings[collector] = log[before:]
        return report

    def end_collection(self) -> None:
        """Everything is collected."""
        self.record.end()
        held: Any = self.session
        self._own_initial = held._initialpaths

    @property
    def has_failed(self) -> bool:
        """Whether something could not be collected."""
        return any(report.failed for report in self.reports.values())

    def loose_warnings(self) -> bool:
        """Whether warnings were recorded of which nobody knows whose they are."""
        log = recorded_warnings()
        if log is None:
            return self.session.config.pluginmanager.hasplugin("warnings")
        return len(log) > sum(map(len, self.warnings.values()))

    # While a selection is collected

    def _old(self) -> list[pytest.Collector]:
        """What the selection has collected; of files that were collected anew, the old
        collectors.
        """
        old: dict[pytest.Collector, pytest.Collector] = {
            new: old for old, new in self._renewed.items()
        }
        return [old.get(collector, collector) for collector in self.used]

    def is_everything(self, loaded: Container[Path]) -> bool:
        """Whether the selection has collected every file, in the same order, and all conftests are
        ``loaded``.
        """
        files = [node for node in self._old() if isinstance(node, pytest.File)]
        return files == [node for node in self.reports if isinstance(node, pytest.File)] and all(
            entry.path.parent in loaded for entry in self.record.executed if entry.is_conftest
        )

    def selected(self, loaded: Container[Path], earlier: Sequence[Any]) -> list[Executed]:
        """The test modules of the selection, in its order, and the conftests of the ``loaded``
        folders.

        Those that are loaded ``earlier``, before collection, come first.
        """
        by_path = {entry.path: entry for entry in self.record.executed}
        files = list(
            dict.fromkeys(node.path for node in self.used if isinstance(node, pytest.File))
        )
        tests = [by_path[path] for path in files if path in by_path]
        conftests = [
            entry
            for entry in self.record.executed
            if entry.is_conftest and entry.path.parent in loaded
        ]
        first = [entry for entry in conftests if entry.module in earlier]
        rest = [
            entry
            for entry in self.record.executed
            if (entry in conftests and entry not in first) or entry in tests
        ]
        if [entry for entry in rest if entry in tests] != tests:
            # The modules come in another order: the conftests come somewhere between them.
            rest = [*(entry for entry in conftests if entry not in first), *tests]
        return [*first, *rest]

    def changed(self) -> dict[Path, ImportEffects]:
        """What the files do now that were collected anew."""
        return {} if self._edits is None else self._edits.effects

    def left_out(self) -> str | None:
        """What a collector that the selection leaves out has done beside being imported, if
        anything.
        """
        used = set(self._old())
        plain = {entry.collector for entry in self.record.executed if entry.objection is None}
        for collector, report in self.reports.items():
            if isinstance(collector, pytest.File) and collector not in plain:
                return f"{collector.nodeid} is no plain test module"
            if collector in used or isinstance(collector, pytest.Session):
                continue
            if report.failed:
                return f"{collector.nodeid} could not be collected"
            if collector in self.warnings:
                return f"collecting {collector.nodeid} warns"
        return None

    def editable(self) -> dict[str, Any]:
        """Collectors of files that are one plain test module each, and could be collected."""
        found: dict[str, list[pytest.Collector]] = {}
        plain = {entry.collector for entry in self.record.executed if entry.objection is None}
        for collector in self.reports:
            if isinstance(collector, pytest.File):
                found.setdefault(str(collector.path), []).append(collector)
        return {
            path: collectors[0]
            for path, collectors in found.items()
            if len(collectors) == 1
            and collectors[0] in plain
            and self.reports[collectors[0]].passed
        }

    def begin(
        self,
        decline: Callable[[str], NoReturn],
        lists_again: bool,
        edits: EditedModules | None = None,
    ) -> None:
        """From here on answer from memory; ``decline`` is called when that is not possible.
        ``edits``: what to collect anew.
        """
        self._decline = decline
        self._edits = edits
        if edits is not None:
            self._leave(edits, decline)
        self._lists_again = lists_again
        self.used.clear()
        log = recorded_warnings()
        if log is not None:
            log.clear()
        self._given = set(_above(self._own_initial))

    def _leave(self, edits: EditedModules, decline: Callable[[str], NoReturn]) -> None:
        """Make the old versions as if they had never been there."""
        nodes: set[Any] = set()
        modules: list[pytest.Module] = []
        for collector in self.reports:
            if isinstance(collector, pytest.Module) and collector.path in edits.files:
                modules.append(collector)
                if self._warns_elsewhere(collector, self.warnings.get(collector, ())):
                    decline(f"collecting {collector.nodeid} warned of something elsewhere")
            if collector.path in edits.files:
                nodes.add(collector)
                nodes.update(self.reports[collector].result)
        # What is collected anew is that after everything else.
        self._must_not_warn = not all(self.record.is_quiet_after(path) for path in edits.files)
        held = {id(vars(collector).get("_obj")) for collector in modules}
        for collector in self.reports:
            if id(vars(collector).get("_obj")) in held and collector not in modules:
                decline(f"{collector.nodeid} is the same module")
        edits.remove_old(modules, nodes)

    def _renew_all(self, nodes: Sequence[Any], decline: Callable[[str], NoReturn]) -> Sequence[Any]:
        if self._edits is None:
            return nodes
        return [
            self._renew(each, decline) if each.path in self._edits.files else each for each in nodes
        ]

    def _renew(self, old: Any, decline: Callable[[str], NoReturn]) -> Any:
        """The collector of the new version, in its place."""
        if old not in self.reports or old.parent is None:
            # ``old`` is a collector of the new version.
            return old
        if old not in self._renewed:
            made = old.parent.ihook.pytest_collect_file(file_path=old.path, parent=old.parent)
            if len(made) != 1 or type(made[0]) is not pytest.Module:
                decline(f"{old.nodeid} is not one test module any more")
            self._renewed[old] = made[0]
        return self._renewed[old]

    def _collect_anew(
        self, collector: pytest.Collector, edits: EditedModules, decline: Callable[[str], NoReturn]
    ) -> pytest.CollectReport:
        if not isinstance(collector, pytest.File):
            inner: pytest.CollectReport = self._make(collector)
            return inner
        self.used.append(collector)
        entries = list(sys.path)
        # Python shows a warning of one place once, and begins anew with this; the old version's
        # don't count.
        with warnings.catch_warnings():
            if self._must_not_warn:
                warnings.simplefilter("always")
            report = self._observed(collector)
        if not report.passed:
            decline(f"{collector.nodeid} can't be collected any more")
        if sys.path == [root_of(collector.path), *entries]:
            # The module's folder is there already, behind those of test modules that have come
            # later.
            sys.path[:] = entries
        if sys.path != entries:
            decline(f"importing {collector.nodeid} changes `sys.path`")
        warned = self.warnings.pop(collector, ())
        if self._warns_elsewhere(collector, warned) or (self._must_not_warn and warned):
            decline(
                f"collecting {collector.nodeid} warns, and what is shown depends on the sequence"
            )
        assert isinstance(collector, pytest.Module)
        edits.made(collector)
        return report

    @staticmethod
    def _warns_elsewhere(
        collector: pytest.Collector, recorded: Sequence[warnings.WarningMessage]
    ) -> bool:
        return any(warning.filename != str(collector.path) for warning in recorded)

    def _recall(
        self, collector: pytest.Collector, decline: Callable[[str], NoReturn]
    ) -> pytest.CollectReport:
        if isinstance(collector, pytest.Session):
            held: Any = self.session
            self._wanted = _above(held._initialpaths)
            report: pytest.CollectReport = self._make(collector)
            return report
        if self._edits is not None and collector.path in self._edits.files:
            return self._collect_anew(collector, self._edits, decline)
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
            report = self._list_again(collector, known, decline)
        else:
            report = _copy(known)
        report.result = Members(list(self._renew_all(report.result, decline)))
        return report

    def _is_true(self, directory: pytest.Directory, known: pytest.CollectReport) -> bool:
        """Whether the folder would be found to contain the same: given paths are never left out,
        whatever their names.
        """
        if self._lists_again or directory.path in self._given:
            return False
        wanted = self._wanted.get(directory.path)
        return not wanted or wanted <= {child.path for child in known.result}

    def _list_again(
        self,
        directory: pytest.Directory,
        known: pytest.CollectReport,
        decline: Callable[[str], NoReturn],
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
    """A report with a list of its own (hooks change it in place), and without the exception that
    pytest has there for a moment.
    """
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
    """The list in which pytest collects warnings right now; ``None``: it can't be found, or there
    is none.
    """
    show: Any = getattr(warnings, "_showwarnmsg_impl", None)
    found = getattr(show, "__self__", None)
    return found if isinstance(found, list) else None
