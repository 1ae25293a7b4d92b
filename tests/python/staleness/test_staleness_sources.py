"""Whatever happens to Python files: a warm run is what a cold pytest would be."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from support.harness import Project
from support.staleness import (
    Perhaps,
    Same,
    Scenario,
    Scene,
    Select,
    chain,
    check,
    edit,
    keep_time,
    rename,
)

LIBRARY = {
    "shop/__init__.py": "from shop.cart import total\n",
    "shop/cart.py": "from shop.rates import RATE\ndef total(*prices): return sum(prices) * RATE\n",
    "shop/rates.py": "RATE = 2\n",
    "tests/test_cart.py": (
        "from shop import total\ndef test_total(): assert total(1, 2) == 6\n"
        "def test_none(): assert total() == 0\n"
    ),
    "tests/test_other.py": "def test_other(): pass\n",
    "pytest.ini": "[pytest]\npythonpath = .\n",
}
LEVELS = {
    "conftest.py": "import pytest\n@pytest.fixture\ndef top(): return 1\n",
    "a/conftest.py": "import pytest\n@pytest.fixture\ndef middle(top): return top + 1\n",
    "a/b/conftest.py": "import pytest\n@pytest.fixture\ndef low(middle): return middle + 1\n",
    "a/b/test_b.py": "def test_low(low): assert low == 3\n",
    "a/test_a.py": "def test_middle(middle): assert middle == 2\n",
    "test_top.py": "def test_top(top): assert top == 1\n",
}
HELPER = {
    "helper.py": "VALUE = 1\n",
    "test_a.py": "import helper\ndef test_a(): assert helper.VALUE == 1\n",
    "test_b.py": "def test_b(): pass\n",
}
PACKAGES = {
    "one/test_it.py": "def test_name(): print(__name__)\n",
    "two/__init__.py": "",
    "two/test_it.py": "def test_name(): print(__name__)\n",
}
PLUGIN = "import pytest\n@pytest.fixture\ndef answer(): return 42\n"
YAML = """
    import pytest
    def pytest_collect_file(parent, file_path):
        if file_path.suffix == ".yaml":
            return File.from_parent(parent, path=file_path)
    class File(pytest.File):
        def collect(self):
            for line in self.path.read_text().splitlines():
                name, _, value = line.partition(": ")
                item = Item.from_parent(self, name=name)
                item.value = value
                yield item
    class Item(pytest.Item):
        def runtest(self): assert int(self.value) < 10
        def reportinfo(self): return self.path, 0, self.name
    """

# Outside of the project, whose entries are watched.
FLAGGED = """
import os, pathlib
def act():
    flag = pathlib.Path(os.environ["PYTEST_DEBUG_TEMPROOT"], "flag")
    if flag.exists():
        flag.unlink()
        pathlib.Path("helper.py").write_text("VALUE = 22\\n")
"""


def touch(scene: Scene) -> None:
    for path in scene.folder.rglob("*.*"):
        if path.is_file() and path.suffix != ".pyc":
            os.utime(path)


def written_anew(scene: Scene) -> None:
    """As a version control system or an editor does: another file of the same text."""
    for path in scene.folder.rglob("*.py"):
        new = path.with_suffix(".new")
        new.write_text(path.read_text())
        new.rename(path)


def future(scene: Scene) -> None:
    (scene / "helper.py").write_text("VALUE = 1 + 1\n")
    later = time.time() + 86400
    os.utime(scene / "helper.py", (later, later))


def past(scene: Scene) -> None:
    (scene / "helper.py").write_text("VALUE = 1 + 1\n")
    os.utime(scene / "helper.py", (1e9, 1e9))


def replaced(scene: Scene) -> None:
    (scene / "new").write_text("VALUE = 1 + 1\n")
    (scene / "new").rename(scene / "helper.py")


def without_byte_code(scene: Scene) -> None:
    for path in list(scene.folder.rglob("__pycache__")):
        shutil.rmtree(path)


def byte_code_alone(scene: Scene) -> None:
    """`helper` without its source, as some programs are delivered."""
    (cached,) = (scene / "__pycache__").glob("helper.*.pyc")
    shutil.copy(cached, scene / "helper.pyc")
    (scene / "helper.py").unlink()


def other_byte_code(scene: Scene) -> None:
    """Another source of the same size and time was compiled in the place of the helper's."""
    (cached,) = (scene / "__pycache__").glob("helper.*.pyc")
    source = scene / "helper.py"
    time_before = source.stat().st_mtime_ns
    text = source.read_text()
    source.write_text(text.replace("1", "7"))
    os.utime(source, ns=(time_before, time_before))
    import py_compile

    py_compile.compile(str(source), str(cached), doraise=True)
    source.write_text(text)
    os.utime(source, ns=(time_before, time_before))


def flagged(scene: Scene) -> None:
    """A run that collects anew, and in which something of the project edits `helper.py`."""
    (scene / "test_b.py").write_text((scene / "test_b.py").read_text() + "# edited\n")
    flag = scene.project.scratch / "flag"
    flag.touch()
    scene.project.rpytest("-n2", "-rA", junit=False, cwd=scene.cwd, env=scene.env)
    assert not flag.exists()


