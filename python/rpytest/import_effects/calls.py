"""Calls: of what is on the list of harmless functions, of marks, of methods of plain values, and of
the module's own functions.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from rpytest import stdlib
from rpytest.import_effects import harmless
from rpytest.import_effects.expressions import Expressions
from rpytest.import_effects.symbolic_values import (
    CONTAINER,
    MARK,
    PLAIN,
    REFERENCE,
    Kind,
    MayLeaveTraces,
    Value,
)
from rpytest.import_effects.syntax import own_statements

__builtins__ = stdlib.BUILTINS

#: Calls in calls that are followed.
_MOST_DEPTH = 12


class Calls(Expressions):
    """Follows calls."""

    def _call(self, node: ast.Call, scopes: list[dict[str, Value]]) -> Value:
        function = node.func
        name = self._full_name(function, scopes)
        if name is not None:
            return self._call_foreign(harmless.canonical(name), node, scopes)
        if isinstance(function, ast.Name):
            value = self._look_up(function.id, scopes)
            if value is None:
                return self._call_builtin(function.id, node, scopes)
            if value.role == "mark":
                self._stored_arguments(node, scopes)
                return MARK
            if value.own is not None:
                return self._call_known(value.own, function.id, node, scopes)
            raise MayLeaveTraces(f"calls `{function.id}`, which it has computed")
        if isinstance(function, ast.Attribute):
            return self._call_method(function, node, scopes)
        raise MayLeaveTraces("calls what it has computed")

    def _call_foreign(self, name: str, node: ast.Call, scopes: list[dict[str, Value]]) -> Value:
        if harmless.is_mark(name):
            only = node.args[0] if len(node.args) == 1 and not node.keywords else None
            if only is not None and self._expression(only, scopes).kind is Kind.REFERENCE:
                own = self._expression(only, scopes).own
                if own is None:
                    raise MayLeaveTraces("marks something that it has imported")
            self._stored_arguments(node, scopes, is_parametrized=name.endswith(".parametrize"))
            return MARK
        if name == "pytest.approx":
            self._plain_arguments(node, scopes, name)
            return REFERENCE
        if name in harmless.PURE or name in harmless.READING:
            self._plain_arguments(node, scopes, name)
            if name in harmless.READING:
                self._read(f"`{name}`")
            return PLAIN
        if name in harmless.STORING:
            self._stored_arguments(node, scopes)
            return Value(Kind.REFERENCE, role="object")
        if name == "pytest.importorskip":
            return self._import_or_skip(node, scopes)
        if name == "pytest.skip":
            self._plain_arguments(node, scopes, name)
            return PLAIN
        if name == "collections.defaultdict":
            factory = node.args[0] if node.args else None
            if factory is None or (
                isinstance(factory, ast.Name) and factory.id in harmless.PURE_BUILTINS
            ):
                return PLAIN
        raise MayLeaveTraces(f"calls `{name}`")

    def _import_or_skip(self, node: ast.Call, scopes: list[dict[str, Value]]) -> Value:
        first = node.args[0] if node.args else None
        if (
            not isinstance(first, ast.Constant)
            or not isinstance(first.value, str)
            or len(scopes) > 1
        ):
            raise MayLeaveTraces("imports what only running it can tell")
        for other in (*node.args[1:], *(keyword.value for keyword in node.keywords)):
            self._expression(other, scopes)
        self._imported(first.value, may_fail=True)
        return Value(Kind.REFERENCE, name=first.value)

    def _plain_arguments(self, node: ast.Call, scopes: list[dict[str, Value]], name: str) -> None:
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            value = self._expression(argument, scopes)
            if value.kind is not Kind.PLAIN and not (
                value.kind is Kind.REFERENCE and self._is_type(argument, scopes)
            ):
                raise MayLeaveTraces(f"calls `{name}` with `{ast.unparse(argument)[:60]}`")

    def _is_type(self, node: ast.expr, scopes: list[dict[str, Value]]) -> bool:
        """Whether it is one of Python's own types, as in `isinstance(x, str)` or `dtype=float`."""
        return (
            isinstance(node, ast.Name)
            and node.id in harmless.PURE_BUILTINS
            and self._look_up(node.id, scopes) is None
        )

    def _stored_arguments(
        self,
        node: ast.Call,
        scopes: list[dict[str, Value]],
        is_fixture: bool = False,
        is_parametrized: bool = False,
    ) -> None:
        """Arguments that are kept as they are. pytest iterates over parameters, and calls `ids`."""
        for index, argument in enumerate(node.args):
            if is_parametrized and index < 2:
                self._iterable(argument, scopes)
            else:
                self._expression(argument, scopes)
        for keyword in node.keywords:
            if keyword.arg in ("params", "argvalues", "argnames", None):
                self._iterable(keyword.value, scopes)
            elif keyword.arg == "ids":
                self._ids(keyword.value, scopes)
            elif keyword.arg == "scope" and is_fixture:
                self._plain(keyword.value, scopes, "asks for the scope by")
            elif keyword.arg == "default_factory" and not self._is_type(keyword.value, scopes):
                raise MayLeaveTraces("has fields whose defaults are made by a call")
            else:
                self._expression(keyword.value, scopes)

    def _ids(self, node: ast.expr, scopes: list[dict[str, Value]]) -> None:
        value = self._expression(node, scopes)
        if value.kind is not Kind.REFERENCE:
            return
        if isinstance(value.own, (*harmless.FUNCTIONS, ast.Lambda)):
            self._called_later.append((value.own, [REFERENCE]))
            return
        if self._is_type(node, scopes) and ast.unparse(node) in ("str", "repr"):
            raise MayLeaveTraces("shows values to make ids of them")
        raise MayLeaveTraces("makes ids by a function that it has imported")

    def _call_builtin(self, name: str, node: ast.Call, scopes: list[dict[str, Value]]) -> Value:
        if harmless.is_exception(name):
            self._stored_arguments(node, scopes)
            return REFERENCE
        if name not in harmless.PURE_BUILTINS:
            if name in harmless.BUILTIN_DECORATORS:
                self._stored_arguments(node, scopes)
                return Value(Kind.REFERENCE, own="decorated")
            raise MayLeaveTraces(f"calls `{name}`")
        values = [self._expression(each, scopes) for each in node.args]
        values += [self._expression(keyword.value, scopes) for keyword in node.keywords]
        if name in ("isinstance", "issubclass"):
            self._plain_arguments(node, scopes, name)
            return PLAIN
        if all(value.kind is Kind.PLAIN for value in values):
            return PLAIN
        is_handed_on = name in harmless.OF_CONTAINERS and all(
            value.kind is not Kind.REFERENCE for value in values
        )
        if not is_handed_on and not (name == "dict" and not node.args):
            raise MayLeaveTraces(f"calls `{name}` with what it has imported")
        return PLAIN if name == "len" else CONTAINER

    def _call_method(
        self, function: ast.Attribute, node: ast.Call, scopes: list[dict[str, Value]]
    ) -> Value:
        target = self._expression(function.value, scopes)
        if target.role == "metafunc" and function.attr == "parametrize":
            self._stored_arguments(node, scopes, is_parametrized=True)
            return PLAIN
        if target.kind is Kind.PLAIN:
            return self._call_plain_method(function, node, scopes)
        is_foreign = target.role == "foreign" and function.attr not in (
            "items",
            "keys",
            "values",
            "copy",
            "get",
        )
        if (
            target.kind is Kind.CONTAINER
            and function.attr in harmless.CONTAINER_METHODS
            and not is_foreign
        ):
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                self._expression(argument, scopes)
            return CONTAINER if function.attr in ("items", "keys", "values", "copy") else REFERENCE
        raise MayLeaveTraces(f"calls `{function.attr}` of `{ast.unparse(function.value)[:60]}`")

    def _call_plain_method(
        self, function: ast.Attribute, node: ast.Call, scopes: list[dict[str, Value]]
    ) -> Value:
        if function.attr in harmless.READING_METHODS:
            self._read("files")
        elif function.attr not in harmless.METHODS:
            raise MayLeaveTraces(f"calls `{function.attr}` of `{ast.unparse(function.value)[:60]}`")
        arguments = (*node.args, *(keyword.value for keyword in node.keywords))
        values = [self._expression(each, scopes) for each in arguments]
        if all(value.kind is Kind.PLAIN for value in values):
            return PLAIN
        if function.attr not in harmless.CONTAINER_METHODS or not isinstance(
            function.value, ast.Name
        ):
            raise MayLeaveTraces(f"calls `{function.attr}` with what it has imported")
        if function.attr in ("add",) and values[0].kind is not Kind.PLAIN:
            raise MayLeaveTraces("hashes what it has imported")
        for value in values:
            self._fill(function.value.id, value, scopes)
        return REFERENCE

    def _call_known(
        self, own: Any, name: str, node: ast.Call, scopes: list[dict[str, Value]]
    ) -> Value:
        arguments = [self._expression(each, scopes) for each in node.args]
        keywords = {each.arg: self._expression(each.value, scopes) for each in node.keywords}
        if isinstance(own, ast.ClassDef):
            return self._make_own(own, arguments, keywords, scopes)
        if not isinstance(own, (*harmless.FUNCTIONS, ast.Lambda)):
            raise MayLeaveTraces(f"calls `{name}`, which is decorated")
        if any(isinstance(each, ast.Starred) for each in node.args) or None in keywords:
            arguments, keywords = [REFERENCE], {"": REFERENCE}
            return self._call_own(own, arguments, keywords, scopes, is_certain=False)
        return self._call_own(own, arguments, keywords, scopes)

    def _call_own(
        self,
        own: Any,
        arguments: list[Value],
        keywords: Mapping[str | None, Value],
        scopes: list[dict[str, Value]],
        is_certain: bool = True,
    ) -> Value:
        if isinstance(own, ast.AsyncFunctionDef):
            return REFERENCE
        if own not in self._own and not isinstance(own, ast.Lambda):
            raise MayLeaveTraces("calls a function that is in another one, or in a class")
        if self._calls >= _MOST_DEPTH:
            raise MayLeaveTraces("calls functions that call each other")
        body = own.body if isinstance(own, ast.FunctionDef) else [ast.Return(value=own.body)]
        if any(isinstance(each, (ast.Global, ast.Nonlocal)) for each in own_statements(own)):
            raise MayLeaveTraces("changes its own names in a function")
        local = self._parameters(own.args, arguments, keywords, is_certain)
        self._calls += 1
        self._depth += 1
        try:
            # What it finds outside are the module's names; functions in functions are not called.
            self._statements(body, [*scopes[:1], local])
        finally:
            self._calls -= 1
            self._depth -= 1
        if any(isinstance(each, (ast.Yield, ast.YieldFrom)) for each in own_statements(own)):
            return CONTAINER
        return local.get("return", PLAIN)

    def _parameters(
        self,
        arguments: ast.arguments,
        given: list[Value],
        keywords: Mapping[str | None, Value],
        is_certain: bool,
    ) -> dict[str, Value]:
        positional = [*arguments.posonlyargs, *arguments.args]
        local: dict[str, Value] = {}
        for index, parameter in enumerate((*positional, *arguments.kwonlyargs)):
            name = parameter.arg
            if not is_certain:
                local[name] = REFERENCE
            elif index < len(given) and index < len(positional):
                local[name] = given[index]
            else:
                # Without an argument it is the default, of which nothing is known here.
                local[name] = keywords.get(name, REFERENCE)
        for default, parameter in zip(
            reversed(arguments.defaults), reversed(positional), strict=False
        ):
            if local[parameter.arg] == REFERENCE and isinstance(default, ast.Constant):
                is_given = positional.index(parameter) < len(given) or parameter.arg in keywords
                if is_certain and not is_given:
                    local[parameter.arg] = PLAIN
        for more in (arguments.vararg, arguments.kwarg):
            if more is not None:
                local[more.arg] = CONTAINER
        return local

    def _make_own(
        self,
        own: ast.ClassDef,
        arguments: list[Value],
        keywords: Mapping[str | None, Value],
        scopes: list[dict[str, Value]],
    ) -> Value:
        """An object of one of the module's own classes is made."""
        for base in own.bases:
            name = self._full_name(base, scopes)
            is_object = isinstance(base, ast.Name) and base.id in (
                "object",
                "Exception",
                "ValueError",
            )
            if name not in ("typing.NamedTuple", "enum.Enum", "abc.ABC") and not is_object:
                raise MayLeaveTraces(f"makes an object of `{own.name}`")
        for part in own.body:
            if isinstance(part, harmless.FUNCTIONS) and part.name in ("__init__", "__post_init__"):
                if part.decorator_list:
                    raise MayLeaveTraces(f"makes an object of `{own.name}`")
                given = [Value(Kind.REFERENCE, role="self")]
                if part.name == "__init__":
                    given += arguments
                self._own.add(part)
                self._call_own(part, given, keywords if part.name == "__init__" else {}, scopes)
        for decorator in own.decorator_list:
            function = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self._full_name(function, scopes) not in ("dataclasses.dataclass", "enum.unique"):
                raise MayLeaveTraces(f"makes an object of `{own.name}`")
        return Value(Kind.REFERENCE, role="object")
