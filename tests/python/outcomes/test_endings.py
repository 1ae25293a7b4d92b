"""Runs that end before their last test: enough failures, signals."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from support import processes
from support.harness import Project
from support.running import Running


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


class TestStopsAtFailures:
    @pytest.mark.parametrize("args", [("-x",), ("--maxfail=2",), ("--maxfail=3",)], ids=" ".join)
    def test_one_worker_is_as_exact_as_pytest(
        self, shared_project: Project, folder: Path, args: tuple[str, ...]
    ) -> None:
        test = (
            "import pytest\n@pytest.mark.parametrize('i', range(8))\n"
            "def test_1(i): assert i not in (2, 4)\n"
        )
        shared_project.fill(folder, {"test_a.py": test})
        assert shared_project.compare(*args, n=1, cwd=folder).status == 1

    def test_errors_of_fixtures_count(self, shared_project: Project, folder: Path) -> None:
        test = (
            "import pytest\n@pytest.fixture\ndef bad():\n    yield\n    assert 0\n"
            "@pytest.mark.parametrize('i', range(8))\ndef test_1(i, bad): assert i\n"
        )
        shared_project.fill(folder, {"test_a.py": test})
        shared_project.compare("--maxfail=3", n=1, cwd=folder)

    @pytest.mark.parametrize(("option", "limit"), [("-x", 1), ("--maxfail=3", 3)])
    def test_several_workers(
        self, shared_project: Project, folder: Path, option: str, limit: int
    ) -> None:
        """No test begins once enough have failed; those in flight finish and are reported."""
        test = f"""
        import time
        import pytest

        @pytest.mark.parametrize("i", range(200))
        def test_1(i, request):
            with open("begun", "a") as file:
                file.write(f"{{i}}\\n")
            assert i >= {limit}
            # Others are in flight until the run is stopped, however long that takes.
            worker = request.config.pluginmanager.getplugin("rpytest-worker")
            while not worker.native.stopped():
                time.sleep(0.01)
        """
        shared_project.fill(folder, {"test_a.py": test})
        result = shared_project.rpytest("-n2", option, cwd=folder)
        assert result.status == 1
        assert f"stopping after {limit} failures" in result.stdout
        counts = result.counts
        assert counts["failed"] == limit
        # One in each worker.
        assert counts.get("passed", 0) <= 2
        ran = counts["failed"] + counts.get("passed", 0)
        assert ran == len(result.outcomes) == len(lines(folder / "begun"))
        assert f"{200 - ran} of 200 tests did not run" in result.stdout

    @pytest.mark.parametrize("end", ["raise KeyboardInterrupt", "pytest.exit('enough')"])
    def test_interrupted_in_teardown(self, shared_project: Project, folder: Path, end: str) -> None:
        """The test has passed."""
        test = (
            f"import pytest\n@pytest.fixture\ndef bad():\n    yield\n    {end}\n"
            "def test_1(bad): pass\ndef test_2(): pass\n"
        )
        shared_project.fill(folder, {"test_a.py": test})
        result = shared_project.compare(n=1, cwd=folder)
        assert result.status == 2
        assert result.counts == {"passed": 1}

    def test_session_fixtures_are_torn_down(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(
            folder,
            {
                "conftest.py": FINALIZER,
                "test_a.py": (
                    "import pytest\n@pytest.mark.parametrize('i', range(9))\n"
                    "def test_1(i): assert 0\n"
                ),
            },
        )
        assert shared_project.rpytest("-n2", "-x", cwd=folder).status == 1
        assert_torn_down(folder)


# One line for each that was set up and one for each that was torn down, whoever does it.
FINALIZER = """
import os, pytest

@pytest.fixture(scope="session", autouse=True)
def resource():
    with open("up", "a") as file:
        file.write(f"{os.getpid()}\\n")
    yield
    with open("down", "a") as file:
        file.write(f"{os.getpid()}\\n")
