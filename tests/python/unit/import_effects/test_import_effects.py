"""Which test modules leave nothing when they are imported, and which may: by their sources
alone.
"""

from __future__ import annotations

import sys
import types
import unittest.mock
import xml.dom
from collections.abc import Iterator

import pytest

from rpytest.import_effects.analysis import import_effects
from rpytest.import_effects.symbolic_values import ImportEffects, MayLeaveTraces

#: What the sources import is imported, as it is when a module has been collected.
_IMPORTED = (unittest.mock, xml.dom)

#: A module of the project that the others import.
_HELPER = """
import itertools, logging
VALUE=1
LIST=[1,2]
REG={}
def f(x): return x
class Base: pass
class Init:
    def __init_subclass__(cls): pass
class Lazy:
    def __getattr__(self,n): return 1
LAZY=Lazy()
COUNT=itertools.count()
class E(Exception): pass
import enum
class Col(enum.Enum):
    A=1
"""

#: These leave nothing.
QUIET = (
    "",
    "def test_1(): pass\n",
    "import pytest\n@pytest.mark.parametrize('n',[1,2])\ndef test_n(n): pass\n",
    "import pytest\n@pytest.fixture(params=[1,2],ids=lambda x: 'a')\ndef fx(request): return 1\n",
    (
        "import pytest\nfrom helper import VALUE, f\n@pytest.mark.parametrize('n',[VALUE, f])\n"
        "def test_n(n): pass\n"
    ),
    "import pytest, helper\n@pytest.mark.parametrize('n',helper.LIST)\ndef test_n(n): pass\n",
    "import unittest\nclass X(unittest.TestCase):\n    def test_a(self): pass\n",
    "import helper\nclass TestX(helper.Base):\n    def test_a(self): pass\n",
    "import os\nX=os.environ.get('A')\nY=os.environ['HOME']\nif 'Z' in os.environ: Z=1\n",
    "from pathlib import Path\nHERE=Path(__file__).parent\nDATA=HERE/'data'\nT=DATA.exists()\n",
    "CASES=[]\nfor i in range(3):\n    CASES.append(i)\nCASES+=[4]\nD={}\nD['x']=1\n",
    (
        "import pytest\ndef pytest_generate_tests(metafunc):\n"
        "    if 'g' in metafunc.fixturenames: metafunc.parametrize('g',[1,2])\n"
    ),
    (
        "import dataclasses\n@dataclasses.dataclass\nclass C:\n    a: int\n"
        "    b: list = dataclasses.field(default_factory=list)\nX=[C(1,[])]\n"
    ),
    (
        "def sizes(): return [1]\nimport pytest\n@pytest.mark.parametrize('n', sizes())\n"
        "def test_n(n): pass\n"
    ),
    "try:\n    import json\nexcept ImportError:\n    json=None\n",
    "try:\n    import nothing_zz\nexcept ImportError:\n    nothing_zz=None\n",
    "import pytest\nj=pytest.importorskip('json')\n",
    "if __name__=='__main__':\n    import sys\n    sys.exit()\n",
    "from __future__ import annotations\nimport helper\ndef test_1(x: helper.f(3)): pass\n",
    (
        "from typing import Optional, List\nimport helper\n"
        "def test_1(x: Optional[helper.Base], y: list[int]) -> None: pass\n"
    ),
    "import sys\nif sys.version_info >= (3,8):\n    import json\nelse:\n    import tomli\n",
    "import re\nX=re.compile('a')\n",
    "from unittest import mock\n@mock.patch('os.getcwd')\ndef test_a(m): pass\n",
    (
        "import pytest\npytestmark=[pytest.mark.skip]\nslow=pytest.mark.slow\n@slow\n"
        "def test_a(): pass\n"
    ),
    (
        "import pytest, helper\n@pytest.mark.xfail(raises=helper.E)\ndef test_1(): pass\n"
        "@pytest.mark.parametrize('c', helper.Col)\ndef test_2(c): pass\n"
        "@pytest.mark.parametrize('c', [helper.Col.A])\ndef test_3(c): pass\n"
    ),
    "import enum\nclass K(enum.Enum):\n    A=1\n    B=2\nX=[K.A]\n",
    (
        "import pytest\n@pytest.mark.parametrize('e',[(pytest.raises(ValueError)),1])\n"
        "def test_e(e): pass\n"
    ),
    "X=[x*2 for x in range(3) if x]\nY={k:v for k,v in zip('ab',X)}\nZ=f'{X}'\nW='{}'.format(3)\n",
    (
        "class TestA:\n    X=1\n    @staticmethod\n    def s(): pass\n    @classmethod\n"
        "    def c(cls): pass\n    class TestB:\n        def test_a(self): pass\n"
    ),
    "import pytest\n@pytest.mark.parametrize('n', [1], ids=['a'])\ndef test_n(n): pass\n",
    "class Config:\n    def __init__(self, a): self.a = a\nX = [Config(1)]\n",
    "import collections\nX = collections.defaultdict(list)\nX['a'].append(1)\n",
    "NAMES = sorted({'b', 'a'})\nfor name in NAMES:\n    if name.startswith('a'): break\n",
    "import pytest\npytest.skip('not here', allow_module_level=True)\n",
    "import datetime\nNOW = datetime.datetime.now()\nUTC = datetime.timezone.utc\n",
    "def outer(f): return f\n@outer\ndef test_1(): pass\n",
)

