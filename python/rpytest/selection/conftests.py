"""Which conftests another command line would load, and whether those that it would not load act all
the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rpytest.options.comparison import anchors

#: Hooks of a conftest that pytest calls for what lies in its folder only.
_LOCAL = frozenset(
    {
        "pytest_assertion_pass",
        "pytest_assertrepr_compare",
        "pytest_collect_directory",
        "pytest_collect_file",
        "pytest_exception_interact",
        "pytest_fixture_post_finalizer",
        "pytest_fixture_setup",
        "pytest_generate_tests",
        "pytest_ignore_collect",
        "pytest_itemcollected",
        "pytest_markeval_namespace",
        "pytest_pycollect_makeitem",
        "pytest_pycollect_makemodule",
        "pytest_pyfunc_call",
        "pytest_runtest_call",
        "pytest_runtest_logfinish",
        "pytest_runtest_logreport",
        "pytest_runtest_logstart",
        "pytest_runtest_makereport",
        "pytest_runtest_setup",
        "pytest_runtest_teardown",
    }
)

#: Hooks that do the same whether their conftest is loaded before or during collection, as long as
#: they are called in the same order.
_LATE = _LOCAL | {
    "pytest_collection_modifyitems",
    "pytest_deselected",
    "pytest_make_parametrize_id",
    "pytest_runtest_protocol",
}
#: The same, where no other process than this one writes the report.
_LATE_REPORT = frozenset(
    {
        "pytest_collection_finish",
        "pytest_report_collectionfinish",
        "pytest_report_teststatus",
        "pytest_terminal_summary",
    }
)


class Conftests:
    """The conftests of a collected session."""

    def __init__(self, config: pytest.Config, args: Sequence[str], has_controller: bool) -> None:
        self.config = config
        manager: Any = config.pluginmanager
        self._callers = manager.get_hookcallers
        self._modules: dict[Path, Any] = {
            Path(module.__file__): module for module in manager._conftest_plugins
        }
        self.paths = frozenset(self._modules)
        #: Folders whose conftests the selection asked about last would load.
        self.loaded: set[Path] = set()
        self._initial = anchors(config, args)
        #: Conftests that the selection asked about last would load before collection, those of
        #: outer folders first.
        self.earlier: list[Any] = []
        self._late = _LATE if has_controller else _LATE | _LATE_REPORT

    def difference(self) -> str | None:
        """Why the same conftests would not be there before collection as were when everything was
        collected.
        """
        for path in sorted(self._modules):
            if path.parent in self._initial and path.parent not in self.loaded:
                return f"{path} was imported before everything else, and would not be loaded"
        names = [
            module.__name__ for path, module in self._modules.items() if path.parent in self.loaded
        ]
        folders = sorted(path.parent for path in self._modules if path.parent in self.loaded)
        if len(names) != len(set(names)) and not all(
            outer in inner.parents for outer, inner in itertools.pairwise(folders)
        ):
            return "conftests of one name would be imported in another order"
        return None

    def imported(self) -> Iterator[tuple[str, Any]]:
        """Names and modules of those that the selection asked about last would load, those of outer
        folders first.
        """
        for path, module in sorted(
            self._modules.items(), key=lambda item: (len(item[0].parts), item[0])
        ):
            if path.parent in self.loaded:
                yield module.__name__, module

    def obstacle(self, args: Sequence[str], folders: Iterable[Path]) -> str | None:
        """Why a selection by ``args`` would not do the same as if nothing else had been collected;
        ``folders`` are those it has collected.
        """
        initial = anchors(self.config, args)
        manager: Any = self.config.pluginmanager
        for folder in initial:
            if folder not in self._initial and manager._is_in_confcutdir(folder):
                path = folder / "conftest.py"
                if path not in self._modules and path.is_file():
                    return f"{path} was not loaded"
        loaded = set(initial)
        for folder in folders:
            loaded.update((folder, *folder.parents))
        self.earlier.clear()
        self.loaded = loaded
        for path, module in sorted(self._modules.items()):
            hooks = {caller.name for caller in self._callers(module) or ()}
            folder = path.parent
            if folder not in loaded:
                hooks -= _LOCAL
                if hooks:
                    return f"{path} would not be loaded, and has the hook `{min(hooks)}`"
            elif (folder in initial) != (folder in self._initial):
                if folder in initial:
                    self.earlier.append(module)
                    hooks -= self._late
                else:
                    hooks -= _LOCAL
                if hooks:
                    return (
                        f"{path} would be loaded at another moment, and has the hook `{min(hooks)}`"
                    )
        return None
