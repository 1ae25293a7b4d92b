"""What a worker leaves for the case that it dies, as its host reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rpytest.worker.crash_file import CrashFile, read_crash_file

LIMIT = 1000


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "crash", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def test_nothing(fd: int) -> None:
    assert read_crash_file(fd, LIMIT) == ("", b"")
    assert not CrashFile(fd).dirty


def test_text_is_there_at_once(fd: int) -> None:
    file = CrashFile(fd)
    assert file.write("öne\n") == 4
    assert file.dirty
    assert read_crash_file(fd, LIMIT) == ("öne\n", b"")
    print("two", file=file)
    assert read_crash_file(fd, LIMIT) == ("öne\ntwo\n", b"")


def test_reading_takes_nothing_away(fd: int) -> None:
    file = CrashFile(fd)
    file.write("a")
    read_crash_file(fd, LIMIT)
    file.write("b")
    assert read_crash_file(fd, LIMIT) == ("ab", b"")


def test_text_that_is_not_unicode(fd: int) -> None:
    CrashFile(fd).write("\udc80\0")
    os.write(fd, b"\xff")
    assert read_crash_file(fd, LIMIT) == ("\\udc80\0\ufffd", b"")


@pytest.mark.parametrize(
    ("limit", "text"), [(0, ""), (1, "a"), (2, "a\ufffd"), (3, "aä"), (4, "aäb"), (5, "aäb")]
)
def test_the_limit_is_of_bytes_and_of_the_beginning(fd: int, limit: int, text: str) -> None:
    CrashFile(fd).write("aäb")
    assert read_crash_file(fd, limit) == (text, b"")


@pytest.mark.parametrize("reports", [b"", b"x", b"\0\xff" * 70_000])
def test_reports_are_kept_among_the_text(fd: int, reports: bytes) -> None:
    file = CrashFile(fd)
    file.write("before\n")
    file.keep(reports)
    file.write("after\n")
    assert read_crash_file(fd, LIMIT) == ("before\nafter\n", reports)
    # They don't count for the limit.
    assert read_crash_file(fd, 9) == ("before\naf", reports)


def test_reports_alone_are_something(fd: int) -> None:
    file = CrashFile(fd)
    file.keep(b"x")
    assert file.dirty


@pytest.mark.parametrize("length", [3, 8, 12])
def test_reports_that_were_cut_are_none(fd: int, length: int) -> None:
    """The worker died while it wrote them."""
    file = CrashFile(fd)
    file.write("text")
    file.keep(b"reports")
    os.ftruncate(fd, os.fstat(fd).st_size - len(b"\7\0\0\0\0\0\0\0reports") + length)
    assert read_crash_file(fd, LIMIT) == ("text", b"")


def test_when_the_test_is_over(fd: int) -> None:
    file = CrashFile(fd)
    file.write("first")
    file.keep(b"reports")
    file.forget()
    assert not file.dirty
    assert read_crash_file(fd, LIMIT) == ("", b"")
    # From the beginning again: no zeros where the others were.
    file.write("second")
    assert read_crash_file(fd, LIMIT) == ("second", b"")
