"""The daemon's life: it starts by itself, keeps sessions warm, serves several runs at once, and
leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import stat
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from support import processes
from support.daemons import daemon_pid, runs, sockets, status, wait_for, waiting_code, waiting_test
from support.harness import Project, Result
from support.running import Running

PASSING = {"test_a.py": "def test_1(): pass\ndef test_2(): pass\n"}
NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")


# -- life


def test_starts_by_itself_and_says_what_it_keeps(project: Project) -> None:
    project.write(PASSING)
    assert status(project).startswith("no daemon is running for ")
    assert project.rpytest("-n2", "-k", "test_1", junit=False).status == 0
    text = status(project)
    assert re.match(
        r"daemon \d+ has been running for \d+ s \(Python 3\.\d+\.\d+\S*, pytest \d\S+, rpytest \S+\)\n",  # noqa: E501
        text,
    )
    assert "ends when unused for 15 min" in text
    assert f": {project.path} with `-n2 -k test_1`\n" in text
    assert re.search(r"1 test, 1 run, \d+ MiB, \d+ s old, start method collected", text)
    assert f"log: {sockets(project)[0].with_suffix('.log')}" in text
    assert project.stop_daemon().stdout == "daemon stopped\n"
    assert status(project).startswith("no daemon is running for ")
    assert project.stop_daemon().stdout.startswith("no daemon is running for ")


def test_second_run_is_warm(shared_project: Project, folder: Path) -> None:
    shared_project.fill(folder, PASSING)
    first = shared_project.rpytest("-n2", "-v", junit=False, cwd=folder)
    for _ in range(2):
        again = shared_project.rpytest("-n2", "-v", junit=False, cwd=folder)
        assert again.counts == {"passed": 2}
        assert header(again) == header(first)
    assert runs(shared_project, folder) == [3]


def header(result: Result) -> str:
    """What is above the tests; durations are known from the second run on, and how tests are given
    to workers then, and the collection is kept from the first one.
    """
    return re.sub(
        r"(?m)^(scheduling tests|collection): .*\n?", "", result.stdout.partition("\n\n")[0]
    ).rstrip()


def test_idle_timeout_ends_it(project: Project) -> None:
    project.write({**PASSING, "pyproject.toml": "[tool.rpytest]\nidle_timeout = 1\n"})
    assert project.rpytest("-n2", junit=False).status == 0
    assert processes.wait_until(lambda: not project.processes())
    assert sockets(project) == []


def test_idle_timeout_does_not_end_a_run(project: Project) -> None:
    project.write(test_a="import time\ndef test_1(): time.sleep(3)")
    assert project.rpytest("--daemon-idle-timeout=1", junit=False).counts == {"passed": 1}
    assert processes.wait_until(lambda: not project.processes())


@pytest.mark.parametrize(
    "how", [["--no-daemon"], ["CI"], ["RPYTEST_NO_DAEMON"]], ids=lambda how: how[0]
)
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


def test_ci_false_keeps_the_daemon(shared_project: Project, folder: Path) -> None:
    shared_project.fill(folder, PASSING)
    for _ in range(2):
        assert (
            shared_project.rpytest("-n2", junit=False, cwd=folder, env={"CI": "false"}).status == 0
        )
    assert runs(shared_project, folder) == [2]


def test_another_environment_has_another_daemon(project: Project) -> None:
    """What an interpreter reads once, when it starts, can't be changed by a fork."""
    project.write(test_a="def test_1(): print(hash('x')); assert 0")
    text = {
        seed: project.rpytest("-n2", junit=False, env={"PYTHONHASHSEED": seed}).stdout.partition(
            "Captured stdout"
        )[2]
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
    assert processes.wait_until(lambda: not project.processes())


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


# -- what it holds


def test_holds_nothing_of_a_run(project: Project) -> None:
    """A pipeline ends when the run does, and a daemon in the background keeps no terminal and no
    file of it.
    """
    project.write({**PASSING, "conftest.py": "import logging"})
    args = ("-n2", "-o", f"log_file={project.path}/log.txt")
    running = project.spawn(
        "-c", f"rpytest {' '.join(args)} 9<conftest.py | cat", program="/bin/bash", tty=True
    )
    assert running.wait() == 0
    assert project.rpytest(*args).status == 0
    tree = project.processes()
    assert tree
    of_runs = ("pipe:", "/dev/pts", "/dev/tty", str(project.path), str(project.scratch / "pytest"))

    def foreign() -> set[str]:
        held = set()
        for pid in project.processes():
            # The last run's process may be on its way out.
            with contextlib.suppress(FileNotFoundError):
                for link in (processes.PROC / str(pid) / "fd").iterdir():
                    with contextlib.suppress(FileNotFoundError):
                        held.add(str(link.readlink()))
        return {name for name in held if name.startswith(of_runs)} - {f"{project.path}/log.txt"}

    assert processes.wait_until(lambda: not foreign()), foreign()
    assert project.processes()


def test_is_in_no_terminal(shared_project: Project, folder: Path) -> None:
    """Closing the terminal, or ^C in it, is nothing to the daemon."""
    shared_project.fill(folder, PASSING)
    running = shared_project.spawn("-n2", cwd=folder, tty=True)
    assert running.wait() == 0
    assert daemon_pid(shared_project) == os.getsid(daemon_pid(shared_project))
    assert Path(f"/proc/{daemon_pid(shared_project)}/cwd").readlink() == Path("/")


def test_permissions(shared_project: Project, folder: Path) -> None:
    shared_project.fill(folder, PASSING)
    assert shared_project.rpytest("-n2", junit=False, cwd=folder).status == 0
    for path in shared_project.runtime_dir.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(shared_project.runtime_dir.stat().st_mode) == 0o700


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


def test_garbage_in_a_request_harms_nobody(shared_project: Project, folder: Path) -> None:
    shared_project.fill(folder, PASSING)
    assert shared_project.rpytest("-n2", junit=False, cwd=folder).status == 0
    pid = daemon_pid(shared_project)
    (path,) = sockets(shared_project)
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
    assert shared_project.rpytest("-n2", junit=False, cwd=folder).status == 0
    assert daemon_pid(shared_project) == pid
    assert runs(shared_project, folder) == [2]


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
    # Its processes are gone, too: the daemon, eight sessions, four checkpoints, what waits for the
    # next run of each of these, three configured processes, and the preload that the sessions are
    # forked from.
    assert processes.wait_until(lambda: len(project.processes()) == 29)


def test_memory_is_bounded(project: Project) -> None:
    """What was used least recently goes, and the status says so; the run that is at work ends
    well.
    """
    project.write(
        {"pyproject.toml": "[tool.rpytest]\nmemory_limit = 1\n", "test_a.py": PASSING["test_a.py"]}
    )
    assert "at most 1 are kept" in (project.rpytest("-n2", junit=False), status(project))[1]
    assert processes.wait_until(lambda: runs(project) == [] and "  preload " not in status(project))
    assert (
        "the last session was not reused: it was let go, as more than 1 MiB are in use "
        "(`memory_limit`)"
    ) in status(project)
    assert project.rpytest("-n2", junit=False).counts == {"passed": 2}


def test_its_log_is_bounded(project: Project) -> None:
    project.write(PASSING)
    project.rpytest("-n2", junit=False)
    (log,) = project.runtime_dir.glob("*.log")
    with log.open("a") as file:
        file.write("x" * (2 << 20))
    # An edit is worth a line.
    project.write(test_a="def test_1(): pass\n")
    project.rpytest("-n2", junit=False)
    assert "is not reused" in log.read_text()
    assert log.stat().st_size < 1 << 20


def test_many_runs_cost_a_session_nothing(project: Project) -> None:
    project.write(
        test_a="import pytest\n@pytest.mark.parametrize('i', range(50))\ndef test_1(i): pass\n"
    )

    def measure() -> tuple[int, int, int]:
        found = re.search(
            rf"session (\d+): {re.escape(str(project.path))}.*\n.* (\d+) MiB", status(project)
        )
        assert found
        pids = [int(found[1]), daemon_pid(project)]
        session, daemon = (len(list((processes.PROC / str(pid) / "fd").iterdir())) for pid in pids)
        return session, daemon, int(found[2])

    def waits() -> bool:
        """Whether there is a process for the next run, of the session and of the checkpoint, and
        has what it needs.
        """
        ahead = re.findall(r", process (\d+) waits for the next run", status(project))
        return len(ahead) == 2 and all(processes.state(int(pid)) == "S" for pid in ahead)

    # The process of the next run is forked ahead, with the memory that the last one has needed:
    # from the third one on that is the same.
    for _ in range(4):
        assert project.rpytest("-n2", junit=False).status == 0
        assert processes.wait_until(waits)
    # The daemon, the session, its checkpoint, what waits for the next run of both, the configured
    # process that a session for other arguments would be forked from, and the preload.
    assert processes.wait_until(lambda: len(project.processes()) == 7)
    before = measure()
    for _ in range(10):
        assert project.rpytest("-n2", junit=False).status == 0
    assert runs(project) == [14]
    assert processes.wait_until(waits)
    # The daemon closes a run's descriptors when it hears that it was taken, which may be after its
    # end: of the one before, too.
    assert processes.wait_until(
        lambda: all(now <= was for now, was in zip(measure()[:2], before[:2], strict=True))
    ), "descriptors of session and daemon"
    assert processes.wait_until(lambda: len(project.processes()) == 7)
    assert measure()[2] <= before[2] + 2, "MiB of the session"


# -- several runs at once


def together(shared_project: Project, *commands: tuple[Path, tuple[str, ...]]) -> list[Running]:
    """Start all, then wait for all."""
    running = [shared_project.spawn(*args, cwd=cwd) for cwd, args in commands]
    for one in running:
        one.wait()
    return running


SLOW = "import time\ndef test_1(): time.sleep(0.5)\ndef test_2(): pass\n"


class TestAtOnce:
    @pytest.mark.parametrize(
        "args", [("-n2",), ("-n0",), ("-n2", "--start-method=bare")], ids=" ".join
    )
    def test_the_same_command(
        self, shared_project: Project, folder: Path, args: tuple[str, ...]
    ) -> None:
        shared_project.fill(folder, {"test_a.py": SLOW})
        for running in together(shared_project, *[(folder, args)] * 3):
            assert running.wait() == 0, running
            assert "2 passed" in running.stdout
            assert running.stderr == ""

    def test_other_arguments(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {"test_a.py": SLOW})
        one, two, three = together(
            shared_project,
            (folder, ("-n2",)),
            (folder, ("-n2", "-k", "test_1")),
            (folder, ("-n1", "-q")),
        )
        assert "2 passed" in one.stdout
        assert "1 passed, 1 deselected" in two.stdout
        assert three.stdout.startswith("bringing up nodes...\n..\n")

    def test_other_folders(self, shared_project: Project) -> None:
        folders = [Path(tempfile.mkdtemp(prefix="t", dir=shared_project.path)) for _ in range(3)]
        for number, folder in enumerate(folders):
            shared_project.fill(
                folder,
                {
                    "test_a.py": (
                        f"import os\ndef test_{number}(): assert os.getcwd() == {str(folder)!r}"
                    )
                },
            )
        for number, running in enumerate(
            together(shared_project, *[(folder, ("-n2",)) for folder in folders])
        ):
            assert f"test_a.py::test_{number} PASSED" in running.stdout

    def test_first_runs_start_one_daemon(self, project: Project) -> None:
        project.write({"test_a.py": SLOW})
        for running in together(project, *[(project.path, ("-n2",))] * 3):
            assert "2 passed" in running.stdout, running
        assert runs(project) == [3]
        assert project.stop_daemon().stdout == "daemon stopped\n"

    def test_collection_errors(self, shared_project: Project, folder: Path) -> None:
        """The second run waits for the first one's session, which ends without having served a
        run.
        """
        shared_project.fill(
            folder,
            {"conftest.py": "import time\ntime.sleep(0.5)", "test_a.py": "import nothing_such"},
        )
        for running in together(shared_project, *[(folder, ("-n2",))] * 3):
            assert running.wait() == 2, running
            assert "nothing_such" in running.stdout

    def test_collection_that_dies(self, shared_project: Project, folder: Path) -> None:
        code = (
            "import os, pathlib\nif not pathlib.Path('seen').exists():\n"
            "    pathlib.Path('seen').touch()\n"
        )
        code += "    import time; time.sleep(0.5)\n    os._exit(0)\n"
        shared_project.fill(folder, {**PASSING, "conftest.py": code})
        ended = together(shared_project, *[(folder, ("-n2",))] * 2)
        assert sorted(running.wait() for running in ended) == [0, 3]

    def test_warm(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {"test_a.py": SLOW})
        assert shared_project.rpytest("-n2", junit=False, cwd=folder).status == 0
        for running in together(shared_project, *[(folder, ("-n2",))] * 3):
            assert "2 passed" in running.stdout, running
        assert runs(shared_project, folder) == [4]

    def test_a_debugger_keeps_nobody_waiting(self, shared_project: Project, folder: Path) -> None:
        shared_project.fill(folder, {"test_a.py": waiting_test("started", "go")})
        first = shared_project.spawn("-n0", cwd=folder)
        wait_for(folder / "started")
        second = shared_project.spawn("-n0", cwd=folder)
        second.wait_for("test session starts")
        assert first.is_running()
        (folder / "go").touch()
        assert first.wait() == second.wait() == 0


def test_from_a_subdirectory(shared_project: Project, folder: Path) -> None:
    files = {
        "pytest.ini": "[pytest]\n",
        "conftest.py": "TOP = 1",
        "sub/test_b.py": "def test_b(): pass",
        **PASSING,
    }
    shared_project.fill(folder, files)
    assert shared_project.compare(cwd=folder).counts == {"passed": 3}
    assert shared_project.compare(cwd=folder / "sub").counts == {"passed": 1}
    assert shared_project.compare("../test_a.py", cwd=folder / "sub").counts == {"passed": 2}
    assert shared_project.compare(cwd=folder).counts == {"passed": 3}


# -- children of the project's own


class TestChildren:
    CHILD = (
        "import multiprocessing, time\nfork = multiprocessing.get_context('fork')\n"
        "child = fork.Process(target=time.sleep, args=(300,), daemon=True)\n"
    )

    @staticmethod
    def is_gone(pid: int) -> bool:
        return not processes.is_alive(pid)

    def test_forked_at_import(self, shared_project: Project, folder: Path) -> None:
        """A child that inherits the connections must not keep the run open; daemonic, it ends with
        its worker, of which each has its own.
        """
        shared_project.fill(
            folder,
            {**PASSING, "conftest.py": self.CHILD + "child.start()\nprint('child', child.pid)"},
        )
        for _ in range(2):
            result = shared_project.rpytest("-n2", "-s", "-v", junit=False, cwd=folder)
            assert result.counts == {"passed": 2}
            assert "start method: bare (a process runs after collection (" in result.stdout
            children = [int(pid) for pid in re.findall(r"child (\d+)", result.stdout)]
            assert children
            for child in children:
                assert processes.wait_until(partial(self.is_gone, child))

    def test_forked_in_a_test(self, shared_project: Project, folder: Path) -> None:
        lines = "".join(
            f"    {line}\n"
            for line in [*self.CHILD.splitlines(), "child.start()", "child.join(0.01)"]
        )
        shared_project.fill(folder, {"test_a.py": f"def test_1():\n{lines}\ndef test_2(): pass\n"})
        assert shared_project.rpytest("-n1", cwd=folder).counts == {"passed": 2}

    def test_orphan_of_a_test(self, shared_project: Project, folder: Path) -> None:
        """It holds the output, as under pytest; the run does not wait for it."""
        test = """
        import os, time

        def test_1():
            pid = os.fork()
            if pid == 0:
                os.closerange(0, 1024)
                [time.sleep(0.1) for _ in range(3000)]
            with open("orphan", "w") as file:
                file.write(str(pid))
        """
        shared_project.fill(folder, {"test_a.py": test})
        result = shared_project.rpytest("-n1", cwd=folder)
        pid = int((folder / "orphan").read_text())
        try:
            assert result.counts == {"passed": 1}
            assert processes.is_alive(pid)
        finally:
            processes.send([pid], signal.SIGKILL)
