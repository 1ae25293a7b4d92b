"""pytest's cache after a run is what pytest would have left."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from support.harness import Project, Result


class TestCache:
    def both(self, shared_project: Project, folder: Path, *args: str) -> Result:
        """Run pytest and rpytest, each with a cache of its own, and compare what they select."""
        expected = shared_project.pytest(*args, "-o", "cache_dir=cache-pytest", cwd=folder)
        actual = shared_project.rpytest("-n2", *args, "-o", "cache_dir=cache-rpytest", cwd=folder)
        assert actual.status == expected.status, f"{actual}\n{expected}"
        assert actual.outcomes == expected.outcomes, f"{actual}\n{expected}"
        return actual

    FILES: ClassVar = {
        "test_a.py": (
            "import os, pytest\n@pytest.mark.parametrize('i', range(4))\n"
            "def test_1(i): assert i != 2 or os.path.exists('fixed')\n"
        ),
        "test_b.py": (
            "import os\ndef test_b(): pass\ndef test_c(): assert os.path.exists('fixed')\n"
        ),
    }

    def test_last_failed(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, self.FILES)
        assert self.both(shared_project, folder).counts == {"failed": 2, "passed": 4}
        assert set(self.both(shared_project, folder, "--lf").outcomes) == {
            "test_a::test_1[2]",
            "test_b::test_c",
        }
        assert (folder / "cache-rpytest/v/cache/lastfailed").read_text() == (
            folder / "cache-pytest/v/cache/lastfailed"
        ).read_text()
        self.both(shared_project, folder, "--ff")
        (folder / "fixed").touch()
        assert self.both(shared_project, folder, "--lf").counts["passed"] == 2
        # Nothing has failed: all are run.
        assert self.both(shared_project, folder, "--lf").counts == {"passed": 6}
        assert self.both(shared_project, folder, "--lf", "--lfnf=none").status == 5

    def test_a_module_that_can_not_be_imported(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(
            folder, {**self.FILES, "test_c.py": "import nothing_such\ndef test_d(): pass\n"}
        )
        assert self.both(shared_project, folder).status == 2
        for name in ("lastfailed", "nodeids"):
            file = f"v/cache/{name}"
            assert (folder / "cache-rpytest" / file).read_text() == (
                folder / "cache-pytest" / file
            ).read_text()
        shared_project.fill(folder, {"test_c.py": "def test_d(): pass\n"})
        assert set(self.both(shared_project, folder, "--lf").outcomes) == {"test_c::test_d"}

    def test_a_passing_run_clears_it(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, self.FILES)
        for _ in range(2):
            self.both(shared_project, folder)
        (folder / "fixed").touch()
        for _ in range(2):
            assert self.both(shared_project, folder).counts == {"passed": 6}
        for name in ("pytest", "rpytest"):
            assert (
                not (folder / f"cache-{name}/v/cache/lastfailed").exists()
                or (folder / f"cache-{name}/v/cache/lastfailed").read_text() == "{}"
            )

    def test_collection_errors_are_failures(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {**self.FILES, "test_d.py": "import nothing_such"})
        self.both(shared_project, folder)
        self.both(shared_project, folder, "--lf")

    def test_new_first(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, self.FILES)
        self.both(shared_project, folder)
        shared_project.fill(folder, {"test_e.py": "def test_e(): pass"})
        assert self.both(shared_project, folder, "--nf").counts == {"failed": 2, "passed": 5}
        ids = [
            (folder / f"cache-{name}/v/cache/nodeids").read_text() for name in ("pytest", "rpytest")
        ]
        assert ids[0] == ids[1]

    def test_stepwise(self, shared_project: Project, folder: Path) -> None:
        """One worker, or the first failure would not be pytest's."""
        shared_project.fill(folder, self.FILES)

        def both(*args: str) -> Result:
            expected = shared_project.pytest(*args, "-o", "cache_dir=cache-pytest", cwd=folder)
            actual = shared_project.rpytest(
                "-n1", *args, "-o", "cache_dir=cache-rpytest", cwd=folder
            )
            assert (actual.status, actual.outcomes) == (expected.status, expected.outcomes), (
                f"{actual}\n{expected}"
            )
            return actual

        assert both("--sw").counts == {"failed": 1, "passed": 2}
        assert both("--sw").counts == {"failed": 1, "deselected": 2}
        assert both("--sw", "--sw-skip").counts == {"failed": 2, "passed": 2, "deselected": 2}
        (folder / "fixed").touch()
        assert both("--sw").status == 0
        assert both("--sw").counts == {"passed": 6}

    def test_cache_show_and_clear(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, self.FILES)
        self.both(shared_project, folder)
        assert (
            "test_b.py::test_c"
            in shared_project.rpytest(
                "--cache-show", "-o", "cache_dir=cache-rpytest", junit=False, cwd=folder
            ).stdout
        )
        assert self.both(shared_project, folder, "--cache-clear", "--lf").counts == {
            "failed": 2,
            "passed": 4,
        }
