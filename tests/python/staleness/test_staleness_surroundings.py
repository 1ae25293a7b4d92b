"""Whatever happens to ini files, data, folders, links and the environment: a warm run is what a
cold pytest would be.
"""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from support.harness import Project
from support.staleness import (
    Files,
    Perhaps,
    Same,
    Scenario,
    Scene,
    Select,
    chain,
    check,
    edit,
    link,
    rename,
    setenv,
)

TESTS = {
    "test_a.py": (
        "import pytest\ndef test_one(): pass\n@pytest.mark.slow\ndef test_two(): pass\n"
        "@pytest.mark.xfail\ndef test_x(): pass\n"
    ),
    "sub/check_b.py": "def test_b(): pass\ndef check_b(): pass\n",
}
INI = "[pytest]\nmarkers = slow\n"
FUNCTIONS = "python_functions = test_o*\n"
DATA = """
    {imports}
    import pytest
    @pytest.mark.parametrize("value", {expression})
    def test_value(value): assert int(value) < 10
    """
PRINTS = """
    {imports}
    VALUE = {expression}
    def test_value(): print(VALUE)
    """


def data(expression: str, imports: str = "", **files: str) -> dict[str, str]:
    """A module that is parametrized by `expression`."""
    more = {name.replace("__", "."): text for name, text in files.items()}
    return {"test_a.py": DATA.format(expression=expression, imports=imports), **more}


def prints(expression: str, imports: str = "import os") -> dict[str, str]:
    """A module that looks at something while it is imported."""
    return {"test_a.py": PRINTS.format(expression=expression, imports=imports)}


def pickled(*values: int) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        (scene / "data.pickle").write_bytes(pickle.dumps(values))

    return change


def database(*values: int) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        with sqlite3.connect(scene / "data.db") as connection:
            connection.execute("create table if not exists data (value int)")
            connection.executemany("insert into data values (?)", [(value,) for value in values])
        connection.close()

    return change


def zipped(value: int) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        with zipfile.ZipFile(scene / "lib.zip", "w") as file:
            file.writestr("zipped.py", f"VALUE = {value}\n")

    return change


