"""Changes at the edges: while tests are collected, above the project, under unusual names, by
unusual ways to a file.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from support.daemons import runs, wait_for, waiting_code
from support.harness import Project, Result
from support.staleness import Files, Scenario, Scene, agree, check, setenv

PLAIN = "def test_plain(): pass\n"

# Something that happens while the first run collects

WAITING = {"test_a.py": "{wait}\n" + PLAIN, "test_z.py": PLAIN}

#: The project, of which `{wait}` waits for what happens, and what happens.
MEANWHILE: Mapping[str, tuple[Mapping[str, str], Files]] = {
    "test file beside it": (WAITING, {"test_new.py": "def test_new(): assert 0\n"}),
    "test file that comes before": (WAITING, {"test_0.py": PLAIN}),
    "test file in a folder listed before": (
        {**WAITING, "a/test_b.py": PLAIN},
        {"a/test_new.py": PLAIN},
    ),
    "test file in a new folder": (WAITING, {"deep/er/test_new.py": PLAIN}),
    "test file that is gone": (WAITING, {"test_z.py": None}),
    "conftest": (
        WAITING,
        {"conftest.py": "import pytest\n@pytest.fixture(autouse=True)\ndef bad(): assert 0\n"},
    ),
    "package": ({"in/test_a.py": "{wait}\n" + PLAIN}, {"in/__init__.py": ""}),
    "ini file": (WAITING, {"pytest.ini": "[pytest]\npython_functions = nothing\n"}),
    "module that was missing": (
        {
            "test_a.py": (
                "try: import extra\nexcept ImportError: extra = None\n{wait}\n"
                "def test_a(): print(extra)\n"
            )
        },
        {"extra.py": ""},
    ),
    "module in a folder on the path": (
        {
            "pytest.ini": "[pytest]\npythonpath = lib\n",
            "lib/one.py": "",
            "test_a.py": (
                "import one\ntry: import two\nexcept ImportError: two = None\n{wait}\n"
                "def test_a(): print(bool(two))\n"
            ),
        },
        {"lib/two.py": ""},
    ),
    "data file in a folder that is listed": (
        {
            "test_a.py": (
                "import os\nNAMES = os.listdir('data')\n{wait}\n"
                "def test_a(): print(sorted(NAMES))\n"
            ),
            "data/1": "",
        },
        {"data/2": ""},
    ),
    "data file that a pattern names": (
        {
            "test_a.py": (
                "import pathlib\nNAMES = [*pathlib.Path('data').glob('*.x')]\n{wait}\n"
                "def test_a(): print(len(NAMES))\n"
            ),
            "data/1.x": "",
        },
        {"data/1.x": None},
    ),
    "data file that was missing": (
        {
            "test_a.py": (
                "import os\nFOUND = os.path.exists('x')\n{wait}\ndef test_a(): print(FOUND)\n"
            )
        },
        {"x": ""},
    ),
    "data file that was read": (
        {"test_a.py": "TEXT = open('x').read()\n{wait}\ndef test_a(): print(TEXT)\n", "x": "1"},
        {"x": "22"},
    ),
}


@pytest.mark.parametrize("kind", MEANWHILE)
def test_while_the_first_run_collects(
    shared_project: Project, folder: Path, tmp_path: Path, kind: str
) -> None:
    """What it has not seen is seen by the next one."""
    files, change = MEANWHILE[kind]
    wait = waiting_code(str(tmp_path / "started"), str(tmp_path / "go"))
    scenario = Scenario(
        kind, {name: text.replace("{wait}", wait) for name, text in files.items()}, []
    )
    scene = Scene(shared_project, folder, scenario)
    scene.write(scenario.files)
    first = shared_project.spawn("-n2", cwd=folder)
    wait_for(tmp_path / "started")
    scene.settle()
    scene.write(change)
    (tmp_path / "go").touch()
    first.wait()
    agree(scene, "afterwards")


def test_nothing_while_it_collects(shared_project: Project, folder: Path, tmp_path: Path) -> None:
    """The session is used again."""
    wait = waiting_code(str(tmp_path / "started"), str(tmp_path / "go"))
    (tmp_path / "go").touch()
    shared_project.fill(folder, {"test_a.py": wait + PLAIN, "sub/test_b.py": PLAIN})
    for _ in range(3):
        assert shared_project.rpytest("-n2", junit=False, cwd=folder).status == 0
    assert runs(shared_project, folder) == [3]


# Above the project

#: What appears in the folder above the one in which the command is started.
ABOVE: Mapping[str, tuple[Mapping[str, str], Files]] = {
    "pytest.ini": (
        {"in/test_a.py": PLAIN},
        {"pytest.ini": "[pytest]\npython_functions = nothing\n"},
    ),
    "pyproject.toml": (
        {"in/test_a.py": PLAIN},
        {"pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-k nothing'\n"},
    ),
    "tox.ini": ({"in/test_a.py": PLAIN}, {"tox.ini": "[pytest]\nxfail_strict = true\n"}),
    "setup.cfg": (
        {"in/test_a.py": PLAIN},
        {"setup.cfg": "[tool:pytest]\naddopts = --strict-markers\n"},
    ),
    "setup.py": ({"in/test_a.py": PLAIN}, {"setup.py": ""}),
    "package": (
        {"in/__init__.py": "", "in/test_a.py": "def test_a(): print(__name__)\n"},
        {"__init__.py": ""},
    ),
    "package far above": (
        {
            "in/__init__.py": "",
            "in/er/__init__.py": "",
            "in/er/test_a.py": "def test_a(): print(__name__)\n",
        },
        {"__init__.py": ""},
    ),
    "conftest": (
        {"pytest.ini": "[pytest]\n", "in/test_a.py": PLAIN},
        {"conftest.py": "import pytest\n@pytest.fixture(autouse=True)\ndef bad(): assert 0\n"},
    ),
}


@pytest.mark.parametrize("kind", ABOVE)
def test_above(shared_project: Project, folder: Path, kind: str) -> None:
    files, change = ABOVE[kind]
    scene = Scene(shared_project, folder, Scenario(kind, files, []))
    scene.cwd = folder / ("in/er" if "far" in kind else "in")
    gone: Files = dict.fromkeys(change)
    check(shared_project, folder, Scenario(kind, files, [change, gone, change]), scene)


# Unusual names, unusual ways


def prints(expression: str, imports: str = "import os", **files: str) -> dict[str, str]:
    more = {f"in/{name}": text for name, text in files.items()}
    return {"test_a.py": f"{imports}\nVALUE = {expression}\ndef test_a(): print(VALUE)\n", **more}


def opened(code: str) -> str:
    """Statements with the folder `in` open as `fd`."""
    return f"import os\nfd = os.open('in', os.O_RDONLY)\n{code}\nos.close(fd)"


def database(name: str, value: int) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        with sqlite3.connect(scene / name) as connection:
            connection.execute("create table if not exists data (value)")
            connection.execute("delete from data")
            connection.execute("insert into data values (?)", (value,))
        connection.close()

    return change


def attached(name: str, arguments: str = "()") -> dict[str, str]:
    code = (
        "import sqlite3\nC = sqlite3.connect(':memory:', uri=True)\n"
        f"C.execute({name!r}, {arguments})\n"
        "VALUE = C.execute('select value from other.data').fetchall()\nC.close()\n"
        "def test_a(): print(VALUE)\n"
    )
    return {"conftest.py": "import sqlite3\n", "test_a.py": code, "in/none": ""}


def archive(text: str) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        import zipfile

        with zipfile.ZipFile(scene / "in.zip", "w") as file:
            file.writestr("zipped.py", text)
            file.writestr("zipped_data/__init__.py", "")
            file.writestr("zipped_data/x", text)

    return change


BY_PATH = """
import {imports}
VALUE = {load}
def test_a(): print(VALUE)
"""
SPEC = """
import importlib.util
def load(path):
    spec = importlib.util.spec_from_file_location("loaded", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.X
VALUE = load("in/x.py")
def test_a(): print(VALUE)
"""
LOADER = SPEC.replace(
    'spec_from_file_location("loaded", path)',
    'spec_from_loader("loaded", importlib.machinery.SourceFileLoader("loaded", path))',
).replace("import importlib.util", "import importlib.machinery, importlib.util")
POPPED = (
    "import sys, helper\nVALUE = helper.X\ndel sys.modules['helper'], helper\n"
    "def test_a(): print(VALUE)\n"
)
AGAIN = (
    "import sys, helper\nsys.modules.pop('helper')\nimport helper\ndef test_a(): print(helper.X)\n"
)
PREFIX = {"PYTHONPYCACHEPREFIX": "cached"}

#: Scenarios that end with edits of the file `in/x`.
X = [{"in/x": "22"}, {"in/x": "1"}]

SCENARIOS = [
    Scenario(
        "editor's suffix",
        prints("open('in/x~').read() + open('in/y.swp').read()") | {"in/x~": "1", "in/y.swp": "1"},
        [{"in/x~": "22"}, {"in/y.swp": "22"}],
    ),
    Scenario(
        "listed editor's files",
        prints("sorted(os.listdir('in'))", x="1"),
        [{"in/x~": ""}, {"in/.x.swp": ""}, {"in/x~": None}],
    ),
    Scenario(
        "listed caches",
        prints("[n for n in sorted(os.listdir('.')) if n in ('.git', '.coverage', '.hg')]"),
        [{".git/HEAD": ""}, {".coverage": ""}, {".git": None}],
    ),
    Scenario(
        "walked",
        prints("[n for _, d, f in os.walk('in') for n in sorted(d + f)]", x=""),
        [{"in/.git/HEAD": ""}, {"in/.git/config~": ""}],
    ),
    Scenario(
        "pattern",
        prints("sorted(str(p) for p in Path('in').glob('.*'))", "from pathlib import Path", x=""),
        [{"in/.coverage": ""}, {"in/.DS_Store": ""}],
    ),
    Scenario(
        "asked for a cache",
        prints(
            "os.path.exists('.coverage'), Path('.git').is_dir()",
            "import os\nfrom pathlib import Path",
        ),
        [{".git/HEAD": ""}, {".coverage": ""}],
    ),
    Scenario(
        "iniconfig of git",
        prints("open('.git/HEAD').read()") | {".git/HEAD": "1"},
        [{".git/HEAD": "22"}],
    ),
    Scenario(
        "hook that sees all names",
        {
            "conftest.py": (
                "SEEN = []\ndef pytest_ignore_collect(collection_path): "
                "SEEN.append(collection_path.name)\n"
            ),
            "test_a.py": (
                "from conftest import SEEN\ndef test_a(): print('x~' in SEEN, '.git' in SEEN)\n"
            ),
        },
        [{"x~": ""}, {".git/HEAD": ""}, {"x~": None}],
    ),
    Scenario(
        "dir_fd of open",
        prints("os.read(f, 9)", opened("f = os.open('x', os.O_RDONLY, dir_fd=fd)"), x="1"),
        X,
    ),
    Scenario(
        "opener",
        prints(
            "T",
            opened(
                "with open('x', opener=lambda n, flags: os.open(n, flags, dir_fd=fd)) as f: T = "
                "f.read()"
            ),
            x="1",
        ),
        X,
    ),
    Scenario(
        "dir_fd of stat", prints("T", opened("T = os.stat('x', dir_fd=fd).st_size"), x="1"), X
    ),
    Scenario(
        "dir_fd of access",
        prints("T", opened("T = os.access('y', os.F_OK, dir_fd=fd)"), x="1"),
        [{"in/y": ""}, {"in/y": None}],
    ),
    Scenario(
        "fstat",
        prints(
            "T", "import os\nwith open('in/x') as f: T = os.fstat(f.fileno()).st_mtime_ns", x="1"
        ),
        [lambda scene: os.utime(scene / "in/x")],
    ),
    Scenario(
        "stat of an open file",
        prints(
            "T", "import os\nwith open('in/x') as f: T = os.stat(f.fileno()).st_mtime_ns", x="1"
        ),
        [lambda scene: os.utime(scene / "in/x")],
    ),
    Scenario(
        "scandir of an open folder",
        prints("T", opened("T = sorted(e.name for e in os.scandir(fd))"), x="1"),
        [{"in/y": ""}, {"in/y": None}],
    ),
    Scenario(
        "listdir of an open folder",
        prints("T", opened("T = sorted(os.listdir(fd))"), x="1"),
        [{"in/y": ""}, {"in/y": None}],
    ),
    Scenario(
        "fwalk",
        prints(
            "T",
            (
                "import os\nT = [os.stat(n, dir_fd=fd).st_size for *_, f, fd in "
                "os.fwalk('in') for n "
                "in f]"
            ),
            x="1",
        ),
        [{"in/x": "22"}, {"in/y/z": ""}],
    ),
    Scenario(
        "other directory",
        prints(
            "T",
            "import os\nos.chdir('in')\nT = open('x').read(), os.path.exists('y')\nos.chdir('..')",
            x="1",
        ),
        [{"in/x": "22"}, {"in/y": ""}],
    ),
    Scenario(
        "fchdir",
        prints("T", opened("os.fchdir(fd)\nT = open('x').read()\nos.chdir('..')"), x="1"),
        X,
    ),
    Scenario(
        "size from a listing", prints("[e.stat().st_size for e in os.scandir('in')]", x="1"), X
    ),
    Scenario(
        "mapped",
        prints(
            "T",
            (
                "import mmap\nwith open('in/x', 'rb') as f: T = mmap.mmap(f.fileno(), 0, "
                "prot=mmap.PROT_READ)[:]"
            ),
            x="1",
        ),
        X,
    ),
    Scenario(
        "open_code",
        prints("io.open_code(os.path.abspath('in/x')).read()", "import io, os", x="1"),
        X,
    ),
    Scenario("linecache", prints("linecache.getline('in/x', 1)", "import linecache", x="1"), X),
    Scenario(
        "resources",
        prints(
            "files('in').joinpath('x').read_text()",
            "from importlib.resources import files",
            x="1",
            **{"__init__.py": ""},
        ),
        X,
    ),
    Scenario(
        "resource names",
        prints(
            "sorted(p.name for p in files('in').iterdir() if p.name[0] != '_')",
            "from importlib.resources import files",
            x="1",
            **{"__init__.py": ""},
        ),
        [{"in/x~": ""}],
    ),
    Scenario(
        "get_data",
        prints("pkgutil.get_data('in', 'x')", "import pkgutil", x="1", **{"__init__.py": ""}),
        X,
    ),
    Scenario(
        "iter_modules",
        prints("[m.name for m in pkgutil.iter_modules(['in'])]", "import pkgutil", **{"x.py": ""}),
        [{"in/y.py": ""}, {"in/x.py": None}],
    ),
    Scenario(
        "module by path", {"test_a.py": SPEC, "in/x.py": "X = 1\n"}, [{"in/x.py": "X = 22\n"}]
    ),
    Scenario(
        "module by path with a prefix",
        {"test_a.py": SPEC, "in/x.py": "X = 1\n"},
        [{"in/x.py": "X = 22\n"}, {"in/x.py": "X = 1\n"}],
        env=PREFIX,
    ),
    Scenario(
        "imported module with a prefix",
        {"test_a.py": "import helper\ndef test_a(): print(helper.X)\n", "helper.py": "X = 1\n"},
        [{"helper.py": "X = 22\n"}, {"helper.py": "X = 1\n"}],
        env=PREFIX,
    ),
    Scenario(
        "loader",
        {"test_a.py": LOADER, "in/x.py": "X = 1\n"},
        [{"in/x.py": "X = 22\n"}, {"in/x.py": "X = 1\n"}],
        env=PREFIX,
    ),
    Scenario(
        "loader of an odd name",
        {"test_a.py": LOADER.replace("x.py", "my.odd.x"), "in/my.odd.x": "X = 1\n"},
        [{"in/my.odd.x": "X = 22\n"}, {"in/my.odd.x": "X = 1\n"}],
    ),
    Scenario(
        "runpy",
        {
            "test_a.py": BY_PATH.format(imports="runpy", load="runpy.run_path('in/x.py')['X']"),
            "in/x.py": "X = 1\n",
        },
        [{"in/x.py": "X = 22\n"}, {"in/x.py": "X = 1\n"}],
        env=PREFIX,
    ),
    Scenario(
        "popped",
        {"test_a.py": POPPED, "helper.py": "X = 1\n"},
        [{"helper.py": "X = 22\n"}, {"helper.py": "X = 1\n"}],
    ),
    Scenario(
        "popped with a prefix",
        {"test_a.py": POPPED, "helper.py": "X = 1\n"},
        [{"helper.py": "X = 22\n"}, {"helper.py": "X = 1\n"}],
        env=PREFIX,
    ),
    Scenario(
        "popped and imported again",
        {"test_a.py": AGAIN, "helper.py": "X = 1\n"},
        [{"helper.py": "X = 22\n"}, {"helper.py": "X = 1\n"}],
    ),
    Scenario(
        "popped, and another one is imported",
        {
            "test_a.py": AGAIN.replace(
                ".pop('helper')", ".pop('helper')\nsys.path.insert(0, 'in')"
            ),
            "helper.py": "X = 1\n",
            "in/helper.py": "X = 2\n",
        },
        [{"in/helper.py": "X = 22\n"}, {"in/helper.py": None}],
    ),
    Scenario(
        "archive on the path",
        {
            "pytest.ini": "[pytest]\npythonpath = in.zip\n",
            "test_a.py": (
                "try: import zipped\nexcept ImportError: zipped = None\n"
                "def test_a(): print(zipped and zipped.X)\n"
            ),
        },
        [archive("X = 1"), archive("X = 22"), {"in.zip": None}],
    ),
    Scenario(
        "attached",
        attached("attach 'in/y.db' as other"),
        [database("in/y.db", 22), database("in/y.db", 1)],
    ),
    Scenario(
        "attached by an argument",
        attached("ATTACH DATABASE ? AS other", "('in/y.db',)"),
        [database("in/y.db", 22), database("in/y.db", 1)],
    ),
    Scenario(
        "attached by a URI",
        attached("attach 'file:in/y.db?mode=ro' as other"),
        [database("in/y.db", 22), database("in/y.db", 1)],
    ),
    Scenario(
        "attached by an expression",
        attached("attach 'in/' || 'y.db' as other"),
        [database("in/y.db", 22), database("in/y.db", 1)],
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_scenario(shared_project: Project, folder: Path, scenario: Scenario) -> None:
    if scenario.name.startswith("attached"):
        (folder / "in").mkdir()
        database("in/y.db", 1)(Scene(shared_project, folder, scenario))
    check(shared_project, folder, scenario)


# What collection does itself, and a fresh one would do again

DONE = [
    Scenario(
        "appends",
        {
            "test_a.py": (
                "with open('n', 'a') as f: f.write('x')\n"
                "def test_a(): print(len(open('n').read()))\n"
            )
        },
        [],
    ),
    Scenario(
        "logs",
        {
            "test_a.py": (
                "import logging\nlogging.getLogger('x').addHandler(logging.FileHandler('n'))\n"
                "logging.getLogger('x').error('x')\ndef test_a(): print(len(open('n').read()))\n"
            )
        },
        [],
    ),
    Scenario(
        "writes what a test changes",
        {
            "test_a.py": (
                "open('n', 'w').close()\ndef test_a():\n"
                "    with open('n', 'r+') as f: f.read(); f.write('x')\n"
                "    print(open('n').read())\n"
            )
        },
        [],
    ),
    Scenario(
        "empties a folder that a test fills",
        {
            "test_a.py": (
                "import os, shutil\nshutil.rmtree('n', ignore_errors=True)\nos.mkdir('n')\n"
                "def test_a(): os.mkdir('n/x')\n"
            )
        },
        [],
    ),
    Scenario(
        "makes a temporary folder that a test fills",
        {
            "test_a.py": (
                "import os, tempfile\nT = tempfile.mkdtemp(dir='.')\n"
                "def test_a(): os.mkdir(T + '/x')\n"
            )
        },
        [],
    ),
    Scenario(
        "removes what a test makes",
        {
            "test_a.py": (
                "import contextlib, os\nwith contextlib.suppress(OSError): os.remove('n')\n"
                "def test_a(): os.close(os.open('n', os.O_CREAT | os.O_EXCL))\n"
            )
        },
        [],
    ),
]


@pytest.mark.parametrize("scenario", DONE, ids=str)
def test_done_again(shared_project: Project, folder: Path, scenario: Scenario) -> None:
    """The counts and the outputs of several runs, from nothing on, are those of pytest's."""

    def outputs(run: Callable[..., Result], *args: str) -> list[str]:
        shutil.rmtree(folder)
        shared_project.fill(folder, scenario.files)
        results = [run("-rP", *args, junit=False, cwd=folder) for _ in range(3)]
        return [
            f"{result.counts} {re.findall('^[0-9x]+$', result.stdout, re.M)}" for result in results
        ]

    wanted = outputs(shared_project.pytest)
    for _ in range(2):
        assert outputs(shared_project.rpytest, "-n2") == wanted


@pytest.mark.parametrize(
    "code",
    [
        "open('n', 'w').close()",
        "import os\nos.makedirs('n', exist_ok=True)",
        "open('n', 'a').close()",
    ],
    ids=["file", "folder", "log"],
)
def test_done_once(shared_project: Project, folder: Path, code: str) -> None:
    """Nobody changes it: the session is used again."""
    shared_project.fill(folder, {"test_a.py": f"{code}\ndef test_a(): pass\n"})
    for _ in range(4):
        assert shared_project.rpytest("-n2", junit=False, cwd=folder).status == 0
    assert runs(shared_project, folder)[-1] >= 2


# Variables that differ between two shells

VARIABLES = {
    "get": "os.environ.get('OLDPWD')",
    "getenv": "os.getenv('OLDPWD')",
    "bytes": "os.environb.get(b'OLDPWD')",
    "in": "'OLDPWD' in os.environ",
    "copy": "os.environ.copy().get('OLDPWD')",
    "dict": "dict(os.environ).get('OLDPWD')",
    "items": "[v for k, v in os.environ.items() if k == 'OLDPWD']",
    "keys": "sorted(k for k in os.environ if k == 'OLDPWD')",
    "merged": "({'x': '1'} | os.environ).get('OLDPWD')",
    "text": "'here' in repr(os.environ)",
}


@pytest.mark.parametrize(
    ("name", "where"),
    [
        *((name, "test_a.py") for name in VARIABLES),
        *((name, where) for name in ("get", "copy") for where in ("conftest.py", "helper.py")),
    ],
)
def test_noise_that_is_read(shared_project: Project, folder: Path, name: str, where: str) -> None:
    files = {"conftest.py": "", "helper.py": "", "test_a.py": ""}
    files[where] = f"import os\nVALUE = {VARIABLES[name]}\n"
    files["test_a.py"] += f"from {where[:-3]} import VALUE\n" if where != "test_a.py" else ""
    files["test_a.py"] += "def test_a(): print(VALUE)\n"
    steps = [setenv(OLDPWD="/here"), setenv(OLDPWD=None)]
    check(shared_project, folder, Scenario(name, files, steps, env={"OLDPWD": None}))


def test_noise_that_is_not_read(shared_project: Project, folder: Path) -> None:
    """Other variables may be."""
    shared_project.fill(folder, {"test_a.py": "import os\nHOME = os.environ.get('HOME')\n" + PLAIN})
    for value in ("/", "/tmp", None):
        env = {"OLDPWD": value, "SHLVL": "1"}
        assert shared_project.rpytest("-n2", junit=False, cwd=folder, env=env).status == 0
    assert runs(shared_project, folder) == [3]


def test_noise_in_another_selection(shared_project: Project, folder: Path) -> None:
    """The process that serves other arguments knows of it, too."""
    files = {
        "test_a.py": "import os\nVALUE = os.environ.get('OLDPWD')\ndef test_a(): print(VALUE)\n",
        "test_b.py": PLAIN,
    }
    scene = Scene(shared_project, folder, Scenario("noise", files, [], env={"OLDPWD": "/"}))
    scene.write(files)
    agree(scene, "at the beginning")
    setenv(OLDPWD="/tmp")(scene)
    agree(scene, "with another one", "test_a.py")
