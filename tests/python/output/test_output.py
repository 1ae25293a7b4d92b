"""What is printed beside pytest's: the same header and sections, and lines of our own in
between.
"""

from __future__ import annotations

import importlib.metadata
import re

import pytest

from support import rich
from support.harness import Project, Result

NO_BROKEN = "--ignore=broken"
#: pytest's letter for a subtest of unittest is captured as the test's output: a section of pytest's
#: that we don't have.
NO_SUBTEST = "--deselect=test_classes.py::Case::test_sub"


@pytest.fixture
def project(shared_project: Project) -> Project:
    rich.write(shared_project)
    return shared_project


def _both(project: Project, args: tuple[str, ...], n: int) -> tuple[Result, Result]:
    args = ("-p", "no:cacheprovider", *args)
    expected = project.pytest(*args, junit=False)
    actual = project.rpytest("-n", str(n), *args, junit=False)
    assert actual.status == expected.status, f"{actual}\n{expected}"
    return expected, actual


class TestSections:
    """Everything after the last test."""

    @pytest.mark.parametrize(
        "args",
        [
            (),
            ("-v",),
            ("-vv",),
            ("-q",),
            ("-qq",),
            ("-l", "--tb=long"),
            ("--tb=short",),
            ("--tb=line",),
            ("--tb=no",),
            ("-ra",),
            ("-rA", NO_SUBTEST),
            ("-rN",),
            ("-rP", NO_SUBTEST),
            ("-rx", "--xfail-tb"),
            ("--show-capture=no",),
            ("--show-capture=stdout",),
            ("--show-capture=stderr", "--tb=short"),
            ("--show-capture=log", "--tb=short"),
            ("--no-summary",),
            ("--no-header", "--tb=line"),
            ("--disable-warnings", "--tb=line"),
            ("-p", "no:warnings", "--tb=line"),
            ("--force-short-summary", "--tb=line"),
            ("--strict-markers", "--tb=line"),
            ("--doctest-modules", "--color=yes"),
            ("--import-mode=importlib", "--tb=line"),
            ("-k", "params or deep"),
            ("-m", "slow or fast"),
            ("--deselect", "test_outcomes.py::test_passes", "test_outcomes.py", "--tb=line"),
        ],
        ids=" ".join,
    )
    def test_equal(self, project: Project, args: tuple[str, ...]) -> None:
        self.compare(project, (NO_BROKEN, *args), n=2)

    @pytest.mark.parametrize(
        "args",
        [
            # One worker runs in pytest's order: so what depends on it is the same, too.
            (NO_BROKEN, "--tb=native"),
            (NO_BROKEN, "-x"),
            (NO_BROKEN, "--maxfail=5", "--tb=line"),
            (NO_BROKEN, "-W", "error", "--ignore=collect_warning", "--tb=line"),
            ("broken",),
            ("--continue-on-collection-errors", "--tb=line"),
            ("-W", "error"),
            (
                "--full-trace",
                "test_outcomes.py::test_fails_chained",
                "test_outcomes.py::test_fails_in_context",
            ),
        ],
        ids=" ".join,
    )
    def test_equal_with_one_worker(self, project: Project, args: tuple[str, ...]) -> None:
        self.compare(project, args, n=1)

    def compare(self, project: Project, args: tuple[str, ...], n: int) -> None:
        expected, actual = _both(project, args, n)
        text = rich.sections(actual.stdout)
        assert "=" in text or " in " in text or "-qq" in args
        assert rich.normalised(text) == rich.normalised(rich.sections(expected.stdout))

    def test_durations(self, project: Project) -> None:
        expected, actual = _both(project, (NO_BROKEN, "--durations=0", "-vv", "--tb=no"), n=2)
        listed = [
            sorted(
                re.findall(r"^\d+\.\d+s (?:setup|call|teardown) +\S.*$", result.stdout, re.M),
                key=_without_seconds,
            )
            for result in (expected, actual)
        ]
        assert len(listed[0]) > 200
        assert list(map(_without_seconds, listed[1])) == list(map(_without_seconds, listed[0]))
        seconds = [
            float(line.partition("s ")[0])
            for line in re.findall(r"^\d+\.\d+s .*$", actual.stdout, re.M)
        ]
        assert seconds == sorted(seconds, reverse=True)
        assert re.search(r"^=+ slowest durations =+$", actual.stdout, re.M)


def _without_seconds(line: str) -> str:
    return line.partition("s ")[2]


