"""What must not be inherited: each of these would hang, or corrupt, if workers shared it.

The tests use what they were given in a way that goes wrong in a fork: a socket's bytes are stolen
by another worker, a file's position moves under the reader.
"""

from __future__ import annotations

from grid import Case, parametrized

SOCKET = "its set-up left a connected socket"


def fixture(code: str, end: str = "", imports: str = "", more: str = "") -> str:
    """A conftest with a fixture `thing` whose value is `it`."""
    lines = "\n".join(f"    {line}" for line in code.splitlines())
    end = "\n".join(f"    {line}" for line in end.splitlines())
    return (
        f"import os, pytest\n{imports}\nfrom notes import note\n{more}\n"
        f"@pytest.fixture(scope='session')\ndef thing():\n    note('up thing')\n{lines}\n"
        f"    yield it\n{end}\n    note('down thing')\n"
    )


def body(code: str) -> str:
    """Lines of a test."""
    return "\n    ".join(code.strip().splitlines())


NOTES = ("up thing", "down thing")

ECHO = """
import socketserver

class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)

server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
"""

CASES = [
    Case(
        "functions-of-os-replaced",
        {
            "conftest.py": fixture(
                "it = pytest.MonkeyPatch()\n"
                "for name in ('listdir', 'fork', 'waitpid', 'pipe'):\n"
                "    it.setattr(os, name, refuse)",
                "it.undo()",
                more="def refuse(*_, **__):\n    raise RuntimeError('not here')\n",
            ),
            "test_a.py": "import os\n"
            + parametrized(
                "thing",
                body("with pytest.raises(RuntimeError, match='not here'):\n    os.listdir()"),
            ),
        },
        own={"thing": "its set-up replaced `os.fork`"},
        # The notes of its end are written when nothing is replaced any more.
        notes=NOTES,
    ),
    Case(
        "module-os-replaced-in-every-module",
        {
            "conftest.py": fixture(
                "fake = types.ModuleType('os')\n"
                "for name in ('environ', 'PathLike', 'fspath', 'path', 'sep'):\n"
                "    setattr(fake, name, getattr(os, name))\n"
                "it = pytest.MonkeyPatch()\n"
                "for name, module in list(sys.modules.items()):\n"
                "    if name.startswith('rpytest.') and 'os' in vars(module):\n"
                "        it.setitem(vars(module), 'os', fake)",
                "it.undo()",
                imports="import sys, types",
            ),
            "test_a.py": parametrized("thing"),
        },
        own={"thing": "its set-up replaced `os`"},
        notes=NOTES,
    ),
    Case(
        "class-of-sockets-replaced",
        {
            "conftest.py": fixture(
                "server = socket.create_server(('127.0.0.1', 0))\n"
                "it = pytest.MonkeyPatch()\nit.setattr(socket, 'socket', Blocked)",
                "it.undo()\nserver.close()",
                imports="import socket",
                more=(
                    "class Blocked(socket.socket):\n    def __init__(self, *_, **__):\n"
                    "        raise RuntimeError('blocked')\n"
                ),
            ),
            "test_a.py": "import socket\n"
            + parametrized(
                "thing",
                body("with pytest.raises(RuntimeError, match='blocked'):\n    socket.socket()"),
            ),
        },
        shared=("thing",),
        notes=NOTES,
    ),
    Case(
        "connected-socket",
        {
            "echo.py": ECHO,
            "conftest.py": """
            import socket, subprocess, sys
            from pathlib import Path
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def server():
                note("up server")
                command = [sys.executable, Path(__file__).with_name("echo.py")]
                with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                    yield int(process.stdout.readline())
                    process.terminate()
                note("down server")

            @pytest.fixture(scope="session")
            def thing(server):
                note("up thing")
                with socket.create_connection(("127.0.0.1", server)) as it, it.makefile("rwb", 0) as file:
                    yield file
                note("down thing")
            """,  # noqa: E501
            "test_a.py": parametrized(
                "thing",
                body(
                    "for turn in range(50):\n"
                    "    line = b'%d of %d\\n' % (turn, i)\n"
                    "    thing.write(line)\n"
                    "    assert thing.readline() == line"
                ),
            ),
        },
        shared=("server",),
        own={"thing": SOCKET},
        notes=("up server", "up thing", "down thing", "down server"),
    ),
    Case(
        "pair-of-sockets",
        {
            "conftest.py": fixture(
                "it = socket.socketpair()", "it[0].close()\nit[1].close()", "import socket"
            ),
            "test_a.py": parametrized(
                "thing",
                body(
                    "for turn in range(50):\n    thing[0].send(b'%d' % i)\n"
                    "    assert thing[1].recv(9) == b'%d' % i"
                ),
            ),
        },
        own={"thing": SOCKET},
        notes=NOTES,
    ),
    Case(
        "pipe",
        {
            "conftest.py": fixture("it = os.pipe()", "os.close(it[0])\nos.close(it[1])"),
            "test_a.py": "import os\n"
            + parametrized(
                "thing",
                body(
                    "for turn in range(50):\n    os.write(thing[1], b'%02d' % i)\n"
                    "    assert os.read(thing[0], 2) == b'%02d' % i"
                ),
            ),
        },
        own={"thing": "its set-up left a pipe to write to"},
        notes=NOTES,
    ),
    Case(
        "child-asked-by-pipes",
        {
            "conftest.py": fixture(
                (
                    "it = subprocess.Popen(['cat'], stdin=subprocess.PIPE, "
                    "stdout=subprocess.PIPE, bufsize=0)"
                ),
                "it.stdin.close()\nit.wait()\nit.stdout.close()",
                "import subprocess",
            ),
            "test_a.py": parametrized(
                "thing",
                body(
                    "for turn in range(50):\n    thing.stdin.write(b'%02d' % i)\n"
                    "    assert thing.stdout.read(2) == b'%02d' % i"
                ),
            ),
        },
        own={"thing": "its set-up left a pipe to write to"},
        notes=NOTES,
    ),
    Case(
        "event-descriptor",
        {
            "conftest.py": fixture("it = os.eventfd(0)", "os.close(it)"),
            "test_a.py": "import os\n"
            + parametrized(
                "thing",
                body(
                    "for turn in range(50):\n    os.eventfd_write(thing, i + 1)\n"
                    "    assert os.eventfd_read(thing) == i + 1"
                ),
            ),
        },
        own={"thing": "its set-up left an eventfd"},
        notes=NOTES,
    ),
    Case(
        "epoll",
        {
            "conftest.py": fixture("it = select.epoll()", "it.close()", "import select"),
            "test_a.py": "import socket\n"
            + parametrized(
                "thing",
                body(
                    "with socket.socket() as server:\n"
                    "    thing.register(server.fileno())\n"
                    "    thing.modify(server.fileno(), 0)\n"
                    "    thing.unregister(server.fileno())"
                ),
                count=64,
            ),
        },
        own={"thing": "its set-up left an event loop"},
        notes=NOTES,
    ),
    Case(
        "socket-to-be-connected",
        {
            "conftest.py": fixture(
                "server = socket.create_server(('127.0.0.1', 0))\n"
                "client = socket.socket()\n"
                "it = client, server.getsockname()",
                "client.close()\nserver.close()",
                "import socket",
            ),
            "test_a.py": parametrized(
                "thing",
                # The first to do so in each worker.
                (
                    "if not hasattr(test_one, 'done'): thing[0].connect(thing[1])\n"
                    "    test_one.done = True"
                ),
            ),
        },
        own={"thing": "its set-up left a socket that is not connected yet"},
        notes=NOTES,
    ),
    Case(
        "selector",
        {
            "conftest.py": fixture(
                (
                    "it = selectors.DefaultSelector()\n"
                    "server = socket.create_server(('127.0.0.1', 0))\n"
                    "it.register(server, selectors.EVENT_READ)"
                ),
                "it.close()\nserver.close()",
                "import selectors, socket",
            ),
            "test_a.py": parametrized("thing", "assert thing.select(0) == []"),
        },
        own={"thing": "its set-up left an event loop"},
        notes=NOTES,
    ),
    Case(
        "asyncio-loop",
        {
            "conftest.py": fixture("it = asyncio.new_event_loop()", "it.close()", "import asyncio"),
            "test_a.py": "import asyncio\n"
            + parametrized(
                "thing",
                body(
                    "async def talk():\n"
                    "    server = await asyncio.start_server(lambda reader, writer: "
                    "writer.close(), '127.0.0.1', 0)\n"
                    "    reader, writer = await "
                    "asyncio.open_connection(*server.sockets[0].getsockname())\n"
                    "    assert await reader.read() == b''\n"
                    "    writer.close()\n"
                    "    server.close()\n"
                    "    return i\n"
                    "assert thing.run_until_complete(asyncio.wait_for(talk(), 120)) == i"
                ),
            ),
        },
        own={"thing": "its set-up left an event loop"},
        notes=NOTES,
    ),
    Case(
        "async-fixture",
        {
            "conftest.py": """
            import asyncio, inspect
            import pytest
            from notes import note

            LOOPS = []

            @pytest.hookimpl(wrapper=True)
            def pytest_fixture_setup(fixturedef, request):
                # As plugins for async fixtures do it: one loop of the session.
                function = fixturedef.func
                if inspect.iscoroutinefunction(function):
                    if not LOOPS:
                        LOOPS.append(asyncio.new_event_loop())
                        request.session.addfinalizer(LOOPS[0].close)
                    fixturedef.func = lambda **values: LOOPS[0].run_until_complete(function(**values))
                try:
                    return (yield)
                finally:
                    fixturedef.func = function

            @pytest.fixture(scope="session")
            async def thing(request):
                note("up thing")
                request.addfinalizer(lambda: note("down thing"))
                await asyncio.sleep(0)
                return asyncio.get_running_loop()
            """,  # noqa: E501
            "test_a.py": "import asyncio\n"
            + parametrized("thing", "assert thing.run_until_complete(asyncio.sleep(0, i)) == i"),
        },
        own={"thing": "async"},
        notes=NOTES,
    ),
    Case(
        "written-file",
        {
            "conftest.py": fixture(
                "it = open(tmp_path_factory.mktemp('log') / 'log', 'w+')", "it.close()", "import io"
            ).replace("def thing()", "def thing(tmp_path_factory)"),
            "test_a.py": parametrized(
                "thing",
                body(
                    "for turn in range(50):\n"
                    "    thing.seek(0)\n"
                    "    thing.write(f'{i:03d}')\n"
                    "    thing.flush()\n"
                    "    thing.seek(0)\n"
                    "    assert thing.read(3) == f'{i:03d}'"
                ),
            ),
        },
        own={"thing": "its set-up left a file open for writing: log"},
        notes=NOTES,
    ),
    Case(
        "read-file",
        {
            "data.txt": "".join(f"{number:07d}\n" for number in range(20000)),
            "conftest.py": fixture(
                "it = open(os.path.join(os.path.dirname(__file__), 'data.txt'), 'rb', 0)",
                "it.close()",
            ),
            "test_a.py": parametrized(
                "thing",
                body(
                    "for turn in range(i, 20000, 40):\n"
                    "    thing.seek(8 * turn)\n"
                    "    assert int(thing.read(8)) == turn, 'its position is shared'"
                ),
            ),
        },
        shared=("thing",),
        notes=NOTES,
    ),
    Case(
        "sqlite-connection",
        {
            "conftest.py": fixture(
                "it = sqlite3.connect(tmp_path_factory.mktemp('db') / 'db', "
                "isolation_level=None, timeout=120)\n"
                "it.execute('create table t (x)')",
                "it.close()",
                "import sqlite3",
            ).replace("def thing()", "def thing(tmp_path_factory)"),
            "test_a.py": parametrized(
                "thing",
                body(
                    "thing.execute('begin immediate')\n"
                    "before = thing.execute('select count(*) from t').fetchone()[0]\n"
                    "thing.executemany('insert into t values (?)', [(i,)] * 100)\n"
                    "assert thing.execute('select count(*) from t').fetchone()[0] == before + 100\n"
                    "thing.execute('commit')\n"
                    "assert thing.execute('pragma integrity_check').fetchone() == ('ok',)"
                ),
            ),
        },
        own={"thing": "its set-up left a sqlite connection"},
        notes=NOTES,
    ),
    Case(
        "sqlite-in-memory",
        {
            "conftest.py": fixture(
                "it = sqlite3.connect(':memory:')\nit.execute('create table t (x)')",
                "it.close()",
                "import sqlite3",
            ),
            "test_a.py": parametrized("thing", "thing.execute('insert into t values (?)', (i,))"),
        },
        own={"thing": "its set-up left a sqlite connection"},
        notes=NOTES,
    ),
    Case(
        "shared-memory",
        {
            "conftest.py": fixture("it = mmap.mmap(-1, 4096)", "it.close()", "import mmap"),
            "test_a.py": parametrized(
                "thing",
                body(
                    "for turn in range(1000):\n    thing[0] = i\n"
                    "    assert thing[0] == i, 'another worker has written'"
                ),
            ),
        },
        own={"thing": "its set-up left shared memory that can be written to"},
        notes=NOTES,
    ),
]
