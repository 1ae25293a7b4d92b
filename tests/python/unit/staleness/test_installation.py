"""Whether what a daemon was made from was installed anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rpytest.staleness import installation
from rpytest.staleness.installation import InstalledFiles, file_times, startup_files

ANEW = "pytest or rpytest was installed anew"
PATHS = "a path file (`.pth`) of the environment changed"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An interpreter with one module and one folder on its path."""
    folder = tmp_path / "site"
    folder.mkdir()
    for name in ("module.py", "other.py", "a.pth"):
        (folder / name).write_text("pass\n")
    modules = {
        "module": SimpleNamespace(__file__=str(folder / "module.py")),
        "builtin": SimpleNamespace(),
        "namespace": SimpleNamespace(__file__=None),
        "nothing": None,
    }
    path = [str(folder), str(tmp_path / "not there"), str(folder / "module.py")]
    monkeypatch.setattr(installation, "sys", SimpleNamespace(modules=modules, path=path))
    return folder


def replaced(folder: Path) -> None:
    (folder / "module.py").unlink()


def longer(folder: Path) -> None:
    (folder / "module.py").write_text("pass\npass\n")


def another_one(folder: Path) -> None:
    """Of the same size and time, as an installer may copy it."""
    file = folder / "module.py"
    times = file.stat()
    (folder / "new").write_text(file.read_text())
    os.utime(folder / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
    (folder / "new").rename(file)


def not_imported(folder: Path) -> None:
    (folder / "other.py").unlink()


def new_path_file(folder: Path) -> None:
    (folder / "b.pth").touch()


def no_path_file(folder: Path) -> None:
    (folder / "a.pth").unlink()


def edited_path_file(folder: Path) -> None:
    (folder / "a.pth").write_text("/somewhere\n")


def customized(folder: Path) -> None:
    (folder / "sitecustomize.py").touch()


def customized_by_a_package(folder: Path) -> None:
    (folder / "usercustomize").mkdir()
    (folder / "usercustomize" / "__init__.py").touch()


def other_file(folder: Path) -> None:
    (folder / "a.pth.bak").touch()
    (folder / "new.py").touch()


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda _: None, None),
        (replaced, ANEW),
        (longer, ANEW),
        (another_one, ANEW),
        (not_imported, None),
        (new_path_file, PATHS),
        (no_path_file, PATHS),
        (edited_path_file, PATHS),
        (customized, PATHS),
        (customized_by_a_package, PATHS),
        (other_file, None),
    ],
)
def test_changed(site: Path, change: Callable[[Path], None], wanted: str | None) -> None:
    files = InstalledFiles()
    change(site)
    assert files.changed() == wanted
    assert files.changed() == wanted


def test_what_is_imported_later_does_not_count(site: Path) -> None:
    files = InstalledFiles()
    modules: Any = vars(installation)["sys"].modules
    modules["other"] = SimpleNamespace(__file__=str(site / "other.py"))
    (site / "other.py").unlink()
    assert files.changed() is None


def test_times(tmp_path: Path) -> None:
    file, missing = tmp_path / "x", str(tmp_path / "y")
    file.write_text("abc")
    found = file_times([str(file), missing])
    times = file.stat()
    assert found == {
        str(file): [times.st_mtime_ns, times.st_ctime_ns, 3, times.st_ino],
        missing: None,
    }


def test_startup_files(site: Path) -> None:
    """In one order, whatever that of the folder is; files that are not there may come."""
    (site / "Z.pth").touch()
    found = startup_files()
    assert found == sorted(found)
    assert [name for name in found if name.endswith(".pth")] == [
        str(site / "Z.pth"),
        str(site / "a.pth"),
    ]
    for name in ("sitecustomize.py", "usercustomize/__init__.py"):
        assert str(site / name) in found
        assert str(site.parent / "not there" / name) in found
