"""Bad input gets a clear error, a hint and the right exit status, and nothing is lost.

Where pytest has an answer, it is the reference: the same status, the same text for the user.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import processes
from harness import Project, Result

PASSING = {"test_a.py": "def test_1(): pass\ndef test_2(): pass\n"}
NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One daemon for all tests that don't harm it; each has a folder of its own."""
    project = Project(tmp_path_factory.mktemp("errors"))
    try:
        yield project
    finally:
        project.close()


@pytest.fixture
def folder(shared: Project) -> Path:
    """A new folder in the shared project."""
    return Path(tempfile.mkdtemp(prefix="t", dir=shared.path))


def fill(shared: Project, folder: Path, files: Mapping[str, str]) -> None:
    shared.write({f"{folder.name}/{name}": text for name, text in files.items()})


def shell(
    project: Project, script: str, *, env: Mapping[str, str | None] | None = None, cwd: Path | None = None
) -> Result:
    """Run a script of the shell to its end."""
    running = project.spawn("-c", script, program="/bin/bash", env=env, cwd=cwd)
    return Result(tuple(running.command), running.wait(), running.stdout, running.stderr, None)


def assert_clear(result: Result) -> None:
    """What a user must not see: the insides of rpytest."""
    text = result.stdout + result.stderr
    assert "panicked" not in text, result
    assert "internal error" not in text, result
    assert "_daemon.py" not in text, result
    assert "_session.py" not in text, result
    assert "Traceback" not in result.stderr.replace("INTERNALERROR> Traceback", ""), result


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
        "broken_conftest", 4, ("conftest.py", "No module named 'nothing_such'"), {"conftest.py": "import nothing_such"}
    ),
    Case("syntax_error_in_conftest", 4, ("conftest.py", "SyntaxError"), {"conftest.py": "def x(:"}),
    Case("syntax_error_in_test", 2, ("test_b.py", "SyntaxError", "1 error"), {"test_b.py": "def test_x(:"}),
    Case("import_error_in_test", 2, ("test_b.py", "nothing_such", "1 error"), {"test_b.py": "import nothing_such"}),
    Case("no_toml", 4, ("pyproject.toml", "line 1"), {"pyproject.toml": "[tool.pytest.ini_options\n"}),
    Case("unknown_fixture", 1, ("fixture 'nofix' not found",), {"test_b.py": "def test_b(nofix): pass"}),
    Case(
        "unknown_mark",
        2,
        ("test_b.py", "'foo' not found"),
        {"test_b.py": "import pytest\n@pytest.mark.foo\ndef test_b(): pass"},
        ("--strict-markers",),
    ),
    # Arguments
    Case("unknown_option", 4, ("unrecognized arguments: --no-such-option",), args=("--no-such-option",)),
    Case("missing_path", 4, ("file or directory not found: nope.py",), args=("nope.py",)),
    Case("missing_test", 4, ("test_a.py::nope",), args=("test_a.py::nope",)),
    Case("nothing_selected", 5, ("2 deselected",), args=("-k", "nothing")),
    Case("bad_expression", 4, ("Wrong expression passed to '-k'",), args=("-k", "a b (")),
    Case("missing_plugin", 4, ('Error importing plugin "no_such_plugin"',), args=("-p", "no_such_plugin")),
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
        {"conftest.py": "import pytest\ndef pytest_configure(): raise pytest.UsageError('use it well')"},
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
            "conftest.py": "def pytest_runtest_logreport(report):\n    if report.when == 'call': raise LookupError('kaboom')"
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
    Case("exit", 2, ("Exit: enough",), {"test_b.py": "import pytest\ndef test_x(): pytest.exit('enough')"}),
    Case(
        "exit_in_configure",
        9,
        ("Exit: enough",),
        {"conftest.py": "import pytest\ndef pytest_configure(): pytest.exit('enough', returncode=9)"},
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
    Case("system_exit_at_import", 3, ("INTERNALERROR> SystemExit: 3",), {"test_b.py": "raise SystemExit(3)"}),
]


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_as_pytest(shared: Project, folder: Path, case: Case) -> None:
    """The same status as pytest, and the file or test at fault is named."""
    fill(shared, folder, {**PASSING, **case.files})
    expected = shared.pytest(*case.args, junit=False, cwd=folder)
    actual = shared.rpytest("-n", "2", *case.args, junit=False, cwd=folder)
    assert (actual.status, expected.status) == (case.status, case.status), f"{actual}\n{expected}"
    for text in case.says:
        assert text in expected.stdout + expected.stderr, expected
        assert text in actual.stdout + actual.stderr, actual
    assert "panicked" not in actual.stderr
    assert "_daemon.py" not in actual.stderr


