"""What importing and collecting a test module does: is it certain that it leaves nothing outside?

:func:`import_effects` executes the statements of a module symbolically. Only what is known to leave
nothing may be executed: definitions, literals, operators and methods of Python's own types, marks
and fixtures, and a written list of functions that keep nothing of what they are given. Whatever
else the module would execute raises :class:`MayLeaveTraces`. The list is a list of what is
harmless: what is missing in it costs time and never a wrong result.

Two facts come with the proof: the imports in their order, since executing *another* module for the
first time is an effect, too; and whether the statements look at anything that may be different
at another moment (:attr:`ImportEffects.reads`).
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from rpytest import stdlib
from rpytest.import_effects.statements import Interpreter
from rpytest.import_effects.symbolic_values import (
    ImportEffects,
)
from rpytest.project import parsing

__builtins__ = stdlib.BUILTINS


def import_effects(
    source: bytes,
    module: ModuleType | None,
    name: str,
    is_test_class: Callable[[str], bool] = lambda _: True,
    is_test: Callable[[str], bool] = lambda _: True,
    is_conftest: bool = False,
) -> ImportEffects:
    """Prove that a module leaves nothing, or raise :class:`MayLeaveTraces`.

    ``module`` is the imported module, if there is one yet: what its statements have taken from
    others is looked at there. ``name`` is its full name. ``is_test_class`` and ``is_test`` say of a
    name whether pytest looks for tests behind it. Hooks of a conftest are not judged here. Raises,
    too, what :func:`ast.parse` raises.
    """
    return Interpreter(module, name, is_test_class, is_test, is_conftest).run(parsing.parse(source))
