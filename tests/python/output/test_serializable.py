"""What our own `to_serializable` makes of a report is what pytest's hook makes of it, in each style
of traceback.
"""

from __future__ import annotations

import re

import pytest

from support.harness import Project

COMPARES = """
    from _pytest.reports import pytest_report_to_serializable
    from rpytest.reports.serialization import to_serializable

    count = 0

    def pytest_runtest_logreport(report):
        global count
        if type(report).__name__ == "TestReport":
            def hook(config, report): return pytest_report_to_serializable(report)
            ours, theirs = to_serializable(report, hook, None), pytest_report_to_serializable(report)
            assert ours == theirs
            assert list(ours) == list(theirs)
            count += 1

    def pytest_terminal_summary(terminalreporter):
        terminalreporter.write_line(f"{count} reports compared")
"""  # noqa: E501
TESTS = """
    import pytest

    def helper(value):
        raise ValueError(value)

    def test_chain(capsys):
        print("out")
        try:
            helper("x" * 300)
        except ValueError as error:
            raise KeyError("y") from error

    @pytest.mark.parametrize("value", [[1, 3], "text"])
    def test_assert(value, record_property):
        record_property("one", 1)
        assert [1, 2] == value

    def test_group():
        class Group(Exception): pass
        raise Group("a") from None

    def test_deep(n=60):
        if n:
            test_deep(n - 1)
        1 / 0

    def test_skip(): pytest.skip("x")
    @pytest.mark.xfail(reason="y")
    def test_xfail(): 1 / 0
    def test_missing(no_such_fixture): pass
    def test_fail(): pytest.fail("text", pytrace=False)
    def test_exit(): raise SystemExit(3)
"""


@pytest.mark.parametrize("style", ["auto", "long", "short", "native", "line", "no"])
@pytest.mark.parametrize("args", [(), ("--showlocals",), ("--full-trace",)], ids=" ".join)
def test_reports(project: Project, style: str, args: tuple[str, ...]) -> None:
    project.write(conftest=COMPARES, test_a=TESTS)
    result = project.pytest(f"--tb={style}", *args, junit=False)
    assert "INTERNALERROR" not in result.stdout, result
    found = re.search(r"^(\d+) reports compared", result.stdout, re.M)
    assert found, result
    assert int(found[1]) == 29
