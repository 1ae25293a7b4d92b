"""Ways to run, and the user's last word on what is shared."""

from __future__ import annotations

from cases_hazards import fixture
from grid import Case, Run, parametrized

NOTES = ("up db", "down db")

DB = fixture("it = 1").replace("thing", "db")

TWO = """
import pytest
from notes import note

@pytest.fixture(scope="session")
def db():
    note("up db")
    yield 1
    note("down db")

@pytest.fixture(scope="session")
def cache(db):
    note("up cache")
    yield 2
    note("down cache")
"""
TWO_NOTES = ("up db", "up cache", "down cache", "down db")

ID_USER = """
import pytest
from notes import note

@pytest.fixture(scope="session")
def name(worker_id):
    note("up name")
    yield worker_id
    note("down name")
"""


def configured(text: str) -> str:
    """A pyproject.toml."""
    return f"[tool.pytest.ini_options]\n[tool.rpytest]\n{text}\n"


def every_worker_runs_all(run: Run) -> None:
    assert run.result.status == 0
    # More workers than tests are there for `--dist each`, too.
    assert run.result.counts == {"passed": 4 * run.n}


CASES = [
    *(
        Case(
            f"dist-{mode}",
            {
                "conftest.py": TWO,
                "test_a.py": parametrized("db", count=8),
                "test_b.py": parametrized("cache", count=8),
            },
            more_args=("--dist", mode),
            shared=("db", "cache"),
            notes=TWO_NOTES,
        )
        for mode in ("loadfile", "loadscope", "loadgroup", "worksteal")
    ),
    Case(
        "dist-each",
        {"conftest.py": DB, "test_a.py": parametrized("db", count=4)},
        more_args=("--dist", "each"),
        shared=("db",),
        notes=NOTES,
        as_serial=False,
        check=every_worker_runs_all,
    ),
    Case(
        "serial-mark",
        {
            "conftest.py": TWO,
            "test_a.py": (
                "import pytest\n@pytest.mark.serial\n"
                "def test_alone(db, cache): assert (db, cache) == (1, 2)\n"
            ),
            "test_b.py": parametrized("db"),
        },
        shared=("db", "cache"),
        notes=TWO_NOTES,
    ),
    Case(
        "serial-mark-and-nothing-else",
        {
            "conftest.py": TWO,
            "test_a.py": "import pytest\npytestmark = pytest.mark.serial\n"
            + parametrized("cache", count=3),
        },
        shared=("db", "cache"),
        notes=TWO_NOTES,
    ),
    Case(
        "first-failure-stops",
        {"conftest.py": DB, "test_a.py": parametrized("db", "assert 0")},
        args=("-x",),
        shared=("db",),
        notes=NOTES,
        as_serial=False,
        check=lambda run: _stopped(run, 1),
    ),
    Case(
        "third-failure-stops",
        {"conftest.py": DB, "test_a.py": parametrized("db", "assert 0", count=32)},
        args=("--maxfail=3",),
        shared=("db",),
        notes=NOTES,
        as_serial=False,
        check=lambda run: _stopped(run, 3),
    ),
    Case(
        "failing-finalizer-after-a-stop",
        {
            "conftest.py": DB.replace(
                "note('down db')", "note('down db'); raise ValueError('stays up')"
            ),
            "test_a.py": parametrized("db", "assert 0"),
        },
        args=("-x",),
        shared=("db",),
        notes=NOTES,
        as_serial=False,
        check=lambda run: _says(run, "ValueError: stays up"),
    ),
    Case(
        "configured-per-worker",
        {
            "pyproject.toml": configured('session_fixtures = "per-worker"'),
            "conftest.py": TWO,
            "test_a.py": parametrized("cache"),
        },
        own={"db": 'session_fixtures = "per-worker"', "cache": 'session_fixtures = "per-worker"'},
        notes=TWO_NOTES,
    ),
    Case(
        "configured-per-worker-but-one",
        {
            "pyproject.toml": configured(
                'session_fixtures = "per-worker"\nshared_fixtures = ["db"]'
            ),
            "conftest.py": TWO,
            "test_a.py": parametrized("cache"),
        },
        shared=("db",),
        own={"cache": 'session_fixtures = "per-worker"'},
        notes=TWO_NOTES,
    ),
    Case(
        "configured-one-per-worker",
        {
            "pyproject.toml": configured('per_worker_fixtures = ["cache"]'),
            "conftest.py": TWO,
            "test_a.py": parametrized("cache"),
        },
        shared=("db",),
        own={"cache": "per_worker_fixtures"},
        notes=TWO_NOTES,
    ),
    Case(
        "configured-a-dependency-per-worker",
        {
            "pyproject.toml": configured('per_worker_fixtures = ["db"]'),
            "conftest.py": TWO,
            "test_a.py": parametrized("cache"),
        },
        own={"db": "per_worker_fixtures", "cache": "requests db"},
        notes=TWO_NOTES,
    ),
    Case(
        "configured-one-shared",
        {
            "pyproject.toml": configured('shared_fixtures = ["thing"]'),
            "conftest.py": fixture(
                "it = threading.Event()\nthread = threading.Thread(target=it.wait)\nthread.start()",
                "it.set()\nthread.join()",
                "import threading",
            ),
            "test_a.py": parametrized("thing", "assert not thing.is_set()"),
        },
        shared=("thing",),
        notes=("up thing", "down thing"),
    ),
    Case(
        "attribute-on-the-function",
        {
            "conftest.py": """
            import pytest
            from notes import note

            def lonely():
                note("up lonely")
                yield 1
                note("down lonely")

            lonely.rpytest_shared = False
            lonely = pytest.fixture(scope="session")(lonely)
            """,
            "test_a.py": parametrized("lonely"),
        },
        own={"lonely": "rpytest_shared = False"},
        notes=("up lonely", "down lonely"),
    ),
    Case(
        "attribute-on-the-fixture",
        {
            "conftest.py": """
            import threading
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def lonely():
                note("up lonely")
                yield 1
                note("down lonely")

            lonely.rpytest_shared = False

            @pytest.fixture(scope="session")
            def robust():
                note("up robust")
                end = threading.Event()
                thread = threading.Thread(target=end.wait)
                thread.start()
                yield 1
                end.set()
                thread.join()
                note("down robust")

            robust.rpytest_shared = True
            """,
            "test_a.py": parametrized("lonely, robust"),
        },
        shared=("robust",),
        own={"lonely": "rpytest_shared = False"},
        notes=("up lonely", "up robust", "down robust", "down lonely"),
    ),
    Case(
        "configuration-before-attribute",
        {
            "pyproject.toml": configured('shared_fixtures = ["db"]'),
            "conftest.py": DB + "db.rpytest_shared = False\n",
            "test_a.py": parametrized("db"),
        },
        shared=("db",),
        notes=NOTES,
    ),
    Case(
        "overridden-in-folders",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def db():
                note("up db of root")
                yield "root"
                note("down db of root")
            """,
            "a/__init__.py": "",
            "a/conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def db(db):
                note("up db of a")
                yield f"a over {db}"
                note("down db of a")
            """,
            "a/b/__init__.py": "",
            "a/b/conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def db():
                note("up db of b")
                yield "b"
                note("down db of b")
            """,
            "a/test_a.py": parametrized("db", "assert db == 'a over root'", count=8),
            "a/b/test_b.py": parametrized("db", "assert db == 'b'", count=8),
            "test_root.py": parametrized("db", "assert db == 'root'", count=8),
        },
        shared=("db",),
        notes=(
            "up db of b",
            "up db of root",
            "up db of a",
            "down db of a",
            "down db of root",
            "down db of b",
        ),
    ),
    Case(
        "overridden-by-one-of-each-worker",
        {
            "conftest.py": DB,
            "a/__init__.py": "",
            "a/conftest.py": """
            import pytest

            @pytest.fixture(scope="session")
            def db(db, worker_id):
                return f"{db} of {worker_id}"
            """,
            "a/test_a.py": parametrized(
                "db, worker_id", "assert db == f'1 of {worker_id}'", count=8
            ),
            "test_root.py": parametrized("db", "assert db == 1", count=8),
        },
        # There are two.
        shared=("db",),
        own={"db": "requests worker_id"},
        notes=NOTES,
    ),
]


def _stopped(run: Run, failures: int) -> None:
    assert run.result.status == 1
    # Tests in flight are finished.
    assert failures <= run.result.counts["failed"]
    assert run.notes == NOTES


def _says(run: Run, text: str) -> None:
    assert run.result.status == 1
    assert text in run.result.stdout
    assert run.result.counts["errors"] == 1