def git(*commands: str) -> Callable[[Scene], None]:
    """Run git, without the user's configuration."""

    def change(scene: Scene) -> None:
        names = {
            f"GIT_{who}_{what}": "x"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        env = {**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        for command in commands:
            subprocess.run(
                ["git", *command.split()],
                cwd=scene.folder,
                env=env,
                check=True,
                capture_output=True,
            )

    return change


def moved(scene: Scene) -> None:
    """The whole project is renamed."""
    new = scene.folder.with_name(scene.folder.name + "-moved")
    scene.folder.rename(new)
    scene.folder = scene.cwd = new


def recreated(files: Files) -> Callable[[Scene], None]:
    """The project's folder is deleted, and one of the same name is made."""

    def change(scene: Scene) -> None:
        shutil.rmtree(scene.folder)
        scene.folder.mkdir()
        scene.write(files)

    return change


def cwd(name: str) -> Callable[[Scene], None]:
    """The following commands are started in another folder."""
    return lambda scene: setattr(scene, "cwd", scene / name)


def args(text: str) -> Callable[[Scene], None]:
    """The following commands have other arguments."""
    return lambda scene: setattr(scene, "args", text)


def shell(script: str) -> Callable[[Scene], None]:
    """The following commands are started by a shell that does this before."""
    return lambda scene: setattr(scene, "prefix", ("sh", "-c", f'{script}; exec "$@"', "sh"))


INI_FILES = [
    Scenario(
        "pytest.ini",
        {**TESTS, "pytest.ini": INI},
        [
            {"pytest.ini": INI + FUNCTIONS},
            {"pytest.ini": INI + "xfail_strict = true\n"},
            {"pytest.ini": INI},
        ],
    ),
    Scenario(
        "pytest.ini appears and disappears",
        TESTS,
        [{"pytest.ini": INI + FUNCTIONS}, {"pytest.ini": None}],
    ),
    Scenario(
        "pyproject.toml",
        {**TESTS, "pyproject.toml": "[tool.pytest.ini_options]\nmarkers = ['slow']\n"},
        [
            edit("pyproject.toml", "]\n", "]\npython_files = ['check_*.py']\n"),
            edit("pyproject.toml", "check", "test"),
        ],
    ),
    Scenario(
        "tox.ini", {**TESTS, "tox.ini": INI}, [{"tox.ini": INI + FUNCTIONS}, {"tox.ini": "[tox]\n"}]
    ),
    Scenario(
        "setup.cfg",
        {**TESTS, "setup.cfg": "[tool:pytest]\nmarkers = slow\n"},
        [{"setup.cfg": "[tool:pytest]\n" + FUNCTIONS}, {"setup.cfg": None}],
    ),
    Scenario(
        "ini file that takes precedence",
        {**TESTS, "tox.ini": INI},
        [
            {"pyproject.toml": "[tool.pytest.ini_options]\npython_functions = ['test_o*']\n"},
            {"pytest.ini": INI},
            {"pytest.ini": None},
        ],
    ),
    Scenario(
        "pytest.toml",
        {**TESTS, "pytest.ini": INI},
        [{"pytest.toml": "[pytest]\npython_functions = ['test_o*']\n"}],
        since=(9, 0),
    ),
    Scenario(
        "ini file that is named",
        {**TESTS, "other.ini": INI},
        [{"other.ini": INI + FUNCTIONS}, {"other.ini": INI}],
        args="-c other.ini",
    ),
    Scenario(
        "addopts",
        {**TESTS, "pytest.ini": INI},
        [
            {"pytest.ini": INI + "addopts = -k one\n"},
            {"pytest.ini": INI + "addopts = --strict-markers -m slow\n"},
            {"pytest.ini": INI + "addopts = --no-such\n"},
        ],
    ),
    Scenario(
        "testpaths",
        {**TESTS, "sub/test_s.py": "def test_s(): pass\n", "pytest.ini": INI},
        [{"pytest.ini": INI + "testpaths = sub\n"}, {"pytest.ini": INI + "norecursedirs = sub\n"}],
    ),
    Scenario(
        "filterwarnings",
        {
            "test_a.py": "import warnings\ndef test_a(): warnings.warn('careful')\n",
            "pytest.ini": "[pytest]\n",
        },
        [
            {"pytest.ini": "[pytest]\nfilterwarnings = error\n"},
            {"pytest.ini": "[pytest]\nfilterwarnings = ignore\n"},
        ],
    ),
    Scenario(
        "usefixtures",
        {
            "conftest.py": "import pytest\n@pytest.fixture\ndef stop(): pytest.skip('no')\n",
            "test_a.py": "def test_a(): pass\n",
            "pytest.ini": "[pytest]\n",
        },
        [{"pytest.ini": "[pytest]\nusefixtures = stop\n"}],
    ),
    Scenario(
        "ini file above the current folder",
        {
            **TESTS,
            "pytest.ini": INI,
            "in/test_in.py": "def test_one(): pass\ndef test_two(): pass\n",
        },
        [{"pytest.ini": INI + FUNCTIONS}, {"in/pytest.ini": INI}, {"in/pytest.ini": None}],
        args="in",
    ),
    Scenario(
        "setup.py makes another root",
        {"in/test_a.py": "def test_a(): pass\n"},
        [{"in/setup.py": ""}, {"in/setup.py": None}],
        args="in",
    ),
    Scenario(
        "file of arguments",
        {**TESTS, "arguments": "-k\none\n"},
        [{"arguments": "-k\ntwo\n"}],
        args="@arguments",
        since=(8, 2),
    ),
]

DATA_FILES = [
    Scenario(
        "json",
        data("json.load(open('data.json'))", "import json", data__json="[1, 2]"),
        [{"data.json": "[1, 2, 30]"}, {"data.json": "[1]"}, {"data.json": None}],
    ),
    Scenario(
        "pathlib",
        data(
            "Path(__file__).with_name('data.txt').read_text().split()",
            "from pathlib import Path",
            data__txt="1 2",
        ),
        [{"data.txt": "1 20"}, {"data.txt": "1 2"}],
    ),
    Scenario(
        "csv",
        data(
            "[row[0] for row in csv.reader(open('data.csv'))]", "import csv", data__csv="1,a\n2,b\n"
        ),
        [{"data.csv": "1,a\n20,b\n"}],
    ),
    Scenario(
        "importlib.resources",
        {
            **data(
                "(files('pack') / 'data.txt').read_text().split()",
                "from importlib.resources import files",
            ),
            "pack/__init__.py": "",
            "pack/data.txt": "1 2",
        },
        [{"pack/data.txt": "1 20"}, {"pack/data.txt": "1 2"}],
    ),
    Scenario(
        "file that is looked for",
        data(
            "read()",
            (
                "def read():\n        try: return open('local.txt').read().split()\n"
                "        except OSError: return [0]"
            ),
        ),
        [{"local.txt": "1 2"}, {"local.txt": None}],
    ),
    Scenario(
        "listing",
        data("sorted(p.stem for p in Path('data').glob('*.txt'))", "from pathlib import Path")
        | {"data/1.txt": "", "data/2.txt": ""},
        [{"data/20.txt": ""}, {"data/1.txt": None}, rename("data/2.txt", "data/3.txt")],
    ),
    Scenario(
        "listing by os.walk",
        data("sorted(n for _, _, names in os.walk('data') for n in names)", "import os")
        | {"data/x/1": ""},
        [{"data/x/y/20": ""}, {"data/x/1": None}],
    ),
    Scenario(
        "deep glob",
        data("sorted(p.stem for p in Path('data').glob('**/*.txt'))", "from pathlib import Path")
        | {"data/x/1.txt": ""},
        [{"data/x/y/z/20.txt": ""}, {"data/x": None}],
    ),
    Scenario(
        "mmap",
        data(
            "bytes(mmap.mmap(FILE.fileno(), 0, access=mmap.ACCESS_READ)).split()",
            "import mmap\n    FILE = open('data.txt', 'rb')",
            data__txt="1 2",
        ),
        [{"data.txt": "1 20"}],
    ),
    Scenario(
        "os.open",
        data("os.read(os.open('data.txt', os.O_RDONLY), 99).split()", "import os", data__txt="1 2"),
        [{"data.txt": "1 20"}],
    ),
    Scenario(
        "ini file of the project's own",
        data(
            "read()",
            (
                "import configparser\n    def read():\n"
                "        c = configparser.ConfigParser(); c.read('own.cfg'); return c.get('a', "
                "'b', fallback='0').split()"
            ),
        ),
        [{"own.cfg": "[a]\nb = 1 2\n"}, {"own.cfg": "[a]\nb = 1 20\n"}],
    ),
    Scenario(
        "data of a conftest",
        {
            "conftest.py": (
                "VALUES = open('data.txt').read().split()\n"
                "def pytest_generate_tests(metafunc): metafunc.parametrize('v', VALUES)\n"
            ),
            "data.txt": "1 2",
            "test_a.py": "def test_a(v): assert int(v) < 10\n",
        },
        [{"data.txt": "1 20"}, Select("-k 20"), {"data.txt": "1 2"}],
    ),
    Scenario(
        "listing of a conftest's hook",
        {
            "conftest.py": (
                "import os\ndef pytest_generate_tests(metafunc): metafunc.parametrize('v', "
                "sorted(os.listdir('data')))\n"
            ),
            "data/1": "",
            "test_a.py": "def test_a(v): assert int(v) < 10\n",
        },
        [{"data/20": ""}, {"data/1": None}],
    ),
]
WRITTEN = [
    (
        Scenario(
            "pickle",
            data("pickle.load(open('data.pickle', 'rb'))", "import pickle"),
            [pickled(1, 2, 30), pickled(1)],
        ),
        pickled(1, 2),
    ),
    (
        Scenario(
            "sqlite",
            data(
                "[row[0] for row in sqlite3.connect('data.db').execute('select * from data')]",
                "import sqlite3",
            ),
            [database(2), database(30)],
        ),
        database(1),
    ),
    (
        Scenario(
            "zip file on the path",
            {"test_a.py": "import zipped\ndef test_a(): assert zipped.VALUE == 1\n"},
            [zipped(22), zipped(1)],
            env={"PYTHONPATH": "lib.zip"},
        ),
        zipped(1),
    ),
]

FOLDERS = [
    Scenario(
        "namespace package's portion",
        {
            "one/space/a.py": "A = 1\n",
            "two/none": "",
            "test_a.py": "import space.a\ndef test_a(): print(len(space.__path__))\n",
        },
        [{"two/space/b.py": ""}, {"two/space": None}],
        env={"PYTHONPATH": "one:two"},
    ),
    Scenario(
        "module moves to another portion",
        {
            "one/space/a.py": "A = 1\n",
            "two/space/b.py": "",
            "test_a.py": "import space.a\ndef test_a(): assert space.a.A == 1\n",
        },
        [
            chain({"one/space/a.py": None, "two/space/a.py": "A = 10\n"}),
            {"one/space/a.py": "A = 1 # first\n"},
        ],
        env={"PYTHONPATH": "one:two"},
    ),
    Scenario(
        "package in the place of a namespace",
        {
            "one/space/a.py": "A = 1\n",
            "two/none": "",
            "test_a.py": "import space.a\ndef test_a(): assert space.a.A == 1\n",
        },
        [{"two/space/__init__.py": "", "two/space/a.py": "A = 10\n"}, {"two/space": None}],
        env={"PYTHONPATH": "one:two"},
    ),
    Scenario(
        "shadowing module",
        {
            "one/none": "",
            "two/helpers.py": "A = 1\n",
            "test_a.py": "import helpers\ndef test_a(): assert helpers.A == 1\n",
        },
        [{"one/helpers.py": "A = 10\n"}, {"one/helpers.py": None}, {"helpers.py": "A = 100\n"}],
        env={"PYTHONPATH": "one:two"},
    ),
    Scenario(
        "shadowing module of the standard library",
        {"test_a.py": "import colorsys\ndef test_a(): assert hasattr(colorsys, 'rgb_to_hls')\n"},
        [{"colorsys.py": ""}, {"colorsys.py": None}],
    ),
    Scenario(
        "folder on the path appears",
        {
            "two/helpers.py": "A = 1\n",
            "test_a.py": "import helpers\ndef test_a(): assert helpers.A == 1\n",
        },
        [{"one/helpers.py": "A = 10\n"}, {"one": None}],
        env={"PYTHONPATH": "one:two"},
    ),
    Scenario(
        "folder that a conftest puts on the path",
        {
            "conftest.py": "import sys\nsys.path.insert(0, 'lib')\n",
            "lib/none.txt": "",
            "helpers.py": "A = 1\n",
            "test_a.py": "import helpers\ndef test_a(): assert helpers.A == 1\n",
        },
        [Perhaps({"lib/helpers.py": "A = 10\n"}), {"helpers.py": "A = 100\n"}],
        args="-p no:cacheprovider",
    ),
    Scenario(
        "module that is looked for",
        {
            "pack/__init__.py": "",
            "test_a.py": (
                "try:\n    from pack import extra\nexcept ImportError:\n    extra = None\ntry:\n"
                "    import more\nexcept ImportError:\n    more = None\n"
                "def test_a(): assert (extra, more) == (None, None)\n"
            ),
        },
        [{"pack/extra.py": ""}, {"pack/extra.py": None}, {"more.py": ""}, {"more.py": None}],
    ),
    Scenario(
        "linked package",
        {
            "old/a.py": "A = 1\n",
            "new/a.py": "A = 10\n",
            "test_a.py": "from pack import a\ndef test_a(): assert a.A == 1\n",
        },
        [link("pack", "old"), link("pack", "new"), link("pack", "old")],
        args="--ignore=old --ignore=new",
    ),
    Scenario(
        "linked module",
        {
            "old.py": "A = 1\n",
            "new.py": "A = 10\n",
            "test_a.py": "import mod\ndef test_a(): assert mod.A == 1\n",
        },
        [link("mod.py", "old.py"), link("mod.py", "new.py"), edit("new.py", "10", "1")],
    ),
    Scenario(
        "linked release",
        {
            "r1/pack/a.py": "A = 1\n",
            "r2/pack/a.py": "A = 10\n",
            "test_a.py": "from pack import a\ndef test_a(): assert a.A == 1\n",
        },
        [link("current", "r1"), link("current", "r2")],
        env={"PYTHONPATH": "current"},
    ),
    Scenario(
        "linked tests",
        {"old/test_a.py": "def test_a(): pass\n", "new/test_b.py": "def test_b(): pass\n"},
        [link("tests", "old"), link("tests", "new")],
        args="tests",
    ),
    Scenario(
        "linked data",
        data("open('data').read().split()") | {"old": "1 2", "new": "1 20"},
        [link("data", "old"), link("data", "new")],
    ),
    Scenario("project is renamed", prints("__file__"), [moved]),
    Scenario(
        "project is made anew",
        prints("1"),
        [recreated(prints("2")), Perhaps(recreated(prints("2")))],
    ),
    Scenario(
        "other current folder",
        {
            "sub/test_a.py": (
                "import os\nHERE = os.getcwd()\ndef test_a(): print(os.path.basename(HERE))\n"
            ),
            "conftest.py": "",
        },
        [cwd("sub"), cwd(".")],
    ),
    Scenario(
        "other arguments",
        {**TESTS, "pytest.ini": INI},
        [
            args("-m slow"),
            args("-o xfail_strict=true"),
            args("-k one"),
            args("sub"),
            args("-p no:skipping"),
            args(""),
        ],
    ),
    Scenario(
        "folder in the place of a file",
        {
            "helpers.py": "A = 1\n",
            "test_a.py": "import helpers\ndef test_a(): assert helpers.A == 1\n",
        },
        [chain({"helpers.py": None, "helpers/none.txt": ""})],
    ),
    Scenario(
        "virtual environment appears",
        {"env/test_e.py": "def test_e(): pass\n", "test_a.py": "def test_a(): pass\n"},
        [{"env/pyvenv.cfg": ""}, {"env/pyvenv.cfg": None}],
    ),
]

GIT = [
    Scenario(
        "branch there and back",
        {
            ".gitignore": "__pycache__\n",
            "helper.py": "A = 1\n",
            "test_a.py": "import helper\ndef test_a(): assert helper.A == 1\n",
        },
        [
            Same(git("init -q -b main", "add .", "commit -q -m one", "checkout -q -b other")),
            chain(
                {"helper.py": "A = 10\n", "test_b.py": "def test_b(): pass\n"},
                git("add .", "commit -q -m two"),
            ),
            git("checkout -q main"),
            Same(git("checkout -q other", "checkout -q main")),
            git("checkout -q other"),
            git("checkout -q HEAD~1 -- helper.py"),
            git("reset -q --hard"),
            edit("helper.py", "10", "11"),
            git("stash -q"),
            git("stash pop -q"),
        ],
    )
]

ENVIRONMENT = [
    Scenario(
        "variable",
        prints("os.environ.get('OWN')"),
        [setenv(OWN="1"), setenv(OWN="2"), setenv(OWN=None)],
    ),
    Scenario(
        "PYTEST_ADDOPTS",
        TESTS,
        [
            setenv(PYTEST_ADDOPTS="-k one"),
            setenv(PYTEST_ADDOPTS="-m slow"),
            setenv(PYTEST_ADDOPTS=None),
        ],
    ),
    Scenario(
        "PYTHONPATH",
        {
            "one/m.py": "A = 1\n",
            "two/m.py": "A = 10\n",
            "test_a.py": "import m\ndef test_a(): assert m.A == 1\n",
        },
        [setenv(PYTHONPATH="one"), setenv(PYTHONPATH="two:one")],
        args="--ignore=one --ignore=two",
    ),
    Scenario(
        "PYTEST_PLUGINS",
        {
            "plugin.py": "def pytest_report_header(): return 'here I am'\n",
            "test_a.py": "def test_a(): pass\n",
        },
        [setenv(PYTEST_PLUGINS="plugin"), edit("plugin.py", "am", "was")],
        env={"PYTHONPATH": "."},
    ),
    Scenario(
        "PYTHONOPTIMIZE",
        {
            "helper.py": "def check(): assert 0\n",
            "test_a.py": "import helper\ndef test_a(): helper.check()\n",
        },
        [setenv(PYTHONOPTIMIZE="1"), setenv(PYTHONOPTIMIZE=None)],
    ),
    Scenario(
        "PYTHONWARNINGS",
        {"test_a.py": "import warnings\ndef test_a(): warnings.warn('x', DeprecationWarning)\n"},
        [setenv(PYTHONWARNINGS="error"), setenv(PYTHONWARNINGS="ignore")],
    ),
    Scenario(
        "PYTHONUTF8 and locale",
        prints(
            "(sys.flags.utf8_mode, locale.getlocale(), locale.getpreferredencoding(False))",
            "import locale, sys",
        ),
        [
            setenv(PYTHONUTF8="1", LC_ALL="C"),
            setenv(PYTHONUTF8="0", LC_ALL="C"),
            Perhaps(setenv(PYTHONUTF8=None, LC_ALL="C.UTF-8")),
        ],
    ),
    Scenario(
        "PYTHONHASHSEED",
        prints("hash('text')", ""),
        [setenv(PYTHONHASHSEED="1"), setenv(PYTHONHASHSEED="2")],
        env={"PYTHONHASHSEED": "0"},
    ),
    Scenario(
        "sitecustomize",
        {
            "one/sitecustomize.py": "import builtins\nbuiltins.VALUE = 1\n",
            "test_a.py": "def test_a(): print(VALUE)\n",
        },
        [
            {"one/sitecustomize.py": "import builtins\nbuiltins.VALUE = 20\n"},
            {"one/sitecustomize.py": None},
            {"one/sitecustomize.py": "import builtins\nbuiltins.VALUE = 300\n"},
        ],
        env={"PYTHONPATH": "one"},
    ),
    Scenario(
        "home",
        prints("os.path.expanduser('~')"),
        [setenv(HOME="/nowhere"), setenv(HOME="/elsewhere")],
    ),
    Scenario(
        "time zone", prints("time.tzname", "import time"), [setenv(TZ="AAA+1"), setenv(TZ="BBB+2")]
    ),
    Scenario(
        "umask",
        prints("(os.umask(0o22), os.umask(0o22))[0]"),
        [shell("umask 077"), shell("umask 027")],
    ),
    Scenario(
        "limit of open files",
        prints("resource.getrlimit(resource.RLIMIT_NOFILE)[0]", "import resource"),
        [shell("ulimit -S -n 400"), shell("ulimit -S -n 300")],
    ),
    Scenario(
        "limit of the stack",
        prints("resource.getrlimit(resource.RLIMIT_STACK)[0]", "import resource"),
        [shell("ulimit -S -s 4096"), shell("ulimit -S -s 2048")],
    ),
    Scenario("priority", prints("os.nice(0)"), [shell("renice -n 3 -p $$ >/dev/null")]),
    Scenario(
        "terminal's width",
        prints("os.get_terminal_size().columns if os.isatty(1) else os.environ['COLUMNS']"),
        [setenv(COLUMNS="100")],
    ),
]


@pytest.mark.parametrize(
    "scenario", [*INI_FILES, *DATA_FILES, *FOLDERS, *GIT, *ENVIRONMENT], ids=str
)
def test_scenario(shared_project: Project, folder: Path, scenario: Scenario) -> None:
    check(shared_project, folder, scenario)


@pytest.mark.parametrize(
    ("scenario", "prepare"), WRITTEN, ids=[str(scenario) for scenario, _ in WRITTEN]
)
def test_written(
    shared_project: Project, folder: Path, scenario: Scenario, prepare: Callable[[Scene], None]
) -> None:
    """As above, with a file that is not text."""
    scene = Scene(shared_project, folder, scenario)
    prepare(scene)
    check(shared_project, folder, scenario, scene)
