"""What files and folders are compared by."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rpytest.project.file_states import ALL, SOME, digest, listing, state


def names(folder: Path) -> tuple[bytes, ...]:
    """What is in a folder, whatever its own state is."""
    return listing(str(folder)).names


def test_nothing_is_there(tmp_path: Path) -> None:
    name = str(tmp_path / "x")
    assert state(name) is None
    assert digest(name) == b""
    assert not listing(name).is_folder
    assert state("a\0b") is None


def test_an_edit_that_keeps_size_and_time_is_another_state(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("1")
    before, times = state(str(file)), file.stat()
    while state(str(file)) == before:
        # The file system's clock may stand still for a while.
        file.write_text("2")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = state(str(file))
    assert before is not None
    assert after is not None
    assert after[:4] == before[:4]


def test_a_state_is_all_that_the_system_knows(tmp_path: Path) -> None:
    """Each of these may be the only trace: the inode of a file that was put in the place of one."""
    (tmp_path / "x").write_text("12")
    found = (tmp_path / "x").stat()
    assert state(str(tmp_path / "x")) == (
        found.st_mode,
        found.st_ino,
        2,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


def test_digest_is_of_the_content(tmp_path: Path) -> None:
    one, other = tmp_path / "1", tmp_path / "2"
    one.write_text("x")
    other.write_text("x")
    assert digest(str(one)) == digest(str(other)) != b""
    other.write_text("y")
    assert digest(str(one)) != digest(str(other))
    assert digest(str(tmp_path)) == b""


@pytest.mark.parametrize("name", ["test_new.py", "data.txt", "__init__.py", "\udc80"])
def test_listing_knows_what_comes(tmp_path: Path, name: str) -> None:
    before = names(tmp_path)
    (tmp_path / name).write_text("")
    with_it = names(tmp_path)
    assert with_it != before
    (tmp_path / name).unlink()
    assert names(tmp_path) == before
    (tmp_path / name).mkdir()
    assert names(tmp_path) not in (before, with_it)


@pytest.mark.parametrize("name", ["__pycache__", ".pytest_cache", "pytest-cache-files-abc"])
def test_listing_ignores_what_we_make(tmp_path: Path, name: str) -> None:
    before = names(tmp_path)
    (tmp_path / name).mkdir()
    assert names(tmp_path)[SOME] == before[SOME]
    # Who lists the folder himself may mean just these.
    assert names(tmp_path)[ALL] != before[ALL]


def test_listing_does_not_depend_on_the_order(tmp_path: Path) -> None:
    found = []
    for folder, entries in (("1", "abc"), ("2", "cba")):
        (tmp_path / folder).mkdir()
        for name in entries:
            (tmp_path / folder / name).touch()
        found.append(names(tmp_path / folder))
    assert found[0] == found[1]


def test_names_can_not_be_taken_for_others(tmp_path: Path) -> None:
    for folder, entries in (("1", ["a\nb"]), ("2", ["a", "b"])):
        (tmp_path / folder).mkdir()
        for name in entries:
            (tmp_path / folder / name).touch()
    assert names(tmp_path / "1") != names(tmp_path / "2")