def test_no_tests(shared: Project, folder: Path) -> None:
    fill(shared, folder, {"test_a.py": "", "pytest.ini": "[pytest]\n"})
    assert shared.compare(cwd=folder).status == 5


def test_a_conftests_own_protocol_is_asked_first(shared: Project, folder: Path) -> None:
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
    fill(shared, folder, {**PASSING, "conftest.py": conftest})
    result = shared.compare(cwd=folder)
    assert result.case("test_1").properties == (("seen", "by the conftest"),)
    assert result.case("test_2").properties == ()


class TestNumberOfWorkers:
    @pytest.mark.parametrize("value", ["many", "-3", "5000", "2.5", "0x2"])
    def test_bad_n(self, shared: Project, folder: Path, value: str) -> None:
        fill(shared, folder, PASSING)
        result = shared.rpytest("-n", value, junit=False, cwd=folder)
        assert result.status == 4
        assert "-n/--numprocesses" in result.stderr
        assert f"`{value}`" in result.stderr
        assert "hint: " in result.stderr
        assert_clear(result)

    def test_missing_n(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, PASSING)
        result = shared.rpytest("-n", junit=False, cwd=folder)
        assert result.status == 4
        assert "expected one argument" in result.stderr

    def test_bad_n_in_addopts(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {**PASSING, "pytest.ini": "[pytest]\naddopts = -n many\n"})
        result = shared.rpytest(junit=False, cwd=folder)
        assert result.status == 4
        assert "`many`" in result.stderr

    @pytest.mark.parametrize("option", [("--dist", "loadfile"), ("--tx", "ssh=host")])
    def test_what_cannot_be_honoured_is_refused(self, shared: Project, folder: Path, option: tuple[str, ...]) -> None:
        fill(shared, folder, PASSING)
        result = shared.rpytest("-n2", *option, junit=False, cwd=folder)
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
            ("start_method = 'warm'", "expected `collected` or `bare`"),
        ],
    )
    def test_bad_table(self, shared: Project, folder: Path, table: str, says: str) -> None:
        fill(shared, folder, {**PASSING, "pyproject.toml": f"[tool.rpytest]\n{table}\n"})
        result = shared.rpytest(junit=False, cwd=folder)
        assert result.status == 4
        assert f"`{folder / 'pyproject.toml'}`, line 2, column" in result.stderr
        assert says in result.stderr
        assert "\nhint: " in result.stderr
        assert result.stdout == ""

    def test_not_utf8(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, PASSING)
        (folder / "pyproject.toml").write_bytes(b"[tool.rpytest]\n# \xff\n")
        result = shared.rpytest(junit=False, cwd=folder)
        assert result.status == 4
        assert "cannot read" in result.stderr
        assert "pyproject.toml" in result.stderr
        assert "hint: " in result.stderr

    @pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
    def test_unreadable(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {**PASSING, "pyproject.toml": "[tool.rpytest]\n"})
        (folder / "pyproject.toml").chmod(0)
        result = shared.rpytest(junit=False, cwd=folder)
        assert result.status == 4
        assert "pyproject.toml" in result.stderr


