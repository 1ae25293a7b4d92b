"""Whatever is installed, removed or linked into the environment: a warm run is what a cold pytest
would be.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.harness import Project
from support.staleness import Files, Perhaps, Same, Scenario, Scene, chain, check
from support.venvs import make

BASE = "base.pth"


@dataclass(frozen=True)
class Environment:
    """A virtual environment that sees everything which is installed in that of the tests."""

    path: Path
    site: Path

    @property
    def python(self) -> Path:
        return self.path / "bin/python"


@pytest.fixture(scope="module")
def environment(shared_project: Project) -> Iterator[Environment]:
    path = shared_project.scratch / "venv"
    site = make(shared_project, path)
    # Not just its path: what is installed there as editable is to be found, too.
    (site / BASE).write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    yield Environment(path, site)
    # The daemon of this interpreter; that of the tests' own is stopped by the harness.
    shared_project.spawn("--daemon-stop", env={"RPYTEST_PYTHON": str(path / "bin/python")}).wait()


def site(files: Files) -> Callable[[Scene], None]:
    """Write into (None: remove from) the environment's site-packages; `{folder}` in a text is the
    project's folder.
    """

    def change(scene: Scene) -> None:
        (folder,) = Path(scene.project.env["RPYTEST_PYTHON"]).parent.parent.glob(
            "lib/python*/site-packages"
        )
        texts = {
            name: text and text.replace("{folder}", str(scene.folder))
            for name, text in files.items()
        }
        scene.write({str(folder / name): text for name, text in texts.items()})

    return change


def distribution(name: str, version: str, entry_points: str = "") -> dict[str, str | None]:
    return {
        f"{name}-{version}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        ),
        f"{name}-{version}.dist-info/entry_points.txt": entry_points,
        f"{name}-{version}.dist-info/RECORD": "",
    }


PLUGIN = "[pytest11]\nodd = odd_plugin\n"
VERSION = {
    "test_a.py": (
        "from importlib.metadata import version, PackageNotFoundError\ntry:\n"
        "    V = version('things')\nexcept PackageNotFoundError:\n    V = None\n"
        "def test_a(): print(V)\n"
    )
}
IMPORTS = {"test_a.py": "import things\ndef test_a(): assert things.A == 1\n"}
FINDER = """
    import importlib.util, sys
    MAPPING = {"things": "{folder}/TARGET/things.py"}
    class Finder:
        @classmethod
        def find_spec(cls, name, path=None, target=None):
            if name in MAPPING:
                return importlib.util.spec_from_file_location(name, MAPPING[name])
    def install():
        sys.meta_path.append(Finder)
    """
COPIES = {**IMPORTS, "one/things.py": "A = 1\n", "two/things.py": "A = 10\n"}

SCENARIOS = [
    Scenario(
        "module",
        {"test_a.py": IMPORTS["test_a.py"]},
        [
            site({"things.py": "A = 1\n"}),
            site({"things.py": "A = 10\n"}),
            site({"things.py": None}),
        ],
    ),
    Scenario(
        "package",
        {"test_a.py": IMPORTS["test_a.py"]},
        [
            site(
                {"things/__init__.py": "from things.inner import A\n", "things/inner.py": "A = 1\n"}
            ),
            site({"things/inner.py": "A = 10\n"}),
            site({"things": None, "things.py": "A = 100\n"}),
        ],
    ),
    Scenario(
        "version",
        VERSION,
        [
            site(distribution("things", "1.0")),
            chain(site({"things-1.0.dist-info": None}), site(distribution("things", "2.0"))),
            site({"things-2.0.dist-info": None}),
        ],
    ),
    Scenario(
        "plugin",
        {"test_a.py": "def test_a(): pass\n"},
        [
            site(
                {
                    **distribution("odd", "1.0", PLUGIN),
                    "odd_plugin.py": "def pytest_report_header(): return 'odd'\n",
                }
            ),
            site({"odd_plugin.py": "def pytest_report_header(): return 'even'\n"}),
            chain(site({"odd-1.0.dist-info": None}), site(distribution("odd", "1.1", PLUGIN))),
            site({"odd-1.1.dist-info": None, "odd_plugin.py": None}),
        ],
    ),
    Scenario(
        "path file",
        COPIES,
        [
            site({"things.pth": "{folder}/one\n"}),
            site({"things.pth": "{folder}/two\n"}),
            {"two/things.py": "A = 1 + 0\n"},
            site({"things.pth": None}),
        ],
    ),
    Scenario(
        "editable by a finder",
        COPIES,
        [
            site(
                {
                    "__editable__things.pth": (
                        "import finder_of_things; finder_of_things.install()\n"
                    ),
                    "finder_of_things.py": FINDER.replace("TARGET", "one"),
                }
            ),
            site({"finder_of_things.py": FINDER.replace("TARGET", "two")}),
            {"two/things.py": "A = 1 + 0\n"},
            site({"__editable__things.pth": None}),
        ],
    ),
    Scenario(
        "something that nobody imports",
        {"test_a.py": "def test_a(): pass\n"},
        [Perhaps(site({"unused.py": "A = 1\n"})), Same(site({"unused.py": "A = 10\n"}))],
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_scenario(
    shared_project: Project,
    folder: Path,
    environment: Environment,
    scenario: Scenario,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(shared_project.env, "RPYTEST_PYTHON", str(environment.python))
    for entry in environment.site.iterdir():
        if entry.name != BASE:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    scene = Scene(shared_project, folder, scenario)
    scene.pytest = os.fspath(environment.path / "bin/pytest")
    check(shared_project, folder, scenario, scene)
