"""What is known of particular plugins' hooks, by their names, spares a run what they don't need."""

from __future__ import annotations

from harness import Project

#: The hooks that Hypothesis's plugin has, under the name of its module.
HYPOTHESIS = """
import os, pytest

def pytest_sessionstart(session):
    # Of this process alone, as in Hypothesis.
    with open(os.path.join(os.path.dirname(__file__), "started"), "a") as file:
        file.write(f"{os.getpid()}\\n")

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "teardown" and "counted" in item.name:
        report.__dict__["counted"] = f"100 examples for {item.name}"

def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("Statistics")
    for reports in terminalreporter.stats.values():
        for report in reports:
            found = report.__dict__.get("counted")
            if found:
                terminalreporter.write_line(found)
"""

TESTS = """
def test_plain(): pass
def test_counted(): pass
def test_counted_bad(): assert 0
"""


def test_hypothesis_needs_no_controller_and_shows_what_it_has_put_into_passed_reports(project: Project) -> None:
    folder = project.path
    project.write(_hypothesis_pytestplugin=HYPOTHESIS, test_a=TESTS)
    plain = project.pytest("-p", "_hypothesis_pytestplugin", env={"PYTHONPATH": str(folder)})
    said = [line for line in plain.lines if line.startswith("100 examples")]
    assert len(said) == 2
    for start in ("cold", "warm"):
        (folder / "started").unlink(missing_ok=True)
        result = project.rpytest("-n2", "-p", "_hypothesis_pytestplugin", env={"PYTHONPATH": str(folder)})
        assert result.status == 1
        assert [line for line in result.lines if line.startswith("100 examples")] == said, result
        assert result.counts == plain.counts
        # A controller would be started, with this hook, for the warm run, too.
        began = (folder / "started").read_text().split() if (folder / "started").exists() else []
        assert len(began) == (1 if start == "cold" else 0), result