class TestCollection:
    @pytest.mark.parametrize(
        "args",
        [
            (NO_BROKEN,),
            (NO_BROKEN, "-v"),
            (NO_BROKEN, "-q"),
            (NO_BROKEN, "--no-header"),
            (NO_BROKEN, "-k", "ids"),
            (NO_BROKEN, "-m", "slow"),
            (NO_BROKEN, "--deselect", "test_params.py"),
            (NO_BROKEN, "-k", "no_such_test"),
            ("-c", "pytest.ini", "--rootdir", ".", "package"),
            ("broken",),
            ("--continue-on-collection-errors", "broken"),
        ],
        ids=" ".join,
    )
    def test_header(self, project: Project, args: tuple[str, ...]) -> None:
        expected, actual = _both(project, ("--tb=no", *args), n=2)
        assert rich.header(actual.stdout) == rich.header(expected.stdout)

    @pytest.mark.parametrize(
        "args",
        [(), ("-q",), ("-qq",), ("-v",), ("-q", "-k", "ids"), ("-q", "broken")],
        ids=" ".join,
    )
    def test_collect_only(self, project: Project, args: tuple[str, ...]) -> None:
        expected, actual = _both(project, ("--collect-only", *args), n=2)
        assert _lines(actual) == _lines(expected)
        assert len(_lines(actual)) > 3

    def test_every_id_runs(self, project: Project) -> None:
        """What a test is called on its line is what can be given as an argument."""
        result = project.rpytest(
            "-n", "2", NO_BROKEN, "--tb=no", "-rN", "-p", "no:cacheprovider", junit=False
        )
        streamed = {
            match[1]
            for match in re.finditer(
                r"^(\S+\.py::.*) (?:PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)$", result.stdout, re.M
            )
        }
        assert len(streamed) > 70
        chosen = sorted(id for id in streamed if "test_ids" in id)
        assert len(chosen) == 11
        again = project.rpytest(
            "-n", "2", "-v", *chosen, "--tb=no", "-p", "no:cacheprovider", junit=False
        )
        assert again.counts == {"failed": 1, "passed": 10}


def _lines(result: Result) -> list[str]:
    lines = [
        re.sub(r" -- /\S+$", "", line) for line in result.lines if not line.startswith("plugins: ")
    ]
    return [rich.normalised(line) for line in lines]


def test_warm_is_as_cold(project: Project) -> None:
    args = (
        "-n",
        "2",
        NO_BROKEN,
        "-ra",
        "-p",
        "no:cacheprovider",
        "-o",
        "console_output_style=classic",
    )
    cold, *warm = (project.rpytest(*args, junit=False) for _ in range(3))
    for result in warm:
        assert rich.header(result.stdout) == rich.header(cold.stdout)
        assert rich.normalised(rich.sections(result.stdout)) == rich.normalised(
            rich.sections(cold.stdout)
        )
    status = project.rpytest("--daemon-status", junit=False)
    assert "console_output_style=classic" in status.stdout, "it was warm"


