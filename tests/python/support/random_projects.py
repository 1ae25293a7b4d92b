"""Random projects and random edits of them, for `random_staleness`.

The same seed gives the same project and the same edits. Beside plain modules, fixtures, data and
settings a project has some kinds of `effects.KINDS`: its test modules, helpers, conftests and
packages may have any of these effects when they are imported, and each test module prints what it
sees of some.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from support.effects import KINDS, PATHS, Kind

INI = [
    "[pytest]\n",
    "[pytest]\npython_functions = test_*1 test_p*\n",
    "[pytest]\naddopts = -k 1\n",
    "[pytest]\nxfail_strict = true\n",
    "[pytest]\naddopts = --continue-on-collection-errors\n",
    "[pytest]\naddopts = --continue-on-collection-errors\n",
]
TESTS = """\
import os
import pytest
{imports}
from lib import {module}
{extra}
{effects}
VARIABLE = os.environ.get("RANDOM_VARIABLE")
def test_{name}1(): print({module}.VALUE, VARIABLE)
def test_{name}2(): assert {module}.VALUE % 3
@pytest.mark.xfail
def test_{name}3(value): assert value % 2
def look(see):
    try:
        return see()
    except Exception as error:
        return type(error).__name__
SEES = [{sees}]
WHILE_IMPORTED = [repr(look(see)) for see in SEES]
def test_{name}4(): print([look(see) for see in SEES], WHILE_IMPORTED)
"""
DATA = """\
import glob
import pytest
VALUES = open("data/values.txt").read().split()
NAMES = sorted(os.path.basename(name) for name in glob.glob("data/*.txt"))
@pytest.mark.parametrize("value", VALUES + NAMES)
def test_p{name}(value): print(value)
"""
FIXTURE = (
    "import pytest\nfrom lib import {module}\n@pytest.fixture{options}\n"
    "def value(): return {module}.VALUE + {number}\n"
)


#: They read what others may have brought.
READERS = [
    "import gpio",
    "try:\n    import gpio\nexcept ImportError:\n    gpio = None",
    "gpio = pytest.importorskip('gpio')",
    "import libmod",
    "import xml\ndef test_dom(): xml.dom",
    "def test_libmod(): import libmod",
]
#: They bring something, and no kind of the table can be seen everywhere.
BRINGERS = [
    "import types\nsys.modules['gpio'] = types.ModuleType('gpio')",
    "import xml.dom.minidom",
    "sys.modules.pop('gpio', None)",
]
WAYS = ["in place", "by renaming", "with the old time", "all anew", "without byte code"]


def usable(kind: Kind) -> bool:
    """Is its effect in one place, and seen without changing anything that another test sees?"""
    elsewhere = any("conftest" in name or "/test_" in name for name in kind.files)
    return bool(kind.effect) and kind.runs_here and not (kind.other or kind.alike or elsewhere)


class Tree:
    """A generated project: files by path, and the random edits of them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.number = 0
        self.files: dict[str, str] = {}
        self.past: list[dict[str, str]] = []
        self.variable: str | None = None
        self.count = self.random.randint(3, 6)
        self.kinds: list[Kind] = []
        for kind in self.random.sample([kind for kind in KINDS if usable(kind)], 8):
            if len(self.kinds) < 5 and all(
                self.files.get(name, text) == text for name, text in kind.files.items()
            ):
                self.kinds.append(kind)
                number = len(self.kinds) - 1
                self.files |= {name: self.named(text, number) for name, text in kind.files.items()}
                if kind.helper:
                    self.files[f"h{number}.py"] = kind.helper
        self.files["lib/libmod.py"] = "VALUE = 1\n"
        for index in range(self.count):
            self.files[f"lib/m{index}.py"] = self.module(index)
        self.files["data/values.txt"] = "1 2"
        self.files["conftest.py"] = self.fixture()
        self.files["pytest.ini"] = self.random.choice([INI[0], INI[-1]])
        self.files["helper.py"] = "print(0)\n"
        for name in ("test_a.py", "test_b.py", "sub/test_c.py", "sub/deep/test_d.py"):
            self.files[name] = self.tests()

    # Pieces

    def value(self) -> int:
        # Some of one size, some not.
        self.number += 1
        return self.random.choice(
            [self.number, self.number % 10, int(f"1{'0' * self.random.randint(0, 6)}")]
        )

    def any_module(self) -> str:
        return f"m{self.random.randrange(self.count)}"

    def named(self, text: str, number: int) -> str:
        """A text of a kind, with a helper of its own."""
        return re.sub(r"\bhelper\b", f"h{number}", text)

    def imports(self, numbers: list[int]) -> str:
        kinds = [(number, self.kinds[number]) for number in numbers]
        return "\n".join(
            [
                f"{kind.imports}\nimport h{number}" if kind.helper else kind.imports
                for number, kind in kinds
            ]
        )

    def effect(self) -> str:
        """A block of statements that have an effect, between comments by which it is found
        again.
        """
        if self.random.random() < 0.2:
            text = self.random.choice(BRINGERS)
        else:
            number = self.random.randrange(len(self.kinds))
            kind = self.kinds[number]
            statements = self.named(f"{kind.effect}\n{kind.own}", number)
            text = f"{self.imports([number])}\n{statements}"
        self.number += 1
        return f"# effect {self.number}\nimport os, sys, pytest\n{text}\n# end\n"

    def effects(self, likely: float) -> str:
        return self.effect() if self.random.random() < likely else ""

    def module(self, index: int) -> str:
        text = self.effects(0.15)
        value = str(self.value())
        # Only of a later one: no circles.
        if index + 1 < self.count and self.random.random() < 0.7:
            other = f"m{self.random.randrange(index + 1, self.count)}"
            text += f"from lib import {other}\n"
            value += f" + {other}.VALUE"
        return f"{text}VALUE = {value}\n"

    def fixture(self) -> str:
        options = self.random.choice(["", "(autouse=True)", "(scope='session')"])
        text = FIXTURE.format(module=self.any_module(), options=options, number=self.value())
        return f"{self.effects(0.1)}{text}"

    def tests(self) -> str:
        name = self.random.choice("rstuv")
        extra = self.random.choice(
            ["", "", DATA.format(name=name), "import helper", f"\n# {self.value()}"]
        )
        if self.random.random() < 0.1:
            extra += f"\n{self.random.choice(READERS)}"
        numbers = [number for number in range(len(self.kinds)) if self.random.random() < 0.6]
        return TESTS.format(
            module=self.any_module(),
            name=name,
            extra=extra,
            imports=self.imports(numbers),
            effects=self.effects(0.35),
            sees=", ".join(
                f"lambda: {self.named(self.seen(self.kinds[number]), number)}" for number in numbers
            ),
        )

    @staticmethod
    def seen(kind: Kind) -> str:
        # A test may import what is in the folder: only the path itself is the same for all tests of
        # all processes.
        return (
            "[entry[-3:] for entry in sys.path if entry.endswith('lib')]"
            if kind in PATHS
            else kind.see
        )

    def pick(self, start: str) -> str | None:
        names = sorted(name for name in self.files if Path(name).name.startswith(start))
        return self.random.choice(names) if names else None

    # Edits: each returns what it did.

    def edit_module(self) -> str:
        index = self.random.randrange(self.count)
        self.files[f"lib/m{index}.py"] = self.module(index)
        return f"edit lib/m{index}.py"

    def delete_module(self) -> str:
        name = f"lib/{self.any_module()}.py"
        self.files.pop(name, None)
        return f"delete {name}"

    def edit_tests(self) -> str:
        name = self.pick("test_") or "test_a.py"
        self.files[name] = self.tests()
        return f"edit {name}"

    def new_tests(self) -> str:
        folder = self.random.choice(["", "sub/", "sub/deep/", "new/"])
        name = f"{folder}test_{self.random.choice('abcdef')}{self.number % 7}.py"
        self.files[name] = self.tests()
        return f"new {name}"

    def delete_tests(self) -> str:
        name = self.pick("test_")
        if name is not None:
            del self.files[name]
        return f"delete {name}"

    def rename_tests(self) -> str:
        name = self.pick("test_")
        if name is None:
            return self.new_tests()
        new = name.replace(".py", f"{self.random.choice('xyz')}.py")
        self.files[new] = self.files.pop(name)
        return f"rename {name} to {new}"

    def conftest(self) -> str:
        name = self.random.choice(["", "sub/", "sub/deep/"]) + "conftest.py"
        if name in self.files and name != "conftest.py" and self.random.random() < 0.4:
            del self.files[name]
            return f"delete {name}"
        self.files[name] = self.fixture()
        return f"write {name}"

    def init(self) -> str:
        name = self.random.choice(["lib", "sub", "sub/deep"]) + "/__init__.py"
        if name in self.files:
            del self.files[name]
        else:
            self.files[name] = ""
        return f"toggle {name}"

    def ini(self) -> str:
        if self.random.random() < 0.2:
            self.files.pop("pytest.ini", None)
            return "delete pytest.ini"
        self.files["pytest.ini"] = self.random.choice(INI)
        return "write pytest.ini"

    def data(self) -> str:
        self.files["data/values.txt"] = " ".join(
            str(self.value()) for _ in range(self.random.randint(1, 3))
        )
        return "edit data/values.txt"

    def listing(self) -> str:
        name = f"data/{self.random.choice('xyz')}.txt"
        if name in self.files:
            del self.files[name]
        else:
            self.files[name] = ""
        return f"toggle {name}"

    def helper(self) -> str:
        """A module that some tests import and that may be a package, somewhere else, or nowhere."""
        for name in [name for name in self.files if "helper" in name]:
            del self.files[name]
        name = self.random.choice(["helper.py", "helper/__init__.py", "sub/helper.py", ""])
        if name:
            self.files[name] = f"print({self.value()})\n"
        return f"helper is {name or 'gone'}"

    def add_effect(self) -> str:
        """To any file of Python: a test module, a conftest, a helper, a package."""
        # Not to `libmod`, which some tests import while they run: what its import leaves for later
        # tests depends on who runs them.
        names = sorted(
            name
            for name in self.files
            if name.endswith(".py") and not re.match(r"h\d|lib/libmod", name)
        )
        name = self.random.choice(names)
        future = "from __future__ import annotations\n"
        text = self.files[name]
        block = self.effect()
        at_end = self.random.random() < 0.5
        self.files[name] = f"{text}{block}" if at_end or future in text else f"{block}{text}"
        return f"{block.splitlines()[0][2:]} is added to {name}"

    def drop_effect(self) -> str:
        names = sorted(name for name, text in self.files.items() if "# effect " in text)
        if not names:
            return self.add_effect()
        name = self.random.choice(names)
        block = self.random.choice(re.findall(r"# effect \d+\n.*?# end\n", self.files[name], re.S))
        self.files[name] = self.files[name].replace(block, "", 1)
        return f"{block.splitlines()[0][2:]} is taken from {name}"

    def comment(self) -> str:
        """Its effects are had again, and nothing else differs."""
        name = self.pick("test_") or "conftest.py"
        self.files[name] += f"# {self.value()}\n"
        return f"a comment is added to {name}"

    def environment(self) -> str:
        self.variable = self.random.choice([None, "1", "2"])
        return f"RANDOM_VARIABLE is {self.variable}"

    def back(self) -> str:
        if not self.past:
            return "nothing"
        ago = self.random.randint(1, min(6, len(self.past)))
        self.files = dict(self.past[-ago])
        return f"back {ago} rounds"

    def round(self) -> list[str]:
        """Do one to three edits."""
        self.past.append(dict(self.files))
        edits: list[Callable[[], str]] = [
            self.edit_module,
            self.edit_module,
            self.edit_module,
            self.edit_tests,
            self.edit_tests,
            self.new_tests,
            self.delete_tests,
            self.rename_tests,
            self.conftest,
            self.init,
            self.ini,
            self.data,
            self.listing,
            self.helper,
            self.environment,
            self.back,
            self.back,
            self.delete_module,
            self.add_effect,
            self.add_effect,
            self.add_effect,
            self.drop_effect,
            self.drop_effect,
            self.comment,
            self.comment,
        ]
        return [
            edit() for edit in self.random.choices(edits, k=self.random.choice([0, 1, 1, 1, 2, 3]))
        ]

    def selection(self) -> str:
        """Arguments that choose a part of the tests."""
        files = sorted(name for name in self.files if Path(name).name.startswith("test_"))
        if not files:
            return ""
        some = self.random.sample(files, min(len(files), self.random.choice([1, 1, 1, 2, 3])))
        ids = [
            f"{name}::{test}"
            for name in files
            for test in re.findall(r"^def (test_\w+)", self.files[name], re.M)
        ]
        folders = sorted({str(Path(name).parent) for name in files})
        word = self.random.choice(["1", "2", "4", "test_a", "sub", "deep", "test_s1"])
        return self.random.choice(
            [
                " ".join(some),
                " ".join(some),
                " ".join(some),
                " ".join(self.random.sample(ids, min(len(ids), self.random.choice([1, 1, 2])))),
                self.random.choice(ids),
                self.random.choice(folders),
                " ".join(self.random.sample(folders, min(2, len(folders)))),
                f"-k {word}",
                f"-k 4 {some[0]}",
                "-m xfail",
                f"--deselect {some[0]}",
                f"--deselect {self.random.choice(ids)}",
                f"--ignore {some[0]}",
                f"--ignore {self.random.choice(folders)} {some[0]}",
                "--lf",
                f"--lf {some[0]}",
            ]
        )


def lay(folder: Path, files: Mapping[str, str], way: str) -> None:
    """Make the folder's files these, in one of the `WAYS` in which that happens."""
    for path in sorted(folder.rglob("*"), reverse=True):
        name = str(path.relative_to(folder))
        if "__pycache__" in name or ".pytest_cache" in name:
            continue
        if path.is_file() and name not in files:
            path.unlink()
        elif path.is_dir() and not any(file.startswith(f"{name}/") for file in files):
            shutil.rmtree(path)
    for name, text in files.items():
        path = folder / name
        before = path.stat() if path.exists() else None
        if before is not None and path.read_text() == text and way != "all anew":
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if way == "by renaming":
            path.with_name("new.tmp").write_text(text)
            path.with_name("new.tmp").rename(path)
        else:
            path.write_text(text)
        if way == "with the old time" and before is not None:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    if way == "without byte code":
        for path in list(folder.rglob("__pycache__")):
            shutil.rmtree(path)
