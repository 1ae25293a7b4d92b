"""The global generators of `random` and numpy: one that the project has seeded goes on from there,
any other is another in each worker.
"""

from __future__ import annotations

import random
import time

import pytest

from support.harness import Project, Result
from support.staleness import wait_for_next_second

DRAWS = """
def test_draws(record_property):
    import random
    record_property("drawn", random.random())
"""
_RANDOM = random.Random(7)
SEEDED = _RANDOM.random()
SECOND = _RANDOM.random()


def drawn(result: Result) -> list[float]:
    assert result.status == 0, result
    values = [
        value for case in result.cases or () for name, value in case.properties if name == "drawn"
    ]
    return [float(value or 0) for value in values]


@pytest.mark.parametrize(
    "source",
    [
        "import random\nrandom.seed(7)\n",
        "import random as other\nother.seed(7)\n",
        "from random import seed\nseed(7)\n",
        "from random import seed as sow, Random\nsow(7)\n",
        "import random\nclass Sown:\n    random.seed(7)\n",
        "import random\nif True:\n    random.seed(a=7, version=2)\n",
    ],
)
@pytest.mark.parametrize("args", [(), ("--start-method=bare",)], ids=["", "bare"])
def test_seeded_by_a_module(project: Project, source: str, args: tuple[str, ...]) -> None:
    project.write(test_a=source + DRAWS)
    assert drawn(project.pytest()) == [SEEDED]
    for _ in range(3):
        assert drawn(project.rpytest("-n2", *args)) == [SEEDED]


@pytest.mark.parametrize(
    "hook", ["pytest_configure(config)", "pytest_sessionstart(session)", "pytest_collection()"]
)
def test_seeded_by_a_hook(project: Project, hook: str) -> None:
    project.write(conftest=f"import random\ndef {hook}:\n    random.seed(7)\n", test_a=DRAWS)
    assert drawn(project.pytest()) == [SEEDED]
    for _ in range(3):
        assert drawn(project.rpytest("-n2")) == [SEEDED]


def test_seeded_by_one_of_several_conftests(project: Project) -> None:
    """They have one name among them."""
    project.fill(
        project.path,
        {
            "one/conftest.py": "import random\nrandom.seed(7)\n",
            "two/conftest.py": "import random\n",
            "one/test_a.py": "def test_1(): pass\n",
            "two/test_b.py": DRAWS,
        },
    )
    assert drawn(project.pytest()) == [SEEDED]
    for _ in range(2):
        assert drawn(project.rpytest("-n1")) == [SEEDED]


def test_edits(project: Project) -> None:
    """The number is the one that belongs to the present text, whatever was kept."""
    project.write(test_a="import random\nrandom.seed(7)\n" + DRAWS)
    assert drawn(project.rpytest("-n2")) == [SEEDED]
    for number in (7, 8, 9, 8):
        # Python itself does not notice an edit of the same size in the same second.
        wait_for_next_second(time.time())
        project.write(
            test_a=f"import random\nrandom.seed({number})\n"
            + DRAWS
            + f"\ndef test_{number}(): pass\n"
        )
        for _ in range(2):
            assert drawn(project.rpytest("-n2", "-k", "draws")) == [random.Random(number).random()]


@pytest.mark.parametrize(
    "setup",
    [
        "random.seed(7)",
        "random.seed(a=7)",
        "helper.sow(7)",
        "random.seed(1); random.seed(); random.seed(7)",
    ],
)
def test_seeded_by_a_session_fixture(project: Project, setup: str) -> None:
    """That is set up once for all workers: each goes on from there, as if it had set it up
    itself.
    """
    project.write(
        helper="import random\ndef sow(value): random.seed(value)\n",
        conftest=f"""
        import random
        import pytest
        import helper

        @pytest.fixture(scope="session", autouse=True)
        def sown():
            {setup}
        """,
        test_a=DRAWS,
        test_b=DRAWS,
    )
    assert SEEDED in drawn(project.pytest())
    for _ in range(2):
        result = project.rpytest("-n2", "-v", "--dist=each")
        assert "sown" in result.stdout
        # Two tests in each of two workers.
        assert sorted(drawn(result)) == sorted([SEEDED, SECOND] * 2)


def test_session_fixture_that_draws(project: Project) -> None:
    """Or takes a new seed: that is none."""
    project.write(
        conftest="""
        import random
        import pytest

        @pytest.fixture(scope="session", autouse=True)
        def draws():
            random.seed()
            return random.random()
        """,
        test_a=DRAWS,
    )
    assert (
        len(
            set(
                drawn(project.rpytest("-n2", "--dist=each"))
                + drawn(project.rpytest("-n2", "--dist=each"))
            )
        )
        == 4
    )


@pytest.mark.parametrize(
    "source",
    [
        "",
        "seed = 7\n",
        "import random\nrandom.Random().seed(7)\n",
        "import random\nclass Other:\n    def seed(self, value): pass\nOther().seed(7)\n",
        "import random, pytest\n@pytest.fixture\ndef sown():\n    random.seed(7)\n",
    ],
)
def test_not_seeded(project: Project, source: str) -> None:
    """Then each worker has its own numbers, in each run."""
    tests = "".join(DRAWS.replace("test_draws", f"test_{name}") for name in "abcd")
    project.write(test_a=source + tests)
    values = [value for _ in range(3) for value in drawn(project.rpytest("-n4"))]
    assert len(values) == len(set(values)) == 12


NUMPY = {
    "numpy/__init__.py": "from numpy import random\n",
    "numpy/random.py": (
        "state = 'of the import'\ndef seed(value=None):\n    global state\n    state = value\n"
    ),
}
READS = """
def test_reads(record_property):
    from numpy import random
    record_property("state", random.state)
"""


@pytest.mark.parametrize(
    ("source", "state"),
    [
        ("import numpy as np\nnp.random.seed(7)\n", "7"),
        ("from numpy.random import seed\nseed(7)\n", "7"),
        ("from numpy import random\nrandom.seed(7)\n", "7"),
        # A new seed.
        ("import numpy\n", "None"),
        ("import numpy, random\nrandom.seed(7)\n", "None"),
    ],
)
def test_numpy(project: Project, source: str, state: str) -> None:
    project.fill(project.path, {**NUMPY, "conftest.py": "", "test_a.py": source + READS})
    for _ in range(2):
        result = project.rpytest("-n2")
        assert result.status == 0, result
        assert [value for case in result.cases or () for _, value in case.properties] == [state]


def test_numpy_seeded_by_a_session_fixture(project: Project) -> None:
    fixture = """
        import numpy as np
        import pytest

        @pytest.fixture(scope="session", autouse=True)
        def sown():
            np.random.seed(7)
        """
    project.fill(project.path, {**NUMPY, "conftest.py": fixture, "test_a.py": READS})
    for _ in range(2):
        result = project.rpytest("-n2", "--dist=each")
        assert [value for case in result.cases or () for _, value in case.properties] == [
            "7",
            "7",
        ], result
