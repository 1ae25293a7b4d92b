"""What session fixtures are made of: values, dependencies, scopes, parameters, overriding."""

from __future__ import annotations

from grid import Case, Run, parametrized

#: A fixture `db` with everything that a note can tell.
DB = """
import pytest
from notes import note

@pytest.fixture(scope="session")
def db():
    note("up db")
    yield {"rows": []}
    note("down db")
"""


def shows_its_output_once(run: Run) -> None:
    assert run.result.stdout.count("said by db's set-up") == run.serial.stdout.count("said by db's set-up") > 0
    assert run.result.stdout.count("logged by db's set-up") == run.serial.stdout.count("logged by db's set-up") > 0


def warns_once(run: Run) -> None:
    assert run.result.stdout.count("UserWarning: db is old") == 1


CASES = [
    Case(
        "plain-value",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def answer():
                note("up answer")
                return {"answer": 42}
            """,
            "test_a.py": parametrized("answer", "assert answer == {'answer': 42}"),
        },
        shared=("answer",),
        notes=("up answer",),
    ),
    Case(
        "yield",
        {"conftest.py": DB, "test_a.py": parametrized("db", "assert db == {'rows': []}")},
        shared=("db",),
        notes=("up db", "down db"),
    ),
    Case(
        "value-that-can-not-be-pickled",
        {
            "conftest.py": """
            import threading, types
            import pytest

            @pytest.fixture(scope="session")
            def odd():
                class Local:
                    lock = threading.RLock()
                    call = lambda self, x: x + 1
                    module = types.ModuleType("made")
                    numbers = (i for i in range(3))
                return Local()
            """,
            "test_a.py": parametrized(
                "odd", "with odd.lock: assert odd.call(1) == 2 and odd.module.__name__ == 'made'"
            ),
        },
        shared=("odd",),
    ),
    Case(
        "dependencies",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def c(b):
                note(f"up c of {b}")
                yield "c" + b
                note("down c")

            @pytest.fixture(scope="session")
            def b(a):
                note(f"up b of {a}")
                yield "b" + a
                note("down b")

            @pytest.fixture(scope="session")
            def a():
                note("up a")
                yield "a"
                note("down a")
            """,
            "test_a.py": parametrized("c", "assert c == 'cba'"),
        },
        shared=("a", "b", "c"),
        notes=("up a", "up b of a", "up c of ba", "down c", "down b", "down a"),
    ),
    Case(
        "order-of-requests",
        {
            "conftest.py": """
            import pytest
            from notes import note

            def made(name, **options):
                @pytest.fixture(scope="session", name=name, **options)
                def fixture():
                    note(f"up {name}")
                    yield name
                    note(f"down {name}")
                return fixture

            first, second, third, always = made("first"), made("second"), made("third"), made("always", autouse=True)
            """,
            "test_a.py": parametrized("third, first", "assert (third, first) == ('third', 'first')"),
            "test_b.py": parametrized("second"),
        },
        shared=("always", "third", "first", "second"),
        notes=(
            "up always",
            "up third",
            "up first",
            "up second",
            "down second",
            "down first",
            "down third",
            "down always",
        ),
    ),
    Case(
        "autouse",
        {
            "conftest.py": """
            import os
            import pytest
            from notes import note

            @pytest.fixture(scope="session", autouse=True)
            def settings():
                note("up settings")
                os.environ["SETTING"] = "tests"
                yield
                note(f"down settings of {os.environ.pop('SETTING')}")
            """,
            "test_a.py": "import os\n" + parametrized("tmp_path", "assert os.environ['SETTING'] == 'tests'"),
        },
        shared=("settings",),
        notes=("up settings", "down settings of tests"),
    ),
    Case(
        "autouse-of-a-module",
        {
            "test_a.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session", autouse=True)
            def here():
                note("up here")
                yield
                note("down here")

            @pytest.mark.parametrize("i", range(8))
            def test_1(i):
                pass
            """,
            "test_b.py": parametrized("tmp_path"),
        },
        shared=("here",),
        notes=("up here", "down here"),
    ),
    Case(
        "used-by-marks",
        {
            "conftest.py": DB,
            "test_a.py": "import pytest\npytestmark = pytest.mark.usefixtures('db')\n" + parametrized("tmp_path"),
            "test_b.py": "import pytest\n@pytest.mark.usefixtures('db')\nclass TestB:\n    def test_1(self): pass\n",
        },
        shared=("db",),
        notes=("up db", "down db"),
    ),
    Case(
        "scope-by-a-function",
        {
            "conftest.py": """
            import pytest
            from notes import note

            def scope(fixture_name, config):
                return "session"

            @pytest.fixture(scope=scope)
            def db():
                note("up db")
                yield
                note("down db")
            """,
            "test_a.py": parametrized("db"),
        },
        shared=("db",),
        notes=("up db", "down db"),
    ),
    Case(
        "fixture-of-a-class",
        {
            "test_a.py": """
            import pytest
            from notes import note

            class TestA:
                @pytest.fixture(scope="session")
                def db(self):
                    note(f"up db {type(self).__name__}")
                    yield 1
                    note("down db")

                @pytest.mark.parametrize("i", range(16))
                def test_1(self, db, i):
                    assert db == 1
            """,
        },
        shared=("db",),
        notes=("up db TestA", "down db"),
    ),
    Case(
        "one-live-parameter",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session", params=["sqlite"])
            def engine(request):
                note(f"up engine {request.param}")
                yield request.param
                note("down engine")
            """,
            "test_a.py": parametrized("engine", "assert engine == 'sqlite'"),
        },
        shared=("engine",),
        notes=("up engine sqlite", "down engine"),
    ),
    Case(
        "one-selected-parameter",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session", params=["sqlite", "postgres", "oracle"])
            def engine(request):
                note(f"up engine {request.param}")
                yield request.param
                note("down engine")
            """,
            "test_a.py": parametrized("engine", "assert engine == 'postgres'"),
        },
        args=("-k", "postgres"),
        shared=("engine",),
        notes=("up engine postgres", "down engine"),
    ),
    Case(
        "several-live-parameters",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session", params=["sqlite", "postgres"])
            def engine(request):
                note(f"up engine {request.param}")
                yield request.param
                note("down engine")

            @pytest.fixture(scope="session")
            def config():
                note("up config")
                yield 1
                note("down config")
            """,
            "test_a.py": parametrized("engine, config", "assert engine in ('sqlite', 'postgres')", count=8),
        },
        shared=("config",),
        own={"engine": "parametrized"},
        times=2,
        notes=("up engine sqlite", "up config", "down engine", "up engine postgres", "down engine", "down config"),
    ),
    Case(
        "indirect-one",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def server(request):
                note(f"up server {request.param}")
                yield request.param
                note("down server")
            """,
            "test_a.py": """
            import pytest

            @pytest.mark.parametrize("server", ["small"], indirect=True)
            @pytest.mark.parametrize("i", range(16))
            def test_1(server, i):
                assert server == "small"
            """,
        },
        shared=("server",),
        notes=("up server small", "down server"),
    ),
    Case(
        "addfinalizer",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def db(request):
                note("up db")
                request.addfinalizer(lambda: note("down db first"))
                request.addfinalizer(lambda: note("down db last"))
                return 1
            """,
            "test_a.py": parametrized("db", "assert db == 1"),
        },
        shared=("db",),
        notes=("up db", "down db last", "down db first"),
    ),
    Case(
        "tmp-path-factory",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def data(tmp_path_factory):
                note("up data")
                folder = tmp_path_factory.mktemp("data")
                (folder / "numbers").write_text("1 2 3")
                yield folder
                assert (folder / "numbers").read_text() == "1 2 3"
                note("down data")
            """,
            "test_a.py": parametrized(
                "data, tmp_path",
                "assert (data / 'numbers').read_text() == '1 2 3' and 'popen-gw' not in str(data) and tmp_path.is_dir()",
            ),
        },
        shared=("data",),
        notes=("up data", "down data"),
    ),
    Case(
        "at-run-time",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def late():
                note("up late")
                yield "late"
                note("down late")
            """,
            "test_a.py": parametrized("request", "assert request.getfixturevalue('late') == 'late'"),
        },
        own={"late": None},
        notes=("up late", "down late"),
    ),
    Case(
        "at-run-time-what-is-there",
        {
            "conftest.py": DB,
            "test_a.py": "def test_static(db): pass\n"
            + parametrized("request", "assert request.getfixturevalue('db') == {'rows': []}"),
        },
        shared=("db",),
        notes=("up db", "down db"),
    ),
    Case(
        "at-run-time-by-a-shared-one",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def inner():
                note("up inner")
                yield "inner"
                note("down inner")

            @pytest.fixture(scope="session")
            def outer(request):
                value = request.getfixturevalue("inner")
                note("up outer")
                yield value
                note("down outer")
            """,
            "test_a.py": parametrized("outer", "assert outer == 'inner'"),
        },
        shared=("inner", "outer"),
        notes=("up inner", "up outer", "down outer", "down inner"),
    ),
    Case(
        "every-scope-requests-it",
        {
            "conftest.py": DB,
            "pkg/__init__.py": "",
            "pkg/conftest.py": """
            import pytest

            @pytest.fixture(scope="package")
            def by_package(db):
                yield db
            """,
            **{
                f"pkg/test_{name}.py": """
                import pytest

                @pytest.fixture(scope="module")
                def by_module(db, by_package):
                    yield db

                @pytest.fixture(scope="class")
                def by_class(db, by_module):
                    yield db

                @pytest.fixture
                def by_function(db, by_class):
                    yield db

                @pytest.mark.parametrize("i", range(8))
                def test_1(by_package, by_module, by_class, by_function, i):
                    assert by_package is by_module is by_class is by_function
                """
                for name in "ab"
            },
        },
        shared=("db",),
        notes=("up db", "down db"),
    ),
    Case(
        "unittest",
        {
            "conftest.py": DB,
            "test_a.py": """
            import unittest
            import pytest

            @pytest.mark.usefixtures("db")
            class TestUsing(unittest.TestCase):
                def test_1(self): pass
                def test_2(self): pass

            class TestGetting(unittest.TestCase):
                @pytest.fixture(autouse=True)
                def get(self, db):
                    self.db = db

                def test_1(self): self.assertEqual(self.db, {"rows": []})
                def test_2(self): self.assertEqual(self.db, {"rows": []})
            """,
        },
        shared=("db",),
        notes=("up db", "down db"),
    ),
    Case(
        "deselected",
        {"conftest.py": DB, "test_a.py": parametrized("db"), "test_b.py": parametrized("tmp_path")},
        args=("-k", "test_b"),
    ),
    Case(
        "statically-skipped",
        {
            "conftest.py": DB,
            "test_a.py": """
            import pytest

            @pytest.mark.skip
            def test_1(db): pass

            @pytest.mark.skipif(True, reason="always")
            def test_2(db): pass
            """,
            "test_b.py": parametrized("tmp_path"),
        },
    ),
    Case(
        "not-skipped-after-all",
        {
            "conftest.py": DB,
            "test_a.py": """
            import pytest

            @pytest.mark.skip
            def test_1(db): pass

            @pytest.mark.skipif(False, reason="never")
            def test_2(db): pass

            @pytest.mark.xfail(run=False, reason="hangs")
            def test_3(db): pass
            """,
        },
        shared=("db",),
        notes=("up db", "down db"),
    ),
    Case(
        "mutated",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def cart():
                note("up cart")
                yield []
                note("down cart")
            """,
            "test_a.py": parametrized("cart", "n = len(cart); cart.append(i); assert len(cart) == n + 1"),
        },
        shared=("cart",),
        notes=("up cart", "down cart"),
    ),
    Case(
        "output-and-log",
        {
            "conftest.py": """
            import logging
            import pytest

            @pytest.fixture(scope="session")
            def db():
                print("said by db's set-up")
                logging.getLogger().warning("logged by db's set-up")
                yield 1
                print("said by db's finalizer")
            """,
            "test_a.py": parametrized("db", "assert i"),
        },
        shared=("db",),
        check=shows_its_output_once,
    ),
    Case(
        "caplog",
        {
            "conftest.py": """
            import logging
            import pytest

            @pytest.fixture(scope="session")
            def db():
                logging.getLogger("db").warning("connected")
                return 1
            """,
            "test_a.py": """
            def test_1(caplog, db):
                assert [record.getMessage() for record in caplog.get_records("setup")] == ["connected"]
                assert caplog.messages == []

            def test_2(caplog, db):
                assert caplog.get_records("setup") == []
            """,
        },
        shared=("db",),
    ),
    Case(
        "warnings",
        {
            "conftest.py": """
            import warnings
            import pytest

            @pytest.fixture(scope="session")
            def db():
                warnings.warn("db is old")
                return 1
            """,
            "test_a.py": parametrized("db"),
        },
        shared=("db",),
        check=warns_once,
    ),
    Case(
        "warnings-as-errors",
        {
            "conftest.py": """
            import warnings
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def db():
                note("up db")
                warnings.warn("db is old")
            """,
            "test_a.py": parametrized("db"),
        },
        args=("-W", "error::UserWarning"),
        shared=("db",),
        notes=("up db",),
    ),
    Case(
        "state-of-the-process",
        {
            "conftest.py": """
            import os, sys
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def place(tmp_path_factory):
                note("up place")
                with pytest.MonkeyPatch.context() as patch:
                    patch.chdir(tmp_path_factory.mktemp("place"))
                    patch.setenv("PLACE", os.getcwd())
                    patch.setattr(sys, "place", os.getcwd(), raising=False)
                    patch.syspath_prepend(os.getcwd())
                    with open("placed.py", "w") as file:
                        file.write("where = __file__")
                    yield os.getcwd()
                assert not hasattr(sys, "place") and "PLACE" not in os.environ
                note("down place")
            """,
            "test_a.py": "import os, sys\n"
            + parametrized(
                "place",
                "import placed; assert os.getcwd() == place == os.environ['PLACE'] == sys.place == os.path.dirname(placed.where)",
            ),
        },
        shared=("place",),
        notes=("up place", "down place"),
    ),
    Case(
        "request-in-it",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def db(request):
                assert request.node is request.session and request.scope == "session"
                assert request.fixturename == "db" and request.config.rootpath.is_dir()
                note(f"up db for {len(request.session.items)}")
                yield request.session
                note("down db")
            """,
            "test_a.py": parametrized("db, request", "assert db is request.session"),
        },
        shared=("db",),
        notes=("up db for 16", "down db"),
    ),
]
