"""After an edit of a test module: who has functions that may find any module, such as most libraries have, may not have called them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import Project
from rpytest._lookups import Where, where
from test_edits import Edited

_M = "X = 1\ndef test_m(): pass\n"

#: Begins a helper that the conftest imports, so before any test module.
_HELPER = "import importlib, sys\nKEPT = []\n"
_CONFTEST = "import lookup\n"

#: Looks when it is called.
_KEEP = "def keep(name): KEPT.append(importlib.import_module(name))\n"

#: Comes after `test_m.py`; a text with its name would be found in the source.
_CALLS = "import lookup\nlookup.keep('test_' + 'm')\ndef test_n(): assert lookup.KEPT[0].X == 2\n"

#: Files of projects in which nobody has `test_m` though somebody might, and whether any Python can tell.
SERVED: Mapping[str, tuple[Mapping[str, str], bool]] = {
    "a function that is not called": ({"lookup.py": _HELPER + _KEEP, "conftest.py": _CONFTEST}, False),
    "a function that was called before": (
        {"lookup.py": _HELPER + _KEEP, "conftest.py": _CONFTEST + "lookup.keep('js' + 'on')\n"},
        False,
    ),
    "a method that executes a text": (
        {"lookup.py": "class Template:\n    def run(self, text): exec(text, {})\n", "conftest.py": _CONFTEST},
        False,
    ),
    "modules with names that are known": (
        {
            "lookup.py": "import sys\nfrom importlib import import_module\nJSON = import_module('json')\nOWN = sys.modules[__name__]\n"
            "def is_there(): return 'json' in sys.modules and sys.modules.get('json')\n",
            "conftest.py": _CONFTEST,
        },
        True,
    ),
    "a hook that hears of paths": (
        {
            "conftest.py": "def pytest_ignore_collect(collection_path, config): return True if 'old' in collection_path.name else None\n"
        },
        True,
    ),
}

#: Files of projects in which somebody has got `test_m`.
AFRESH: Mapping[str, Mapping[str, str]] = {
    "a function that is called later": {"lookup.py": _HELPER + _KEEP, "conftest.py": _CONFTEST, "test_n.py": _CALLS},
    "a name that is handed on": {
        "lookup.py": _HELPER + "find = importlib.import_module\ndef keep(name): KEPT.append(find(name))\n",
        "conftest.py": _CONFTEST,
        "test_n.py": _CALLS,
    },
    "another name": {
        "lookup.py": "from importlib import import_module as find\nKEPT = []\ndef keep(name): KEPT.append(find(name))\n",
        "conftest.py": _CONFTEST,
        "test_n.py": _CALLS,
    },
    "all modules": {
        "lookup.py": _HELPER + "ALL = sys.modules\ndef keep(name): KEPT.append(ALL[name])\n",
        "conftest.py": _CONFTEST,
        "test_n.py": _CALLS,
    },
    "a hook that goes on": {
        "lookup.py": _HELPER,
        "conftest.py": _CONFTEST
        + "import pytest, sys\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_collection():\n    yield\n"
        "    lookup.KEPT.append(sys.modules['test_' + 'm'])\n",
        "test_n.py": "import lookup\ndef test_n(): assert lookup.KEPT[0].X == 2\n",
    },
    "a generator into which an exception is thrown": {
        "lookup.py": _HELPER + "import contextlib\n@contextlib.contextmanager\ndef kept(name):\n    try: yield\n"
        "    except ValueError: KEPT.append(sys.modules[name])\n",
        "conftest.py": _CONFTEST + "import pytest\nMANAGER = lookup.kept('test_' + 'm')\nMANAGER.__enter__()\n",
        "test_n.py": "import conftest, lookup\nconftest.MANAGER.__exit__(ValueError, ValueError(), None)\n"
        "def test_n(): assert lookup.KEPT[0].X == 2\n",
    },
    "a function that was made of a text": {
        "lookup.py": _HELPER
        + "def make(text):\n    space = {'KEPT': KEPT}\n    exec(text, space)\n    return space['keep']\n"
        "keep = make('def keep(name):\\n    import sys\\n    KEPT.append(sys.modules[name])\\n')\n",
        "conftest.py": _CONFTEST,
        "test_n.py": _CALLS,
    },
}


@pytest.mark.parametrize("name", SERVED)
def test_nobody_has_looked(shared_project: Project, folder: Path, name: str) -> None:
    files, is_certain = SERVED[name]
    edited = Edited(shared_project, folder, {**files, "test_m.py": _M})
    edited.edit(test_m=_M + "def test_more(): assert 0\n")
    # From Python 3.12 on functions that are called can be noticed.
    expected = ["pytest"] if is_certain or sys.version_info >= (3, 12) else ["rpytest", "pytest"]
    assert edited.imported_by("after the edit") == expected


@pytest.mark.parametrize("name", AFRESH)
def test_somebody_has_looked(shared_project: Project, folder: Path, name: str) -> None:
    edited = Edited(shared_project, folder, {**AFRESH[name], "test_m.py": _M})
    edited.edit(test_m=_M.replace("1", "2"))
    assert "rpytest" in edited.imported_by("after the edit")


def test_tests_find_nobody_watching(shared_project: Project, folder: Path) -> None:
    """What tells that a function was called is gone when tests run."""
    monitored = (
        "import sys, lookup\ndef test_tools():\n    if sys.version_info >= (3, 12):\n"
        "        assert [sys.monitoring.get_tool(tool) for tool in range(6)] == [None] * 6\n"
    )
    files = {"lookup.py": _HELPER + _KEEP, "conftest.py": _CONFTEST, "test_t.py": monitored, "test_m.py": _M}
    edited = Edited(shared_project, folder, files)
    edited.edit(test_m=_M + "def test_more(): pass\n")
    edited.imported_by("after the edit")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import sys\ndef f(): return sys.path", Where.NOWHERE),
        ("def f(): return self.modules", Where.NOWHERE),
        ("import sys\nX = sys.modules[__name__]", Where.NOWHERE),
        ("import sys\nX = 'a' in sys.modules", Where.NOWHERE),
        ("import sys\nX = sys.modules.get('a')\ndel sys.modules['a']", Where.NOWHERE),
        ("from importlib import import_module\nX = import_module('a')", Where.NOWHERE),
        ("def test_1(): eval('1')", Where.NOWHERE),
        ("def f(name): return __import__(name)", Where.IN_FUNCTIONS),
        ("X = lambda name: eval(name)", Where.IN_FUNCTIONS),
        ("import sys\ndef f(a): return sys.modules[a], a in sys.modules, sys.modules.pop(a)", Where.IN_FUNCTIONS),
        ("import sys\ndef f():\n for x in sys.modules.values(): pass\n return list(sys.modules)", Where.IN_FUNCTIONS),
        ("import sys\ndef f(): return sys.modules.copy()", Where.IN_FUNCTIONS),
        ("X = eval('1')", Where.ANYWHERE),
        ("def f(x=eval('1')): pass", Where.ANYWHERE),
        ("@eval('1')\ndef test_f(): pass", Where.ANYWHERE),
        ("class A:\n x = __import__(name)", Where.ANYWHERE),
        ("def f(): return map(eval, texts)", Where.ANYWHERE),
        ("import sys\ndef f(): return sys.modules", Where.ANYWHERE),
        ("import sys\ndef f(): return sys.modules.values()", Where.ANYWHERE),
        ("import sys\ndef f(): return sys.modules == 1", Where.ANYWHERE),
        ("import sys as system\ndef f(a): return system.modules[a]", Where.ANYWHERE),
        ("from sys import modules\ndef f(a): return modules[a]", Where.ANYWHERE),
        ("from importlib import import_module as i", Where.ANYWHERE),
        ("def", Where.ANYWHERE),
        (None, Where.ANYWHERE),
    ],
)
def test_where(source: str | None, expected: Where) -> None:
    assert where(None if source is None else source.encode()) is expected
