"""How tests are run: numbers of workers, what a worker looks like to a test, what makes workers
start in the bare way.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.harness import MEETING, Project, Result

# Each test tells who ran it, and every worker gets one.
TELLING = """
import os
import pytest

@pytest.mark.parametrize("i", range(16))
def test_1(i, record_property, worker_id):
    from meeting import meet
    record_property("worker", worker_id)
    record_property("pid", os.getpid())
    record_property("count", os.environ.get("PYTEST_XDIST_WORKER_COUNT", "none"))
    meet()
"""


def told(result: Result, name: str) -> set[str]:
    """The values of a property of all tests."""
    assert result.cases is not None, result
    return {value for case in result.cases for key, value in case.properties if key == name}


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


class TestNumberOfWorkers:
    def workers(
        self,
        shared_project: Project,
        folder: Path,
        *args: str,
        env: Mapping[str, str | None] | None = None,
    ) -> int:
        """How many workers ran the tests of one file; all that were started did."""
        result = shared_project.rpytest(*args, cwd=folder, env=env)
        assert result.status == 0, result
        names, pids = told(result, "worker"), told(result, "pid")
        assert names == {f"gw{number}" for number in range(len(names))}
        assert len(pids) == len(names)
        assert told(result, "count") == {str(len(names))}
        plural = "s" if len(names) > 1 else ""
        assert f"{len(names)} worker{plural} [16 items]" in result.stdout
        return len(names)

    @pytest.fixture
    def telling(self, shared_project: Project, folder: Path) -> Path:
        shared_project.fill(folder, {"meeting.py": MEETING, "test_a.py": TELLING})
        return folder

    @pytest.mark.parametrize(
        ("args", "count"),
        [
            ((), 1),
            (("-n1",), 1),
            (("-n", "2"), 2),
            (("-n=3",), 3),
            (("--numprocesses=4",), 4),
            (("-n0", "-n2"), 2),
            (("--tx", "3*popen"), 3),
            (("--tx", "popen", "--tx", "popen", "--dist=load"), 2),
            (("-n", "auto", "--maxprocesses=1"), 1),
            (("-d", "-n2"), 2),
            (("--dist", "worksteal", "-n2"), 2),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
    )
    def test_options(
        self, shared_project: Project, telling: Path, args: tuple[str, ...], count: int
    ) -> None:
        assert self.workers(shared_project, telling, *args) == count

    @pytest.mark.parametrize("n", ["auto", "logical"])
    @pytest.mark.skipif(not shutil.which("taskset"), reason="needs `taskset`")
    def test_auto_is_the_processors_that_may_be_used(
        self, shared_project: Project, telling: Path, n: str
    ) -> None:
        cpu = min(os.sched_getaffinity(0))
        junit = shared_project.scratch / f"affinity-{n}.xml"
        running = shared_project.spawn(
            "-c",
            f"exec taskset -c {cpu} rpytest -n {n} --junitxml={junit}",
            program="/bin/sh",
            cwd=telling,
        )
        assert running.wait() == 0
        assert "1 worker [16 items]" in running.stdout
        assert 1 <= self.workers(shared_project, telling, "-n", n) <= (os.cpu_count() or 1)

    @pytest.mark.parametrize("n", ["auto", "logical"])
    def test_auto_as_the_variable_says(
        self, shared_project: Project, telling: Path, n: str
    ) -> None:
        assert (
            self.workers(
                shared_project, telling, "-n", n, env={"PYTEST_XDIST_AUTO_NUM_WORKERS": "3"}
            )
            == 3
        )

    def test_bad_variable_is_a_warning(self, shared_project: Project, telling: Path) -> None:
        env = {"PYTEST_XDIST_AUTO_NUM_WORKERS": "many"}
        assert self.workers(shared_project, telling, "-n", "auto", "--maxprocesses=1", env=env) == 1

    @pytest.mark.parametrize(("value", "count"), [('"3"', 3), ("2", 2), ('"auto"', 0)])
    def test_default_workers(
        self, shared_project: Project, telling: Path, value: str, count: int
    ) -> None:
        shared_project.fill(
            telling, {"pyproject.toml": f"[tool.rpytest]\ndefault_workers = {value}\n"}
        )
        env = {"PYTEST_XDIST_AUTO_NUM_WORKERS": "4"}
        assert self.workers(shared_project, telling, env=env) == (count or 4)
        assert self.workers(shared_project, telling, "-n1", env=env) == 1

    def test_addopts(self, shared_project: Project, telling: Path) -> None:
        shared_project.fill(
            telling,
            {
                "pytest.ini": "[pytest]\naddopts = -n 2\n",
                "pyproject.toml": "[tool.rpytest]\ndefault_workers = 4\n",
            },
        )
        assert self.workers(shared_project, telling) == 2
        assert self.workers(shared_project, telling, env={"PYTEST_ADDOPTS": "-n 3"}) == 3
        assert self.workers(shared_project, telling, "-n1", env={"PYTEST_ADDOPTS": "-n 3"}) == 1

    @pytest.mark.parametrize("args", [("-n0",), ("-n", "2", "-n", "0")], ids=" ".join)
    def test_none(self, shared_project: Project, telling: Path, args: tuple[str, ...]) -> None:
        """pytest itself, in one process."""
        result = shared_project.rpytest(*args, cwd=telling)
        assert result.status == 0
        assert told(result, "worker") == {"master"}
        assert told(result, "count") == {"none"}
        assert "test_a.py ......" in result.stdout

    def test_never_more_than_tests(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(
            folder, {"meeting.py": MEETING, "test_a.py": TELLING.replace("16", "2")}
        )
        result = shared_project.rpytest("-n4", cwd=folder)
        assert "2 workers [2 items]" in result.stdout
        assert told(result, "count") == {"2"}
        assert (
            shared_project.rpytest("-n4", "-k", "1-0 or [0]", cwd=folder).stdout.count(
                "1 worker [1 item]"
            )
            == 1
        )

    def test_bare(self, shared_project: Project, telling: Path) -> None:
        assert self.workers(shared_project, telling, "-n3", "--start-method=bare") == 3


def test_a_modules_fixtures_are_set_up_once_where_balance_allows(
    shared_project: Project, folder: Path
) -> None:
    module = """
    import os, pytest

    @pytest.fixture(scope="module", autouse=True)
    def made():
        with open("made", "a") as file:
            file.write(f"{__name__}\\n")

    @pytest.mark.parametrize("i", range(3))
    def test_1(i): pass
    """
    names = "abcdefghijklmnop"
    shared_project.fill(folder, {f"test_{name}.py": module for name in names})
    assert shared_project.rpytest("-n2", cwd=folder).counts == {"passed": 48}
    made = Counter(lines(folder / "made"))
    assert set(made) == {f"test_{name}" for name in names}
    # A worker that is idle at the end may take tests of a module that another one has begun.
    assert sum(made.values()) <= len(names) + 2


# -- what a worker looks like


class TestWorker:
    def test_identity(self, shared_project: Project, folder: Path) -> None:
        test = """
        import os, threading
        import pytest

        @pytest.mark.parametrize("i", range(4))
        def test_1(i, request, worker_id, testrun_uid, record_property):
            given = request.config.workerinput
            assert set(given) >= {"workerid", "workercount", "testrunuid", "mainargv"}
            assert given["workerid"] == worker_id == os.environ["PYTEST_XDIST_WORKER"]
            assert given["workercount"] == 2 == int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
            assert given["testrunuid"] == testrun_uid == os.environ["PYTEST_XDIST_TESTRUNUID"]
            assert request.config.workeroutput == {}
            assert request.config.option.dist == "no"
            assert request.config.option.numprocesses is None
            assert request.config.pluginmanager.hasplugin("xdist")
            assert threading.current_thread() is threading.main_thread()
            record_property("uid", testrun_uid)
        """
        shared_project.fill(folder, {"test_a.py": test})
        uids = []
        for args in ((), (), ("--start-method=bare",)):
            result = shared_project.rpytest("-n2", *args, cwd=folder)
            assert result.counts["passed"] == 4
            (uid,) = told(result, "uid")
            uids.append(uid)
        assert len(set(uids)) == 3
        assert told(shared_project.rpytest("-n2", "--testrunuid=mine", cwd=folder), "uid") == {
            "mine"
        }

    @pytest.mark.parametrize("method", ["collected", "bare"])
    @pytest.mark.parametrize("given", [False, True], ids=["default", "--basetemp"])
    def test_temporary_directories(
        self, shared_project: Project, folder: Path, method: str, given: bool
    ) -> None:
        test = """
        import pytest

        @pytest.mark.parametrize("i", range(8))
        def test_1(i, tmp_path, tmp_path_factory, worker_id, record_property):
            assert not list(tmp_path.iterdir())
            (tmp_path / "file").touch()
            assert tmp_path_factory.getbasetemp().name == f"popen-{worker_id}"
            record_property("path", tmp_path)
            record_property("base", tmp_path_factory.getbasetemp().parent)
        """
        shared_project.fill(folder, {"test_a.py": test})
        base = shared_project.scratch / "base" / folder.name
        base.parent.mkdir(exist_ok=True)
        args = ["-n2", f"--start-method={method}", *([f"--basetemp={base}"] if given else [])]
        bases = set()
        for _ in range(2):
            result = shared_project.rpytest(*args, cwd=folder)
            assert result.counts["passed"] == 8
            assert len(told(result, "path")) == 8
            (one,) = told(result, "base")
            bases.add(one)
        assert bases == {str(base)} if given else len(bases) == 2

    @pytest.mark.parametrize(
        "args", [(), ("-p", "xdist"), ("-p", "xdist.plugin"), ("-p", "no:xdist")], ids=" ".join
    )
    @pytest.mark.parametrize("place", ["command line", "addopts"])
    def test_an_installed_xdist_stays_out(
        self, shared_project: Project, folder: Path, args: tuple[str, ...], place: str
    ) -> None:
        pytest.importorskip("xdist")
        test = """
        import sys

        def test_1(request):
            assert "xdist.dsession" not in sys.modules
            assert request.config.workerinput["workercount"] == 2

        def test_2(): pass
        """
        shared_project.fill(
            folder,
            {
                "test_a.py": test,
                "pytest.ini": f"[pytest]\naddopts = {' '.join(args)}\n"
                if place == "addopts"
                else "[pytest]\n",
            },
        )
        result = shared_project.rpytest(
            "-n2", *(args if place == "command line" else ()), cwd=folder
        )
        assert result.counts == {"passed": 2}

    @pytest.mark.parametrize("option", ["-f", "--looponfail", "--rsyncdir=x"])
    def test_options_of_xdist_that_are_out(
        self, shared_project: Project, folder: Path, option: str
    ) -> None:
        shared_project.fill(folder, {"test_a.py": "def test_1(): pass"})
        result = shared_project.rpytest("-n2", option, junit=False, cwd=folder)
        assert result.status == 4
        assert option.partition("=")[0] in result.stderr
        assert "hint: " in result.stderr

    @pytest.mark.parametrize(
        "option", ["--maxprocesses=x", "--max-worker-restart=x", "--maxprocesses=-1"]
    )
    def test_bad_numbers(self, shared_project: Project, folder: Path, option: str) -> None:
        shared_project.fill(folder, {"test_a.py": "def test_1(): pass"})
        result = shared_project.rpytest("-n2", option, junit=False, cwd=folder)
        assert result.status == 4
        assert option.partition("=")[0] in result.stderr
        assert "hint: " in result.stderr


class TestBareFallback:
    @pytest.mark.parametrize(
        ("conftest", "reason"),
        [
            (
                "import os\nNAME = os.environ.get('PYTEST_XDIST_WORKER')",
                "$PYTEST_XDIST_WORKER is read by",
            ),
            (
                (
                    "import os\nNAME = os.environ['PYTEST_XDIST_WORKER'] if "
                    "'PYTEST_XDIST_WORKER' in os.environ else None"
                ),
                "$PYTEST_XDIST_WORKER is read by",
            ),
            (
                (
                    "def pytest_configure(config):\n    config.name = hasattr(config, "
                    "'workerinput') and config.workerinput['workerid']"
                ),
                "`config.workerinput['workerid']` is read by",
            ),
            (
                "import os\nCOUNT = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 0))",
                "$PYTEST_XDIST_WORKER_COUNT is read by",
            ),
            (
                (
                    "import threading\nthreading.Thread(target=threading.Event().wait, "
                    "daemon=True, name='busy').start()"
                ),
                "a thread is alive before collection (busy)",
            ),
            (
                (
                    "import subprocess\n"
                    "def pytest_sessionstart(session): session.mine = "
                    "subprocess.Popen(['sleep', '600'])\n"
                    "def pytest_sessionfinish(session):\n    session.mine.kill()\n"
                    "    session.mine.wait()"
                ),
                "`pytest_sessionstart` of conftest",
            ),
            ("import signal\nsignal.alarm(3000)", "an interval timer runs after collection"),
        ],
        ids=["variable", "variable in", "workerinput", "count", "thread", "process", "timer"],
    )
    def test_automatic(
        self, shared_project: Project, folder: Path, conftest: str, reason: str
    ) -> None:
        shared_project.fill(
            folder, {"meeting.py": MEETING, "conftest.py": conftest, "test_a.py": TELLING}
        )
        result = shared_project.rpytest("-n2", "-v", cwd=folder)
        assert result.counts["passed"] == 16
        assert "start method: bare (" in result.stdout
        assert reason in result.stdout
        if "is read by" in reason:
            assert f"{folder}/conftest.py:2" in result.stdout
        assert told(result, "worker") == {"gw0", "gw1"}

    @pytest.mark.parametrize("here", [True, False], ids=["module", "fixture"])
    def test_a_lock_that_is_tied_to_its_process(
        self, shared_project: Project, folder: Path, here: bool
    ) -> None:
        # As filelock's do since its version 4.
        filelock = """
            import os

            class BaseFileLock:
                def __init__(self): self._creator_pid = os.getpid()
                def acquire(self): assert self._creator_pid == os.getpid(), "inherited across fork"

            class FileLock(BaseFileLock): pass
        """
        lock = "LOCK = filelock.FileLock()\n" if here else ""
        test = f"""
            import filelock, pytest
            {lock}
            @pytest.mark.parametrize("i", range(8))
            def test_1(i): {"LOCK" if here else "filelock.FileLock()"}.acquire()
        """
        shared_project.fill(folder, {"filelock.py": filelock, "test_a.py": test})
        for _ in range(2):
            result = shared_project.rpytest("-n2", "-v", cwd=folder)
            assert result.counts == {"passed": 8}
            assert (
                "start method: bare (a `filelock.FileLock`, made while the tests" in result.stdout
            ) is here

    def test_every_worker_sees_itself(self, shared_project: Project, folder: Path) -> None:
        seen = (
            "import os\nSEEN = [os.environ.get('PYTEST_XDIST_' + name) for name in ('WORKER', "
            "'WORKER_COUNT', 'TESTRUNUID')]\n"
        )
        test = (
            seen
            + """
