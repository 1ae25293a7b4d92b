"""A hook that raises ends the run as under pytest: status 3, its traceback, and a junit file with
what had a result and with the error.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from support.harness import Project

TESTS = "def test_1(): pass\ndef test_2(): pass\ndef test_3(): pass\n"

#: Raises about the second test, in one process: each test after another, so all tools have run the
#: same ones.
HOOKS = {
    "logreport of a call": (
        "def pytest_runtest_logreport(report):\n    if report.when == 'call': fail(report.nodeid)"
    ),
    "logreport of a setup": (
        "def pytest_runtest_logreport(report):\n    if report.when == 'setup': fail(report.nodeid)"
    ),
    "logreport of a teardown": (
        "def pytest_runtest_logreport(report):\n"
        "    if report.when == 'teardown': fail(report.nodeid)"
    ),
    "logstart": "def pytest_runtest_logstart(nodeid): fail(nodeid)",
    "logfinish": "def pytest_runtest_logfinish(nodeid): fail(nodeid)",
    "makereport": (
        "def pytest_runtest_makereport(item, call):\n    if call.when == 'call': fail(item.nodeid)"
    ),
    "protocol": "def pytest_runtest_protocol(item): fail(item.nodeid)",
}
_FAIL = (
    "def fail(nodeid):\n    if nodeid.endswith('test_2'): raise ValueError(f'<from> & the "
    "hook: {nodeid}')\n\n"
)
_CONTROLLER = """
class Hooks:
    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            fail(report.nodeid)

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Hooks())
"""


def _internal(
    project: Project, tool: str
) -> tuple[int, list[tuple[str | None, str | None]], str, dict[str, str]]:
    """Exit status, the cases, the internal error's last line, the suite's counts."""
    path = project.scratch / f"{tool}.xml"
    path.unlink(missing_ok=True)
    run = getattr(project, tool)
    args = ["-n1"] if tool == "rpytest" else ["-p", "no:xdist"]
    result = run(*args, "-q", "-o", f"junit_suite_name={tool}", f"--junit-xml={path}", junit=False)
    suite = next(ET.parse(path).getroot().iter("testsuite"))
    cases, last = [], ""
    for case in suite.iter("testcase"):
        if case.get("name") is None:
            # pytest leaves an element without a name for a test of which it knows no more than the
            # set-up.
            continue
        cases.append((case.get("classname"), case.get("name")))
        for error in case.iter("error"):
            assert error.get("message") == "internal error"
            last = (error.text or "").splitlines()[-1]
    assert last and last in result.stdout + result.stderr, result
    return (
        result.status,
        cases,
        last,
        {name: suite.get(name, "") for name in ("tests", "errors", "failures", "skipped")},
    )


@pytest.mark.parametrize("hook", HOOKS)
def test_the_junit_file_has_what_pytests_has(project: Project, hook: str) -> None:
    project.write(conftest=_FAIL + HOOKS[hook], test_a=TESTS)
    expected = _internal(project, "pytest")
    assert expected[0] == 3
    for _ in range(2):
        assert _internal(project, "rpytest") == expected


def test_a_hook_of_the_controller(project: Project) -> None:
    """The workers go on meanwhile, as under pytest-xdist: only the error is compared."""
    project.write(conftest=_FAIL + _CONTROLLER, test_a=TESTS)
    _, _, last, _ = _internal(project, "pytest")
    for _ in range(2):
        status, cases, text, counts = _internal(project, "rpytest")
        assert (status, text, counts["errors"]) == (3, last, "1")
        assert cases[-1] == ("pytest", "internal")
