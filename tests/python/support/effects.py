"""What a module may do to others while it is imported: a table of kinds, for tests of selections,
of edits and for random projects.

A `Kind` becomes a project of two test modules: the import of ``test_a.py`` has an effect, and
``test_b.py`` prints what it sees of it. Run after ``test_a.py`` it sees another thing than alone,
and nobody but pytest decides which.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

EFFECT = "# effect"
"""The end of a line, of any file, that an edit may take away."""

SELECTIONS = ("test_b.py", "test_a.py", "test_b.py test_a.py")
MORE = (
    "test_b.py",
    "test_b.py::test_b",
    "-k test_b",
    "test_a.py",
    "test_b.py test_a.py",
    "--ignore test_a.py",
    "--deselect test_a.py",
)


@dataclass(frozen=True)
class Kind:
    """One way to have an effect."""

    name: str
    effect: str
    """Statements that are executed by the import of ``test_a.py``; empty where a file does it in
    lines that end with `EFFECT`.
    """
    see: str
    """An expression: what another module sees of it."""
    helper: str = ""
    """``helper.py``, which both modules import if it has a text."""
    imports: str = ""
    """What both modules import beside."""
    own: str = ""
    """More of ``test_a.py``, after the effect."""
    other: str | None = None
    """``test_b.py``, where the usual one won't do."""
    files: Mapping[str, str] = field(default_factory=dict)
    selections: Sequence[str] = SELECTIONS
    alike: bool = False
    """pytest's ``test_b.py`` prints the same after ``test_a.py`` and alone: rpytest's must, too."""
    edits: bool = True
    """An edit may be of any kind; off where another kind's says the same."""
    since: tuple[int, int] = (3, 10)
    """Python's version that has it."""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")

    @property
    def runs_here(self) -> bool:
        return sys.version_info >= self.since

    def project(self, effect: bool = True, comment: str = "") -> dict[str, str]:
        """The project, with the effect or without it; `comment` stands above it, in the files that
        have it: it moves their lines.
        """
        imports = "\n".join(
            [
                "import os, sys",
                "import pytest",
                self.imports,
                "import helper" if self.helper else "",
            ]
        )
        mine = f"\n{self.effect}\n" if effect else "\n"
        files = {
            "test_a.py": (
                f"{imports}\n{mine}\n{self.own}\ndef test_a(): print('state:', {self.see})\n"
            ),
            "test_b.py": self.other
            or f"{imports}\nSTATE = repr({self.see})\n"
            f"def test_b(): print('state:', {self.see}, 'while imported:', STATE)\n",
            **self.files,
        }
        if self.helper:
            files["helper.py"] = self.helper
        for name, text in files.items():
            has = EFFECT in text or (name == "test_a.py" and bool(self.effect))
            lines = [line for line in text.splitlines() if effect or not line.endswith(EFFECT)]
            if has and comment:
                lines.insert(0, f"# {comment}")
            files[name] = "\n".join(lines) + "\n"
        return files


NAMES = (
    "NAMES = []\ndef note(*names):\n    NAMES.append(names[0] if names else 'called')\n"
    "    return names[0] if names else None\n"
)
SEEN = "helper.NAMES"

_LIB = {"lib/libmod.py": "VALUE = 1\n"}
_FIND = "import importlib.util"
_FOUND = "importlib.util.find_spec('libmod') is not None"
_HERE = "os.path.join(os.path.dirname(os.path.abspath(__file__)), 'lib')"
_USES = "def test_uses():\n    import libmod\n    assert libmod.VALUE == 1\n"

