"""Hooks that act outside of workers: run once, with every report, as in pytest's own process or
pytest-xdist's controller.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from support import processes
from support.harness import Project, Result

METHODS = pytest.mark.parametrize("method", ["collected", "bare"])

#: Hooks that note a line of JSON in `told`, with who they are.
TELLING = """
import json, os, pytest

def tell(config, hook, **values):
    who = config.workerinput["workerid"] if hasattr(config, "workerinput") else "controller"
    with open(os.path.join(os.path.dirname(__file__), "told"), "a") as file:
        file.write(json.dumps({"who": who, "hook": hook, **values}) + "\\n")
"""

TESTS = """
import pytest

@pytest.mark.parametrize("i", range(6))
def test_1(i): print("out", i)

def test_bad(): assert 0, "bad"

@pytest.mark.skip(reason="not now")
def test_skipped(): pass
"""


def told(folder: Path, hook: str | None = None) -> list[dict[str, Any]]:
    """What the hooks have noted, and forget it."""
    file = folder / "told"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    file.unlink(missing_ok=True)
    return [line for line in lines if hook is None or line["hook"] == hook]


def run(project: Project, folder: Path, *args: str, n: int = 2, junit: bool = True) -> Result:
    """Run rpytest in the folder."""
    return project.rpytest(f"-n{n}", *args, cwd=folder, junit=junit)


class TestNodes:
    CONFTEST = (
        TELLING
        + """
def pytest_xdist_setupnodes(config, specs): tell(config, "setupnodes", specs=[spec.id for spec in specs])
def pytest_xdist_newgateway(gateway): assert gateway.spec.popen
def pytest_configure_node(node):
    node.workerinput["gift"] = {"bytes": b"\\0\\xff", "nested": [{"a": (1, None)}], "for": node.gateway.id}
def pytest_testnodeready(node): tell(node.config, "ready", id=node.gateway.id, version=node.workerinfo["version"])
def pytest_xdist_node_collection_finished(node, ids): tell(node.config, "collected", id=node.gateway.id, ids=ids)
def pytest_testnodedown(node, error): tell(node.config, "down", id=node.gateway.id, error=error, output=repr(getattr(node, "workeroutput", None)))

def pytest_sessionfinish(session, exitstatus):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["mine"] = {"from": session.config.workerinput["workerid"], "bytes": b"\\xff"}

@pytest.fixture(scope="session")
def gift(request): return request.config.workerinput["gift"]
"""  # noqa: E501
    )
    TESTS = """
import pytest
@pytest.mark.parametrize("i", range(8))
def test_1(i, gift, worker_id, testrun_uid, request):
    assert gift == {"bytes": b"\\0\\xff", "nested": [{"a": (1, None)}], "for": worker_id}
    assert request.config.workerinput["testrunuid"] == testrun_uid
