"""The table of pytest's options in docs/options.md is complete, and each of its rows is tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import test_options_files
import test_options_output
import test_options_running
import test_options_selection
from _pytest.config import get_config

from support.fidelity import VERSION

TABLE = Path(__file__).parents[3] / "docs" / "options.md"
MODULES = (test_options_files, test_options_output, test_options_running, test_options_selection)

#: Options whose tests are functions of their own.
OTHERS = {
    "--help": test_options_running.test_help,
    "-h": test_options_running.test_help,
    "--version": test_options_running.test_version,
    "-V": test_options_running.test_version,
    "--trace-config": test_options_running.test_trace_config,
    "--traceconfig": test_options_running.test_trace_config,
    "--debug": test_options_files.test_debug,
}


def _rows(title: str) -> dict[str, str]:
    """What the section's table says, by option."""
    section = TABLE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?`) \| (.+) \|$", section, re.M)
    return {name: text for names, text in rows for name in re.findall(r"`(.+?)`", names)}


def _is_of_this_pytest(text: str) -> bool:
    since = re.search(r"\(pytest (\d+)(?:\.(\d+))?\)", text)
    return since is None or (int(since[1]), int(since[2] or 0)) <= VERSION


def _tested() -> set[str]:
    cases = (case for module in MODULES for case in module.CASES)
    return {name for case in cases for name in case.options.split()} | set(OTHERS)


def _parser() -> pytest.Parser:
    """pytest's parser with all built-in plugins, and nothing else."""
    return get_config()._parser


def _options() -> set[str]:
    parser = _parser()
    groups = [parser._anonymous, *parser._groups]
    return {name for group in groups for option in group.options for name in option.names()}


def test_every_option_is_in_the_table() -> None:
    rows = _rows("Options")
    options = _options()
    assert len(options) > 100
    assert options - rows.keys() == set()
    here = {name for name, text in rows.items() if _is_of_this_pytest(text)}
    assert here - options == set(), "the table has options that this pytest has not"


def test_every_setting_is_in_the_table() -> None:
    rows = _rows("ini settings")
    # Registered when arguments are parsed, or other names.
    late = {"addopts", "minversion", "pythonpath", "required_plugins", "testpaths", "xfail_strict"}
    settings = set(_parser()._inidict)
    assert len(settings) > 40
    assert settings - rows.keys() == set()
    here = {name for name, text in rows.items() if _is_of_this_pytest(text)}
    assert here - settings - late == set(), "the table has settings that this pytest has not"


@pytest.mark.parametrize("title", ["Options", "ini settings"])
def test_every_row_is_tested(title: str) -> None:
    assert _rows(title).keys() - _tested() == set()
