"""Options of logging, doctests and the files that are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support import fidelity
from support.fidelity import Case
from support.harness import Project

LOGS = {
    "test_a.py": """
        import logging
        import pytest
        log = logging.getLogger("mine")
        other = logging.getLogger("other.part")
        @pytest.fixture
        def prepared():
            log.info("prepared")
            yield
            log.info("tidied")
        def test_passes(prepared):
            log.debug("a detail")
            log.info("a fact\\nof two lines")
            log.warning("a warning")
        def test_fails(prepared):
            log.info("number %d", 7)
            other.error("an error")
            assert 0
        """,
}
PASTED = {
    "conftest.py": """
        import io, urllib.parse, urllib.request

        def post(url, data=None, **options):
            with open("posted.txt", "a") as file:
                file.write(urllib.parse.unquote_plus(data.decode()) + "\\n")
            return io.BytesIO(b'<a href="/raw/1234">')

        urllib.request.urlopen = post
        """,
    "test_a.py": "def test_1(): pass\ndef test_2(): assert 0",
}
DOCTESTS = {
    "module.py": '''
        """Things.

        >>> 1 + 1
        2
        """
        def right():
            """
            >>> right()
            1
            """
            return 1
        def wrong():
            """
            >>> wrong()
            'one'
            >>> 2 + 2
            5
            """
            return "two"
        def raises():
            """
            >>> raises()
            """
            raise OSError("no")
        def skipped():
            """
            >>> 1  # doctest: +SKIP
            2
            """
        ''',
    "broken.py": "import nothing_such\ndef f():\n    '''\n    >>> 1\n    2\n    '''",
    "test_text.txt": "Some text\n\n>>> 3 * 3\n9\n>>> [1,\\n  2]\n",
    "guide.md": ">>> 'a'\n'b'\n",
    "umlaut.rst": ">>> 'ä'\n'ä'\n",
}
MODULE = {name: DOCTESTS[name] for name in ("module.py", "test_text.txt")}
JUNIT = {
    "test_a.py": """
        import pytest, sys
        class TestIt:
            @pytest.mark.parametrize("text", ["<&>", "\\x00\\x1b", "ü"])
            def test_texts(self, text, record_property):
                record_property("text", repr(text))
                print("out", repr(text))
                print("err", file=sys.stderr)
                assert text != "ü", "not <ü>"
        def test_skip(): pytest.skip("<why>")
        @pytest.mark.xfail
        def test_xfail(): assert 0
        def test_suite(record_testsuite_property): record_testsuite_property("suite", 1)
        """,
}
LOG = "a.log"

CASES = [
    # Logging
    Case(
        "--log-level log_level",
        LOGS,
        ["--log-level=INFO", "--log-level=debug -rP", "-o log_level=ERROR", "--log-level=nope"],
    ),
    Case(
        "--log-format log_format --log-date-format log_date_format",
        LOGS,
        [
            "--log-format=%(name)s:%(message)s --log-level=INFO",
            "-o log_format=%(levelname)s␠%(message)s",
            "--log-format=%(asctime)s␠%(message)s --log-date-format=DATE",
            "-o log_date_format=DAY -o log_format=%(asctime)s",
        ],
    ),
    Case(
        "--log-auto-indent log_auto_indent",
        LOGS,
        [
            "--log-level=INFO -rP --log-auto-indent=on",
            "--log-level=INFO -rP -o log_auto_indent=8",
            "--log-level=INFO -rP --log-auto-indent=off",
        ],
    ),
    Case(
        "--log-disable",
        LOGS,
        [
            "--log-disable=other.part",
            "--log-disable=mine --log-disable=other.part -rP --log-level=INFO",
        ],
    ),
    Case(
        "--log-file log_file",
        LOGS,
        [f"--log-file={LOG}", f"--log-file={LOG} --log-file-level=INFO", f"-o log_file={LOG}"],
        result_files=[LOG],
        n=1,
    ),
    Case(
        "--log-file-level log_file_level --log-file-mode log_file_mode",
        LOGS,
        [
            f"--log-file={LOG} --log-file-level=WARNING",
            f"--log-file={LOG} --log-file-mode=a -o log_file_level=DEBUG",
            f"--log-file={LOG} -o log_file_mode=a",
        ],
        result_files=[LOG],
        n=1,
    ),
    Case(
        "--log-file-format log_file_format --log-file-date-format log_file_date_format",
        LOGS,
        [
            f"--log-file={LOG} --log-file-format=%(message)s!",
            f"--log-file={LOG} -o log_file_format=%(asctime)s%(message)s --log-file-date-format=X",
            f"--log-file={LOG} -o log_file_date_format=Y",
        ],
        result_files=[LOG],
        n=1,
    ),
    Case("--log-file", LOGS, ["--log-file=no/such/folder/a.log", "--log-file=."], n=1),
    Case(
        "log_cli --log-cli-level log_cli_level",
        LOGS,
        ["-o log_cli=true", "--log-cli-level=INFO", "-o log_cli=true -o log_cli_level=WARNING -v"],
        n=1,
        junit=False,
        body=False,
    ),
    Case(
        "--log-cli-format log_cli_format --log-cli-date-format log_cli_date_format",
        LOGS,
        [
            "--log-cli-level=INFO --log-cli-format=%(message)s!",
            (
                "--log-cli-level=INFO -o log_cli_format=%(asctime)s␠%(message)s "
                "--log-cli-date-format=DATE"
            ),
            "--log-cli-level=INFO -o log_cli_date_format=DAY",
        ],
        n=1,
        junit=False,
        body=False,
    ),
    Case("-p", LOGS, ["-p no:logging", "-p no:logging -rA", "-p no:logging --log-level=INFO"]),
    # Doctests
    Case(
        "--doctest-modules", DOCTESTS, ["--doctest-modules", "--doctest-modules -v module.py", "-q"]
    ),
    Case(
        "--doctest-report",
        MODULE,
        [
            f"--doctest-modules --doctest-report={style}"
            for style in ("none", "cdiff", "ndiff", "udiff", "only_first_failure", "nope")
        ],
    ),
    Case(
        "--doctest-glob doctest_encoding",
        DOCTESTS,
        [
            "--doctest-glob=*.md -v",
            "--doctest-glob=*.rst -v",
            "--doctest-glob=*.rst -o doctest_encoding=latin1",
            "-v",
        ],
    ),
    Case(
        "--doctest-ignore-import-errors",
        DOCTESTS,
        ["--doctest-modules --doctest-ignore-import-errors -rs"],
    ),
    Case(
        "--doctest-continue-on-failure",
        MODULE,
        ["--doctest-modules", "--doctest-modules --doctest-continue-on-failure"],
    ),
    Case(
        "doctest_optionflags",
        MODULE,
        [
            "--doctest-modules -o doctest_optionflags=NORMALIZE_WHITESPACE␠ELLIPSIS",
            "-o doctest_optionflags=NOPE",
        ],
    ),
    # Files
    Case(
        "--junit-xml --junitxml",
        JUNIT,
        ["--junit-xml=out.xml", "--junitxml=deep/out.xml -q", "--junit-xml=."],
        junit=False,
        result_files=["out.xml", "deep/out.xml"],
    ),
    Case(
        "--junit-prefix --junitprefix",
        JUNIT,
        ["--junit-xml=out.xml --junit-prefix=pre", "--junitxml=out.xml --junitprefix=fix"],
        junit=False,
        result_files=["out.xml"],
    ),
    Case(
        "junit_family junit_suite_name junit_duration_report",
        JUNIT,
        [
            "--junit-xml=out.xml -o junit_family=xunit1 -o junit_suite_name=mine",
            "--junit-xml=out.xml -o junit_family=legacy -o junit_duration_report=call",
        ],
        junit=False,
        result_files=["out.xml"],
    ),
    # Before, it is an internal error at the first report.
    Case(
        "junit_family",
        JUNIT,
        ["--junit-xml=out.xml -o junit_family=nope"],
        junit=False,
        result_files=["out.xml"],
        since=(9, 0),
    ),
    *[
        Case(
            "junit_logging junit_log_passing_tests",
            JUNIT,
            [
                f"--junit-xml=out.xml -o junit_logging={kind}",
                f"--junit-xml=out.xml -o junit_logging={kind} -o junit_log_passing_tests=false",
            ],
            junit=False,
            result_files=["out.xml"],
        )
        for kind in ("no", "log", "system-out", "system-err", "out-err", "all", "nope")
    ],
    # Nothing is sent anywhere: the project has a post office of its own.
    Case(
        "--pastebin",
        PASTED,
        ["--pastebin=failed", "= --pastebin=all", "--pastebin=nope"],
        junit=False,
        result_files=["posted.txt"],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytest(shared_project: Project, folder: Path, case: Case) -> None:
    fidelity.check(shared_project, folder, case)


@pytest.mark.parametrize(
    "args",
    [
        ("-n1",),
        ("-n2", "-v"),
        ("-n2", "-q"),
        ("-n2", "--start-method=bare"),
        ("-n2", "--color=yes"),
    ],
    ids=" ".join,
)
def test_live_log(shared_project: Project, folder: Path, args: tuple[str, ...]) -> None:
    """pytest's sections and lines, below the test that they belong to; from several workers they
    may come in turns.
    """
    threads = """
        import logging, os, threading
        def test_thread():
            thread = threading.Thread(target=logging.warning, args=("from a thread",))
            thread.start()
            thread.join()
        def test_child():
            if os.fork() == 0:
                logging.warning("nobody hears this")
                os._exit(0)
            os.wait()
        """
    shared_project.fill(folder, {**LOGS, "test_b.py": threads})
    options = [
        "--log-cli-level=INFO",
        "--tb=no",
        *(arg for arg in args if not arg.startswith(("-n", "--start-method"))),
    ]
    expected = shared_project.pytest(
        *options,
        "--deselect=test_b.py::test_child",
        junit=False,
        env=fidelity.SAME_SETS,
        cwd=folder,
    )
    actual = shared_project.rpytest(
        *args,
        *options[:2],
        "--deselect=test_b.py::test_child",
        junit=False,
        env=fidelity.SAME_SETS,
        cwd=folder,
    )
    assert actual.status == expected.status == 1
    wanted = _live_logs(expected.stdout)
    assert [len(lines) for lines in wanted.values()] == [8, 7, 2]
    assert _live_logs(actual.stdout) == wanted, f"{actual}\n{expected}"
    # A child that a test forks is no worker.
    result = shared_project.rpytest(
        *args,
        *options[:2],
        "test_b.py::test_child",
        junit=False,
        env=fidelity.SAME_SETS,
        cwd=folder,
    )
    assert result.status == 0 and "nobody hears" not in result.stdout, result


def _live_logs(output: str) -> dict[str, list[str]]:
    """The lines of live log by test; of `test id OUTCOME` lines none."""
    logs: dict[str, list[str]] = {}
    current: list[str] = []
    for line in output.splitlines():
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()
        if re.match(r"=+ .* =+$", plain) and "test session starts" not in plain:
            break
        if match := re.match(r"(?:\[worker \d+\] )?(\S+\.py::\S+)$", plain):
            current = logs.setdefault(match[1], [])
        elif re.search(r"(PASSED|FAILED)(?: +\[ *\d+%\])?$", plain):
            # pytest's outcome stands between the log of the call and that of the teardown, ours at
            # the end.
            continue
        else:
            current.append(line.rstrip())
    return {id: [line for line in lines if line] for id, lines in logs.items()}


def test_debug(shared_project: Project, folder: Path) -> None:
    """Each process has a file of its own, made anew in each run: one for collection and the
    summary, one for each worker.
    """
    shared_project.fill(folder, LOGS)
    for method in ("collected", "collected", "bare"):
        result = shared_project.rpytest(
            "-n2", "--debug=debug.log", "--start-method", method, junit=False, cwd=folder
        )
        assert result.status == 1 and result.counts == {"passed": 1, "failed": 1}, result
        logs = {name: (folder / f"debug{name}.log") for name in ("", ".gw0", ".gw1")}
        for name, path in logs.items():
            said = f"wrote pytest debug information to {path.name}" in result.stderr.replace(
                f"{folder}/", ""
            )
            # With `bare` workers it is that of a session which was given up.
            assert said == (name != "" or method == "collected"), result
            assert name == "" or path.read_text().count("    pytest_runtest_call [hook]") == 1, path
        if method == "collected":
            log = logs[""].read_text()
            assert (
                log.startswith("versions pytest-") and log.count("finish pytest_sessionstart") == 1
            )
            assert log.count("    pytest_runtest_call") == 0
            assert "genitems" not in logs[".gw0"].read_text(), (
                "what came before the fork is written once"
            )
        for path in logs.values():
            path.unlink()


def test_debug_with_a_controller(shared_project: Project, folder: Path) -> None:
    """The process that runs the reporting hooks has a file, too; so has a worker's replacement, the
    same.
    """
    shared_project.fill(
        folder,
        {
            "conftest.py": "def pytest_runtest_logreport(report): pass",
            "test_a.py": (
                "import os\ndef test_1(): pass\ndef test_2(): os._exit(3)\ndef test_3(): pass\n"
            ),
        },
    )
    result = shared_project.rpytest("-n1", "--debug", junit=False, cwd=folder)
    assert result.status == 1 and result.counts == {"passed": 2, "failed": 1}, result
    assert "pytest_runtest_logreport [hook]" in (folder / "pytestdebug.controller.log").read_text()
    assert (folder / "pytestdebug.gw0.log").read_text().count("    pytest_runtest_call [hook]") == 3