PATHS = [
    Kind(
        "path at top", f"sys.path.insert(0, {_HERE})", _FOUND, imports=_FIND, own=_USES, files=_LIB
    ),
    Kind("path appended", "sys.path.append('lib')", _FOUND, imports=_FIND, own=_USES, files=_LIB),
    Kind(
        "path added to by operator",
        "sys.path += ['lib']",
        _FOUND,
        imports=_FIND,
        own=_USES,
        files=_LIB,
    ),
    Kind(
        "path by site",
        "import site; site.addsitedir('lib')",
        _FOUND,
        imports=_FIND,
        own=_USES,
        files=_LIB,
    ),
    Kind(
        "path and import at top",
        f"sys.path.insert(0, {_HERE})\nimport libmod",
        f"('libmod' in sys.modules, {_FOUND})",
        imports=_FIND,
        files=_LIB,
    ),
    Kind(
        "path in a helper",
        "",
        _FOUND,
        imports=_FIND,
        own=f"import paths\n{_USES}",
        files={"paths.py": f"import os, sys\nsys.path.insert(0, {_HERE})  {EFFECT}\n", **_LIB},
    ),
    Kind(
        "path in a helper of a helper",
        "",
        _FOUND,
        imports=_FIND,
        own=f"from more import paths\n{_USES}",
        files={
            "more/__init__.py": "",
            "more/paths.py": "from . import deep\n",
            "more/deep.py": f"import os, sys\nsys.path.append('lib')  {EFFECT}\n",
            **_LIB,
        },
    ),
    Kind(
        "path in a fixture",
        "@pytest.fixture(scope='module')\ndef libmod():\n    sys.path.append('lib')\n"
        "    import libmod\n    return libmod\n"
        "def test_uses(libmod): assert libmod.VALUE == 1",
        "1",
        files=_LIB,
        alike=True,
    ),
    Kind(
        "path appended and used by a fixture",
        "sys.path.append('lib')\n@pytest.fixture\ndef libmod():\n    import libmod\n"
        "    return libmod\n"
        "def test_uses(libmod): assert libmod.VALUE == 1",
        _FOUND,
        imports=_FIND,
        files=_LIB,
    ),
    Kind(
        "path in the conftest of a folder",
        "",
        _FOUND,
        imports=_FIND,
        files={
            "a/conftest.py": f"import os, sys\nsys.path.insert(0, {_HERE})  {EFFECT}\n",
            "a/lib/libmod.py": "VALUE = 1\n",
            "a/test_in.py": _USES,
            "a/deep/test_deep.py": _USES.replace("uses", "deep"),
        },
        selections=(
            "a",
            "test_b.py",
            "a/test_in.py",
            "a/deep",
            "test_b.py a",
            "a/test_in.py test_b.py",
            "-k test_b",
        ),
    ),
    Kind(
        "path taken away",
        "sys.path[:] = [entry for entry in sys.path if not entry.endswith('lib')]",
        _FOUND,
        imports=_FIND,
        files={"conftest.py": f"import os, sys\nsys.path.append({_HERE})\n", **_LIB},
    ),
    Kind(
        "finder of modules",
        "class Finder:\n    @staticmethod\n    def find_spec(name, path=None, target=None):\n"
        "        if name == 'made': return importlib.util.spec_from_loader(name, Finder)\n"
        "    @staticmethod\n    def create_module(spec): return None\n    @staticmethod\n"
        "    def exec_module(module): module.VALUE = 1\n"
        "sys.meta_path.insert(0, Finder)",
        "importlib.util.find_spec('made') is not None",
        imports=_FIND,
        own="def test_made():\n    import made\n    assert made.VALUE == 1\n",
    ),
]

_STUB = "import types\nsys.modules['gpio'] = types.ModuleType('gpio')"
_NUMBERED = (
    "import builtins\nbuiltins.IMPORTS = getattr(builtins, 'IMPORTS', 0) + 1\n"
    "NUMBER = builtins.IMPORTS\n"
)

