"""Statements, in all branches that may be taken."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from rpytest import stdlib
from rpytest.import_effects import harmless
from rpytest.import_effects.definitions import Definitions
from rpytest.import_effects.symbolic_values import (
    CONTAINER,
    PLAIN,
    REFERENCE,
    ImportEffects,
    Kind,
    MayLeaveTraces,
    Value,
    join,
)

__builtins__ = stdlib.BUILTINS


class Interpreter(Definitions):
    """Executes the statements of one module symbolically."""

    def run(self, tree: ast.Module) -> ImportEffects:
        """The result for a whole module."""
        self._statements(tree.body, [self._globals])
        for own, arguments in self._called_later:
            self._call_own(own, arguments, {}, [self._globals])
        return ImportEffects(
            tuple(self._imports),
            frozenset(self._conditional - self._certain),
            self._reads,
            tuple(self._taken),
        )

    def _statements(self, statements: Iterable[ast.stmt], scopes: list[dict[str, Value]]) -> None:
        for statement in statements:
            self._statement(statement, scopes)

    def _statement(self, node: ast.stmt, scopes: list[dict[str, Value]]) -> None:
        match node:
            case ast.Expr():
                self._expression(node.value, scopes)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(node, scopes)
            case ast.ClassDef():
                self._class(node, scopes)
            case ast.Import() | ast.ImportFrom():
                self._import(node, scopes)
            case ast.Assign():
                value = self._expression(node.value, scopes)
                for target in node.targets:
                    self._assign(target, value, scopes, node.value)
            case ast.AnnAssign():
                if not self._has_plain_annotations:
                    self._annotation(node.annotation, scopes)
                if node.value is not None:
                    self._assign(
                        node.target, self._expression(node.value, scopes), scopes, node.value
                    )
            case ast.AugAssign():
                self._augment(node, scopes)
            case ast.If():
                self._if(node, scopes)
            case ast.For():
                self._for(node.target, node.iter, [*node.body, *node.orelse], scopes)
            case ast.While():
                self._branch([*node.body, *node.orelse], scopes, test=node.test, times=3)
            case ast.Try():
                self._try(node, scopes)
            case ast.Assert():
                self._plain(node.test, scopes, "asserts something of")
                if node.msg is not None:
                    self._plain(node.msg, scopes, "shows")
            case ast.Raise():
                for part in (node.exc, node.cause):
                    if part is not None:
                        self._expression(part, scopes)
            case ast.Delete():
                for target in node.targets:
                    if (
                        not isinstance(target, ast.Name)
                        or self._depth
                        or target.id not in scopes[-1]
                    ):
                        raise MayLeaveTraces("deletes something of another object")
                    del scopes[-1][target.id]
            case ast.Return():
                value = PLAIN if node.value is None else self._expression(node.value, scopes)
                if isinstance(value.own, ast.AST) and value.own not in self._own:
                    # What it finds outside of itself is not known any more.
                    value = REFERENCE
                self._bind("return", value, scopes)
            case ast.Pass() | ast.Break() | ast.Continue():
                pass
            case _:
                raise MayLeaveTraces(f"has a statement of the kind `{type(node).__name__}`")

    def _branch(
        self,
        body: Iterable[ast.stmt],
        scopes: list[dict[str, Value]],
        test: ast.expr | None = None,
        times: int = 1,
    ) -> None:
        body = list(body)
        self._depth += 1
        try:
            for _ in range(times):
                if test is not None:
                    self._plain(test, scopes, "depends on")
                self._statements(body, scopes)
        finally:
            self._depth -= 1

    def _if(self, node: ast.If, scopes: list[dict[str, Value]]) -> None:
        known = self._known(node.test, scopes)
        if known is not None:
            self._statements(node.body if known else node.orelse, scopes)
            return
        if isinstance(node.test, ast.Name) and self._is_type_checking(node.test, scopes):
            self._statements(node.orelse, scopes)
            return
        if isinstance(node.test, ast.Attribute) and node.test.attr == "TYPE_CHECKING":
            self._statements(node.orelse, scopes)
            return
        self._plain(node.test, scopes, "depends on")
        self._branch(node.body, scopes)
        self._branch(node.orelse, scopes)

    def _is_type_checking(self, node: ast.Name, scopes: list[dict[str, Value]]) -> bool:
        value = self._look_up(node.id, scopes)
        return value is not None and value.name == "typing.TYPE_CHECKING"

    def _for(
        self,
        target: ast.expr,
        iterable: ast.expr,
        body: list[ast.stmt],
        scopes: list[dict[str, Value]],
    ) -> None:
        member = self._member(self._iterable(iterable, scopes))
        self._depth += 1
        try:
            for _ in range(3):
                self._assign(target, member, scopes, None)
                self._statements(body, scopes)
        finally:
            self._depth -= 1

    def _try(self, node: ast.Try, scopes: list[dict[str, Value]]) -> None:
        # The first statement is executed in any case.
        first, *rest = node.body
        if isinstance(first, (ast.Import, ast.ImportFrom)):
            self._import(first, scopes, may_fail=True)
        else:
            self._branch([first], scopes)
        self._branch([*rest, *node.orelse], scopes)
        for handler in node.handlers:
            if handler.type is not None:
                self._exception_type(handler.type, scopes)
            if handler.name is not None:
                scopes[-1][handler.name] = REFERENCE
            self._branch(handler.body, scopes)
        self._branch(node.finalbody, scopes)

    def _exception_type(self, node: ast.expr, scopes: list[dict[str, Value]]) -> None:
        parts = node.elts if isinstance(node, ast.Tuple) else [node]
        for part in parts:
            if not isinstance(part, ast.Name) or not harmless.is_exception(part.id):
                self._expression(part, scopes)

    def _assign(
        self,
        target: ast.expr,
        value: Value,
        scopes: list[dict[str, Value]],
        source: ast.expr | None,
    ) -> None:
        match target:
            case ast.Name():
                self._bind(target.id, value, scopes)
            case ast.Tuple() | ast.List():
                if value.kind is Kind.REFERENCE:
                    raise MayLeaveTraces("takes something apart that it has imported")
                elements = source.elts if isinstance(source, (ast.Tuple, ast.List)) else None
                for index, part in enumerate(target.elts):
                    if elements is not None and len(elements) == len(target.elts):
                        self._assign(
                            part, self._expression(elements[index], scopes), scopes, elements[index]
                        )
                    else:
                        self._assign(part, self._member(value), scopes, None)
            case ast.Starred():
                self._assign(target.value, CONTAINER, scopes, None)
            case ast.Subscript() if isinstance(target.value, ast.Name):
                self._plain(target.slice, scopes, "looks for")
                self._fill(target.value.id, value, scopes)
            case ast.Attribute() if self._is_self(target.value, scopes):
                pass
            case _:
                raise MayLeaveTraces("changes something of another object")

    def _is_self(self, node: ast.expr, scopes: list[dict[str, Value]]) -> bool:
        value = self._look_up(node.id, scopes) if isinstance(node, ast.Name) else None
        return value is not None and value.role == "self"

    def _augment(self, node: ast.AugAssign, scopes: list[dict[str, Value]]) -> None:
        if not isinstance(node.target, ast.Name):
            raise MayLeaveTraces("changes something of another object")
        before = self._look_up(node.target.id, scopes)
        value = self._expression(node.value, scopes)
        if (
            before is None
            or Kind.REFERENCE in (before.kind, value.kind)
            or before.role == "foreign"
        ):
            raise MayLeaveTraces(
                f"changes `{node.target.id}`, which it has not made of plain values"
            )
        if before.kind is not value.kind and value.kind is not Kind.PLAIN:
            raise MayLeaveTraces(f"puts something that it has imported into `{node.target.id}`")
        if Kind.CONTAINER in (before.kind, value.kind) and not isinstance(
            node.op, (ast.Add, ast.Mult)
        ):
            raise MayLeaveTraces("computes with what it has imported")
        self._bind(node.target.id, join(before, value), scopes)
