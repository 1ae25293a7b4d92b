"""The exit status, for everything that it can depend on: pytest's of the same version."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.fidelity import VERSION
from support.harness import Project

TWO = {"test_a.py": "def test_1(): pass\ndef test_2(): pass"}
#: Two of four tests fail; with several workers in any order.
MIXED = {
    "test_a.py": (
        "import pytest\n@pytest.mark.parametrize('i', range(4))\ndef test_1(i): assert i % 2"
    )
}


@dataclasses.dataclass(frozen=True)
class Row:
    """What leads to an exit status."""

    status: int | None
    """None: not the same in all versions."""
    id: str
    files: Mapping[str, str]
    args: tuple[str, ...] = ()
    since: tuple[int, int] = (0, 0)


def beside(body: str, before: str = "") -> dict[str, str]:
    """A module beside two tests that pass."""
    return {
        **TWO,
        "test_b.py": (
            f"import os, pytest, sys, warnings\n{before}\n"
            f"def test_x({'f' if 'def f' in before else ''}): {body}\n"
        ),
    }


def hook(name: str, body: str, files: Mapping[str, str] = TWO) -> dict[str, str]:
    """A conftest with a hook."""
    return {**files, "conftest.py": f"import os, pytest, sys\ndef {name}: {body}\n"}


FIXTURE = "@pytest.fixture\ndef f(): {}"
FINALIZER = "@pytest.fixture\ndef f():\n    yield\n    {}"
SESSION_FINALIZER = "@pytest.fixture(scope='session')\ndef f():\n    yield\n    {}"

ROWS = [
    Row(0, "passed", TWO),
    Row(0, "skipped", beside("pytest.skip()")),
    Row(0, "module skipped", beside("pass", "pytest.skip('all', allow_module_level=True)")),
    Row(0, "xfailed", beside("pytest.xfail()")),
    Row(0, "xpassed", beside("pass", "@pytest.mark.xfail")),
    Row(1, "xpassed strictly", beside("pass", "@pytest.mark.xfail(strict=True)")),
    Row(1, "failed", beside("assert 0")),
    Row(1, "pytest.fail", beside("pytest.fail('no')")),
    Row(1, "SystemExit in a test", beside("sys.exit(0)")),
    Row(1, "error in a fixture", beside("pass", FIXTURE.format("1 / 0"))),
    Row(1, "error in a finalizer", beside("pass", FINALIZER.format("1 / 0"))),
    Row(1, "error in a session's finalizer", beside("pass", SESSION_FINALIZER.format("1 / 0"))),
    Row(1, "missing fixture", beside("pass", "def test_y(nothing): pass")),
    # Stops
    Row(1, "-x", beside("assert 0"), ("-x",)),
    Row(1, "--maxfail", MIXED, ("--maxfail=2",)),
    Row(1, "--maxfail not reached", MIXED, ("--maxfail=9",)),
    Row(2, "--sw", beside("assert 0"), ("--sw",)),
    Row(
        1,
        "shouldfail",
        hook(
            "pytest_runtest_logreport(report)",
            "pass",
            {**TWO, "test_b.py": "def test_x(request): request.session.shouldfail = 'enough'"},
        ),
    ),
    Row(
        2,
        "shouldstop",
        {**TWO, "test_b.py": "def test_x(request): request.session.shouldstop = 'enough'"},
    ),
    # Collection
    Row(2, "import error", {**TWO, "test_b.py": "import nothing_such"}),
    Row(2, "syntax error", {**TWO, "test_b.py": "def test_x(:"}),
    Row(
        1,
        "--continue-on-collection-errors",
        {**TWO, "test_b.py": "import nothing_such"},
        ("--continue-on-collection-errors",),
    ),
    Row(
        1,
        "--continue-on-collection-errors, nothing else",
        {"test_b.py": "import nothing_such"},
        ("--continue-on-collection-errors",),
    ),
    Row(
        2,
        "import error, --collect-only",
        {**TWO, "test_b.py": "import nothing_such"},
        ("--collect-only",),
    ),
    Row(5, "no tests", {"test_a.py": ""}),
    Row(5, "nothing selected", TWO, ("-k", "nothing")),
    Row(5, "all deselected", TWO, ("--deselect", "test_a.py")),
    Row(5, "nothing collected", TWO, ("--collect-only", "-k", "nothing")),
    # Usage
    Row(4, "missing path", TWO, ("nope",)),
    Row(4, "missing path, with a hook", hook("pytest_sessionfinish(session)", "pass"), ("nope",)),
    Row(4, "missing test", TWO, ("test_a.py::nope",)),
    Row(4, "unknown option", TWO, ("--nope",)),
    Row(4, "bad value", TWO, ("--tb=nope",)),
    Row(4, "bad setting", TWO, ("-o", "nope")),
    Row(4, "broken conftest", hook("nothing()", "pass\n1 / 0")),
    Row(4, "UsageError of a hook", hook("pytest_configure()", "raise pytest.UsageError('no')")),
    Row(
        4,
        "UsageError while collecting",
        hook("pytest_collection_modifyitems()", "raise pytest.UsageError('no')"),
    ),
    # Internal errors
    Row(3, "exception in pytest_configure", hook("pytest_configure()", "1 / 0")),
    Row(3, "exception in pytest_collection", hook("pytest_collection()", "1 / 0")),
    Row(3, "exception in pytest_runtest_protocol", hook("pytest_runtest_protocol()", "1 / 0")),
    Row(3, "exception in pytest_runtest_logreport", hook("pytest_runtest_logreport()", "1 / 0")),
    Row(3, "SystemExit at import", beside("pass", "sys.exit(0)")),
    # pytest.exit
    Row(7, "exit in a test", beside("pytest.exit('enough', returncode=7)")),
    Row(
        7,
        "exit in a fixture",
        beside("pass", FIXTURE.format("pytest.exit('enough', returncode=7)")),
    ),
    Row(
        7,
        "exit in a finalizer",
        beside("pass", FINALIZER.format("pytest.exit('enough', returncode=7)")),
    ),
    Row(None, "exit at import", beside("pass", "pytest.exit('enough', returncode=7)")),
    Row(
        7,
        "exit in pytest_configure",
        hook("pytest_configure()", "pytest.exit('enough', returncode=7)"),
    ),
    Row(
        7,
        "exit in pytest_sessionstart",
        hook("pytest_sessionstart()", "pytest.exit('enough', returncode=7)"),
    ),
    Row(
        7,
        "exit in pytest_collection_modifyitems",
        hook("pytest_collection_modifyitems()", "pytest.exit('enough', returncode=7)"),
    ),
    Row(2, "exit without a status", beside("pytest.exit('enough')")),
    Row(
        0,
        "exit with success",
        {"test_b.py": beside("pytest.exit('enough', returncode=0)")["test_b.py"]},
    ),
    # Interrupts
    Row(2, "KeyboardInterrupt in a test", beside("raise KeyboardInterrupt")),
    Row(
        2,
        "KeyboardInterrupt in a fixture",
        beside("pass", FIXTURE.format("raise KeyboardInterrupt")),
    ),
    Row(
        2,
        "KeyboardInterrupt in a finalizer",
        beside("pass", FINALIZER.format("raise KeyboardInterrupt")),
    ),
    Row(2, "KeyboardInterrupt at import", beside("pass", "raise KeyboardInterrupt")),
    Row(
        2, "KeyboardInterrupt in a hook", hook("pytest_runtest_setup()", "raise KeyboardInterrupt")
    ),
    # Changed by a hook
    Row(9, "exitstatus set", hook("pytest_sessionfinish(session)", "session.exitstatus = 9")),
    Row(
        9,
        "exitstatus of failures set",
        hook("pytest_sessionfinish(session)", "session.exitstatus = 9", MIXED),
    ),
    # Warnings
    Row(
        4,
        "sys.exit in the summary",
        hook("pytest_terminal_summary(terminalreporter)", "sys.exit(4)"),
    ),
    Row(
        9,
        "pytest.exit in the summary",
        hook("pytest_terminal_summary(terminalreporter)", "pytest.exit('why', returncode=9)"),
    ),
    Row(
        1,
        "pytest.fail in the summary",
        hook("pytest_terminal_summary(terminalreporter)", "pytest.fail('why')"),
    ),
    Row(0, "warnings", beside("warnings.warn('w')")),
    Row(6, "--max-warnings", beside("warnings.warn('w')"), ("--max-warnings=0",), (9, 2)),
    Row(
        0, "--max-warnings not reached", beside("warnings.warn('w')"), ("--max-warnings=1",), (9, 2)
    ),
    Row(
        1,
        "--max-warnings and a failure",
        beside("warnings.warn('w'); assert 0"),
        ("--max-warnings=0",),
        (9, 2),
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_as_pytest(shared_project: Project, folder: Path, row: Row) -> None:
    """Cold, warm, with more workers, and with workers that collect by themselves."""
    if row.since > VERSION:
        pytest.skip(f"needs pytest {'.'.join(map(str, row.since))}")
    shared_project.fill(folder, row.files)
    expected = shared_project.pytest(*row.args, junit=False, cwd=folder)
    assert expected.status == row.status or row.status is None, expected
    for args in (("-n2",), ("-n2",), ("-n4",), ("-n2", "--start-method=bare")):
        result = shared_project.rpytest(*args, *row.args, junit=False, cwd=folder)
        assert result.status == expected.status, result
        assert "panicked" not in result.stderr, result
