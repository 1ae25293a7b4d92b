"""Questions about a piece of source that its syntax alone answers."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from rpytest import stdlib
from rpytest.import_effects import harmless
from rpytest.stdlib import os

__builtins__ = stdlib.BUILTINS


def own_statements(function: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a function, but what is in functions and classes of it."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, (*harmless.FUNCTIONS, ast.ClassDef, ast.Lambda)):
            yield from own_statements(child)


def annotations_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    arguments = node.args
    every = [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    ]
    for argument in every:
        if argument is not None and argument.annotation is not None:
            yield argument.annotation
    if node.returns is not None:
        yield node.returns


def is_property(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "property"


def known_condition(node: ast.expr) -> bool | None:
    """What a condition on Python's version or the platform says; `None`: it is another one."""
    if ast.unparse(node) in ("__name__ == '__main__'", "'__main__' == __name__"):
        return False
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute):
            if not isinstance(each.value, ast.Name):
                return None
            if f"{each.value.id}.{each.attr}" not in (
                "sys.version_info",
                "sys.platform",
                "os.name",
            ):
                return None
        elif isinstance(each, ast.Name):
            if each.id not in ("sys", "os"):
                return None
        elif not isinstance(
            each,
            (
                ast.Compare,
                ast.BoolOp,
                ast.UnaryOp,
                ast.Not,
                ast.Constant,
                ast.Tuple,
                ast.Subscript,
                ast.Slice,
                ast.cmpop,
                ast.boolop,
                ast.expr_context,
            ),
        ):
            return None
    if not isinstance(node, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
        return None
    try:
        code = compile(ast.fix_missing_locations(ast.Expression(node)), "<condition>", "eval")
        return bool(eval(code, {"__builtins__": {}, "sys": sys, "os": os}))
    except Exception:
        return None
