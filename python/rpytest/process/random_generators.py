"""Generators of random numbers that are objects: a module's own `random.Random()`, Faker's,
factory_boy's, numpy's `default_rng()`.

Made while a session is collected, from the system's entropy, they would draw the same numbers in
each of its forks, in workers and in warm runs: two tests would create the same user. Under
pytest-xdist each process makes its own. So those that got their state from the system get another
one in each fork; those that somebody has seeded, or given a state, keep it.

Which is which is observed where it happens (`random.Random.seed` and `setstate`), and for numpy,
whose generators can't be observed, known by the number that they have drawn (`secrets.randbits`),
which they keep. Workers have the functions as they were.
"""

from __future__ import annotations

import functools
import random
import secrets
import sys
import weakref
from typing import Any

from rpytest import stdlib
from rpytest.stdlib import contextlib

__builtins__ = stdlib.BUILTINS

_seed = random.Random.seed
_setstate = random.Random.setstate
_randbits = secrets.randbits

#: Generators of `random.Random` with a state from the system.
_unseeded: weakref.WeakSet[random.Random] = weakref.WeakSet()
#: Generators of numpy, which have no weak references, by identity.
_of_numpy: dict[int, Any] = {}
#: What the system was asked for: numpy takes 128 bits.
_drawn: set[int] = set()
_NUMPY_BITS = 128


def observe() -> None:
    """Notice generators with a state from the system, in the process that all others are forked
    from, before anything of a project or a library runs.
    """
    known: Any = random
    global_one = known._inst

    @functools.wraps(_seed)
    def seed(self: random.Random, *args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        _seed(self, *args, **kwargs)
        # The global one is CPython's affair, and that of `process.random_seeds`.
        if self is not global_one:
            value = args[0] if args else kwargs.get("a")
            _note(self, value is None)

    @functools.wraps(_setstate)
    def setstate(self: random.Random, *args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        _setstate(self, *args, **kwargs)
        _note(self, False)

    @functools.wraps(_randbits)
    def randbits(k: int) -> int:
        value = _randbits(k)
        if k == _NUMPY_BITS:
            _drawn.add(value)
        return value

    random.Random.seed = seed  # type: ignore[method-assign]
    random.Random.setstate = setstate  # type: ignore[method-assign]
    secrets.randbits = randbits


def observe_no_longer() -> None:
    """Notice no more, in a worker: what is made from here on is its own."""
    random.Random.seed = _seed  # type: ignore[method-assign]
    random.Random.setstate = _setstate  # type: ignore[method-assign]
    secrets.randbits = _randbits


def _note(generator: random.Random, is_unseeded: bool) -> None:
    # A generator of a class without a hash can't be noted.
    with contextlib.suppress(TypeError):
        (_unseeded.add if is_unseeded else _unseeded.discard)(generator)


def find(objects: list[Any]) -> None:
    """Keep numpy's generators among these."""
    module: Any = sys.modules.get("numpy.random")
    classes = tuple(
        filter(None, (getattr(module, name, None) for name in ("Generator", "RandomState")))
    )
    if classes and _drawn:
        _of_numpy.update((id(each), each) for each in objects if type(each) in classes)


def reseed() -> None:
    """Give a forked process other numbers than the one that it was forked from."""
    for generator in list(_unseeded):
        _seed(generator)
    for each in list(_of_numpy.values()):
        with contextlib.suppress(Exception):
            bits = each.bit_generator if hasattr(each, "bit_generator") else each._bit_generator
            sequence = getattr(bits, "seed_seq", None) or getattr(bits, "_seed_seq", None)
            if getattr(sequence, "entropy", None) not in _drawn:
                continue
            # `seed` is not used: after it, nothing would tell that the project has not called it.
            if hasattr(each, "set_state"):
                each.set_state(type(each)().get_state())
            else:
                bits.state = type(bits)().state
