"""Random combinations of pytest's options on three projects: whatever is asked for, rpytest says
what pytest says, cold and warm.

`RPYTEST_RANDOM_OPTIONS=200 python -m pytest tests/python/options/test_options_random.py` draws as
many; the same number gives the same commands. Not drawn: what depends on the time that tests take
(`--durations`); with several workers, on which test fails first (`-x`), and on who sets up a class
that can't be set up (`--full-trace`); and `-rA`, where pytest shows a letter of its own as output
of a test with subtests.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from support import fidelity
from support.fidelity import Case
from support.harness import Project

COUNT = int(os.environ.get("RPYTEST_RANDOM_OPTIONS", "6"))

MIXED = {
    "pytest.ini": "[pytest]\nmarkers =\n    slow: s\n    db: d\n",
    "conftest.py": """
        import pytest
        @pytest.fixture(scope="session")
        def number(): return 1
        @pytest.fixture(autouse=True)
        def around(request):
            print("before", request.node.name)
            yield
            print("after")
        def pytest_collection_modifyitems(items):
            items.sort(key=lambda i: "zz" in i.name)
        """,
    "test_a.py": """
        import logging, sys, warnings
        import pytest
        @pytest.fixture
        def bad_setup(): raise ValueError("setup")
        @pytest.fixture
        def bad_teardown():
            yield
            raise ValueError("teardown")
        def test_1(number): assert number == 1
        @pytest.mark.slow
        def test_2(number): assert number == 2, "message [with] brackets"
        def test_3(bad_setup): pass
        def test_4(bad_teardown): print("out"); print("err", file=sys.stderr)
        def test_zz(): warnings.warn("careful"); logging.getLogger("x").warning("logged")
        @pytest.mark.parametrize("a", [1, "b c", "d::e", None, "ü"])
        def test_p(a): assert a != "d::e"
        """,
    "sub/test_b.py": """
        import pytest
        pytestmark = pytest.mark.db
        class TestOne:
            @pytest.mark.skip(reason="why not")
            def test_s(self): pass
            @pytest.mark.xfail(reason="because")
            def test_x(self): assert 0
            @pytest.mark.xfail
            def test_xp(self): pass
            @pytest.mark.xfail(strict=True, reason="strict")
            def test_xs(self): pass
            def test_log(self, caplog, capsys, record_property):
                record_property("k", "v"); print("hi"); assert capsys.readouterr().out == "hi\\n"
        class TestTwo(TestOne): pass
        """,
    "sub/test_skipped.py": "import pytest\npytest.importorskip('nothing_like_it')\ndef test_1(): pass",  # noqa: E501
}
UNIT = {
    "pyproject.toml": (
        "[tool.pytest.ini_options]\naddopts = '-ra'\ntestpaths = ['tests', 'pkg']\n"
        "filterwarnings = ['ignore:quiet']\n"
    ),
    "pkg/__init__.py": "",
    "pkg/mod.py": '''
        """
        >>> 1 + 1
        2
        """
        def f():
            """
            >>> f()
            4
            """
            return 3
        ''',
    "tests/test_u.py": """
        import unittest, warnings
        class Case(unittest.TestCase):
            @classmethod
            def setUpClass(cls): cls.x = 1
            def setUp(self): print("set up")
            def test_ok(self): self.assertEqual(self.x, 1)
            def test_fail(self): self.assertEqual(self.x, 2)
            @unittest.skip("no")
            def test_skip(self): pass
            @unittest.expectedFailure
            def test_xf(self): assert 0
            @unittest.expectedFailure
            def test_xp(self): pass
            def test_sub(self):
                for i in range(3):
                    with self.subTest(i=i): self.assertNotEqual(i, 1)
            def test_err(self): raise RuntimeError("x")
        class Asynchronous(unittest.IsolatedAsyncioTestCase):
            async def test_a(self): pass
        class Broken(unittest.TestCase):
            @classmethod
            def setUpClass(cls): raise OSError("class")
            def test_1(self): pass
            def test_2(self): pass
        """,
    "tests/test_w.py": """
        import warnings
        def test_w1(): warnings.warn("quiet")
        def test_w2(): warnings.warn("loud", DeprecationWarning)
        def test_w3(): warnings.warn("loud", UserWarning)
        """,
}
BROKEN = {
    "setup.cfg": "[tool:pytest]\nmarkers =\n    slow: x\n    db: y\nconsole_output_style = count\n",
    "test_ok.py": (
        "import pytest\n@pytest.fixture(params=[1, 2], ids=['one', 'two'], scope='module')\n"
        "def p(request): return request.param\ndef test_1(p): pass\n@pytest.mark.slow\n"
        "def test_2(p): assert p == 1\ndef test_3(tmp_path, monkeypatch): "
        "monkeypatch.chdir(tmp_path)"
    ),
    "test_syntax.py": "def test_1(:\n",
    "test_import.py": "import nothing_like_it\ndef test_1(): pass",
    "test_name.py": "def test_1(unknown): pass\n@undefined\ndef test_2(): pass",
    "deep/conftest.py": (
        "collect_ignore = ['test_ignored.py']\ndef pytest_report_header(): return 'deep header'"
    ),
    "deep/test_ignored.py": "assert 0",
    "deep/test_deep.py": (
        "import pytest\n@pytest.mark.db\ndef test_d(): pytest.fail('on purpose', "
        "pytrace=False)\ndef test_e(): pass"
    ),
}
PROJECTS = {"mixed": MIXED, "unit": UNIT, "broken": BROKEN}
OPTIONS = [
    "-q",
    "-qq",
    "-v",
    "-vv",
    "-ra",
    "-rN",
    "-rfEX",
    "-rs",
    "--tb=short",
    "--tb=line",
    "--tb=no",
    "--tb=native",
    "--tb=auto",
    "-l",
    "--no-header",
    "--no-summary",
    "--disable-warnings",
    "--strict-markers",
    "--runxfail",
    "--doctest-modules",
    "--show-capture=no",
    "--show-capture=stderr",
    "--color=yes",
    "--import-mode=importlib",
    "--import-mode=append",
    "-k 1",
    "-k not␠1",
    "-k test_1␠or␠test_2",
    "-m slow",
    "-m not␠slow",
    "-m db␠or␠slow",
    "--co",
    "--co -q",
    "--durations=0 --durations-min=5",
    "-W error::UserWarning",
    "-W ignore",
    "--continue-on-collection-errors",
    "--lf",
    "--ff",
    "--nf",
    "--setup-plan",
    "-p no:warnings",
    "-p no:doctest",
    "-p no:logging",
    "-p no:cacheprovider",
    "-o console_output_style=classic",
    "-o xfail_strict=true",
    "-o junit_logging=all",
    "--ignore=sub",
    "--ignore-glob=*test_b*",
    "--deselect=test_a.py::test_1",
    "--rootdir=.",
    "--confcutdir=.",
    "--log-level=INFO",
    "--capture=sys",
    "--collect-only -qq",
    "-o python_functions=test_1",
    "-o addopts=∅",
    "--verbosity=1",
    "--xfail-tb",
    "--force-short-summary",
    "-o python_classes=Case",
    "--lfnf=none --lf",
    "--no-fold-skipped",
    "--assert=plain",
    "-c setup.cfg",
    "--strict-config",
    "--pyargs",
    "--keep-duplicates",
    "--cache-clear",
    "-p no:unittest",
    "-p no:terminal",
    "--code-highlight=no",
]
ARGUMENTS = {
    "mixed": [
        "test_a.py",
        "sub",
        "test_a.py::test_1",
        "sub/test_b.py::TestOne",
        "test_a.py::test_p[d::e]",
        "nowhere.py",
        ". .",
        "test_a.py::nothing",
    ],
    "unit": [
        "tests",
        "tests/test_u.py::Case",
        "tests/test_u.py::Case::test_sub",
        "pkg/mod.py",
        "tests/test_w.py",
    ],
    "broken": [
        "test_ok.py",
        "deep",
        "test_ok.py deep",
        "test_syntax.py",
        "test_ok.py::test_1[one]",
        "test_name.py",
    ],
}
#: Where the run ends depends on the order of the tests.
STOPS = ["-x", "--maxfail=2", "--sw", "--sw --sw-skip"]


def draw(seed: int) -> Case:
    """One or two commands in one of the projects."""
    random_ = random.Random(seed)
    name = random_.choice(sorted(PROJECTS))
    workers = random_.choice([1, 2, 2, 2, 2])
    steps = []
    for _ in range(random_.randint(1, 2)):
        parts = random_.sample(OPTIONS, random_.randint(1, 4))
        if workers == 1:
            parts.append(random_.choice(STOPS))
        if random_.random() < 0.45:
            parts.append(random_.choice(ARGUMENTS[name]))
        steps.append(" ".join(parts))
    return Case(f"{name}{seed}", PROJECTS[name], steps, n=workers)


@pytest.mark.parametrize("seed", range(COUNT))
def test_random_options(shared_project: Project, folder: Path, seed: int) -> None:
    fidelity.check(shared_project, folder, draw(seed))
