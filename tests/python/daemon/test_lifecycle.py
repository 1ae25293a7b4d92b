"""What happens to environments, projects and users while a daemon is running."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import processes
from support.daemons import runs, sockets, status
from support.harness import Project
from support.venvs import Environment

PASSING = {"test_a.py": "def test_1(): pass\ndef test_2(): pass\n"}
NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")


@pytest.fixture
def environment(project: Project) -> Iterator[Environment]:
    project.write(PASSING)
    environment = Environment(project, project.scratch / "venv")
    yield environment
    if environment.path.exists():
        environment.run("--daemon-stop")


def socket_of(pid: int) -> Path | None:
    """Where a process of a daemon listens, or its daemon; None: it is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return None
    return Path(words[words.index("--socket") + 1]) if "--socket" in words else None


def replaced(path: Path, old: str, new: str) -> None:
    """As an installer does: another file in the place of the old one."""
    text = path.read_text()
    assert old in text
    path.unlink()
    path.write_text(text.replace(old, new))


class TestUpgrade:
    def test_of_pytest(self, environment: Environment) -> None:
        environment.passes()
        before = environment.daemon()
        version = environment.site / "_pytest/_version.py"
        replaced(version, f"'{pytest.__version__}'", "'99.1.2'")
        header = environment.passes().splitlines()[1]
        assert "pytest-99.1.2" in header
        after = environment.daemon()
        assert before.split()[1] != after.split()[1]
        assert "pytest 99.1.2" in after
        assert len(sockets(environment.project)) == 1

    def test_of_rpytest(self, environment: Environment) -> None:
        """The package, then the program, as they come one after the other."""
        environment.passes()
        pids = [environment.daemon().split()[1]]
        package = environment.site / "rpytest"
        package.rename(environment.path / "old")
        shutil.copytree(
            environment.path / "old", package, copy_function=shutil.copyfile, dirs_exist_ok=True
        )
        # A copy of the same text would be no reason for a new session, as a touch is none.
        with (package / "host/host.py").open("a") as file:
            file.write("# of another version\n")
        environment.passes()
        pids.append(environment.daemon().split()[1])
        program = Path(environment.program("rpytest"))
        program.rename(environment.path / "old-program")
        shutil.copy2(environment.path / "old-program", program)
        environment.passes()
        pids.append(environment.daemon().split()[1])
        assert len(set(pids)) == 3
        assert len(sockets(environment.project)) == 1

    @pytest.mark.parametrize("package", ["rpytest", "_pytest", "pluggy"])
    def test_in_the_middle(self, environment: Environment, package: str) -> None:
        """Something is missing: it is said, and when it is there again all is well."""
        environment.passes()
        (environment.site / package).rename(environment.path / "away")
        code, stdout, stderr = environment.run("-n2")
        assert (code, stdout) == (4, ""), f"{stdout}\n{stderr}"
        assert stderr.startswith("error: ")
        assert "hint: " in stderr
        # Whoever was importing from it may have made a folder for byte code.
        shutil.rmtree(environment.site / package, ignore_errors=True)
        (environment.path / "away").rename(environment.site / package)
        environment.passes()

    def test_of_a_plugin(self, environment: Environment) -> None:
        """In an environment that is made anew in the place of the old one."""
        environment.passes()
        environment.remove()
        again = Environment(environment.project, environment.path)
        (again.site / "odd.py").write_text("def pytest_report_header(): return 'something odd'\n")
        info = again.site / "odd-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[pytest11]\nodd = odd\n")
        assert "something odd" in again.passes()


class TestEnvironment:
    def ends(self, environment: Environment) -> None:
        """The daemon, and all that it has started: nobody could reach it any more."""
        project = environment.project
        assert processes.wait_until(lambda: not project.processes())
        assert sockets(project) == []

    def test_deleted(self, environment: Environment) -> None:
        environment.passes()
        environment.remove()
        self.ends(environment)

    def test_moved(self, environment: Environment) -> None:
        """Its programs work where they are now, and the old daemon goes."""
        environment.passes()
        (before,) = sockets(environment.project)
        environment.path = environment.path.rename(environment.path.with_name("elsewhere"))
        environment.passes()
        assert processes.wait_until(lambda: not before.exists())
        (after,) = sockets(environment.project)
        assert after != before
        environment.run("--daemon-stop")
        self.ends(environment)


