"""What can be inherited although it is more than a value: child processes, listening sockets, what
was registered for the end.
"""

from __future__ import annotations

from cases_hazards import body, fixture
from grid import Case, Run, parametrized

NOTES = ("up thing", "down thing")

#: Says its port when it is ready, and answers with its pid.
PID_SERVER = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())

    def log_message(self, *args):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""

#: A fixture `server`: (the Popen object, its URL).
SERVER = """
import subprocess, sys
from pathlib import Path
import pytest
from notes import note

@pytest.fixture(scope="session")
def server():
    note("up server")
    process = subprocess.Popen([sys.executable, Path(__file__).with_name("pid_server.py")], stdout=subprocess.PIPE)
    yield process, f"http://127.0.0.1:{int(process.stdout.readline())}/"
    assert process.poll() is None, "it has ended before its time"
    process.terminate()
    note(f"down server {process.wait()}")
    process.stdout.close()
"""  # noqa: E501

ASK = body(
    """process, url = server
assert urllib.request.urlopen(url).read() == str(process.pid).encode()
assert process.poll() is None and process.returncode is None"""
)

SERVER_FILES = {"conftest.py": SERVER, "pid_server.py": PID_SERVER}


def until(condition: str) -> str:
    """Lines of a test that wait for something; `late` is when that is given up."""
    return f"while not ({condition}):\n    assert time.monotonic() < late\n    time.sleep(0.01)"


#: Takes the status of every child of its process, whoever has started it.
REAP = """
def reap(found):
    try:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            found.append(ended[0])
    except ChildProcessError:
        pass
"""

REAPED = body(
    "late = time.monotonic() + 120\npid = os.fork()\nif pid == 0:\n    os._exit(0)\n"
    f"{until('pid in thing')}"
)


def destroyed_once(run: Run) -> None:
    assert run.notes.count("gone thing") == 1
    assert run.notes[-1] == "gone thing"