"""

    @METHODS
    def test_exchange(self, shared_project: Project, folder: Path, method: str) -> None:
        shared_project.fill(folder, {"conftest.py": self.CONFTEST, "test_a.py": self.TESTS})
        for _ in range(2):
            result = run(shared_project, folder, f"--start-method={method}")
            assert (result.status, result.counts) == (0, {"passed": 8}), result
            lines = told(folder)
            assert {line["who"] for line in lines} == {"controller"}
            by_hook = {
                name: [line for line in lines if line["hook"] == name]
                for name in ("ready", "collected", "down")
            }
            assert next(line for line in lines if line["hook"] == "setupnodes")["specs"] == [
                "gw0",
                "gw1",
            ]
            for name in by_hook:
                assert sorted(line["id"] for line in by_hook[name]) == ["gw0", "gw1"], (name, lines)
            assert by_hook["collected"][0]["ids"] == [f"test_a.py::test_1[{i}]" for i in range(8)]
            for line in by_hook["down"]:
                assert line["error"] is None
                assert line["output"] == repr({"mine": {"from": line["id"], "bytes": b"\xff"}})

    def test_what_differs_between_workers_is_not_collected_once(
        self, shared_project: Project, folder: Path
    ) -> None:
        conftest = (
            self.CONFTEST
            + "\ndef pytest_collection_modifyitems(config, items): config.workerinput['gift']\n"
        )
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": self.TESTS})
        result = run(shared_project, folder, "-v")
        assert result.status == 0, result
        assert (
            "start method: bare (`config.workerinput['gift']` was read and is another value in gw1)"
            in result.stdout
        )

    def test_what_differs_between_runs_is_collected_again(
        self, shared_project: Project, folder: Path
    ) -> None:
        conftest = """
            import os
            def pytest_configure_node(node): node.workerinput["seed"] = open(os.path.join(os.path.dirname(__file__), "seed")).read()
            def pytest_configure(config):
                config.seed = config.workerinput["seed"] if hasattr(config, "workerinput") else "none"
            def pytest_collection_modifyitems(config, items): items.sort(key=lambda item: item.name, reverse=config.seed == "2")
        """  # noqa: E501
        test = "import pytest\n@pytest.mark.parametrize('i', range(3))\ndef test_1(i): pass\n"
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": test})
        for seed, order in (("1", "012"), ("1", "012"), ("2", "210"), ("2", "210"), ("1", "012")):
            (folder / "seed").write_text(seed)
            result = run(shared_project, folder, "--order=collected", n=1)
            assert [case.id[-2] for case in result.cases or ()] == list(order), (seed, result)

    def test_a_dead_worker(self, shared_project: Project, folder: Path) -> None:
        tests = (
            "import os\ndef test_1(): os._exit(3)\n"
            "def test_2(gift, worker_id): assert gift['for'] == worker_id\n"
        )
        shared_project.fill(folder, {"conftest.py": self.CONFTEST, "test_a.py": tests})
        result = run(shared_project, folder, n=1)
        assert result.outcomes == {"test_a::test_1": "failed", "test_a::test_2": "passed"}, result
        down = sorted(told(folder, "down"), key=lambda line: line["error"] is None)
        assert [line["error"] for line in down] == ["Not properly terminated", None]
        assert [line["output"] == "None" for line in down] == [True, False]

    def test_number_of_workers(self, shared_project: Project, folder: Path) -> None:
        conftest = "def pytest_xdist_auto_num_workers(config): return 3\n"
        test = (
            "import pytest\n@pytest.mark.parametrize('i', range(3))\n"
            "def test_1(i, request): assert request.config.workerinput['workercount'] == 3\n"
        )
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": test})
        assert shared_project.rpytest("-nauto", cwd=folder).counts == {"passed": 3}


class TestReports:
    CONFTEST = (
        TELLING
        + """
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.mine = {"phase": call.when, "bytes": b"\\xff", "set": {1}}
    return report

CONFIG = None
def pytest_configure(config):
    global CONFIG
    CONFIG = config
def pytest_runtest_logstart(nodeid, location): tell(CONFIG, "start", id=nodeid, location=location)
def pytest_runtest_logfinish(nodeid, location): tell(CONFIG, "finish", id=nodeid, location=location)
def pytest_runtest_logreport(report):
    if not hasattr(CONFIG, "workerinput"):
        assert report.mine == {"phase": report.when, "bytes": b"\\xff", "set": {1}}
        assert report.node.gateway.id == report.worker_id
        tell(CONFIG, "report", id=report.nodeid, when=report.when, outcome=report.outcome, out=report.capstdout)
def pytest_terminal_summary(terminalreporter, exitstatus, config):
    terminalreporter.section("mine")
    stats = {name: len(reports) for name, reports in terminalreporter.stats.items() if name}
    terminalreporter.line(f"{stats} {int(exitstatus)} {[report.nodeid for report in terminalreporter.stats['passed']][:0]}")
    assert all(report.duration >= 0 and report.keywords for name in ("passed", "failed") for report in terminalreporter.stats[name])
