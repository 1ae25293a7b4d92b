"""The daemon's life: it starts by itself, keeps sessions warm, serves several runs at once, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

import processes
from harness import Project, Result
from running import Running

PASSING = {"test_a.py": "def test_1(): pass\ndef test_2(): pass\n"}
NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One daemon for all tests that don't stop it; each has a folder of its own."""
    project = Project(tmp_path_factory.mktemp("daemon"))
    try:
        yield project
    finally:
        project.close()


@pytest.fixture
def folder(shared: Project) -> Path:
    """A new folder in the shared project."""
    return Path(tempfile.mkdtemp(prefix="t", dir=shared.path))


def fill(shared: Project, folder: Path, files: Mapping[str, str]) -> None:
    shared.write({f"{folder.name}/{name}": text for name, text in files.items()})


def status(project: Project) -> str:
    result = project.rpytest("--daemon-status", junit=False)
    assert result.status == 0
    return result.stdout


def runs(project: Project, root: Path | None = None) -> list[int]:
    """How many runs each warm session in `root` has served, in the order of their age."""
    text = status(project)
    pattern = rf"session \d+: {re.escape(str(root or project.path))}(?: .*)?\n +\d+ tests?, (\d+) runs?, "
    return [int(count) for count in re.findall(pattern, text)]


def daemon_pid(project: Project) -> int:
    found = re.match(r"daemon (\d+) has been running for ", status(project))
    assert found
    return int(found[1])


def sockets(project: Project) -> list[Path]:
    return sorted(project.runtime_dir.glob("*.sock"))


# -- life


def test_starts_by_itself_and_says_what_it_keeps(project: Project) -> None:
    project.write(PASSING)
    assert status(project).startswith("no daemon is running for ")
    assert project.rpytest("-n2", "-k", "test_1", junit=False).status == 0
    text = status(project)
    assert re.match(
        r"daemon \d+ has been running for \d+ s \(Python 3\.\d+\.\d+\S*, pytest \d\S+, rpytest \S+\)\n", text
    )
    assert "ends when unused for 15 min" in text
    assert f": {project.path} with `-n2 -k test_1`\n" in text
    assert re.search(r"1 test, 1 run, \d+ MiB, \d+ s old, start method collected", text)
    assert f"log: {sockets(project)[0].with_suffix('.log')}" in text
    assert project.stop_daemon().stdout == "daemon stopped\n"
    assert status(project).startswith("no daemon is running for ")
    assert project.stop_daemon().stdout.startswith("no daemon is running for ")


def test_second_run_is_warm(shared: Project, folder: Path) -> None:
    fill(shared, folder, PASSING)
    first = shared.rpytest("-n2", "-v", junit=False, cwd=folder)
    for _ in range(2):
        again = shared.rpytest("-n2", "-v", junit=False, cwd=folder)
        assert again.counts == {"passed": 2}
        assert header(again) == header(first)
    assert runs(shared, folder) == [3]


def header(result: Result) -> str:
    return result.stdout.partition("\n\n")[0]


def test_idle_timeout_ends_it(project: Project) -> None:
    project.write({**PASSING, "pyproject.toml": "[tool.rpytest]\nidle_timeout = 1\n"})
    assert project.rpytest("-n2", junit=False).status == 0
    assert processes.wait_until(lambda: not project.processes(), seconds=60)
    assert sockets(project) == []


def test_idle_timeout_does_not_end_a_run(project: Project) -> None:
    project.write(test_a="import time\ndef test_1(): time.sleep(3)")
    assert project.rpytest("--daemon-idle-timeout=1", junit=False).counts == {"passed": 1}
    assert processes.wait_until(lambda: not project.processes(), seconds=60)


