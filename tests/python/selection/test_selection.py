"""Runs with other arguments use what was collected already, and do exactly what a fresh collection
would do.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import _pytest.main
import pytest

from support import fidelity, processes
from support.daemons import runs, status
from support.fidelity import Case
from support.harness import Project

# Each import leaves a line, which says who has imported.
_NOTE = """
import os, sys
with open(os.environ["IMPORTED"], "a") as file:
    file.write("rpytest " + __name__ + "\\n" if "rpytest" in sys.modules else "pytest\\n")
"""

FILES: Mapping[str, str] = {
    "pytest.ini": """
        [pytest]
        markers =
            slow: takes long
            level(n): how deep
        """,
    "conftest.py": """
        import pytest
        @pytest.fixture
        def top(): return 1
        def pytest_collection_modifyitems(items):
            # Notices items that it has seen before.
            for item in items:
                item.user_properties.append(("seen", len(item.user_properties)))
        """,
    "test_a.py": _NOTE
    + """
import warnings
import pytest
warnings.warn("about a")

def test_one(): pass
def test_last(top): assert top == 1

@pytest.mark.slow
def test_two(): assert 0, "two"

@pytest.mark.level(n=2)
class TestGroup:
    @pytest.fixture(autouse=True)
    def mine(self): self.value = 1
    def test_in(self): assert self.value == 1
    @pytest.mark.slow
    def test_out(self): pytest.skip("later")
""",
    "test_skipped.py": "import pytest\npytest.skip('not here', allow_module_level=True)\n",
    "sub/__init__.py": "# A package.",
    "sub/conftest.py": """
        import pytest
        @pytest.fixture
        def top(): return 2
        def pytest_runtest_setup(item): item.user_properties.append(("in", "sub"))
        """,
    "sub/test_b.py": _NOTE
    + """
