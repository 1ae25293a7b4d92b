"""``--timings``: the page's data is the run's, whatever its end, and nothing asked for is
ignored.
"""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from support import processes, rich, timings
from support.harness import Project, Result

FILE = "rpytest-timings.html"

SUITE = """
    import time
    import pytest

    @pytest.fixture(scope="module")
    def server():
        time.sleep(0.15)

    @pytest.fixture
    def client(server):
        time.sleep(0.03)
        yield
        time.sleep(0.02)

    @pytest.fixture
    def broken(request):
        request.getfixturevalue("client")
        raise ConnectionError("no server")

    @pytest.mark.parametrize("word", ["</script>", "a<!--b", "it's \\"quoted\\"", "<b>&amp;", "\\u2028", "ünï 😀"])
    def test_word(word):
        pass

    def test_client(client):
        time.sleep(0.05)

    def test_failed(client):
        assert 0

    def test_error(broken):
        pass

    @pytest.mark.skip(reason="not <today>")
    def test_skipped():
        pass

    @pytest.mark.xfail(reason="known")
    def test_xfailed():
        assert 0

    @pytest.mark.xfail
    def test_xpassed():
        pass

    class TestSome:
        def setup_method(self):
            time.sleep(0.01)

        def test_in_class(self, tmp_path):
            pass
"""  # noqa: E501


def _page(project: Project, file: str = FILE) -> timings.Page:
    return timings.read(project.path / file)


def _agrees(page: timings.Page, result: Result) -> None:
    """The page has the outcomes of the junit file."""

    def plain(name: str) -> str:
        # pytest 8 writes characters beyond the first 65,536 as numbers.
        return "".join(f"#x{ord(c):X}" if ord(c) > 0xFFFF else c for c in name)

    wanted = sorted(
        (plain(case.id.rpartition("::")[2]), case.outcome) for case in result.cases or ()
    )
    seen = []
    for test in page.tests:
        # A strict or unexpected pass is a passed test case; a test may have failed twice, in
        # teardown, too.
        outcome = {"xpassed": "passed"}.get(test.outcome, test.outcome)
        address, bracket, parameters = test.id.partition("[")
        seen.append((plain(address.rpartition("::")[2] + bracket + parameters), outcome))
    assert [(name, outcome.split("+")[-1]) for name, outcome in wanted] == sorted(seen)


@pytest.mark.parametrize("method", ["collected", "bare"])
def test_the_page_shows_the_run(project: Project, method: str) -> None:
    project.write(test_suite=SUITE)
    project.write(
        {
            "pytest.ini": "[pytest]\ndisable_test_id_escaping_and_forfeit_all_rights_to_community_support = true\n"  # noqa: E501
        }
    )
    result = project.rpytest("-n", "2", "--timings", "--start-method", method)
    assert result.status == 1
    assert result.lines[-1] == f"timings: {FILE}"
    page = _page(project)
    _agrees(page, result)
    run = page.data["run"]
    assert (run["workers"], run["status"], run["method"], run["notRun"]) == (2, 1, method, 0)
    assert dict(run["counts"]) == {
        "passed": 8,
        "failed": 1,
        "error": 1,
        "skipped": 1,
        "xfailed": 1,
        "xpassed": 1,
    }
    assert page.test("::test_skipped").reason == "not <today>"
    assert page.test("::test_xfailed").reason == "known"
    # In time: after the start, before the end, one after the other in each worker.
    for before, test in zip(page.tests, page.tests[1:], strict=False):
        assert 0 < run["ready"] <= test.start
        assert test.start + test.length <= run["last"] <= run["total"]
        # The clocks of start and duration differ by microseconds.
        assert before.worker != test.worker or before.start + before.length <= test.start + 1000
    for worker, lane in enumerate(page.data["lanes"]):
        own = [test for test in page.tests if test.worker == worker]
        assert lane["tests"] == len(own)
        assert lane["busy"] == sum(test.length for test in own)
        assert lane["last"] <= run["last"]
    # Fixtures: measured where they are set up, without each other.
    server, client, broken = (page.fixture(name) for name in ("server", "client", "broken"))
    assert (server["scope"], server["base"]) == ("module", "test_suite.py")
    assert server["count"] == server["workers"] <= 2
    assert (client["scope"], client["count"], client["failed"]) == ("function", 3, 0)
    assert (broken["count"], broken["failed"]) == (1, 1)
    assert server["longest"] >= 150_000
    assert client["total"] >= 90_000
    # Not twice: neither what a fixture asks for as an argument nor by `getfixturevalue` is its own
    # time.
    for test in page.tests:
        assert sum(length for _, length in test.setups) <= test.setup + 1000
    assert "client" in page.test("::test_error").fixtures
    assert not [fixture for fixture in page.data["fixtures"] if fixture["name"] == "word"]
    assert "client" in page.test("::test_client").fixtures
    assert any("setup_method" in name for name in page.test("::test_in_class").fixtures)
    test = page.test("::test_client")
    assert test.setup >= 30_000
    assert test.call >= 50_000
    assert test.teardown >= 20_000