class TestPython:
    def run(self, project: Project, **env: str | None) -> Result:
        result = project.rpytest("-n2", junit=False, env=env)
        assert_clear(result)
        return result

    @pytest.mark.parametrize("value", ["/nope/python", "/tmp", "no-such-command"])
    def test_wrong_variable(self, shared: Project, value: str) -> None:
        result = self.run(shared, RPYTEST_PYTHON=value)
        assert result.status == 4
        assert f"`RPYTEST_PYTHON` is `{value}`, which is not an executable file" in result.stderr
        assert "hint: set `RPYTEST_PYTHON`" in result.stderr

    @pytest.mark.parametrize("program", ["true", "ls"])
    @pytest.mark.parametrize("daemon", [True, False])
    def test_no_python_at_all(self, shared: Project, program: str, daemon: bool) -> None:
        path = shutil.which(program)
        assert path
        env = {"RPYTEST_PYTHON": path, **({} if daemon else {"RPYTEST_NO_DAEMON": "1"})}
        result = self.run(shared, **env)
        assert result.status == 3
        assert f"could not be started with `{path}`" in result.stderr
        assert f"hint: see what `{path} -c 'import rpytest, pytest'` says" in result.stderr

    def test_none_found(self, project: Project) -> None:
        alone = project.scratch / "alone"
        alone.mkdir()
        shutil.copy(project.bin / "rpytest", alone)
        running = project.spawn("-n2", program=str(alone / "rpytest"), env={"PATH": str(alone)})
        assert running.wait() == 4
        assert "no Python interpreter found; looked for\n" in running.stderr
        assert f"  {alone}/python3\n" in running.stderr
        assert f"  {project.path}/.venv/bin/python\n" in running.stderr
        assert "hint: activate a virtual environment, or set `RPYTEST_PYTHON`" in running.stderr

    @pytest.mark.parametrize("has_package", [False, True], ids=["no_rpytest", "no_pytest"])
    def test_environment_without_packages(self, project: Project, has_package: bool) -> None:
        import rpytest

        venv = project.scratch / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
        if has_package:
            (site,) = venv.glob("lib/python*/site-packages")
            (site / "rpytest").symlink_to(Path(rpytest.__file__).parent)
        python = venv / "bin/python"
        for daemon in ("0", "1"):
            result = self.run(project, RPYTEST_PYTHON=str(python), RPYTEST_NO_DAEMON=daemon)
            assert result.status == 4
            if has_package:
                assert "pip install pytest" in result.stderr
                assert str(python) in result.stderr
            else:
                assert f"Python at `{python}` has no rpytest package" in result.stderr
            assert "hint: " in result.stderr

    def test_package_of_another_environment_is_run_as_a_module(self, project: Project) -> None:
        """`python -m rpytest` has the current directory on its path, as `python -m pytest` has."""
        ini = "[pytest]\naddopts = --import-mode=importlib\n"
        project.write({"test_a.py": "import helper\ndef test_1(): pass", "helper.py": "", "pytest.ini": ini})
        python = Path(sys.executable).name
        running = project.spawn("-m", "rpytest", "-n2", program=python)
        assert running.wait() == 0, running
        assert "1 passed" in running.stdout
        assert project.rpytest("-n2", junit=False).status == 2


class TestRuntimeDirectory:
    def refused(self, project: Project, folder: Path | str, *args: str) -> str:
        result = project.rpytest(*args, junit=False, env={"RPYTEST_RUNTIME_DIR": str(folder)})
        assert result.status == 4
        assert "hint: " in result.stderr
        assert_clear(result)
        return result.stderr

    @pytest.mark.parametrize("args", [(), ("--daemon-status",), ("--daemon-stop",)])
    def test_writable_by_others(self, shared: Project, folder: Path, args: tuple[str, ...]) -> None:
        folder.chmod(0o777)
        assert "can be written by others (mode 777)" in self.refused(shared, folder, *args)

    @as_root
    def test_of_somebody_else(self, shared: Project, folder: Path) -> None:
        os.chown(folder, NOBODY, NOBODY)
        assert f"belongs to user {NOBODY}" in self.refused(shared, folder)

    def test_file(self, shared: Project, folder: Path) -> None:
        (folder / "file").touch()
        assert "is not a directory" in self.refused(shared, folder / "file")

    def test_cannot_be_made(self, shared: Project) -> None:
        assert "can't be made" in self.refused(shared, "/proc/none")

    def test_too_long(self, shared: Project) -> None:
        assert "too long for a socket's path" in self.refused(shared, "/tmp/" + "x" * 120)

    def test_relative(self, shared: Project) -> None:
        assert "is not an absolute path" in self.refused(shared, "somewhere")

    def test_none_is_needed_without_a_daemon(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, PASSING)
        result = shared.rpytest("--no-daemon", junit=False, cwd=folder, env={"RPYTEST_RUNTIME_DIR": "/proc/none"})
        assert result.status == 0


