"""Whatever goes wrong: the exit status is pytest's, and never 0 when something has failed, died or
got lost.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from _pytest import hookspec

from support.harness import Project, Result

HOOKS = sorted(
    name
    for name, _ in inspect.getmembers(hookspec, inspect.isfunction)
    if name.startswith("pytest_")
)

#: All hooks that can be called without a failure are; every test passes.
GREEN = {
    "test_a.py": """
        import warnings
        import pytest

        class Thing: pass

        @pytest.fixture(params=[1])
        def number(request): yield request.param

        @pytest.mark.parametrize("thing", [Thing()])
        def test_1(number, thing): warnings.warn("recorded")

        @pytest.mark.xfail(strict=True)
        def test_2(): assert [1, 2] == [1, 3]

        class TestGroup:
            @pytest.mark.skipif("False")
            def test_3(self): assert 1 == 1
        """,
    "data.txt": "",
    "folder/test_b.py": "def test_4(): pass\ndef test_6(): assert 0",
    "pytest.ini": (
        "[pytest]\nenable_assertion_pass_hook = true\n"
        "addopts = --deselect folder/test_b.py::test_6\n"
    ),
}
RED = {**GREEN, "test_c.py": "def test_5(): assert 0"}
#: Called by nothing in these projects.
NEVER_CALLED = {
    "pytest_addhooks",
    "pytest_cmdline_parse",
    "pytest_enter_pdb",
    "pytest_leave_pdb",
    "pytest_load_initial_conftests",
}
#: Nothing is serialized in one process; in workers they are called, as under pytest-xdist.
SERIALIZING = {"pytest_report_to_serializable", "pytest_report_from_serializable"}

RUNS = {
    "raise": "raise LookupError('kaboom')",
    "sys.exit": "sys.exit(0)",
    "os._exit": "os._exit(0)",
    "pytest.exit": "pytest.exit('enough')",
}


def _conftest(hook: str, action: str, witness: Path) -> str:
    return (
        f"import os, sys, pytest\ndef {hook}():\n    open({str(witness)!r}, 'w').close()\n"
        f"    {action}\n"
    )


def test_hooks_are_enumerated() -> None:
    assert len(HOOKS) > 50
    assert set(HOOKS) >= NEVER_CALLED


@pytest.mark.parametrize("hook", HOOKS)
def test_exception_in_a_hook(shared_project: Project, folder: Path, hook: str) -> None:
    """All tests pass, but a hook of the conftest raises: pytest's exit status, cold and warm."""
    witness = shared_project.scratch / folder.name
    shared_project.fill(folder, {**GREEN, "conftest.py": _conftest(hook, RUNS["raise"], witness)})
    expected = shared_project.pytest(junit=False, cwd=folder)
    called = witness.exists()
    # Of a failure that did not happen, and of other programs.
    assert called or hook in NEVER_CALLED | SERIALIZING | {
        "pytest_exception_interact",
        "pytest_internalerror",
        "pytest_keyboard_interrupt",
    }, expected
    for _ in range(2):
        result = shared_project.rpytest("-n2", junit=False, cwd=folder)
        assert result.status == (3 if hook in SERIALIZING else expected.status), (
            f"{result}\n{expected}"
        )
        if expected.status:
            assert "kaboom" in result.stdout + result.stderr, result
        assert "panicked" not in result.stderr, result


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("action", ["sys.exit", "os._exit", "pytest.exit"])
def test_ending_in_a_hook(shared_project: Project, folder: Path, hook: str, action: str) -> None:
    """A test fails, and a hook of the conftest ends the process that it is called in, with success
    where it can.
    """
    witness = shared_project.scratch / folder.name
    shared_project.fill(folder, {**RED, "conftest.py": _conftest(hook, RUNS[action], witness)})
    result = shared_project.rpytest("-n2", junit=False, cwd=folder)
    assert result.status not in (0, 5), result
    assert "panicked" not in result.stderr, result