class TestProject:
    def test_deleted(self, shared_project: Project, folder: Path) -> None:
        """Its session goes as soon as another one is to be made."""
        shared_project.fill(
            folder, {f"{name}/{file}": text for name in "ab" for file, text in PASSING.items()}
        )
        assert shared_project.rpytest("-n2", junit=False, cwd=folder / "a").status == 0
        assert runs(shared_project, folder / "a") == [1]
        shutil.rmtree(folder / "a")
        assert shared_project.rpytest("-n2", junit=False, cwd=folder / "b").status == 0
        assert runs(shared_project, folder / "b") == [1]
        assert str(folder / "a") not in status(shared_project)

    def test_deleted_in_a_run(self, shared_project: Project, folder: Path) -> None:
        """The run goes on with what it has read, and whoever comes to that place later begins
        anew.
        """
        inner = folder / "inner"
        shared_project.fill(
            inner,
            {
                "test_a.py": (
                    f"import shutil\ndef test_1(): shutil.rmtree({str(inner)!r})\n"
                    "def test_2(): pass\n"
                )
            },
        )
        result = shared_project.rpytest("-n1", "-p", "no:cacheprovider", junit=False, cwd=inner)
        assert result.counts == {"passed": 2}, result
        assert not inner.exists()
        shared_project.fill(inner, {"test_b.py": "def test_3(): pass\n"})
        result = shared_project.rpytest("-n1", "-p", "no:cacheprovider", junit=False, cwd=inner)
        assert result.counts == {"passed": 1}, result

    def test_long_path(self, shared_project: Project, folder: Path) -> None:
        """Longer than a socket's path may be, and than a name in a folder."""
        deep = folder.joinpath(*("x" * 200 for _ in range(12)))
        shared_project.fill(deep, {**PASSING, "conftest.py": ""})
        for _ in range(2):
            assert shared_project.rpytest("-n2", junit=False, cwd=deep).counts == {"passed": 2}
        assert runs(shared_project, deep) == [2]
        assert shared_project.compare(cwd=deep).counts == {"passed": 2}


class TestRuntimeDirectory:
    """`RPYTEST_RUNTIME_DIR` is not set."""

    def check(self, project: Project, runtime: Path, **variables: str | None) -> None:
        """The daemon is in `runtime`, and the second run is warm."""
        # A daemon of this test alone, wherever it is.
        mark = "PYTHON_OF_TEST"
        env = {"RPYTEST_RUNTIME_DIR": None, mark: str(project.scratch), **variables}
        project.write(PASSING)
        for _ in range(2):
            assert project.rpytest("-n2", junit=False, env=env).counts == {"passed": 2}
        found = {socket_of(pid) for pid in processes.with_variable(mark, str(project.scratch))}
        listening = {socket for socket in found if socket is not None}
        try:
            (socket,) = listening
            assert socket.parent == runtime
            assert socket.is_socket()
            assert (
                "2 tests, 2 runs" in project.rpytest("--daemon-status", junit=False, env=env).stdout
            )
        finally:
            processes.send(processes.with_variable(mark, str(project.scratch)), signal.SIGTERM)
            assert processes.wait_until(
                lambda: not processes.with_variable(mark, str(project.scratch))
            )
            for socket in listening:
                for suffix in (".sock", ".log", ".lock"):
                    socket.with_suffix(suffix).unlink(missing_ok=True)

    def test_of_the_system(self, project: Project) -> None:
        folder = project.scratch / "xdg"
        folder.mkdir(mode=0o700)
        self.check(project, folder / "rpytest", XDG_RUNTIME_DIR=str(folder))

    @pytest.mark.parametrize(
        "value",
        [None, "", "relative", "/tmp/" + "x" * 120],
        ids=["none", "empty", "relative", "long"],
    )
    def test_none_of_use(self, project: Project, value: str | None) -> None:
        self.check(project, Path(f"/tmp/rpytest-{os.getuid()}"), XDG_RUNTIME_DIR=value)


@as_root
class TestUsers:
    """Two users work in one folder, as in a container and outside of it."""

    def test_at_once(self, project: Project) -> None:
        project.write(PASSING)
        home = project.scratch / "home"
        home.mkdir(mode=0o555)
        theirs = Path(f"/tmp/rpytest-{NOBODY}")
        env: dict[str, str | None] = {
            "RPYTEST_RUNTIME_DIR": None,
            "RPYTEST_CACHE_DIR": None,
            "XDG_RUNTIME_DIR": None,
            "XDG_CACHE_HOME": None,
            "PYTHON_OF_TEST": str(project.scratch),
            "HOME": str(home),
            "PYTEST_DEBUG_TEMPROOT": "/tmp",
        }
        # They may read all there is, as Python may be in a folder of ours, but write no more than
        # others.
        become = (
            f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --securebits "
            "+no_setuid_fixup"
        )
        setpriv, *options = (
            f"{become} --inh-caps +dac_read_search --ambient-caps +dac_read_search".split()
        )
        program = shutil.which(setpriv)
        assert program

        def run(*args: str) -> tuple[int, str, str]:
            running = project.spawn(
                *options, str(project.bin / "rpytest"), *args, program=program, env=env
            )
            return running.wait(), running.stdout, running.stderr

        known = set(theirs.glob("*"))
        try:
            for number in (1, 2):
                assert project.rpytest("-n2", junit=False).counts == {"passed": 2}
                # Neither pytest's cache nor the history can be written: warnings, as by pytest.
                code, stdout, stderr = run("-n2", "-p", "no:cacheprovider")
                assert code == 0, f"{stdout}\n{stderr}"
                assert "2 passed" in stdout
                assert "error" not in stderr
                ours, other = status(project), run("--daemon-status")[1]
                for text in (ours, other):
                    assert f"2 tests, {number} run" in text, text
                assert ours.split()[1] != other.split()[1]
        finally:
            run("--daemon-stop")
            for path in set(theirs.glob("*")) - known:
                assert path.suffix != ".sock"
                path.unlink()
            if not known:
                theirs.rmdir()