def pytest_sessionfinish(session, exitstatus): tell(session.config, "sessionfinish", status=int(exitstatus), failed=session.testsfailed)
def pytest_unconfigure(config): tell(config, "unconfigure")
"""  # noqa: E501
    )

    @METHODS
    def test_complete(self, shared_project: Project, folder: Path, method: str) -> None:
        shared_project.fill(folder, {"conftest.py": self.CONFTEST, "test_a.py": TESTS})
        for _ in range(2):
            result = run(shared_project, folder, f"--start-method={method}", "-v")
            assert result.status == 1, result
            assert result.stdout.count("= mine =") == 1
            assert "{'skipped': 1, 'passed': 6, 'failed': 1} 1 []" in result.stdout or (
                "'passed': 6" in result.stdout
                and "'skipped': 1" in result.stdout
                and "'failed': 1" in result.stdout
            )
            lines = [line for line in told(folder) if line["who"] == "controller"]
            ids = {line["id"] for line in lines if line["hook"] == "start"}
            assert len(ids) == 8
            for nodeid in ids:
                story = [
                    (line["hook"], line.get("when")) for line in lines if line.get("id") == nodeid
                ]
                phases = (
                    ("setup", "teardown") if "skipped" in nodeid else ("setup", "call", "teardown")
                )
                assert story == [
                    ("start", None),
                    *(("report", when) for when in phases),
                    ("finish", None),
                ]
            outputs = [
                line["out"] for line in lines if line["hook"] == "report" and line["when"] == "call"
            ]
            assert sorted(filter(None, outputs)) == [f"out {i}\n" for i in range(6)]
            assert [line["status"] for line in lines if line["hook"] == "sessionfinish"] == [1]
            assert [line["failed"] for line in lines if line["hook"] == "sessionfinish"] == [1]
            assert len([line for line in lines if line["hook"] == "unconfigure"]) == 1

    def test_text_is_pytests(self, shared_project: Project, folder: Path) -> None:
        conftest = (
            "def pytest_sessionfinish(session): pass\n"
            "def pytest_terminal_summary(terminalreporter): terminalreporter.section('mine')\n"
        )
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": TESTS})
        expected = shared_project.pytest("-ra", cwd=folder, junit=False)
        for _ in range(2):
            actual = run(shared_project, folder, "-ra", junit=False)
            start = "=================================== FAILURES"
            assert _sections(actual, start) == _sections(expected, start)

    def test_not_paid_without_need(self, shared_project: Project, folder: Path) -> None:
        conftest = TELLING + "def pytest_configure(config): tell(config, 'configure')\n"
        # The name is not asked for, or the worker would have to be there first.
        conftest = conftest.replace(
            'config.workerinput["workerid"] if hasattr(config, "workerinput") else "controller"',
            '""',
        )
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": TESTS})
        run(shared_project, folder)
        assert len(told(folder)) == 1

    def test_whoever_asks_gets_both_answers(self, shared_project: Project, folder: Path) -> None:
        conftest = """
            import os
            def pytest_configure(config):
                if not hasattr(config, "workerinput"):
                    open(os.path.join(os.path.dirname(__file__), "made-once"), "a").write("x")
        """
        test = (
            "import os\ndef test_1(): assert open(os.path.join(os.path.dirname(__file__), "
            "'made-once')).read()\n"
        )
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": test})
        for number in (1, 2):
            assert run(shared_project, folder).counts == {"passed": 1}
            assert (folder / "made-once").read_text() == number * "x"

    def test_properties_of_the_suite(self, shared_project: Project, folder: Path) -> None:
        conftest = """
            from _pytest.junitxml import xml_key
            def pytest_sessionfinish(session):
                if not hasattr(session.config, "workerinput"):
                    session.config.stash[xml_key].add_global_property("mine", "yes")
        """
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": TESTS})
        file = folder / "junit.xml"
        run(shared_project, folder, f"--junitxml={file}", junit=False)
        assert '<property name="mine" value="yes" />' in file.read_text()
        assert file.read_text().count("<testcase") == 8

    def test_sections_are_in_the_order_of_collection(
        self, shared_project: Project, folder: Path
    ) -> None:
        conftest = "def pytest_runtest_logreport(report): pass\n"
        test = (
            "import pytest, time\n@pytest.mark.parametrize('i', range(6))\ndef test_1(i):\n"
            "    time.sleep((6 - i) / 50)\n    assert 0\n"
        )
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": test})
        result = run(shared_project, folder, n=4)
        failed = [line for line in result.lines if line.startswith("FAILED ")]
        assert failed == [f"FAILED test_a.py::test_1[{i}] - assert 0" for i in range(6)]

    def test_a_scheduler_is_refused(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(
            folder,
            {
                "conftest.py": "def pytest_xdist_make_scheduler(config, log): return object()\n",
                "test_a.py": TESTS,
            },
        )
        result = run(shared_project, folder)
        assert result.status == 4
        assert "`pytest_xdist_make_scheduler`" in result.stderr and "hint: " in result.stderr


class TestTerminal:
    def test_a_reporter_of_its_own(self, shared_project: Project, folder: Path) -> None:
        conftest = """
            import pytest
            from _pytest.terminal import TerminalReporter

            class Mine(TerminalReporter):
                def pytest_runtest_logreport(self, report):
                    super().pytest_runtest_logreport(report)
                    if report.when == "call": self.write_line(f"MINE {report.nodeid}")

            @pytest.hookimpl(trylast=True)
            def pytest_configure(config):
                old = config.pluginmanager.getplugin("terminalreporter")
                config.pluginmanager.unregister(old)
                config.pluginmanager.register(Mine(config), "terminalreporter")
        """
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": TESTS})
        for _ in range(2):
            result = run(shared_project, folder)
            assert result.status == 1, result
            assert sorted(line for line in result.lines if line.startswith("MINE")) == sorted(
                [f"MINE test_a.py::test_1[{i}]" for i in range(6)] + ["MINE test_a.py::test_bad"]
            )
            assert result.counts == {"passed": 6, "failed": 1, "skipped": 1}
            assert result.stdout.count("test session starts") == 1
            assert "test_a.py::test_1[0] PASSED" not in result.stdout


class TestEnds:
    """Whatever happens in the controller's hooks: a status that says so, and never a hang."""

    def both(
        self, project: Project, folder: Path, conftest: str, *args: str, tests: str = TESTS
    ) -> Result:
        """The exit status is pytest's, twice."""
        project.fill(folder, {"conftest.py": conftest, "test_a.py": tests})
        expected = project.pytest(*args, cwd=folder)
        for _ in range(2):
            actual = run(project, folder, *args)
            assert actual.status == expected.status, f"{actual}\n{expected}"
        return actual

    PASSING = "def test_1(): pass\ndef test_2(): pass\n"
    ONLY_CONTROLLER = (
        "import os, pytest\nCONFIG = None\ndef pytest_configure(config):\n    global CONFIG\n"
        "    CONFIG = config\n"
    )

    def test_status_of_a_hook(self, shared_project: Project, folder: Path) -> None:
        conftest = "def pytest_sessionfinish(session): session.exitstatus = 9\n"
        assert self.both(shared_project, folder, conftest, tests=self.PASSING).status == 9

    def test_failures_added_by_the_loop(self, shared_project: Project, folder: Path) -> None:
        conftest = """
            import pytest
            @pytest.hookimpl(wrapper=True)
            def pytest_runtestloop(session):
                result = yield
                if not hasattr(session.config, "workerinput"): session.testsfailed += 1
                return result
            def pytest_sessionfinish(): pass
        """
        assert self.both(shared_project, folder, conftest, tests=self.PASSING).status == 1

    @pytest.mark.parametrize(
        "hook", ["logreport(report)", "logstart(nodeid, location)", "logfinish(nodeid, location)"]
    )
    def test_exception_in_a_hook(self, shared_project: Project, folder: Path, hook: str) -> None:
        name = f"pytest_runtest_{hook}"
        conftest = (
            self.ONLY_CONTROLLER
            + f"def {name}:\n    if not hasattr(CONFIG, 'workerinput'): raise ValueError('mine')\n"
        )
        result = self.both(shared_project, folder, conftest, tests=self.PASSING)
        assert result.status == 3
        assert "ValueError: mine" in result.stdout + result.stderr

    def test_death_of_the_controller(self, shared_project: Project, folder: Path) -> None:
        conftest = self.ONLY_CONTROLLER + (
            "def pytest_runtest_logreport(report):\n"
            "    if not hasattr(CONFIG, 'workerinput'): os._exit(0)\n"
        )
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": self.PASSING})
        for _ in range(2):
            result = run(shared_project, folder)
            assert result.status == 3, result
            assert (
                "the process that runs the reporting hooks died; hint: "
                in result.stdout + result.stderr
            )

    @pytest.mark.parametrize(
        "code",
        [
            "raise pytest.UsageError('mine')",
            "pytest.exit('mine', returncode=7)",
            "raise ValueError('mine')",
        ],
    )
    @pytest.mark.parametrize("hook", ["configure(config)", "sessionstart(session)"])
    def test_it_does_not_come_up(
        self, shared_project: Project, folder: Path, hook: str, code: str
    ) -> None:
        config = "config" if "config" in hook else "session.config"
        conftest = (
            f"import pytest\ndef pytest_{hook}:\n    if not hasattr({config}, 'workerinput'): "
            f"{code}\n"
        )
        result = self.both(shared_project, folder, conftest, tests=self.PASSING)
        assert "mine" in result.stdout + result.stderr

    def test_collection_errors(self, shared_project: Project, folder: Path) -> None:
        conftest = (
            TELLING
            + """
def pytest_collectreport(report):
    if report.failed and not hasattr(CONFIG, "workerinput"): tell(CONFIG, "error", id=report.nodeid)
def pytest_configure(config):
    global CONFIG
    CONFIG = config
def pytest_sessionfinish(session, exitstatus): tell(session.config, "finish", status=int(exitstatus))
"""  # noqa: E501
        )
        result = self.both(shared_project, folder, conftest, tests="import nothing_such\n")
        assert result.status == 2
        assert result.stdout.count("1 error in") == 1
        lines = [line for line in told(folder) if line["who"] == "controller"]
        # Of pytest itself, and of two runs of ours.
        assert [line["hook"] for line in lines] == ["error", "finish"] * 3
        assert {line["status"] for line in lines if line["hook"] == "finish"} == {2}

    def test_collection_errors_and_tests(self, shared_project: Project, folder: Path) -> None:
        conftest = "def pytest_sessionfinish(session): pass\n"
        shared_project.fill(folder, {"test_b.py": "import nothing_such\n"})
        result = self.both(
            shared_project, folder, conftest, "--continue-on-collection-errors", tests=self.PASSING
        )
        assert result.counts == {"passed": 2, "errors": 1}

    def test_no_tests(self, shared_project: Project, folder: Path) -> None:
        conftest = "def pytest_sessionfinish(session): pass\n"
        assert self.both(shared_project, folder, conftest, "-knothing").status == 5

    def test_first_failure(self, shared_project: Project, folder: Path) -> None:
        conftest = TELLING + (
            "def pytest_sessionfinish(session): tell(session.config, 'finish', "
            "why=str(session.shouldfail))\n"
        )
        result = self.both(shared_project, folder, conftest, "-x", tests="def test_1(): assert 0\n")
        assert "stopping after 1 failures" in result.stdout
        assert {line["why"] for line in told(folder) if line["who"] == "controller"} == {
            "stopping after 1 failures"
        }

    def test_interrupt(self, project: Project) -> None:
        conftest = TELLING + (
            "def pytest_sessionfinish(session, exitstatus): tell(session.config, 'finish', "
            "status=int(exitstatus))\n"
        )
        test = (
            "import pathlib, time\ndef test_1():\n    pathlib.Path('running').touch()\n"
            "    [time.sleep(0.1) for _ in range(600)]\n"
        )
        project.write({"conftest.py": conftest, "test_a.py": test})
        running = project.spawn("-n1")
        assert processes.wait_until((project.path / "running").exists)
        running.send_signal(signal.SIGINT)
        assert running.wait() == 2
        assert "KeyboardInterrupt" in running.stdout
        assert [line["status"] for line in told(project.path) if line["who"] == "controller"] == [2]


