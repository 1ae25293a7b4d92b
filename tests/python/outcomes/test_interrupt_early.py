"""Ctrl-C and other ends at any moment of a command's start: status 2, and nothing is said that is
no answer to it.
"""

from __future__ import annotations

import functools
import re
import signal

import pytest

from support import processes
from support.daemons import waiting_code
from support.harness import Project
from support.running import Running

_QUIET = re.compile(r"(!!! interrupted .* !!!|interrupted|)\n?")


def _check(running: Running) -> None:
    assert running.wait() == 2, running
    assert _QUIET.fullmatch(running.stderr), running
    assert "Traceback" not in running.stdout, running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
@pytest.mark.parametrize("options", [(), ("--no-daemon",)], ids=["daemon", "once"])
def test_at_many_moments_of_a_cold_start(
    project: Project, number: signal.Signals, options: tuple[str, ...]
) -> None:
    project.write(
        conftest="import time\ntime.sleep(0.05)\n",
        test_a="import time\ntime.sleep(0.05)\ndef test_1(): time.sleep(1000)\n",
    )
    for step in range(9):
        running = project.spawn(*options)
        # Not so early that it is not there yet: before it runs, nobody can handle a signal.
        assert processes.wait_until(functools.partial(_handles, running.pid, number))
        processes.wait_until(lambda: False, seconds=step * 0.07)
        running.send_signal(number)
        _check(running)
        project.stop_daemon()


def _handles(pid: int, number: signal.Signals) -> bool:
    status = (processes.PROC / str(pid) / "status").read_text()
    found = re.search(r"^SigCgt:\s*(\w+)", status, re.M)
    return bool(found and int(found[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("where", ["conftest", "test_a", "hook"])
def test_while_project_code_runs(project: Project, where: str) -> None:
    """What pytest says of it then is pytest's affair; the status and the quiet on standard error
    are the same.
    """
    code = waiting_code("started", "never")
    hook = "def pytest_configure():\n" + "".join(f"    {line}\n" for line in code.splitlines())
    project.write(
        conftest={"conftest": code, "hook": hook}.get(where, ""),
        test_a=(code if where == "test_a" else "") + "def test_1(): pass\n",
    )
    running = project.spawn()
    assert processes.wait_until((project.path / "started").exists)
    running.send_signal(signal.SIGINT)
    _check(running)


def test_while_another_command_starts_the_daemon(project: Project) -> None:
    """Whoever waits for the lock does not wait for its holder when it is interrupted."""
    project.write(test_a="def test_1(): pass\n")
    first = project.spawn()
    assert processes.wait_until(lambda: bool(list(project.runtime_dir.glob("*.lock"))))
    daemons = [pid for pid in project.processes() if pid != first.pid]
    processes.send(daemons, signal.SIGSTOP)
    second = project.spawn()
    assert processes.wait_until(lambda: _handles(second.pid, signal.SIGINT))
    second.send_signal(signal.SIGINT)
    processes.send(daemons, signal.SIGCONT)
    status = second.wait()
    # It may have passed by before the others stood still.
    assert status in (0, 2), second
    assert _QUIET.fullmatch(second.stderr), second
    assert first.wait() == 0, first


def test_while_another_command_collects(project: Project) -> None:
    """A session that collects for somebody else is not waited for."""
    project.write(test_a=waiting_code("started", "go") + "def test_1(): pass\n")
    first = project.spawn()
    assert processes.wait_until((project.path / "started").exists)
    second = project.spawn()
    assert processes.wait_until(lambda: _handles(second.pid, signal.SIGINT))
    second.send_signal(signal.SIGINT)
    _check(second)
    (project.path / "go").touch()
    assert first.wait() == 0, first
