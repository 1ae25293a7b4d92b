"""After an edit of test modules only these are imported again, where nobody can tell; the run is
what a cold one would be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from support import processes
from support.daemons import status
from support.harness import Project
from support.staleness import Scenario, Scene, agree

#: Leaves a line when it is imported, which says by whom. It comes after all others, and is never
#: edited.
_LAST = """
import os, sys
with open(os.environ["IMPORTED"], "a") as file:
    file.write(os.path.basename(sys.argv[0]) + "\\n")
def test_last(): pass
"""

FILES: Mapping[str, str] = {
    "conftest.py": "import pytest\n@pytest.fixture\ndef value(): return 1\n",
    "helper.py": "import functools\nVALUE = 1\nNAMES = []\ndef register(name): NAMES.append(name)\n"
    "def double(n): return 2 * n\n"
    "class Base: pass\nclass Mixin:\n    def test_mixed(self): assert self.number == 1\n"
    "class Log:\n    def __init__(self): self.seen = []\nLOG = Log()\n"
    "CONFIG = {'debug': False}\nROUTES = {}\n"
    "def route(name): return lambda handler: ROUTES.setdefault(name, handler)\n"
    "import itertools\nCOUNT = itertools.count()\n",
    "test_b.py": "import helper\ndef test_b(): assert not helper.NAMES and not helper.LOG.seen\n"
    "def test_value(value): assert value == 1\n",
    "test_zz.py": _LAST,
}

_IMPORTS = "import os, sys, unittest\nimport pytest\nimport helper\n"
_PLAIN = _IMPORTS + "def test_1(): pass\ndef test_2(value): assert value == 1\n"
_FIXTURE = (
    _IMPORTS + "@pytest.fixture\ndef mine(): return 1\ndef test_mine(mine): assert mine == 1\n"
)

#: What `test_m.py` is before, and after the edit that only imports it again.
SERVED: Mapping[str, tuple[str, str]] = {
    "comment": (_PLAIN, _PLAIN + "# more\n"),
    "body": (_PLAIN, _PLAIN.replace("pass", "x = 3; assert x == 4, 'told'")),
    "added": (_PLAIN, _PLAIN + "def test_3(): assert 0\n"),
    "removed": (_PLAIN, _PLAIN.replace("def test_1(): pass\n", "")),
    "renamed": (_PLAIN, _PLAIN.replace("test_1", "test_other")),
    "marked": (_PLAIN, _PLAIN.replace("def test_1", "@pytest.mark.xfail\ndef test_1")),
    "no longer marked": (_PLAIN.replace("def test_1", "@pytest.mark.skip\ndef test_1"), _PLAIN),
    "parameters": (
        _IMPORTS + "@pytest.mark.parametrize('n', [1, 2])\ndef test_n(n): assert n < 3\n",
        _IMPORTS + "@pytest.mark.parametrize('n', [1, 3])\ndef test_n(n): assert n < 3\n",
    ),
    "mixin": (
        _PLAIN + "class TestX(helper.Mixin): number = 1\n",
        _PLAIN
        + (
            "class TestX(helper.Mixin):\n    number = 1\n"
            "    def test_more(self): assert self.number == 2\n"
        ),
    ),
    "own helper": (
        _IMPORTS
        + "def sizes(): return [1]\n@pytest.mark.parametrize('n', sizes())\ndef test_n(n): pass\n",
        _IMPORTS
        + (
            "def sizes(): return [1, 2]\n@pytest.mark.parametrize('n', sizes())\n"
            "def test_n(n): pass\n"
        ),
    ),
    "fixture": (_FIXTURE, _FIXTURE.replace("return 1", "return 2")),
    "fixture gone": (_FIXTURE, _FIXTURE.replace("@pytest.fixture\n", "")),
    "fixture new": (_PLAIN, _PLAIN + "@pytest.fixture\ndef value(value): return value + 1\n"),
    "fixture that hides another one gone": (
        _PLAIN + "@pytest.fixture\ndef value(value): return value + 1\n",
        _PLAIN,
    ),
    "autouse gone": (
        _FIXTURE.replace("fixture", "fixture(autouse=True)").replace(
            "return 1", "raise ValueError"
        ),
        _FIXTURE.replace("return 1", "return 1"),
    ),
    "autouse new": (
        _PLAIN,
        _PLAIN + "@pytest.fixture(autouse=True)\ndef fails(): raise ValueError\n",
    ),
    "setup_module new": (_PLAIN, _PLAIN + "def setup_module(): raise ValueError\n"),
    "setup_module gone": (_PLAIN + "def setup_module(): raise ValueError\n", _PLAIN),
    "setup_function gone": (_PLAIN + "def setup_function(): raise ValueError\n", _PLAIN),
    "class": (
        _PLAIN
        + (
            "class TestX:\n    @pytest.fixture\n    def own(self): return 1\n"
            "    def test_x(self, own): assert own == 1\n"
        ),
        _PLAIN
        + (
            "class TestX:\n    @pytest.fixture\n    def own(self): return 2\n"
            "    def test_y(self, own): assert own == 1\n"
        ),
    ),
    "class gone": (_PLAIN + "class TestX:\n    def test_x(self): pass\n", _PLAIN),
    "unittest": (
        _PLAIN
        + (
            "class X(unittest.TestCase):\n    def setUp(self): self.n = 1\n"
            "    def test_x(self): assert self.n == 1\n"
        ),
        _PLAIN
        + (
            "class X(unittest.TestCase):\n    def setUp(self): self.n = 2\n"
            "    def test_x(self): assert self.n == 1\n"
        ),
    ),
    "pattern": (
        "import re\nX = re.compile('a')\n" + _PLAIN,
        "import re\nX = re.compile('b')\n" + _PLAIN + "def test_re(): assert X.match('a')\n",
    ),
    "everything gone": (_PLAIN, _IMPORTS),
    "import of what is there": (_PLAIN, _PLAIN + "import json\ndef test_json(): assert json\n"),
    "pytestmark": (_PLAIN, _PLAIN + "pytestmark = pytest.mark.skip\n"),
    "generated": (
        _PLAIN,
        _PLAIN + "def pytest_generate_tests(metafunc):\n"
        "    if 'g' in metafunc.fixturenames: metafunc.parametrize('g', [1, 2])\n"
        "def test_g(g): assert g == 1\n",
    ),
    "a warning": (_PLAIN, _PLAIN + "def test_w():\n    import warnings\n    warnings.warn('so')\n"),
}

#: The same, where everything has to be collected afresh.
AFRESH: Mapping[str, tuple[str, str]] = {
    "environment only read, which a later module may have changed": (
        _IMPORTS + "X = os.environ.get('NOTHING')\ndef test_1(): assert not X\n",
        _IMPORTS + "X = os.environ.get('HOME')\ndef test_1(): assert not X\n",
    ),
    "syntax error": (_PLAIN, _PLAIN + "def\n"),
    "import error": (_PLAIN, _PLAIN + "import nothing_of_this_name\n"),
    "exception": (_PLAIN, _PLAIN + "raise ValueError\n"),
    "skipped": (_PLAIN, _PLAIN + "pytest.skip('not now', allow_module_level=True)\n"),
    "new module": (_PLAIN, _PLAIN + "import xml.dom.minidom\ndef test_xml(): assert xml.dom\n"),
    "dropped import": (
        _PLAIN + "import xml.dom.minidom\n",
        _PLAIN + "def test_x(): import sys; assert 'xml.dom' not in sys.modules\n",
    ),
    "dropped importorskip": (
        _PLAIN + "pytest.importorskip('xml.dom.minidom')\n",
        _PLAIN + "pytest.importorskip('json')\ndef test_x(): assert 'xml.dom' not in sys.modules\n",
    ),
    "dropped state": (
        _IMPORTS + "sys.setrecursionlimit(2222)\ndef test_1(): pass\n",
        _IMPORTS + "def test_1(): assert sys.getrecursionlimit() != 2222\n",
    ),
    "registered": (
        _IMPORTS + "@helper.register\ndef test_1(): pass\ndef test_2(): pass\n",
        _IMPORTS + "def test_1(): pass\n",
    ),
    "new in a registry": (_PLAIN, _PLAIN + "helper.register('m')\n"),
    "told to an object": (_IMPORTS + "helper.LOG.seen.append('m')\n" + _PLAIN, _PLAIN),
    "told something else": (
        _IMPORTS + "helper.LOG.seen.append('m')\n" + _PLAIN,
        _IMPORTS
        + "helper.LOG.seen.append('n')\n"
        + _PLAIN
        + "def test_log(): assert helper.LOG.seen == ['n']\n",
    ),
    "told another number": (
        _IMPORTS + "helper.LOG.seen.append(1)\n" + _PLAIN,
        _IMPORTS
        + "helper.LOG.seen.append(2)\n"
        + _PLAIN
        + "def test_log(): assert helper.LOG.seen == [2]\n",
    ),
    "parameters from another module, which a later one may have changed": (
        _IMPORTS + "@pytest.mark.parametrize('n', [1, 2])\ndef test_n(n): assert n < 3\n",
        _IMPORTS
        + "@pytest.mark.parametrize('n', [1, 3, helper.VALUE])\ndef test_n(n): assert n < 3\n",
    ),
    "state set as before": (
        _IMPORTS
        + "sys.setrecursionlimit(2222)\ndef test_1(): assert sys.getrecursionlimit() == 2222\n",
        _IMPORTS
        + "sys.setrecursionlimit(3333)\ndef test_1(): assert sys.getrecursionlimit() == 2222\n",
    ),
    "less to construct an object of the project from": (
        _IMPORTS
        + (
            "import pytest\n@pytest.mark.parametrize('n', [helper.double(3)])\n"
            "def test_n(n): assert n == 6\n"
        ),
        _IMPORTS
        + (
            "import pytest\n@pytest.mark.parametrize('n', [helper.double(4)])\n"
            "def test_n(n): assert n == 6\n"
        ),
    ),
    "entry of a dictionary": (
        "from helper import CONFIG\nCONFIG['debug'] = True\n" + _PLAIN,
        "from helper import CONFIG\n" + _PLAIN + "def test_debug(): assert not CONFIG['debug']\n",
    ),
    "told twice by an edit that changes nothing": (
        _IMPORTS + "helper.LOG.seen.append('m')\ndef test_log(): assert helper.LOG.seen == ['m']\n",
        _IMPORTS
        + "helper.LOG.seen.append('m')\ndef test_log(): assert helper.LOG.seen == ['m']  # so\n",
    ),
    "the first one counts": (
        _IMPORTS
        + (
            "@helper.route('x')\ndef handler(): return 1\n"
            "def test_x(): assert helper.ROUTES['x']() == 1\n"
        ),
        _IMPORTS
        + (
            "@helper.route('x')\ndef handler(): return 2\n"
            "def test_x(): assert helper.ROUTES['x']() == 1\n"
        ),
    ),
    "counter": (
        _IMPORTS + "@pytest.mark.parametrize('n', [next(helper.COUNT)])\ndef test_n(n): pass\n",
        _IMPORTS + "@pytest.mark.parametrize('n', [next(helper.COUNT)])\ndef test_n(n): assert n\n",
    ),
    "patched in a function": (
        "import json\ndef patch(): json.JSONEncoder.item_separator = ';'\npatch()\n" + _PLAIN,
        "import json\n" + _PLAIN + "def test_json(): assert json.dumps([1, 2]) == '[1, 2]'\n",
    ),
    "patched for good": (
        _IMPORTS + "pytest.MonkeyPatch().setenv('M', '1')\n" + _PLAIN,
        _PLAIN + "def test_env(): assert 'M' not in os.environ\n",
    ),
    "environment by another name": (
        "from os import environ as e\ne['M'] = '1'\n" + _PLAIN,
        "from os import environ as e\nX = e['PATH']\n"
        + _PLAIN
        + "def test_env(): assert 'M' not in e\n",
    ),
    "state of Python's own": (
        "import calendar\ncalendar.setfirstweekday(6)\n" + _PLAIN,
        "import calendar\n" + _PLAIN + "def test_day(): assert calendar.firstweekday() == 0\n",
    ),
    "import in a function": (
        (
            "def quiet():\n    import warnings\n    warnings.filterwarnings('ignore', "
            "message='so')\nquiet()\n"
        )
        + _PLAIN,
        _PLAIN + "def test_w():\n    import warnings\n    warnings.warn('so')\n",
    ),
    "name that is deleted": (
        "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)\ndel signal\n" + _PLAIN,
        _PLAIN
        + (
            "def test_s():\n    import signal\n    assert signal.getsignal(signal.SIGUSR1) == "
            "signal.SIG_DFL\n"
        ),
    ),
    "mark on something imported": (
        _IMPORTS + "test_s = pytest.mark.xfail(helper.double)\n" + _PLAIN,
        _IMPORTS + "test_s = helper.register\n" + _PLAIN,
    ),
    "nested sub-class": (
        _IMPORTS
        + (
            "class TestA:\n    class M(helper.Base): pass\n"
            "    def test_a(self): assert len(helper.Base.__subclasses__()) == 1\n"
        ),
        _IMPORTS
        + (
            "class TestA:\n    class N(helper.Base): pass\n"
            "    def test_a(self): assert len(helper.Base.__subclasses__()) == 1\n"
        ),
    ),
    "sub-class of Python's own": (
        _IMPORTS + "class A(unittest.TestCase):\n    def test_a(self): pass\n",
        _IMPORTS + "class A(unittest.TestCase):\n    def test_b(self):\n"
        "        assert len([c for c in unittest.TestCase.__subclasses__() if c.__module__ "
        "== 'test_m']) == 1\n",
    ),
    "patched": (
        _IMPORTS + "helper.VALUE = 2\n" + _PLAIN,
        _PLAIN + "def test_helper(): assert helper.VALUE == 1\n",
    ),
    "environment": (
        _IMPORTS + "os.environ['M'] = '1'\n" + _PLAIN,
        _IMPORTS
        + "os.environ['N'] = '1'\n"
        + _PLAIN
        + "def test_env(): assert 'M' not in os.environ\n",
    ),
    "new in the environment": (_PLAIN, "import os\nos.environ['M'] = '1'\n" + _PLAIN),
    "path": (
        _IMPORTS + "sys.path.append('/nowhere')\n" + _PLAIN,
        _PLAIN + "def test_path(): assert '/nowhere' not in sys.path\n",
    ),
    "module put in place": (
        _IMPORTS + "sys.modules['put'] = helper\n" + _PLAIN,
        _PLAIN + "def test_put(): assert 'put' not in sys.modules\n",
    ),
    "sub-class": (
        _PLAIN
        + (
            "class Own(helper.Base): pass\ndef test_one(): assert "
            "len(helper.Base.__subclasses__()) == 1\n"
        ),
        _PLAIN
        + (
            "class New(helper.Base): pass\ndef test_one(): assert "
            "len(helper.Base.__subclasses__()) == 1\n"
        ),
    ),
    "plugin": (_PLAIN, _PLAIN + "pytest_plugins = ['helper']\n"),
    "handler at exit": (
        "import atexit\natexit.register(int)\n" + _PLAIN,
        "import atexit\n" + _PLAIN,
    ),
    "warning filter": (
        "import warnings\nwarnings.filterwarnings('ignore', message='so')\n" + _PLAIN,
        "import warnings\n" + _PLAIN + "def test_w(): warnings.warn('so')\n",
    ),
}


class Edited:
    """A project with a warm session, whose test modules are edited."""

    def __init__(
        self, project: Project, folder: Path, files: Mapping[str, str], args: str = ""
    ) -> None:
        self.folder = folder
        self.log = folder.parent / f"{folder.name}-imported"
        scenario = Scenario("an edit", {**FILES, **files}, [], args, {"IMPORTED": str(self.log)})
        self.scene = Scene(project, folder, scenario)
        self.scene.write(scenario.files)
        assert self.imported_by("at the beginning") == ["rpytest", "pytest"]

    def edit(self, **texts: str) -> None:
        """Write modules, in a second of their own, and when rpytest has had the time to look at
        what they are now.
        """
        pattern = re.compile(
            rf"kept for other arguments: {re.escape(str(self.folder))}, .* waits for the next run"
        )
        # As a rule it comes at once. It does not come at all when the checkpoint has looked at the
        # project while pytest was at work in it.
        processes.wait_until(
            lambda: pattern.search(status(self.scene.project)) is not None, seconds=30
        )
        self.scene.settle()
        self.scene.write({f"{name}.py": text for name, text in texts.items()})

    def imported_by(self, where: str, args: str | None = None) -> list[str]:
        """Run the command by rpytest, twice, and by pytest, which must agree; returns who has
        imported the module that is never edited.
        """
        # Not removed: that a file is there, to which a module has appended, is noticed.
        self.log.write_text("")
        agree(self.scene, where, args)
        # For a failure.
        print(status(self.scene.project))
        return self.log.read_text().split() if self.log.exists() else []


@pytest.mark.parametrize("name", SERVED)
def test_only_it_is_imported_again(shared_project: Project, folder: Path, name: str) -> None:
    before, after = SERVED[name]
    edited = Edited(shared_project, folder, {"test_m.py": before})
    edited.edit(test_m=after)
    assert edited.imported_by("after the edit") == ["pytest"]
    edited.edit(test_m=before)
    assert edited.imported_by("after it was taken back") == ["pytest"]


@pytest.mark.parametrize("name", AFRESH)
def test_everything_is_collected_afresh(shared_project: Project, folder: Path, name: str) -> None:
    before, after = AFRESH[name]
    edited = Edited(shared_project, folder, {"test_m.py": before})
    edited.edit(test_m=after)
    assert edited.imported_by("after the edit").count("rpytest") >= 1


def test_two_modules_and_other_arguments(shared_project: Project, folder: Path) -> None:
    edited = Edited(shared_project, folder, {"test_m.py": _PLAIN, "sub/test_n.py": _PLAIN})
    edited.edit(test_m=_PLAIN + "def test_new(): assert 0\n")
    assert edited.imported_by("after an edit") == ["pytest"]
    edited.edit(**{"sub/test_n": _PLAIN.replace("test_1", "test_new")})
    assert edited.imported_by("after two") == ["pytest"]
    for args in (
        "-k new",
        "test_m.py",
        "sub/test_n.py::test_new",
        "-v --tb=line",
        "sub test_m.py::test_1",
        "--lf",
    ):
        # The last module is not among some of them.
        assert set(edited.imported_by(args, args)) <= {"pytest"}, args


def test_a_module_that_another_one_imports(shared_project: Project, folder: Path) -> None:
    other = "from test_m import VALUE\ndef test_value(): assert VALUE == 1\n"
    edited = Edited(
        shared_project, folder, {"test_m.py": "VALUE = 1\ndef test_m(): pass\n", "test_o.py": other}
    )
    edited.edit(test_m="VALUE = 2\ndef test_m(): pass\n")
    assert "rpytest" in edited.imported_by("after the edit")


def test_a_module_that_a_conftest_reads(shared_project: Project, folder: Path) -> None:
    conftest = (
        FILES["conftest.py"]
        + "import pathlib\nCOUNT = pathlib.Path(__file__).with_name('test_m.py').read_text().count('def')\n"  # noqa: E501
    )
    conftest += "def pytest_report_header(): return f'definitions: {COUNT}'\n"
    edited = Edited(shared_project, folder, {"test_m.py": _PLAIN, "conftest.py": conftest})
    edited.edit(test_m=_PLAIN + "def test_3(): pass\n")
    assert "rpytest" in edited.imported_by("after the edit")


def test_items_that_a_conftest_counts(shared_project: Project, folder: Path) -> None:
    conftest = (
        FILES["conftest.py"] + "SEEN = []\ndef pytest_itemcollected(item): SEEN.append(item.name)\n"
    )
    conftest += "def pytest_report_collectionfinish(): return f'seen: {SEEN}'\n"
    edited = Edited(shared_project, folder, {"test_m.py": _PLAIN, "conftest.py": conftest})
    edited.edit(test_m=_PLAIN.replace("test_1", "test_other"))
    assert "rpytest" in edited.imported_by("after the edit")


def test_folders_with_modules_of_equal_names(shared_project: Project, folder: Path) -> None:
    """Each folder of tests is on `sys.path` from the moment on that pytest imports its first
    module.
    """
    files = {
        "a/test_a.py": _PLAIN,
        "a/own.py": "VALUE = 'a'\n",
        "b/test_c.py": "import own_b\n" + _PLAIN,
        "b/own_b.py": "",
    }
    edited = Edited(shared_project, folder, files)
    edited.edit(
        **{
            "a/test_a": _PLAIN
            + "def test_path(): print(len(sys.path), [p[-2:] for p in sys.path[:3]])\n"
        }
    )
    assert edited.imported_by("after the edit") == ["pytest"]
    # It is not found by a fresh pytest: its folder comes later.
    edited.edit(**{"a/test_a": "import own_b\n" + _PLAIN})
    assert "rpytest" in edited.imported_by("after an import from another folder")


def test_a_package_of_tests(shared_project: Project, folder: Path) -> None:
    files = {
        "tests/__init__.py": "",
        "tests/common.py": "VALUE = 1\n",
        "tests/test_p.py": "from .common import VALUE\n" + _PLAIN,
    }
    edited = Edited(shared_project, folder, files)
    edited.edit(
        **{
            "tests/test_p": "from .common import VALUE\n"
            + _PLAIN
            + "def test_value(): assert VALUE == 2\n"
        }
    )
    assert edited.imported_by("after the edit") == ["pytest"]
    edited.edit(
        **{
            "tests/test_p": "from . import common\n"
            + _PLAIN
            + "def test_value(): assert common.VALUE == 2\n"
        }
    )
    assert "rpytest" in edited.imported_by("after another import")


@pytest.mark.parametrize("mode", ["append", "importlib"])
def test_import_modes(shared_project: Project, folder: Path, mode: str) -> None:
    files = {
        "sub/test_m.py": "import pytest\ndef test_m(): pass\n",
        "test_b.py": "def test_b(): pass\n",
    }
    edited = Edited(shared_project, folder, files, f"--import-mode={mode}")
    edited.edit(**{"sub/test_m": "import pytest\ndef test_m(): assert 0\n"})
    assert edited.imported_by("after the edit") == ["pytest"]


def test_doctests_of_the_module(shared_project: Project, folder: Path) -> None:
    text = '"""\n>>> 1\n1\n"""\ndef test_m(): pass\n'
    edited = Edited(shared_project, folder, {"test_m.py": text}, "--doctest-modules")
    edited.edit(test_m=text.replace(">>> 1", ">>> 2"))
    assert "rpytest" in edited.imported_by("after the edit")


def test_a_module_that_changes_how_warnings_are_shown(
    shared_project: Project, folder: Path
) -> None:
    """What is collected anew comes after it, as nothing else does."""
    files = {
        "test_m.py": _PLAIN,
        "test_n.py": "import warnings\nwarnings.simplefilter('ignore')\ndef test_n(): pass\n",
    }
    edited = Edited(shared_project, folder, files)
    edited.edit(test_m=_PLAIN + "def test_3(): pass\n")
    assert edited.imported_by("after an edit without warnings") == ["pytest"]
    edited.edit(test_m="import warnings\nwarnings.warn('so')\n" + _PLAIN)
    assert "rpytest" in edited.imported_by("after an edit that warns")


#: What else may know of a test module: files, and the edit.
KNOWN: Mapping[str, tuple[Mapping[str, str], str, str]] = {
    "a conftest that is collected": (
        {"pytest.ini": "[pytest]\npython_files = *.py\n"},
        "conftest",
        FILES["conftest.py"].replace("return 1", "return 2"),
    ),
    "a plugin": (
        {
            "pytest.ini": "[pytest]\npythonpath = .\naddopts = -p test_m\n",
            "test_m.py": _FIXTURE,
            "test_n.py": "def test_n(mine): assert mine == 1\n",
        },
        "test_m",
        _FIXTURE.replace("return 1", "return 2"),
    ),
    "a package that imports all that is in it": (
        {
            "tests/__init__.py": "import importlib, pkgutil\nALL = {}\n"
            "for each in pkgutil.iter_modules(__path__):\n"
            "    ALL[each.name] = importlib.import_module(f'{__name__}.{each.name}')\n",
            "tests/test_p.py": "X = 1\ndef test_p(): pass\n",
            "tests/test_q.py": "from tests import ALL\ndef test_q(): assert ALL['test_p'].X == 1\n",
        },
        "tests/test_p",
        "X = 2\ndef test_p(): pass\n",
    ),
    "a test that looks for all of them": (
        {
            # Else it comes with the first run, and who lists the folder finds it in the second one.
            ".pytest_cache/CACHEDIR.TAG": "",
            "test_a.py": "import importlib, pathlib, pytest\nHERE = pathlib.Path(__file__).parent\n"
            "ALL = [importlib.import_module(p.stem) for p in sorted(HERE.glob('test_[m-y]*.py'))]\n"
            "@pytest.mark.parametrize('name', [n for m in ALL for n in vars(m) if "
            "n.startswith('test')])\ndef test_all(name): pass\n",
            "test_m.py": _PLAIN,
        },
        "test_m",
        _PLAIN + "def test_3(): pass\n",
    ),
    "a module that executes a text": (
        {
            "test_m.py": "X = 1\ndef test_m(): pass\n",
            "test_n.py": "exec('from test_' + 'm import X')\ndef test_n(): assert X == 1\n",
        },
        "test_m",
        "X = 2\ndef test_m(): pass\n",
    ),
    "a hook that keeps parameters": (
        {
            "conftest.py": FILES["conftest.py"] + "import functools, sys\n@functools.lru_cache\n"
            "def cases(name): return sys.modules[name].CASES\n"
            "def pytest_generate_tests(metafunc):\n"
            "    if 'case' in metafunc.fixturenames: metafunc.parametrize('case', "
            "cases(metafunc.module.__name__))\n",
            "test_m.py": "CASES = [1]\ndef test_m(case): pass\n",
        },
        "test_m",
        "CASES = [1, 2]\ndef test_m(case): pass\n",
    ),
    "a module that sets the same state later": (
        {
            "test_m.py": "import sys\nsys.setrecursionlimit(2222)\ndef test_m(): pass\n",
            "test_n.py": (
                "import sys\nsys.setrecursionlimit(3333)\n"
                "def test_n(): assert sys.getrecursionlimit() == 3333\n"
            ),
        },
        "test_m",
        "import sys\nsys.setrecursionlimit(2222)\ndef test_m(): assert 1\n",
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_somebody_may_know_of_it(shared_project: Project, folder: Path, name: str) -> None:
    files, module, text = KNOWN[name]
    edited = Edited(shared_project, folder, files)
    edited.edit(**{module: text})
    assert "rpytest" in edited.imported_by("after the edit")


def test_a_module_that_is_collected_twice(shared_project: Project, folder: Path) -> None:
    """By a link to its folder: both are one module."""
    shared_project.fill(folder, {"real/test_s.py": _PLAIN})
    (folder / "link").symlink_to("real")
    edited = Edited(shared_project, folder, {})
    edited.edit(**{"real/test_s": _PLAIN.replace("pass", "assert 0")})
    assert "rpytest" in edited.imported_by("after the edit")
