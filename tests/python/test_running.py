"""How tests are run: numbers of workers, what a worker looks like, ends before the last test, pytest's cache."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

import processes
from harness import Project, Result
from running import Running

# Each test tells who ran it; long enough for every worker to get one.
TELLING = """
import os, time
import pytest

@pytest.mark.parametrize("i", range(16))
def test_1(i, record_property, worker_id):
    record_property("worker", worker_id)
    record_property("pid", os.getpid())
    record_property("count", os.environ.get("PYTEST_XDIST_WORKER_COUNT", "none"))
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One daemon for all; each test has a folder of its own."""
    project = Project(tmp_path_factory.mktemp("running"))
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


def told(result: Result, name: str) -> set[str]:
    """The values of a property of all tests."""
    assert result.cases is not None, result
    return {value for case in result.cases for key, value in case.properties if key == name}


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


class TestNumberOfWorkers:
    def workers(self, shared: Project, folder: Path, *args: str, env: Mapping[str, str | None] | None = None) -> int:
        """How many workers ran the tests of one file; all that were started did."""
        result = shared.rpytest(*args, cwd=folder, env=env)
        assert result.status == 0, result
        names, pids = told(result, "worker"), told(result, "pid")
        assert names == {f"gw{number}" for number in range(len(names))}
        assert len(pids) == len(names)
        assert told(result, "count") == {str(len(names))}
        plural = "s" if len(names) > 1 else ""
        assert f"{len(names)} worker{plural} [16 tests]" in result.stdout
        return len(names)

    @pytest.fixture
    def telling(self, shared: Project, folder: Path) -> Path:
        fill(shared, folder, {"test_a.py": TELLING})
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
    def test_options(self, shared: Project, telling: Path, args: tuple[str, ...], count: int) -> None:
        assert self.workers(shared, telling, *args) == count

    @pytest.mark.parametrize("n", ["auto", "logical"])
    @pytest.mark.skipif(not shutil.which("taskset"), reason="needs `taskset`")
    def test_auto_is_the_processors_that_may_be_used(self, shared: Project, telling: Path, n: str) -> None:
        cpu = min(os.sched_getaffinity(0))
        junit = shared.scratch / f"affinity-{n}.xml"
        running = shared.spawn(
            "-c", f"exec taskset -c {cpu} rpytest -n {n} --junitxml={junit}", program="/bin/sh", cwd=telling
        )
        assert running.wait() == 0
        assert "1 worker [16 tests]" in running.stdout
        assert 1 <= self.workers(shared, telling, "-n", n) <= (os.cpu_count() or 1)

    @pytest.mark.parametrize("n", ["auto", "logical"])
    def test_auto_as_the_variable_says(self, shared: Project, telling: Path, n: str) -> None:
        assert self.workers(shared, telling, "-n", n, env={"PYTEST_XDIST_AUTO_NUM_WORKERS": "3"}) == 3

    def test_bad_variable_is_a_warning(self, shared: Project, telling: Path) -> None:
        env = {"PYTEST_XDIST_AUTO_NUM_WORKERS": "many"}
        assert self.workers(shared, telling, "-n", "auto", "--maxprocesses=1", env=env) == 1

    @pytest.mark.parametrize(("value", "count"), [('"3"', 3), ("2", 2), ('"auto"', 0)])
    def test_default_workers(self, shared: Project, telling: Path, value: str, count: int) -> None:
        fill(shared, telling, {"pyproject.toml": f"[tool.rpytest]\ndefault_workers = {value}\n"})
        env = {"PYTEST_XDIST_AUTO_NUM_WORKERS": "4"}
        assert self.workers(shared, telling, env=env) == (count or 4)
        assert self.workers(shared, telling, "-n1", env=env) == 1

    def test_addopts(self, shared: Project, telling: Path) -> None:
        fill(
            shared,
            telling,
            {"pytest.ini": "[pytest]\naddopts = -n 2\n", "pyproject.toml": "[tool.rpytest]\ndefault_workers = 4\n"},
        )
        assert self.workers(shared, telling) == 2
        assert self.workers(shared, telling, env={"PYTEST_ADDOPTS": "-n 3"}) == 3
        assert self.workers(shared, telling, "-n1", env={"PYTEST_ADDOPTS": "-n 3"}) == 1

    @pytest.mark.parametrize("args", [("-n0",), ("-n", "2", "-n", "0")], ids=" ".join)
    def test_none(self, shared: Project, telling: Path, args: tuple[str, ...]) -> None:
        """pytest itself, in one process."""
        result = shared.rpytest(*args, cwd=telling)
        assert result.status == 0
        assert told(result, "worker") == {"master"}
        assert told(result, "count") == {"none"}
        assert "test_a.py ......" in result.stdout

    def test_never_more_than_tests(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {"test_a.py": TELLING.replace("16", "2")})
        result = shared.rpytest("-n4", cwd=folder)
        assert "2 workers [2 tests]" in result.stdout
        assert told(result, "count") == {"2"}
        assert shared.rpytest("-n4", "-k", "1-0 or [0]", cwd=folder).stdout.count("1 worker [1 test]") == 1

    def test_bare(self, shared: Project, telling: Path) -> None:
        assert self.workers(shared, telling, "-n3", "--start-method=bare") == 3


def test_a_modules_fixtures_are_set_up_once_where_balance_allows(shared: Project, folder: Path) -> None:
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
    fill(shared, folder, {f"test_{name}.py": module for name in names})
    assert shared.rpytest("-n2", cwd=folder).counts == {"passed": 48}
    made = Counter(lines(folder / "made"))
    assert set(made) == {f"test_{name}" for name in names}
    # A worker that is idle at the end may take tests of a module that another one has begun.
    assert sum(made.values()) <= len(names) + 2


# -- what a worker looks like


class TestWorker:
    def test_identity(self, shared: Project, folder: Path) -> None:
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
        fill(shared, folder, {"test_a.py": test})
        uids = []
        for args in ((), (), ("--start-method=bare",)):
            result = shared.rpytest("-n2", *args, cwd=folder)
            assert result.counts["passed"] == 4
            (uid,) = told(result, "uid")
            uids.append(uid)
        assert len(set(uids)) == 3
        assert told(shared.rpytest("-n2", "--testrunuid=mine", cwd=folder), "uid") == {"mine"}

    @pytest.mark.parametrize("method", ["collected", "bare"])
    @pytest.mark.parametrize("given", [False, True], ids=["default", "--basetemp"])
    def test_temporary_directories(self, shared: Project, folder: Path, method: str, given: bool) -> None:
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
        fill(shared, folder, {"test_a.py": test})
        base = shared.scratch / "base" / folder.name
        base.parent.mkdir(exist_ok=True)
        args = ["-n2", f"--start-method={method}", *([f"--basetemp={base}"] if given else [])]
        bases = set()
        for _ in range(2):
            result = shared.rpytest(*args, cwd=folder)
            assert result.counts["passed"] == 8
            assert len(told(result, "path")) == 8
            (one,) = told(result, "base")
            bases.add(one)
        assert bases == {str(base)} if given else len(bases) == 2

    @pytest.mark.parametrize("args", [(), ("-p", "xdist"), ("-p", "xdist.plugin"), ("-p", "no:xdist")], ids=" ".join)
    @pytest.mark.parametrize("place", ["command line", "addopts"])
    def test_an_installed_xdist_stays_out(
        self, shared: Project, folder: Path, args: tuple[str, ...], place: str
    ) -> None:
        pytest.importorskip("xdist")
        test = """
        import sys

        def test_1(request):
            assert "xdist.dsession" not in sys.modules
            assert request.config.workerinput["workercount"] == 2

        def test_2(): pass
        """
        fill(
            shared,
            folder,
            {
                "test_a.py": test,
                "pytest.ini": f"[pytest]\naddopts = {' '.join(args)}\n" if place == "addopts" else "[pytest]\n",
            },
        )
        result = shared.rpytest("-n2", *(args if place == "command line" else ()), cwd=folder)
        assert result.counts == {"passed": 2}

    @pytest.mark.parametrize("option", ["-f", "--looponfail", "--rsyncdir=x"])
    def test_options_of_xdist_that_are_out(self, shared: Project, folder: Path, option: str) -> None:
        fill(shared, folder, {"test_a.py": "def test_1(): pass"})
        result = shared.rpytest("-n2", option, junit=False, cwd=folder)
        assert result.status == 4
        assert option.partition("=")[0] in result.stderr
        assert "hint: " in result.stderr

    @pytest.mark.parametrize("option", ["--maxprocesses=x", "--max-worker-restart=x", "--maxprocesses=-1"])
    def test_bad_numbers(self, shared: Project, folder: Path, option: str) -> None:
        fill(shared, folder, {"test_a.py": "def test_1(): pass"})
        result = shared.rpytest("-n2", option, junit=False, cwd=folder)
        assert result.status == 4
        assert option.partition("=")[0] in result.stderr
        assert "hint: " in result.stderr


class TestBareFallback:
    @pytest.mark.parametrize(
        ("conftest", "reason"),
        [
            ("import os\nNAME = os.environ.get('PYTEST_XDIST_WORKER')", "$PYTEST_XDIST_WORKER is read by"),
            (
                "import os\nNAME = os.environ['PYTEST_XDIST_WORKER'] if 'PYTEST_XDIST_WORKER' in os.environ else None",
                "$PYTEST_XDIST_WORKER is read by",
            ),
            (
                "def pytest_configure(config):\n    config.name = config.workerinput['workerid']",
                "`config.workerinput['workerid']` is read by",
            ),
            (
                "import os\nCOUNT = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 0))",
                "$PYTEST_XDIST_WORKER_COUNT is read by",
            ),
            (
                "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True, name='busy').start()",
                "a thread is alive after collection (busy)",
            ),
        ],
        ids=["variable", "variable in", "workerinput", "count", "thread"],
    )
    def test_automatic(self, shared: Project, folder: Path, conftest: str, reason: str) -> None:
        fill(shared, folder, {"conftest.py": conftest, "test_a.py": TELLING})
        result = shared.rpytest("-n2", "-v", cwd=folder)
        assert result.counts["passed"] == 16
        assert "start method: bare (" in result.stdout
        assert reason in result.stdout
        if "is read by" in reason:
            assert f"{folder}/conftest.py:2" in result.stdout
        assert told(result, "worker") == {"gw0", "gw1"}

    def test_every_worker_sees_itself(self, shared: Project, folder: Path) -> None:
        names = ("WORKER", "WORKER_COUNT", "TESTRUNUID")
        seen = "import os\nSEEN = [os.environ.get('PYTEST_XDIST_' + name) for name in %r]\n" % (names,)
        test = (
            seen
            + """
