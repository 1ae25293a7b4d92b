"""Random edits to a generated project; after each round a warm ``rpytest`` must say what a cold ``pytest`` says.

    python tests/python/random_staleness.py --rounds 500 --seed 1

The same seed gives the same project and the same edits. A failure shows the round's edits, and keeps the project.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import Project
from staleness import Scenario, Scene, agree

INI = [
    "[pytest]\n",
    "[pytest]\npython_functions = test_*1 test_p*\n",
    "[pytest]\naddopts = -k 1\n",
    "[pytest]\nxfail_strict = true\n",
]
TESTS = """\
import os
import pytest
from lib import {module}
{extra}
VARIABLE = os.environ.get("RANDOM_VARIABLE")
def test_{name}1(): print({module}.VALUE, VARIABLE)
def test_{name}2(): assert {module}.VALUE % 3
@pytest.mark.xfail
def test_{name}3(value): assert value % 2
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
    "import pytest\nfrom lib import {module}\n@pytest.fixture{options}\ndef value(): return {module}.VALUE + {number}\n"
)


class Tree:
    """A generated project: files by path, and the random edits of them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.number = 0
        self.files: dict[str, str] = {}
        self.past: list[dict[str, str]] = []
        self.variable: str | None = None
        self.count = self.random.randint(3, 6)
        for index in range(self.count):
            self.files[f"lib/m{index}.py"] = self.module(index)
        self.files["data/values.txt"] = "1 2"
        self.files["conftest.py"] = self.fixture()
        self.files["pytest.ini"] = INI[0]
        for name in ("test_a.py", "test_b.py", "sub/test_c.py", "sub/deep/test_d.py"):
            self.files[name] = self.tests()

    # Pieces

    def value(self) -> int:
        # Some of one size, some not.
        self.number += 1
        return self.random.choice([self.number, self.number % 10, int(f"1{'0' * self.random.randint(0, 6)}")])

    def any_module(self) -> str:
        return f"m{self.random.randrange(self.count)}"

    def module(self, index: int) -> str:
        text = ""
        value = str(self.value())
        # Only of a later one: no circles.
        if index + 1 < self.count and self.random.random() < 0.7:
            other = f"m{self.random.randrange(index + 1, self.count)}"
            text = f"from lib import {other}\n"
            value += f" + {other}.VALUE"
        return f"{text}VALUE = {value}\n"

    def fixture(self) -> str:
        options = self.random.choice(["", "(autouse=True)", "(scope='session')"])
        return FIXTURE.format(module=self.any_module(), options=options, number=self.value())

    def tests(self) -> str:
        name = self.random.choice("rstuv")
        extra = self.random.choice(["", DATA.format(name=name), "import helper", f"\n# {self.value()}"])
        return TESTS.format(module=self.any_module(), name=name, extra=extra)

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
        self.files["data/values.txt"] = " ".join(str(self.value()) for _ in range(self.random.randint(1, 3)))
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
            self.edit_module, self.edit_module, self.edit_module, self.edit_tests, self.edit_tests, self.new_tests, self.delete_tests,
            self.rename_tests, self.conftest, self.init, self.ini, self.data, self.listing, self.helper, self.environment, self.back, self.back,
            self.delete_module,
        ]  # fmt: skip
        return [edit() for edit in self.random.choices(edits, k=self.random.choice([1, 1, 2, 3]))]

    # On disk

    def write(self, folder: Path) -> str:
        """Make the folder's files those of the tree, in one of the ways in which that happens; returns which one."""
        for path in sorted(folder.rglob("*"), reverse=True):
            name = str(path.relative_to(folder))
            if "__pycache__" in name or ".pytest_cache" in name:
                continue
            if path.is_file() and name not in self.files:
                path.unlink()
            elif path.is_dir() and not any(file.startswith(f"{name}/") for file in self.files):
                shutil.rmtree(path)
        ways = ["in place", "by renaming", "with the old time", "all anew", "without byte code"]
        way = self.random.choices(ways, weights=[5, 3, 2, 1, 1])[0]
        for name, text in self.files.items():
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
        return way


SELECTIONS = ["-k 2", "sub", "test_a.py", "--lf", "-m xfail"]


def play(
    project: Project, folder: Path, seed: int, rounds: int, report: Callable[[int, str], None] | None = None
) -> None:
    """Generate a project and edit it at random; fails at the first difference."""
    tree = Tree(seed)
    scene = Scene(project, folder, Scenario(f"seed {seed}", {}, []))
    tree.write(folder)
    agree(scene, "at the beginning")
    for number in range(1, rounds + 1):
        edits = tree.round()
        if tree.random.random() < 0.15:
            edits.append("nothing else, and a selection")
        way = tree.write(folder)
        scene.env["RANDOM_VARIABLE"] = tree.variable
        what = f"seed {seed}, round {number} ({'; '.join(edits)}; written {way})"
        if report is not None:
            report(number, what)
        agree(scene, what)
        if tree.random.random() < 0.3:
            selection = tree.random.choice(SELECTIONS)
            agree(scene, f"{what}, {selection}", selection)


def main() -> int:
    """Many rounds, as many projects as it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300, help="in all (default: 300)")
    parser.add_argument("--each", type=int, default=25, help="rounds of a project before the next one (default: 25)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first project (default: the time)")
    options = parser.parse_args()
    done = 0
    for seed in range(options.seed, options.seed + -(-options.rounds // options.each)):
        project = Project(Path(tempfile.mkdtemp(prefix="staleness-")))
        began = time.monotonic()
        rounds = min(options.each, options.rounds - done)
        try:
            play(project, project.path, seed, rounds)
        except pytest.fail.Exception as error:
            print(f"{error}\nthe project is kept: {project.path}")
            return 1
        finally:
            project.close()
        shutil.rmtree(project.path)
        done += rounds
        print(
            f"seed {seed}: {rounds} rounds without a difference, {time.monotonic() - began:.0f} s; {done} in all",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