import pytest
@pytest.mark.parametrize("text", ["a b", "x/y", "p::q", "[z]"])
def test_ids(text, top): assert text != "x/y" and top == 2
@pytest.mark.xfail(reason="so")
def test_one(): assert 0
def test_bad(nothing): pass
""",
    "sub/deep/test_c.py": _NOTE + "def test_c(): pass\ndef test_last(): pass\n",
    "other/test_d.py": _NOTE
    + "import unittest\nclass TestD(unittest.TestCase):\n    def test_d(self): pass\n",
}

#: The same, where each module provably leaves nothing when it is imported.
QUIET: Mapping[str, str] = {
    **FILES,
    **{
        name: FILES[name]
        .replace(_NOTE, "")
        .replace("import warnings\n", "")
        .replace('warnings.warn("about a")\n', "")
        for name in ("test_a.py", "sub/test_b.py", "sub/deep/test_c.py", "other/test_d.py")
    },
}

#: pytest 9 collects each file once for these; version 8 makes other objects for those that are
#: given as files.
OVERLAPPING = ("sub/test_b.py sub/test_b.py", "test_a.py::test_one test_a.py")

#: What must be served from the one collection of `rpytest`.
SERVED: Sequence[Sequence[str]] = (
    [
        "",
        "test_a.py::test_one",
        "test_a.py::TestGroup -v",
        "test_a.py::TestGroup::test_in",
        "sub/test_b.py",
        "sub/test_b.py::test_ids",
        "sub/test_b.py::test_ids[x/y]",
        "sub/test_b.py::test_ids[p::q] other",
        "sub",
        "sub/deep",
        "other/test_d.py test_a.py::test_two sub/deep",
        "test_skipped.py",
        "test_skipped.py -rs other",
        ". -q",
        *(OVERLAPPING if hasattr(_pytest.main, "normalize_collection_arguments") else ()),
        "sub/../test_a.py",
    ],
    [
        "",
        "-k one",
        "-k one␠and␠not␠sub -v",
        "-m slow",
        "-m level(n=2)",
        "-k nothing_like_it",
        "--deselect sub --deselect test_a.py::test_one",
        "--ignore sub",
        "--ignore-glob *d.py test_a.py other",
        "sub -k ids --ignore=sub/deep",
    ],
    [
        "",
        "-v",
        "-q",
        "-vv -rA",
        "--tb=short",
        "--tb=no --no-header",
        "-x test_a.py::test_one",
        "--maxfail=9",
        "--durations=3 --durations-min=9 sub",
        "-l --show-capture=no",
        "--disable-warnings",
        "--no-summary",
    ],
    [
        "",
        "--lf",
        "--lf -v",
        "--ff -q",
        "--lf sub",
        "--lf test_a.py::test_one",
        "--nf",
        "--lf -k two",
        "--lfnf=none --lf other",
    ],
    ["", "--sw -k two", "--sw -v -k two", "--sw --sw-skip -k two", "test_a.py"],
    # Plugins of pytest that are switched off have no options either.
    [
        "-p no:cacheprovider",
        "-p no:cacheprovider -v",
        "-p no:cacheprovider -k two",
        "-p no:cacheprovider test_a.py::test_one -x",
    ],
    [
        "-p no:stepwise -p no:warnings",
        "-p no:stepwise -p no:warnings --lf",
        "-p no:stepwise -p no:warnings -v sub",
    ],
    [
        "-p no:logging -p no:faulthandler -p no:doctest",
        "-p no:logging -p no:faulthandler -p no:doctest -v sub",
    ],
)


class TestServed:
    """One collection serves them all."""

    @pytest.mark.parametrize("steps", SERVED, ids=lambda steps: steps[1])
    def test_as_fresh(self, shared_project: Project, folder: Path, steps: Sequence[str]) -> None:
        case = Case("selection", QUIET, steps, n=1, between=wait_until_judged)
        fidelity.check(shared_project, folder, case)
        log = "".join(path.read_text() for path in shared_project.runtime_dir.glob("*.log"))
        # Cold and warm together: one session, and nothing that it did not serve itself was
        # collected again.
        assert len(runs(shared_project, folder)) == 1, log


def wait_until_judged(project: Project, folder: Path) -> None:
    """Wait until the checkpoint knows what may be left out of what it has."""
    pattern = re.compile(
        rf"kept for other arguments: {re.escape(str(folder))}, .*\n +a part of them: (used|collected)"  # noqa: E501
    )
    processes.wait_until(lambda: pattern.search(status(project)) is not None, seconds=30)


TWO = {
    "a/test_a.py": "import os\ndef test_a(): print(os.environ.get('BY_B'))\n",
    "b/test_b.py": "def test_b(): pass\ndef test_c(): pass\n",
}

#: What can't be served without a difference, or looks as if: a project, and commands of which the
#: first is everything.
TRAPS: dict[str, tuple[Mapping[str, str], Sequence[str]]] = {
    "a folder that comes later to the path": (
        {
            "sub/conftest.py": "",
            "sub/helper.py": "VALUE = 1\n",
            "sub/test_b.py": "def test_b(): pass\n",
            "test_a.py": "import helper\ndef test_a(): assert helper.VALUE == 2\n",
        },
        ["", "--lf", "test_a.py sub", "sub test_a.py", "test_a.py", "sub"],
    ),
    "an option is read at configure": (
        {
            "conftest.py": (
                "def pytest_configure(config):\n    import builtins; builtins.LEVEL = "
                "config.option.verbose"
            ),
            "test_a.py": "def test_a(): assert LEVEL == 0\ndef test_b(): pass",
        },
        ["", "-v", "-vv", "test_a.py::test_b"],
    ),
    "an option is changed at configure": (
        {
            "conftest.py": "def pytest_configure(config):\n"
            "    config.addinivalue_line('markers', 'slow: it is')\n"
            "    config.option.markexpr = config.option.markexpr or 'not slow'",
            "test_a.py": "import pytest\n@pytest.mark.slow\ndef test_a(): pass\ndef test_b(): pass",
        },
        ["", "-m slow", "-k test_a", ""],
    ),
    "arguments are read": (
        {
            "test_a.py": (
                "import sys\nGIVEN = 'fast' in str(sys.argv[1:])\n"
                "def test_a(): assert not GIVEN\ndef test_fast(): pass"
            )
        },
        ["", "-k fast", "test_a.py::test_fast"],
    ),
    "arguments are parsed by a module": (
        {
            "test_a.py": "import argparse\nP = argparse.ArgumentParser()\n"
            "P.add_argument('-q', action='count', default=0)\n"
            "QUIET = P.parse_known_args()[0].q\ndef test_a(): assert QUIET < 2\ndef test_b(): pass"
        },
        ["", "-qq", "test_a.py::test_a -q", "test_a.py::test_a -q -q"],
    ),
    "config.args is read": (
        {
            "conftest.py": (
                "def pytest_collection_modifyitems(config, items):\n"
                "    items[0].user_properties.append(('args', len(config.args)))"
            ),
            "test_a.py": "def test_a(): pass",
            "test_b.py": "def test_b(): pass",
        },
        ["", "test_a.py test_b.py", "test_b.py"],
    ),
    "config.args is read at configure": (
        {
            "conftest.py": (
                "def pytest_configure(config):\n    config.count = "
                "len(config.invocation_params.args) + len(config.args)"
            ),
            "test_a.py": (
                "def test_a(request): assert request.config.count < 4, 'arguments'\n"
                "def test_b(): pass"
            ),
        },
        ["", "-q -q -q test_a.py::test_a test_a.py::test_b", "test_a.py::test_b"],
    ),
    "arguments are read that mean the same": (
        {"test_a.py": "import sys\nSHORT = '-v' in sys.argv\ndef test_a(): assert not SHORT"},
        ["-v", "--verbose", "-v"],
    ),
    "options are read for the header": (
        {
            **TWO,
            "conftest.py": "def pytest_report_header(config):\n"
            '    return f\'{config.getoption("keyword")} {config.option.tbstyle} '
            "{len(config.args[0])}'",
        },
        ["", "-k test_a", "--tb=short", "a", "-v", ""],
    ),
    "arguments are read for the header": (
        {
            **TWO,
            "conftest.py": (
                "def pytest_report_header(config): return str('-q' in "
                "config.invocation_params.args)"
            ),
        },
        ["", "-v -q", "a", "a --quiet -v"],
    ),
    "what failed last is read at configure": (
        {
            "conftest.py": (
                "def pytest_configure(config): config.known = "
                "config.cache.get('cache/lastfailed', {})"
            ),
            "test_a.py": (
                "def test_a(request): assert not request.config.known\ndef test_b(): assert 0"
            ),
        },
        ["", "", "-v", "-k test_a", "-k test_b"],
    ),
    "conftests of one name": (
        {
            "conftest.py": "WHOSE = 'top'",
            "a/conftest.py": "WHOSE = 'a'",
            "a/test_a.py": "import sys\ndef test_a(): assert sys.modules['conftest'].WHOSE == 'a'",
            "b/test_b.py": (
                "import sys\ndef test_b(): assert sys.modules['conftest'].WHOSE == 'top'"
            ),
        },
        ["", "b", "a", "b/test_b.py::test_b a"],
    ),
    "a module changes the environment": (
        {**TWO, "b/test_b.py": "import os\nos.environ['BY_B'] = '1'\ndef test_b(): pass"},
        ["-rP", "-rP a", "-rP b"],
    ),
    "a module changes the environment for those after it": (
        {
            "a/test_a.py": (
                "import os\nGIVEN = os.environ.get('BY_B')\ndef test_a(): assert GIVEN is None"
            ),
            "b/test_b.py": "import os\nos.environ['BY_B'] = '1'\ndef test_b(): pass",
        },
        ["", "b a", "a b", "a b/test_b.py::test_b", "-v"],
    ),
    "a module silences warnings": (
        {
            "test_a.py": "import warnings\nwarnings.warn('a')\ndef test_a(): pass",
            "test_b.py": "import warnings\nwarnings.simplefilter('ignore')\ndef test_b(): pass",
            "test_c.py": "import warnings\nwarnings.warn('c')\ndef test_c(): pass",
        },
        ["", "test_c.py", "test_a.py", "test_b.py test_a.py", "-v"],
    ),
    "a conftest of another folder acts on everything": (
        {**TWO, "b/conftest.py": "def pytest_collection_modifyitems(items):\n    del items[1:]"},
        ["", "a", "b", "b/test_b.py::test_c"],
    ),
    "a conftest of another folder writes a section": (
        {
            **TWO,
            "b/conftest.py": (
                "def pytest_terminal_summary(terminalreporter):\n"
                "    terminalreporter.write_line('= from b =')"
            ),
        },
        ["", "a", "b/test_b.py::test_c"],
    ),
    "conftests sort": (
        {
            **TWO,
            "conftest.py": (
                "def pytest_collection_modifyitems(items): [item.user_properties.append(('by', "
                "'top')) for item in items]"
            ),
            "b/conftest.py": (
                "def pytest_collection_modifyitems(items): [item.user_properties.append(('by', "
                "'b')) for item in items]"
            ),
            "b/c/conftest.py": (
                "def pytest_collection_modifyitems(items): [item.user_properties.append(('by', "
                "'c')) for item in items]"
            ),
            "b/c/test_d.py": "def test_d(): pass",
        },
        ["", "b", "b/c", "b/test_b.py b/c/test_d.py", "--lf b"],
    ),
    "a conftest of another folder configures": (
        {
            **TWO,
            "b/conftest.py": "import os\ndef pytest_configure(config): os.environ['BY_B'] = '1'",
        },
        ["-rP", "-rP a", "-rP b"],
    ),
    "a conftest is early only where its folder is given": (
        {
            **TWO,
            "b/conftest.py": "def pytest_addoption(parser): "
            "parser.addoption('--of-b', default='nothing')\n"
            "def pytest_report_header(config): return 'of b: ' + "
            "str(config.getoption('--of-b', None))",
        },
        ["", "b", "b --of-b=1", "a", "a --of-b=1"],
    ),
    "a test* folder's conftest is early": (
        {
            "sub/tests/conftest.py": "def pytest_report_header(): return 'from sub/tests'",
            "sub/tests/test_a.py": "def test_a(): pass",
            "test_b.py": "def test_b(): pass",
        },
        ["", "sub", "sub/tests", "test_b.py"],
    ),
    "an ini file of its own": (
        {**TWO, "b/pytest.ini": "[pytest]\naddopts = -k test_c"},
        ["", "b", "a b", "b/test_b.py::test_c"],
    ),
    "helpers of equal names": (
        {
            "a/helper.py": "WHOSE = 'a'",
            "a/test_a.py": "import helper\ndef test_a(): assert helper.WHOSE == 'a'",
            "b/helper.py": "WHOSE = 'b'",
            "b/test_b.py": "import helper\ndef test_b(): assert helper.WHOSE == 'b'",
        },
        ["", "b", "a", "b/test_b.py::test_b a"],
    ),
    "a helper of another folder": (
        {
            "a/helper.py": "import further",
            "a/further.py": "X = 1",
            "a/test_a.py": "import helper\ndef test_a(): pass",
            "b/test_b.py": "import further\ndef test_b(): assert further.X",
            "c/test_c.py": (
                "def test_c():\n    import importlib\n    importlib.import_module('helper')"
            ),
            "d/test_d.py": (
                "import sys\ndef test_d(): assert not [path for path in sys.path if "
                "path.endswith('/a')]"
            ),
        },
        ["", "b", "c", "d", "a", "c a", "d b"],
    ),
    "a plugin of a module": (
        {
            **TWO,
            "b/test_b.py": "pytest_plugins = ['helping']\ndef test_b(help): pass",
            "helping.py": (
                "import pytest\n@pytest.fixture(autouse=True)\ndef help(): print('helping')"
            ),
            "pytest.ini": "[pytest]\npythonpath = .",
        },
        ["-rP", "-rP a", "-rP b"],
    ),
    "warnings of a helper": (
        {
            "helper.py": "import warnings\ndef old(): warnings.warn('old')",
            "pytest.ini": "[pytest]\npythonpath = .",
            "test_a.py": "import helper\nhelper.old()\ndef test_a(): pass",
            "test_b.py": "import helper\nhelper.old()\ndef test_b(): pass",
        },
        ["", "test_b.py", "test_a.py", "-k test_b"],
    ),
    "warnings of modules": (
        {
            "test_a.py": "import warnings\nwarnings.warn('a')\ndef test_a(): pass",
            "test_b.py": "import warnings\nwarnings.warn('b')\ndef test_b(): pass",
            "test_c.py": "import pytest\n@pytest.mark.unknown\ndef test_c(): pass",
        },
        [
            "",
            "test_b.py",
            "test_c.py test_a.py",
            "-k test_b",
            "--disable-warnings",
            "test_b.py --max-warnings=0" if fidelity.VERSION >= (9, 2) else "",
        ],
    ),
    "modules that can't be imported": (
        {**TWO, "b/test_b.py": "import nothing_such", "test_0.py": "assert 0"},
        [
            "",
            "a",
            "b",
            "a b --tb=short",
            "-x",
            "-k test_a",
            "--continue-on-collection-errors -v",
            "a/test_a.py::test_a",
        ],
    ),
    "hooks hear of each item": (
        {
            **TWO,
            "conftest.py": (
                "def pytest_itemcollected(item): item.user_properties.append(('heard', "
                "len(item.user_properties)))"
            ),
        },
        ["", "b/test_b.py::test_c", "a"],
    ),
    "hooks hear of each collector": (
        {
            **TWO,
            "conftest.py": "SEEN = []\ndef pytest_collectreport(report): "
            "SEEN.append(report.nodeid)\n"
            "def pytest_report_collectionfinish(): return 'reports: ' + str(len(SEEN))",
        },
        ["", "b/test_b.py::test_c", "a"],
    ),
    "tests that are given twice": (
        TWO,
        [
            "",
            "a/test_a.py a/test_a.py",
            "--keep-duplicates a/test_a.py a/test_a.py",
            "--keep-duplicates a a",
            "b a b/test_b.py::test_c",
        ],
    ),
    "files that are a part of other arguments": (
        FILES,
        ["", *OVERLAPPING, "sub sub/test_b.py", "sub/test_b.py sub -k ids"],
    ),
    "what was not collected": (
        {**TWO, "check_x.py": "def test_x(): pass", "build/test_y.py": "def test_y(): pass"},
        ["", "check_x.py", "build", "build/test_y.py a", "check_x.py::test_x", ""],
    ),
    "what was given by name": (
        {**TWO, "b/check_x.py": "def test_x(): pass"},
        ["b/check_x.py b", "b", "b/check_x.py", "."],
    ),
    "folders left out before": (
        TWO,
        ["--ignore=b", "", "b", "--ignore=a"],
    ),
    "other ways to run": (
        TWO,
        [
            "",
            "-s a",
            "-p no:doctest a",
            "-o console_output_style=classic a",
            "-W error a",
            "--rootdir=. a",
            "--import-mode=importlib a",
            "--strict-markers a",
        ],
    ),
    "usage errors": (
        TWO,
        [
            "",
            "a --nothing-such",
            "a/test_none.py",
            "a/test_a.py::test_none",
            "b a/test_a.py::test_none",
            "-k (",
            "--deselect",
            "-m not␠(",
            "--maxfail=x",
        ],
    ),
    "a source that Python warns of when it reads it": (
        {
            **TWO,
            "pytest.ini": (
                "[pytest]\nfilterwarnings =\n    ignore::Warning:.*tool\n"
                "    ignore::Warning:.*test_d\n"
            ),
            "b/tool.py": "X = '\\w'\n",
            "b/test_d.py": "import tool\nX = '\\w'\ndef test_d(): assert tool.X\n",
        },
        ["", "b", "a", "b/test_d.py"],
    ),
    "a hook starts a thread for some tests": (
        {
            **TWO,
            "conftest.py": "import threading, time\ndef pytest_collection_modifyitems(items):\n"
            "    if len(items) == 2: threading.Thread(target=time.sleep, args=(600,), "
            "daemon=True).start()",
        },
        ["", "b", "a", "-k b", "b --tb=short"],
    ),
    "a hook starts a thread where there is a controller": (
        {
            **TWO,
            "conftest.py": "import threading, time\ndef pytest_collection_modifyitems(items):\n"
            "    if len(items) == 2: threading.Thread(target=time.sleep, args=(600,), "
            "daemon=True).start()\n"
            "def pytest_sessionfinish(session):\n"
            "    if not hasattr(session.config, 'workerinput'): session.config.done = 1",
        },
        ["", "b", "a"],
    ),
    "a hook ends everything for some tests": (
        {
            **TWO,
            "conftest.py": "import os, pytest\ndef pytest_collection_modifyitems(items):\n"
            "    if len(items) == 1: pytest.exit('enough', 7)\n"
            "    if len(items) == 2: raise pytest.UsageError('no')",
        },
        ["", "b", "a", "", "a/test_a.py -q"],
    ),
    "a controller": (
        {
            **TWO,
            "conftest.py": "def pytest_sessionfinish(session):\n"
            "    if not hasattr(session.config, 'workerinput'):\n"
            "        print('status', session.exitstatus, session.testscollected, "
            "session.config.option.verbose)",
        },
        ["", "a", "b/test_b.py::test_c -v", "-q b"],
    ),
}

# What a test module has done to another one while it was imported, and what a run without it finds.
_SHARED = {
    "a registry": ("R = []", "shared.R.append(1)", "not shared.R"),
    "a registry that is filled by an import": ("R = {}", "import filling", "not shared.R"),
    "a registry of a class": (
        "class C:\n    names = set()",
        "shared.C.names.add(1)",
        "not shared.C.names",
    ),
    "a dispatcher": (
        "import functools\n@functools.singledispatch\ndef f(x): return 0",
        "shared.f.register(int, lambda x: 1)",
        "shared.f(1) == 0",
    ),
    "a function": ("def f(): return 0", "shared.f = lambda: 1", "shared.f() == 0"),
    "a function of another one": (
        "import colorsys",
        "shared.colorsys.rgb_to_hsv = max",
        "shared.colorsys.rgb_to_hsv(0, 0, 1) != 1",
    ),
    "a function, by name": (
        "def f(): return 0",
        "setattr(shared, 'f', lambda: 1)",
        "shared.f() == 0",
    ),
    "a function, by mock": (
        "def f(): return 0",
        "from unittest import mock\nmock.patch('shared.f', lambda: 1).start()",
        "shared.f() == 0",
    ),
    "a counter": ("class C:\n    n = 0", "shared.C.n += 1", "shared.C.n == 0"),
}
for _name, (_module, _change, _condition) in _SHARED.items():
    TRAPS[f"left-out module changes {_name}"] = (
        {
            "conftest.py": "import shared\n",
            "shared.py": f"{_module}\n",
            "filling.py": "import shared\nif hasattr(shared, 'R'): shared.R['x'] = 1\n",
            "test_a.py": f"import shared\n{_change}\ndef test_a(): pass\n",
            "test_b.py": f"import shared\ndef test_b(): assert {_condition}\n",
        },
        ["", "test_b.py", "test_a.py", "test_b.py test_a.py"],
    )


class TestTraps:
    """Where a selection from everything is not what a fresh collection is, it is collected afresh:
    no difference is to be seen.
    """

    @pytest.mark.parametrize("trap", TRAPS)
    def test_as_fresh(self, shared_project: Project, folder: Path, trap: str) -> None:
        files, steps = TRAPS[trap]
        # A test under `-s`, or a hook, writes between the results.
        body = trap not in ("other ways to run", "a controller")
        fidelity.check(shared_project, folder, Case("selection", files, steps, n=1, body=body))


def _random_steps(seed: int, count: int) -> list[str]:
    """Commands that select by chance."""
    chance = random.Random(seed)
    places = [
        *(
            "test_a.py",
            "sub",
            "sub/deep",
            "other",
            "sub/test_b.py",
            "test_skipped.py",
            "sub/deep/test_c.py",
        ),
        *(
            "test_a.py::test_one",
            "test_a.py::TestGroup",
            "test_a.py::TestGroup::test_in",
            "sub/test_b.py::test_ids",
        ),
        *(
            "sub/test_b.py::test_ids[a␠b]",
            "other/test_d.py::TestD::test_d",
            "sub/deep/test_c.py::test_last",
            ".",
        ),
    ]
    options = [
        *(
            "-k one",
            "-k not␠ids",
            "-m slow",
            "-m not␠slow",
            "--deselect test_a.py::test_two",
            "--ignore sub/deep",
            "-v",
        ),
        *(
            "-q",
            "-rA",
            "--lf",
            "--nf",
            "--tb=line",
            "--disable-warnings",
            "--ignore-glob *_b.py",
            "--deselect sub",
        ),
    ]
    steps = []
    for _ in range(count):
        chosen = chance.sample(places, chance.choice((0, 1, 1, 2, 3))) + chance.sample(
            options, chance.choice((0, 1, 2))
        )
        chance.shuffle(chosen)
        steps.append(" ".join(chosen))
    return steps


@pytest.mark.parametrize("seed", range(4))
def test_by_chance(shared_project: Project, folder: Path, tmp_path: Path, seed: int) -> None:
    """Whatever is selected, in whatever order: as a fresh collection does it."""
    steps = ["", *_random_steps(seed, 10)]
    case = Case("selection", FILES, steps, n=1, env={"IMPORTED": str(tmp_path / "imported")})
    fidelity.check(shared_project, folder, case)
