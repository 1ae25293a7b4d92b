"""`def main(args=sys.argv[1:])`: a part of the command line that is kept, and not read, is what it
would be in each run.
"""

from __future__ import annotations

import re
import time

import pytest

from support.daemons import runs
from support.harness import Project

TOOL = """
import sys
from sys import argv

def main(args=sys.argv[1:]): return args
def keyword(first=1, *, args=sys.argv[2:], last=3): return args
def whole(argv=sys.argv): return argv
class Tool:
    ALL = None
    def run(self, other=None, args=sys.argv[1:], end=True): return args
ARGS = sys.argv[1:]
shared = other = sys.argv[1:2]
bare = lambda args=sys.argv[:]: args
"""

TEST = """
import sys
import tool

def test_a():
    seen = [tool.main(), tool.keyword(), tool.Tool().run(), tool.ARGS, tool.shared, tool.bare()]
    assert seen == [sys.argv[1:], sys.argv[2:], sys.argv[1:], sys.argv[1:], sys.argv[1:2], sys.argv]
    assert {type(each) for each in [*seen, sys.argv]} == {list}
    assert tool.shared is tool.other
    assert tool.whole() is tool.argv is sys.argv

def test_b(): test_a()
def test_c(): test_a()
"""


def test_what_is_kept_is_put_back(project: Project) -> None:
    """In the session's run, in runs of other tests from the same session, in the controller."""
    project.write({"tool.py": TOOL, "test_a.py": TEST})
    for hook in (
        "",
        "import tool, sys\ndef pytest_sessionfinish(): assert tool.main() == sys.argv[1:]\n",
    ):
        project.write({"conftest.py": hook})
        assert project.rpytest("-n2").counts == {"passed": 3}
        session = runs(project)
        for args in (["-k", "test_b"], ["test_a.py::test_c"], ["-n1", "-x", "-k", "a or c"], []):
            result = project.rpytest("-n2", *args)
            assert result.status == 0 and "rror" not in result.stderr, result
        # No other session was made for them.
        assert len(runs(project)) == len(session) or hook


@pytest.mark.parametrize(
    "tool",
    [
        "import sys\nARGS = [sys.argv[1:]]\ndef value(): return ARGS[0]\n",
        "import sys, functools\nvalue = functools.partial(list, sys.argv[1:])\n",
        (
            "import sys\ndef value(args=sys.argv[1:]): return args\nvalue()\nclass Kept: pass\n"
            "Kept.args = value()\n"
        ),
        "import sys\nclass Kept: args = sys.argv[1:]\ndef value(): return Kept.args\n",
        (
            "import sys\nCOUNT = len(sys.argv[1:])\n"
            "def value(): return sys.argv[1:] if len(sys.argv) - 1 == COUNT else COUNT\n"
        ),
        (
            "import sys\nTEXT = repr(sys.argv[1:])\n"
            "def value(): return sys.argv[1:] if repr(sys.argv[1:]) == TEXT else TEXT\n"
        ),
        "import sys\nALL = ['x'] + sys.argv[1:]\ndef value(): return ALL[1:]\n",
        "import sys\nALL = [*sys.argv[1:]]\ndef value(): return ALL\n",
        (
            "import sys\ndef value(args=sys.argv[1:]): return args\nFIRST = value()[:1]\n"
            "assert FIRST == value()[:1]\n"
        ),
        (
            "import sys\nPARSED = ' '.join(sys.argv[1:])\n"
            "def value(): return sys.argv[1:] if ' '.join(sys.argv[1:]) == PARSED else 0\n"
        ),
    ],
)
def test_what_is_read_or_kept_elsewhere(project: Project, tool: str) -> None:
    """Then the tests are collected afresh for other arguments."""
    project.write(
        {
            "tool.py": tool,
            "test_a.py": "import sys, tool\ndef test_a(): assert tool.value() == sys.argv[1:]\n",
        }
    )
    for args in ([], ["-k", "test_a"], ["test_a.py::test_a"], ["-v", "-k", "a"]):
        assert project.rpytest(*args).counts == {"passed": 1}, args


def test_the_time_of_a_run_that_selects_nothing(project: Project) -> None:
    """It is that of the run, and not since the session was collected."""
    project.write(
        {"conftest.py": "import time\ntime.sleep(3)\n", "test_a.py": "def test_a(): pass\n"}
    )
    assert project.rpytest().counts == {"passed": 1}
    cold = project.rpytest("-k", "nothing")
    assert cold.status == 5
    for result in (cold, project.rpytest("-k", "neither")):
        found = re.search(r"1 deselected in ([\d.]+)s", result.stdout)
        assert found is not None, result
        # Collecting took longer than that; a busy machine is given the time of the whole command.
        assert float(found[1]) < 3 or float(found[1]) <= took(project), result


def took(project: Project) -> float:
    """Seconds of one command like it."""
    began = time.monotonic()
    project.rpytest("-k", "nothing at all")
    return time.monotonic() - began