import conftest, pytest, time

@pytest.mark.parametrize("i", range(8))
def test_1(i, worker_id, testrun_uid):
    time.sleep(0.02)
    assert SEEN == conftest.SEEN == [worker_id, "2", testrun_uid]
"""
        )
        fill(shared, folder, {"test_a.py": test, "conftest.py": seen})
        assert shared.rpytest("-n2", "--testrunuid=mine", cwd=folder).counts == {"passed": 8}
        assert shared.rpytest("-n2", cwd=folder).counts == {"passed": 8}

    def test_pytest_itself_has_none(self, shared: Project, folder: Path) -> None:
        conftest = "import os\nNAME = os.environ.get('PYTEST_XDIST_WORKER')\n"
        fill(
            shared,
            folder,
            {"conftest.py": conftest, "test_a.py": "import conftest\ndef test_1(): assert conftest.NAME is None"},
        )
        assert shared.rpytest("-n0", cwd=folder).counts == {"passed": 1}

    def test_copying_the_environment_is_no_reading(self, shared: Project, folder: Path) -> None:
        conftest = "import os\nCOPY = dict(os.environ), os.environ.copy(), list(os.environ.items())\n"
        fill(shared, folder, {"conftest.py": conftest, "test_a.py": TELLING})
        result = shared.rpytest("-n2", "-v", cwd=folder)
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
    def test_unequal_lists(self, shared: Project, folder: Path, ids: str, says: str) -> None:
        test = f"import os, pytest\nNAME = os.environ.get('PYTEST_XDIST_WORKER')\n@pytest.mark.parametrize('i', {ids})\ndef test_1(i): pass\n"
        fill(shared, folder, {"test_a.py": test})
        result = shared.rpytest("-n2", junit=False, cwd=folder)
        assert result.status == 2
        assert re.search(says, result.stderr), result
        assert "hint: ids must not depend on the process that collects" in result.stderr
        assert "passed" not in result.stdout

    def test_errors_of_another_worker(self, shared: Project, folder: Path) -> None:
        test = "import os\nif os.environ['PYTEST_XDIST_WORKER'] == 'gw1': import nothing_such\ndef test_1(): pass\ndef test_2(): pass\n"
        fill(shared, folder, {"test_a.py": test})
        result = shared.rpytest("-n2", junit=False, cwd=folder)
        assert result.status == 2
        assert "No module named 'nothing_such'" in result.stderr
        assert "error: worker 'gw1' ended with status 2 before any test" in result.stderr

    def test_errors_are_said_once(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {"test_a.py": "import nothing_such", "test_b.py": "def test_b(): pass"})
        result = shared.rpytest("-n3", "--start-method=bare", cwd=folder)
        assert result.status == 2
        assert result.stdout.count("No module named 'nothing_such'") == 1
        assert len(re.findall(r"=+ 1 error in ", result.stdout)) == 1


# -- ends before the last test


class TestStopsAtFailures:
    @pytest.mark.parametrize("args", [("-x",), ("--maxfail=2",), ("--maxfail=3",)], ids=" ".join)
    def test_one_worker_is_as_exact_as_pytest(self, shared: Project, folder: Path, args: tuple[str, ...]) -> None:
        test = "import pytest\n@pytest.mark.parametrize('i', range(8))\ndef test_1(i): assert i not in (2, 4)\n"
        fill(shared, folder, {"test_a.py": test})
        assert shared.compare(*args, n=1, cwd=folder).status == 1

    def test_errors_of_fixtures_count(self, shared: Project, folder: Path) -> None:
        test = "import pytest\n@pytest.fixture\ndef bad():\n    yield\n    assert 0\n@pytest.mark.parametrize('i', range(8))\ndef test_1(i, bad): assert i\n"
        fill(shared, folder, {"test_a.py": test})
        shared.compare("--maxfail=3", n=1, cwd=folder)

    @pytest.mark.parametrize(("option", "limit"), [("-x", 1), ("--maxfail=3", 3)])
    def test_several_workers(self, shared: Project, folder: Path, option: str, limit: int) -> None:
        """No test begins once enough have failed; those in flight finish and are reported."""
        test = """
        import time
        import pytest

        @pytest.mark.parametrize("i", range(200))
        def test_1(i):
            with open("begun", "a") as file:
                file.write(f"{i}\\n")
            time.sleep(0.01)
            assert i % 2
        """
        fill(shared, folder, {"test_a.py": test})
        result = shared.rpytest("-n2", option, cwd=folder)
        assert result.status == 1
        assert f"stopping after {limit} failures" in result.stdout
        counts = result.counts
        assert limit <= counts["failed"] <= limit + 1
        ran = counts["failed"] + counts.get("passed", 0)
        assert ran == len(result.outcomes) == len(lines(folder / "begun"))
        assert f"{200 - ran} of 200 tests did not run" in result.stdout

    @pytest.mark.parametrize("end", ["raise KeyboardInterrupt", "pytest.exit('enough')"])
    def test_interrupted_in_teardown(self, shared: Project, folder: Path, end: str) -> None:
        """The test has passed."""
        test = f"import pytest\n@pytest.fixture\ndef bad():\n    yield\n    {end}\ndef test_1(bad): pass\ndef test_2(): pass\n"
        fill(shared, folder, {"test_a.py": test})
        result = shared.compare(n=1, cwd=folder)
        assert result.status == 2
        assert result.counts == {"passed": 1}

    def test_session_fixtures_are_torn_down(self, shared: Project, folder: Path) -> None:
        fill(
            shared,
            folder,
            {
                "conftest.py": FINALIZER,
                "test_a.py": "import pytest\n@pytest.mark.parametrize('i', range(9))\ndef test_1(i): assert 0\n",
            },
        )
        assert shared.rpytest("-n2", "-x", cwd=folder).status == 1
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
        time.sleep(300)

    def test_last(): pass
    """

    def start(self, shared: Project, folder: Path, *args: str, test: str = TEST) -> Running:
        fill(shared, folder, {"conftest.py": FINALIZER, "test_a.py": test})
        running = shared.spawn("-n2", "--junitxml=j.xml", *args, cwd=folder)
        assert processes.wait_until(lambda: len(list(folder.glob("begun-*"))) == 2, seconds=60)
        return running

    @pytest.mark.parametrize("args", [(), ("--start-method=bare",), ("--no-daemon",)], ids=" ".join)
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_one_interrupts(self, shared: Project, folder: Path, number: signal.Signals, args: tuple[str, ...]) -> None:
        """The report of what has run, fixtures torn down, exit status 2."""
        running = self.start(shared, folder, *args)
        running.send_signal(number)
        assert running.wait() == 2, running
        assert "KeyboardInterrupt" in running.stdout or "SIGTERM" in running.stdout
        assert re.search(r"= \d passed in ", running.stdout), running.stdout
        assert re.search(r"[345] of 6 tests did not run", running.stdout), running.stdout
        assert "crashed" not in running.stdout
        assert running.stderr == ""
        assert_torn_down(folder)
        assert "test_long" not in running.stdout.replace("test_a.py::test_long", "") or "FAILED" not in running.stdout
        assert (folder / "j.xml").exists()

    def test_ctrl_c_in_a_terminal_reaches_the_group(self, shared: Project, folder: Path) -> None:
        running = self.start(shared, folder)
        running.send_group_signal(signal.SIGINT)
        assert running.wait() == 2
        assert_torn_down(folder)

    def test_the_second_kills(self, shared: Project, folder: Path) -> None:
        test = """
        import pathlib, time
        import pytest

        @pytest.mark.parametrize("i", range(2))
        def test_deaf(i):
            pathlib.Path(f"begun-{i}").touch()
            while True:
                try:
                    time.sleep(300)
                except KeyboardInterrupt:
                    pathlib.Path(f"heard-{i}").touch()
        """
        running = self.start(shared, folder, test=test)
        running.send_signal(signal.SIGINT)
        assert processes.wait_until(lambda: len(list(folder.glob("heard-*"))) == 2, seconds=60)
        assert running.is_running()
        running.send_signal(signal.SIGINT)
        assert running.wait() == 2
        assert "2 of 2 tests did not run" in running.stdout

    @pytest.mark.parametrize("n", ["-n2", "-n0"])
    def test_during_collection(self, shared: Project, folder: Path, n: str) -> None:
        conftest = "import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(300)\n"
        fill(shared, folder, {"test_b.py": conftest, "test_a.py": "def test_1(): pass"})
        running = shared.spawn(n, cwd=folder)
        assert processes.wait_until((folder / "begun").exists, seconds=60)
        running.send_signal(signal.SIGINT)
        assert running.wait() == 2
        assert "KeyboardInterrupt" in running.stdout
        assert "test_b.py:3" in running.stdout

    def test_while_conftest_is_imported(self, shared: Project, folder: Path) -> None:
        conftest = "import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(300)\n"
        fill(shared, folder, {"conftest.py": conftest, "test_a.py": "def test_1(): pass"})
        running = shared.spawn("-n2", cwd=folder)
        assert processes.wait_until((folder / "begun").exists, seconds=60)
        running.send_signal(signal.SIGINT)
        assert running.wait() == 2
        assert "Traceback" not in running.stderr

    def test_in_a_finalizer(self, shared: Project, folder: Path) -> None:
        """All tests have been called by then, and are reported."""
        conftest = FINALIZER.replace(
            "    yield\n",
            "    yield\n    open(f'begun-{os.getpid()}', 'w').close()\n    import time; time.sleep(300)\n",
        )
        fill(
            shared,
            folder,
            {
                "conftest.py": conftest,
                "test_a.py": "import time\ndef test_1(): time.sleep(0.3)\ndef test_2(): time.sleep(0.3)",
            },
        )
        running = shared.spawn("-n2", cwd=folder)
        assert processes.wait_until(lambda: len(list(folder.glob("begun-*"))) == 2, seconds=60)
        running.send_signal(signal.SIGINT)
        assert running.wait() == 2
        assert "2 passed" in running.stdout
        assert "did not run" not in running.stdout