class TestFolders:
    @pytest.mark.parametrize("value", ["/proc/none", "/dev/null"])
    def test_cache_cannot_be_written(self, shared: Project, folder: Path, value: str) -> None:
        """Durations are a convenience: no test is lost for them."""
        fill(shared, folder, PASSING)
        env = {"RPYTEST_CACHE_DIR": value, "XDG_CACHE_HOME": value, "HOME": value}
        result = shared.rpytest("-n2", cwd=folder, env=env)
        assert result.status == 0
        assert result.counts == {"passed": 2}
        assert_clear(result)

    def test_pytests_cache_cannot_be_written(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {**PASSING, "test_b.py": "def test_b(): assert 0"})
        (folder / ".pytest_cache").touch()
        result = shared.compare(cwd=folder)
        assert result.status == 1

    def test_deleted_current_directory(self, shared: Project, folder: Path) -> None:
        result = shell(shared, "mkdir gone && cd gone && rmdir ../gone && rpytest -n2", cwd=folder)
        assert result.status == 4
        assert "the current directory can't be used" in result.stderr
        assert "hint: " in result.stderr

    def test_junit_file_cannot_be_written(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, PASSING)
        result = shared.rpytest("-n2", "--junitxml=/proc/none/j.xml", junit=False, cwd=folder)
        assert result.status != 0
        assert "/proc/none" in result.stdout + result.stderr
        assert "2 passed" in result.stdout or "hint: " in result.stderr, result


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs `unshare`")
def test_full_shared_memory(project: Project) -> None:
    project.write(PASSING)
    namespace = "unshare -m" if os.getuid() == 0 else "unshare -rm"
    mount = "mount -t tmpfs -o size=64k none /dev/shm"
    if shell(project, f"{namespace} sh -c '{mount}'").status != 0:
        pytest.skip("no mount namespaces here")
    result = shell(project, f"{namespace} sh -c '{mount} && rpytest -n2'")
    assert result.status == 3
    assert "error: shared memory: no room for" in result.stderr
    assert "/dev/shm" in result.stderr
    assert result.stderr.count("hint: ") == 1
    assert_clear(result)


class TestStreams:
    @pytest.mark.parametrize("n", ["2", "0"])
    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    @pytest.mark.parametrize(("test", "status"), [("pass", 0), ("assert 0", 1)], ids=["passes", "fails"])
    def test_closed(self, shared: Project, folder: Path, n: str, closed: str, test: str, status: int) -> None:
        fill(shared, folder, {"test_a.py": f"def test_1(): {test}"})
        result = shell(shared, f"rpytest -n {n} {closed}", cwd=folder)
        assert result.status == status
        assert_clear(result)
        if closed in ("<&-", "2>&-"):
            assert "1 passed" in result.stdout or "1 failed" in result.stdout

    def test_full_disk(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, PASSING)
        result = shell(shared, "rpytest -n2 > /dev/full", cwd=folder)
        assert result.status == 3
        assert "error: cannot write to standard output: No space left on device" in result.stderr
        assert result.stderr.count("hint: ") == 1
        assert_clear(result)

    def test_reader_that_leaves(self, shared: Project, folder: Path) -> None:
        """`rpytest | head -1` is no error, and the run ends early."""
        test = """
        import time
        import pytest

        @pytest.mark.parametrize("i", range(2000))
        def test_1(i):
            time.sleep(0.002)
        """
        fill(shared, folder, {"test_a.py": test})
        result = shell(shared, "rpytest -n2 -v --junitxml=j.xml | head -1; exit ${PIPESTATUS[0]}", cwd=folder)
        assert result.status == 2
        assert result.stdout.startswith("====")
        assert result.stderr == ""
        assert "<testsuite " in (folder / "j.xml").read_text()

    def test_nothing_to_read(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, PASSING)
        assert shell(shared, "rpytest -n2 < /dev/null | cat", cwd=folder).status == 0


