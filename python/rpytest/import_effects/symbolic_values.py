"""What is known of the values of a module that is executed symbolically, and of the whole
module.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from rpytest import stdlib

__builtins__ = stdlib.BUILTINS


class MayLeaveTraces(Exception):
    """The module may leave something; the text says why and goes on after its name."""


@dataclass(frozen=True)
class ImportEffects:
    """What is known of a module that leaves nothing."""

    #: Full names of modules in the order of the import statements that execute them, each once;
    #: `from a import b` is `a`, and `a.b` if that is a module.
    imports: tuple[str, ...]
    #: Those of the imports that are executed under a condition: harmless only if the module was
    #: imported before.
    conditional: frozenset[str]
    #: What the statements look at that may be different at another moment, if anything.
    reads: str | None
    #: Names that are taken out of other modules, as `(module, attribute, own name)`.
    taken: tuple[tuple[str, str, str], ...]


class Kind(enum.IntEnum):
    """What may be done with a value."""

    #: Built from Python's own types alone: all their operations are harmless.
    PLAIN = 0
    #: A list, tuple, set, dictionary or iterator of the module's own, whose members are only handed
    #: on: it may be filled and iterated over, but neither be compared nor be shown.
    CONTAINER = 1
    #: Anything else: it may be stored and handed on.
    REFERENCE = 2


@dataclass(frozen=True)
class Value:
    kind: Kind
    #: Full name of something imported.
    name: str | None = None
    #: A function, lambda or class of the module itself.
    own: Any = None
    #: `mark`, `metafunc`, `self`, `object`: what may be done with it beside handing it on. A
    #: `foreign` container belongs to another module: it may be iterated over, and not be changed.
    role: str | None = None


PLAIN = Value(Kind.PLAIN)
CONTAINER = Value(Kind.CONTAINER)
REFERENCE = Value(Kind.REFERENCE)
MARK = Value(Kind.REFERENCE, role="mark")


def join(one: Value, other: Value) -> Value:
    if one == other:
        return one
    if "foreign" in (one.role, other.role):
        return REFERENCE
    if any(each is not None for each in (one.name, other.name, one.own, other.own)):
        return REFERENCE
    if one.role == other.role or Kind.REFERENCE not in (one.kind, other.kind):
        return Value(max(one.kind, other.kind), role=one.role if one.role == other.role else None)
    return REFERENCE