"""


def assert_torn_down(folder: Path) -> None:
    up = lines(folder / "up")
    assert up
    assert sorted(up) == sorted(lines(folder / "down"))


class TestSignals:
    TEST = """
    import os, pathlib, time
    import pytest

    def test_first(): pass

    @pytest.mark.parametrize("i", range(4))
    def test_long(i):
        pathlib.Path(f"begun-{i}").touch()
        [time.sleep(0.1) for _ in range(3000)]

    def test_last(): pass
    """

    def start(self, shared_project: Project, folder: Path, *args: str, test: str = TEST) -> Running:
        shared_project.fill(folder, {"conftest.py": FINALIZER, "test_a.py": test})
        running = shared_project.spawn("-n2", "--junitxml=j.xml", *args, cwd=folder)
        assert processes.wait_until(lambda: len(list(folder.glob("begun-*"))) == 2)
        return running

    @pytest.mark.parametrize("args", [(), ("--start-method=bare",), ("--no-daemon",)], ids=" ".join)
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_one_interrupts(
        self, shared_project: Project, folder: Path, number: signal.Signals, args: tuple[str, ...]
    ) -> None:
        """The report of what has run, fixtures torn down, exit status 2."""
        running = self.start(shared_project, folder, *args)
        running.send_signal(number)
        assert running.wait() == 2, running
        assert "KeyboardInterrupt" in running.stdout or "SIGTERM" in running.stdout
        assert re.search(r"= \d passed in ", running.stdout), running.stdout
        assert re.search(r"[123] of 6 tests did not run", running.stdout), running.stdout
        assert (
            len(
                re.findall(
                    r"^Interrupted: test_a.py::\S+ was running \(\d+\.\ds\)$", running.stdout, re.M
                )
            )
            == 2
        )
        assert "crashed" not in running.stdout
        assert running.stderr == ""
        assert_torn_down(folder)
        assert (
            "test_long" not in running.stdout.replace("test_a.py::test_long", "")
            or "FAILED" not in running.stdout
        )
        assert (folder / "j.xml").exists()

    def test_ctrl_c_in_a_terminal_reaches_the_group(
        self, shared_project: Project, folder: Path
    ) -> None:
        running = self.start(shared_project, folder)
        running.send_group_signal(signal.SIGINT)
        assert running.wait() == 2
        assert_torn_down(folder)

    def test_the_second_kills(self, shared_project: Project, folder: Path) -> None:
        test = """
        import pathlib, time
        import pytest

        @pytest.mark.parametrize("i", range(2))
        def test_deaf(i):
            while True:
                try:
                    pathlib.Path(f"begun-{i}").touch()
                    [time.sleep(0.1) for _ in range(3000)]
                except KeyboardInterrupt:
                    pathlib.Path(f"heard-{i}").touch()
        """
        running = self.start(shared_project, folder, test=test)
        running.send_signal(signal.SIGINT)
        assert processes.wait_until(lambda: len(list(folder.glob("heard-*"))) == 2)
        assert running.is_running()
        running.send_signal(signal.SIGINT)
        assert running.wait() == 2
        assert running.stdout.count(" was running (") == 2
        assert "did not run" not in running.stdout

    @pytest.mark.parametrize("n", ["-n2", "-n0"])
    def test_during_collection(self, shared_project: Project, folder: Path, n: str) -> None:
        # One line, and in it no call of Python's: that is where it is interrupted, at whatever
        # moment.
        module = "import os, time\n\nos.mkdir('begun'); [time.sleep(0.1) for _ in range(3000)]\n"
        shared_project.fill(folder, {"test_b.py": module, "test_a.py": "def test_1(): pass"})
        running = shared_project.spawn(n, cwd=folder)
        assert processes.wait_until((folder / "begun").exists)
        running.send_signal(signal.SIGINT)
        assert running.wait() == 2
        assert "KeyboardInterrupt" in running.stdout
        assert "test_b.py:3" in running.stdout

    def test_while_conftest_is_imported(self, shared_project: Project, folder: Path) -> None:
        conftest = (
            "import pathlib, time\npathlib.Path('begun').touch()\n"
            "[time.sleep(0.1) for _ in range(3000)]\n"
        )
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": "def test_1(): pass"})
        running = shared_project.spawn("-n2", cwd=folder)
        assert processes.wait_until((folder / "begun").exists)
        running.send_signal(signal.SIGINT)
        assert running.wait() == 2
        assert "Traceback" not in running.stderr

    def test_in_a_finalizer(self, shared_project: Project, folder: Path) -> None:
        """All tests have been called by then, and are reported."""
        conftest = FINALIZER.replace(
            "    yield\n",
            (
                "    yield\n    open(f'begun-{os.getpid()}', 'w').close()\n"
                "    import time; time.sleep(300)\n"
            ),
        )
        shared_project.fill(
            folder,
            {
                "conftest.py": conftest,
                "test_a.py": (
                    "import time\ndef test_1(): time.sleep(0.3)\ndef test_2(): time.sleep(0.3)"
                ),
            },
        )
        running = shared_project.spawn("-n2", cwd=folder)
        # The session's fixtures are shared: one process ends them.
        assert processes.wait_until(lambda: len(list(folder.glob("begun-*"))) == 1)
        running.send_signal(signal.SIGINT)
        assert running.wait() == 2
        assert "2 passed" in running.stdout
        assert "did not run" not in running.stdout


@pytest.mark.parametrize("body", ["pass", "assert 0"])
@pytest.mark.parametrize(
    "action", ["raise KeyboardInterrupt", "pytest.exit('enough')", "pytest.exit('enough', 7)"]
)
def test_finalizer_of_a_session_fixture_ends_the_run(
    shared_project: Project, folder: Path, action: str, body: str
) -> None:
    """The same exit status as pytest's, with and without a controller, which has been told that all
    tests passed.
    """
    shared_project.fill(
        folder,
        {
            "hooks.py": "def pytest_runtest_logreport(report): pass",
            "test_a.py": f"""
                import pytest
                @pytest.fixture(scope="session")
                def shared():
                    yield 1
                    {action}
                def test_1(shared): pass
                def test_2(shared): {body}
                """,
        },
    )
    expected = shared_project.pytest(junit=False, cwd=folder)
    assert expected.status in (2, 7)
    for options in ([], ["-p", "hooks"], ["-rA"]):
        result = shared_project.rpytest(
            "-n2", *options, junit=False, cwd=folder, env={"PYTHONPATH": str(folder)}
        )
        assert (result.status, result.counts) == (expected.status, expected.counts), result


def test_an_interrupt_where_python_knows_no_line(project: Project) -> None:
    """A signal may strike between lines; pytest's own code has no words for that."""
    source = """
        import pytest

        CODE = compile("raise KeyboardInterrupt", "nowhere.py", "exec").replace(co_linetable=b"")

        @pytest.fixture(scope="session")
        def shared():
            SHARED

        def test_1(shared):
            exec(CODE)
        """
    for text in ("pass", "exec(CODE)"):
        project.write(test_a=source.replace("SHARED", text))
        result = project.rpytest("-n", "2")
        assert result.status == 2, result
        assert (
            "KeyboardInterrupt" in result.stdout
            and "Traceback" not in result.stdout + result.stderr
        ), result
