"""Whether a project has seeded a global generator: found in the code of its modules, and noticed
while a shared fixture is set up.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from rpytest.process import random_seeds


@pytest.fixture(autouse=True)
def _nothing_seeded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is known yet; the generator goes on afterwards as if nothing had been seeded."""
    monkeypatch.setattr(random_seeds, "_mentioned", [])
    monkeypatch.setattr(random_seeds, "_seeded", set())
    state = random.getstate()
    yield
    random.setstate(state)


@pytest.fixture
def numpy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """As numpy, as far as it is looked at."""
    module, part = ModuleType("numpy"), ModuleType("numpy.random")
    given: list[Any] = []
    vars(part).update(seed=given.append, given=given)
    vars(module).update(random=part)
    monkeypatch.setitem(sys.modules, "numpy", module)
    monkeypatch.setitem(sys.modules, "numpy.random", part)
    return part


def imported(monkeypatch: pytest.MonkeyPatch, text: str, file: str = "/p/test_seeds.py") -> Any:
    """A module of the project, executed as by an import."""
    code = compile(text, file, "exec")
    random_seeds.note_seeds(code)
    module = ModuleType("made_for_seeds")
    module.__file__ = file
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(code, vars(module))
    return module


@pytest.mark.parametrize(
    ("text", "is_seeded"),
    [
        ("import random\nrandom.seed(0)", True),
        ("import random as r\nr.seed(0)", True),
        ("from random import seed\nseed(0)", True),
        ("from random import seed as plant\nplant(0)", True),
        ("import random\nif True:\n    random.seed(0)", True),
        ("import random\nclass Test:\n    random.seed(0)", True),
        ("import random\ndef pytest_configure():\n    random.seed(0)", True),
        ("import random\nclass Plugin:\n    def pytest_x(self): random.seed(0)", True),
        ("class holder:\n    import random\nholder.random.seed(0)", True),
        # That it is mentioned is enough: whether it was called is not looked at.
        ("import random\nrandom.seed", True),
        # What happens in a test happens in a worker.
        ("import random\ndef test(): random.seed(0)", False),
        ("import random\nclass Test:\n    def test(self): random.seed(0)", False),
        ("import random\ndef pytest_x():\n    def inner(): random.seed(0)", False),
        # Another seed.
        ("import random\nmine = random.Random()\nmine.seed(0)", False),
        ("class random:\n    @staticmethod\n    def seed(x): pass\nrandom.seed(0)", False),
        ("seed = 3\nprint(seed)", False),
        ("import random\nrandom.random()", False),
        ("import random\nprint('random.seed')", False),
        ("import random\nrandom.seed(0)\ndel random", False),
    ],
)
def test_what_a_module_says(monkeypatch: pytest.MonkeyPatch, text: str, is_seeded: bool) -> None:
    assert not random_seeds.is_seeded("random")
    imported(monkeypatch, text)
    assert random_seeds.is_seeded("random") is is_seeded
    # It is looked for once, and then known.
    assert random_seeds.is_seeded("random") is is_seeded
    assert not random_seeds.is_seeded("numpy.random")


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\nnp.random.seed(0)",
        "import numpy\nnumpy.random.seed(0)",
        "from numpy import random\nrandom.seed(0)",
        "from numpy.random import seed\nseed(0)",
    ],
)
def test_numpy(monkeypatch: pytest.MonkeyPatch, numpy: Any, text: str) -> None:
    imported(monkeypatch, text)
    assert numpy.given == [0]
    assert random_seeds.is_seeded("numpy.random")
    assert not random_seeds.is_seeded("random")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("random.seed(0)", {"random"}),
        ("np.random.seed(0)", {"numpy.random"}),
        ("numpy.random.seed(0)", {"numpy.random"}),
        ("r.seed(0)", set()),
    ],
)
def test_a_module_that_is_not_there_is_guessed(text: str, names: set[str]) -> None:
    """Such as a conftest, of which there is another one by now."""
    random_seeds.note_seeds(compile(text, "/p/gone.py", "exec"))
    assert {name for name in ("random", "numpy.random") if random_seeds.is_seeded(name)} == names


def test_a_module_that_is_loaded_lazily_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    monkeypatch.setitem(sys.modules, "lazy_for_seeds", Lazy("lazy_for_seeds"))
    # Not a module, nor anything like it.
    monkeypatch.setitem(sys.modules, "none_for_seeds", None)
    imported(monkeypatch, "import random\nrandom.seed(0)")
    assert random_seeds.is_seeded("random")


@pytest.mark.parametrize(
    ("arguments", "named", "is_seeded"),
    [
        ((0,), {}, True),
        (("text",), {}, True),
        ((), {"a": 0}, True),
        # A new seed, from the system.
        ((), {}, False),
        ((None,), {}, False),
        ((), {"a": None}, False),
        # The second one is the version of the method.
        ((None, 2), {}, False),
    ],
)
def test_calls_are_noticed(
    arguments: tuple[Any, ...], named: dict[str, Any], is_seeded: bool
) -> None:
    plain = random.seed
    with random_seeds.noticing():
        random.seed(1)
        random.seed(*arguments, **named)
    assert random_seeds.is_seeded("random") is is_seeded
    assert random.seed == plain


def test_it_is_seeded_as_it_would_be() -> None:
    random.seed(5)
    wanted = random.random()
    with random_seeds.noticing():
        random.seed(5)
    assert random.random() == wanted


def test_calls_of_numpy_are_noticed(numpy: Any) -> None:
    with random_seeds.noticing():
        numpy.seed(3)
    assert numpy.given == [3]
    assert random_seeds.is_seeded("numpy.random")
    assert not random_seeds.is_seeded("random")


def test_nobody_notices_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = random.seed
    with pytest.raises(KeyError), random_seeds.noticing():
        raise KeyError
    assert random.seed == plain
    random.seed(1)
    assert not random_seeds.is_seeded("random")
    # What the fixture has put there stays.
    other: Any = lambda *_: None  # noqa: E731
    monkeypatch.setattr(random, "seed", plain)
    with random_seeds.noticing():
        random.seed = other
    assert random.seed is other


def test_the_state_travels_only_if_it_was_seeded() -> None:
    assert random_seeds.state() is None
    before = random.getstate()
    random_seeds.restore(None)
    assert random.getstate() == before
    with random_seeds.noticing():
        random.seed(7)
    state = random_seeds.state()
    wanted = random.random()
    random.seed()
    random_seeds.restore(state)
    assert random.random() == wanted