def test_ids_come_out_as_they_are(project: Project) -> None:
    """Whatever is in an id: the page is not broken by it, and JavaScript's reading gives it
    back.
    """
    project.write(test_suite=SUITE)
    project.write(
        {
            "pytest.ini": "[pytest]\ndisable_test_id_escaping_and_forfeit_all_rights_to_community_support = true\n"  # noqa: E501
        }
    )
    listed = project.pytest("--collect-only", "-q", junit=False, env={"PYTHONUTF8": "1"})
    # Not by lines of Python: U+2028 is in an id.
    wanted = {line for line in listed.stdout.split("\n") if "::" in line}
    assert len(wanted) == 13
    project.rpytest("-n", "2", "--timings", junit=False)
    page = _page(project)
    assert {test.id for test in page.tests} == wanted
    assert page.text.count("</script>") == 2


def test_lone_surrogates(project: Project) -> None:
    project.write(
        test_suite="""
        import pytest

        @pytest.mark.parametrize("n", [1, 2], ids=["a\\udc80b", "\\ud83d"])
        def test_one(n):
            pass
        """
    )
    result = project.rpytest("-n", "2", "--timings", "-q", junit=False)
    assert result.status == 0, result
    assert len(_page(project).tests) == 2


def test_predictions_are_of_the_run_before(project: Project) -> None:
    project.write(test_suite=SUITE)
    project.rpytest("-n", "2", "--timings=one.html")
    first = _page(project, "one.html")
    assert first.data["run"]["known"] == 0
    assert {test.estimate for test in first.tests} == {0}
    project.write(test_new="def test_new(): pass\n")
    result = project.rpytest("-n", "2", "--timings=two.html")
    page = _page(project, "two.html")
    _agrees(page, result)
    assert page.data["run"]["known"] == len(first.tests) == len(page.tests) - 1
    assert page.data["run"]["predicted"] == max(lane["predicted"] for lane in page.data["lanes"])
    assert page.test("::test_client").estimate >= 80_000
    moved = page.data["tests"]["moved"]
    assert len(moved) == 2 * sum(lane["moved"] for lane in page.data["lanes"])


def test_a_crash_and_its_replacement(project: Project) -> None:
    project.write(
        test_suite="""
        import os, signal, time
        import pytest

        def test_before(): time.sleep(0.02)
        def test_crash():
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGSEGV)

        @pytest.mark.parametrize("n", range(20))
        def test_after(n): time.sleep(0.01)
        """
    )
    result = project.rpytest("-n", "1", "--timings")
    page = _page(project)
    _agrees(page, result)
    (crash,) = page.data["crashes"]
    assert crash["test"] == "test_suite.py::test_crash"
    assert crash["replacement"] == "coming"
    assert "SIGSEGV" in crash["cause"]
    test = page.test("::test_crash")
    assert test.outcome == "failed"
    assert test.start > page.test("::test_before").start
    assert test.start + test.length <= crash["at"] + 1000
    assert test.start < page.test("::test_after[0]").start


def test_x_shows_what_has_run(project: Project) -> None:
    project.write(
        test_suite="""
        import pytest

        @pytest.mark.parametrize("n", range(50))
        def test_it(n): assert n != 3
        """
    )
    result = project.rpytest("-n", "1", "-x", "--timings")
    assert result.status == 1
    page = _page(project)
    _agrees(page, result)
    assert page.data["run"]["notRun"] == 50 - len(page.tests) > 0
    assert "stopping after 1 failures" in page.data["run"]["stopped"]


