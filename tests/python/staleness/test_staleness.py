"""A warm run is never stale: whatever is changed, a run is what a cold one would be."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from support.daemons import runs, status, wait_for, waiting_code, waiting_test
from support.harness import Project, Result
from support.staleness import wait_for_next_second

PASSING = {"test_a.py": "def test_1(): pass\ndef test_2(): pass\n"}


class TestStaleness:
    """Whatever is changed between two runs: the second is what a cold one would be."""

    FILES: ClassVar = {
        "conftest.py": "import pytest\n@pytest.fixture\ndef value(): return 1\n",
        "helper.py": "VALUE = 1\n",
        "data.txt": "1",
        "test_a.py": "import os, helper\nDATA = open('data.txt').read()\n"
        "VARIABLE = os.environ.get('VARIABLE')\n"
        "def test_helper(): assert helper.VALUE == 1\n"
        "def test_data(): assert DATA == '1'\n"
        "def test_variable(): assert VARIABLE is None\n"
        "def test_fixture(value): assert value == 1\n",
        "test_b.py": "def test_b(): pass\n",
    }

    @pytest.fixture
    def warm(self, shared_project: Project, folder: Path) -> Path:
        """A project with a warm session."""
        shared_project.fill(folder, self.FILES)
        written = time.time()
        assert (
            shared_project.rpytest("-n2", "-p", "no:cacheprovider", junit=False, cwd=folder).status
            == 0
        )
        # Otherwise Python itself might not notice an edit that keeps the size.
        wait_for_next_second(written)
        return folder

    def again(
        self, shared_project: Project, warm: Path, *, env: Mapping[str, str] | None = None
    ) -> Result:
        """The same command again; whatever happened, it must be as pytest."""
        args = ("-p", "no:cacheprovider")
        actual = shared_project.rpytest("-n2", *args, junit=False, cwd=warm, env=env)
        expected = shared_project.pytest(*args, junit=False, cwd=warm, env=env)
        assert actual.status == expected.status, f"{actual}\n{expected}"
        assert actual.counts == expected.counts, f"{actual}\n{expected}"
        return actual

    def test_nothing(self, shared_project: Project, warm: Path) -> None:
        assert self.again(shared_project, warm).counts == {"passed": 5}
        assert runs(shared_project, warm) == [2]

    def test_a_cache_in_the_making(self, shared_project: Project, warm: Path) -> None:
        """Another run's: pytest makes it under this name, and renames it."""
        (warm / "pytest-cache-files-x1").mkdir()
        assert self.again(shared_project, warm).counts == {"passed": 5}
        assert runs(shared_project, warm) == [2]
        # What is collected while it is there stays warm without it.
        shared_project.fill(warm, {"helper.py": "VALUE = 1  # edited\n"})
        assert self.again(shared_project, warm).counts == {"passed": 5}
        (warm / "pytest-cache-files-x1").rmdir()
        assert self.again(shared_project, warm).counts == {"passed": 5}
        assert runs(shared_project, warm) == [2]

    def test_a_project_with_the_name_of_such_a_cache(
        self, shared_project: Project, folder: Path
    ) -> None:
        place = folder / "pytest-cache-files-a" / "pytest-cache-files-b"
        shared_project.fill(place, {"test_a.py": "def test_a(): pass\n"})
        for _ in range(2):
            assert self.again(shared_project, place).counts == {"passed": 1}
        shared_project.fill(place, {"test_b.py": "def test_b(): pass\n"})
        assert self.again(shared_project, place).counts == {"passed": 2}

    @pytest.mark.parametrize(
        ("file", "text", "counts"),
        [
            ("helper.py", "VALUE = 22\n", {"failed": 1, "passed": 4}),
            ("data.txt", "2", {"failed": 1, "passed": 4}),
            (
                "conftest.py",
                "import pytest\n@pytest.fixture\ndef value(): return 2\n",
                {"failed": 1, "passed": 4},
            ),
            ("test_c.py", "def test_c(): assert 0\n", {"failed": 1, "passed": 5}),
            ("sub/test_c.py", "def test_c(): pass\n", {"passed": 6}),
            ("pytest.ini", "[pytest]\npython_functions = test_h*\n", {"passed": 1}),
            (
                "pyproject.toml",
                "[tool.pytest.ini_options]\npython_files = 'test_b.py'\n",
                {"passed": 1},
            ),
            ("helper/__init__.py", "VALUE = 3\n", {"failed": 1, "passed": 4}),
        ],
    )
    def test_file(
        self, shared_project: Project, warm: Path, file: str, text: str, counts: dict[str, int]
    ) -> None:
        """Edited or new."""
        shared_project.fill(warm, {file: text})
        assert self.again(shared_project, warm).counts == counts
        assert runs(shared_project, warm) == [1]
        assert self.again(shared_project, warm).counts == counts
        assert runs(shared_project, warm) == [2]

    def test_test_module(self, shared_project: Project, warm: Path) -> None:
        """Only it is collected anew, by a fork of the process that serves other arguments: there is
        no other session.
        """
        shared_project.fill(warm, {"test_b.py": "def test_b(): assert 0\n"})
        for _ in range(2):
            assert self.again(shared_project, warm).counts == {"failed": 1, "passed": 4}
            assert runs(shared_project, warm) == []

    @pytest.mark.parametrize(
        ("file", "counts"),
        [("test_b.py", {"passed": 4}), ("helper.py", {"errors": 1}), ("data.txt", {"errors": 1})],
    )
    def test_deleted(
        self, shared_project: Project, warm: Path, file: str, counts: dict[str, int]
    ) -> None:
        (warm / file).unlink()
        assert self.again(shared_project, warm).counts == counts

    def test_renamed(self, shared_project: Project, warm: Path) -> None:
        (warm / "test_b.py").rename(warm / "test_c.py")
        assert "test_c.py::test_b PASSED" in self.again(shared_project, warm).stdout

    def test_variable(self, shared_project: Project, warm: Path) -> None:
        assert self.again(shared_project, warm, env={"VARIABLE": "1"}).counts == {
            "failed": 1,
            "passed": 4,
        }
        assert self.again(shared_project, warm).counts == {"passed": 5}
        # Both are warm.
        assert sorted(runs(shared_project, warm)) == [1, 2]

    def test_variable_that_is_noise(self, shared_project: Project, warm: Path) -> None:
        assert self.again(shared_project, warm, env={"SHLVL": "7", "OLDPWD": "/"}).counts == {
            "passed": 5
        }
        assert runs(shared_project, warm) == [2]

    @pytest.mark.parametrize("file", ["test_a.py", "conftest.py", "helper.py"])
    def test_touched(self, shared_project: Project, warm: Path, file: str) -> None:
        """As `git checkout` of another branch and back does."""
        # By the end of a second run the contents of all files are known.
        assert self.again(shared_project, warm).counts == {"passed": 5}
        text = (warm / file).read_text()
        (warm / file).unlink()
        (warm / file).write_text(text)
        os.utime(warm / file)
        assert self.again(shared_project, warm).counts == {"passed": 5}
        assert runs(shared_project, warm) == [3]

    def test_same_size_and_time(self, shared_project: Project, warm: Path) -> None:
        """Nobody can set the time of the last change of the inode."""
        file = warm / "helper.py"
        before = file.stat()
        file.write_text(file.read_text().replace("1", "2"))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (file.stat().st_size, file.stat().st_mtime_ns) == (
            before.st_size,
            before.st_mtime_ns,
        )
        # pytest itself would trust helper's byte code, which has the same size and time: without
        # it, it can't.
        for cached in (warm / "__pycache__").glob("helper*"):
            cached.unlink()
        assert self.again(shared_project, warm).counts == {"failed": 1, "passed": 4}

    def test_back_and_forth(self, shared_project: Project, warm: Path) -> None:
        for number, (value, failed) in enumerate(((2, 1), (1, 0), (3, 1), (1, 0))):
            # Python itself does not notice an edit of the same size in the same second.
            (warm / "helper.py").write_text(f"VALUE = {value}\n" + "\n" * (number + 1))
            assert self.again(shared_project, warm).counts.get("failed", 0) == failed

    def test_data_that_a_test_writes_anew(self, shared_project: Project, folder: Path) -> None:
        """With the same contents, in each run: that is no change. With other contents it is."""
        source = """
            import os, pathlib
            FILE = pathlib.Path(__file__).with_name("data.txt")
            DATA = FILE.read_text()
            def test_data():
                FILE.write_text(os.environ.get("DATA", "1"))
                assert DATA == "1"
            """
        shared_project.fill(folder, {"test_a.py": source})
        (folder / "data.txt").write_text("1")
        for _ in range(3):
            assert self.again(shared_project, folder).counts == {"passed": 1}
        assert runs(shared_project, folder) == [3]
        assert shared_project.rpytest("-n2", junit=False, cwd=folder, env={"DATA": "2"}).counts == {
            "passed": 1
        }
        assert shared_project.rpytest("-n2", junit=False, cwd=folder).counts == {"failed": 1}

    def test_in_the_middle_of_a_run(self, shared_project: Project, folder: Path) -> None:
        """The run finishes with what it has read; the next one sees the edit."""
        shared_project.fill(
            folder,
            {
                "helper.py": "VALUE = 1\n",
                "test_a.py": "import helper\n" + waiting_test("started", "go"),
            },
        )
        shared_project.fill(
            folder, {"test_b.py": "import helper\ndef test_b(): assert helper.VALUE == 1\n"}
        )
        running = shared_project.spawn("-n1", cwd=folder)
        wait_for(folder / "started")
        shared_project.fill(folder, {"helper.py": "VALUE = 22\n"})
        (folder / "go").touch()
        assert running.wait() == 0, running
        assert self.again(shared_project, folder).counts == {"failed": 1, "passed": 1}

    def test_in_the_middle_of_collection(self, shared_project: Project, folder: Path) -> None:
        """Edited after it was read and before the session was finished."""
        shared_project.fill(
            folder,
            {
                "helper.py": "VALUE = 1\n",
                "test_a.py": "import helper\ndef test_a(): assert helper.VALUE == 1",
            },
        )
        shared_project.fill(
            folder, {"test_b.py": waiting_code("started", "go") + "def test_b(): pass"}
        )
        running = shared_project.spawn("-n2", cwd=folder)
        wait_for(folder / "started")
        shared_project.fill(folder, {"helper.py": "VALUE = 22\n"})
        (folder / "go").touch()
        assert running.wait() == 0, running
        assert self.again(shared_project, folder).counts == {"failed": 1, "passed": 1}

    def test_reason_is_shown(self, shared_project: Project, warm: Path) -> None:
        shared_project.fill(warm, {"helper.py": "VALUE = 1  # edited\n"})
        self.again(shared_project, warm)
        assert f"the last session was not reused: {warm}/helper.py changed" in status(
            shared_project
        )

    def test_bare_is_forgotten_when_its_reason_is_gone(
        self, shared_project: Project, folder: Path
    ) -> None:
        thread = (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(300,), "
            "daemon=True).start()\n"
        )
        shared_project.fill(folder, {**PASSING, "conftest.py": thread})
        for _ in range(2):
            result = shared_project.rpytest("-n2", "-v", junit=False, cwd=folder)
            assert "start method: bare (a thread is alive before collection" in result.stdout
        shared_project.fill(folder, {"conftest.py": ""})
        result = shared_project.rpytest("-n2", "-v", junit=False, cwd=folder)
        assert "start method" not in result.stdout
        assert runs(shared_project, folder) == [1]
