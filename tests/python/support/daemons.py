"""Looks at daemons and what they keep warm, and keeps tests and collections waiting."""

from __future__ import annotations

import re
from pathlib import Path

from support import processes
from support.harness import Project


def status(project: Project) -> str:
    result = project.rpytest("--daemon-status", junit=False)
    assert result.status == 0
    return result.stdout


def runs(project: Project, root: Path | None = None) -> list[int]:
    """How many runs each warm session in `root` has served, in the order of their age."""
    text = status(project)
    pattern = (
        rf"session \d+: {re.escape(str(root or project.path))}(?: .*)?\n +\d+ tests?, (\d+) runs?, "
    )
    return [int(count) for count in re.findall(pattern, text)]


def daemon_pid(project: Project) -> int:
    found = re.match(r"daemon (\d+) has been running for ", status(project))
    assert found
    return int(found[1])


def sockets(project: Project) -> list[Path]:
    return sorted(project.runtime_dir.glob("*.sock"))


def waiting_code(started: str, go: str) -> str:
    """Statements that make a file `started` and wait for a file `go`."""
    return (
        f"import pathlib, time\npathlib.Path({started!r}).touch()\n"
        f"while not pathlib.Path({go!r}).exists(): time.sleep(0.01)\n"
    )


def waiting_test(started: str, go: str) -> str:
    lines = waiting_code(started, go).splitlines()
    return "def test_1():\n" + "".join(f"    {line}\n" for line in lines)


def wait_for(path: Path) -> None:
    assert processes.wait_until(path.exists)