class TestLines:
    """The forms of the user guide, literally."""

    @pytest.fixture
    def guide(self, shared_project: Project) -> Project:
        shared_project.write(
            {
                "guide/pytest.ini": "[pytest]\n",
                "guide/test_a.py": "def test_1(): pass\ndef test_3(): assert 0\n",
                "guide/test_b.py": (
                    "def test_2(): pass\nimport pytest\n@pytest.mark.skip(reason='why not')\n"
                    "def test_4(): pass\n"
                ),
            }
        )
        return shared_project

    def run(self, project: Project, *args: str, n: int = 2) -> Result:
        return project.rpytest(
            "-n", str(n), *args, "--tb=no", "-rN", junit=False, cwd=project.path / "guide"
        )

    def test_verbose_failures_name_their_worker(self, guide: Project) -> None:
        """Under `-v`, as the lines of the tests do; else the text is pytest's alone."""
        for args, count in (((), 0), (("-v",), 1)):
            result = guide.rpytest("-n", "2", *args, junit=False, cwd=guide.path / "guide")
            named = [at for at, line in enumerate(result.lines) if rich.WORKER_LINE.match(line)]
            assert len(named) == count, result
            if count:
                streamed = next(
                    line for line in result.lines if line.endswith("test_a.py::test_3 FAILED")
                )
                assert result.lines[named[0]].partition("]")[0] == streamed.partition("]")[0]

    def test_verbose_failures_have_a_node_that_hooks_may_ask(self, guide: Project) -> None:
        guide.fill(
            guide.path / "guide",
            {
                "conftest.py": """
                def pytest_terminal_summary(terminalreporter):
                    for report in terminalreporter.stats["failed"]:
                        where = report.node.gateway.id if hasattr(report, "node") else "main"
                        terminalreporter.write_line(f"{report.nodeid} was in {where}")
                """
            },
        )
        for args in ((), ("-v",), ("-v", "--dist=each")):
            result = guide.rpytest("-n2", *args, junit=False, cwd=guide.path / "guide")
            assert result.status == 1 and result.counts["failed"] == (2 if len(args) == 2 else 1), (
                result
            )
            assert re.search(r"^test_a.py::test_3 was in (gw[01]|main)$", result.stdout, re.M), (
                result
            )

    def test_teardown_of_what_is_shared_names_the_worker_of_its_test(self, guide: Project) -> None:
        guide.fill(
            guide.path / "guide",
            {
                "conftest.py": """
                import pytest

                @pytest.fixture(scope="session")
                def shared():
                    yield
                    raise OSError("left open")
                """,
                "test_a.py": """
                import time
                import pytest

                @pytest.mark.parametrize("i", range(6))
                def test_x(shared, i):
                    time.sleep(0.1)
                    assert i
                """,
                "test_b.py": "",
            },
        )
        result = guide.rpytest(
            "-n3", "-v", "--order", "collected", junit=False, cwd=guide.path / "guide"
        )
        assert (
            result.counts == {"failed": 1, "passed": 5, "errors": 1} or result.counts["error"] == 1
        ), result
        (streamed,) = [line for line in result.lines if re.match(r"\[worker \d\] .* ERROR$", line)]
        at = next(at for at, line in enumerate(result.lines) if "ERROR at teardown of" in line)
        named = next(line for line in result.lines[at:] if rich.WORKER_LINE.match(line))
        assert named.partition("]")[0] == streamed.partition("]")[0], result

    def test_default(self, guide: Project) -> None:
        result = self.run(guide, n=1)
        start = result.lines.index("1 worker [4 items]")
        assert result.lines[start - 1] == "created: 1/1 worker"
        assert result.lines[start:-1] == [
            "1 worker [4 items]",
            "",
            "test_a.py::test_1 PASSED",
            "test_a.py::test_3 FAILED",
            "test_b.py::test_2 PASSED",
            "test_b.py::test_4 SKIPPED",
            "",
        ]
        assert re.fullmatch(r"=+ 1 failed, 2 passed, 1 skipped in \d+\.\d\ds =+", result.lines[-1])

    def test_verbose(self, guide: Project) -> None:
        result = self.run(guide, "-v")
        assert "2 workers [4 items]" in result.lines
        lines = [line for line in result.lines if line.startswith("[worker ")]
        assert sorted(line.partition("] ")[2] for line in lines) == [
            "test_a.py::test_1 PASSED",
            "test_a.py::test_3 FAILED",
            "test_b.py::test_2 PASSED",
            "test_b.py::test_4 SKIPPED (why not)",
        ]
        assert {line.partition("] ")[0] for line in lines} <= {"[worker 0", "[worker 1"}

    def test_quiet(self, guide: Project) -> None:
        result = self.run(guide, "-q", n=1)
        assert result.lines[:2] == ["bringing up nodes...", ".F.s"]
        assert re.fullmatch(r"1 failed, 2 passed, 1 skipped in \d+\.\d\ds", result.lines[-1])
        assert len(result.lines) == 3

    def test_very_quiet(self, guide: Project) -> None:
        assert self.run(guide, "-qq", n=1).lines == [".F.s"]

    @pytest.mark.parametrize(
        ("verbosity", "line"),
        [
            (-1, r"\.F\.s"),
            (0, r"test_a.py::test_1 PASSED"),
            (1, r"\[worker 0\] test_a.py::test_1 PASSED"),
        ],
    )
    def test_verbosity_of_test_cases(self, guide: Project, verbosity: int, line: str) -> None:
        for flag in ((), ("-v",)):
            result = self.run(guide, *flag, "-o", f"verbosity_test_cases={verbosity}", n=1)
            assert any(re.fullmatch(line, shown) for shown in result.lines), result
            assert "test session starts" in result.stdout

    def test_no_terminal_reporter_no_output(self, guide: Project) -> None:
        result = guide.rpytest("-n", "2", "-p", "no:terminal", cwd=guide.path / "guide")
        assert (result.status, result.stdout, result.stderr) == (1, "", "")
        assert len(result.outcomes) == 4

    def test_an_installed_xdist_is_in_the_header_as_in_pytest(self, guide: Project) -> None:
        version = importlib.metadata.version("pytest-xdist")
        assert f"xdist-{version}" in self.run(guide).stdout
