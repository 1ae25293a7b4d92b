"""``--junitxml`` writes the file that pytest writes."""

from __future__ import annotations

import difflib
import re
import xml.etree.ElementTree as ElementTree

import pytest

from support import rich
from support.harness import Project

NO_BROKEN = "--ignore=broken"


@pytest.fixture
def project(shared_project: Project) -> Project:
    rich.write(shared_project)
    return shared_project


def _document(project: Project, program: str, args: tuple[str, ...]) -> tuple[int, list[str]]:
    """Exit status, and the elements of the file as texts: the attributes of the suite, then its
    children.
    """
    file = project.scratch / f"{program}.xml"
    file.unlink(missing_ok=True)
    run = getattr(project, program)
    status = run("-p", "no:cacheprovider", f"--junitxml={file}", *args, junit=False).status
    parts = []
    for suite in ElementTree.parse(file).getroot():
        assert suite.tag == "testsuite"
        # No name may be missing, whatever its value.
        parts.append(" ".join(suite.attrib))
        varying = {"time", "timestamp", "hostname"}
        parts += [f"{name}={value}" for name, value in suite.attrib.items() if name not in varying]
        for child in suite:
            assert child.tag != "testcase" or float(child.attrib["time"]) >= 0
            child.attrib.pop("time", None)
            parts.append(rich.normalised(ElementTree.tostring(child, encoding="unicode")))
    return status, parts


def _compare(project: Project, *args: str, n: int = 2) -> list[str]:
    expected = _document(project, "pytest", args)
    actual = _document(project, "rpytest", ("-n", str(n), *args))
    assert actual[0] == expected[0]
    differences = difflib.unified_diff(
        expected[1], actual[1], "pytest", "rpytest", n=0, lineterm=""
    )
    assert not list(differences)
    return actual[1]


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("family", ["xunit1", "xunit2", "legacy"])
def test_families(project: Project, family: str, n: int) -> None:
    text = "\n".join(_compare(project, NO_BROKEN, "-o", f"junit_family={family}", n=n))
    # The comparison compares something.
    assert '<property name="ARCH" value="x86 &amp; others"' in text
    assert '<property name="color" value="blue &amp; &lt;green&gt;"' in text
    assert ('assertions="7"' in text) == (family != "xunit2")
    assert ('file="test_outcomes.py"' in text) == (family != "xunit2")
    assert "failed on teardown with" in text and "failed on setup with" in text


@pytest.mark.parametrize(
    "options",
    [
        ["junit_logging=system-out"],
        ["junit_logging=log"],
        ["junit_logging=all", "junit_log_passing_tests=false"],
        ["junit_logging=all", "junit_duration_report=call", "junit_suite_name=other"],
    ],
    ids="-".join,
)
def test_ini_options(project: Project, options: list[str]) -> None:
    args = [word for option in options for word in ("-o", option)]
    # While pytest 9 reports a subtest of unittest, the letter that it prints is captured as the
    # test's own output.
    _compare(project, NO_BROKEN, "--deselect=test_classes.py::Case::test_sub", *args)


@pytest.mark.parametrize(
    ("args", "n"),
    [
        ((NO_BROKEN, "--junitprefix=pre.fix"), 2),
        ((NO_BROKEN, "--doctest-modules"), 2),
        (("broken",), 2),
        (("--continue-on-collection-errors",), 2),
        ((NO_BROKEN, "-k", "skipped_module or nothing"), 2),
        # With several workers others are in flight when the first one fails.
        ((NO_BROKEN, "-x"), 1),
        ((NO_BROKEN, "--maxfail=3", "test_classes.py"), 1),
    ],
    ids=str,
)
def test_arguments(project: Project, args: tuple[str, ...], n: int) -> None:
    _compare(project, *args, n=n)


def test_a_crash_is_a_failure(project: Project) -> None:
    path = project.write(
        {
            "crashes/test_crash.py": """
            import os
            def test_before(): pass
            def test_dies(): os._exit(3)
            def test_after(): pass
            """
        }
    )
    try:
        result = project.rpytest("-n", "2", "crashes")
    finally:
        path.unlink()
    assert result.status == 1
    assert result.outcomes == {
        "crashes.test_crash::test_before": "passed",
        "crashes.test_crash::test_dies": "failed",
        "crashes.test_crash::test_after": "passed",
    }
    case = result.case("test_dies")
    assert re.search(
        r"worker 'gw\d' crashed while running 'crashes/test_crash.py::test_dies': exit status 3",
        case.text,
    )
