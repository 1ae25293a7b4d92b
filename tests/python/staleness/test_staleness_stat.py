"""Whatever is looked at without being opened while tests are collected: a warm run is what a cold
pytest would be.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.harness import Project, Result
from support.staleness import Perhaps, Same, Scenario, Scene, chain, check, link

SKIPPED = """
    {imports}
    import pytest
    @pytest.mark.skipif(not {condition}, reason="not there")
    def test_a(): assert 0
    """
PRINTS = """
    {imports}
    VALUE = {expression}
    def test_value(): print(VALUE)
    """


def skipped(condition: str, imports: str = "import os") -> dict[str, str]:
    return {"test_a.py": SKIPPED.format(condition=condition, imports=imports), "in/none": ""}


def prints(expression: str, imports: str = "import os", **files: str) -> dict[str, str]:
    more = {f"in/{name}": text for name, text in files.items()}
    return {
        "test_a.py": PRINTS.format(expression=expression, imports=imports),
        "in/none": "",
        **more,
    }


def program(mode: int) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        path = scene / "in/odd-program"
        path.write_text("#!/bin/sh\n")
        path.chmod(mode)

    return change


def chmod(name: str, mode: int) -> Callable[[Scene], None]:
    return lambda scene: (scene / name).chmod(mode)


def touch(name: str) -> Callable[[Scene], None]:
    return lambda scene: os.utime(scene / name)


MADE = """
    import os, shutil
    if not os.path.isdir("in/work"):
        os.mkdir("in/work")
    shutil.rmtree("in/work")
    def test_a(): print(os.listdir("in"))
    """

FIRST = """
    import os
    FIRST = not os.path.exists("in/made")
    os.makedirs("in/made", exist_ok=True)
    def test_a(): print(FIRST)
    """
BELOW = """
    import os
    os.makedirs("in", exist_ok=True)
    FOUND = os.path.exists("in/big")
    def test_a(): print(FOUND)
    """
USED = """
    import os
    FLAG = os.path.exists("in/flag")
    if FLAG:
        os.remove("in/flag")
    def test_a(): print(FLAG)
    """

SCENARIOS = [
    Scenario(
        "exists",
        skipped("os.path.exists('in/big')"),
        [{"in/big": ""}, {"in/big": None}, {"in/big/x": ""}],
    ),
    Scenario(
        "Path.exists",
        skipped("(Path(__file__).parent / 'in/big').exists()", "from pathlib import Path"),
        [{"in/big": ""}, {"in/big": None}],
    ),
    Scenario(
        "isfile",
        skipped("os.path.isfile('in/big')"),
        [{"in/big": ""}, chain({"in/big": None}, {"in/big/x": ""})],
    ),
    Scenario(
        "Path.is_dir",
        skipped("Path('in/deep/er').is_dir()", "from pathlib import Path"),
        [{"in/deep/er/x": ""}, {"in/deep": None}],
    ),
    Scenario("islink", prints("os.path.islink('in/x')", x="", y=""), [link("in/x", "y")]),
    Scenario(
        "lexists",
        prints("os.path.lexists('in/x')", y=""),
        [link("in/x", "nowhere"), Perhaps(link("in/x", "y"))],
    ),
    Scenario(
        "stat that fails",
        prints("[os.path.exists(n) for n in ('in/a', 'in/b')]", a=""),
        [{"in/b": ""}, {"in/a": None}],
    ),
    Scenario(
        "access",
        prints("os.access('in/x', os.X_OK)", x=""),
        [chmod("in/x", 0o755), chmod("in/x", 0o644)],
    ),
    Scenario("size", prints("os.path.getsize('in/x')", x="1"), [{"in/x": "22"}]),
    Scenario("time", prints("os.stat('in/x').st_mtime_ns", x="1"), [touch("in/x")]),
    Scenario(
        "Path.stat",
        prints("Path('in/x').stat().st_size", "from pathlib import Path", x="1"),
        [{"in/x": "22"}],
    ),
    Scenario(
        "readlink",
        prints("os.readlink('in/x')", y="", z=""),
        [link("in/x", "y"), link("in/x", "z")],
    ),
    Scenario(
        "resolved",
        prints("Path('in/x').resolve().name", "from pathlib import Path", y="", z=""),
        [link("in/x", "y"), link("in/x", "z")],
    ),
    Scenario(
        "program",
        skipped("shutil.which('odd-program')", "import shutil"),
        [program(0o755), program(0o644), program(0o755), {"in/odd-program": None}],
        env={"PATH": f"in{os.pathsep}{os.environ['PATH']}"},
    ),
    Scenario(
        "file that is read if it is there",
        prints("open('in/x').read() if os.path.isfile('in/x') else None"),
        [{"in/x": "1"}, {"in/x": "22"}, {"in/x": None}],
    ),
    Scenario(
        "in a conftest's hook",
        {
            "conftest.py": (
                "import os\ndef pytest_collection_modifyitems(items):\n"
                "    if os.path.exists('in/stop'): items[0].add_marker('skip')\n"
            ),
            "test_a.py": "def test_a(): pass\n",
            "in/none": "",
        },
        [{"in/stop": ""}, {"in/stop": None}],
    ),
    Scenario(
        "by a pattern",
        prints("sorted(map(str, Path('in').glob('*/exact')))", "from pathlib import Path")
        | {"in/1/exact": "", "in/2/none": ""},
        [{"in/2/exact": ""}, {"in/3/exact": ""}, {"in/1": None}],
    ),
    Scenario(
        "content of what is only looked for",
        prints("os.path.exists('in/x')", x="1"),
        [Same({}), Same({"in/x": "22"})],
    ),
    Scenario(
        "made by collection itself", {"test_a.py": MADE, "in/none": ""}, [Same({}), {"in/more": ""}]
    ),
    Scenario(
        "in what is made if it is not there",
        {"test_a.py": BELOW, "in/x": ""},
        [{"in/big": ""}, {"in/big": None}],
    ),
    Scenario(
        "before anybody notices",
        {
            "test_a.py": "from os import stat\nimport helper\ndef test_a(): print(helper.SIZE)\n",
            "helper.py": "from os import stat\nSIZE = stat('in/x').st_size\n",
            "in/x": "1",
        },
        [{"in/x": "22"}],
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_scenario(shared_project: Project, folder: Path, scenario: Scenario) -> None:
    check(shared_project, folder, scenario)


@pytest.mark.parametrize("code", [FIRST, USED], ids=["made", "used up"])
def test_own_doing(shared_project: Project, folder: Path, code: str) -> None:
    """What collection finds the first time only is found once, as by pytest."""
    shared_project.fill(folder, {"test_a.py": code})

    def values(run: Callable[..., Result]) -> list[str]:
        shutil.rmtree(folder / "in", ignore_errors=True)
        (folder / "in").mkdir()
        (folder / "in/flag").touch()
        found = [run("-rP", junit=False, cwd=folder) for _ in range(3)]
        return [re.findall("^(?:True|False)$", result.stdout, re.M)[0] for result in found]

    for _ in range(2):
        assert (
            values(shared_project.rpytest)
            == values(shared_project.pytest)
            == ["True", "False", "False"]
        )


FUNCTIONS = """
    import copy, inspect, os, pickle, posix

    class Holder:
        stat = os.stat

    STAT = os.stat

    def test_is_itself():
        assert STAT == os.stat == posix.stat
        assert hash(STAT) == hash(os.stat)
        assert STAT in os.supports_fd and STAT in os.supports_follow_symlinks
        assert pickle.loads(pickle.dumps(STAT)) is copy.copy(os.stat) is posix.stat
        assert STAT.__name__ == "stat" and repr(STAT) == repr(posix.stat)
        assert Holder().stat(".").st_ino == STAT(".").st_ino == os.stat(".").st_ino

    def test_is_as_it_was():
        assert os.stat is posix.stat and os.lstat is posix.lstat
        assert os.access is posix.access and os.readlink is posix.readlink
    """


@pytest.mark.parametrize(
    "args", [(), ("--start-method", "imported"), ("--start-method", "bare")], ids=" ".join
)
def test_functions(shared_project: Project, folder: Path, args: tuple[str, ...]) -> None:
    """Collection sees functions that are equal to those of `os`, and tests see those."""
    shared_project.fill(folder, {"test_a.py": FUNCTIONS})
    for _ in range(2):
        result = shared_project.rpytest("-n2", *args, cwd=folder)
        assert result.counts == {"passed": 2}, result


def test_functions_without_workers(shared_project: Project, folder: Path) -> None:
    shared_project.fill(folder, {"test_a.py": FUNCTIONS})
    result = shared_project.rpytest("-n0", cwd=folder)
    assert result.counts == {"passed": 2}, result


def test_traceback(shared_project: Project, folder: Path) -> None:
    """What is in the place of `os.stat` does not show in it."""
    shared_project.fill(
        folder, {"test_a.py": "import os\nos.path.getsize('nothing')\ndef test_a(): pass\n"}
    )
    outputs = [
        run("--tb=native", junit=False, cwd=folder)
        .stdout.partition("Traceback")[2]
        .partition("short test summary")[0]
        for run in (shared_project.rpytest, shared_project.pytest)
    ]
    assert "FileNotFoundError" in outputs[0]
    assert outputs[0] == outputs[1]
