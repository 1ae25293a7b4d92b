"""Which tests must stay together, by the mode of distribution."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest
def test_1(): pass
@pytest.mark.serial
@pytest.mark.xdist_group("one")
def test_2(): pass
class TestX:
    @pytest.mark.xdist_group(name="one")
    def test_3(self): pass
    @pytest.mark.parametrize("text", ["a::b"])
    def test_4(self, text): pass
@pytest.mark.xdist_group
class TestY:
    @pytest.mark.xdist_group("one")
    def test_5(self): pass
    def test_6(self): pass
"""
#: It writes what it says about the tests of a collection.
PLUGIN = """
import pytest
from rpytest.collection import grouping
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    for mode in ("load", "each", "loadfile", "loadscope", "loadgroup"):
        print(mode, grouping.groups(items, mode))
    print("serial", grouping.serial(items))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    folder: Path = tmp_path_factory.mktemp("groups")
    (folder / "conftest.py").write_text(PLUGIN)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    serial\n    xdist_group\n")
    for name in ("test_a.py", "test_b.py"):
        (folder / name).write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        "--collect-only",
        "-sq",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    lines = [
        line.partition(" ")
        for line in done.stdout.splitlines()
        if "[" in line and "]" in line and "::" not in line
    ]
    return {
        name: [int(word) for word in numbers.strip("[]").split(",") if word]
        for name, _, numbers in lines
    }


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("load", []),
        ("each", []),
        ("loadfile", [1] * 6 + [2] * 6),
        ("loadscope", [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]),
        ("loadgroup", [0, 1, 1, 0, 2, 3, 0, 1, 1, 0, 2, 3]),
        ("serial", [1, 7]),
    ],
)
def test_groups(said: dict[str, list[int]], mode: str, wanted: list[int]) -> None:
    assert said[mode] == wanted