#: Of these nobody knows, or they do leave something.
NOISY = (
    "import helper\nhelper.f(1)\n",
    "import helper\nhelper.REG['a']=1\n",
    "from helper import REG\nREG['a']=1\n",
    "import helper\n@helper.f\ndef test_1(): pass\n",
    "import helper\nclass X(helper.Init): pass\n",
    "from helper import LAZY\n",
    "import helper\nX=next(helper.COUNT)\n",
    "import helper\nX=[next(c) for c in [helper.COUNT]]\n",
    "import sys\nsys.path.insert(0,'x')\n",
    "import sys\nsys.modules['x']=sys\n",
    "import os\nos.environ['A']='1'\n",
    "import os\nos.umask(3)\n",
    "import random\nrandom.seed(1)\n",
    "import logging\nlogging.disable()\n",
    "import logging\nL=logging.getLogger('a')\n",
    "import helper\ndef test_1(x: helper.f('a') = 1): pass\n",
    "import helper\ndef test_1(x=helper.f(1)): pass\n",
    "import typing\n@typing.overload\ndef f(x): ...\n",
    "import collections.abc, helper\ncollections.abc.Sequence.register(helper.Base)\n",
    "import dataclasses, helper\nP=dataclasses.dataclass(helper.Base)\n",
    (
        "import dataclasses, helper\n@dataclasses.dataclass\nclass C:\n"
        "    a: int = dataclasses.field(default_factory=helper.f)\nX=C()\n"
    ),
    "import helper\nfor r in [helper.REG]: r['a']=1\n",
    "import helper\nx=helper.LIST\nx.append(1)\n",
    "import helper\nx=helper.LIST\nx+=[1]\n",
    "import helper\ndef g(r): r.append(1)\ng(helper.LIST)\n",
    "import helper\nclass T:\n    helper.REG['x']=1\n",
    "from unittest.mock import patch\npatch('os.getcwd').start()\n",
    "import pathlib\npathlib.Path('/tmp/zz').mkdir()\n",
    "import operator,helper\noperator.setitem(helper.REG,'a',1)\n",
    "import pytest, helper\n@pytest.mark.parametrize('n', helper.COUNT)\ndef test_n(n): pass\n",
    "import helper\nx=helper.LAZY\n",
    "from helper import *\n",
    "pytest_plugins=['x']\n",
    "def __getattr__(n): return 1\n",
    "import helper\nX = sorted([helper.Base, helper.E])\n",
    "import helper\nX={helper.f: 1}\n",
    "import helper\nX=f'{helper.Base}'\n",
    (
        "import pytest,helper\n@pytest.mark.parametrize('n',[helper.Base],ids=helper.f)\n"
        "def test_n(n): pass\n"
    ),
    "import helper\ndef pytest_generate_tests(metafunc): helper.f(metafunc)\n",
    "import helper\nif helper.COUNT: pass\n",
    "import helper\nx = helper.VALUE if helper.COUNT else 3\n",
    "import helper\n[helper.f][0](1)\n",
    "import helper\n(lambda: helper.f(1))()\n",
    "g=lambda: __import__('x')\ng()\n",
    "open('x','w')\n",
    "print('x')\n",
    "exec('x=1')\n",
    "import warnings\nwarnings.simplefilter('ignore')\n",
    "import atexit\natexit.register(print)\n",
    "import helper\nhelper.VALUE=2\n",
    "import helper\nhelper.VALUE+=2\n",
    "import helper\ndel helper.VALUE\n",
    "import helper\nsetattr(helper,'x',1)\n",
    "import helper\nx = helper\nx.VALUE=3\n",
    "import helper\nfor helper.VALUE in [1]: pass\n",
    "import helper\nwith helper.f(1): pass\n",
    "import helper\n(helper.REG).update(a=1)\n",
    "import helper\nX=[helper.REG]\nX[0]['a']=1\n",
    "import helper\nX=[helper.REG]\nX[0].update(a=1)\n",
    "import helper\nX={'a':helper.REG}\nX['a']['b']=1\n",
    "import functools, helper\n@functools.lru_cache\ndef g(): return helper.f(1)\ng()\n",
    "import sys\nclass A:\n    sys.x=1\n",
    "import json\njson.dumps(1,default=print) and setattr(json,'x',1)\n",
    "import helper\nassert helper.COUNT\n",
    "import helper\nmatch helper.COUNT:\n    case _: pass\n",
    (
        "def deco(f):\n    import helper\n    helper.REG[f]=1\n    return f\n@deco\n"
        "def test_1(): pass\n"
    ),
    "import helper\ndef deco(f):\n    helper.REG['a']=f\n    return f\n@deco\ndef test_1(): pass\n",
    "import helper\nclass TestA:\n    a = helper.LAZY\n",
    "import helper\nx=[*helper.COUNT]\n",
    "import helper\na,b=helper.COUNT\n",
    "import helper\nclass D:\n    def __set_name__(self,o,n): helper.f(1)\nclass C:\n    d=D()\n",
    "import helper\nfrom typing import cast\nx=cast(int, helper.f(2))\n",
    "import helper, copy\ncopy.copy(helper.LAZY)\n",
    "import helper\nx = helper.LIST * 2\nhelper.LIST.extend(x)\n",
    "import helper\n_ = helper.REG.setdefault('x', 1)\n",
    "import helper\n_ = helper.REG.pop('x', 1)\n",
    "import helper\n_ = helper.LIST.copy().append(helper.f(1))\n",
    "import helper\ndef g(*, x=helper.LIST):\n    x.append(1)\ng()\n",
    "import helper\ndef g(x=helper.LIST):\n    x.append(1)\ng()\n",
    "import helper\ndef g(*a):\n    a[0].append(1)\ng(helper.LIST)\n",
    "import helper\ndef g(x):\n    y = x\n    return y\ng(helper.LIST).append(3)\n",
    "import helper\nX=[]\nX.append(helper.LIST)\nX[0].append(1)\n",
    "import helper\nX=[]\nX.append(helper.LIST)\nfor x in X: x.append(1)\n",
    "import helper\nX=[[]]\nX[0].append(helper.LIST)\nX[0][0].append(1)\n",
    "import helper\nX={}\nX.setdefault('a', []).append(helper.LIST)\nX['a'][0].append(4)\n",
    "import helper\nX=[]\nX.extend([helper.LIST])\nX[0].append(1)\n",
    "import helper\nX=[]\nY=X\nY.append(helper.LIST)\nX[0].append(1)\n",
    "import helper\nX=[]\nX+=[helper.LIST]\nX[0].append(1)\n",
    "import helper\nX=[]\ndef g():\n    X.append(helper.LIST)\ng()\nX[0].append(1)\n",
    "import helper\nX=[1]\ndef g():\n    X[0]=helper.LIST\ng()\nX[0].append(1)\n",
    "import helper\nclass K:\n    L=[]\n    L.append(helper.LIST)\n    L[0].append(1)\n",
    "import helper\nX=([],)\nX[0].append(helper.LIST)\nX[0][0].append(1)\n",
    "import helper\nX=[[]]\nfor y in X: y.append(helper.LIST)\nX[0][0].append(1)\n",
    "import logging.config\nlogging.config.dictConfig({})\n",
    "import sys\nsys.setrecursionlimit(2000)\n",
    "import helper\nclass TestX(helper.Lazy): pass\n",
    "import helper\ndef test_1(x=helper.REG.setdefault('x', 1)): pass\n",
    "import helper\nhelper.Base.attribute = 1\n",
    "import helper\n[helper.REG.update(a=i) for i in range(3)]\n",
    "import helper\nX = {**helper.COUNT}\n",
    "import helper\nX = helper.REG | {'a': 1}\nhelper.REG |= X\n",
    "import helper\nY = X = helper.LIST\nY[0] = 3\n",
    "import helper\nX, Y = helper.LIST, 1\nX.append(1)\n",
    "import helper\nX = [helper.LIST]\n[x.append(1) for x in X]\n",
    "import helper\nX = {'a': helper.LIST}\nfor v in X.values(): v.append(1)\n",
    "import helper\nX = helper.LIST if True else []\nX.append(1)\n",
    "import helper\nX = []\nif X: X = helper.LIST\nX.append(1)\n",
    "import helper\ntry:\n    X = helper.LIST\nexcept NameError:\n    X = []\nX.append(1)\n",
    "import helper\n(Y := helper.LIST).append(1)\n",
    "import helper\nX = helper.LIST or []\nX.append(1)\n",
    "import helper\nclass C:\n    x = property(helper.f)\nC().x\n",
    "class C:\n    def __init_subclass__(cls): print(cls)\nclass D(C): pass\n",
    "class M(type): pass\nclass C(metaclass=M): pass\n",
    "import helper\nclass TestC:\n    @property\n    def x(self): return helper.f(1)\n",
    "import helper\ndef test_1(x: helper.REG['a']): pass\n",
    "async def f(): pass\nimport asyncio\nasyncio.run(f())\n",
    "import threading\nthreading.Thread(target=print).start()\n",
    "import tempfile\nX = tempfile.mkdtemp()\n",
    "import os\nos.makedirs('x')\n",
    "import importlib\nX = importlib.import_module('json')\n",
    "def f():\n    import json\nf()\n",
    "import gc\ngc.disable()\n",
    "import decimal\ndecimal.getcontext().prec = 3\n",
    "import builtins\nbuiltins.x = 1\n",
    "from helper import Base as TestBase\n",
    (
        "import enum, helper\nclass E(enum.Enum):\n    A = 1\n"
        "    def __init__(self, x): helper.REG['a'] = x\n"
    ),
    (
        "import enum, helper\nclass E(enum.Enum):\n"
        "    def _generate_next_value_(*a): return helper.f(1)\n    A = enum.auto()\n"
    ),
    "import helper\nclass D:\n    def __get__(self, *a): helper.f(1)\nclass TestC:\n    d = D()\n",
    (
        "import helper\nclass C:\n    def __setattr__(self, n, v): helper.f(1)\n"
        "    def __init__(self): self.a = 1\nC()\n"
    ),
    "from helper import f as test_f\n",
)


