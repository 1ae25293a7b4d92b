"""Import statements: which modules they execute, and whether pytest's look at what they bring is
noticed.
"""

from __future__ import annotations

import ast
import sys
from types import ModuleType

from rpytest import stdlib
from rpytest.import_effects import harmless
from rpytest.import_effects.scopes import Scopes
from rpytest.import_effects.symbolic_values import (
    Kind,
    MayLeaveTraces,
    Value,
)

__builtins__ = stdlib.BUILTINS


class Imports(Scopes):
    """Executes imports."""

    def _import(
        self,
        node: ast.Import | ast.ImportFrom,
        scopes: list[dict[str, Value]],
        may_fail: bool = False,
    ) -> None:
        if len(scopes) > 1:
            raise MayLeaveTraces("imports something in a class or function")
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._imported(alias.name, may_fail)
                top = alias.name.partition(".")[0]
                bound = alias.asname or top
                name = alias.name if alias.asname else top
                self._check_imported(bound, alias.name if alias.asname else top, None)
                self._bind(bound, Value(Kind.REFERENCE, name=name), scopes)
            return
        module = self._absolute(node)
        if module == "__future__":
            self._has_plain_annotations |= any(alias.name == "annotations" for alias in node.names)
            return
        self._imported(module, may_fail)
        for alias in node.names:
            if alias.name == "*":
                raise MayLeaveTraces(f"imports everything of `{module}`")
            full = f"{module}.{alias.name}"
            bound = alias.asname or alias.name
            if isinstance(sys.modules.get(full), ModuleType):
                self._imported(full, may_fail)
            self._check_imported(bound, module, alias.name)
            self._taken.append((module, alias.name, bound))
            self._bind(bound, Value(Kind.REFERENCE, name=full), scopes)

    def _imported(self, name: str, may_fail: bool = False) -> None:
        if may_fail and name not in sys.modules:
            if harmless.is_findable(name):
                raise MayLeaveTraces(f"tries to import `{name}`")
            return
        self._imports.setdefault(name)
        if self._depth:
            self._conditional.add(name)
        else:
            self._certain.add(name)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self._package.split(".") if self._package else []
        base = ".".join(parts[: len(parts) - node.level + 1])
        return f"{base}.{node.module}" if node.module else base

    def _check_imported(self, bound: str, module: str, attribute: str | None) -> None:
        """pytest looks at everything that a module's names stand for: may that be noticed?"""
        place = sys.modules.get(module)
        if attribute is None:
            if place is not None and type(place) is not ModuleType:
                raise MayLeaveTraces(f"imports `{module}`, which is an object of another kind")
            return
        full = f"{module}.{attribute}"
        if place is None:
            # The module could not be imported, or has not been imported yet.
            return
        if type(place) is not ModuleType:
            raise MayLeaveTraces(f"imports `{module}`, which is an object of another kind")
        found = vars(place).get(attribute, harmless.NOTHING)
        if found is harmless.NOTHING:
            if full in sys.modules:
                return
            raise MayLeaveTraces(f"imports `{full}`, which its module makes when it is asked for")
        if not harmless.is_benign(found):
            raise MayLeaveTraces(f"imports `{full}`, an object that may notice who looks at it")
        if isinstance(found, type) and module != "unittest":
            if self._is_test_class(bound) or harmless.is_test_case(found):
                raise MayLeaveTraces(f"imports the tests of `{full}`")
        elif callable(found) and self._is_test(bound):
            raise MayLeaveTraces(f"imports the test `{full}`")
