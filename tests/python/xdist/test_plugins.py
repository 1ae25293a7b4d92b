"""What plugins rely on, without the plugins; they themselves are tried by
``tests/plugins/matrix.py``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import rpytest
from support import processes
from support.daemons import status
from support.harness import Project


class TestLastWords:
    """pytest-timeout writes stacks to the terminal writer, then ends the process."""

    @pytest.mark.parametrize("method", ["collected", "bare"])
    def test_of_the_test_that_ends_it(
        self, shared_project: Project, folder: Path, method: str
    ) -> None:
        test = """
            import os

            def say(request, text):
                writer = request.config.get_terminal_writer()
                writer.sep("+", text)
                writer.flush()

            def test_before(request): say(request, "an earlier test")
            def test_dies(request):
                say(request, "the last words, ünï")
                os._exit(1)
            def test_after(request): say(request, "a later test")
        """
        shared_project.fill(folder, {"test_a.py": test})
        result = shared_project.rpytest("-n1", f"--start-method={method}", cwd=folder)
        assert result.counts == {"failed": 1, "passed": 2}
        assert "crashed while running 'test_a.py::test_dies'" in result.stdout
        assert result.stdout.count("the last words, ünï") == 1
        assert "an earlier test" not in result.stdout
        assert "a later test" not in result.stdout

    def test_are_not_shown_without_a_crash(self, shared_project: Project, folder: Path) -> None:
        test = (
            "def test_1(request): request.config.get_terminal_writer().line('nobody sees "
            "this')\ndef test_2(): assert 0\n"
        )
        shared_project.fill(folder, {"test_a.py": test})
        result = shared_project.rpytest("-n2", cwd=folder)
        assert result.counts == {"failed": 1, "passed": 1}
        assert "nobody sees this" not in result.stdout


class TestXdistsVersion:
    """pytest-rerunfailures tells of reruns only if pytest-xdist is new enough, which must not
    depend on its being installed.
    """

    def test_in_a_worker(self, shared_project: Project, folder: Path) -> None:
        test = """
            import importlib.metadata as metadata

            def test_1():
                assert int(metadata.version("pytest-xdist").split(".")[0]) >= 3
                assert metadata.distribution("pytest_xdist").metadata["Name"] == "pytest-xdist"
        """
        shared_project.fill(folder, {"test_a.py": test})
        assert shared_project.rpytest("-n2", cwd=folder).counts == {"passed": 1}

    def test_where_it_is_not_installed(self) -> None:
        module = Path(rpytest.__file__).parent / "xdist_compat/distribution.py"
        code = f"""
import importlib.metadata as metadata, importlib.util
spec = importlib.util.spec_from_file_location("_distribution", {str(module)!r})
distribution = importlib.util.module_from_spec(spec)
spec.loader.exec_module(distribution)
def version():
    try:
        return metadata.version("Pytest.Xdist")
    except metadata.PackageNotFoundError:
        return None
before, listed = version(), len(list(metadata.distributions()))
distribution.install()
assert (before, version()) == (None, distribution.VERSION)
assert list(metadata.distribution("pytest-xdist").entry_points) == []
assert len(list(metadata.distributions())) == listed
try:
    metadata.version("pytest-nothing")
except metadata.PackageNotFoundError:
    print("as it should be")
"""
        # Without site-packages: nothing is installed.
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
        )
        assert (done.stdout, done.stderr) == ("as it should be\n", "")


def test_a_plugin_that_removes_the_terminal_reporter(shared_project: Project, folder: Path) -> None:
    conftest = """
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_configure(config):
            config.pluginmanager.unregister(config.pluginmanager.getplugin("terminalreporter"))
    """
    shared_project.fill(
        folder, {"conftest.py": conftest, "test_a.py": "def test_1(): pass\ndef test_2(): pass\n"}
    )
    result = shared_project.rpytest("-n2", junit=False, cwd=folder)
    assert result.status == 4
    assert "a plugin has removed pytest's terminal reporter" in result.stderr
    assert "hint: `-n 0`" in result.stderr
    assert shared_project.rpytest("-n0", cwd=folder).outcomes == {
        "test_a::test_1": "passed",
        "test_a::test_2": "passed",
    }
    shared_project.fill(folder, {"conftest.py": ""})
    assert shared_project.rpytest("-n2", "-p", "no:terminal", cwd=folder).outcomes == {
        "test_a::test_1": "passed",
        "test_a::test_2": "passed",
    }


@pytest.mark.parametrize(
    ("line", "reused"),
    [
        ("import ctypes.util; ctypes.util.find_library('c')", True),
        (
            (
                "import subprocess; subprocess.run(['/sbin/ldconfig', '-p'], stdout=-1, "
                "close_fds=False)"
            ),
            True,
        ),
        ("import platform; platform.processor()", True),
        ("import subprocess; subprocess.run(['true'])", False),
        ("import subprocess; subprocess.run('ldconfig -p', shell=True, stdout=-1)", False),
    ],
    ids=["find_library", "posix_spawn", "processor", "other", "shell"],
)
def test_programs_that_describe_the_system(
    shared_project: Project, folder: Path, line: str, reused: bool
) -> None:
    # trio's import looks for a library by running one, which Python 3.13 starts by `posix_spawn`.
    shared_project.fill(folder, {"test_a.py": f"{line}\ndef test_1(): pass\n"})
    args = ("-n1", "-q")
    for _ in range(2):
        assert shared_project.rpytest(*args, junit=False, cwd=folder).status == 0

    def served() -> str | None:
        found = re.search(
            rf"session \d+: {re.escape(str(folder))} with .*\n *1 test, (\d) runs?,",
            status(shared_project),
        )
        return found and found[1]

    # One that can't be used again is let go, a moment after its run.
    assert processes.wait_until(lambda: served() == ("2" if reused else None)), status(
        shared_project
    )
