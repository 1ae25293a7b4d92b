"""Bad input gets a clear error, a hint and the right exit status, and nothing is lost.

Where pytest has an answer, it is the reference: the same status, the same text for the user.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.harness import Project
from support.messages import assert_clear

PASSING = {"test_a.py": "def test_1(): pass\ndef test_2(): pass\n"}
NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")


@dataclasses.dataclass(frozen=True)
class Case:
    """Something wrong in a project: what pytest and rpytest end with, and what both must say."""

    id: str
    status: int
    says: tuple[str, ...]
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    args: tuple[str, ...] = ()


CASES = [
    # The project's files
    Case(
        "broken_conftest",
        4,
        ("conftest.py", "No module named 'nothing_such'"),
        {"conftest.py": "import nothing_such"},
    ),
    Case("syntax_error_in_conftest", 4, ("conftest.py", "SyntaxError"), {"conftest.py": "def x(:"}),
    Case(
        "syntax_error_in_test",
        2,
        ("test_b.py", "SyntaxError", "1 error"),
        {"test_b.py": "def test_x(:"},
    ),
    Case(
        "import_error_in_test",
        2,
        ("test_b.py", "nothing_such", "1 error"),
        {"test_b.py": "import nothing_such"},
    ),
    Case(
        "no_toml", 4, ("pyproject.toml", "line 1"), {"pyproject.toml": "[tool.pytest.ini_options\n"}
    ),
    Case(
        "unknown_fixture",
        1,
        ("fixture 'nofix' not found",),
        {"test_b.py": "def test_b(nofix): pass"},
    ),
    Case(
        "unknown_mark",
        2,
        ("test_b.py", "'foo' not found"),
        {"test_b.py": "import pytest\n@pytest.mark.foo\ndef test_b(): pass"},
        ("--strict-markers",),
    ),
    # Arguments
    Case(
        "unknown_option",
        4,
        ("unrecognized arguments: --no-such-option",),
        args=("--no-such-option",),
    ),
    Case("missing_path", 4, ("file or directory not found: nope.py",), args=("nope.py",)),
    Case("missing_test", 4, ("test_a.py::nope",), args=("test_a.py::nope",)),
    Case("nothing_selected", 5, ("2 deselected",), args=("-k", "nothing")),
    Case("bad_expression", 4, ("Wrong expression passed to '-k'",), args=("-k", "a b (")),
    Case(
        "missing_plugin",
        4,
        ('Error importing plugin "no_such_plugin"',),
        args=("-p", "no_such_plugin"),
    ),
    Case("missing_arguments_file", 4, ("nofile",), args=("@nofile",)),
    Case("bad_value", 4, ("--maxfail",), args=("--maxfail=many",)),
    # Hooks
    Case(
        "configure_raises",
        3,
        ("INTERNALERROR> ", "LookupError: kaboom"),
        {"conftest.py": "def pytest_configure(): raise LookupError('kaboom')"},
    ),
    Case(
        "usage_error_in_configure",
        4,
        ("ERROR: use it well",),
        {
            "conftest.py": (
                "import pytest\ndef pytest_configure(): raise pytest.UsageError('use it well')"
            )
        },
    ),
    Case(
        "sessionstart_raises",
        3,
        ("INTERNALERROR> ", "LookupError: kaboom"),
        {"conftest.py": "def pytest_sessionstart(): raise LookupError('kaboom')"},
    ),
    Case(
        "collection_hook_raises",
        3,
        ("INTERNALERROR> ", "LookupError: kaboom"),
        {"conftest.py": "def pytest_collection_modifyitems(): raise LookupError('kaboom')"},
    ),
    Case(
        "report_hook_raises",
        3,
        ("INTERNALERROR> ", "LookupError: kaboom"),
        {
            "conftest.py": (
                "def pytest_runtest_logreport(report):\n"
                "    if report.when == 'call': raise LookupError('kaboom')"
            )
        },
    ),
    Case(
        "protocol_hook_raises",
        3,
        ("INTERNALERROR> ", "LookupError: kaboom"),
        {"conftest.py": "def pytest_runtest_protocol(item): raise LookupError('kaboom')"},
    ),
    Case(
        "sessionfinish_raises",
        1,
        ("conftest.py", "LookupError: kaboom"),
        {"conftest.py": "def pytest_sessionfinish(): raise LookupError('kaboom')"},
    ),
    Case(
        "unconfigure_raises",
        1,
        ("conftest.py", "LookupError: kaboom"),
        {"conftest.py": "def pytest_unconfigure(): raise LookupError('kaboom')"},
    ),
    # Ends that are asked for
    Case(
        "exit_with_status",
        7,
        ("Exit: enough",),
        {"test_b.py": "import pytest\ndef test_x(): pytest.exit('enough', returncode=7)"},
    ),
    Case(
        "exit",
        2,
        ("Exit: enough",),
        {"test_b.py": "import pytest\ndef test_x(): pytest.exit('enough')"},
    ),
    Case(
        "exit_in_configure",
        9,
        ("Exit: enough",),
        {
            "conftest.py": (
                "import pytest\ndef pytest_configure(): pytest.exit('enough', returncode=9)"
            )
        },
    ),
    Case(
        "keyboard_interrupt",
        2,
        ("KeyboardInterrupt", "test_b.py:1"),
        {"test_b.py": "def test_x(): raise KeyboardInterrupt"},
    ),
    Case(
        "keyboard_interrupt_at_import",
        2,
        ("KeyboardInterrupt", "test_b.py:1"),
        {"test_b.py": "raise KeyboardInterrupt"},
    ),
    Case(
        "system_exit_in_test",
        1,
        ("SystemExit: 3", "1 failed, 2 passed"),
        {"test_b.py": "def test_x(): raise SystemExit(3)"},
    ),
    Case(
        "system_exit_at_import",
        3,
        ("INTERNALERROR> SystemExit: 3",),
        {"test_b.py": "raise SystemExit(3)"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_as_pytest(shared_project: Project, folder: Path, case: Case) -> None:
    """The same status as pytest, and the file or test at fault is named."""
    shared_project.fill(folder, {**PASSING, **case.files})
    expected = shared_project.pytest(*case.args, junit=False, cwd=folder)
    actual = shared_project.rpytest("-n", "2", *case.args, junit=False, cwd=folder)
    assert (actual.status, expected.status) == (case.status, case.status), f"{actual}\n{expected}"
    for text in case.says:
        assert text in expected.stdout + expected.stderr, expected
        assert text in actual.stdout + actual.stderr, actual
    assert "panicked" not in actual.stderr
    assert "daemon/daemon.py" not in actual.stderr
    assert "daemon/sessions.py" not in actual.stderr


def test_no_tests(shared_project: Project, folder: Path) -> None:
    shared_project.fill(folder, {"test_a.py": "", "pytest.ini": "[pytest]\n"})
    assert shared_project.compare(cwd=folder).status == 5


def test_a_conftests_own_protocol_is_asked_first(shared_project: Project, folder: Path) -> None:
    """As plugins that run tests again do."""
    conftest = """
    from _pytest.runner import runtestprotocol

    def pytest_runtest_protocol(item, nextitem):
        if item.name != "test_1":
            return None
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        for report in reports:
            if report.when == "teardown":
                report.user_properties.append(("seen", "by the conftest"))
            item.ihook.pytest_runtest_logreport(report=report)
        return True
    """
    shared_project.fill(folder, {**PASSING, "conftest.py": conftest})
    result = shared_project.compare(cwd=folder)
    assert result.case("test_1").properties == (("seen", "by the conftest"),)
    assert result.case("test_2").properties == ()


class TestNumberOfWorkers:
    @pytest.mark.parametrize("value", ["many", "-3", "5000", "2.5", "0x2"])
    def test_bad_n(self, shared_project: Project, folder: Path, value: str) -> None:
        shared_project.fill(folder, PASSING)
        result = shared_project.rpytest("-n", value, junit=False, cwd=folder)
        assert result.status == 4
        assert "-n/--numprocesses" in result.stderr
        assert f"`{value}`" in result.stderr
        assert "hint: " in result.stderr
        assert_clear(result)

    def test_missing_n(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, PASSING)
        result = shared_project.rpytest("-n", junit=False, cwd=folder)
        assert result.status == 4
        assert "expected one argument" in result.stderr

    def test_bad_n_in_addopts(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {**PASSING, "pytest.ini": "[pytest]\naddopts = -n many\n"})
        result = shared_project.rpytest(junit=False, cwd=folder)
        assert result.status == 4
        assert "`many`" in result.stderr

    @pytest.mark.parametrize("option", [("--dist", "loadfile"), ("--tx", "ssh=host")])
    def test_what_cannot_be_honoured_is_refused(
        self, shared_project: Project, folder: Path, option: tuple[str, ...]
    ) -> None:
        shared_project.fill(folder, PASSING)
        result = shared_project.rpytest("-n2", *option, junit=False, cwd=folder)
        if result.status == 0 and option[0] == "--dist":
            pytest.skip("it is honoured")
        assert result.status == 4
        assert option[0] in result.stderr
        assert "hint: " in result.stderr


class TestSettings:
    @pytest.mark.parametrize(
        ("table", "says"),
        [
            ("workers = 3", "unknown field `workers`"),
            ("default_workers = 'many'", '`default_workers` to be "auto"'),
            ("default_workers = ", "line 2"),
            ("idle_timeout = 0", "1 or more"),
            ("start_method = 'warm'", "expected one of `collected`, `imported`, `bare`"),
        ],
    )
    def test_bad_table(self, shared_project: Project, folder: Path, table: str, says: str) -> None:
        shared_project.fill(folder, {**PASSING, "pyproject.toml": f"[tool.rpytest]\n{table}\n"})
        result = shared_project.rpytest(junit=False, cwd=folder)
        assert result.status == 4
        assert f"`{folder / 'pyproject.toml'}`, line 2, column" in result.stderr
        assert says in result.stderr
        assert "\nhint: " in result.stderr
        assert result.stdout == ""

    def test_not_utf8(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, PASSING)
        (folder / "pyproject.toml").write_bytes(b"[tool.rpytest]\n# \xff\n")
        result = shared_project.rpytest(junit=False, cwd=folder)
        assert result.status == 4
        assert "cannot read" in result.stderr
        assert "pyproject.toml" in result.stderr
        assert "hint: " in result.stderr

    @pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
    def test_unreadable(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {**PASSING, "pyproject.toml": "[tool.rpytest]\n"})
        (folder / "pyproject.toml").chmod(0)
        result = shared_project.rpytest(junit=False, cwd=folder)
        assert result.status == 4
        assert "pyproject.toml" in result.stderr


class TestArguments:
    @pytest.mark.parametrize(
        "args", [("--", "test_a.py"), ("--", "-x"), ("-q", "--", "--daemon-stop")]
    )
    def test_double_dash(
        self, shared_project: Project, folder: Path, args: tuple[str, ...]
    ) -> None:
        shared_project.fill(folder, PASSING)
        actual = shared_project.rpytest("-n2", *args, junit=False, cwd=folder)
        expected = shared_project.pytest(*args, junit=False, cwd=folder)
        assert actual.status == expected.status
        assert "daemon stopped" not in actual.stdout

    def test_arguments_file(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {**PASSING, "args.txt": "-q\n-n2\ntest_a.py\n"})
        result = shared_project.rpytest("@args.txt", junit=False, cwd=folder)
        assert result.status == 0
        assert result.stdout.startswith("bringing up nodes...\n..\n")

    def test_line_break_in_an_argument(self, shared_project: Project, folder: Path) -> None:
        """Two command lines that look the same when they are joined are not the same session."""
        shared_project.fill(folder, PASSING)
        assert (
            shared_project.rpytest("-n2", "-k", "test_1", "-q", junit=False, cwd=folder).status == 0
        )
        result = shared_project.rpytest("-n2", "-k", "test_1\n-q", junit=False, cwd=folder)
        assert (
            result.status
            == shared_project.pytest("-k", "test_1\n-q", junit=False, cwd=folder).status
            != 0
        )

    @pytest.mark.parametrize("option", ["--daemon-stop", "--no-daemon"])
    def test_ours_in_addopts(self, shared_project: Project, folder: Path, option: str) -> None:
        shared_project.fill(folder, {**PASSING, "pytest.ini": f"[pytest]\naddopts = {option}\n"})
        result = shared_project.rpytest(junit=False, cwd=folder)
        assert result.status == 4
        assert f"`{option}` works on the command line only" in result.stderr
        assert "hint: " in result.stderr

    def test_tests_and_daemon_options_do_not_mix(self, shared_project: Project) -> None:
        result = shared_project.rpytest("--daemon-status", "tests/", junit=False)
        assert result.status == 4
        assert "has no use for `tests/`" in result.stderr
        assert "hint: " in result.stderr


@pytest.mark.parametrize("test", ["pass", "assert 0"])
def test_without_terminal_reporter(shared_project: Project, folder: Path, test: str) -> None:
    shared_project.fill(folder, {"test_a.py": f"def test_1(): {test}\ndef test_2(): pass"})
    result = shared_project.compare("-p", "no:terminal", cwd=folder)
    assert (result.stdout, result.stderr) == ("", "")


@pytest.mark.parametrize(
    "plugin", ["capture", "debugging", "cacheprovider", "junitxml", "skipping", "tmpdir", "logging"]
)
def test_without_a_plugin_of_pytest(shared_project: Project, folder: Path, plugin: str) -> None:
    shared_project.fill(folder, {"test_a.py": "def test_1(): assert 0\ndef test_2(): pass"})
    args = ("-p", f"no:{plugin}")
    result = shared_project.rpytest("-n2", *args, junit=False, cwd=folder)
    assert result.status == shared_project.pytest(*args, junit=False, cwd=folder).status == 1
    assert "1 failed, 1 passed" in result.stdout
    assert_clear(result)


class TestCollectionThatDies:
    """pytest ends with 0 after `os._exit(0)` at import: no test has run, that is no success."""

    @pytest.mark.parametrize("file", ["conftest.py", "test_b.py"])
    @pytest.mark.parametrize(
        ("code", "says"),
        [
            ("import os; os._exit(0)", "ended with status 0"),
            ("import os; os._exit(5)", "ended with status 5"),
            ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL"),
        ],
    )
    def test_process_ends(
        self, shared_project: Project, folder: Path, file: str, code: str, says: str
    ) -> None:
        shared_project.fill(folder, {**PASSING, file: code})
        result = shared_project.rpytest("-n2", junit=False, cwd=folder)
        assert result.status == 3
        assert f"error: the process that collects the tests {says}" in result.stderr
        assert "hint: " in result.stderr
        assert_clear(result)

    def test_without_daemon(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {**PASSING, "test_b.py": "import os; os._exit(0)"})
        result = shared_project.rpytest("-n2", "--no-daemon", junit=False, cwd=folder)
        assert result.status == 3
        assert "ended with status 0" in result.stderr

    def test_bare(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {**PASSING, "test_b.py": "import os; os._exit(0)"})
        result = shared_project.rpytest("-n2", "--start-method=bare", junit=False, cwd=folder)
        assert result.status == 3
        assert "died while it collected: exit status 0" in result.stderr

    def test_crash_names_the_file(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {**PASSING, "test_b.py": "import ctypes\nctypes.string_at(0)"})
        result = shared_project.rpytest("-n2", junit=False, cwd=folder)
        assert result.status == 3
        assert "was killed by SIGSEGV" in result.stderr
        assert 'test_b.py", line 2' in result.stderr

    def test_system_exit_in_conftest(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {**PASSING, "conftest.py": "import sys\nsys.exit()"})
        result = shared_project.rpytest("-n2", junit=False, cwd=folder)
        assert result.status == 3
        assert f"{folder}/conftest.py:2" in result.stderr
        assert "hint: " in result.stderr

    def test_the_next_run_is_right(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {**PASSING, "test_b.py": "import os; os._exit(0)"})
        assert shared_project.rpytest("-n2", junit=False, cwd=folder).status == 3
        (folder / "test_b.py").unlink()
        assert shared_project.rpytest("-n2", cwd=folder).counts == {"passed": 2}
