"""Who requests a session fixture, and how: parameters, scopes, marks, at run time, or nobody after
all.
"""

from __future__ import annotations

from cases_values import DB
from grid import Case, parametrized

CASES = [
    Case(
        "used-by-marks",
        {
            "conftest.py": DB,
            "test_a.py": "import pytest\npytestmark = pytest.mark.usefixtures('db')\n"
            + parametrized("tmp_path"),
            "test_b.py": (
                "import pytest\n@pytest.mark.usefixtures('db')\nclass TestB:\n"
                "    def test_1(self): pass\n"
            ),
        },
        shared=("db",),
        notes=("up db", "down db"),
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
            "test_a.py": parametrized(
                "engine, config", "assert engine in ('sqlite', 'postgres')", count=8
            ),
        },
        shared=("config",),
        own={"engine": "parametrized"},
        times=None,
        notes=(
            "up engine sqlite",
            "up config",
            "down engine",
            "up engine postgres",
            "down engine",
            "down config",
        ),
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
            "test_a.py": parametrized(
                "request", "assert request.getfixturevalue('late') == 'late'"
            ),
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
]