@pytest.mark.parametrize(
    "hook", ["pytest_sessionfinish", "pytest_terminal_summary", "pytest_unconfigure"]
)
@pytest.mark.parametrize("action", ["sys.exit", "os._exit"])
def test_ending_in_a_hook_of_one_process(
    shared_project: Project, folder: Path, hook: str, action: str
) -> None:
    """As above with `-n0`, where pytest itself runs."""
    files = {
        "test_a.py": "def test_1(): assert 0",
        "conftest.py": f"import os, sys\ndef {hook}(): {RUNS[action]}\n",
    }
    shared_project.fill(folder, files)
    result = shared_project.rpytest("-n0", junit=False, cwd=folder)
    assert result.status not in (0, 5), result


@pytest.mark.parametrize("method", ["collected", "bare"])
def test_interrupt_in_the_header(shared_project: Project, folder: Path, method: str) -> None:
    """The controller has told that it is there when it ends."""
    files = {
        "test_a.py": "def test_1(): pass",
        "conftest.py": "def pytest_report_header(): raise KeyboardInterrupt",
    }
    shared_project.fill(folder, files)
    assert shared_project.pytest(junit=False, cwd=folder).status == 2
    result = shared_project.rpytest("-n2", "--start-method", method, junit=False, cwd=folder)
    assert result.status == 2, result
    assert "KeyboardInterrupt" in result.stdout, result