MODULES = [
    Kind(
        "stub imported in a test",
        _STUB,
        "",
        other="def test_b():\n    import gpio\n    print('state:', gpio.__name__)\n",
    ),
    Kind(
        "stub imported at top",
        _STUB,
        "",
        other="import gpio\ndef test_b(): print('state:', gpio.__name__)\n",
    ),
    Kind(
        "stub by importorskip",
        _STUB,
        "",
        other=(
            "import pytest\ngpio = pytest.importorskip('gpio')\n"
            "def test_b(): print('state:', gpio.__name__)\n"
        ),
    ),
    Kind(
        "stub and try",
        _STUB,
        "",
        other=(
            "try:\n    import gpio\nexcept ImportError:\n    gpio = None\n"
            "def test_b(): print('state:', gpio is None)\n"
        ),
    ),
    Kind(
        "stub for a helper",
        "import types\nsys.modules['gpio'] = types.SimpleNamespace(PIN='fake')",
        "uses_gpio.PIN",
        own="import uses_gpio\n",
        other="import uses_gpio\ndef test_b(): print('state:', uses_gpio.PIN)\n",
        files={
            "uses_gpio.py": (
                "try:\n    from gpio import PIN\nexcept ImportError:\n    PIN = 'none'\n"
            )
        },
    ),
    Kind(
        "stub in the place of a module",
        "import types\nsys.modules['colorsys'] = types.SimpleNamespace(NAME='fake')",
        "__import__('colorsys') and hasattr(sys.modules['colorsys'], 'NAME')",
    ),
    Kind(
        "stub in a helper",
        "",
        "'gpio' in sys.modules",
        own="import stubs\n",
        files={
            "stubs.py": (
                f"import sys, types\nsys.modules['gpio'] = types.ModuleType('gpio')  {EFFECT}\n"
            )
        },
    ),
    Kind(
        "module that must not be imported",
        "sys.modules['colorsys'] = None",
        "",
        other="def test_b():\n    import colorsys\n    print('state:', colorsys.__name__)\n",
    ),
    Kind("sub-module", "import xml.dom.minidom", "hasattr(xml, 'dom')", imports="import xml"),
    Kind(
        "sub-module of the project",
        "import pkg.part",
        "hasattr(pkg, 'part')",
        imports="import pkg",
        files={"pkg/__init__.py": "", "pkg/part.py": "VALUE = 1\n"},
    ),
    Kind(
        "sub-module by from",
        "from pkg.inner import part",
        "hasattr(pkg, 'inner')",
        imports="import pkg",
        files={"pkg/__init__.py": "", "pkg/inner/__init__.py": "", "pkg/inner/part.py": ""},
    ),
    Kind("module of the library", "import colorsys", "'colorsys' in sys.modules"),
    Kind(
        "module of the project",
        "import rare",
        "'rare' in sys.modules",
        files={"rare.py": "VALUE = 1\n"},
    ),
    Kind(
        "module by importlib",
        "import importlib; importlib.import_module('colorsys')",
        "'colorsys' in sys.modules",
    ),
    Kind(
        "module by __import__",
        "__import__('registers')",
        SEEN,
        NAMES,
        files={"registers.py": "import helper\nhelper.note('r')\n"},
    ),
    Kind("module deleted", "del sys.modules['helper']", "helper.NUMBER", _NUMBERED),
    Kind("module popped", "sys.modules.pop('helper', None)", "helper.NUMBER", _NUMBERED),
    Kind(
        "module reloaded", "import importlib; importlib.reload(helper)", "helper.NUMBER", _NUMBERED
    ),
    Kind(
        "package with an effect",
        "",
        SEEN,
        NAMES,
        files={
            "a/__init__.py": f"import helper\nhelper.note('a')  {EFFECT}\n",
            "a/test_in.py": "import helper\ndef test_in(): print('state:', helper.NAMES)\n",
        },
        selections=(
            "test_b.py",
            "a",
            "a/test_in.py::test_in",
            "test_b.py a",
            "a test_b.py",
            "-k test_b",
        ),
    ),
    Kind(
        "star import",
        "from registers import *",
        SEEN,
        NAMES,
        files={"registers.py": "import helper\nhelper.note('star')\n"},
    ),
    Kind(
        "star import that reads",
        "from lazy import *",
        SEEN,
        NAMES,
        files={
            "lazy.py": (
                "import helper\n__all__ = ['thing']\ndef __getattr__(name):\n"
                "    return helper.note(name)\n"
            )
        },
    ),
    Kind(
        "lazy module",
        "from lazy import thing",
        SEEN,
        NAMES,
        files={
            "lazy.py": "import helper\ndef __getattr__(name):\n"
            "    if name.startswith('__'): raise AttributeError(name)\n"
            "    return helper.note(name)\n"
        },
    ),
    Kind(
        "lazy object imported by name",
        "from lazy import thing",
        "sorted(set(helper.NAMES))",
        NAMES,
        files={
            "lazy.py": "import helper\nclass Lazy:\n    def __getattr__(self, name):\n"
            "        helper.note('asked')\n"
            "        raise AttributeError(name)\nthing = Lazy()\n"
        },
    ),
    Kind(
        "object with a class of its own imported by name",
        "from lazy import thing",
        "sorted(set(helper.NAMES))",
        NAMES,
        files={
            "lazy.py": "import helper\nclass Lazy:\n    @property\n    def __class__(self):\n"
            "        helper.note('class')\n        return Lazy\n"
            "thing = Lazy()\n"
        },
    ),
    Kind(
        "another test module",
        "import test_b\ntest_b.NAMES.append('a')",
        "1",
        other="NAMES = []\ndef test_b(): print('state:', NAMES)\n",
    ),
    Kind(
        "itself in another's place",
        "sys.modules['gpio'] = sys.modules[__name__]",
        "'gpio' in sys.modules",
    ),
    Kind(
        "rewritten assertions",
        "pytest.register_assert_rewrite('checks')\nimport checks",
        "",
        other="import checks\ndef test_b(): checks.same(1)\n",
        files={"checks.py": "def same(value):\n    assert value == 2\n"},
    ),
    Kind(
        "error after the effect",
        "helper.note('a')\nraise ValueError('so')",
        SEEN,
        NAMES,
    ),
    Kind(
        "skip after the effect",
        "helper.note('a')\npytest.skip('so', allow_module_level=True)",
        SEEN,
        NAMES,
    ),
]

