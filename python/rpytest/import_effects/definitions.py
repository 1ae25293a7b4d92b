"""Definitions of functions and classes: decorators, bases, and what a class may have."""

from __future__ import annotations

import ast

from rpytest import stdlib
from rpytest.import_effects import harmless
from rpytest.import_effects.calls import Calls
from rpytest.import_effects.symbolic_values import (
    PLAIN,
    REFERENCE,
    Kind,
    MayLeaveTraces,
    Value,
)
from rpytest.import_effects.syntax import annotations_of, is_property

__builtins__ = stdlib.BUILTINS


class Definitions(Calls):
    """Executes definitions."""

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, scopes: list[dict[str, Value]]
    ) -> None:
        for decorator in node.decorator_list:
            self._decorator(decorator, scopes)
        self._defaults(node.args, scopes)
        if not self._has_plain_annotations:
            for annotation in annotations_of(node):
                self._annotation(annotation, scopes)
        is_plain = not node.decorator_list
        if len(scopes) == 1 and is_plain:
            self._own.add(node)
        self._bind(node.name, Value(Kind.REFERENCE, own=node if is_plain else "decorated"), scopes)
        if node.name == "pytest_generate_tests" and len(scopes) == 1 and not self._is_conftest:
            self._called_later.append((node, [Value(Kind.REFERENCE, role="metafunc")]))

    def _decorator(self, node: ast.expr, scopes: list[dict[str, Value]]) -> None:
        function = node.func if isinstance(node, ast.Call) else node
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            # `@value.setter`: of a property of the class.
            own = self._look_up(function.value.id, scopes[1:])
            if (
                own is not None
                and own.own is not None
                and function.attr in ("setter", "getter", "deleter")
            ):
                return
        name = self._full_name(function, scopes)
        is_unknown = isinstance(function, ast.Name) and self._look_up(function.id, scopes) is None
        if is_unknown and ast.unparse(function) in harmless.BUILTIN_DECORATORS:
            return
        value = self._expression(node, scopes) if harmless.is_mark(name) or name is None else None
        if value is not None and value.role == "mark":
            return
        if (
            value is not None
            and isinstance(node, ast.Name)
            and isinstance(value.own, ast.FunctionDef)
        ):
            self._call_own(value.own, [REFERENCE], {}, scopes)
            return
        if name is None or name not in harmless.DECORATORS:
            raise MayLeaveTraces(f"is decorated by `{ast.unparse(function)[:60]}`")
        if isinstance(node, ast.Call) and name in ("unittest.skipIf", "unittest.skipUnless"):
            self._plain_arguments(node, scopes, name)
        elif isinstance(node, ast.Call):
            self._stored_arguments(node, scopes, is_fixture=name.endswith("fixture"))

    def _class(self, node: ast.ClassDef, scopes: list[dict[str, Value]]) -> None:
        for decorator in node.decorator_list:
            self._decorator(decorator, scopes)
        for keyword in node.keywords:
            if keyword.arg not in ("frozen", "total", "slots"):
                raise MayLeaveTraces(f"makes the class `{node.name}` in another way")
            self._plain(keyword.value, scopes, "depends on")
        is_test_class = self._is_test_class(node.name)
        for base in node.bases:
            self._base(base, scopes, is_test_class)
        inner: dict[str, Value] = {"__qualname__": PLAIN, "__module__": PLAIN}
        self._statements(node.body, [*scopes, inner])
        is_enum = any(
            (self._full_name(base, scopes) or "").startswith("enum.") for base in node.bases
        )
        for name, value in inner.items():
            if is_enum and name in ("__init__", "__eq__", "__hash__"):
                # Called for each member when the class is made.
                raise MayLeaveTraces(f"has an enumeration with `{name}`")
            if name in harmless.HOOKS_OF_CLASSES:
                raise MayLeaveTraces(f"has a class with `{name}`")
            is_foreign = value.kind is Kind.REFERENCE and value.own is None and value.role is None
            if is_foreign and not (
                value.name and harmless.has_no_owner(harmless.resolve(value.name))
            ):
                raise MayLeaveTraces(f"gives the class `{node.name}` the attribute `{name}`")
        if is_test_class or any(self._is_of_unittest(base, scopes) for base in node.bases):
            for part in node.body:
                if isinstance(part, harmless.FUNCTIONS) and any(
                    is_property(each) for each in part.decorator_list
                ):
                    raise MayLeaveTraces(f"has the property `{part.name}` in a class of tests")
        self._bind(node.name, Value(Kind.REFERENCE, own=node), scopes)

    def _is_of_unittest(self, base: ast.expr, scopes: list[dict[str, Value]]) -> bool:
        name = self._full_name(base, scopes)
        return name is None or not name.startswith(("typing", "enum", "abc", "collections"))

    def _base(self, node: ast.expr, scopes: list[dict[str, Value]], is_test_class: bool) -> None:
        if isinstance(node, ast.Subscript):
            self._annotation(node, scopes)
            node = node.value
        name = self._full_name(node, scopes)
        if name is not None:
            if name not in harmless.BASES and not harmless.may_be_base(
                harmless.resolve(name), is_test_class
            ):
                raise MayLeaveTraces(f"has a class that is a `{name}`")
            return
        if isinstance(node, ast.Name):
            value = self._look_up(node.id, scopes)
            if value is not None and isinstance(value.own, ast.ClassDef):
                return
            if value is None and (
                node.id in harmless.PURE_BUILTINS or harmless.is_exception(node.id)
            ):
                return
        raise MayLeaveTraces(f"has a class that is a `{ast.unparse(node)[:60]}`")
