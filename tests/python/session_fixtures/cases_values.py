"""What session fixtures are made of: values, dependencies, order, what they leave in the process
and on the terminal.
"""

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
    assert (
        run.result.stdout.count("said by db's set-up")
        == run.serial.stdout.count("said by db's set-up")
        > 0
    )
    assert (
        run.result.stdout.count("logged by db's set-up")
        == run.serial.stdout.count("logged by db's set-up")
        > 0
    )


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
            """,  # noqa: E501
            "test_a.py": parametrized(
                "third, first", "assert (third, first) == ('third', 'first')"
            ),
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
            "test_a.py": "import os\n"
            + parametrized("tmp_path", "assert os.environ['SETTING'] == 'tests'"),
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
                (
                    "assert (data / 'numbers').read_text() == '1 2 3' and 'popen-gw' not in "
                    "str(data) and tmp_path.is_dir()"
                ),
            ),
        },
        shared=("data",),
        notes=("up data", "down data"),
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
            "test_a.py": parametrized(
                "cart", "n = len(cart); cart.append(i); assert len(cart) == n + 1"
            ),
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
            """,  # noqa: E501
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
                (
                    "import placed; assert os.getcwd() == place == os.environ['PLACE'] == "
                    "sys.place == os.path.dirname(placed.where)"
                ),
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
