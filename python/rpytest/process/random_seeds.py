"""Generators of random numbers that a project has seeded while it was collected, or a session
fixture that all workers share.

CPython gives `random` a new seed in every forked process, and rpytest does so with numpy's global
state: workers, and runs of a warm session, must not draw the same numbers. But a project that says
``random.seed(0)`` in a module or in its conftest's ``pytest_configure`` means what follows to be
determined, as it is under pytest and in each of pytest-xdist's workers, which import for
themselves. So what code mentions a `seed` outside of its functions is noted when it is executed; if
that turns out to be the generator's, its state survives our forks. While a shared fixture is set
up, calls are noticed, wherever they come from.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

from rpytest import stdlib
from rpytest.stdlib import contextlib

__builtins__ = stdlib.BUILTINS

#: The flag of functions (`inspect.CO_OPTIMIZED`), which modules and bodies of classes lack.
_IS_FUNCTION = 1

_NAMES = frozenset({"LOAD_NAME", "LOAD_GLOBAL"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_BETWEEN = frozenset({"CACHE", "PUSH_NULL"})

_GENERATORS = ("random", "numpy.random")
_GUESSES = {
    ("random", "seed"): ("random",),
    ("np", "random", "seed"): ("numpy.random",),
    ("numpy", "random", "seed"): ("numpy.random",),
}

#: Files, and the dotted names in them that may be a generator's `seed`; the resolved ones are gone.
_mentioned: list[tuple[str, tuple[str, ...]]] = []
#: Names of the modules, `random` and `numpy.random`, whose global generators were seeded.
_seeded: set[str] = set()


def note_seeds(code: CodeType) -> None:
    """A module of the project is about to be executed."""
    _mentioned.extend((code.co_filename, name) for name in _mentions(code))


def is_seeded(module: str) -> bool:
    """Whether the project has seeded the global generator of this module."""
    if _mentioned:
        _resolve()
    return module in _seeded


@contextlib.contextmanager
def noticing() -> Iterator[None]:
    """While something of the project is called: note whether it seeds a generator."""
    replaced = []
    for name in _GENERATORS:
        module: Any = sys.modules.get(name)
        seed = getattr(module, "seed", None)
        if seed is not None:
            module.seed = noticed = _noticed(name, seed)
            replaced.append((module, seed, noticed))
    try:
        yield
    finally:
        for module, seed, noticed in replaced:
            if module.seed is noticed:
                module.seed = seed


def _noticed(name: str, seed: Any) -> Any:
    @functools.wraps(seed)
    def noticed(*args: Any, **kwargs: Any) -> Any:
        # Without a value it is a new one.
        if any(value is not None for value in (*args[:1], *kwargs.values())):
            _seeded.add(name)
        else:
            _seeded.discard(name)
        return seed(*args, **kwargs)

    return noticed


def state() -> object | None:
    """What a fork must give to :func:`restore`, to have the same random numbers before it."""
    return sys.modules["random"].getstate() if is_seeded("random") else None


def restore(state: object | None) -> None:
    """Go on from this state in the forked process, after CPython has seeded it anew."""
    if state is not None:
        sys.modules["random"].setstate(state)


def _mentions(code: CodeType) -> Iterator[tuple[str, ...]]:
    if "seed" in code.co_names:
        yield from _dotted_names(code)
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and (
            not inner.co_flags & _IS_FUNCTION or inner.co_name.startswith("pytest_")
        ):
            yield from _mentions(inner)


def _dotted_names(code: CodeType) -> Iterator[tuple[str, ...]]:
    """`random.seed`, `np.random.seed`, and what `seed` is called after
    ``from … import seed as …``.
    """
    import dis

    name: tuple[str, ...] = ()
    is_imported = False
    for instruction in dis.get_instructions(code):
        operation, value = instruction.opname, instruction.argval
        if is_imported:
            yield (value,)
            is_imported = False
        elif operation in _NAMES:
            name = (value,)
        elif operation in _ATTRIBUTES and name:
            name = (*name, value)
            if value == "seed":
                yield name
        elif operation not in _BETWEEN:
            is_imported = operation == "IMPORT_FROM" and value == "seed"
            name = ()


def _resolve() -> None:
    """Find out which of the mentioned names are generators', now that their modules have been
    executed.
    """
    mentioned = _mentioned.copy()
    _mentioned.clear()
    modules = _modules({file for file, _ in mentioned})
    for file, name in mentioned:
        if file not in modules:
            # Such as a conftest whose name another one has now.
            _seeded.update(_GUESSES.get(name, ()))
            continue
        first, *rest = name
        found: Any = modules[file].get(first)
        for attribute in rest:
            found = getattr(found, attribute, None)
        for generator in _GENERATORS:
            seed = getattr(sys.modules.get(generator), "seed", None)
            if seed is not None and found == seed:
                _seeded.add(generator)


def _modules(files: set[str]) -> dict[str, dict[str, Any]]:
    """The contents of the modules that come from these files."""
    found = {}
    for module in list(sys.modules.values()):
        try:
            # `getattr` would load a module that is loaded lazily.
            contents = object.__getattribute__(module, "__dict__")
        except AttributeError:
            continue
        file = contents.get("__file__")
        if isinstance(file, str) and file in files:
            found[file] = contents
    return found