@pytest.mark.parametrize("how", [["--no-daemon"], ["CI"], ["RPYTEST_NO_DAEMON"]], ids=lambda how: how[0])
@pytest.mark.parametrize("method", ["collected", "bare"])
def test_without_daemon_nothing_is_left(project: Project, how: list[str], method: str) -> None:
    """Not even for a moment: CI kills what is still there."""
    conftest = """
    import time
    import pytest

    @pytest.fixture(scope="session", autouse=True)
    def slow_to_end():
        yield
        time.sleep(0.3)
    """
    project.write({**PASSING, "conftest.py": conftest})
    (name,) = how
    args, env = ([name], None) if name.startswith("-") else ([], {name: "1"})
    result = project.rpytest("-n2", f"--start-method={method}", *args, env=env)
    assert project.processes() == []
    assert result.counts == {"passed": 2}
    assert list(project.runtime_dir.iterdir()) == []


def test_ci_false_keeps_the_daemon(shared: Project, folder: Path) -> None:
    fill(shared, folder, PASSING)
    for _ in range(2):
        assert shared.rpytest("-n2", junit=False, cwd=folder, env={"CI": "false"}).status == 0
    assert runs(shared, folder) == [2]


def test_another_environment_has_another_daemon(project: Project) -> None:
    """What an interpreter reads once, when it starts, can't be changed by a fork."""
    project.write(test_a="def test_1(): print(hash('x')); assert 0")
    text = {
        seed: project.rpytest("-n2", junit=False, env={"PYTHONHASHSEED": seed}).stdout.partition("Captured stdout")[2]
        for seed in ("1", "2", "1")
    }
    assert text["1"] != text["2"]
    assert status(project).count("it was started in another environment") == 2
    assert project.stop_daemon().stdout == "2 daemons stopped\n"


def test_a_daemon_that_is_killed_costs_a_cold_start(project: Project) -> None:
    project.write(PASSING)
    assert project.rpytest("-n2").counts == {"passed": 2}
    processes.send([daemon_pid(project)], signal.SIGKILL)
    assert project.rpytest("-n2").counts == {"passed": 2}
    assert runs(project) == [1]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_run_survives_its_daemon(project: Project, end: str) -> None:
    project.write(test_a=waiting_test("started", "go"))
    running = project.spawn("-n2")
    wait_for(project.path / "started")
    if end == "kill":
        processes.send([daemon_pid(project)], signal.SIGKILL)
    else:
        assert project.stop_daemon().stdout == "daemon stopped\n"
    (project.path / "go").touch()
    assert running.wait() == 0, running
    assert "1 passed" in running.stdout
    assert processes.wait_until(lambda: not project.processes(), seconds=60)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_collection_survives_its_daemon(project: Project, end: str) -> None:
    project.write({**PASSING, "conftest.py": waiting_code("started", "go")})
    running = project.spawn("-n2")
    wait_for(project.path / "started")
    if end == "kill":
        processes.send([daemon_pid(project)], signal.SIGKILL)
    else:
        assert project.stop_daemon().stdout == "daemon stopped\n"
    (project.path / "go").touch()
    assert running.wait() == 0, running
    assert "2 passed" in running.stdout


def waiting_code(started: str, go: str) -> str:
    """Statements that make a file `started` and wait for a file `go`."""
    return f"import pathlib, time\npathlib.Path({started!r}).touch()\nwhile not pathlib.Path({go!r}).exists(): time.sleep(0.01)\n"


def waiting_test(started: str, go: str) -> str:
    lines = waiting_code(started, go).splitlines()
    return "def test_1():\n" + "".join(f"    {line}\n" for line in lines)


def wait_for(path: Path) -> None:
    assert processes.wait_until(path.exists, seconds=60)


# -- what it holds


