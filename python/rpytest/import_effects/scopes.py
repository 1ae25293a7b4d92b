"""The state of a symbolic execution: what its names stand for, and what it has found out so far."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from rpytest import stdlib
from rpytest.import_effects import harmless
from rpytest.import_effects.symbolic_values import (
    PLAIN,
    Kind,
    MayLeaveTraces,
    Value,
    join,
)
from rpytest.import_effects.syntax import known_condition

__builtins__ = stdlib.BUILTINS


class Scopes:
    """What its names stand for, and what was found out so far."""

    def __init__(
        self,
        module: ModuleType | None,
        name: str,
        is_test_class: Callable[[str], bool],
        is_test: Callable[[str], bool],
        is_conftest: bool,
    ) -> None:
        self._is_conftest = is_conftest
        is_package = module is not None and hasattr(module, "__path__")
        self._package = name if is_package else name.rpartition(".")[0]
        self._is_test_class = is_test_class
        self._is_test = is_test
        self._imports: dict[str, None] = {}
        self._conditional: set[str] = set()
        self._certain: set[str] = set()
        self._taken: list[tuple[str, str, str]] = []
        self._reads: str | None = None
        self._has_plain_annotations = sys.version_info >= (3, 14)
        #: Inside of a branch or loop.
        self._depth = 0
        #: Calls of own functions.
        self._calls = 0
        #: Functions that pytest calls while it collects, with what they are called with.
        self._called_later: list[tuple[Any, list[Value]]] = []
        #: Functions and classes at the module's own level.
        self._own: set[ast.AST] = set()
        self._globals: dict[str, Value] = dict.fromkeys(harmless.GIVEN_NAMES, PLAIN)

    def _read(self, what: str) -> None:
        self._reads = self._reads or what

    def _look_up(self, name: str, scopes: Sequence[Mapping[str, Value]]) -> Value | None:
        for scope in reversed(scopes):
            if name in scope:
                return scope[name]
        return None

    def _bind(self, name: str, value: Value, scopes: Sequence[dict[str, Value]]) -> None:
        scope = scopes[-1]
        if scope is self._globals:
            if name in ("pytest_plugins", "__getattr__", "__dir__", "__class__"):
                raise MayLeaveTraces(f"defines `{name}`")
            is_hook = name.startswith("pytest_") and name not in (
                "pytest_generate_tests",
                "pytestmark",
            )
            if is_hook and value.own is not None and not self._is_conftest:
                raise MayLeaveTraces(f"has the hook `{name}`")
        scope[name] = join(scope[name], value) if self._depth and name in scope else value

    def _fill(self, name: str, value: Value, scopes: list[dict[str, Value]]) -> None:
        """Something is put into a container of the module's own, found by this name."""
        for scope in reversed(scopes):
            if name in scope:
                held = scope[name]
                if held.kind is Kind.REFERENCE or held.role == "foreign":
                    raise MayLeaveTraces(f"changes what is in `{name}`")
                if value.kind is not Kind.PLAIN and held.kind is Kind.PLAIN:
                    # Whoever else holds it takes its members for plain ones.
                    raise MayLeaveTraces(f"puts something that it has imported into `{name}`")
                return
        raise MayLeaveTraces(f"changes what is in `{name}`")

    def _full_name(self, node: ast.expr, scopes: list[dict[str, Value]]) -> str | None:
        """The full name of something imported; `None`: it is something else."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        value = self._look_up(node.id, scopes)
        if value is None or value.name is None:
            return None
        return ".".join([value.name, *reversed(parts)])

    def _known(self, node: ast.expr, scopes: list[dict[str, Value]]) -> bool | None:
        """What a condition says at any moment; `None`: nobody knows."""
        for name in ("sys", "os"):
            value = self._look_up(name, scopes)
            if value is not None and value.name != name:
                return None
        return known_condition(node)

    # What the classes below this one do

    def _expression(self, node: ast.expr, scopes: list[dict[str, Value]]) -> Value:
        """The value of an expression."""
        raise NotImplementedError

    def _call(self, node: ast.Call, scopes: list[dict[str, Value]]) -> Value:
        """The value of a call."""
        raise NotImplementedError

    def _assign(
        self,
        target: ast.expr,
        value: Value,
        scopes: list[dict[str, Value]],
        source: ast.expr | None,
    ) -> None:
        """Something is assigned; ``source``: the expression that its value is of, if there is
        one.
        """
        raise NotImplementedError

    def _statements(self, statements: Iterable[ast.stmt], scopes: list[dict[str, Value]]) -> None:
        """Statements are executed."""
        raise NotImplementedError
