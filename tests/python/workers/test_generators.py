"""Generators of random numbers that are objects made at import: each worker and each run draws
other numbers, unless somebody has seeded them.
"""

from __future__ import annotations

import random

import pytest

from support.harness import Project, Result

#: What is drawn by two tests that run in two workers.
DRAWS = """
    import pathlib, time
    import pytest
    import things

    @pytest.mark.parametrize("mine, other", ["ab", "ba"])
    def test_draws(record_property, mine, other):
        # Each worker has one of them.
        pathlib.Path(mine).touch()
        while not pathlib.Path(other).exists():
            time.sleep(0.01)
        record_property("drawn", repr(things.draw()))
"""


def drawn(project: Project, *args: str, n: int = 2) -> list[str]:
    for name in "ab":
        (project.path / name).unlink(missing_ok=True)
    result: Result = project.rpytest(f"-n{n}", "-p", "no:randomly", *args)
    assert result.status == 0, result
    return [
        str(value)
        for case in result.cases or ()
        for name, value in case.properties
        if name == "drawn"
    ]


@pytest.mark.parametrize(
    "source",
    [
        "from random import Random\nr = Random()\ndef draw(): return r.random()",
        "import random\nr = random.Random(None)\ndef draw(): return r.random()",
        "import random\nr = random.Random(7)\nr.seed()\ndef draw(): return r.random()",
        "import random\nclass Mine(random.Random): pass\nr = Mine()\ndef draw(): return r.random()",
        (
            "import random\nclass Holder:\n    r = random.Random()\n"
            "def draw(): return Holder.r.gauss(0, 1)"
        ),
        (
            "import random\ndef make(r=random.Random()):\n    return r\n"
            "def draw(): return make().getrandbits(64)"
        ),
    ],
)
@pytest.mark.parametrize("args", [(), ("--start-method=bare",)], ids=["", "bare"])
def test_made_at_import(project: Project, source: str, args: tuple[str, ...]) -> None:
    project.write(things=source, test_a=DRAWS)
    values = [value for _ in range(3) for value in drawn(project, *args)]
    assert len(values) == len(set(values)) == 6, values


_SEVEN = random.Random(7)
FIRST = _SEVEN.random()


@pytest.mark.parametrize(
    "source",
    [
        "import random\nr = random.Random(7)\ndef draw(): return r.random()",
        "import random\nr = random.Random(x=7)\ndef draw(): return r.random()",
        "import random\nr = random.Random()\nr.seed(7)\ndef draw(): return r.random()",
        "import random\nr = random.Random()\nr.seed(a=7)\ndef draw(): return r.random()",
        (
            "import random\nr = random.Random()\nr.setstate(random.Random(7).getstate())\n"
            "def draw(): return r.random()"
        ),
        "import random, copy\nr = copy.copy(random.Random(7))\ndef draw(): return r.random()",
        (
            "import random, pickle\nr = pickle.loads(pickle.dumps(random.Random(7)))\n"
            "def draw(): return r.random()"
        ),
        (
            "import random\nclass Mine(random.Random): pass\nr = Mine(7)\n"
            "def draw(): return r.random()"
        ),
    ],
)
def test_seeded_by_the_project(project: Project, source: str) -> None:
    project.write(things=source, test_a=DRAWS)
    for _ in range(2):
        assert drawn(project) == [repr(FIRST)] * 2


def test_seeded_by_a_shared_fixture(project: Project) -> None:
    project.write(
        things="import random\nr = random.Random()\ndef draw(): return r.random()",
        conftest=(
            "import pytest, things\n@pytest.fixture(scope='session', autouse=True)\n"
            "def seeded(): things.r.seed(7)\n"
        ),
        test_a=DRAWS,
    )
    for _ in range(2):
        assert drawn(project) == [repr(FIRST)] * 2


def test_a_test_finds_the_class_as_it_was(project: Project) -> None:
    project.write(
        test_a="""
            import inspect, random, secrets

            def test_class():
                for function in (random.Random.seed, random.Random.setstate):
                    assert inspect.getsourcefile(function) == random.__file__
                    assert not hasattr(function, "__wrapped__")
                assert not inspect.isfunction(secrets.randbits)
        """
    )
    project.compare(n=2)


#: numpy's generators as far as they matter: they can be neither observed nor referred to weakly,
#: and keep what they were seeded with.
_NUMPY = {
    "numpy/__init__.py": "from numpy import random\n",
    "numpy/random.py": """
        from secrets import randbits
        import random as _random

        class SeedSequence:
            def __init__(self, entropy=None):
                self.entropy = randbits(128) if entropy is None else entropy

        class PCG64:
            __slots__ = ("seed_seq", "state")
            def __init__(self, seed=None):
                self.seed_seq = SeedSequence(seed)
                self.state = self.seed_seq.entropy

        class Generator:
            __slots__ = ("bit_generator",)
            def __init__(self, bits): self.bit_generator = bits
            def random(self):
                one = _random.Random(self.bit_generator.state)
                self.bit_generator.state = one.getrandbits(128)
                return one.random()

        class RandomState:
            __slots__ = ("_bit_generator",)
            def __init__(self, seed=None): self._bit_generator = PCG64(seed)
            def get_state(self): return self._bit_generator.state
            def set_state(self, state): self._bit_generator.state = state
            def random(self):
                return Generator(self._bit_generator).random()

        def default_rng(seed=None): return Generator(PCG64(seed))
    """,
}


@pytest.mark.parametrize("made", ["default_rng", "RandomState"])
@pytest.mark.parametrize("seed", ["", "7", "secrets.randbits(100)"])
def test_numpys(project: Project, made: str, seed: str) -> None:
    """100 bits that the project has drawn are its seed."""
    project.write(
        _NUMPY,
        things=(
            f"import secrets, numpy as np\nr = np.random.{made}({seed})\n"
            "def draw(): return r.random()"
        ),
        test_a=DRAWS,
    )
    values = [value for _ in range(3) for value in drawn(project)]
    assert len(values) == 6
    if not seed:
        assert len(set(values)) == 6, values
    else:
        # Warm runs have the session's.
        assert len(set(values)) == 1, values
