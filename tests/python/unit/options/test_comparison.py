"""Which command lines one collected session may serve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.config import get_config

from rpytest.options import comparison, option_reads


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("test_a.py", "test_b.py", "sub/test_c.py", "testing/x.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -k first\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    # Nobody has looked at anything.
    monkeypatch.setattr(option_reads.reads, "read", {})
    return tmp_path


def arguments(argv: Sequence[str]) -> comparison.ParsedCommandLine:
    config: Any = get_config(list(argv))
    config.parse(list(argv))
    config._ensure_unconfigure()
    return comparison.ParsedCommandLine(config, argv)


@pytest.mark.parametrize(
    ("own", "other", "names"),
    [
        ([], [], set()),
        (["-v"], ["--verbose"], set()),
        (["test_a.py"], ["test_b.py"], {"file_or_dir"}),
        ([], ["-k", "second"], {"keyword"}),
        # What the ini file says already.
        ([], ["-k", "first"], set()),
        (["-x"], ["--maxfail=1"], set()),
        ([], ["-x"], {"maxfail"}),
        (["-q"], ["-v", "--tb=short", "-ra"], {"quiet", "verbose", "tbstyle", "reportchars"}),
        (["--ignore=a"], ["--ignore=a", "--deselect=b"], {"deselect"}),
        ([], ["--durations=3"], {"durations"}),
    ],
)
def test_served(root: Path, own: list[str], other: list[str], names: set[str]) -> None:
    assert root
    assert set(arguments(own).compare(other, counted=False)) == names


@pytest.mark.parametrize(
    ("own", "other", "why"),
    [
        ([], ["-s"], "`capture`"),
        ([], ["-p", "no:doctest"], "`plugins`"),
        ([], ["-o", "xfail_strict=true"], "`override_ini`"),
        ([], ["-W", "error"], "`pythonwarnings`"),
        (["--color=yes"], [], "`color`"),
        ([], ["--doctest-modules"], "`doctestmodules`"),
        ([], ["--import-mode=importlib"], "`importmode`"),
        ([], ["--no-such-option"], "parsed"),
        ([], ["--maxfail=many"], "parsed"),
    ],
)
def test_declined(root: Path, own: list[str], other: list[str], why: str) -> None:
    assert root
    with pytest.raises(comparison.Declined, match=why):
        arguments(own).compare(other, counted=False)


def test_changed_by_a_plugin(root: Path) -> None:
    assert root
    config: Any = get_config([])
    config.parse([])
    config._ensure_unconfigure()
    config.option.markexpr = "slow"
    held = comparison.ParsedCommandLine(config, [])
    assert set(held.compare(["-v"], counted=False)) == {"verbose"}
    with pytest.raises(comparison.Declined, match="a plugin or conftest has changed it"):
        held.compare(["-m", "fast"], counted=False)


@pytest.mark.parametrize(
    ("args", "folders"),
    [
        (["test_a.py"], {"."}),
        (["sub/test_c.py::test_x"], {"sub", "."}),
        (["sub"], {"sub", "."}),
        # Its folders of tests are looked into.
        (["."], {".", "testing"}),
        (["not_there.py"], {".", "testing"}),
        (["x" * 5000], {".", "testing"}),
        (["sub", "test_a.py"], {"sub", "."}),
    ],
)
def test_anchors(root: Path, args: list[str], folders: set[str]) -> None:
    found = comparison.anchors(arguments([]).config, args)
    assert {folder for folder in found if root in (folder, *folder.parents)} == {
        (root / name).resolve() if name != "." else root for name in folders
    }


def test_every_option_is_in_one_list() -> None:
    lists = [comparison.SELECTING, comparison.REPORTING, comparison.RUNNING]
    assert sum(map(len, lists)) == len(comparison.FREE)
    assert comparison.COLLECTING <= comparison.SELECTING