def hard_link(scene: Scene) -> None:
    (scene / "elsewhere").write_text("VALUE = 1\n")
    (scene / "helper.py").unlink()
    (scene / "helper.py").hardlink_to(scene / "elsewhere")


SCENARIOS = [
    Scenario(
        "source under test",
        LIBRARY,
        [
            edit("shop/cart.py", "sum(prices)", "sum(prices[1:])"),
            edit("shop/cart.py", "prices[1:]", "prices"),
            Select("tests/test_cart.py::test_none"),
            edit("shop/cart.py", "sum(prices)", "sum(prices[::2])"),
        ],
    ),
    Scenario(
        "helper of a helper",
        LIBRARY,
        [edit("shop/rates.py", "2", "20"), edit("shop/rates.py", "20", "2")],
    ),
    Scenario("package's init", LIBRARY, [{"shop/__init__.py": "def total(*prices): return 6\n"}]),
    Scenario(
        "test edited, added, renamed, deleted",
        HELPER,
        [
            edit("test_b.py", "pass", "assert 0"),
            {"test_b.py": "def test_b(): pass\ndef test_more(): assert 1\n"},
            Select("-k more"),
            edit("test_b.py", "test_more", "test_named_anew"),
            {"test_b.py": "def test_named_anew(): assert 1\n"},
        ],
    ),
    Scenario(
        "test file added, renamed, deleted",
        HELPER,
        [
            {"test_c.py": "def test_c(): pass\n"},
            rename("test_c.py", "test_d.py"),
            Select("test_d.py"),
            {"test_d.py": None},
            {"deep/er/test_e.py": "def test_e(): pass\n"},
            rename("deep", "shallow"),
            {"shallow": None},
        ],
    ),
    Scenario(
        "package of tests added, renamed, deleted",
        HELPER,
        [
            {"pack/__init__.py": "", "pack/test_p.py": "def test_p(): print(__name__)\n"},
            rename("pack", "pick"),
            {"pick": None},
        ],
    ),
    Scenario(
        "init appears and disappears",
        PACKAGES,
        [
            {"one/__init__.py": ""},
            {"two/__init__.py": None},
            {"one/__init__.py": None, "two/__init__.py": ""},
        ],
    ),
    Scenario(
        "init above the package appears", PACKAGES, [{"__init__.py": ""}, {"__init__.py": None}]
    ),
    Scenario(
        "conftest at each level",
        LEVELS,
        [
            edit("conftest.py", "return 1", "return 10"),
            edit("a/conftest.py", "top + 1", "top + 10"),
            edit("a/b/conftest.py", "middle + 1", "middle + 10"),
            Select("a/test_a.py"),
            edit("conftest.py", "return 10", "return 1"),
        ],
    ),
    Scenario(
        "conftest appears and disappears",
        LEVELS,
        [
            {"a/conftest.py": None},
            {"a/conftest.py": LEVELS["a/conftest.py"].replace("+ 1", "- 1")},
            {"a/b/conftest.py": None},
            {"conftest.py": None},
        ],
    ),
    Scenario(
        "first conftest",
        HELPER,
        [{"conftest.py": "def pytest_itemcollected(item): item.add_marker('xfail')\n"}],
    ),
    Scenario(
        "first conftest of a sub-folder",
        {**HELPER, "sub/test_s.py": "def test_s(): pass\n"},
        [
            {
                "sub/conftest.py": (
                    "import pytest\n@pytest.fixture(autouse=True)\ndef stop(): pytest.skip('why')\n"
                )
            }
        ],
    ),
    Scenario(
        "helper of a conftest",
        {
            **LEVELS,
            "conftest.py": "import pytest, number\n@pytest.fixture\ndef top(): return number.ONE\n",
            "number.py": "ONE = 1\n",
        },
        [edit("number.py", "1", "11"), Select("test_top.py"), edit("number.py", "11", "1")],
    ),
    Scenario(
        "conftest that ignores",
        {**HELPER, "conftest.py": "collect_ignore = ['test_b.py']\n"},
        [edit("conftest.py", "test_b", "test_a"), edit("conftest.py", "['test_a.py']", "[]")],
    ),
    Scenario(
        "module of pytest_plugins",
        {
            "conftest.py": "pytest_plugins = ['plugin']\n",
            "plugin.py": PLUGIN,
            "test_a.py": "def test_a(answer): assert answer == 42\n",
        },
        [edit("plugin.py", "42", "43"), edit("plugin.py", "answer", "question")],
    ),
    Scenario(
        "plugin given by -p",
        {"tools/plugin.py": PLUGIN, "test_a.py": "def test_a(answer): assert answer == 42\n"},
        [edit("tools/plugin.py", "42", "43"), edit("tools/plugin.py", "43", "4" + "2")],
        args="-p plugin",
        env={"PYTHONPATH": "tools"},
    ),
    Scenario(
        "doctest in a module",
        {"module.py": '"""\n>>> 1 + 1\n2\n"""\n', **HELPER},
        [edit("module.py", "2", "3"), {"another.py": '"""\n>>> 2\n2\n"""\n'}, {"module.py": None}],
        args="--doctest-modules",
    ),
    Scenario(
        "doctest in a text",
        {"docs/text.txt": ">>> 1 + 1\n2\n", **HELPER},
        [edit("docs/text.txt", "2", "3"), {"docs/more.txt": ">>> 2\n2\n"}, {"docs/text.txt": None}],
        args="--doctest-glob=*.txt",
    ),
    Scenario(
        "tests that are no Python",
        {"conftest.py": YAML, "one.yaml": "a: 1\nb: 2\n", **HELPER},
        [
            edit("one.yaml", "b: 2", "b: 20"),
            {"two.yaml": "c: 3\n"},
            edit("conftest.py", "10", "30"),
            {"one.yaml": None},
        ],
    ),
    Scenario(
        "read by a hook that selects",
        {
            **HELPER,
            "conftest.py": "def pytest_collection_modifyitems(items):\n    import late\n"
            "    with open('kept.txt') as file: items[:] = [item for item in items if "
            "item.name == file.read() + late.REST]\n",
            "late.py": "REST = '_a'\n",
            "kept.txt": "test",
        },
        [
            edit("late.py", "_a", "_b"),
            edit("late.py", "_b", "_a"),
            {"kept.txt": "no", "test_b.py": "def no_a(): pass\n"},
            {"kept.txt": "test"},
        ],
    ),
    Scenario("touched", LIBRARY, [Same({}), Same(touch), Select("-k total"), Same(touch)]),
    # In the same second, byte code that another process has compiled meanwhile might be that of
    # another text: then the session is not used again.
    Scenario("written anew", LIBRARY, [Same({}), Same(written_anew), Same(written_anew)]),
    Scenario(
        "edited and undone",
        LIBRARY,
        [Same({}), Same(chain(edit("shop/rates.py", "2", "3"), edit("shop/rates.py", "3", "2")))],
    ),
    Scenario(
        "same size and time",
        HELPER,
        [Perhaps(keep_time({"helper.py": "VALUE = 2\n"})), Perhaps(touch)],
    ),
    Scenario(
        "same size and time, without byte code",
        HELPER,
        [chain(keep_time({"helper.py": "VALUE = 2\n"}), without_byte_code)],
    ),
    Scenario(
        "edits of the same size within a second",
        HELPER,
        [Perhaps({"helper.py": f"VALUE = {value}\n"}) for value in (2, 3, 1, 2)],
    ),
    Scenario(
        "tests of the same size within a second",
        HELPER,
        [Perhaps({"test_b.py": f"def test_{name}(): pass\n"}) for name in "cdbe"],
    ),
    Scenario("time stamp in the future", HELPER, [future, edit("helper.py", "1 + 1", "2 - 1")]),
    Scenario("time stamp in the past", HELPER, [past, edit("helper.py", "1 + 1", "2 - 1")]),
    Scenario("replaced by renaming", HELPER, [replaced]),
    Scenario("byte code removed", HELPER, [Same({}), Same(without_byte_code)]),
    Scenario("byte code alone", HELPER, [Perhaps(byte_code_alone), {"helper.pyc": None}]),
    Scenario("other byte code", HELPER, [other_byte_code]),
    Scenario("hard link", HELPER, [Perhaps(hard_link), edit("elsewhere", "1", "22")]),
    Scenario(
        "permissions",
        HELPER,
        [
            Perhaps(lambda scene: (scene / "helper.py").chmod(0)),
            Perhaps(lambda scene: (scene / "helper.py").chmod(0o644)),
        ],
    ),
    Scenario(
        "module becomes a package",
        HELPER,
        [chain({"helper.py": None, "helper/__init__.py": "VALUE = 10\n"}), {"helper": None}],
    ),
    Scenario(
        "syntax error, and mended",
        HELPER,
        [
            edit("helper.py", "=", "=="),
            edit("helper.py", "==", "=  "),
            edit("test_b.py", ":", ""),
            edit("test_b.py", "()", "():"),
        ],
    ),
    Scenario(
        "test that edits its helper",
        {**HELPER, "test_b.py": FLAGGED + "def test_b(): act()\n"},
        [flagged, edit("helper.py", "22", "1")],
    ),
    Scenario(
        "module that edits another one while it is imported",
        {**HELPER, "test_b.py": FLAGGED + "act()\ndef test_b(): pass\n"},
        [flagged, edit("helper.py", "22", "1"), chain({"conftest.py": ""}, flagged)],
    ),
    Scenario(
        "conftest that edits a module before it is imported",
        {**HELPER, "conftest.py": FLAGGED + "act()\n"},
        [flagged],
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_scenario(shared_project: Project, folder: Path, scenario: Scenario) -> None:
    check(shared_project, folder, scenario)