class TestCrashItem:
    def test_another_run(self, shared_project: Project, folder: Path) -> None:
        conftest = (
            TELLING
            + """
def pytest_handlecrashitem(crashitem, report, sched):
    tell(report.node.config, "crash", id=crashitem, outcome=report.outcome)
    report.outcome = "rerun"
    sched.mark_test_pending(crashitem)
def pytest_report_teststatus(report):
    if report.outcome == "rerun": return "rerun", "R", "RERUN"
"""
        )
        test = """
            import os
            def test_1():
                if not os.path.exists("second"):
                    open("second", "w").close()
                    os._exit(1)
            def test_2(): pass
        """
        shared_project.fill(folder, {"conftest.py": conftest, "test_a.py": test})
        result = run(shared_project, folder)
        assert result.status == 0, result
        assert result.counts == {"passed": 2, "rerun": 1}
        assert [(line["id"], line["outcome"]) for line in told(folder)] == [
            ("test_a.py::test_1", "failed")
        ]


class TestImportXdist:
    """`import xdist` works whether pytest-xdist is installed or not (in CI it is in one of two
    environments).
    """

    CONFTEST = """
        import os
        import xdist, xdist.plugin
        from xdist import get_xdist_worker_id, is_xdist_controller, is_xdist_worker
        from xdist.newhooks import pytest_handlecrashitem

        def pytest_sessionfinish(session):
            with open(os.path.join(os.path.dirname(__file__), "told"), "a") as file:
                print(get_xdist_worker_id(session), is_xdist_worker(session), is_xdist_controller(session), file=file)
    """  # noqa: E501
    TEST = """
        import pytest, time, xdist
        @pytest.mark.parametrize("i", range(8))
        def test_1(i, worker_id, request):
            time.sleep(0.02)
            assert xdist.is_xdist_worker(request) and not xdist.is_xdist_master(request)
            assert xdist.get_xdist_worker_id(request) == worker_id
    """

    def test_everywhere(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {"conftest.py": self.CONFTEST, "test_a.py": self.TEST})
        for _ in range(2):
            assert run(shared_project, folder).counts == {"passed": 8}
            lines = sorted((folder / "told").read_text().splitlines())
            assert lines == ["gw0 True False", "gw1 True False", "master False True"]
            (folder / "told").unlink()


def _sections(result: Result, start: str) -> str:
    """Everything from `start` on, without durations."""
    import re

    text = "\n".join(result.lines)
    return re.sub(r"in \d+\.\d+s =+|=+(?= \d+ \w+)", "", text[text.index(start) :])


def test_passed_tests_in_the_summary_of_bare_workers(project: Project) -> None:
    """The controller, which is there in any case, then needs their reports although no hook wants
    them.
    """
    project.write(
        test_a=(
            "def test_1(): print('said')\ndef test_2(): pass\n"
            "def test_3(record_property): record_property('a', 1)"
        )
    )
    for options in (["-rA", "-v"], ["-rp"], ["-rP"], ["--durations=0", "-vv"]):
        expected = project.pytest(*options, junit=False)
        result = project.rpytest("-n2", "--start-method", "bare", *options, junit=False)
        assert (result.status, result.stderr) == (0, ""), result
        for text in ("PASSES", "said", "PASSED test_a.py::test_3", "s call     test_a.py::test_2"):
            assert expected.stdout.count(text) == result.stdout.count(text), f"{text}\n{result}"
