"""Names of modules, and where installed ones lie."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import pytest

import rpytest
from rpytest.project import locations


@pytest.mark.parametrize(
    ("name", "top", "all_of_them"),
    [
        ("a", "a", ["a"]),
        ("a.b.c", "a", ["a", "a.b", "a.b.c"]),
        ("a_b.c", "a_b", ["a_b", "a_b.c"]),
        ("", "", [""]),
    ],
)
def test_names(name: str, top: str, all_of_them: list[str]) -> None:
    assert locations.top_level(name) == top
    assert locations.with_parents(name) == all_of_them


def test_this_package() -> None:
    """With a separator: a folder beside it, whose name begins like this, is not meant."""
    assert rpytest.__file__.startswith(locations.PACKAGE)
    assert locations.__file__.startswith(locations.PACKAGE)
    assert locations.PACKAGE.endswith(f"{os.sep}rpytest{os.sep}")


def test_installed_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    below = [str(tmp_path / name) for name in ("site-packages", "dist-packages", "mine")]
    deeper = str(tmp_path / "site-packages" / "egg")
    monkeypatch.setattr(sys, "path", [*below, deeper, "", *sys.path])
    found = locations.installed_folders()
    # `""`, the folder of the command, is the project's.
    assert [path for path in found if path.startswith(str(tmp_path))] == [
        str(tmp_path / "dist-packages") + os.sep,
        str(tmp_path / "site-packages") + os.sep,
    ]
    for name in ("stdlib", "purelib"):
        assert f"{Path(sysconfig.get_path(name))}{os.sep}" in found
    assert list(found) == sorted(set(found))
    assert all(path.endswith(os.sep) and path.startswith(os.sep) for path in found)


def test_a_relative_entry_of_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["lib/site-packages"])
    assert str(tmp_path / "lib/site-packages") + os.sep in locations.installed_folders()