class TestBytes:
    """Arguments, names and variables are bytes; UTF-8 is a habit."""

    def test_argument(self, shared: Project, folder: Path) -> None:
        script = r"{} $'\xff\xfe.py'"
        results = [
            shell(shared, script.format(program), cwd=folder) for program in ("rpytest -n2", "pytest -p no:xdist")
        ]
        assert [result.status for result in results] == [4, 4]
        assert results[0].stderr.strip() == results[1].stderr.strip()

    def test_folder_and_file(self, shared: Project, folder: Path) -> None:
        odd = os.fsdecode(os.fsencode(folder) + b"/d\xff")
        Path(odd).mkdir()
        Path(odd, os.fsdecode(b"test_\xfe.py")).write_text("def test_1(): pass\ndef test_2(): assert 0\n")
        # pytest can't save such ids in its cache.
        result = shared.rpytest("-n2", "-p", "no:cacheprovider", "--junitxml=j.xml", junit=False, cwd=Path(odd))
        assert result.status == 1
        assert result.counts == {"failed": 1, "passed": 1}
        assert_clear(result)

    def test_file_that_pytests_cache_cannot_name(self, shared: Project, folder: Path) -> None:
        (folder / os.fsdecode(b"test_\xfe.py")).write_text("def test_1(): pass\n")
        result = shared.rpytest("-n2", junit=False, cwd=folder)
        assert result.status == 0
        assert result.counts == {"passed": 1}
        assert "warning: pytest's cache" in result.stderr
        assert_clear(result)

    @pytest.mark.parametrize("n", ["2", "0"])
    def test_environment(self, shared: Project, folder: Path, n: str) -> None:
        test = r"""
        import os

        def test_value():
            assert os.environb[b"ODD"] == b"a\xffb"

        def test_name():
            assert os.environb[b"N\xff"] == b"1"
        """
        fill(shared, folder, {"test_a.py": test})
        result = shell(shared, rf"ODD=$'a\xffb' env $'N\xff=1' rpytest -n {n}", cwd=folder)
        assert result.status == 0, result

    def test_huge_environment_and_many_arguments(self, shared: Project, folder: Path) -> None:
        """More than fits into one packet of the control channel."""
        files = {
            f"test_{i}.py": f"import os\ndef test_x(): assert os.environ['V{i}'] == 'x' * 1000\n" for i in range(100)
        }
        fill(shared, folder, files)
        result = shared.rpytest("-n2", *files, cwd=folder, env={f"V{i}": "x" * 1000 for i in range(100)})
        assert result.status == 0
        assert len(result.outcomes) == 100


class TestArguments:
    @pytest.mark.parametrize("args", [("--", "test_a.py"), ("--", "-x"), ("-q", "--", "--daemon-stop")])
    def test_double_dash(self, shared: Project, folder: Path, args: tuple[str, ...]) -> None:
        fill(shared, folder, PASSING)
        actual = shared.rpytest("-n2", *args, junit=False, cwd=folder)
        expected = shared.pytest(*args, junit=False, cwd=folder)
        assert actual.status == expected.status
        assert "daemon stopped" not in actual.stdout

    def test_arguments_file(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {**PASSING, "args.txt": "-q\n-n2\ntest_a.py\n"})
        result = shared.rpytest("@args.txt", junit=False, cwd=folder)
        assert result.status == 0
        assert result.stdout.startswith("..\n")

    def test_line_break_in_an_argument(self, shared: Project, folder: Path) -> None:
        """Two command lines that look the same when they are joined are not the same session."""
        fill(shared, folder, PASSING)
        assert shared.rpytest("-n2", "-k", "test_1", "-q", junit=False, cwd=folder).status == 0
        result = shared.rpytest("-n2", "-k", "test_1\n-q", junit=False, cwd=folder)
        assert result.status == shared.pytest("-k", "test_1\n-q", junit=False, cwd=folder).status != 0

    @pytest.mark.parametrize("option", ["--daemon-stop", "--no-daemon"])
    def test_ours_in_addopts(self, shared: Project, folder: Path, option: str) -> None:
        fill(shared, folder, {**PASSING, "pytest.ini": f"[pytest]\naddopts = {option}\n"})
        result = shared.rpytest(junit=False, cwd=folder)
        assert result.status == 4
        assert f"`{option}` works on the command line only" in result.stderr
        assert "hint: " in result.stderr

    def test_tests_and_daemon_options_do_not_mix(self, shared: Project) -> None:
        result = shared.rpytest("--daemon-status", "tests/", junit=False)
        assert result.status == 4
        assert "has no use for `tests/`" in result.stderr
        assert "hint: " in result.stderr