_CLASS = "class Thing:\n    debug = False\n    items = []\nthing = Thing()\n"
_DECORATOR = NAMES + "def keep(thing):\n    NAMES.append(thing.__name__)\n    return thing\n"

REGISTRIES = [
    Kind("list", "helper.NAMES.append('a')", SEEN, NAMES),
    Kind("dictionary", "helper.TABLE['a'] = 1", "helper.TABLE", "TABLE = {}\n"),
    Kind("set", "helper.TABLE.add('a')", "helper.TABLE", "TABLE = set()\n"),
    Kind("nested", "helper.HOOKS['before'].append(1)", "helper.HOOKS", "HOOKS = {'before': []}\n"),
    Kind(
        "value in the place of a value",
        "helper.TABLE['a'] = 2",
        "helper.TABLE",
        "TABLE = {'a': 1}\n",
    ),
    Kind("operator in place", "helper.NAMES += ['a']", SEEN, NAMES),
    Kind("name of a module", "helper.VALUE = 2", "helper.VALUE", "VALUE = 1\n"),
    Kind("name of a module deleted", "del helper.VALUE", "hasattr(helper, 'VALUE')", "VALUE = 1\n"),
    Kind(
        "global of a function",
        "helper.use('a')",
        "helper.USED",
        "USED = None\ndef use(x):\n    global USED\n    USED = x\n",
    ),
    Kind("attribute of a class", "helper.Thing.debug = True", "helper.Thing.debug", _CLASS),
    Kind("attribute of an object", "helper.thing.debug = True", "helper.thing.debug", _CLASS),
    Kind("list of an object", "helper.thing.items.append(1)", "helper.thing.items", _CLASS),
    Kind(
        "setattr in a loop",
        "for name in ['debug']: setattr(helper.thing, name, 1)",
        "helper.thing.debug",
        _CLASS,
    ),
    Kind(
        "attribute of a function", "helper.note.seen = 1", "getattr(helper.note, 'seen', 0)", NAMES
    ),
    Kind(
        "property",
        "helper.thing.value = 1",
        SEEN,
        NAMES + "class Thing:\n    @property\n    def value(self): ...\n"
        "    @value.setter\n    def value(self, v): NAMES.append(v)\nthing = Thing()\n",
    ),
    Kind(
        "settings of an application",
        "helper.app.config['TESTING'] = True",
        "helper.app.config['TESTING']",
        (
            "class Config(dict): pass\nclass App:\n"
            "    def __init__(self): self.config = Config(TESTING=False)\napp = App()\n"
        ),
    ),
    Kind("decorator", "@helper.keep\ndef handler(): pass", SEEN, _DECORATOR),
    Kind("decorator of a class", "@helper.keep\nclass Handler: pass", SEEN, _DECORATOR),
    Kind("decorator of a test", "@helper.keep\ndef test_kept(): pass", SEEN, _DECORATOR),
    Kind(
        "decorator of an object",
        "@helper.app.route('/')\ndef index(): pass",
        "sorted(helper.app.routes)",
        "class App:\n    def __init__(self): self.routes = {}\n"
        "    def route(self, path):\n        def add(f): return "
        "self.routes.setdefault(path, f)\n"
        "        return add\napp = App()\n",
    ),
    Kind(
        "init_subclass",
        "class Mine(helper.Base): pass",
        SEEN,
        NAMES + "class Base:\n    def __init_subclass__(cls): NAMES.append(cls.__name__)\n",
    ),
    Kind(
        "metaclass",
        "class Mine(helper.Base): pass",
        SEEN,
        NAMES + "class Meta(type):\n    def __new__(m, name, bases, d):\n"
        "        NAMES.append(name)\n        return type.__new__(m, name, bases, d)\n"
        "class Base(metaclass=Meta): pass\n",
    ),
    Kind(
        "sub-classes",
        "class Mine(helper.Base): pass",
        "[c.__name__ for c in helper.Base.__subclasses__()]",
        "class Base: pass\n",
    ),
    Kind(
        "set_name",
        "class Mine:\n    size = helper.Field()",
        SEEN,
        NAMES + "class Field:\n    def __set_name__(self, owner, name): NAMES.append(name)\n",
    ),
    Kind("class body", "class Mine:\n    helper.thing.debug = True", "helper.thing.debug", _CLASS),
    Kind(
        "singledispatch",
        "@helper.show.register\ndef _(x: int): return 'number'",
        "helper.show(1)",
        "import functools\n@functools.singledispatch\ndef show(x): return 'thing'\n",
    ),
    Kind(
        "abc",
        "helper.Base.register(int)",
        "isinstance(1, helper.Base)",
        "import abc\nclass Base(abc.ABC): pass\n",
    ),
    Kind(
        "abc of the library",
        "import collections.abc\ncollections.abc.Sequence.register(helper.Thing)",
        "issubclass(helper.Thing, collections.abc.Sequence)",
        _CLASS,
        imports="import collections.abc",
    ),
    Kind(
        "enum",
        "import enum\nclass Color(helper.Base):\n    RED = enum.auto()",
        SEEN,
        NAMES
        + (
            "import enum\nclass Base(enum.Enum):\n"
            "    def _generate_next_value_(name, *rest): return note(name)\n"
        ),
    ),
    Kind(
        "dataclass of another module",
        "import dataclasses\ndataclasses.dataclass(helper.Point)",
        "'__init__' in vars(helper.Point)",
        "class Point:\n    x: int = 1\n",
    ),
    Kind(
        "default factory",
        "import dataclasses\n@dataclasses.dataclass\nclass Case:\n"
        "    id: int = dataclasses.field(default_factory=helper.new)\n"
        "CASES = [Case(), Case()]\ndef test_cases(): print([case.id for case in CASES])",
        "helper.made[0]",
        "made = [0]\ndef new():\n    made[0] += 1\n    return made[0]\n",
    ),
    Kind("annotation", "def test_noted(x: helper.note('x') = 1): pass", SEEN, NAMES),
    Kind("annotation of a name", "X: helper.note('x') = 1", SEEN, NAMES),
    Kind("default argument", "def test_noted(x=helper.note('x')): pass", SEEN, NAMES),
    Kind(
        "base of a class",
        "class Mine(helper.base()): pass",
        SEEN,
        NAMES + "def base():\n    note('base')\n    return object\n",
    ),
    Kind("comprehension", "X = [helper.note(name) for name in 'ab']", SEEN, NAMES),
    Kind("condition", "if helper.note(1): pass", SEEN, NAMES),
    Kind("assertion", "assert helper.note(1)", SEEN, NAMES),
    Kind(
        "with",
        "with helper.opened(): pass",
        SEEN,
        NAMES
        + (
            "import contextlib\n@contextlib.contextmanager\ndef opened():\n"
            "    NAMES.append('in')\n    yield\n    NAMES.append('out')\n"
        ),
    ),
    Kind(
        "iterator",
        "FIRST = next(helper.COUNTER)\ndef test_first(): print(FIRST)",
        "helper.COUNTER",
        "import itertools\nCOUNTER = itertools.count()\n",
    ),
    Kind(
        "loop over an iterator",
        "for x in helper.ITEMS: break",
        "list(helper.ITEMS)[:1]",
        "ITEMS = iter([1])\n",
        alike=False,
        other=(
            "import helper\nLEFT = next(helper.ITEMS, None)\ndef test_b(): print('state:', LEFT)\n"
        ),
    ),
    Kind(
        "unpacked iterator",
        "X, *Y = helper.ITEMS",
        "'a'",
        "ITEMS = iter([1])\n",
        other=(
            "import helper\nLEFT = next(helper.ITEMS, None)\ndef test_b(): print('state:', LEFT)\n"
        ),
    ),
    Kind(
        "parameters from an iterator",
        "@pytest.mark.parametrize('n', helper.some())\ndef test_n(n): print(n)",
        "helper.COUNTER",
        (
            "import itertools\nCOUNTER = itertools.count()\ndef some():\n"
            "    return [next(COUNTER), next(COUNTER)]\n"
        ),
    ),
    Kind(
        "ids of parameters",
        "@pytest.mark.parametrize('n', [1, 2], ids=helper.note)\ndef test_n(n): pass",
        SEEN,
        NAMES,
    ),
    Kind(
        "condition of a mark",
        "@pytest.mark.skipif(helper.note(0), reason='so')\ndef test_n(): pass",
        SEEN,
        NAMES,
    ),
    Kind(
        "mark of the module",
        "pytestmark = helper.mark()",
        SEEN,
        NAMES
        + (
            "import pytest\ndef mark():\n    note('mark')\n"
            "    return pytest.mark.filterwarnings('default')\n"
        ),
    ),
    Kind(
        "generated tests",
        "def pytest_generate_tests(metafunc): helper.note(metafunc.function.__name__)",
        SEEN,
        NAMES,
    ),
    Kind(
        "missing key",
        "helper.TABLE['a']",
        "dict(helper.TABLE)",
        "import collections\nTABLE = collections.defaultdict(int)\n",
    ),
    Kind(
        "comparison",
        "X = helper.thing == 1",
        SEEN,
        NAMES
        + (
            "class Thing:\n    def __eq__(self, other): return note('eq')\n"
            "    __hash__ = None\nthing = Thing()\n"
        ),
    ),
    Kind(
        "truth",
        "if helper.thing: pass",
        SEEN,
        NAMES
        + (
            "class Thing:\n    def __bool__(self):\n        note('bool')\n        return True\n"
            "thing = Thing()\n"
        ),
    ),
    Kind(
        "format",
        "X = f'{helper.thing}'",
        SEEN,
        NAMES
        + (
            "class Thing:\n    def __format__(self, spec):\n        note('format')\n"
            "        return ''\nthing = Thing()\n"
        ),
    ),
    Kind(
        "attribute read",
        "X = helper.thing.size",
        SEEN,
        NAMES
        + (
            "class Thing:\n    @property\n    def size(self): return note('size')\n"
            "thing = Thing()\n"
        ),
    ),
    Kind(
        "cached property",
        "X = helper.thing.size",
        "sorted(vars(helper.thing))",
        (
            "import functools\nclass Thing:\n    @functools.cached_property\n"
            "    def size(self): return 1\nthing = Thing()\n"
        ),
    ),
    Kind(
        "lru_cache",
        "helper.load('a')",
        "helper.load.cache_info().currsize",
        "import functools\n@functools.lru_cache\ndef load(name): return name\n",
    ),
    Kind(
        "match",
        "match helper.thing:\n    case helper.Odd(): pass\n    case _: pass",
        SEEN,
        NAMES
        + (
            "class Meta(type):\n    def __instancecheck__(cls, other): return note('asked')\n"
            "class Odd(metaclass=Meta): pass\nthing = 1\n"
        ),
    ),
    Kind(
        "weak registry",
        "class Mine(metaclass=helper.Meta): pass",
        "len(helper.ALL)",
        (
            "import weakref\nALL = weakref.WeakSet()\nclass Meta(type):\n"
            "    def __init__(cls, *args): ALL.add(cls)\n"
        ),
    ),
    Kind(
        "context variable",
        "helper.LEVEL.set(1)",
        "helper.LEVEL.get()",
        "import contextvars\nLEVEL = contextvars.ContextVar('LEVEL', default=0)\n",
    ),
    Kind(
        "thread's own",
        "helper.LOCAL.level = 1",
        "hasattr(helper.LOCAL, 'level')",
        "import threading\nLOCAL = threading.local()\n",
    ),
    Kind(
        "thread that has ended",
        (
            "import threading\nt = threading.Thread(target=helper.note, args=['t'])\nt.start()\n"
            "t.join()"
        ),
        SEEN,
        NAMES,
    ),
    Kind("text that is executed", "exec(\"helper.note('x')\")", SEEN, NAMES),
    Kind("key of a sort", "X = sorted([2, 1], key=lambda n: helper.note(n))", SEEN, NAMES),
    Kind(
        "method of a class of its own",
        "class Mine:\n    def __init__(self): helper.note('made')\nX = Mine()",
        SEEN,
        NAMES,
    ),
    Kind("function of its own", "def prepare():\n    helper.note('made')\nprepare()", SEEN, NAMES),
    Kind(
        "conftest's state",
        "import conftest\nconftest.STATE['x'] = 2",
        "sys.modules['conftest'].STATE",
        files={"conftest.py": "STATE = {'x': 1}\n"},
    ),
    Kind(
        "conftest of a folder",
        "",
        SEEN,
        NAMES,
        files={
            "conftest.py": "",
            "a/conftest.py": f"import helper\nhelper.note('a')  {EFFECT}\n",
            "a/test_in.py": "def test_in(): pass\n",
        },
        selections=("test_b.py", "a", "a/test_in.py", "test_b.py a", "a test_b.py", "-k test_b"),
    ),
    Kind(
        "overloads",
        "# moved\nimport typing\n@typing.overload\ndef f(x: int) -> int: ...\n"
        "@typing.overload\ndef f(x: str) -> str: ...\n"
        "def f(x): return x\ndef test_f(): print(len(typing.get_overloads(f)))",
        "1",
        alike=True,
        since=(3, 11),
    ),
]

