"""What does not end by itself, or stands still: the user hears who is waited for, and the first
Ctrl-C ends it.
"""

from __future__ import annotations

import re
import signal

import pytest

from support import processes
from support.harness import Project

# What is registered by `test_1`, and what the notice says of it.
_HANGS = {
    "thread": (
        (
            "import threading, time\n\ndef spin():\n    while True: time.sleep(0.05)\n\n"
            "def test_1(): threading.Thread(target=spin, name='spinner').start()\n"
        ),
        r"worker \d\].* waits for the thread `spinner`, which is at test_a.py:\d+ in `spin`",
    ),
    "atexit": (
        (
            "import atexit, time\n\ndef hang(): time.sleep(1000)\n\n"
            "def test_1(): atexit.register(hang)\n"
        ),
        r"worker \d\].* waits for the exit function `hang` \(test_a.py:3\)",
    ),
    "finalizer": (
        (
            "import time, weakref\n\nclass A: pass\n\na = A()\n\ndef hang(): time.sleep(1000)\n\n"
            "def test_1(): weakref.finalize(a, hang)\n"
        ),
        r"worker \d\].* waits for the exit function `hang` \(test_a.py:7\)",
    ),
    "session fixture": (
        (
            "import pytest, threading, time\n\n@pytest.fixture(scope='session')\ndef f():\n"
            "    lock = threading.Lock()\n    yield lock\n    time.sleep(1000)\n\n"
            "def test_1(f): pass\n"
        ),
        r"waiting for (worker \d|the run's host process) \(process \d+\)",
    ),
    "hook": (
        "import time\n\ndef test_1(): pass\n",
        r"waiting for worker \d \(process \d+\), which has run its tests and does not end",
    ),
    "host": (
        (
            "import atexit, pytest, time\n\ndef hang(): time.sleep(1000)\n\n"
            "@pytest.fixture(scope='session')\ndef f():\n"
            "    atexit.register(hang)\n    return 1\n\ndef test_1(f): pass\n"
        ),
        r"waits for the exit function `hang` \(test_a.py:3\)",
    ),
}


@pytest.mark.parametrize("kind", _HANGS)
def test_the_user_hears_who_is_waited_for_and_an_interrupt_ends_it(
    project: Project, kind: str
) -> None:
    text, expected = _HANGS[kind]
    hook = (
        "import time\n\ndef pytest_sessionfinish(session):\n"
        "    if hasattr(session.config, 'workerinput'): time.sleep(1000)\n"
    )
    project.write(
        conftest=hook if kind == "hook" else "", test_a=text, test_b="def test_2(): pass\n"
    )
    running = project.spawn("-n", "2", "-v")
    running.wait_for(expected)
    running.wait_for("hint: Ctrl-C ends it")
    running.send_signal(signal.SIGINT)
    assert running.wait() == 2, running
    assert "2 passed" in running.stdout, running
    assert "KeyboardInterrupt !!!" in running.stdout or "KeyboardInterrupt at" in running.stdout, (
        running
    )
    # Each is spoken of once.
    assert len(re.findall("hint: Ctrl-C", running.stdout)) == (2 if kind == "hook" else 1), running


def test_what_ends_in_time_is_not_spoken_of(project: Project) -> None:
    project.write(
        test_a="import atexit, pathlib, threading, time\n\n"
        "def end(): pathlib.Path('ended').touch()\n\n"
        "def test_1():\n    atexit.register(end)\n"
        "    threading.Thread(target=time.sleep, args=(0.1,)).start()\n"
    )
    result = project.compare()
    assert "waits" not in result.stdout + result.stderr, result
    assert (project.path / "ended").exists()


@pytest.mark.parametrize("who", ["worker", "host", "session"])
def test_a_process_that_stands_still_is_named(project: Project, who: str) -> None:
    held = (
        "import os, pathlib, time\n{who}\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)\n"
    )
    pid = {"worker": "os.getpid()", "host": "os.getppid()", "session": "os.getpid()"}[who]
    code = held.format(
        who=f"pathlib.Path('pid.new').write_text(str({pid})); os.replace('pid.new', 'pid')"
    )
    if who == "session":
        text = code + "\ndef test_1(): pass\n"
    else:
        text = "def test_1():\n" + "".join(f"    {line}\n" for line in code.splitlines())
    project.write(test_a=text)
    running = project.spawn()
    assert processes.wait_until((project.path / "pid").exists)
    stopped = int((project.path / "pid").read_text())
    processes.send([stopped], signal.SIGSTOP)
    running.wait_for(rf"is stopped \(process {stopped}\)")
    running.wait_for(f"hint: `kill -CONT {stopped}` lets it go on")
    (project.path / "go").touch()
    processes.send([stopped], signal.SIGCONT)
    assert running.wait() == 0, running
    assert "1 passed" in running.stdout, running


@pytest.mark.parametrize("who", ["worker", "session"])
def test_an_interrupt_ends_what_stands_still(project: Project, who: str) -> None:
    code = (
        "import os, pathlib, time\npathlib.Path('pid.new').write_text(str(os.getpid())); "
        "os.replace('pid.new', 'pid')\n"
        "time.sleep(1000)\n"
    )
    inside = "def test_1():\n" + "".join(f"    {line}\n" for line in code.splitlines())
    project.write(test_a=inside if who == "worker" else code + "def test_1(): pass\n")
    running = project.spawn()
    assert processes.wait_until((project.path / "pid").exists)
    processes.send([int((project.path / "pid").read_text())], signal.SIGSTOP)
    running.send_signal(signal.SIGINT)
    assert running.wait() == 2, running


def test_a_warm_session_that_stands_still_is_passed_over(project: Project) -> None:
    project.write(test_a="def test_1(): pass\n", test_b="def test_2(): pass\n")
    for args in ((), ("test_a.py",), ()):
        assert project.rpytest(*args, junit=False).status == 0
    # The daemon itself, which is their parent or grandparent, leads its session.
    warm = [pid for pid in project.processes() if _leader(pid) != pid]
    processes.send(warm, signal.SIGSTOP)
    for args in ((), ("test_a.py",)):
        result = project.rpytest(*args, junit=False)
        assert result.status == 0, result
    processes.send([pid for pid in warm if processes.is_alive(pid)], signal.SIGCONT)


def _leader(pid: int) -> int:
    """The process that leads the session that `pid` belongs to."""
    return int((processes.PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[3])


def test_a_test_that_truncates_whatever_is_open(project: Project) -> None:
    project.write(
        test_a="import os\n\ndef test_1():\n    for name in range(3, 300):\n"
        "        try: os.ftruncate(name, 0)\n"
        "        except OSError: pass\n",
        test_b="def test_2():\n    print('y' * 3_000_000)\n    assert 0\n\ndef test_3(): pass\n",
    )
    for _ in range(2):
        result = project.compare()
        assert result.counts == {"failed": 1, "passed": 2}, result


def test_a_limit_for_the_size_of_files(project: Project) -> None:
    """What does not fit is an error with a name, and nobody is killed in silence."""
    project.write(test_a="def test_1(): pass\n")
    (project.path / "limited").write_text(f"ulimit -f 8; exec {project.bin}/rpytest --no-daemon\n")
    running = project.spawn(
        "-c", "import os; os.execv('/bin/sh', ['sh', 'limited'])", program="python"
    )
    status = running.wait()
    assert status in (0, 3), running
    if status:
        assert re.search(r"error: .*(ulimit -f|File too large)", running.stderr), running
