"""Forks that a project's own code must not come between."""

from __future__ import annotations

import subprocess
import sys

# The handler is run before the parent comes to waiting for its child: after that there is nothing
# to wait for.
SCRIPT = """
import os, signal, time
from rpytest.process import lifecycle

reaped = []

def reap(*_):
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        reaped.append(pid)

signal.signal(signal.SIGCHLD, reap)
fork = lifecycle._fork

def slow_fork():
    pid = fork()
    while pid and not reaped:
        time.sleep(0.001)
    return pid

lifecycle._fork = slow_fork
lifecycle.fork_detached_into(lambda: os._exit(0))
assert len(reaped) == 1
print("parent")
"""


def test_a_handler_that_waits_for_any_child_may_be_first() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "parent\n", "")
