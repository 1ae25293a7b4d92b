"""A process that ends, or becomes another program, in the middle of what it does: what the user is
told of it.
"""

from __future__ import annotations

import pytest

from support.harness import Project

_EXEC = """
import os, sys

if "AGAIN" not in os.environ:
    os.environ["AGAIN"] = "1"
    os.execv(sys.executable, [sys.executable, {arguments}])
"""


@pytest.mark.parametrize("end", ["os.abort()", "os.kill(os.getpid(), 9)", "os._exit(7)"])
def test_pytest_itself_dies(project: Project, end: str) -> None:
    project.write(test_a=f"import os\n\ndef test_1(): {end}\n")
    result = project.rpytest("-n", "0", junit=False)
    assert result.status == 3, result
    assert "error: the process that runs pytest itself " in result.stderr, result
    assert "-n 0" not in result.stderr.partition("error: ")[2], result
    assert "collects" not in result.stderr, result


def test_a_session_dies(project: Project) -> None:
    project.write(test_a="import os\nos.abort()\n")
    result = project.rpytest(junit=False)
    assert result.status == 3, result
    assert (
        "error: the process that collects the tests was killed by SIGABRT before it was done"
        in result.stderr
    ), result
    assert "hint: `rpytest -n 0` runs pytest itself" in result.stderr, result


@pytest.mark.parametrize(
    "options", [(), ("-n", "0"), ("--no-daemon",)], ids=["workers", "plain", "once"]
)
@pytest.mark.parametrize("outcome", ["assert 1", "assert 0"])
def test_a_conftest_starts_python_again(
    project: Project, outcome: str, options: tuple[str, ...]
) -> None:
    """The run is what the new program makes of it, as with pytest."""
    arguments = "'-m', 'pytest', '-p', 'no:xdist', '--junitxml', os.environ['JUNIT']"
    project.write(conftest=_EXEC.format(arguments=arguments), test_a=f"def test_1(): {outcome}\n")
    files = {program: project.scratch / f"{program}.xml" for program in ("pytest", "rpytest")}
    expected = project.pytest(junit=False, env={"JUNIT": str(files["pytest"])})
    actual = project.rpytest(*options, junit=False, env={"JUNIT": str(files["rpytest"])})
    assert actual.status == expected.status == int(outcome == "assert 0"), (actual, expected)
    assert "error:" not in actual.stderr, actual
    assert files["rpytest"].exists()


def test_the_other_program_is_killed(project: Project) -> None:
    project.write(conftest=_EXEC.format(arguments="'-c', 'import os; os.kill(os.getpid(), 9)'"))
    result = project.rpytest(junit=False)
    assert result.status == 3, result
    assert (
        "the program that a conftest or plugin has put in the place of this run "
        "(`os.execv`) was killed by SIGKILL"
    ) in (result.stderr)