def test_holds_nothing_of_a_run(project: Project) -> None:
    """A pipeline ends when the run does, and a daemon in the background keeps no terminal and no file of it."""
    project.write({**PASSING, "conftest.py": "import logging"})
    args = ("-n2", "-o", f"log_file={project.path}/log.txt")
    running = project.spawn("-c", f"rpytest {' '.join(args)} 9<conftest.py | cat", program="/bin/bash", tty=True)
    assert running.wait() == 0
    assert project.rpytest(*args).status == 0
    tree = project.processes()
    assert tree
    held = {str(link.readlink()) for pid in tree for link in (processes.PROC / str(pid) / "fd").iterdir()}
    foreign = [
        name
        for name in held
        if name.startswith(("pipe:", "/dev/pts", "/dev/tty", str(project.path), str(project.scratch / "pytest")))
    ]
    assert foreign == ([f"{project.path}/log.txt"] if f"{project.path}/log.txt" in held else [])


def test_is_in_no_terminal(shared: Project, folder: Path) -> None:
    """Closing the terminal, or ^C in it, is nothing to the daemon."""
    fill(shared, folder, PASSING)
    running = shared.spawn("-n2", cwd=folder, tty=True)
    assert running.wait() == 0
    assert daemon_pid(shared) == os.getsid(daemon_pid(shared))
    assert Path(f"/proc/{daemon_pid(shared)}/cwd").readlink() == Path("/")


def test_permissions(shared: Project, folder: Path) -> None:
    fill(shared, folder, PASSING)
    assert shared.rpytest("-n2", junit=False, cwd=folder).status == 0
    for path in shared.runtime_dir.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(shared.runtime_dir.stat().st_mode) == 0o700


def test_runtime_directory_is_made_private(project: Project) -> None:
    project.write(PASSING)
    made = project.runtime_dir / "new"
    env = {"RPYTEST_RUNTIME_DIR": str(made)}
    os.umask(old := os.umask(0))
    assert old is not None
    assert project.rpytest("-n2", junit=False, env=env).status == 0
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert project.rpytest("--daemon-stop", junit=False, env=env).stdout == "daemon stopped\n"


@as_root
def test_answers_nobody_else(project: Project) -> None:
    """The folder's mode is the first wall; this is the second."""
    project.write(PASSING)
    assert project.rpytest("-n2", junit=False).status == 0
    (path,) = sockets(project)
    for place, mode in ((project.scratch, 0o755), (project.runtime_dir, 0o755), (path, 0o666)):
        place.chmod(mode)
    code = f"""
import json, os, socket
os.setuid({NOBODY})
conn = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
conn.connect({str(path)!r})
try:
    conn.send(json.dumps({{"op": "stop", "protocol": 1}}).encode())
    print(repr(conn.recv(1000)))
except (BrokenPipeError, ConnectionResetError):
    print(repr(b""))
"""
    running = project.spawn("-c", code, program=Path(sys.executable).name)
    assert running.wait() == 0, running
    assert running.stdout == "b''\n"
    path.chmod(0o600)
    assert runs(project) == [1]