@pytest.fixture(autouse=True)
def helper(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """The module, imported."""
    module = types.ModuleType("helper")
    exec(_HELPER, vars(module))
    monkeypatch.setitem(sys.modules, "helper", module)
    return module


def effects(text: str, name: str = "test_m") -> ImportEffects:
    module = types.ModuleType(name)
    return import_effects(
        text.encode(),
        module,
        name,
        lambda each: each.startswith("Test"),
        lambda each: each.startswith("test"),
    )


@pytest.mark.parametrize("text", QUIET)
def test_leaves_nothing(text: str) -> None:
    effects(text)


@pytest.mark.parametrize("text", NOISY)
def test_may_leave_something(text: str) -> None:
    with pytest.raises(MayLeaveTraces):
        effects(text)


def test_the_helper_is_as_it_was(helper: types.ModuleType) -> None:
    """Nothing of what is judged is executed."""
    for text in (*QUIET, *NOISY):
        try:
            effects(text)
        except MayLeaveTraces:
            pass
    assert (helper.VALUE, helper.LIST, helper.REG, next(helper.COUNT)) == (1, [1, 2], {}, 0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("import json, os.path\nfrom helper import f\n", ("json", "os.path", "helper")),
        ("from xml import dom\n", ("xml", "xml.dom")),
        ("import xml.dom\nfrom xml import dom\n", ("xml.dom", "xml")),
        ("import pytest\nX = pytest.importorskip('json')\n", ("pytest", "json")),
        ("from __future__ import annotations\n", ()),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nothing_zz\n",
            ("typing",),
        ),
        ("import typing\nif typing.TYPE_CHECKING:\n    import nothing_zz\n", ("typing",)),
        ("import sys\nif sys.version_info < (3,):\n    import nothing_zz\n", ("sys",)),
        ("try:\n    import nothing_zz\nexcept ImportError:\n    pass\n", ()),
        ("def test_1():\n    import nothing_zz\n", ()),
    ],
)
def test_imports(text: str, wanted: tuple[str, ...]) -> None:
    assert effects(text).imports == wanted


def test_imports_of_a_package() -> None:
    assert effects("from . import inner\nfrom .other import x\n", "pkg.test_m").imports == (
        "pkg",
        "pkg.other",
    )


def test_conditional_imports() -> None:
    found = effects("import os\nif os.environ.get('X'):\n    import json\n    import os\n")
    assert found.imports == ("os", "json")
    assert found.conditional == {"json"}


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("X = 1\n", False),
        ("import os\nX = os.environ.get('A')\n", True),
        ("import os\nX = os.environ['HOME']\n", True),
        ("import os\nX = 'A' in os.environ\n", True),
        ("from pathlib import Path\nX = Path(__file__).parent / 'data'\n", False),
        ("from pathlib import Path\nX = Path(__file__).exists()\n", True),
        ("import helper\nX = helper.VALUE\n", True),
        ("import helper\ndef test_1(): assert helper.VALUE\n", False),
        ("import sys\nX = sys.platform\n", False),
        ("import time\nX = time.time()\n", True),
    ],
)
def test_reads(text: str, reads: bool) -> None:
    assert (effects(text).reads is not None) == reads
