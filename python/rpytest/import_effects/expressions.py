"""Expressions: only plain values are asked anything; all others are stored and handed on."""

from __future__ import annotations

import ast
import enum
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from rpytest import stdlib
from rpytest.import_effects import harmless
from rpytest.import_effects.imports import Imports
from rpytest.import_effects.symbolic_values import (
    CONTAINER,
    MARK,
    PLAIN,
    REFERENCE,
    Kind,
    MayLeaveTraces,
    Value,
    join,
)

__builtins__ = stdlib.BUILTINS


class Expressions(Imports):
    """Evaluates expressions."""

    def _plain(self, node: ast.expr, scopes: list[dict[str, Value]], what: str) -> None:
        """Python is to ask the value something: that is harmless for plain ones only."""
        if self._expression(node, scopes).kind is not Kind.PLAIN:
            raise MayLeaveTraces(f"{what} `{ast.unparse(node)[:60]}`")

    def _iterable(self, node: ast.expr, scopes: list[dict[str, Value]]) -> Value:
        value = self._expression(node, scopes)
        if value.kind is Kind.REFERENCE:
            raise MayLeaveTraces(f"iterates over `{ast.unparse(node)[:60]}`")
        return value

    @staticmethod
    def _member(value: Value) -> Value:
        return PLAIN if value.kind is Kind.PLAIN else REFERENCE

    def _expression(self, node: ast.expr, scopes: list[dict[str, Value]]) -> Value:
        match node:
            case ast.Constant():
                return PLAIN
            case ast.Name():
                return self._name_value(node, scopes)
            case ast.Attribute():
                return self._attribute(node, scopes)
            case ast.Call():
                return self._call(node, scopes)
            case ast.List() | ast.Tuple():
                return self._collection(node.elts, scopes)
            case ast.Set():
                for each in node.elts:
                    self._plain(each, scopes, "hashes")
                return PLAIN
            case ast.Dict():
                for key, held in zip(node.keys, node.values, strict=True):
                    if key is not None:
                        self._plain(key, scopes, "hashes")
                    else:
                        self._iterable(held, scopes)
                return self._collection(node.values, scopes)
            case ast.BinOp():
                return self._operation(node, scopes)
            case ast.UnaryOp():
                self._plain(node.operand, scopes, "computes with")
                return PLAIN
            case ast.BoolOp():
                for each in node.values[:-1]:
                    self._plain(each, scopes, "depends on")
                return join(PLAIN, self._expression(node.values[-1], scopes))
            case ast.Compare():
                return self._comparison(node, scopes)
            case ast.IfExp():
                if self._known(node.test, scopes) is None:
                    self._plain(node.test, scopes, "depends on")
                return join(
                    self._expression(node.body, scopes), self._expression(node.orelse, scopes)
                )
            case ast.JoinedStr():
                for each in node.values:
                    self._expression(each, scopes)
                return PLAIN
            case ast.FormattedValue():
                self._plain(node.value, scopes, "shows")
                if node.format_spec is not None:
                    self._expression(node.format_spec, scopes)
                return PLAIN
            case ast.Subscript():
                return self._subscript(node, scopes)
            case ast.Slice():
                for part in (node.lower, node.upper, node.step):
                    if part is not None:
                        self._plain(part, scopes, "looks for")
                return PLAIN
            case ast.Starred():
                return self._iterable(node.value, scopes)
            case ast.Lambda():
                self._defaults(node.args, scopes)
                return Value(Kind.REFERENCE, own=node if len(scopes) == 1 else "inner")
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                return self._comprehension(node, [node.elt], scopes, isinstance(node, ast.SetComp))
            case ast.DictComp():
                return self._comprehension(node, [node.key, node.value], scopes, False)
            case ast.NamedExpr():
                value = self._expression(node.value, scopes)
                self._bind(node.target.id, value, scopes)
                return value
        raise MayLeaveTraces(f"has an expression of the kind `{type(node).__name__}`")

    def _collection(self, elements: Iterable[ast.expr], scopes: list[dict[str, Value]]) -> Value:
        values = [self._expression(each, scopes) for each in elements]
        if all(value.role == "mark" for value in values) and values:
            return MARK
        return PLAIN if all(value.kind is Kind.PLAIN for value in values) else CONTAINER

    def _comprehension(
        self,
        node: Any,
        results: list[ast.expr],
        scopes: list[dict[str, Value]],
        is_hashed: bool,
    ) -> Value:
        # Names of a class are not found from inside of it, except by the first iterable.
        outside = [scope for scope in scopes if "__qualname__" not in scope]
        inner = [*outside, dict[str, Value]()]
        self._depth += 1
        try:
            for generator in node.generators:
                self._assign(
                    generator.target,
                    self._member(self._iterable(generator.iter, inner)),
                    inner,
                    None,
                )
                for condition in generator.ifs:
                    self._plain(condition, inner, "depends on")
            values = [self._expression(each, inner) for each in results]
        finally:
            self._depth -= 1
        if (is_hashed or len(values) > 1) and values[0].kind is not Kind.PLAIN:
            raise MayLeaveTraces("hashes what it has imported")
        return PLAIN if all(value.kind is Kind.PLAIN for value in values) else CONTAINER

    def _operation(self, node: ast.BinOp, scopes: list[dict[str, Value]]) -> Value:
        left, right = self._expression(node.left, scopes), self._expression(node.right, scopes)
        kinds = {left.kind, right.kind}
        if kinds == {Kind.PLAIN}:
            return PLAIN
        if Kind.REFERENCE not in kinds and isinstance(node.op, (ast.Add, ast.Mult)):
            return CONTAINER
        raise MayLeaveTraces(f"computes with `{ast.unparse(node)[:60]}`")

    def _comparison(self, node: ast.Compare, scopes: list[dict[str, Value]]) -> Value:
        sides = [node.left, *node.comparators]
        if all(isinstance(each, (ast.Is, ast.IsNot)) for each in node.ops):
            for side in sides:
                self._expression(side, scopes)
            return PLAIN
        if self._known(node, scopes) is not None:
            return PLAIN
        is_member = len(sides) == 2 and isinstance(node.ops[0], (ast.In, ast.NotIn))
        if is_member and self._full_name(sides[1], scopes) == "os.environ":
            self._plain(sides[0], scopes, "looks for")
            self._read("the environment")
            return PLAIN
        for side in sides:
            self._plain(side, scopes, "compares")
        return PLAIN

    def _subscript(self, node: ast.Subscript, scopes: list[dict[str, Value]]) -> Value:
        name = self._full_name(node.value, scopes)
        if name == "os.environ":
            self._plain(node.slice, scopes, "looks for")
            self._read("the environment")
            return PLAIN
        if name in ("sys.version_info", "sys.implementation"):
            return PLAIN
        if name is not None and name.partition(".")[0] in harmless.GENERIC_ROOTS:
            self._annotation(node, scopes)
            return REFERENCE
        is_builtin = isinstance(node.value, ast.Name) and node.value.id in harmless.GENERIC_BUILTINS
        if is_builtin and self._look_up(ast.unparse(node.value), scopes) is None:
            self._annotation(node, scopes)
            return REFERENCE
        value = self._expression(node.value, scopes)
        self._plain(node.slice, scopes, "looks for")
        if value.kind is Kind.REFERENCE:
            raise MayLeaveTraces(f"looks into `{ast.unparse(node.value)[:60]}`")
        return self._member(value)

    def _name_value(self, node: ast.Name, scopes: list[dict[str, Value]]) -> Value:
        value = self._look_up(node.id, scopes)
        if value is None:
            if (
                node.id in harmless.PURE_BUILTINS
                or node.id in harmless.BUILTIN_DECORATORS
                or harmless.is_exception(node.id)
            ):
                return REFERENCE
            if node.id in ("NotImplemented", "Ellipsis", "print", "open", "super", "map", "filter"):
                return REFERENCE
            raise MayLeaveTraces(f"uses `{node.id}`")
        if value.name is not None:
            return self._foreign(value.name)
        return value

    def _attribute(self, node: ast.Attribute, scopes: list[dict[str, Value]]) -> Value:
        name = self._full_name(node, scopes)
        if name is not None:
            return self._foreign(name)
        value = self._expression(node.value, scopes)
        if value.kind is Kind.PLAIN:
            return PLAIN
        if value.role == "metafunc" and node.attr in ("fixturenames",):
            return PLAIN
        if value.role in ("metafunc", "self"):
            return REFERENCE
        if isinstance(value.own, ast.ClassDef) and self._is_simple_enum(value.own, scopes):
            return REFERENCE
        raise MayLeaveTraces(f"takes `{node.attr}` of `{ast.unparse(node.value)[:60]}`")

    def _foreign(self, name: str) -> Value:
        """Something that was imported, by its full name, is taken as it is."""
        if harmless.is_mark(name):
            return Value(Kind.REFERENCE, name=name, role="mark")
        if name in harmless.CONSTANT_VALUES:
            return PLAIN
        found = harmless.resolve(name)
        if found is harmless.NOTHING:
            raise MayLeaveTraces(f"uses `{name}`")
        module = name.rpartition(".")[0]
        if (
            type(found) is not ModuleType
            and module.partition(".")[0] not in sys.stdlib_module_names
        ):
            self._read(f"`{name}`")
        if type(found) in harmless.SIMPLE:
            return PLAIN
        if type(found) in (tuple, frozenset) and all(
            type(each) in harmless.SIMPLE for each in found
        ):
            return PLAIN
        if not harmless.is_benign(found):
            raise MayLeaveTraces(f"uses `{name}`, an object that may notice who looks at it")
        if type(found) in (list, tuple, dict, set, frozenset) or isinstance(found, enum.EnumMeta):
            members = found.values() if type(found) is dict else found
            if not isinstance(found, enum.EnumMeta) and not all(map(harmless.is_benign, members)):
                raise MayLeaveTraces(
                    f"uses `{name}`, which has objects that may notice who looks at them"
                )
            if not isinstance(found, type):
                return Value(Kind.CONTAINER, name=name, role="foreign")
            if type(found).__dict__.get("__iter__", None) is None or type(found) is enum.EnumMeta:
                return Value(Kind.CONTAINER, name=name, role="foreign")
        return Value(Kind.REFERENCE, name=name)

    def _is_simple_enum(self, own: ast.ClassDef, scopes: list[dict[str, Value]]) -> bool:
        names = {self._full_name(base, scopes) for base in own.bases}
        has_methods = any(isinstance(part, harmless.FUNCTIONS) for part in own.body)
        return (
            bool(names)
            and not has_methods
            and all(name in harmless.BASES and "enum." in name for name in names if name)
        )

    def _annotation(self, node: ast.expr, scopes: list[dict[str, Value]]) -> None:
        """Evaluated when the definition is executed, unless Python is told, or new enough."""
        match node:
            case ast.Constant():
                return
            case ast.Name() | ast.Attribute():
                self._expression(node, scopes)
                return
            case ast.Tuple() | ast.List():
                for each in node.elts:
                    self._annotation(each, scopes)
                return
            case ast.BinOp(op=ast.BitOr()):
                for side in (node.left, node.right):
                    self._annotation(side, scopes)
                    name = self._full_name(side, scopes)
                    is_hint = name is None or name.partition(".")[0] in harmless.GENERIC_ROOTS
                    if (
                        name is not None
                        and not is_hint
                        and type(harmless.resolve(name)) is not type
                    ):
                        raise MayLeaveTraces("has an annotation that is computed")
                return
            case ast.Subscript():
                name = self._full_name(node.value, scopes)
                is_builtin = (
                    isinstance(node.value, ast.Name) and node.value.id in harmless.GENERIC_BUILTINS
                )
                if (name is not None and name.partition(".")[0] in harmless.GENERIC_ROOTS) or (
                    name is None
                    and is_builtin
                    and self._look_up(ast.unparse(node.value), scopes) is None
                ):
                    self._annotation(node.slice, scopes)
                    return
            case _:
                pass
        raise MayLeaveTraces("has an annotation that is computed")

    def _defaults(self, arguments: ast.arguments, scopes: list[dict[str, Value]]) -> None:
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self._expression(default, scopes)
