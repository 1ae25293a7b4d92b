"""What a run learns of durations, and what the next one does with it."""

from __future__ import annotations

import json

from support.harness import Project


def known(project: Project) -> dict[str, float]:
    """The mean duration of each test, in seconds."""
    result = project.rpytest("--inventory-status", "-v", "--inventory-format=json", junit=False)
    assert result.status == 0, result
    return {test["nodeid"]: test["mean"] for test in json.loads(result.stdout)["durations"]}


def test_a_session_fixture_of_each_worker_is_no_part_of_a_test(project: Project) -> None:
    seconds = 2.0
    project.write(
        conftest=f"""
        import json, os, pathlib, time
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(item):
            # What of it was not the fixture's, however long the worker was kept from working.
            OF_FIXTURE[:] = [0]
            began = time.perf_counter()
            result = yield
            line = json.dumps([item.nodeid, time.perf_counter() - began - OF_FIXTURE[0]])
            with open(os.environ["TOOK"], "a") as file:
                file.write(line + "\\n")
            return result

        OF_FIXTURE = [0]

        @pytest.fixture(scope="session")
        def inner(worker_id):
            began = time.perf_counter()
            time.sleep({seconds})
            OF_FIXTURE[0] = time.perf_counter() - began
            return worker_id

        @pytest.fixture(scope="session")
        def connection(inner):
            yield inner

        @pytest.fixture(scope="module")
        def table(connection):
            return connection
        """,
        **{f"test_{name}": "def test_1(table): pass\ndef test_2(table): pass\n" for name in "abcd"},
    )
    took = project.scratch / "took"
    project.env["TOOK"] = str(took)

    def check() -> None:
        rest: dict[str, float] = {}
        for id, value in map(json.loads, took.read_text().splitlines()):
            rest[id] = max(value, rest.get(id, 0.0))
        found = known(project)
        assert len(found) == len(rest) == 8
        # A mean is not more than the most.
        assert not {id: mean for id, mean in found.items() if mean > rest[id] + 0.01}, rest

    for method in ("collected", "bare"):
        assert project.rpytest("-n2", f"--start-method={method}", junit=False).status == 0
    check()
    # Asked for, it is measured in another way.
    assert project.rpytest("-n2", "--timings", junit=False).status == 0
    check()


def test_one_worker_runs_in_the_order_of_collection(project: Project) -> None:
    project.write(
        test_a=(
            "import time\ndef test_short(): pass\ndef test_long(): time.sleep(0.5)\n"
            "def test_last(): pass\n"
        ),
        test_b="import time\ndef test_longest(): time.sleep(1)\n",
    )
    expected = [
        "test_a.py::test_short",
        "test_a.py::test_long",
        "test_a.py::test_last",
        "test_b.py::test_longest",
    ]
    for n in (1, 2, 1):
        result = project.rpytest(f"-n{n}", junit=False)
        assert result.status == 0
        lines = [line.split()[0] for line in result.lines if line.endswith(" PASSED")]
        if n == 1:
            assert lines == expected
    assert sorted(known(project)) == sorted(expected)