@pytest.mark.parametrize("test", ["pass", "assert 0"])
def test_without_terminal_reporter(shared: Project, folder: Path, test: str) -> None:
    fill(shared, folder, {"test_a.py": f"def test_1(): {test}\ndef test_2(): pass"})
    result = shared.compare("-p", "no:terminal", cwd=folder)
    assert (result.stdout, result.stderr) == ("", "")


@pytest.mark.parametrize(
    "plugin", ["capture", "debugging", "cacheprovider", "junitxml", "skipping", "tmpdir", "logging"]
)
def test_without_a_plugin_of_pytest(shared: Project, folder: Path, plugin: str) -> None:
    fill(shared, folder, {"test_a.py": "def test_1(): assert 0\ndef test_2(): pass"})
    args = ("-p", f"no:{plugin}")
    result = shared.rpytest("-n2", *args, junit=False, cwd=folder)
    assert result.status == shared.pytest(*args, junit=False, cwd=folder).status == 1
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
    def test_process_ends(self, shared: Project, folder: Path, file: str, code: str, says: str) -> None:
        fill(shared, folder, {**PASSING, file: code})
        result = shared.rpytest("-n2", junit=False, cwd=folder)
        assert result.status == 3
        assert f"error: the process that collects the tests {says}" in result.stderr
        assert "hint: " in result.stderr
        assert_clear(result)

    def test_without_daemon(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {**PASSING, "test_b.py": "import os; os._exit(0)"})
        result = shared.rpytest("-n2", "--no-daemon", junit=False, cwd=folder)
        assert result.status == 3
        assert "ended with status 0" in result.stderr

    def test_bare(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {**PASSING, "test_b.py": "import os; os._exit(0)"})
        result = shared.rpytest("-n2", "--start-method=bare", junit=False, cwd=folder)
        assert result.status == 3
        assert "died while it collected: exit status 0" in result.stderr

    def test_crash_names_the_file(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {**PASSING, "test_b.py": "import ctypes\nctypes.string_at(0)"})
        result = shared.rpytest("-n2", junit=False, cwd=folder)
        assert result.status == 3
        assert "was killed by SIGSEGV" in result.stderr
        assert 'test_b.py", line 2' in result.stderr

    def test_system_exit_in_conftest(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {**PASSING, "conftest.py": "import sys\nsys.exit()"})
        result = shared.rpytest("-n2", junit=False, cwd=folder)
        assert result.status == 3
        assert f"{folder}/conftest.py:2" in result.stderr
        assert "hint: " in result.stderr

    def test_the_next_run_is_right(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {**PASSING, "test_b.py": "import os; os._exit(0)"})
        assert shared.rpytest("-n2", junit=False, cwd=folder).status == 3
        (folder / "test_b.py").unlink()
        assert shared.rpytest("-n2", cwd=folder).counts == {"passed": 2}


