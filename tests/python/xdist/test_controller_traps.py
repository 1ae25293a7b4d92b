"""Where a controller could hang, lose something, or end with the wrong status."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from support import processes
from support.harness import Project, Result

PASSING = "import pytest\n@pytest.mark.parametrize('i', range(4))\ndef test_1(i): pass\n"
#: What a run leaves, in the order in which it is forked.
HELPERS = ["base", "configured", "checkpoint"]


def run(project: Project, folder: Path, *args: str, n: int = 2, junit: bool = True) -> Result:
    return project.rpytest(f"-n{n}", *args, cwd=folder, junit=junit)


class TestSame:
    """Exit status and what a conftest writes are pytest's; twice."""

    def both(self, project: Project, folder: Path, files: dict[str, str], *args: str) -> Result:
        project.fill(folder, files)
        expected = project.pytest(*args, cwd=folder)
        for _ in range(2):
            actual = run(project, folder, *args)
            assert actual.status == expected.status, f"{actual}\n{expected}"
        return actual

    def test_summary_outside_of_workers(self, shared_project: Project, folder: Path) -> None:
        conftest = """
            def pytest_terminal_summary(terminalreporter, config):
                if not hasattr(config, "workerinput"): terminalreporter.section("mine")
        """
        result = self.both(shared_project, folder, {"conftest.py": conftest, "test_a.py": PASSING})
        assert result.stdout.count("= mine =") == 1

    def test_recorded_warnings(self, shared_project: Project, folder: Path) -> None:
        conftest = """
            SEEN = []
            def pytest_warning_recorded(warning_message): SEEN.append(str(warning_message.message))
            def pytest_terminal_summary(terminalreporter): terminalreporter.line(f"seen {SEEN}")
        """
        test = "import warnings\ndef test_1(): warnings.warn('w')\n"
        result = self.both(shared_project, folder, {"conftest.py": conftest, "test_a.py": test})
        assert "seen ['w']" in result.stdout

    def test_missing_path(self, shared_project: Project, folder: Path) -> None:
        files = {"conftest.py": "def pytest_sessionfinish(): pass\n", "test_a.py": PASSING}
        assert self.both(shared_project, folder, files, "nothing_such.py").status == 4

    def test_exit_while_collecting(self, shared_project: Project, folder: Path) -> None:
        conftest = (
            "import pytest\ndef pytest_sessionfinish(): pass\n"
            "def pytest_collection_modifyitems(): pytest.exit('mine', returncode=7)\n"
        )
        result = self.both(shared_project, folder, {"conftest.py": conftest, "test_a.py": PASSING})
        assert (result.status, "mine" in result.stdout) == (7, True)

    def test_exit_at_the_end(self, shared_project: Project, folder: Path) -> None:
        conftest = """
            import sys
            def pytest_sessionfinish(session):
                if not hasattr(session.config, "workerinput"): sys.exit(0)
        """
        self.both(shared_project, folder, {"conftest.py": conftest, "test_a.py": PASSING})

    def test_open_files_are_written(self, shared_project: Project, folder: Path) -> None:
        conftest = """
            OUT = None
            def pytest_sessionstart(session):
                global OUT
                if not hasattr(session.config, "workerinput"): OUT = open("out.txt", "w")
            def pytest_sessionfinish():
                if OUT: OUT.write("the end")
        """
        self.both(shared_project, folder, {"conftest.py": conftest, "test_a.py": PASSING})
        assert (folder / "out.txt").read_text() == "the end"

    def test_log_file_has_everything(self, shared_project: Project, folder: Path) -> None:
        conftest = """
            import logging
            def pytest_sessionfinish(session):
                if not hasattr(session.config, "workerinput"): logging.getLogger().warning("of the controller")
        """  # noqa: E501
        test = (
            "import logging, pytest\n@pytest.mark.parametrize('i', range(4))\n"
            "def test_1(i): logging.warning(f'of test {i}')\n"
        )
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": test})
        for _ in range(2):
            assert run(shared_project, folder, "--log-file=log.txt").status == 0
            text = (folder / "log.txt").read_text()
            assert [text.count(f"of test {i}") for i in range(4)] == [1] * 4, text
            assert text.count("of the controller") == 1, text

    def test_internal_errors_are_shown_once(self, shared_project: Project, folder: Path) -> None:
        conftest = (
            "def pytest_sessionfinish(): pass\ndef pytest_runtest_logfinish(): raise "
            "LookupError('mine')\n"
        )
        result = self.both(
            shared_project, folder, {"conftest.py": conftest, "test_a.py": "def test_1(): pass\n"}
        )
        text = result.stdout + result.stderr
        assert result.status == 3
        assert "LookupError: mine" in text
        assert "_InternalError" not in text

    def test_last_failed_without_a_terminal(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {"test_a.py": "def test_1(): assert 0\n"})
        run(shared_project, folder, "-pno:terminal")
        assert "test_1" in (folder / ".pytest_cache/v/cache/lastfailed").read_text()

    def test_attributes_that_cannot_travel(self, shared_project: Project, folder: Path) -> None:
        conftest = """
            import array, pytest
            @pytest.hookimpl(wrapper=True)
            def pytest_runtest_makereport():
                report = yield
                report.buffer = array.array("d", [1.5])
                report.endless = [report.buffer]
                report.endless.append(report.endless)
                return report
            SEEN = set()
            def pytest_runtest_logreport(report): SEEN.add(str(report.buffer))
            def pytest_terminal_summary(terminalreporter): terminalreporter.line(f"seen {SEEN}")
        """
        result = self.both(shared_project, folder, {"conftest.py": conftest, "test_a.py": PASSING})
        assert (result.status, """seen {"array('d', [1.5])"}""" in result.stdout) == (0, True), (
            result
        )

    def test_the_hook_asks_for_the_end(self, shared_project: Project, folder: Path) -> None:
        conftest = """
            SESSION = None
            def pytest_sessionstart(session):
                global SESSION
                SESSION = session
            def pytest_runtest_logreport(report):
                if not hasattr(SESSION.config, "workerinput"): SESSION.shouldstop = "enough"
        """
        # However late it is asked for, there is something left.
        test = (
            "import pytest, time\n@pytest.mark.parametrize('i', range(400))\n"
            "def test_1(i): time.sleep(0.05 if i % 200 < 20 else 1)\n"
        )
        result = self.both(shared_project, folder, {"conftest.py": conftest, "test_a.py": test})
        assert result.status == 2
        assert "enough" in result.stdout
        assert len(result.cases or ()) < 400


