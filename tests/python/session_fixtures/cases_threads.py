"""Threads: a fork has none of them, and what waits for one waits for ever."""

from __future__ import annotations

from cases_hazards import NOTES, body, fixture
from grid import Case, parametrized

THREAD = "its set-up started a thread"

CASES = [
    Case(
        "thread-pool",
        {
            "conftest.py": fixture(
                "it = ThreadPoolExecutor(2, thread_name_prefix='pool')\nit.submit(int).result()",
                "it.shutdown()",
                "from concurrent.futures import ThreadPoolExecutor",
            ),
            "test_a.py": parametrized("thing", "assert thing.submit(int, i).result() == i"),
        },
        own={"thing": f"{THREAD}: pool_0"},
        notes=NOTES,
    ),
    Case(
        "thread-pool-not-begun",
        {
            "conftest.py": fixture(
                "it = ThreadPoolExecutor(2)",
                "it.shutdown()",
                "from concurrent.futures import ThreadPoolExecutor",
            ),
            "test_a.py": parametrized("thing", "assert thing.submit(int, i).result() == i"),
        },
        shared=("thing",),
        notes=NOTES,
    ),
    Case(
        "thread-that-outlives-its-finalizer",
        {
            "conftest.py": fixture(
                "it = queue.SimpleQueue()\n"
                "def serve():\n    while True:\n        it.get()()\n"
                "threading.Thread(target=serve, name='server', daemon=True).start()",
                imports="import queue, threading",
            ),
            "test_a.py": "import threading\n"
            + parametrized(
                "thing", "done = threading.Event(); thing.put(done.set); assert done.wait(120)"
            ),
        },
        own={"thing": f"{THREAD}: server"},
        notes=NOTES,
    ),
    Case(
        "thread-of-a-dependency",
        {
            "conftest.py": """
            import queue, threading
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def plain():
                note("up plain")
                yield 1
                note("down plain")

            @pytest.fixture(scope="session")
            def thing(plain):
                note("up thing")
                calls = queue.SimpleQueue()
                def serve():
                    while (call := calls.get()) is not None:
                        call()
                thread = threading.Thread(target=serve, name="server")
                thread.start()
                yield calls
                calls.put(None)
                thread.join()
                note("down thing")

            @pytest.fixture(scope="session")
            def above(thing):
                note("up above")
                yield thing
                note("down above")

            @pytest.fixture(scope="session")
            def beside():
                note("up beside")
                yield 1
                note("down beside")
            """,
            "test_a.py": "import threading\n"
            + parametrized(
                "above, beside",
                "done = threading.Event(); above.put(done.set); assert done.wait(120)",
            ),
        },
        shared=("plain", "beside"),
        own={"thing": f"{THREAD}: server", "above": "requests thing"},
        notes=(
            "up plain",
            "up thing",
            "up above",
            "up beside",
            "down beside",
            "down above",
            "down thing",
            "down plain",
        ),
    ),
    Case(
        "timer-thread",
        {
            "conftest.py": fixture(
                "it = threading.Event()\ntimer = threading.Timer(3600, it.set)\ntimer.start()",
                "timer.cancel()\ntimer.join()",
                "import threading",
            ),
            "test_a.py": parametrized("thing", "assert not thing.is_set()"),
        },
        own={"thing": f"{THREAD}: Thread-1"},
        notes=NOTES,
    ),
    Case(
        "http-server-in-a-thread",
        {
            "conftest.py": fixture(
                "it = ThreadingHTTPServer(('127.0.0.1', 0), Handler)\n"
                "thread = threading.Thread(target=it.serve_forever, name='http')\nthread.start()",
                "it.shutdown()\nthread.join()\nit.server_close()",
                (
                    "import threading\nfrom http.server import BaseHTTPRequestHandler, "
                    "ThreadingHTTPServer"
                ),
                "class Handler(BaseHTTPRequestHandler):\n"
                "    def do_GET(self):\n"
                "        self.send_response(200)\n        self.end_headers()\n"
                "        self.wfile.write(str(os.getpid()).encode())\n"
                "    def log_message(self, *args):\n        pass\n",
            ),
            "test_a.py": "import os, urllib.request\n"
            + parametrized(
                "thing",
                (
                    "url = f'http://127.0.0.1:{thing.server_port}/'; assert "
                    "urllib.request.urlopen(url).read() == str(os.getpid()).encode()"
                ),
            ),
        },
        own={"thing": f"{THREAD}: http"},
        notes=NOTES,
    ),
    Case(
        "multiprocessing-queue",
        {
            "conftest.py": fixture(
                "it = multiprocessing.get_context('fork').Queue()\nit.put(0)\nassert it.get() == 0",
                "it.close()\nit.join_thread()",
                "import multiprocessing",
            ),
            "test_a.py": parametrized(
                "thing", body("thing.put(i)\nassert thing.get(timeout=120) == i")
            ),
        },
        own={"thing": f"{THREAD}: QueueFeederThread"},
        notes=NOTES,
    ),
    Case(
        "multiprocessing-pool",
        {
            "conftest.py": fixture(
                "it = multiprocessing.get_context('fork').Pool(1)",
                "it.terminate()\nit.join()",
                "import multiprocessing",
            ),
            "test_a.py": parametrized("thing", "assert thing.apply_async(int, (i,)).get(120) == i"),
        },
        own={"thing": f"{THREAD}: Thread-1 (_handle_workers)"},
        notes=NOTES,
    ),
]