def test_an_interrupt_shows_what_has_run(project: Project) -> None:
    project.write(
        test_suite="""
        import time
        import pathlib

        def test_first(): pass
        def test_second():
            pathlib.Path("begun").touch()
            [time.sleep(0.1) for _ in range(6000)]
        def test_third(): pass
        """
    )
    run = project.spawn("-n", "1", "--timings")
    assert processes.wait_until((project.path / "begun").exists)
    os.kill(run.pid, signal.SIGINT)
    assert run.wait() == 2
    page = _page(project)
    assert page.test("::test_first").outcome == "passed"
    assert not [test for test in page.tests if test.id.endswith("::test_third")]
    assert page.data["run"]["status"] == 2
    assert page.data["run"]["notRun"] >= 1


def test_no_outcome_differs_with_the_option(project: Project) -> None:
    """Measuring changes no result."""
    rich.write(project)
    args = ("-n", "2", "--ignore=broken", "-p", "no:cacheprovider")
    without = project.rpytest(*args)
    with_it = project.rpytest(*args, "--timings")
    assert with_it.status == without.status
    assert with_it.outcomes == without.outcomes
    assert with_it.counts == without.counts


def test_the_option_costs_no_session(project: Project) -> None:
    """A warm session serves runs with and without it, and the file in the project's folder is no
    change of the project.
    """
    project.write(test_suite="def test_it(tmp_path): pass\n")
    args = ("-n", "1")
    project.rpytest(*args, "--timings", junit=False)
    project.rpytest(*args, junit=False)
    project.rpytest(*args, "--timings", junit=False)
    page = _page(project)
    assert page.data["run"]["warm"] is True
    assert page.test("::test_it").fixtures
    result = project.rpytest(*args, "-v", junit=False)
    assert "timings" not in result.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--timings="], "--timings"),
        (["--timings", "--timings=x.html"], "--timings"),
        (["--timing"], "unrecognized arguments: --timing"),
        (["--timings=folder"], "is a folder"),
        (["--timings", "-n", "0"], "pytest itself runs"),
        (["--timings", "--collect-only"], "pytest itself runs"),
        (["--record-plan=x.json", "-n", "0"], "`--record-plan` writes down what each worker runs"),
        (["--record-plan=x.json", "--collect-only"], "pytest itself runs"),
        (["--replay=x.json", "--collect-only"], "pytest itself runs"),
        (["--timings", "--daemon-status"], "--timings"),
        (["-o", "addopts=--timings"], "command line only"),
        (["-o", "addopts=--timings=x.html"], "command line only"),
    ],
)
def test_wrong_uses_are_usage_errors(shared_project: Project, args: list[str], words: str) -> None:
    shared_project.write({"test_it.py": "def test_it(): pass\n"})
    (shared_project.path / "folder").mkdir(exist_ok=True)
    result = shared_project.rpytest(*args, junit=False)
    assert result.status == 4, result
    assert words in result.stderr
    assert not list(shared_project.path.glob("*.html"))


def test_what_follows_is_pytests(project: Project) -> None:
    """`--timings tests` is a run of `tests`, not a file of that name."""
    project.write(
        {"tests/test_it.py": "def test_it(): pass\n", "test_other.py": "def test_other(): pass\n"}
    )
    assert project.rpytest("--timings", "tests", junit=False).status == 0
    assert [test.id for test in _page(project).tests] == ["tests/test_it.py::test_it"]


def test_help_names_it(shared_project: Project) -> None:
    shared_project.write({"test_it.py": "def test_it(): pass\n"})
    result = shared_project.rpytest("--help", junit=False)
    assert "--timings[=<FILE>]" in result.stdout
    assert shared_project.rpytest("--help", "--timings", junit=False).status == 0


@pytest.mark.parametrize("case", ["no-tests", "broken"])
def test_without_a_run_there_is_a_warning(project: Project, case: str) -> None:
    project.write(test_it="import nothing_of_this_name\n" if case == "broken" else "x = 1\n")
    result = project.rpytest("--timings", "-n", "2", junit=False)
    assert result.status == (2 if case == "broken" else 5)
    assert f"warning: no timings were written to `{FILE}`" in result.stderr
    assert not (project.path / FILE).exists()