def test_garbage_in_a_request_harms_nobody(shared: Project, folder: Path) -> None:
    fill(shared, folder, PASSING)
    assert shared.rpytest("-n2", junit=False, cwd=folder).status == 0
    pid = daemon_pid(shared)
    (path,) = sockets(shared)
    for data in (
        b"",
        b"garbage",
        b"{}",
        b"[]",
        b"3",
        b"\xff",
        json.dumps({"op": "dance", "protocol": 2}).encode(),
        b'{"op":"run"}',
        b'{"memfd": 3}',
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as conn:
            conn.connect(str(path))
            conn.send(data)
            conn.shutdown(socket.SHUT_WR)
            assert conn.recv(1000) in (b"",), data
    assert shared.rpytest("-n2", junit=False, cwd=folder).status == 0
    assert daemon_pid(shared) == pid
    assert runs(shared, folder) == [2]


# -- sessions


def test_sessions_are_bounded(project: Project) -> None:
    """The least recently used one goes."""
    project.write(PASSING)

    def run(number: int) -> None:
        assert project.rpytest("-n2", "-o", f"junit_suite_name={number}", junit=False).status == 0

    for number in range(8):
        run(number)
    assert runs(project) == [1] * 8
    run(0)
    run(8)
    text = status(project)
    assert len(runs(project)) == 8
    assert "suite_name=1`" not in text
    assert "suite_name=0`" in text
    assert "suite_name=8`" in text
    # Its process is gone, too: the daemon, eight sessions.
    assert processes.wait_until(lambda: len(project.processes()) == 9, seconds=60)


def test_many_runs_cost_a_session_nothing(shared: Project, folder: Path) -> None:
    fill(
        shared, folder, {"test_a.py": "import pytest\n@pytest.mark.parametrize('i', range(50))\ndef test_1(i): pass\n"}
    )

    def measure() -> tuple[int, int, int]:
        found = re.search(rf"session (\d+): {re.escape(str(folder))}.*\n.* (\d+) MiB", status(shared))
        assert found
        pids = [int(found[1]), daemon_pid(shared)]
        session, daemon = (len(list((processes.PROC / str(pid) / "fd").iterdir())) for pid in pids)
        return session, daemon, int(found[2])

    for _ in range(2):
        assert shared.rpytest("-n2", junit=False, cwd=folder).status == 0
    before = measure()
    for _ in range(10):
        assert shared.rpytest("-n2", junit=False, cwd=folder).status == 0
    after = measure()
    assert runs(shared, folder) == [12]
    assert after[:2] == before[:2], "descriptors of the session and of the daemon"
    assert after[2] <= before[2] + 2, "MiB of the session"


# -- several runs at once


def together(shared: Project, *commands: tuple[Path, tuple[str, ...]]) -> list[Running]:
    """Start all, then wait for all."""
    running = [shared.spawn(*args, cwd=cwd) for cwd, args in commands]
    for one in running:
        one.wait()
    return running


SLOW = "import time\ndef test_1(): time.sleep(0.5)\ndef test_2(): pass\n"


class TestAtOnce:
    @pytest.mark.parametrize("args", [("-n2",), ("-n0",), ("-n2", "--start-method=bare")], ids=" ".join)
    def test_the_same_command(self, shared: Project, folder: Path, args: tuple[str, ...]) -> None:
        fill(shared, folder, {"test_a.py": SLOW})
        for running in together(shared, *[(folder, args)] * 3):
            assert running.wait() == 0, running
            assert "2 passed" in running.stdout
            assert running.stderr == ""

    def test_other_arguments(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {"test_a.py": SLOW})
        one, two, three = together(
            shared, (folder, ("-n2",)), (folder, ("-n2", "-k", "test_1")), (folder, ("-n1", "-q"))
        )
        assert "2 passed" in one.stdout
        assert "1 passed, 1 deselected" in two.stdout
        assert three.stdout.startswith("..\n")

    def test_other_folders(self, shared: Project) -> None:
        folders = [Path(tempfile.mkdtemp(prefix="t", dir=shared.path)) for _ in range(3)]
        for number, folder in enumerate(folders):
            fill(
                shared, folder, {"test_a.py": f"import os\ndef test_{number}(): assert os.getcwd() == {str(folder)!r}"}
            )
        for number, running in enumerate(together(shared, *[(folder, ("-n2",)) for folder in folders])):
            assert f"test_a.py::test_{number} PASSED" in running.stdout

    def test_first_runs_start_one_daemon(self, project: Project) -> None:
        project.write({"test_a.py": SLOW})
        for running in together(project, *[(project.path, ("-n2",))] * 3):
            assert "2 passed" in running.stdout, running
        assert runs(project) == [3]
        assert project.stop_daemon().stdout == "daemon stopped\n"

    def test_collection_errors(self, shared: Project, folder: Path) -> None:
        """The second run waits for the first one's session, which ends without having served a run."""
        fill(shared, folder, {"conftest.py": "import time\ntime.sleep(0.5)", "test_a.py": "import nothing_such"})
        for running in together(shared, *[(folder, ("-n2",))] * 3):
            assert running.wait() == 2, running
            assert "nothing_such" in running.stdout

    def test_collection_that_dies(self, shared: Project, folder: Path) -> None:
        code = "import os, pathlib\nif not pathlib.Path('seen').exists():\n    pathlib.Path('seen').touch()\n"
        code += "    import time; time.sleep(0.5)\n    os._exit(0)\n"
        fill(shared, folder, {**PASSING, "conftest.py": code})
        ended = together(shared, *[(folder, ("-n2",))] * 2)
        assert sorted(running.wait() for running in ended) == [0, 3]

    def test_warm(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {"test_a.py": SLOW})
        assert shared.rpytest("-n2", junit=False, cwd=folder).status == 0
        for running in together(shared, *[(folder, ("-n2",))] * 3):
            assert "2 passed" in running.stdout, running
        assert runs(shared, folder) == [4]

    def test_a_debugger_keeps_nobody_waiting(self, shared: Project, folder: Path) -> None:
        fill(shared, folder, {"test_a.py": waiting_test("started", "go")})
        first = shared.spawn("-n0", cwd=folder)
        wait_for(folder / "started")
        second = shared.spawn("-n0", cwd=folder)
        second.wait_for("test session starts")
        assert first.is_running()
        (folder / "go").touch()
        assert first.wait() == second.wait() == 0


def test_from_a_subdirectory(shared: Project, folder: Path) -> None:
    files = {"pytest.ini": "[pytest]\n", "conftest.py": "TOP = 1", "sub/test_b.py": "def test_b(): pass", **PASSING}
    fill(shared, folder, files)
    assert shared.compare(cwd=folder).counts == {"passed": 3}
    assert shared.compare(cwd=folder / "sub").counts == {"passed": 1}
    assert shared.compare("../test_a.py", cwd=folder / "sub").counts == {"passed": 2}
    assert shared.compare(cwd=folder).counts == {"passed": 3}


# -- children of the project's own


class TestChildren:
    CHILD = "import multiprocessing, time\nfork = multiprocessing.get_context('fork')\nchild = fork.Process(target=time.sleep, args=(300,), daemon=True)\n"

    def test_forked_at_import(self, shared: Project, folder: Path) -> None:
        """A child that inherits the connections must not keep the run open; daemonic, it ends with the session."""
        fill(shared, folder, {**PASSING, "conftest.py": self.CHILD + "child.start()\nprint('child', child.pid)"})
        result = shared.rpytest("-n2", "-s", junit=False, cwd=folder)
        assert result.counts == {"passed": 2}
        found = re.search(r"child (\d+)", result.stdout)
        assert found
        assert processes.wait_until(lambda: not processes.is_alive(int(found[1])), seconds=60)
        assert "collection started a process" in status(shared)

    def test_forked_in_a_test(self, shared: Project, folder: Path) -> None:
        lines = "".join(f"    {line}\n" for line in [*self.CHILD.splitlines(), "child.start()", "child.join(0.01)"])
        fill(shared, folder, {"test_a.py": f"def test_1():\n{lines}\ndef test_2(): pass\n"})
        assert shared.rpytest("-n1", cwd=folder).counts == {"passed": 2}

    def test_orphan_of_a_test(self, shared: Project, folder: Path) -> None:
        """It holds the output, as under pytest; the run does not wait for it."""
        test = """
        import os, time

        def test_1():
            pid = os.fork()
            if pid == 0:
                os.closerange(0, 1024)
                time.sleep(300)
            with open("orphan", "w") as file:
                file.write(str(pid))
        """
        fill(shared, folder, {"test_a.py": test})
        result = shared.rpytest("-n1", cwd=folder)
        pid = int((folder / "orphan").read_text())
        try:
            assert result.counts == {"passed": 1}
            assert processes.is_alive(pid)
        finally:
            processes.send([pid], signal.SIGKILL)


# -- a warm run is never stale


class TestStaleness:
    """Whatever is changed between two runs: the second is what a cold one would be."""

    FILES: ClassVar = {
        "conftest.py": "import pytest\n@pytest.fixture\ndef value(): return 1\n",
        "helper.py": "VALUE = 1\n",
        "data.txt": "1",
        "test_a.py": "import os, helper\nDATA = open('data.txt').read()\nVARIABLE = os.environ.get('VARIABLE')\n"
        "def test_helper(): assert helper.VALUE == 1\n"
        "def test_data(): assert DATA == '1'\n"
        "def test_variable(): assert VARIABLE is None\n"
        "def test_fixture(value): assert value == 1\n",
        "test_b.py": "def test_b(): pass\n",
    }

    @pytest.fixture
    def warm(self, shared: Project, folder: Path) -> Path:
        """A project with a warm session."""
        fill(shared, folder, self.FILES)
        assert shared.rpytest("-n2", "-p", "no:cacheprovider", junit=False, cwd=folder).status == 0
        return folder

    def again(self, shared: Project, warm: Path, *, env: Mapping[str, str] | None = None) -> Result:
        """The same command again; whatever happened, it must be as pytest."""
        args = ("-p", "no:cacheprovider")
        actual = shared.rpytest("-n2", *args, junit=False, cwd=warm, env=env)
        expected = shared.pytest(*args, junit=False, cwd=warm, env=env)
        assert actual.status == expected.status, f"{actual}\n{expected}"
        assert actual.counts == expected.counts, f"{actual}\n{expected}"
        return actual

    def test_nothing(self, shared: Project, warm: Path) -> None:
        assert self.again(shared, warm).counts == {"passed": 5}
        assert runs(shared, warm) == [2]

    @pytest.mark.parametrize(
        ("file", "text", "counts"),
        [
            ("test_b.py", "def test_b(): assert 0\n", {"failed": 1, "passed": 4}),
            ("helper.py", "VALUE = 22\n", {"failed": 1, "passed": 4}),
            ("data.txt", "2", {"failed": 1, "passed": 4}),
            ("conftest.py", "import pytest\n@pytest.fixture\ndef value(): return 2\n", {"failed": 1, "passed": 4}),
            ("test_c.py", "def test_c(): assert 0\n", {"failed": 1, "passed": 5}),
            ("sub/test_c.py", "def test_c(): pass\n", {"passed": 6}),
            ("pytest.ini", "[pytest]\npython_functions = test_h*\n", {"passed": 1}),
            ("pyproject.toml", "[tool.pytest.ini_options]\npython_files = 'test_b.py'\n", {"passed": 1}),
            ("helper/__init__.py", "VALUE = 3\n", {"failed": 1, "passed": 4}),
        ],
    )
    def test_file(self, shared: Project, warm: Path, file: str, text: str, counts: dict[str, int]) -> None:
        """Edited or new."""
        fill(shared, warm, {file: text})
        assert self.again(shared, warm).counts == counts
        assert runs(shared, warm) == [1]
        assert self.again(shared, warm).counts == counts
        assert runs(shared, warm) == [2]

    @pytest.mark.parametrize(
        ("file", "counts"), [("test_b.py", {"passed": 4}), ("helper.py", {"errors": 1}), ("data.txt", {"errors": 1})]
    )
    def test_deleted(self, shared: Project, warm: Path, file: str, counts: dict[str, int]) -> None:
        (warm / file).unlink()
        assert self.again(shared, warm).counts == counts

    def test_renamed(self, shared: Project, warm: Path) -> None:
        (warm / "test_b.py").rename(warm / "test_c.py")
        assert "test_c.py::test_b PASSED" in self.again(shared, warm).stdout

    def test_variable(self, shared: Project, warm: Path) -> None:
        assert self.again(shared, warm, env={"VARIABLE": "1"}).counts == {"failed": 1, "passed": 4}
        assert self.again(shared, warm).counts == {"passed": 5}
        # Both are warm.
        assert sorted(runs(shared, warm)) == [1, 2]

    def test_variable_that_is_noise(self, shared: Project, warm: Path) -> None:
        assert self.again(shared, warm, env={"SHLVL": "7", "OLDPWD": "/"}).counts == {"passed": 5}
        assert runs(shared, warm) == [2]

    @pytest.mark.parametrize("file", ["test_a.py", "conftest.py", "helper.py"])
    def test_touched(self, shared: Project, warm: Path, file: str) -> None:
        """As `git checkout` of another branch and back does."""
        # By the end of a second run the contents of all files are known.
        assert self.again(shared, warm).counts == {"passed": 5}
        text = (warm / file).read_text()
        (warm / file).unlink()
        (warm / file).write_text(text)
        os.utime(warm / file)
        assert self.again(shared, warm).counts == {"passed": 5}
        assert runs(shared, warm) == [3]

    def test_same_size_and_time(self, shared: Project, warm: Path) -> None:
        """Nobody can set the time of the last change of the inode."""
        file = warm / "helper.py"
        before = file.stat()
        file.write_text(file.read_text().replace("1", "2"))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        # pytest itself would trust helper's byte code, which has the same size and time: without it, it can't.
        for cached in (warm / "__pycache__").glob("helper*"):
            cached.unlink()
        assert self.again(shared, warm).counts == {"failed": 1, "passed": 4}

    def test_back_and_forth(self, shared: Project, warm: Path) -> None:
        for number, (value, failed) in enumerate(((2, 1), (1, 0), (3, 1), (1, 0))):
            # Python itself does not notice an edit of the same size in the same second.
            (warm / "helper.py").write_text(f"VALUE = {value}\n" + "\n" * (number + 1))
            assert self.again(shared, warm).counts.get("failed", 0) == failed

    def test_in_the_middle_of_a_run(self, shared: Project, folder: Path) -> None:
        """The run finishes with what it has read; the next one sees the edit."""
        fill(
            shared, folder, {"helper.py": "VALUE = 1\n", "test_a.py": "import helper\n" + waiting_test("started", "go")}
        )
        fill(shared, folder, {"test_b.py": "import helper\ndef test_b(): assert helper.VALUE == 1\n"})
        running = shared.spawn("-n1", cwd=folder)
        wait_for(folder / "started")
        fill(shared, folder, {"helper.py": "VALUE = 22\n"})
        (folder / "go").touch()
        assert running.wait() == 0, running
        assert self.again(shared, folder).counts == {"failed": 1, "passed": 1}

    def test_in_the_middle_of_collection(self, shared: Project, folder: Path) -> None:
        """Edited after it was read and before the session was finished."""
        fill(
            shared,
            folder,
            {"helper.py": "VALUE = 1\n", "test_a.py": "import helper\ndef test_a(): assert helper.VALUE == 1"},
        )
        fill(shared, folder, {"test_b.py": waiting_code("started", "go") + "def test_b(): pass"})
        running = shared.spawn("-n2", cwd=folder)
        wait_for(folder / "started")
        fill(shared, folder, {"helper.py": "VALUE = 22\n"})
        (folder / "go").touch()
        assert running.wait() == 0, running
        assert self.again(shared, folder).counts == {"failed": 1, "passed": 1}

    def test_reason_is_shown(self, shared: Project, warm: Path) -> None:
        fill(shared, warm, {"helper.py": "VALUE = 1  # edited\n"})
        self.again(shared, warm)
        assert f"the last session was not reused: {warm}/helper.py changed" in status(shared)

    def test_bare_is_forgotten_when_its_reason_is_gone(self, shared: Project, folder: Path) -> None:
        thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(300,), daemon=True).start()\n"
        fill(shared, folder, {**PASSING, "conftest.py": thread})
        for _ in range(2):
            result = shared.rpytest("-n2", "-v", junit=False, cwd=folder)
            assert "start method: bare (a thread is alive after collection" in result.stdout
        fill(shared, folder, {"conftest.py": ""})
        result = shared.rpytest("-n2", "-v", junit=False, cwd=folder)
        assert "start method" not in result.stdout
        assert runs(shared, folder) == [1]
