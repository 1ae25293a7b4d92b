"""Which generators get another state in a fork: those that have theirs from the system."""

from __future__ import annotations

import copy
import random
import secrets
import sys
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from rpytest.process import random_generators


@pytest.fixture(autouse=True)
def _observed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Generators are observed during the test; nothing is known of those that were made before."""
    monkeypatch.setattr(random_generators, "_unseeded", weakref.WeakSet())
    monkeypatch.setattr(random_generators, "_of_numpy", {})
    monkeypatch.setattr(random_generators, "_drawn", set())
    state = random.getstate()
    random_generators.observe()
    yield
    random_generators.observe_no_longer()
    random.setstate(state)


class Unhashable(random.Random):
    __hash__ = None  # type: ignore[assignment]


class Own(random.Random):
    """Of a project: it always has a value, its own one."""

    def seed(self, *_: Any, **__: Any) -> None:
        super().seed(42)


def seeded_later() -> random.Random:
    generator = random.Random()
    generator.seed(1)
    return generator


def seeded_by_name() -> random.Random:
    generator = random.Random()
    generator.seed(a="text")
    return generator


def seeded_anew() -> random.Random:
    generator = random.Random(1)
    generator.seed()
    return generator


def seeded_with_none() -> random.Random:
    generator = random.Random(1)
    generator.seed(a=None)
    return generator


def given_a_state() -> random.Random:
    generator = random.Random()
    generator.setstate(random.Random(3).getstate())
    return generator


def copied() -> random.Random:
    """A state that was given: the copy goes on as the original would have."""
    return copy.copy(random.Random())


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (random.Random, True),
        (lambda: random.Random(None), True),
        (lambda: random.Random(0), False),
        (seeded_later, False),
        (seeded_by_name, False),
        (seeded_anew, True),
        (seeded_with_none, True),
        (given_a_state, False),
        (copied, False),
        (Own, False),
        # There is no telling.
        (Unhashable, False),
    ],
)
def test_which(make: Callable[[], random.Random], changes: bool) -> None:
    generator = make()
    before = generator.getstate()
    random_generators.reseed()
    assert (generator.getstate() != before) is changes
    # As often as there are forks.
    before = generator.getstate()
    random_generators.reseed()
    assert (generator.getstate() != before) is changes


def test_the_global_one_is_left_alone() -> None:
    random.seed()
    before = random.getstate()
    random_generators.reseed()
    assert random.getstate() == before


def test_a_generator_of_the_system_has_no_state() -> None:
    generator = random.SystemRandom()
    random_generators.reseed()
    assert 0.0 <= generator.random() < 1.0


def test_seeding_does_what_it_does() -> None:
    wanted = random.Random(5).random()
    generator = random.Random()
    generator.seed(5, 2)
    assert generator.random() == wanted
    with pytest.raises(TypeError):
        generator.seed(1, 2, 3)  # type: ignore[call-arg]


def test_one_that_is_gone_is_forgotten() -> None:
    random.Random()
    generator = random.Random()
    assert list(random_generators._unseeded) == [generator]


def test_nothing_is_observed_any_longer() -> None:
    inner = random.Random.seed
    random_generators.observe_no_longer()
    assert random.Random.seed is not inner
    generator = random.Random()
    before = generator.getstate()
    random_generators.reseed()
    assert generator.getstate() == before


class Sequence:
    """As numpy's `SeedSequence`."""

    def __init__(self, entropy: int | None = None) -> None:
        self.entropy = secrets.randbits(128) if entropy is None else entropy


class Bits:
    """As numpy's `PCG64`; its state is another one each time."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed_seq = Sequence(seed)
        self.state: object = object()


class Generator:
    """As numpy's."""

    def __init__(self, bits: Bits) -> None:
        self.bit_generator = bits


class RandomState:
    """As numpy's, which has its bit generator under another name in versions before 1.24."""

    def __init__(self, seed: int | None = None) -> None:
        self._bit_generator: Any = SimpleNamespace(_seed_seq=Sequence(seed))
        self.state: object = object()

    def get_state(self) -> object:
        return self.state

    def set_state(self, state: object) -> None:
        self.state = state


class Subclass(RandomState):
    pass


@pytest.fixture
def _numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("numpy.random")
    vars(module).update(Generator=Generator, RandomState=RandomState)
    monkeypatch.setitem(sys.modules, "numpy.random", module)


def state_of(each: Any) -> object:
    return each.bit_generator.state if isinstance(each, Generator) else each.state


@pytest.mark.usefixtures("_numpy")
@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (lambda: Generator(Bits()), True),
        (lambda: Generator(Bits(7)), False),
        (RandomState, True),
        (lambda: RandomState(7), False),
        # Its constructor may do anything.
        (Subclass, False),
    ],
)
def test_numpy(make: Callable[[], Any], changes: bool) -> None:
    generator = make()
    # There is something that was drawn, and other objects.
    secrets.randbits(128)
    random_generators.find([generator, object(), 3, None])
    before = state_of(generator)
    random_generators.reseed()
    assert (state_of(generator) is not before) is changes


@pytest.mark.usefixtures("_numpy")
def test_a_generator_that_can_not_be_understood_is_left_alone() -> None:
    secrets.randbits(128)
    strange, generator = Generator(Bits()), Generator(Bits())
    del strange.bit_generator
    random_generators.find([strange, generator])
    before = state_of(generator)
    random_generators.reseed()
    assert state_of(generator) is not before


@pytest.mark.usefixtures("_numpy")
def test_numbers_of_other_sizes_were_not_drawn_by_numpy() -> None:
    value = secrets.randbits(64)
    assert 0 <= value < 1 << 64
    random_generators.find([RandomState(value)])
    assert random_generators._of_numpy == {}
    assert random_generators._drawn == set()


def test_no_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numpy.random", raising=False)
    secrets.randbits(128)
    random_generators.find([RandomState(), object()])
    assert random_generators._of_numpy == {}
