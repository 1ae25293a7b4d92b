"""Writes the test suites that are measured."""

from __future__ import annotations

from pathlib import Path

TESTS_PER_FILE = 50


def write_trivial(folder: Path, tests: int) -> None:
    """`tests` tests that do nothing, 50 a file: what is measured is the runner alone."""
    folder.mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for first in range(0, tests, TESTS_PER_FILE):
        body = "".join(
            f"def test_{number:05}():\n    assert True\n\n\n"
            for number in range(first, min(first + TESTS_PER_FILE, tests))
        )
        (folder / f"test_{first // TESTS_PER_FILE:03}.py").write_text(body)


def write_realistic(folder: Path, modules: int = 30) -> None:
    """A suite as people have them: fixtures of every scope, parametrization, output, temporary
    files, skips, expected and real failures, a few slow tests and a very slow one at the end.

    Each of the `modules` modules has 40 tests.
    """
    (folder / "tests").mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    (folder / "tests" / "conftest.py").write_text(_CONFTEST)
    for number in range(modules):
        # One failure in three modules; a slow test in each, of a different length.
        text = _MODULE.replace("FAILS", str(number % 3 == 0))
        text = text.replace("SLOW", f"{0.01 * (number % 5 + 1):.2f}")
        (folder / "tests" / f"test_{number:03}.py").write_text(text)
    (folder / "tests" / "test_zz_slow.py").write_text(_SLOWEST)


_CONFTEST = '''\
import time

import pytest


@pytest.fixture(scope="session")
def catalog():
    """Expensive to make, the same for everyone."""
    time.sleep(0.3)
    return {number: f"article {number}" for number in range(10_000)}


@pytest.fixture(scope="module")
def client(catalog):
    time.sleep(0.005)
    return {"catalog": catalog, "requests": []}


@pytest.fixture
def order(client, tmp_path):
    path = tmp_path / "order.txt"
    path.write_text("1 article 1\\n")
    yield path
    client["requests"].clear()
'''

_MODULE = """\
import logging
import time

import pytest

log = logging.getLogger(__name__)


@pytest.mark.parametrize("number", range(20))
def test_catalog(catalog, number):
    assert catalog[number * 7].endswith(str(number * 7))


@pytest.mark.parametrize("count", [1, 10, 100])
@pytest.mark.parametrize("kind", ["a", "b", "c"])
def test_prints(kind, count):
    print(f"{kind}: " + "x" * count)
    log.warning("%d of kind %s", count, kind)
    assert len(kind * count) == count


@pytest.fixture(scope="class")
def prices():
    return list(range(100))


class TestOrder:
    @pytest.mark.parametrize("line", range(5))
    def test_file(self, order, line):
        order.write_text("line\\n" * line)
        assert len(order.read_text().splitlines()) == line

    def test_total(self, client, prices):
        client["requests"].append("total")
        assert sum(prices) == 4950

    def test_raises(self):
        with pytest.raises(ZeroDivisionError):
            1 / 0


@pytest.mark.skip(reason="not on this machine")
def test_skipped():
    raise AssertionError


@pytest.mark.xfail(reason="known", strict=True)
def test_known_bug():
    assert {"a": 1, "b": [1, 2, 3]} == {"a": 1, "b": [1, 2, 4]}


def test_may_fail(catalog):
    print("looking at", len(catalog), "articles")
    expected = {number: number * number for number in range(30)}
    if FAILS:
        expected[17] = -1
    assert {number: number * number for number in range(30)} == expected


def test_waits():
    time.sleep(SLOW)
"""

_SLOWEST = """\
import time


def test_slowest():
    time.sleep(1.0)
"""
