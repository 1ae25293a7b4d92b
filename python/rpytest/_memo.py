"""What the collectors of a session have collected, so that pytest can collect a selection from it without importing anything again.

pytest's own collection runs: it resolves the arguments, walks down to what they name, and calls its hooks. Only the step from one collector to what
is in it, `pytest_make_collect_report`, is answered from memory. The nodes are those that exist already.
"""

from __future__ import annotations

import copy
import itertools
import os
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from rpytest._contents import Contents
from rpytest._imports import root_of

if TYPE_CHECKING:
    from rpytest._edits import Edits

#: A node below a given parent.
_Key = tuple[type, Path, str]


@dataclass(frozen=True)
class Effect:
    """What importing a file has done to the process, beside defining something."""

    #: Goes on after "importing …".
    text: str
    #: How warnings are shown: libraries change that when they are imported for the first time.
    is_of_warnings: bool = False

    def __str__(self) -> str:
        return self.text


class Memo:
    """The collectors of one session."""

    def __init__(self, session: pytest.Session, replacing: Container[str], codes: Container[str]) -> None:
        """``replacing``: files of modules that may have replaced something of others while they were imported; ``codes``: of all modules so far."""
        self.session = session
        self._replacing = replacing
        self._codes = codes
        #: Plain test modules that were imported by their collectors, and by nobody before.
        self._importing: set[pytest.Collector] = set()
        self._contents = Contents()
        self.reports: dict[pytest.Collector, pytest.CollectReport] = {}
        #: Warnings that were recorded while a collector was at work.
        self.warnings: dict[pytest.Collector, list[warnings.WarningMessage]] = {}
        self.effects: dict[pytest.Collector, Effect] = {}
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
        #: Test modules that are collected anew, and what was collected in their place.
        self._edits: Edits | None = None
        self._renewed: dict[pytest.Collector, pytest.Module] = {}
        #: Other modules have changed since how warnings are shown.
        self._must_not_warn = False
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
                return self._renew_all(self._first[path], self._decline)
            found = original(path, cache)
            return self._first.setdefault(path, found)

        held._collect_path = collect_path

    def _report(self, collector: pytest.Collector) -> pytest.CollectReport:
        """In the place of pytest's own `pytest_make_collect_report`."""
        if self._decline is not None:
            return self._recall(collector, self._decline)
        report, effect = self._observed(collector)
        if effect is not None:
            self.effects[collector] = effect
        self.reports[collector] = _copy(report)
        return report

    def _observed(self, collector: pytest.Collector) -> tuple[pytest.CollectReport, Effect | None]:
        """Collect it; returns, too, what that has done to the process."""
        log = recorded_warnings()
        before = 0 if log is None else len(log)
        effect = None
        # Modules are imported by files, conftests by folders.
        surroundings = _surroundings() if isinstance(collector, (pytest.File, pytest.Directory)) else None
        entries = list(sys.path)
        is_file = isinstance(collector, pytest.File)
        if is_file:
            self._contents.begin(str(collector.path))
        is_new = (
            type(collector) is pytest.Module
            and collector.path.name != "__init__.py"
            and str(collector.path) not in self._codes
        )
        report: pytest.CollectReport = self._make(collector)
        if is_new and str(collector.path) in self._codes:
            self._importing.add(collector)
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
                effect = Effect(changes) if changes is not None else effect
        return report, effect

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
        old: dict[pytest.Collector, pytest.Collector] = {new: old for old, new in self._renewed.items()}
        used = dict.fromkeys(old.get(collector, collector) for collector in self.used)
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

    def editable(self) -> frozenset[str]:
        """Files that are one plain test module each, and could be collected."""
        found: dict[str, bool] = {}
        for collector, report in self.reports.items():
            if isinstance(collector, pytest.File):
                path = str(collector.path)
                found[path] = collector in self._importing and report.passed and path not in found
        return frozenset(path for path, is_plain in found.items() if is_plain)

    def begin(self, decline: Callable[[str], NoReturn], lists_again: bool, edits: Edits | None = None) -> None:
        """From here on answer from memory; ``decline`` is called when that is not possible. ``edits``: what to collect anew."""
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

    def end_anew(self) -> None:
        """The selection is collected."""
        if self._edits is not None:
            self._contents.stop()

    def _leave(self, edits: Edits, decline: Callable[[str], NoReturn]) -> None:
        """Make the old versions as if they had never been there."""
        nodes: set[Any] = set()
        modules: list[pytest.Module] = []
        for collector in self.reports:
            if isinstance(collector, pytest.Module) and collector.path in edits.files:
                modules.append(collector)
                if not {root_of(collector.path)}.issuperset(self.path_entries.get(collector, ())):
                    decline(f"importing {collector.nodeid} changes `sys.path`")
                if self._warns_elsewhere(collector, self.warnings.get(collector, ())):
                    decline(f"collecting {collector.nodeid} warned of something elsewhere")
            if collector.path in edits.files:
                nodes.add(collector)
                nodes.update(self.reports[collector].result)
        # What is collected anew is that after everything else.
        for collector in itertools.dropwhile(lambda collector: collector not in modules, self.reports):
            effect = self.effects.get(collector)
            if effect is not None and not effect.is_of_warnings:
                decline(f"importing {collector.nodeid} {effect}")
            self._must_not_warn = self._must_not_warn or effect is not None
        held = {id(vars(collector).get("_obj")) for collector in modules}
        for collector in self.reports:
            if id(vars(collector).get("_obj")) in held and collector not in modules:
                decline(f"{collector.nodeid} is the same module")
        edits.leave(modules, nodes)
        self._contents.start()

    def _renew_all(self, nodes: Sequence[Any], decline: Callable[[str], NoReturn]) -> Sequence[Any]:
        if self._edits is None:
            return nodes
        return [self._renew(each, decline) if each.path in self._edits.files else each for each in nodes]

    def _renew(self, old: Any, decline: Callable[[str], NoReturn]) -> Any:
        """The collector of the new version, in its place."""
        if old not in self.reports or old.parent is None:
            # It is one.
            return old
        if old not in self._renewed:
            made = old.parent.ihook.pytest_collect_file(file_path=old.path, parent=old.parent)
            if len(made) != 1 or type(made[0]) is not pytest.Module:
                decline(f"{old.nodeid} is not one test module any more")
            self._renewed[old] = made[0]
        return self._renewed[old]

    def _collect_anew(
        self, collector: pytest.Collector, edits: Edits, decline: Callable[[str], NoReturn]
    ) -> pytest.CollectReport:
        if not isinstance(collector, pytest.File):
            inner: pytest.CollectReport = self._make(collector)
            return inner
        self.used.append(collector)
        entries = list(sys.path)
        # Python shows a warning of one place once, and begins anew with this; the old version's don't count.
        with warnings.catch_warnings():
            if self._must_not_warn:
                warnings.simplefilter("always")
            report, effect = self._observed(collector)
        if not report.passed:
            decline(f"{collector.nodeid} can't be collected any more")
        if sys.path == [root_of(collector.path), *entries]:
            # It is there already, behind those of test modules that have come later.
            sys.path[:] = entries
        self.path_entries.pop(collector, None)
        if effect is not None or sys.path != entries:
            decline(f"importing {collector.nodeid} {effect or 'changes `sys.path`'}")
        warned = self.warnings.pop(collector, ())
        if self._warns_elsewhere(collector, warned) or (self._must_not_warn and warned):
            decline(f"collecting {collector.nodeid} warns, and what is shown depends on the sequence")
        assert isinstance(collector, pytest.Module)
        edits.made(collector)
        return report

    @staticmethod
    def _warns_elsewhere(collector: pytest.Collector, recorded: Sequence[warnings.WarningMessage]) -> bool:
        return any(warning.filename != str(collector.path) for warning in recorded)

    def _recall(self, collector: pytest.Collector, decline: Callable[[str], NoReturn]) -> pytest.CollectReport:
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
        report.result = list(self._renew_all(report.result, decline))
        return report

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
) -> Effect | None:
    if before[1] != after[1]:
        return Effect("changes the current directory")
    if before[0] != after[0]:
        keys = before[0].keys() | after[0].keys()
        names = sorted(os.fsdecode(key) for key in keys if before[0].get(key) != after[0].get(key))
        return Effect(f"changes the environment variable {names[0]}")
    if before[2] != after[2]:
        return Effect("changes which warnings are shown", is_of_warnings=True)
    return None
