"""Fixtures that want to be another one in each worker."""

from __future__ import annotations

from cases_hazards import NOTES
from grid import Case, parametrized

CASES = [
    Case(
        "requests-worker-id",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def thing(worker_id):
                note("up thing")
                yield f"db_{worker_id}"
                note("down thing")

            @pytest.fixture(scope="session")
            def above(thing):
                note("up above")
                yield thing
                note("down above")

            @pytest.fixture(scope="session")
            def run(testrun_uid):
                note("up run")
                yield testrun_uid
                note("down run")
            """,
            "test_a.py": parametrized(
                "above, worker_id, run, testrun_uid",
                "assert above == f'db_{worker_id}' and run == testrun_uid",
            ),
        },
        shared=("run",),
        own={"thing": "requests worker_id", "above": "requests worker_id"},
        notes=("up thing", "up above", "up run", "down run", "down above", "down thing"),
    ),
    Case(
        "reads-the-environment",
        {
            "conftest.py": """
            import os
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def thing():
                note("up thing")
                yield os.environ.get("PYTEST_XDIST_WORKER")
                note("down thing")
            """,
            "test_a.py": "import os\n"
            + parametrized("thing", "assert thing == os.environ.get('PYTEST_XDIST_WORKER')"),
        },
        own={"thing": "asks which worker it is in"},
        notes=NOTES,
    ),
    Case(
        "reads-the-workers-input",
        {
            "conftest.py": """
            import pytest
            from notes import note

            @pytest.fixture(scope="session")
            def thing(pytestconfig):
                note("up thing")
                yield getattr(pytestconfig, "workerinput", {"workerid": "master"})["workerid"]
                note("down thing")
            """,
            "test_a.py": parametrized("thing, worker_id", "assert thing == worker_id"),
        },
        own={"thing": "asks which worker it is in"},
        notes=NOTES,
    ),
    Case(
        "filelock-recipe",
        {
            "conftest.py": """
            import contextlib, fcntl, json
            import pytest
            from notes import note

            @contextlib.contextmanager
            def file_lock(path):
                with open(path, "w") as file:
                    fcntl.flock(file, fcntl.LOCK_EX)
                    yield

            @pytest.fixture(scope="session")
            def thing(tmp_path_factory, worker_id):
                note("up thing")
                if worker_id == "master":
                    note("made it")
                    yield {"made": 1}
                else:
                    file = tmp_path_factory.getbasetemp().parent / "data.json"
                    with file_lock(f"{file}.lock"):
                        if file.is_file():
                            data = json.loads(file.read_text())
                        else:
                            note("made it")
                            data = {"made": 1}
                            file.write_text(json.dumps(data))
                    yield data
                note("down thing")
            """,
            "test_a.py": parametrized("thing", "assert thing == {'made': 1}"),
        },
        own={"thing": "requests worker_id"},
        notes=("up thing", "made it", "down thing"),
        check=lambda run: _made_once(run.notes),
    ),
]


def _made_once(notes: tuple[str, ...]) -> None:
    assert notes.count("made it") == 1