# -- pytest's cache


class TestCache:
    def both(self, shared: Project, folder: Path, *args: str) -> Result:
        """Run pytest and rpytest, each with a cache of its own, and compare what they select."""
        expected = shared.pytest(*args, "-o", "cache_dir=cache-pytest", cwd=folder)
        actual = shared.rpytest("-n2", *args, "-o", "cache_dir=cache-rpytest", cwd=folder)
        assert actual.status == expected.status, f"{actual}\n{expected}"
        assert actual.outcomes == expected.outcomes, f"{actual}\n{expected}"
        return actual

    FILES: ClassVar = {
        "test_a.py": "import os, pytest\n@pytest.mark.parametrize('i', range(4))\ndef test_1(i): assert i != 2 or os.path.exists('fixed')\n",
        "test_b.py": "import os\ndef test_b(): pass\ndef test_c(): assert os.path.exists('fixed')\n",
    }

    def test_last_failed(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, self.FILES)
        assert self.both(shared, folder).counts == {"failed": 2, "passed": 4}
        assert set(self.both(shared, folder, "--lf").outcomes) == {"test_a::test_1[2]", "test_b::test_c"}
        assert (folder / "cache-rpytest/v/cache/lastfailed").read_text() == (
            folder / "cache-pytest/v/cache/lastfailed"
        ).read_text()
        self.both(shared, folder, "--ff")
        (folder / "fixed").touch()
        assert self.both(shared, folder, "--lf").counts["passed"] == 2
        # Nothing has failed: all are run.
        assert self.both(shared, folder, "--lf").counts == {"passed": 6}
        assert self.both(shared, folder, "--lf", "--lfnf=none").status == 5

    def test_a_passing_run_clears_it(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, self.FILES)
        for _ in range(2):
            self.both(shared, folder)
        (folder / "fixed").touch()
        for _ in range(2):
            assert self.both(shared, folder).counts == {"passed": 6}
        for name in ("pytest", "rpytest"):
            assert (
                not (folder / f"cache-{name}/v/cache/lastfailed").exists()
                or (folder / f"cache-{name}/v/cache/lastfailed").read_text() == "{}"
            )

    def test_collection_errors_are_failures(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {**self.FILES, "test_d.py": "import nothing_such"})
        self.both(shared, folder)
        self.both(shared, folder, "--lf")

    def test_new_first(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, self.FILES)
        self.both(shared, folder)
        fill(shared, folder, {"test_e.py": "def test_e(): pass"})
        assert self.both(shared, folder, "--nf").counts == {"failed": 2, "passed": 5}
        ids = [(folder / f"cache-{name}/v/cache/nodeids").read_text() for name in ("pytest", "rpytest")]
        assert ids[0] == ids[1]

    def test_stepwise(self, shared: Project, folder: Path) -> None:
        """One worker, or the first failure would not be pytest's."""
        fill(shared, folder, self.FILES)

        def both(*args: str) -> Result:
            expected = shared.pytest(*args, "-o", "cache_dir=cache-pytest", cwd=folder)
            actual = shared.rpytest("-n1", *args, "-o", "cache_dir=cache-rpytest", cwd=folder)
            assert (actual.status, actual.outcomes) == (expected.status, expected.outcomes), f"{actual}\n{expected}"
            return actual

        assert both("--sw").counts == {"failed": 1, "passed": 2}
        assert both("--sw").counts == {"failed": 1, "deselected": 2}
        assert both("--sw", "--sw-skip").counts == {"failed": 2, "passed": 2, "deselected": 2}
        (folder / "fixed").touch()
        assert both("--sw").status == 0
        assert both("--sw").counts == {"passed": 6}

    def test_cache_show_and_clear(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, self.FILES)
        self.both(shared, folder)
        assert (
            "test_b.py::test_c"
            in shared.rpytest("--cache-show", "-o", "cache_dir=cache-rpytest", junit=False, cwd=folder).stdout
        )
        assert self.both(shared, folder, "--cache-clear", "--lf").counts == {"failed": 2, "passed": 4}