PROCESS = [
    Kind("environment", "os.environ['EFFECT'] = '1'", "os.environ.get('EFFECT')"),
    Kind(
        "environment by setdefault",
        "os.environ.setdefault('EFFECT', '1')",
        "os.environ.get('EFFECT')",
        edits=False,
    ),
    Kind(
        "environment without a variable",
        "os.environ.pop('HOME', None)",
        "'HOME' in os.environ",
        edits=False,
    ),
    Kind(
        "environment in a helper",
        "",
        "os.environ.get('EFFECT')",
        own="import settings\n",
        files={"settings.py": f"import os\nos.environ['EFFECT'] = '1'  {EFFECT}\n"},
    ),
    Kind(
        "environment by putenv",
        "os.putenv('EFFECT', '1')",
        "subprocess.run('echo $EFFECT', shell=True, capture_output=True).stdout",
        imports="import subprocess",
        edits=False,
    ),
    Kind(
        "current directory",
        "os.chdir('sub')",
        "os.path.basename(os.getcwd()) == 'sub'",
        files={"sub/x.txt": ""},
    ),
    Kind("umask", "os.umask(0o077)", "(lambda m: (os.umask(m), oct(m))[1])(os.umask(0o022))"),
    Kind(
        "seed",
        "random.seed(1)",
        "'a'",
        imports="import random",
        other=(
            "import random\ndef test_b(): print('state:', random.random() == 0.13436424411240122)\n"
        ),
        edits=False,
    ),
    Kind(
        "logging disabled",
        "logging.disable(logging.CRITICAL)",
        "logging.root.manager.disable",
        imports="import logging",
    ),
    Kind(
        "level of a logger",
        "logging.getLogger('x').setLevel('ERROR')",
        "logging.getLogger('x').level",
        imports="import logging",
        edits=False,
    ),
    Kind(
        "name of a logger",
        "logging.getLogger('rare.one')",
        "[n for n in logging.root.manager.loggerDict if 'rare' in n]",
        imports="import logging",
    ),
    Kind(
        "handler of a logger",
        "logging.getLogger('x').addHandler(logging.NullHandler())",
        "len(logging.getLogger('x').handlers)",
        imports="import logging",
        edits=False,
    ),
    Kind(
        "name of a level",
        "logging.addLevelName(5, 'TRACE')",
        "logging.getLevelName(5)",
        imports="import logging",
        edits=False,
    ),
    Kind(
        "class of loggers",
        "class L(logging.Logger): pass\nlogging.setLoggerClass(L)",
        "logging.getLoggerClass().__name__",
        imports="import logging",
        edits=False,
    ),
    Kind(
        "filter of warnings",
        "warnings.simplefilter('error')",
        "[f[0] for f in warnings.filters[:2]]",
        imports="import warnings",
        edits=False,
    ),
    Kind(
        "function of warnings",
        "warnings.showwarning = print",
        "warnings.showwarning is print",
        imports="import warnings",
        edits=False,
    ),
    Kind(
        "warning that is shown once",
        "helper.warn()",
        "helper.warn()",
        "import warnings\ndef warn(): warnings.warn('old')\n",
        alike=True,
        edits=False,
    ),
    Kind(
        "locale",
        "locale.setlocale(locale.LC_ALL, 'C.UTF-8')",
        "locale.setlocale(locale.LC_NUMERIC)",
        imports="import locale",
    ),
    Kind(
        "decimal",
        "decimal.getcontext().prec = 5",
        "decimal.Decimal(1) / 3",
        imports="import decimal",
        edits=False,
    ),
    Kind("recursion limit", "sys.setrecursionlimit(2222)", "sys.getrecursionlimit() == 2222"),
    Kind("switch interval", "sys.setswitchinterval(0.05)", "sys.getswitchinterval()", edits=False),
    Kind("excepthook", "sys.excepthook = print", "sys.excepthook is print", edits=False),
    Kind("arguments", "sys.argv.append('--more')", "'--more' in sys.argv", edits=False),
    Kind("no byte code", "sys.dont_write_bytecode = True", "sys.dont_write_bytecode", edits=False),
    Kind("garbage collector", "gc.disable()", "gc.isenabled()", imports="import gc", edits=False),
    Kind(
        "codec",
        "codecs.register(lambda name: codecs.lookup('utf-8') if name == 'mine' else None)",
        "'é'.encode('mine')",
        imports="import codecs",
        other="def test_b(): print('state:', 'é'.encode('mine'))\n",
    ),
    Kind(
        "codec's errors",
        "codecs.register_error('mine', lambda e: ('?', e.end))",
        "'é'.encode('ascii', 'mine')",
        imports="import codecs",
        other="def test_b(): print('state:', 'é'.encode('ascii', 'mine'))\n",
        edits=False,
    ),
    Kind(
        "signal",
        "signal.signal(signal.SIGUSR1, print)",
        "signal.getsignal(signal.SIGUSR1) is print",
        imports="import signal",
    ),
    Kind(
        "temporary folder",
        "tempfile.tempdir = os.getcwd()",
        "tempfile.gettempdir() == os.getcwd()",
        imports="import tempfile",
        edits=False,
    ),
    Kind(
        "builtins", "builtins.EFFECT = 1", "hasattr(builtins, 'EFFECT')", imports="import builtins"
    ),
    Kind(
        "socket timeout",
        "socket.setdefaulttimeout(5)",
        "socket.getdefaulttimeout()",
        imports="import socket",
        edits=False,
    ),
    Kind(
        "time zone",
        "os.environ['TZ'] = 'EST5'\ntime.tzset()",
        "time.tzname",
        imports="import time",
        edits=False,
    ),
    Kind(
        "start method",
        "multiprocessing.set_start_method('spawn')",
        "multiprocessing.get_start_method(allow_none=True)",
        imports="import multiprocessing",
        edits=False,
    ),
    Kind(
        "type of files",
        "mimetypes.add_type('x/y', '.xy')",
        "mimetypes.guess_type('a.xy')[0]",
        imports="import mimetypes",
        edits=False,
    ),
    Kind(
        "csv dialect",
        "csv.register_dialect('mine', delimiter=';')",
        "csv.list_dialects()",
        imports="import csv",
        edits=False,
    ),
    Kind(
        "copyreg",
        "copyreg.pickle(helper.Thing, lambda t: (helper.Thing, ()))",
        "helper.Thing in copyreg.dispatch_table",
        _CLASS,
        imports="import copyreg",
        edits=False,
    ),
    Kind(
        "sqlite adapter",
        "sqlite3.register_adapter(helper.Thing, str)",
        "(helper.Thing, sqlite3.PrepareProtocol) in sqlite3.adapters",
        _CLASS,
        imports="import sqlite3",
        edits=False,
    ),
    Kind(
        "patch started",
        "from unittest import mock\nmock.patch('json.dumps', return_value='fake').start()",
        "json.dumps(1)",
        imports="import json",
    ),
    Kind(
        "patched dictionary",
        "from unittest import mock\nmock.patch.dict(helper.TABLE, a=1).start()",
        "helper.TABLE",
        "TABLE = {}\n",
        edits=False,
    ),
    Kind(
        "monkey patch by hand",
        "pytest.MonkeyPatch().setattr(shlex, 'quote', len)",
        "shlex.quote('x y')",
        imports="import shlex",
    ),
    Kind(
        "attribute of the library's class",
        "json.JSONEncoder.default = lambda self, o: 'any'",
        "json.dumps(0) and json.JSONEncoder().default(1)",
        imports="import json",
        other="import json\ndef test_b(): print('state:', json.dumps(object()))\n",
        edits=False,
    ),
    Kind(
        "attribute of unittest",
        "unittest.TestCase.maxDiff = None",
        "unittest.TestCase.maxDiff",
        imports="import unittest",
        edits=False,
    ),
    Kind(
        "namespace of XML",
        "ET.register_namespace('mine', 'urn:x')",
        "'urn:x' in ET._namespace_map",
        imports="import xml.etree.ElementTree as ET",
        edits=False,
    ),
    Kind(
        "archive format",
        "shutil.register_archive_format('mine', print)",
        "[n for n, _ in shutil.get_archive_formats() if n == 'mine']",
        imports="import shutil",
        edits=False,
    ),
    Kind(
        "memory traced",
        "tracemalloc.start()",
        "tracemalloc.is_tracing()",
        imports="import tracemalloc",
        edits=False,
    ),
    Kind(
        "limit of open files",
        (
            "resource.setrlimit(resource.RLIMIT_NOFILE, (200, "
            "resource.getrlimit(resource.RLIMIT_NOFILE)[1]))"
        ),
        "resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 200",
        imports="import resource",
        edits=False,
    ),
    Kind(
        "digits of integers",
        "sys.set_int_max_str_digits(5000)",
        "sys.get_int_max_str_digits()",
        since=(3, 11),
        edits=False,
    ),
    Kind(
        "event loop policy",
        "class P(asyncio.DefaultEventLoopPolicy): pass\nasyncio.set_event_loop_policy(P())",
        "type(asyncio.get_event_loop_policy()).__name__",
        imports="import asyncio",
        edits=False,
    ),
]

KINDS: Sequence[Kind] = [*PATHS, *MODULES, *REGISTRIES, *PROCESS]


def tried(kinds: Sequence[Kind], first: int = 0) -> Sequence[Kind]:
    """The kinds that a run of the tests tries: every third from ``first`` on, and all with
    `RPYTEST_ALL_EFFECTS=1`.
    """
    return kinds if os.environ.get("RPYTEST_ALL_EFFECTS") else kinds[first::3]
