"""What is known of particular plugins' hooks, by their names, spares a run what they don't need."""

from __future__ import annotations

import pytest

from support.harness import Project

#: The hooks that Hypothesis's plugin has, under the name of its module.
HYPOTHESIS = """
import pytest
begun = []

def pytest_sessionstart(session):
    # Of this process alone, as in Hypothesis.
    begun.append(session)

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


def test_hypothesis_needs_no_controller_and_shows_what_it_has_put_into_passed_reports(
    project: Project,
) -> None:
    folder = project.path
    project.write(_hypothesis_pytestplugin=HYPOTHESIS, test_a=TESTS)
    plain = project.pytest("-p", "_hypothesis_pytestplugin", env={"PYTHONPATH": str(folder)})
    said = [line for line in plain.lines if line.startswith("100 examples")]
    assert len(said) == 2
    for _ in range(2):
        result = project.rpytest(
            "-v", "-n2", "-p", "_hypothesis_pytestplugin", env={"PYTHONPATH": str(folder)}
        )
        assert result.status == 1
        assert [line for line in result.lines if line.startswith("100 examples")] == said, result
        assert result.counts == plain.counts
        # With a controller the workers would be as in pytest-xdist, in warm runs, too: see the next
        # test.
        assert not [line for line in result.lines if line.startswith("start method:")], result
    assert "collection: kept from an earlier run" in result.lines


def test_the_same_hooks_of_an_unknown_plugin_need_a_controller(project: Project) -> None:
    project.write(unknown_plugin=HYPOTHESIS, test_a=TESTS)
    result = project.rpytest(
        "-v", "-n2", "-p", "unknown_plugin", env={"PYTHONPATH": str(project.path)}
    )
    [line] = [line for line in result.lines if line.startswith("start method:")]
    assert "`pytest_sessionstart` of unknown_plugin" in line


#: Each test needs those before it in its process.
STEPS = """
import pytest, pytest_steps
done = []

@pytest.mark.parametrize("________step_name_", ["a", "b", "c", "d"])
def test_steps(________step_name_):
    done.append(________step_name_)
    assert "".join(done) == "abcd"[: len(done)]

@pytest.mark.parametrize("i", range(4))
def test_others(i): pass
"""


def test_steps_of_a_test_stay_together(project: Project) -> None:
    project.write(pytest_steps="", test_a=STEPS)
    env = {"PYTHONPATH": str(project.path)}
    project.compare(n=4, env=env)
    for dist in ("worksteal", "loadgroup"):
        result = project.rpytest("-n4", "--dist", dist, env=env)
        assert result.status == 0, result


DEPENDENCY = """
def pytest_addoption(parser): parser.addini("automark_dependency", "all tests", type="bool", default=False)
def pytest_configure(config): config.addinivalue_line("markers", "dependency(depends, scope): needs others")
passed = []
"""  # noqa: E501


@pytest.mark.parametrize(
    ("mark", "option"),
    [
        ("@pytest.mark.dependency()", ()),
        ("@pytest.mark.dependency(depends=['x'], scope='session')", ()),
        ("", ("-o", "automark_dependency=true")),
    ],
)
def test_files_with_dependencies_stay_together(
    project: Project, mark: str, option: tuple[str, ...]
) -> None:
    project.write(
        pytest_dependency=DEPENDENCY,
        test_a=f"import pytest\nfrom pytest_dependency import passed\n{mark}\n"
        "def test_1(): passed.append(1)\n"
        "def test_2(): assert passed == [1]; passed.append(2)\n"
        "def test_3(): assert passed == [1, 2]; passed.append(3)\n",
        test_b=f"import pytest\nfrom pytest_dependency import passed\n{mark}\n"
        "def test_4(): passed.append(4)\n"
        f"def test_5(): assert passed[-1] == 4 and ({'session' not in mark} or 3 in passed)\n",
    )
    project.compare("-p", "pytest_dependency", *option, n=4, env={"PYTHONPATH": str(project.path)})


#: Decides by the arguments before pytest has parsed them, as pytest-django looks for the project's
#: folder.
EARLY = """
import os

def pytest_load_initial_conftests(args, early_config):
    os.environ["ALONE"] = str(any("test_b" in arg for arg in args))
"""


def test_a_plugin_that_reads_the_arguments_early_sees_those_of_each_run(project: Project) -> None:
    test = "import os\ndef test_alone(): assert os.environ['ALONE'] == '{}'\n"
    project.write(early=EARLY, test_a=test.format(False), test_b=test.format(True))
    environment = {"PYTHONPATH": str(project.path)}
    for selection in ("", "test_b.py", "test_a.py", "test_b.py", ""):
        args = ["-p", "early", *selection.split()]
        plain = project.pytest(*args, env=environment)
        result = project.rpytest("-n2", "-v", *args, env=environment)
        assert (result.status, result.counts) == (plain.status, plain.counts), result
    status = project.rpytest("--daemon-status", junit=False).stdout
    assert "read by `pytest_load_initial_conftests` of early" in status
