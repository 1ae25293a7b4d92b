"""`python OPTIONS -m rpytest`: the tests run in an interpreter with the same options, as under
`python OPTIONS -m pytest`.
"""

from __future__ import annotations

import json

import pytest

from rpytest.__main__ import interpreter_options
from support.harness import Project

TESTS = """
import json, os, sys, warnings

def test_state():
    state = {
        "flags": repr(sys.flags), "warnings": sys.warnoptions, "x": sys._xoptions, "path": sys.path[:2],
        "optimized": __debug__, "documented": test_state.__doc__, "bytecode": sys.dont_write_bytecode,
    }
    with open(os.environ["STATE"], "w") as file:
        json.dump(state, file)

def test_warns():
    "It warns."
    warnings.warn("old", DeprecationWarning)

def test_compares_bytes():
    assert b"a" != "a"
"""  # noqa: E501


@pytest.mark.parametrize(
    "options",
    [
        ["-W", "error::DeprecationWarning"],
        ["-Werror::DeprecationWarning", "-Wignore::UserWarning"],
        ["-X", "dev"],
        ["-O"],
        ["-OO"],
        ["-B"],
        ["-E"],
        ["-I"],
        ["-s"],
        ["-P"],
        ["-bbW", "error"],
        ["-X", "utf8", "-Xfaulthandler"],
        ["-X", "importtime"],
        ["-qu", "-X", "own=1 2"],
    ],
    ids=" ".join,
)
def test_options(project: Project, options: list[str]) -> None:
    """Cold and warm, then without: another daemon."""
    state = project.scratch / "state"
    project.env["STATE"] = str(state)
    project.write(test_a=TESTS)

    def run(program: str, *more: str) -> object:
        state.unlink(missing_ok=True)
        running = project.spawn(
            *options, "-m", program, "-p", "no:cacheprovider", "-rA", *more, program="python"
        )
        status = running.wait()
        lines = [
            line for line in running.stdout.splitlines() if line.startswith(("PASSED", "FAILED"))
        ]
        return status, sorted(lines), json.loads(state.read_text())

    expected = run("pytest", "-p", "no:xdist")
    assert [run("rpytest", "-n2"), run("rpytest", "-n1"), run("rpytest", "-n0")] == [expected] * 3
    options = []
    assert run("rpytest", "-n2") == run("pytest", "-p", "no:xdist")


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONWARNINGS": "error::DeprecationWarning"},
        {"PYTHONOPTIMIZE": "1"},
        {"PYTHONDEVMODE": "1"},
    ],
    ids=str,
)
def test_variables(project: Project, variables: dict[str, str]) -> None:
    """What the interpreter reads in its environment."""
    project.env["STATE"] = str(project.scratch / "state")
    project.write(test_a=TESTS)
    for _ in range(2):
        project.compare(env=variables)
    project.compare()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        (["-m", "rpytest", "-x", "-v"], []),
        (["-W", "error", "-m", "rpytest", "-W", "ignore"], ["-W", "error"]),
        (["-Werror", "-mrpytest", "-O"], ["-W", "error"]),
        (["-BOOm", "rpytest"], ["-B", "-O", "-O"]),
        (
            ["-Ebb", "-IX", "dev", "-Xa=b c", "-m", "rpytest"],
            ["-E", "-b", "-b", "-I", "-X", "dev", "-X", "a=b c"],
        ),
        (["-ixh", "-m", "rpytest"], []),
        (
            ["--check-hash-based-pycs", "always", "-m", "rpytest"],
            ["--check-hash-based-pycs", "always"],
        ),
        (["-O", "/bin/coverage", "run", "-B", "-m", "rpytest"], ["-O"]),
        (["-O", "-", "-B"], ["-O"]),
        (["-O", "--", "x", "-B"], ["-O"]),
    ],
    ids=str,
)
def test_which_options_are_the_interpreters(given: list[str], expected: list[str]) -> None:
    """Those before the program, one by one."""
    assert interpreter_options(given) == expected