class TestNodes:
    TELLING = """
        import os
        def pytest_testnodedown(node, error):
            with open(os.path.join(os.path.dirname(__file__), "told"), "a") as file:
                print(node.gateway.id, getattr(node, "workeroutput", None), error, file=file)
        def pytest_sessionfinish(session):
            if hasattr(session.config, "workeroutput"): session.config.workeroutput["tests"] = RAN
        RAN = []
        def pytest_runtest_setup(item): RAN.append(item.name)
    """

    def test_a_slot_used_twice(self, shared_project: Project, folder: Path) -> None:
        test = """
            import pytest, time
            @pytest.mark.parametrize("i", range(6))
            def test_1(i): time.sleep(0.02)
            @pytest.mark.serial
            def test_2(): pass
        """
        shared_project.fill(folder, {"conftest.py": self.TELLING, "test_a.py": test})
        for _ in range(2):
            assert run(shared_project, folder).status == 0
            lines = (folder / "told").read_text().splitlines()
            (folder / "told").unlink()
            assert all(line.endswith("} None") for line in lines), lines
            ran = [name for line in lines for name in re.findall(r"test_\w+(?:\[\d\])?", line)]
            assert sorted(ran) == [*(f"test_1[{i}]" for i in range(6)), "test_2"], lines

    def test_reading_everything(self, shared_project: Project, folder: Path) -> None:
        conftest = """
            def pytest_configure_node(node): node.workerinput["gift"] = node.gateway.id
            def pytest_configure(config):
                config.everything = dict(config.workerinput) if hasattr(config, "workerinput") else {}
        """  # noqa: E501
        test = """
            import pytest, time
            @pytest.mark.parametrize("i", range(8))
            def test_1(i, request, worker_id):
                time.sleep(0.02)
                assert request.config.everything["workerid"] == request.config.everything["gift"] == worker_id
        """  # noqa: E501
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": test})
        for _ in range(2):
            assert run(shared_project, folder).counts == {"passed": 8}

    def test_crashes_with_every_worker_running_all(
        self, shared_project: Project, folder: Path
    ) -> None:
        conftest = (
            "def pytest_handlecrashitem(crashitem, report, sched): print('CRASH', crashitem)\n"
        )
        test = (
            "import os\ndef test_1(worker_id):\n    if worker_id == 'gw1': os._exit(3)\n"
            "def test_2(): pass\n"
        )
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": test})
        result = run(shared_project, folder, "--dist=each")
        assert result.status == 1
        assert result.counts == {"passed": 3, "failed": 1}

    def test_endless_reruns_end(self, shared_project: Project, folder: Path) -> None:
        conftest = (
            "def pytest_handlecrashitem(crashitem, report, sched): "
            "sched.mark_test_pending(crashitem)\n"
        )
        test = "import os\ndef test_1(): os._exit(3)\ndef test_2(): pass\n"
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": test})
        result = run(shared_project, folder, "--max-worker-restart=3", n=1)
        assert result.status == 1
        assert "3" in result.stdout