CASES = [
    Case(
        "child-process",
        {**SERVER_FILES, "test_a.py": "import urllib.request\n" + parametrized("server", ASK)},
        shared=("server",),
        notes=("up server", "down server -15"),
    ),
    Case(
        "http-server-module",
        {
            "conftest.py": fixture(
                # A port that is free now may be somebody else's in a moment: it looks for one, and
                # says which.
                "process = subprocess.Popen([sys.executable, '-u', '-m', 'http.server', "
                "'--bind', '127.0.0.1', '0'],\n"
                "    cwd=os.path.dirname(__file__), stdout=subprocess.PIPE, "
                "stderr=subprocess.DEVNULL)\n"
                "port = process.stdout.readline().partition(b' port ')[2].split()[0].decode()\n"
                "it = f'http://127.0.0.1:{port}/'",
                "process.terminate()\nprocess.wait()\nprocess.stdout.close()",
                "import subprocess, sys",
            ),
            "page.txt": "a page",
            "test_a.py": "import urllib.request\n"
            + parametrized(
                "thing", "assert urllib.request.urlopen(thing + 'page.txt').read() == b'a page'"
            ),
        },
        shared=("thing",),
        notes=NOTES,
    ),
    Case(
        "multiprocessing-process",
        {
            "conftest.py": fixture(
                "context = multiprocessing.get_context('fork')\n"
                "stop = context.Event()\n"
                "it = context.Process(target=stop.wait)\nit.start()",
                "stop.set()\nit.join()\nassert it.exitcode == 0",
                "import multiprocessing",
            ),
            "test_a.py": "import os\n" + parametrized("thing", "os.kill(thing.pid, 0)"),
        },
        own={"thing": "its set-up left a multiprocessing primitive"},
        notes=NOTES,
    ),
    Case(
        "multiprocessing-process-asked",
        {
            "conftest.py": fixture(
                (
                    "it = multiprocessing.get_context('fork').Process(target=time.sleep, "
                    "args=(1000,))\nit.start()"
                ),
                "assert it.is_alive()\nit.terminate()\nit.join()\nassert it.exitcode == -15",
                "import multiprocessing, time",
            ),
            "test_a.py": parametrized(
                "thing",
                body(
                    "assert thing.is_alive() and thing.exitcode is None\n"
                    "thing.join(0.01)\n"
                    "assert thing.is_alive() and 'started' in repr(thing)"
                ),
            ),
        },
        shared=("thing",),
        notes=NOTES,
    ),
    Case(
        "multiprocessing-process-ends",
        {
            "conftest.py": fixture(
                "context = multiprocessing.get_context('fork')\n"
                "it = context.Process(target=os._exit, args=(3,))\nit.start()",
                "it.join()\nassert it.exitcode == 3",
                "import multiprocessing, os",
            ),
            "test_a.py": parametrized(
                "thing",
                body("thing.join()\nassert not thing.is_alive()\nassert thing.exitcode == 3"),
            ),
        },
        shared=("thing",),
        notes=NOTES,
    ),
    Case(
        "handler-reaps-any-child",
        {
            "conftest.py": fixture(
                "it = []\nbefore = signal.signal(signal.SIGCHLD, lambda *_: reap(it))",
                "signal.signal(signal.SIGCHLD, before)",
                "import signal",
                REAP,
            ),
            "test_a.py": "import os, time\n" + parametrized("thing", REAPED),
        },
        shared=("thing",),
        notes=NOTES,
    ),
    Case(
        "handler-of-a-conftest-reaps-any-child",
        {
            "conftest.py": fixture(
                "it = reaped",
                "",
                "import signal",
                f"{REAP}\nreaped = []\nsignal.signal(signal.SIGCHLD, lambda *_: reap(reaped))",
            ),
            "test_a.py": "import os, time\n" + parametrized("thing", REAPED),
        },
        shared=("thing",),
        notes=NOTES,
    ),
    Case(
        "interval-timer",
        {
            "conftest.py": fixture(
                "it = []\nbefore = signal.signal(signal.SIGALRM, lambda *_: it.append(1))\n"
                "signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)",
                "signal.setitimer(signal.ITIMER_REAL, 0)\nsignal.signal(signal.SIGALRM, before)",
                "import signal",
            ),
            "test_a.py": "import time\n"
            + parametrized(
                "thing",
                body(
                    "count, late = len(thing), time.monotonic() + 120\n"
                    + until("len(thing) > count")
                ),
            ),
        },
        own={"thing": "its set-up left an interval timer running"},
        notes=NOTES,
    ),
    Case(
        "interrupt-handler",
        {
            "conftest.py": fixture(
                (
                    "it = []\nhandler = lambda *_: it.append(1)\n"
                    "before = signal.signal(signal.SIGINT, handler)"
                ),
                "signal.signal(signal.SIGINT, before)",
                "import signal",
            ),
            "test_a.py": "import os, signal\n"
            + parametrized("thing", body("os.kill(os.getpid(), signal.SIGINT)\nassert thing")),
        },
        own={"thing": "its set-up set a handler of SIGINT"},
        notes=NOTES,
    ),
    Case(
        "multiprocessing-manager",
        {
            "conftest.py": fixture(
                "manager = multiprocessing.get_context('fork').Manager()\nit = manager.dict()",
                "manager.shutdown()",
                "import multiprocessing",
            ),
            "test_a.py": parametrized("thing", body("thing[i] = i\nassert thing[i] == i")),
        },
        shared=("thing",),
        notes=NOTES,
    ),
    Case(
        "listening-socket",
        {
            "conftest.py": fixture(
                "it = socket.create_server(('127.0.0.1', 0))", "it.close()", "import socket"
            ),
            "test_a.py": "import socket\n"
            + parametrized(
                "thing",
                (
                    "assert socket.create_connection(thing.getsockname()).getpeername() == "
                    "thing.getsockname()"
                ),
            ),
        },
        shared=("thing",),
        notes=NOTES,
    ),
    Case(
        "temporary-directory",
        {
            "conftest.py": fixture(
                "it = tempfile.TemporaryDirectory()",
                "assert os.path.isdir(it.name), 'a worker has removed it'\nit.cleanup()",
                "import tempfile",
            ),
            "test_a.py": "import os\n" + parametrized("thing", "assert os.path.isdir(thing.name)"),
        },
        shared=("thing",),
        notes=NOTES,
    ),
    Case(
        "registered-for-the-exit",
        {
            "conftest.py": fixture(
                "it = 1\natexit.register(note, 'gone thing')", imports="import atexit"
            ),
            "test_a.py": parametrized("thing"),
        },
        shared=("thing",),
        notes=("up thing", "down thing", "gone thing"),
        check=destroyed_once,
    ),
    Case(
        "finalized-when-collected",
        {
            "conftest.py": fixture(
                "it = Thing()\nweakref.finalize(it, note, 'gone thing')",
                imports="import weakref",
                more="class Thing: pass",
            ),
            "test_a.py": parametrized("thing"),
        },
        shared=("thing",),
        notes=("up thing", "down thing", "gone thing"),
        check=destroyed_once,
    ),
    Case(
        "read-only-database",
        {
            "conftest.py": fixture(
                "file = open(os.path.join(os.path.dirname(__file__), 'table'), 'rb')\n"
                "it = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\nfile.close()",
                "it.close()",
                "import mmap",
            ),
            "table": "0123456789" * 1000,
            "test_a.py": parametrized(
                "thing", "assert thing[10 * i : 10 * i + 10] == b'0123456789'"
            ),
        },
        shared=("thing",),
        notes=NOTES,
    ),
]
