"""What a test, a fixture or a conftest puts in the place of the standard library's functions
reaches pytest and the project, never rpytest itself.
"""

from __future__ import annotations

import pytest

from support.harness import Project, Result

#: Puts a function in the place of every function of these modules and of the builtins: called by
#: code of rpytest it fails, called by anybody else it is the function. Written for a fixture of
#: each scope.
_FAKES = """
    import builtins, functools, importlib, os, sys, types

    MODULES = (
        "array", "builtins", "contextlib", "copy", "faulthandler", "io", "json", "logging", "marshal", "os", "pickle",
        "select", "signal", "socket", "struct", "tempfile", "threading", "time", "traceback", "uuid", "weakref",
    )
    KINDS = (types.FunctionType, types.BuiltinFunctionType)
    # Who asks for the frame is not the one that was called; the import of a module is everybody's.
    EXCEPT = {"builtins.__build_class__", "builtins.__import__", "builtins.globals", "builtins.locals"}
    # pytest's, or a daemon's of the project, may be replaced by gevent: what is called there says so itself.
    EXCEPT |= {"os.fork", "threading._shutdown"}
    frame, fsdecode = sys._getframe, os.fsdecode

    def fake(name, real):
        @functools.wraps(real)
        def function(*args, **kwargs):
            caller = frame(1).f_globals.get("__name__", "")
            if caller.split(".")[0] == "rpytest":
                os_write(2, f"rpytest called the fake of {name} in {caller}, line {frame(1).f_lineno}\\n".encode())
                raise AssertionError(f"the fake of {name} was called by {caller}")
            return real(*args, **kwargs)
        return function

    os_write = os.write

    def replace():
        replaced = []
        for name in MODULES:
            place = vars(importlib.import_module(name))
            for attribute, real in list(place.items()):
                known = f"{name}.{attribute}"
                if isinstance(real, KINDS) and known not in EXCEPT and attribute != "_getframe":
                    replaced.append((place, attribute, real))
                    place[attribute] = fake(known, real)
        assert len(replaced) > 500
        return replaced

    def put_back(replaced):
        for place, attribute, real in replaced:
            place[attribute] = real
"""  # noqa: E501

_TESTS = """
    import logging, sys, warnings
    import pytest

    def test_passes():
        print("said")
        logging.getLogger("x").warning("logged")
        warnings.warn("warned")

    def test_fails(record_property):
        record_property("one", 1)
        print("said", file=sys.stderr)
        assert [1, 2] == [1, 3]

    def test_skips(tmp_path):
        pytest.skip("why")

    @pytest.mark.xfail(reason="because")
    def test_xfails():
        raise ValueError

    @pytest.mark.parametrize("number", range(6))
    def test_many(number): pass

    @pytest.fixture
    def breaks():
        yield
        raise ValueError("in the teardown")

    def test_breaks(breaks): pass
"""


def _called(result: Result) -> list[str]:
    return [
        line
        for line in (result.stdout + result.stderr).splitlines()
        if line.startswith("rpytest called")
    ]


def _project(project: Project, scope: str, is_bare: bool) -> None:
    project.write(
        fakes=_FAKES,
        conftest=f"""
            import os, pytest, fakes

            # Who asks for this gets workers that collect for themselves.
            _ = {is_bare} and os.environ.get("PYTEST_XDIST_WORKER")

            @pytest.fixture(scope={scope!r}, autouse=True)
            def faked():
                replaced = fakes.replace()
                yield
                fakes.put_back(replaced)
        """,
        test_a=_TESTS,
        test_b=(
            "import pytest\n@pytest.mark.parametrize('number', range(6))\n"
            "def test_b(number): pass\n"
        ),
    )


@pytest.mark.parametrize("is_bare", [False, True], ids=["collected", "bare"])
@pytest.mark.parametrize("scope", ["function", "module", "session"])
def test_no_code_of_ours_calls_what_a_fixture_has_replaced(
    project: Project, scope: str, is_bare: bool
) -> None:
    _project(project, scope, is_bare)
    for _ in range(2):
        result = project.compare("-rA", n=2)
        assert _called(result) == []
        assert result.status == 1


@pytest.mark.parametrize("n", [1, 2])
def test_what_is_never_put_back(project: Project, n: int) -> None:
    """A test leaves its fakes behind, and its worker goes on to its end."""
    project.write(
        fakes=_FAKES, test_a="import fakes\ndef test_first(): fakes.replace()\n", test_b=_TESTS
    )
    for _ in range(2):
        result = project.compare(n=n)
        assert _called(result) == []


#: Under these fakes plain pytest reports its tests as ever.
_SURVIVED = [
    "builtins.all",
    "builtins.open",
    "builtins.sorted",
    "builtins.sum",
    "copy.copy",
    "copy.deepcopy",
    "io.open",
    "json.dumps",
    "json.loads",
    "marshal.dumps",
    "marshal.loads",
    "os._exit",
    "os.close",
    "os.fork",
    "os.ftruncate",
    "os.getpid",
    "os.getppid",
    "os.kill",
    "os.listdir",
    "os.pread",
    "os.read",
    "os.waitpid",
    "os.write",
    "pickle.dumps",
    "select.poll",
    "signal.getsignal",
    "signal.signal",
    "socket.socket",
    "socket.socketpair",
    "struct.pack",
    "struct.unpack",
    "tempfile.mkdtemp",
    "threading.Thread",
    "time.monotonic",
    "time.perf_counter",
    "time.sleep",
    "time.time",
    "traceback.format_exception",
    "weakref.ref",
]


@pytest.mark.parametrize("scope", ["function", "module"])
def test_each_test_has_a_fake_that_raises(project: Project, scope: str) -> None:
    """From the set-up to the teardown; a module's is there while its tests are recorded, too."""
    body = """
        import builtins, copy, io, json, marshal, os, pickle, select, signal, socket, struct, sys, tempfile
        import threading, time, traceback, weakref
        import pytest

        def fake(*args, **kwargs):
            raise AssertionError("a fake was called")

        @pytest.fixture(params={names!r}, scope={scope!r}, autouse=True)
        def faked(request):
            module, _, attribute = request.param.partition(".")
            place = vars(sys.modules[module])
            real, place[attribute] = place[attribute], fake
            yield
            place[attribute] = real

        def test_passes(): pass
        def test_skips(): pytest.skip("why")
        @pytest.mark.xfail(reason="because")
        def test_xfails(): raise ValueError(1)
        @pytest.mark.xfail
        def test_xpasses(): pass
        def test_exits(): raise SystemExit(1)
    """  # noqa: E501
    project.write(test_a=body.format(names=_SURVIVED, scope=scope))
    result = project.compare("-p", "no:logging", n=2)
    assert len(result.outcomes) == 5 * len(_SURVIVED)
    assert set(result.outcomes.values()) == {"passed", "skipped", "failed", "xfailed"}
