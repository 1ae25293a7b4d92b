"""Session fixtures that fail or skip, while they are set up or at their end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from grid import Case, Run, parametrized

#: Before pytest 9 a set-up that raises what is no `Exception` is tried again for each test.
KEEPS_ANY_EXCEPTION = pytest.version_tuple >= (9,)


def errors_once(count: int, text: str) -> Callable[[Run], None]:
    """Every dependant has the error, with its traceback."""

    def check(run: Run) -> None:
        assert run.result.counts == {"errors": count}
        assert run.result.stdout.count(f"E       {text}") == count
        assert all(text in case.text for case in run.result.cases or ())

    return check


def failing(code: str, before: str = "") -> str:
    """A conftest with a fixture `db` that runs the code."""
    return (
        f"import pytest, sys\nfrom notes import note\n{before}\n"
        f"@pytest.fixture(scope='session')\ndef db():\n    note('up db')\n    {code}\n"
    )


#: Two tests without it, one before and one after those that request it.
OTHERS = {
    "test_1_before.py": "def test_before(): pass\n",
    "test_9_after.py": "def test_after(): pass\n",
}


def last_dependant_has_it(run: Run) -> None:
    """Plain pytest finalizes when everything has run, and blames the very last test."""
    assert run.serial.outcome("test_after") == "error"
    assert run.result.status == run.serial.status == 1
    assert run.result.counts == run.serial.counts
    assert run.result.outcome("test_after") == "passed"
    assert run.result.outcome("test_one[15]") == "error"
    assert "ERROR at teardown of test_one[15]" in run.result.stdout
    assert run.result.stdout.count(
        "RuntimeError: the server did not stop"
    ) == run.serial.stdout.count("RuntimeError: the server did not stop")


CASES = [
    Case(
        "set-up-fails",
        {
            "conftest.py": failing("raise RuntimeError('no server')"),
            "test_a.py": parametrized("db"),
        },
        shared=("db",),
        notes=("up db",),
        check=errors_once(16, "RuntimeError: no server"),
    ),
    Case(
        "set-up-of-a-dependency-fails",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def config():
                note("up config")
                yield
                note("down config")

            @pytest.fixture(scope="session")
            def server(config):
                note("up server")
                raise RuntimeError("no server")

            @pytest.fixture(scope="session")
            def db(server):
                note("up db")
            """,
            "test_a.py": parametrized("db"),
            "test_b.py": "def test_config(config): pass\ndef test_2(): pass\n",
        },
        shared=("config", "server"),
        notes=("up config", "up server", "down config"),
    ),
    Case(
        "autouse-fails",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session", autouse=True)
            def db():
                note("up db")
                pytest.fail("not today")
            """,
            "test_a.py": parametrized("tmp_path"),
        },
        shared=("db",),
        notes=("up db",),
    ),
    Case(
        "set-up-skips",
        {
            "conftest.py": failing("pytest.skip('no docker')"),
            "test_a.py": parametrized("db"),
            **OTHERS,
        },
        shared=("db",),
        notes=("up db",),
    ),
    Case(
        "set-up-is-expected-to-fail",
        {
            "conftest.py": failing("pytest.xfail('known')"),
            "test_a.py": parametrized("db"),
            **OTHERS,
        },
        shared=("db",),
        notes=("up db",),
    ),
    Case(
        "set-up-wants-a-module",
        {
            "conftest.py": failing("pytest.importorskip('no_such_module')"),
            "test_a.py": parametrized("db"),
            **OTHERS,
        },
        shared=("db",),
        notes=("up db",),
    ),
    Case(
        "set-up-exits",
        {"conftest.py": failing("sys.exit(3)"), "test_a.py": parametrized("db"), **OTHERS},
        own={"db": "its set-up raised SystemExit"},
        times=1 if KEEPS_ANY_EXCEPTION else None,
        notes=("up db",) * (1 if KEEPS_ANY_EXCEPTION else 16),
    ),
    Case(
        "set-up-raises-a-base-exception",
        {
            "conftest.py": failing("raise Stop('now')", "class Stop(BaseException): pass\n"),
            "test_a.py": parametrized("db"),
            **OTHERS,
        },
        own={"db": "its set-up raised Stop"},
        times=1 if KEEPS_ANY_EXCEPTION else None,
        notes=("up db",) * (1 if KEEPS_ANY_EXCEPTION else 16),
    ),
    Case(
        "set-up-does-not-yield",
        {
            "conftest.py": failing("if 0: yield"),
            "test_a.py": parametrized("db"),
        },
        shared=("db",),
        notes=("up db",),
    ),
    Case(
        "set-up-yields-twice",
        {
            "conftest.py": failing("yield 1; note('down db'); yield 2"),
            "test_a.py": parametrized("db"),
        },
        shared=("db",),
        notes=("up db", "down db"),
    ),
    Case(
        "unknown-dependency",
        {
            "conftest.py": """
            import pytest

            @pytest.fixture(scope="session")
            def db(nobody_has_it): pass
            """,
            "test_a.py": parametrized("db"),
        },
        own={"db": "its set-up raised FixtureLookupError"},
    ),
    Case(
        "dependency-of-a-smaller-scope",
        {
            "conftest.py": """
            import pytest

            @pytest.fixture
            def small(): pass

            @pytest.fixture(scope="session")
            def db(small): pass
            """,
            "test_a.py": parametrized("db"),
        },
        own={"db": "requests small"},
    ),
    Case(
        "finalizer-fails",
        {
            "conftest.py": failing(
                "yield; note('down db'); raise RuntimeError('the server did not stop')"
            ),
            "test_a.py": parametrized("db"),
        },
        shared=("db",),
        notes=("up db", "down db"),
    ),
    Case(
        "finalizer-fails-and-others-follow",
        {
            "conftest.py": failing(
                "yield; note('down db'); raise RuntimeError('the server did not stop')"
            ),
            "test_5_a.py": parametrized("db"),
            **OTHERS,
        },
        shared=("db",),
        notes=("up db", "down db"),
        as_serial=False,
        check=last_dependant_has_it,
    ),
    Case(
        "two-finalizers-fail",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def server():
                note("up server")
                yield
                note("down server")
                raise RuntimeError("the server did not stop")

            @pytest.fixture(scope="session")
            def db(server):
                note("up db")
                yield
                note("down db")
                raise ValueError("the db did not stop")
            """,
            "test_a.py": parametrized("db"),
        },
        shared=("server", "db"),
        notes=("up server", "up db", "down db", "down server"),
        check=lambda run: _texts(
            run, "RuntimeError: the server did not stop", "ValueError: the db did not stop"
        ),
    ),
    Case(
        "one-finalizer-of-several-fails",
        {
            "conftest.py": """
            import pytest
            from notes import note

            def bad():
                note("down db bad")
                raise ValueError("bad finalizer")

            @pytest.fixture(scope="session")
            def db(request):
                note("up db")
                request.addfinalizer(lambda: note("down db last"))
                request.addfinalizer(bad)
                request.addfinalizer(lambda: note("down db first"))
            """,
            "test_a.py": parametrized("db"),
        },
        shared=("db",),
        notes=("up db", "down db first", "down db bad", "down db last"),
    ),
    Case(
        "test-and-finalizer-fail",
        {
            "conftest.py": failing(
                "yield; note('down db'); raise RuntimeError('the server did not stop')"
            ),
            "test_a.py": parametrized("db", "assert i != 15"),
        },
        shared=("db",),
        notes=("up db", "down db"),
    ),
    Case(
        "finalizer-skips",
        {
            "conftest.py": failing("yield; note('down db'); pytest.skip('too late')"),
            "test_a.py": parametrized("db"),
        },
        shared=("db",),
        notes=("up db", "down db"),
    ),
    Case(
        "finalizer-warns-and-prints",
        {
            "conftest.py": failing(
                "yield; note('down db'); import warnings; warnings.warn('db stays open')"
            ),
            "test_a.py": parametrized("db"),
        },
        shared=("db",),
        notes=("up db", "down db"),
    ),
]


def _texts(run: Run, *texts: str) -> None:
    for text in texts:
        assert run.result.stdout.count(text) == run.serial.stdout.count(text) > 0