def test_a_bad_path_costs_the_file_and_nothing_else(project: Project) -> None:
    project.write(test_it="def test_it(): pass\n")
    (project.path / "file").touch()
    result = project.rpytest("-n", "2", "--timings=file/page.html")
    assert result.outcomes == {"test_it::test_it": "passed"}
    assert result.counts == {"passed": 1}
    assert result.status == 3
    assert "cannot write the timings `file/page.html`" in result.stderr
    assert "hint: give `--timings=FILE`" in result.stderr


def test_folders_are_made_and_old_files_replaced(project: Project) -> None:
    project.write(test_it="def test_it(): pass\n")
    target = project.scratch / "new" / "deep" / "page.html"
    for _ in range(2):
        assert project.rpytest("-n", "1", f"--timings={target}", junit=False).status == 0
    assert len(timings.read(target).tests) == 1
    assert [file.name for file in target.parent.iterdir()] == ["page.html"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("arguments", [["-q"], ["-p", "no:terminal"]], ids=["quiet", "silent"])
def test_quiet_runs_write_it_too(project: Project, arguments: list[str]) -> None:
    project.write(test_it="def test_it(): pass\n")
    result = project.rpytest("-n", "1", "--timings", *arguments, junit=False)
    assert result.status == 0
    assert len(_page(project).tests) == 1
    assert (f"timings: {FILE}" in result.stdout) == (arguments == ["-q"])


def test_each_worker_of_each_has_its_own_rows(project: Project) -> None:
    project.write(test_it="def test_one(): pass\ndef test_two(): pass\n")
    assert project.rpytest("-n", "2", "--dist", "each", "--timings", junit=False).status == 0
    page = _page(project)
    assert sorted((test.worker, test.id) for test in page.tests) == [
        (worker, f"test_it.py::test_{name}") for worker in (0, 1) for name in ("one", "two")
    ]


def test_a_shard_without_tests_has_an_empty_page(project: Project) -> None:
    project.write(test_it="def test_one(): pass\n")
    counts = []
    for shard in (0, 1):
        result = project.rpytest(
            "-n", "2", f"--shard={shard}", "--total-shards=2", "--timings", junit=False
        )
        assert result.status == 0, result
        counts.append(len(_page(project).tests))
    assert sorted(counts) == [0, 1]


def test_nothing_moves_where_nothing_was_meant_for_a_worker(project: Project) -> None:
    """`--no-loadscope-reorder`: groups go to whoever has time."""
    project.write(
        **{f"test_{n}": "import time\ndef test_it(): time.sleep(0.02)\n" for n in range(6)}
    )
    for _ in range(2):
        project.rpytest(
            "-n", "2", "--dist", "loadscope", "--no-loadscope-reorder", "--timings", junit=False
        )
    page = _page(project)
    assert page.data["run"]["known"] == 6
    assert page.data["tests"]["moved"] == []
    first, second = (lane["predicted"] for lane in page.data["lanes"])
    assert first == second >= 50_000


def test_reruns_are_attempts(project: Project) -> None:
    """As pytest-rerunfailures makes them."""
    project.write(
        conftest="""
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            for more in (True, True, False):
                reports = runtestprotocol(item, nextitem=nextitem, log=False)
                again = more and any(report.failed for report in reports)
                for report in reports:
                    if again and report.failed:
                        report.outcome = "rerun"
                    item.ihook.pytest_runtest_logreport(report=report)
                if not again:
                    break
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
            return True

        def pytest_report_teststatus(report):
            if report.outcome == "rerun":
                return "rerun", "R", ("RERUN", {"yellow": True})
        """,
        test_it="""
        import pathlib

        def test_flaky():
            file = pathlib.Path("tried")
            tries = file.read_text() if file.exists() else ""
            file.write_text(tries + "x")
            assert len(tries) == 2
        """,
    )
    result = project.rpytest("-n", "1", "--timings", junit=False)
    assert result.status == 0, result
    assert _page(project).test("::test_flaky").attempts == ("rerun", "rerun", "passed")


def test_the_file_may_be_a_pipe(project: Project) -> None:
    project.write(test_it="def test_it(): pass\n")
    assert project.rpytest("-n", "1", "--timings=/dev/null", junit=False).status == 0
    assert Path("/dev/null").is_char_device()
