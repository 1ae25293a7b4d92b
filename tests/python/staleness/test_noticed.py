"""A session is looked at while it is made: nobody in the project may see that, or be disturbed."""

from __future__ import annotations

import pytest

from support.harness import Project

CASES = {
    "os.stat taken by name": {
        "mod.py": (
            "import os\nfrom os import stat, access\nheld = [os.stat]\nhere = stat(__file__)\n"
        ),
        "test_a.py": (
            "import inspect, os, posix, weakref\nfrom unittest import mock\nimport mod\n\n"
            "def test_taken():\n"
            "    assert mod.stat is os.stat is posix.stat\n"
            "    assert mod.access is os.access\n"
            "    assert mod.stat.__module__ == 'posix'\n"
            "    assert inspect.isbuiltin(mod.stat)\n\n"
            "def test_held():\n"
            "    assert inspect.isbuiltin(mod.held[0])\n"
            "    assert mod.held[0] == os.stat\n"
            "    assert str(inspect.signature(mod.held[0])) == str(inspect.signature(os.stat))\n"
            "    weakref.ref(mod.held[0])\n"
        ),
    },
    "the current directory is gone": {
        "conftest.py": (
            "import os, tempfile\nbefore = os.getcwd()\nos.chdir(tempfile.mkdtemp())\n"
            "os.rmdir(os.getcwd())\n"
            "os.stat('.')\nos.path.exists('x')\nos.chdir(before)\n"
        ),
        "test_a.py": "def test_1(): pass\n",
    },
    "values that can't be compared": {
        "arrays.py": (
            "class Array:\n    def __ne__(self, other): return self\n    __eq__ = __ne__\n"
            "    def __bool__(self): raise ValueError('ambiguous')\n    __hash__ = None\n"
            "LIMITS = (Array(), Array())\n"
            "def set_up():\n    global LIMITS\n    LIMITS = (Array(), Array())\n"
        ),
        "test_a.py": "import arrays\narrays.set_up()\ndef test_1(): pass\n",
        "test_b.py": "import arrays\narrays.set_up()\ndef test_1(): pass\n",
    },
    "objects that are not there yet": {
        "lazy.py": (
            "class Lazy:\n    @property\n    def __class__(self): raise ImportError('not "
            "configured')\n"
            "    def __getattr__(self, name): raise ImportError('not configured')\n"
            "settings = Lazy()\n"
            "def set_up():\n    global settings\n    settings = Lazy()\n"
            "class Meta(type):\n    def __getattribute__(cls, name): raise "
            "ImportError('not configured')\n"
            "class Odd(metaclass=Meta): pass\n"
        ),
        "test_a.py": "import lazy\nlazy.set_up()\ndef test_1(): pass\n",
        "test_b.py": "import lazy\nlazy.set_up()\ndef test_1(): pass\n",
    },
    "what a test lets go of goes": {
        "res.py": "class Client: pass\nclient = Client()\n",
        "test_a.py": (
            "import gc, weakref\nimport res\n\n"
            "def test_1():\n"
            "    held = weakref.ref(res.client)\n"
            "    res.client = None\n"
            "    gc.collect()\n"
            "    assert held() is None\n"
        ),
    },
}


@pytest.mark.parametrize("case", CASES)
def test_unseen(project: Project, case: str) -> None:
    project.write(CASES[case])
    project.compare(n=2)
    project.compare(n=2)
    project.compare("test_a.py", n=1)