class TestHangs:
    def test_a_thread_of_a_conftest(self, shared_project: Project, folder: Path) -> None:
        conftest = """
            from concurrent.futures import ThreadPoolExecutor
            POOL = ThreadPoolExecutor(1)
            POOL.submit(int).result()
            def pytest_sessionstart(): POOL.submit(int).result()
        """
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": PASSING})
        for _ in range(2):
            result = run(shared_project, folder, "-v")
            assert result.counts == {"passed": 4}
            assert "start method: bare (a thread is alive before collection" in result.stdout

    SLOW = """
        import pathlib, time
        CONFIG = None
        def pytest_configure(config):
            global CONFIG
            CONFIG = config
        def pytest_runtest_logreport(report):
            if not hasattr(CONFIG, "workerinput"):
                pathlib.Path("slow").touch()
                [time.sleep(0.1) for _ in range(6000)]
    """

    @pytest.mark.parametrize(
        "number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name
    )
    def test_a_hook_that_never_ends(self, project: Project, number: signal.Signals) -> None:
        test = "import pytest\n@pytest.mark.parametrize('i', range(3000))\ndef test_1(i): pass\n"
        project.write({"conftest.py": self.SLOW, "test_a.py": test})
        running = project.spawn("-n2", "-q")
        assert processes.wait_until((project.path / "slow").exists)
        running.send_signal(number)
        if number == signal.SIGINT:
            # The first asks, and what is asked for never comes; a signal that is still pending is
            # not sent twice.
            assert not processes.wait_until(lambda: not running.is_running(), seconds=2)

            def insist() -> bool:
                running.send_signal(number)
                return not running.is_running()

            assert processes.wait_until(insist)
        assert running.wait() in (2, -signal.SIGKILL), str(running)
        project.stop_daemon()
        assert processes.wait_until(lambda: not project.processes())

    @pytest.mark.parametrize("which", HELPERS)
    def test_a_forked_helper_that_was_killed(self, project: Project, which: str) -> None:
        """What controllers or runs with other arguments are forked from: the next run does without
        it, or makes another one.
        """
        project.write({"conftest.py": "def pytest_sessionfinish(): pass\n", "test_a.py": PASSING})
        assert project.rpytest("-n2").status == 0

        def helpers() -> list[int]:
            # The daemon leads a session of its own; these, which are no children of any of its
            # processes, do not.
            tree = {pid: stat for pid in project.processes() if (stat := _stat(pid)) is not None}
            found = [
                pid for pid, stat in tree.items() if stat.parent not in tree and stat.session != pid
            ]
            return sorted(found, key=lambda pid: tree[pid].start)

        # What belongs to the run may still be on its way out.
        assert processes.wait_until(lambda: len(helpers()) == len(HELPERS)), helpers()
        processes.send([helpers()[HELPERS.index(which)]], signal.SIGKILL)
        for _ in range(2):
            assert project.rpytest("-n2").counts == {"passed": 4}
            assert project.rpytest("-n2", "-k", "test").counts == {"passed": 4}


class _Stat(NamedTuple):
    parent: int
    session: int
    start: int


def _stat(pid: int) -> _Stat | None:
    """None: it is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return _Stat(int(words[1]), int(words[3]), int(words[19]))