class TestSocket:
    """What may lie where the daemon's socket is."""

    def socket_of(self, project: Project) -> Path:
        """Where the daemon listens; it has been stopped."""
        assert project.rpytest("-n2", junit=False).status == 0
        (path,) = project.runtime_dir.glob("*.sock")
        project.stop_daemon()
        assert not path.exists()
        return path

    def listener(self, project: Project, path: Path, kind: str, reaction: str) -> None:
        """A process that listens at `path` and does `reaction` with each connection `conn`."""
        code = f"""
import array, json, socket, sys
server = socket.socket(socket.AF_UNIX, socket.{kind})
server.bind({str(path)!r})
server.listen()
print("listening", flush=True)
held = []
while True:
    conn, _ = server.accept()
    held.append(conn)
    {reaction}
"""
        running = project.spawn("-c", code, program=Path(sys.executable).name)
        running.wait_for("listening")
        self.listening = running

    def test_left_by_a_daemon_that_was_killed(self, project: Project) -> None:
        project.write(PASSING)
        assert project.rpytest("-n2", junit=False).status == 0
        (path,) = project.runtime_dir.glob("*.sock")
        processes.send(project.processes(), signal.SIGKILL)
        assert processes.wait_until(lambda: not project.processes(), seconds=60)
        assert path.is_socket()
        assert "no daemon is running" in project.rpytest("--daemon-status", junit=False).stdout
        assert project.rpytest("-n2").counts == {"passed": 2}
        assert "daemon stopped" in project.stop_daemon().stdout

    @pytest.mark.parametrize("kind", ["file", "stream"])
    def test_something_else(self, project: Project, kind: str) -> None:
        project.write(PASSING)
        path = self.socket_of(project)
        if kind == "file":
            path.write_text("garbage")
        else:
            self.listener(project, path, "SOCK_STREAM", "pass")
        assert project.rpytest("-n2").counts == {"passed": 2}
        project.kill_all()

    @pytest.mark.parametrize("locked", [False, True])
    def test_leftover_lock(self, project: Project, locked: bool) -> None:
        """The lock is the kernel's, not the file's: whatever lies there is no obstacle."""
        project.write(PASSING)
        path = self.socket_of(project).with_suffix(".lock")
        path.write_text("12345")
        if locked:
            path.chmod(0o400)
        assert project.rpytest("-n2").counts == {"passed": 2}

    def test_daemon_of_another_build(self, project: Project) -> None:
        """It is asked to stop, and replaced."""
        project.write(PASSING)
        path = self.socket_of(project)
        reaction = """
    request = json.loads(conn.recv(1 << 20))
    print(request["op"], flush=True)
    if request["op"] == "stop":
        sys.exit()
    conn.send(json.dumps({"ev": "replace", "reason": "another build"}).encode())
"""
        self.listener(project, path, "SOCK_SEQPACKET", reaction.strip())
        result = project.rpytest("-n2")
        assert result.counts == {"passed": 2}
        assert result.stderr == ""
        assert self.listening.wait() == 0
        assert self.listening.stdout.split() == ["listening", "run", "stop"]

    def test_daemon_that_talks_nonsense(self, project: Project) -> None:
        project.write(PASSING)
        path = self.socket_of(project)
        self.listener(project, path, "SOCK_SEQPACKET", "conn.recv(1 << 20); conn.send(b'hello')")
        result = project.rpytest("-n2", junit=False)
        assert result.status == 3
        assert "unexpected message from the daemon" in result.stderr
        assert "hint: `rpytest --daemon-stop`" in result.stderr
        assert_clear(result)
        assert "daemon stopped" in project.stop_daemon().stdout

    def test_daemon_that_is_mute(self, project: Project) -> None:
        """Stopped, or in a loop: it is replaced, with a word about it."""
        project.write(PASSING)
        path = self.socket_of(project)
        self.listener(project, path, "SOCK_SEQPACKET", "pass")
        result = project.rpytest("-n2")
        assert result.counts == {"passed": 2}
        assert "warning: the daemon does not answer" in result.stderr
        assert not self.listening.is_running()

    @as_root
    def test_daemon_of_somebody_else(self, project: Project) -> None:
        project.write(PASSING)
        path = self.socket_of(project)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with server:
            server.bind(str(path))
            # The kernel takes the credentials of whoever calls listen().
            child = os.fork()
            if child == 0:
                os.setuid(NOBODY)
                server.listen()
                os._exit(0)
            os.waitpid(child, 0)
            for args in ((), ("--daemon-status",)):
                result = project.rpytest(*args, junit=False)
                assert result.status == 4
                assert f"belongs to user {NOBODY}" in result.stderr
                assert "hint: " in result.stderr
        path.unlink()
