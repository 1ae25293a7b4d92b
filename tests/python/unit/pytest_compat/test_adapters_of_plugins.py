"""When a plugin's summary is left out, because it has nothing to say and would import for seconds
to find that out.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from rpytest.pytest_compat import known_plugins

NAME = "_hypothesis_pytestplugin"


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    """As Hypothesis's, with its names."""
    module: Any = ModuleType(NAME)
    module.PRINT_STATISTICS_OPTION = "--hypothesis-show-statistics"
    module.STATS_KEY, module.FAILING_EXAMPLES_KEY = (
        "_hypothesis_stats",
        "_hypothesis_failing_examples",
    )
    monkeypatch.setitem(sys.modules, NAME, module)
    monkeypatch.delitem(sys.modules, "hypothesis.internal.observability", raising=False)
    return module


def has_summary(plugin: Any, stats: Any = None, option: bool = False) -> bool:
    config: Any = SimpleNamespace(getoption=lambda _: option)
    found: bool = known_plugins.has_summary(SimpleNamespace(plugin=plugin), config, stats)
    return found


def test_nothing_to_say(plugin: ModuleType) -> None:
    assert not has_summary(plugin)
    assert not has_summary(plugin, {"failed": [SimpleNamespace(x=1)], "warnings": [object()]})


def test_statistics(plugin: ModuleType) -> None:
    assert has_summary(plugin, option=True)


@pytest.mark.parametrize("key", ["_hypothesis_stats", "_hypothesis_failing_examples"])
def test_reports(plugin: ModuleType, key: str) -> None:
    assert has_summary(plugin, {"failed": [SimpleNamespace(), SimpleNamespace(**{key: "x"})]})


def test_files_may_have_been_written(plugin: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        sys.modules, "hypothesis.internal.observability", ModuleType("observability")
    )
    assert has_summary(plugin)


def test_another_version(plugin: Any) -> None:
    del plugin.FAILING_EXAMPLES_KEY
    assert has_summary(plugin)


def test_other_plugins() -> None:
    assert has_summary(ModuleType("other"))


def test_only_that_is_muted(plugin: ModuleType) -> None:
    said: list[str] = []
    implementations = [
        SimpleNamespace(
            plugin=each,
            wrapper=False,
            hookwrapper=False,
            function=lambda *_, name=name: said.append(name),
        )
        for name, each in (("hypothesis", plugin), ("other", ModuleType("other")))
    ]
    hook = SimpleNamespace(
        pytest_terminal_summary=SimpleNamespace(get_hookimpls=lambda: implementations)
    )
    config: Any = SimpleNamespace(getoption=lambda _: False, hook=hook)
    known_plugins.mute_summaries(config, {})
    for implementation in implementations:
        implementation.function(None, None, None)
    assert said == ["other"]
