"""A fork does its own thing, and does not come back; with an exception it leads back into
pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys

BEGIN = """
import os, sys
from rpytest.process import lifecycle
def say(text): os.write(1, f"{text}\\n".encode())
me = os.getpid()
"""


def run(script: str) -> tuple[int, str, str]:
    """Status, output and errors of a Python process."""
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    return done.returncode, done.stdout, done.stderr


def test_returns_here_only() -> None:
    status, out, _ = run(
        "pid = lifecycle.fork_into(lambda: say('there'))\n"
        "_, status = os.waitpid(pid, 0)\n"
        "say(f'here {os.getpid() == me} {os.waitstatus_to_exitcode(status)}')\n"
    )
    assert (status, out) == (0, "there\nhere True 3\n")


def test_an_error_ends_the_fork() -> None:
    status, out, err = run(
        "def main(): raise ValueError('of the fork')\n"
        "try: pid = lifecycle.fork_into(main)\n"
        "except BaseException: say('caught')\n"
        "say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert (status, out) == (0, "3\n")
    assert err.endswith("ValueError: of the fork\n")


def test_an_exit_function_is_the_parent_s() -> None:
    status, out, _ = run(
        "import atexit\natexit.register(say, 'at exit')\n"
        "def main(): sys.exit(0)\n"
        "os.waitpid(lifecycle.fork_into(main), 0)\n"
    )
    assert (status, out) == (0, "at exit\n")


def test_back_to_pytest() -> None:
    """Past whoever takes exceptions for errors, and with none of them at hand afterwards."""
    status, out, _ = run(
        "class Forked(lifecycle.BackToPytest): pass\n"
        "def main(): raise Forked\n"
        "def in_between():\n"
        "    try: return lifecycle.fork_into(main)\n"
        "    except Exception: say('an error')\n"
        "try: pid = in_between()\n"
        "except Forked: pid = 0\n"
        "if pid == 0:\n"
        "    say(f'there {os.getpid() != me} {sys.exc_info()[0]}')\n"
        "    os._exit(5)\n"
        "say(f'here {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}')\n"
    )
    assert (status, out) == (0, "there True None\nhere 5\n")


def test_a_detached_one_is_nobody_s_child() -> None:
    status, out, _ = run(
        "r, w = os.pipe()\n"
        "def main():\n"
        "    say(os.getppid() != me)\n"
        "    os._exit(0)\n"
        "lifecycle.fork_detached_into(main)\n"
        "os.close(w)\n"
        "os.read(r, 1)\n"
        "try: os.waitpid(-1, 0)\n"
        "except ChildProcessError: say('no child')\n"
    )
    assert (status, out) == (0, "True\nno child\n")


def test_no_process_can_be_forked() -> None:
    status, out, _ = run(
        "real = lifecycle._fork\n"
        "def fork():\n"
        "    if os.getpid() != me: raise BlockingIOError('too many')\n"
        "    return real()\n"
        "lifecycle._fork = fork\n"
        "try: lifecycle.fork_detached_into(lambda: say('there'))\n"
        "except BlockingIOError as error: say(error)\n"
    )
    assert (status, out) == (0, "no process could be forked\n")
