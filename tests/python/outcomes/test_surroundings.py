"""What is around the tests and may be wrong: Python, folders, streams, names, the daemon's
socket.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support import processes
from support.harness import Project, Result
from support.messages import assert_clear, shell

PASSING = {"test_a.py": "def test_1(): pass\ndef test_2(): pass\n"}
NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")


class TestPython:
    def run(self, project: Project, **env: str | None) -> Result:
        result = project.rpytest("-n2", junit=False, env=env)
        assert_clear(result)
        return result

    @pytest.mark.parametrize("value", ["/nope/python", "/tmp", "no-such-command"])
    def test_wrong_variable(self, shared_project: Project, value: str) -> None:
        result = self.run(shared_project, RPYTEST_PYTHON=value)
        assert result.status == 4
        assert f"`RPYTEST_PYTHON` is `{value}`, which is not an executable file" in result.stderr
        assert "hint: set `RPYTEST_PYTHON`" in result.stderr

    @pytest.mark.parametrize("program", ["true", "ls"])
    @pytest.mark.parametrize("daemon", [True, False])
    def test_no_python_at_all(self, shared_project: Project, program: str, daemon: bool) -> None:
        path = shutil.which(program)
        assert path
        env = {"RPYTEST_PYTHON": path, **({} if daemon else {"RPYTEST_NO_DAEMON": "1"})}
        result = self.run(shared_project, **env)
        assert result.status == 3
        assert f"could not be started with `{path}`" in result.stderr
        assert f"hint: see what `{path} -c 'import rpytest, pytest'` says" in result.stderr

    def test_none_found(self, project: Project) -> None:
        alone = project.scratch / "alone"
        alone.mkdir()
        shutil.copy(project.bin / "rpytest", alone)
        running = project.spawn("-n2", program=str(alone / "rpytest"), env={"PATH": str(alone)})
        assert running.wait() == 4
        assert "no Python interpreter found; looked for\n" in running.stderr
        assert f"  {alone}/python3\n" in running.stderr
        assert f"  {project.path}/.venv/bin/python\n" in running.stderr
        assert "hint: activate a virtual environment, or set `RPYTEST_PYTHON`" in running.stderr

    @pytest.mark.parametrize("has_package", [False, True], ids=["no_rpytest", "no_pytest"])
    def test_environment_without_packages(self, project: Project, has_package: bool) -> None:
        import rpytest

        venv = project.scratch / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
        if has_package:
            (site,) = venv.glob("lib/python*/site-packages")
            (site / "rpytest").symlink_to(Path(rpytest.__file__).parent)
        python = venv / "bin/python"
        for daemon in ("0", "1"):
            result = self.run(project, RPYTEST_PYTHON=str(python), RPYTEST_NO_DAEMON=daemon)
            assert result.status == 4
            if has_package:
                assert "pip install pytest" in result.stderr
                assert str(python) in result.stderr
            else:
                assert f"Python at `{python}` has no rpytest package" in result.stderr
            assert "hint: " in result.stderr

    def test_package_of_another_environment_is_run_as_a_module(self, project: Project) -> None:
        """`python -m rpytest` has the current directory on its path, as `python -m pytest` has."""
        ini = "[pytest]\naddopts = --import-mode=importlib\n"
        project.write(
            {"test_a.py": "import helper\ndef test_1(): pass", "helper.py": "", "pytest.ini": ini}
        )
        python = Path(sys.executable).name
        running = project.spawn("-m", "rpytest", "-n2", program=python)
        assert running.wait() == 0, running
        assert "1 passed" in running.stdout
        assert project.rpytest("-n2", junit=False).status == 2


class TestRuntimeDirectory:
    def refused(self, project: Project, folder: Path | str, *args: str) -> str:
        result = project.rpytest(*args, junit=False, env={"RPYTEST_RUNTIME_DIR": str(folder)})
        assert result.status == 4
        assert "hint: " in result.stderr
        assert_clear(result)
        return result.stderr

    @pytest.mark.parametrize("args", [(), ("--daemon-status",), ("--daemon-stop",)])
    def test_writable_by_others(
        self, shared_project: Project, folder: Path, args: tuple[str, ...]
    ) -> None:
        folder.chmod(0o777)
        assert "can be written by others (mode 777)" in self.refused(shared_project, folder, *args)

    @as_root
    def test_of_somebody_else(self, shared_project: Project, folder: Path) -> None:
        os.chown(folder, NOBODY, NOBODY)
        assert f"belongs to user {NOBODY}" in self.refused(shared_project, folder)

    def test_file(self, shared_project: Project, folder: Path) -> None:
        (folder / "file").touch()
        assert "is not a directory" in self.refused(shared_project, folder / "file")

    def test_cannot_be_made(self, shared_project: Project) -> None:
        assert "can't be made" in self.refused(shared_project, "/proc/none")

    def test_too_long(self, shared_project: Project) -> None:
        assert "too long for a socket's path" in self.refused(shared_project, "/tmp/" + "x" * 120)

    def test_relative(self, shared_project: Project) -> None:
        assert "is not an absolute path" in self.refused(shared_project, "somewhere")

    def test_none_is_needed_without_a_daemon(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, PASSING)
        result = shared_project.rpytest(
            "--no-daemon", junit=False, cwd=folder, env={"RPYTEST_RUNTIME_DIR": "/proc/none"}
        )
        assert result.status == 0


class TestFolders:
    @pytest.mark.parametrize("value", ["/proc/none", "/dev/null"])
    def test_cache_cannot_be_written(
        self, shared_project: Project, folder: Path, value: str
    ) -> None:
        """Durations are a convenience: no test is lost for them."""
        shared_project.fill(folder, PASSING)
        env = {"RPYTEST_CACHE_DIR": value, "XDG_CACHE_HOME": value, "HOME": value}
        result = shared_project.rpytest("-n2", cwd=folder, env=env)
        assert result.status == 0
        assert result.counts == {"passed": 2}
        assert_clear(result)

    def test_pytests_cache_cannot_be_written(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {**PASSING, "test_b.py": "def test_b(): assert 0"})
        (folder / ".pytest_cache").touch()
        result = shared_project.compare(cwd=folder)
        assert result.status == 1

    def test_deleted_current_directory(self, shared_project: Project, folder: Path) -> None:
        result = shell(
            shared_project, "mkdir gone && cd gone && rmdir ../gone && rpytest -n2", cwd=folder
        )
        assert result.status == 4
        assert "the current directory can't be used" in result.stderr
        assert "hint: " in result.stderr

    def test_junit_file_cannot_be_written(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, PASSING)
        result = shared_project.rpytest(
            "-n2", "--junitxml=/proc/none/j.xml", junit=False, cwd=folder
        )
        assert result.status != 0
        assert "/proc/none" in result.stdout + result.stderr
        assert "2 passed" in result.stdout or "hint: " in result.stderr, result


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs `unshare`")
def test_full_shared_memory(project: Project) -> None:
    project.write(PASSING)
    namespace = "unshare -m" if os.getuid() == 0 else "unshare -rm"
    mount = "mount -t tmpfs -o size=64k none /dev/shm"
    if shell(project, f"{namespace} sh -c '{mount}'").status != 0:
        pytest.skip("no mount namespaces here")
    result = shell(project, f"{namespace} sh -c '{mount} && rpytest -n2'")
    assert result.status == 3
    assert "error: shared memory: no room for" in result.stderr
    assert "/dev/shm" in result.stderr
    assert result.stderr.count("hint: ") == 1
    assert_clear(result)


class TestStreams:
    @pytest.mark.parametrize("n", ["2", "0"])
    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    @pytest.mark.parametrize(
        ("test", "status"), [("pass", 0), ("assert 0", 1)], ids=["passes", "fails"]
    )
    def test_closed(
        self, shared_project: Project, folder: Path, n: str, closed: str, test: str, status: int
    ) -> None:
        shared_project.fill(folder, {"test_a.py": f"def test_1(): {test}"})
        result = shell(shared_project, f"rpytest -n {n} {closed}", cwd=folder)
        assert result.status == status
        assert_clear(result)
        if closed in ("<&-", "2>&-"):
            assert "1 passed" in result.stdout or "1 failed" in result.stdout

    def test_full_disk(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, PASSING)
        result = shell(shared_project, "rpytest -n2 > /dev/full", cwd=folder)
        assert result.status == 3
        assert "error: cannot write to standard output: No space left on device" in result.stderr
        assert result.stderr.count("hint: ") == 1
        assert_clear(result)

    def test_reader_that_leaves(self, shared_project: Project, folder: Path) -> None:
        """`rpytest | head -1` is no error, and the run ends early."""
        test = """
        import os, time
        import pytest

        @pytest.mark.parametrize("i", range(2000))
        def test_1(i):
            # The reader has left, and there is much to do.
            while i % 1000 > 100 and not os.path.exists("left"): time.sleep(0.002)
            time.sleep(0.002 if i % 1000 <= 100 else 0.1)
        """
        shared_project.fill(folder, {"test_a.py": test})
        reader = "{ head -1; exec <&-; touch left; }"
        script = f"rpytest -n2 -v --junitxml=j.xml | {reader}; exit ${{PIPESTATUS[0]}}"
        result = shell(shared_project, script, cwd=folder)
        assert result.status == 2
        assert result.stdout.startswith("====")
        assert result.stderr == ""
        assert "<testsuite " in (folder / "j.xml").read_text()

    def test_nothing_to_read(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, PASSING)
        assert shell(shared_project, "rpytest -n2 < /dev/null | cat", cwd=folder).status == 0


class TestBytes:
    """Arguments, names and variables are bytes; UTF-8 is a habit."""

    def test_argument(self, shared_project: Project, folder: Path) -> None:
        script = r"{} $'\xff\xfe.py'"
        results = [
            shell(shared_project, script.format(program), cwd=folder)
            for program in ("rpytest -n2", "pytest -p no:xdist")
        ]
        assert [result.status for result in results] == [4, 4]
        assert results[0].stderr.strip() == results[1].stderr.strip()

    def test_folder_and_file(self, shared_project: Project, folder: Path) -> None:
        odd = os.fsdecode(os.fsencode(folder) + b"/d\xff")
        Path(odd).mkdir()
        Path(odd, os.fsdecode(b"test_\xfe.py")).write_text(
            "def test_1(): pass\ndef test_2(): assert 0\n"
        )
        # pytest can't save such ids in its cache.
        result = shared_project.rpytest(
            "-n2", "-p", "no:cacheprovider", "--junitxml=j.xml", junit=False, cwd=Path(odd)
        )
        assert result.status == 1
        assert result.counts == {"failed": 1, "passed": 1}
        assert_clear(result)

    def test_file_that_pytests_cache_cannot_name(
        self, shared_project: Project, folder: Path
    ) -> None:
        (folder / os.fsdecode(b"test_\xfe.py")).write_text("def test_1(): pass\n")
        result = shared_project.rpytest("-n2", junit=False, cwd=folder)
        assert result.status == 0
        assert result.counts == {"passed": 1}
        assert "warning: pytest's cache" in result.stderr
        assert_clear(result)

    @pytest.mark.parametrize("n", ["2", "0"])
    def test_environment(self, shared_project: Project, folder: Path, n: str) -> None:
        test = r"""
        import os

        def test_value():
            assert os.environb[b"ODD"] == b"a\xffb"

        def test_name():
            assert os.environb[b"N\xff"] == b"1"
        """
        shared_project.fill(folder, {"test_a.py": test})
        result = shell(shared_project, rf"ODD=$'a\xffb' env $'N\xff=1' rpytest -n {n}", cwd=folder)
        assert result.status == 0, result

    def test_huge_environment_and_many_arguments(
        self, shared_project: Project, folder: Path
    ) -> None:
        """More than fits into one packet of the control channel."""
        files = {
            f"test_{i}.py": f"import os\ndef test_x(): assert os.environ['V{i}'] == 'x' * 1000\n"
            for i in range(100)
        }
        shared_project.fill(folder, files)
        result = shared_project.rpytest(
            "-n2", *files, cwd=folder, env={f"V{i}": "x" * 1000 for i in range(100)}
        )
        assert result.status == 0
        assert len(result.outcomes) == 100


class TestSocket:
    """What may lie where the daemon's socket is."""

    def socket_of(self, project: Project) -> Path:
        """Where the daemon listens; it has been stopped."""
        assert project.rpytest("-n2", junit=False).status == 0
        (path,) = project.runtime_dir.glob("*.sock")
        project.stop_daemon()
        assert not path.exists()
        return path

    def listener(self, project: Project, path: Path, kind: str, reaction: str) -> None:
        """A process that listens at `path` and does `reaction` with each connection `conn`."""
        code = f"""
import array, json, socket, sys
server = socket.socket(socket.AF_UNIX, socket.{kind})
server.bind({str(path)!r})
server.listen()
print("listening", flush=True)
held = []
while True:
    conn, _ = server.accept()
    held.append(conn)
    {reaction}
"""
        running = project.spawn("-c", code, program=Path(sys.executable).name)
        running.wait_for("listening")
        self.listening = running

    def test_left_by_a_daemon_that_was_killed(self, project: Project) -> None:
        project.write(PASSING)
        assert project.rpytest("-n2", junit=False).status == 0
        (path,) = project.runtime_dir.glob("*.sock")
        processes.send(project.processes(), signal.SIGKILL)
        assert processes.wait_until(lambda: not project.processes())
        assert path.is_socket()
        assert "no daemon is running" in project.rpytest("--daemon-status", junit=False).stdout
        assert project.rpytest("-n2").counts == {"passed": 2}
        assert "daemon stopped" in project.stop_daemon().stdout

    @pytest.mark.parametrize("kind", ["file", "stream"])
    def test_something_else(self, project: Project, kind: str) -> None:
        project.write(PASSING)
        path = self.socket_of(project)
        if kind == "file":
            path.write_text("garbage")
        else:
            self.listener(project, path, "SOCK_STREAM", "pass")
        assert project.rpytest("-n2").counts == {"passed": 2}
        project.kill_all()

    @pytest.mark.parametrize("locked", [False, True])
    def test_leftover_lock(self, project: Project, locked: bool) -> None:
        """The lock is the kernel's, not the file's: whatever lies there is no obstacle."""
        project.write(PASSING)
        path = self.socket_of(project).with_suffix(".lock")
        path.write_text("12345")
        if locked:
            path.chmod(0o400)
        assert project.rpytest("-n2").counts == {"passed": 2}

    def test_daemon_of_another_build(self, project: Project) -> None:
        """It is asked to stop, and replaced."""
        project.write(PASSING)
        path = self.socket_of(project)
        reaction = """
    request = json.loads(conn.recv(1 << 20))
    print(request["op"], flush=True)
    if request["op"] == "stop":
        sys.exit()
    conn.send(json.dumps({"ev": "replace", "reason": "another build"}).encode())
"""
        self.listener(project, path, "SOCK_SEQPACKET", reaction.strip())
        result = project.rpytest("-n2")
        assert result.counts == {"passed": 2}
        assert result.stderr == ""
        assert self.listening.wait() == 0
        assert self.listening.stdout.split() == ["listening", "run", "stop"]

    def test_daemon_that_talks_nonsense(self, project: Project) -> None:
        project.write(PASSING)
        path = self.socket_of(project)
        self.listener(project, path, "SOCK_SEQPACKET", "conn.recv(1 << 20); conn.send(b'hello')")
        result = project.rpytest("-n2", junit=False)
        assert result.status == 3
        assert "unexpected message from the daemon" in result.stderr
        assert "hint: `rpytest --daemon-stop`" in result.stderr
        assert_clear(result)
        assert "daemon stopped" in project.stop_daemon().stdout

    def test_daemon_that_is_mute(self, project: Project) -> None:
        """Stopped, or in a loop: it is replaced, with a word about it."""
        project.write(PASSING)
        path = self.socket_of(project)
        self.listener(project, path, "SOCK_SEQPACKET", "pass")
        result = project.rpytest("-n2")
        assert result.counts == {"passed": 2}
        assert "warning: the daemon does not answer" in result.stderr
        assert self.listening.wait() == -signal.SIGKILL

    @as_root
    def test_daemon_of_somebody_else(self, project: Project) -> None:
        project.write(PASSING)
        path = self.socket_of(project)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with server:
            server.bind(str(path))
            # The kernel takes the credentials of whoever calls listen().
            child = os.fork()
            if child == 0:
                os.setuid(NOBODY)
                server.listen()
                os._exit(0)
            os.waitpid(child, 0)
            for args in ((), ("--daemon-status",)):
                result = project.rpytest(*args, junit=False)
                assert result.status == 4
                assert f"belongs to user {NOBODY}" in result.stderr
                assert "hint: " in result.stderr
        path.unlink()