import conftest, pytest

@pytest.mark.parametrize("i", range(8))
def test_1(i, worker_id, testrun_uid):
    from meeting import meet
    meet()
    assert SEEN == conftest.SEEN == [worker_id, "2", testrun_uid]
"""
        )
        shared_project.fill(folder, {"meeting.py": MEETING, "test_a.py": test, "conftest.py": seen})
        # An id that no other run has: it is where the workers meet.
        assert shared_project.rpytest(
            "-n2", f"--testrunuid=of-{folder.name}", cwd=folder
        ).counts == {"passed": 8}
        assert shared_project.rpytest("-n2", cwd=folder).counts == {"passed": 8}

    def test_pytest_itself_has_none(self, shared_project: Project, folder: Path) -> None:
        conftest = "import os\nNAME = os.environ.get('PYTEST_XDIST_WORKER')\n"
        shared_project.fill(
            folder,
            {
                "conftest.py": conftest,
                "test_a.py": "import conftest\ndef test_1(): assert conftest.NAME is None",
            },
        )
        assert shared_project.rpytest("-n0", cwd=folder).counts == {"passed": 1}

    def test_copying_the_environment_is_no_reading(
        self, shared_project: Project, folder: Path
    ) -> None:
        copies = (
            "import os\nCOPY = dict(os.environ), os.environ.copy(), {**os.environ, 'A': '1'}, "
            "[v for k, v in os.environ.items()]\n"
        )
        # While tests are collected, after others have set variables, too.
        conftest = copies + "def pytest_configure(): os.environ['SET_LATER'] = '1'\n"
        shared_project.fill(
            folder, {"meeting.py": MEETING, "conftest.py": conftest, "test_a.py": copies + TELLING}
        )
        result = shared_project.rpytest("-n2", "-v", cwd=folder)
        assert result.counts["passed"] == 16
        assert "start method" not in result.stdout

    @pytest.mark.parametrize(
        ("ids", "says"),
        [
            ("[NAME + str(i) for i in range(3)]", r"only gw0: test_a.py::test_1\[gw00\]"),
            ("range(3 if NAME == 'gw0' else 2)", r"collected 3 tests and worker 'gw1' collected 2"),
            ("range(3) if NAME == 'gw0' else (2, 1, 0)", r"the order differs first at number 0"),
        ],
        ids=["names", "number", "order"],
    )
    def test_unequal_lists(
        self, shared_project: Project, folder: Path, ids: str, says: str
    ) -> None:
        test = (
            "import os, pytest\nNAME = os.environ.get('PYTEST_XDIST_WORKER')\n"
            f"@pytest.mark.parametrize('i', {ids})\ndef test_1(i): pass\n"
        )
        shared_project.fill(folder, {"test_a.py": test})
        result = shared_project.rpytest("-n2", junit=False, cwd=folder)
        assert result.status == 2
        assert re.search(says, result.stderr), result
        assert "hint: ids must not depend on the process that collects" in result.stderr
        assert "passed" not in result.stdout

    def test_errors_of_another_worker(self, shared_project: Project, folder: Path) -> None:
        test = (
            "import os\nif os.environ['PYTEST_XDIST_WORKER'] == 'gw1': import nothing_such\n"
            "def test_1(): pass\ndef test_2(): pass\n"
        )
        shared_project.fill(folder, {"test_a.py": test})
        result = shared_project.rpytest("-n2", junit=False, cwd=folder)
        assert result.status == 2
        assert "No module named 'nothing_such'" in result.stderr
        assert "error: worker 'gw1' ended with status 2 before any test" in result.stderr

    def test_errors_are_said_once(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(
            folder, {"test_a.py": "import nothing_such", "test_b.py": "def test_b(): pass"}
        )
        result = shared_project.rpytest("-n3", "--start-method=bare", cwd=folder)
        assert result.status == 2
        assert result.stdout.count("No module named 'nothing_such'") == 1
        assert len(re.findall(r"=+ 1 error in ", result.stdout)) == 1