#: What happens → files; the other tests pass.
DISASTERS = {
    "os._exit(0) in a test": {"test_x.py": "import os\ndef test_x(): os._exit(0)"},
    "os._exit(0) in a fixture": {
        "test_x.py": "import os, pytest\n@pytest.fixture\ndef f(): os._exit(0)\ndef test_x(f): pass"
    },
    "os._exit(0) in a finalizer": {
        "test_x.py": (
            "import os, pytest\n@pytest.fixture(scope='session')\ndef f():\n    yield\n"
            "    os._exit(0)\ndef test_x(f): pass"
        )
    },
    "os._exit(0) at import": {"test_x.py": "import os\nos._exit(0)"},
    "os._exit(0) in conftest": {"conftest.py": "import os\nos._exit(0)"},
    "os._exit(0) at the end": {
        "test_x.py": "import atexit, os\ndef test_x(): atexit.register(os._exit, 0); assert 0"
    },
    "os._exit(0) in a thread": {
        "test_x.py": (
            "import os, threading, time\ndef test_x():\n"
            "    threading.Timer(0.1, os._exit, [0]).start()\n    time.sleep(60)"
        )
    },
    "SIGSEGV in a test": {
        "test_x.py": "import os, signal\ndef test_x(): os.kill(os.getpid(), signal.SIGSEGV)"
    },
    "SIGSEGV at import": {"test_x.py": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"},
    "SIGKILL in a test": {
        "test_x.py": "import os, signal\ndef test_x(): os.kill(os.getpid(), signal.SIGKILL)"
    },
    "SIGKILL in conftest": {
        "conftest.py": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    },
    "SIGTERM in a test": {
        "test_x.py": "import os, signal\ndef test_x(): os.kill(os.getpid(), signal.SIGTERM)"
    },
    "sys.exit(0) in a test": {"test_x.py": "import sys\ndef test_x(): sys.exit(0)"},
    "sys.exit(0) in a fixture": {
        "test_x.py": (
            "import sys, pytest\n@pytest.fixture\ndef f(): sys.exit(0)\ndef test_x(f): pass"
        )
    },
    "sys.exit(0) in a finalizer": {
        "test_x.py": (
            "import sys, pytest\n@pytest.fixture(scope='session')\ndef f():\n    yield\n"
            "    sys.exit(0)\ndef test_x(f): pass"
        )
    },
    "sys.exit(0) at import": {"test_x.py": "import sys\nsys.exit(0)"},
    "sys.exit(0) in conftest": {"conftest.py": "import sys\nsys.exit(0)"},
    "sys.exit(0) in a folder's conftest": {"folder/conftest.py": "import sys\nsys.exit(0)"},
    "sys.exit(0) in a plugin": {
        "plug.py": "import sys\nsys.exit(0)",
        "pytest.ini": "[pytest]\naddopts = -p plug\n",
    },
    "syntax error in a test": {"test_x.py": "def test_x(:"},
    "syntax error in conftest": {"conftest.py": "def x(:"},
    "import error in a test": {"test_x.py": "import nothing_such"},
    "import error in conftest": {"conftest.py": "import nothing_such"},
    "import error in a plugin": {"pytest.ini": "[pytest]\naddopts = -p nothing_such\n"},
    "recursion without end": {"test_x.py": "def f(): return f()\ndef test_x(): f()"},
    "an exception of its own kind": {
        "test_x.py": "class Odd(BaseException): pass\ndef test_x(): raise Odd"
    },
    "KeyboardInterrupt in a test": {"test_x.py": "def test_x(): raise KeyboardInterrupt"},
    "GeneratorExit in a test": {"test_x.py": "def test_x(): raise GeneratorExit"},
    "all streams closed": {
        "test_x.py": (
            "import os\ndef test_x():\n    for fd in range(3, 256):\n"
            "        try: os.close(fd)\n        except OSError: pass\n    assert 0"
        )
    },
    "os._exit(0) in a function's finalizer": {
        "test_x.py": (
            "import os, pytest\n@pytest.fixture\ndef f():\n    yield\n    os._exit(0)\n"
            "def test_x(f): pass"
        )
    },
    "os._exit(0) in tearDownClass": {
        "test_x.py": (
            "import os, unittest\nclass Test(unittest.TestCase):\n"
            "    tearDownClass = classmethod(lambda cls: os._exit(0))\n"
            "    def test_x(self): pass"
        )
    },
    "os._exit(0) in a destructor": {
        "test_x.py": (
            "import os\nclass Thing:\n    def __del__(self): os._exit(0)\ndef test_x(): Thing()"
        )
    },
    "another program in a test": {
        "test_x.py": "import os\ndef test_x(): os.execv('/bin/true', ['true'])"
    },
    "another program at import": {"test_x.py": "import os\nos.execv('/bin/true', ['true'])"},
    "a child that goes on when its parent has ended": {
        "test_x.py": "import os\ndef test_x():\n    if os.fork(): os._exit(0)"
    },
    "SIGALRM in a test": {
        "test_x.py": (
            "import signal, time\ndef test_x():\n    signal.setitimer(signal.ITIMER_REAL, "
            "0.1)\n    time.sleep(60)"
        )
    },
    "SIGKILL of the process above a worker": {
        "test_x.py": (
            "import os, signal, time\ndef test_x():\n"
            "    os.kill(os.getppid(), signal.SIGKILL)\n    time.sleep(60)"
        )
    },
    "sys.exit(0) in the ids of parameters": {
        "test_x.py": (
            "import pytest, sys\n@pytest.mark.parametrize('i', [1], ids=lambda i: "
            "sys.exit(0))\ndef test_x(i): pass"
        )
    },
    "os._exit(0) in a thread of conftest": {
        "conftest.py": "import os, threading\nthreading.Timer(0.3, os._exit, [0]).start()\n",
        "test_x.py": "import time\ndef test_x(): time.sleep(30)",
    },
    "os._exit(0) in a thread of a session fixture": {
        "conftest.py": """
            import os, pytest, threading
            @pytest.fixture(scope="session", autouse=True)
            def started(): threading.Timer(0.3, os._exit, [0]).start()
            """,
        "test_x.py": "import time\ndef test_x(): time.sleep(30)",
    },
    "os._exit(0) at the end of a process that imported": {
        "conftest.py": "import atexit, os\natexit.register(os._exit, 0)\n",
        "test_x.py": "def test_x(): assert 0",
    },
    "no memory in a test": {
        "test_x.py": (
            "import resource\ndef test_x():\n    resource.setrlimit(resource.RLIMIT_AS, (100 "
            "<< 20,) * 2)\n    bytearray(1 << 30)"
        )
    },
    "no memory in any test": {
        "conftest.py": (
            "import resource\ndef pytest_runtest_setup(): "
            "resource.setrlimit(resource.RLIMIT_AS, (1 << 20,) * 2)"
        ),
        "test_x.py": "def test_x(): bytearray(1 << 30)",
    },
    "no time in a test": {
        "test_x.py": (
            "import resource\ndef test_x():\n    resource.setrlimit(resource.RLIMIT_CPU, (1, "
            "1))\n    while True: pass"
        )
    },
    "no files in a test": {
        "test_x.py": (
            "import resource\ndef test_x():\n    resource.setrlimit(resource.RLIMIT_NOFILE, "
            "(4, 4))\n    assert 0"
        )
    },
    "SIGTERM of the process group in a test": {
        "test_x.py": "import os, signal\ndef test_x(): os.killpg(0, signal.SIGTERM)"
    },
    "a result that never arrives": {
        "conftest.py": (
            "def pytest_runtest_logreport(report):\n    import rpytest.worker.worker\n"
            "    rpytest.worker.worker.Worker._commit = lambda worker: None\n"
        )
    },
    "a worker killed while it runs no test": {
        "conftest.py": """
            import os, time
            def pytest_sessionfinish(session):
                if "PYTEST_XDIST_WORKER" in os.environ and "test_x.py" not in os.environ.get("LAST", ""):
                    with open("victim.new", "w") as file: file.write(str(os.getpid()))
                    os.rename("victim.new", "victim")
                    time.sleep(600)
            def pytest_runtest_setup(item): os.environ["LAST"] = item.nodeid
            """,  # noqa: E501
        "test_x.py": """
            import os, signal, time
            def test_x():
                while not os.path.exists("victim"): time.sleep(0.01)
                with open("victim") as file: os.kill(int(file.read()), signal.SIGKILL)
            """,
    },
}


@pytest.mark.parametrize("method", ["collected", "bare"])
@pytest.mark.parametrize("disaster", DISASTERS)
def test_disaster(shared_project: Project, folder: Path, disaster: str, method: str) -> None:
    """Neither success nor "no tests", and what ended badly is said."""
    files = {
        "test_a.py": "def test_1(): pass\ndef test_2(): pass",
        "folder/test_b.py": "def test_3(): pass",
    }
    shared_project.fill(folder, {**files, **DISASTERS[disaster]})
    result = shared_project.rpytest("-n2", "--start-method", method, junit=False, cwd=folder)
    assert result.status not in (0, 5), result
    assert _says_why(result), result
    assert "panicked" not in result.stderr, result


def _says_why(result: Result) -> bool:
    words = ("rror", "FAILED", "crashed", "nterrupt", "did not run", "ended", "SystemExit")
    return any(word in result.stdout + result.stderr for word in words)


def test_os_exit_is_replaced(shared_project: Project, folder: Path) -> None:
    """Code that ends processes is tested with another `os._exit`, which may stay: ours still
    end.
    """
    files = {
        "conftest.py": "import os\nos._exit = lambda status=0: None\n",
        "test_a.py": (
            "import os\ndef test_1(): os._exit(0)\ndef test_2(): pass\ndef test_3(): assert 0"
        ),
    }
    shared_project.fill(folder, files)
    expected = shared_project.pytest(junit=False, cwd=folder)
    for method in ("collected", "collected", "bare"):
        result = shared_project.rpytest("-n2", "--start-method", method, junit=False, cwd=folder)
        assert (result.status, result.counts) == (expected.status, expected.counts), result
