"""The fixtures themselves: a hang ends with a report, a leftover is found."""

from __future__ import annotations

import fcntl
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support import processes
from support.harness import Project
from support.running import Hang, Running

PYTHON = Path(sys.executable).name
SLEEP = "import time; time.sleep(1000)"


def python(project: Project, code: str, *, tty: bool = False) -> Running:
    return project.spawn("-c", code, program=PYTHON, tty=tty)


def test_a_hang_ends_with_a_report(project: Project) -> None:
    running = python(project, f"print('so far', flush=True); {SLEEP}")
    running.wait_for("so far")
    with pytest.raises(Hang, match="hang after") as hang:
        running.wait(timeout=0.1)
    assert f"process {running.pid}: " in str(hang.value)
    assert "so far" in str(hang.value)
    assert not processes.is_alive(running.pid)


def test_a_hang_shows_where_python_processes_were(project: Project) -> None:
    """Children are aborted, and faulthandler says where."""
    code = "import faulthandler, time; faulthandler.enable()\n"
    code += "def waits_here(): print('up', flush=True); time.sleep(1000)\nwaits_here()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    running = python(project, parent + f"; {SLEEP}")
    running.wait_for("up")
    with pytest.raises(Hang, match="in waits_here"):
        running.wait(timeout=0.1)


def test_output_held_by_an_orphan_is_a_hang(project: Project) -> None:
    """As it is for a user who pipes the output into another program."""
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {SLEEP!r}]).pid)"
    running = python(project, code)
    orphan = running.wait_for(r"^(\d+)\n")[1]
    assert processes.wait_until(lambda: not running.is_running())
    with pytest.raises(Hang, match="still held open") as hang:
        running.wait(timeout=1)
    assert f"stdout is held open by [{orphan}]" in str(hang.value)
    assert not processes.is_alive(int(orphan))


def test_leftovers_are_named(project: Project) -> None:
    code = f"""
import subprocess, sys
null = subprocess.DEVNULL
child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], stdout=null, stderr=null)
print(child.pid)
"""
    running = python(project, code)
    assert running.wait() == 0
    left = int(running.stdout)
    segment = processes.SHARED_MEMORY / f"rpytest-{running.pid}-test"
    with (
        segment.with_name(f"harness-{running.pid}").open("w") as file,
        socket.socket(socket.AF_UNIX) as server,
    ):
        # Whoever starts rpytest now removes what a dead process has left, unless it is locked.
        fcntl.flock(file, fcntl.LOCK_EX)
        Path(file.name).rename(segment)
        server.bind(str(project.runtime_dir / "s"))
        found = "\n".join(project.leftovers())
        segment.unlink()
    assert f"process {left}: " in found
    assert f"shared memory left: {segment}" in found
    assert f"socket left: {project.runtime_dir / 's'}" in found

    (project.runtime_dir / "s").unlink()
    project.kill_all()
    assert project.leftovers() == []


def test_leftovers_fail_the_test(tmp_path: Path) -> None:
    project = Project(tmp_path)
    running = python(project, SLEEP)
    with pytest.raises(AssertionError, match=f"still running at the end.*process {running.pid}"):
        project.close()
    assert not processes.is_alive(running.pid)
    assert not project.scratch.exists()


def test_terminal(project: Project) -> None:
    code = f"import os; print([os.isatty(n) for n in range(3)], os.get_terminal_size()[0]); {SLEEP}"
    running = python(project, code, tty=True)
    running.wait_for(r"\[True, True, True\] 80")
    running.send("\x03")
    assert running.wait() == -signal.SIGINT
    assert "KeyboardInterrupt" in running.stdout


def test_group_signal_reaches_children(project: Project) -> None:
    child = f"print('child', flush=True); {SLEEP}"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    running = python(project, code)
    running.wait_for("child")
    running.send_group_signal(signal.SIGTERM)
    assert running.wait() == -signal.SIGTERM
    assert project.leftovers() == []


def test_environment_is_isolated(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("CI", "PYTEST_ADDOPTS", "RPYTEST_RUNTIME_DIR", "PYTHONPATH")
    for name in names:
        monkeypatch.setenv(name, "from outside")
    other = Project(project.path)
    try:
        assert "from outside" not in other.env.values()
        assert len(str(other.runtime_dir)) < 40
    finally:
        other.close()


def test_processes_with_a_variable_ignores_others() -> None:
    child = subprocess.Popen([sys.executable, "-c", SLEEP], env={"RPYTEST_TEST_MARK": "ab"})
    try:
        assert processes.wait_until(
            lambda: processes.with_variable("RPYTEST_TEST_MARK", "ab") == [child.pid]
        )
        assert processes.with_variable("RPYTEST_TEST_MARK", "a") == []
    finally:
        child.kill()
        child.wait()
