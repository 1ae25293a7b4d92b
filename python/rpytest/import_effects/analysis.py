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

import ast
import enum
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from rpytest import stdlib
from rpytest.import_effects import harmless
from rpytest.project import parsing
from rpytest.stdlib import os

__builtins__ = stdlib.BUILTINS


class MayLeaveTraces(Exception):
    """The module may leave something; the text says why and goes on after its name."""


@dataclass(frozen=True)
class ImportEffects:
    """What is known of a module that leaves nothing."""

    #: Full names of modules in the order of the import statements that execute them, each once;
    #: `from a import b` is `a`, and `a.b` if that is a module.
    imports: tuple[str, ...]
    #: Of these, what is executed under a condition: harmless only if it was imported before.
    conditional: frozenset[str]
    #: What the statements look at that may be different at another moment, if anything.
    reads: str | None
    #: Names that are taken out of other modules, as `(module, attribute, own name)`.
    taken: tuple[tuple[str, str, str], ...]


class _Kind(enum.IntEnum):
    """What may be done with a value."""

    #: Built from Python's own types alone: all their operations are _harmless.
    PLAIN = 0
    #: A list, tuple, set, dictionary or iterator of the module's own, whose members are only handed
    #: on: it may be filled and iterated over, but neither be compared nor be shown.
    CONTAINER = 1
    #: Anything else: it may be stored and handed on.
    REFERENCE = 2


@dataclass(frozen=True)
class _Value:
    kind: _Kind
    #: Full name of something imported.
    name: str | None = None
    #: A function, lambda or class of the module itself.
    own: Any = None
    #: `mark`, `metafunc`, `self`, `object`: what may be done with it beside handing it on. A
    #: `foreign` container belongs to another module: it may be iterated over, and not be changed.
    role: str | None = None


_PLAIN = _Value(_Kind.PLAIN)
_CONTAINER = _Value(_Kind.CONTAINER)
_REFERENCE = _Value(_Kind.REFERENCE)
_MARK = _Value(_Kind.REFERENCE, role="mark")


def _join(one: _Value, other: _Value) -> _Value:
    if one == other:
        return one
    if "foreign" in (one.role, other.role):
        return _REFERENCE
    if any(each is not None for each in (one.name, other.name, one.own, other.own)):
        return _REFERENCE
    if one.role == other.role or _Kind.REFERENCE not in (one.kind, other.kind):
        return _Value(max(one.kind, other.kind), role=one.role if one.role == other.role else None)
    return _REFERENCE


#: Calls in calls that are followed.
_MOST_DEPTH = 12


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
    others is looked at there. ``name`` is its full name. ``is_test_class`` and ``is_test`` say of
    a name whether pytest looks for tests behind it. Hooks of a conftest are not judged here. Raises,
    too, what :func:`ast.parse` raises.
    """
    return _Interpreter(module, name, is_test_class, is_test, is_conftest).run(parsing.parse(source))


class _Interpreter:
    """Executes the statements of one module symbolically."""

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
        self._called_later: list[tuple[Any, list[_Value]]] = []
        #: Functions and classes at the module's own level.
        self._own: set[ast.AST] = set()
        self._globals: dict[str, _Value] = dict.fromkeys(harmless.GIVEN_NAMES, _PLAIN)

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

    # Names

    def _read(self, what: str) -> None:
        self._reads = self._reads or what

    def _look_up(self, name: str, scopes: Sequence[Mapping[str, _Value]]) -> _Value | None:
        for scope in reversed(scopes):
            if name in scope:
                return scope[name]
        return None

    def _bind(self, name: str, value: _Value, scopes: Sequence[dict[str, _Value]]) -> None:
        scope = scopes[-1]
        if scope is self._globals:
            if name in ("pytest_plugins", "__getattr__", "__dir__", "__class__"):
                raise MayLeaveTraces(f"defines `{name}`")
            is_hook = name.startswith("pytest_") and name not in ("pytest_generate_tests", "pytestmark")
            if is_hook and value.own is not None and not self._is_conftest:
                raise MayLeaveTraces(f"has the hook `{name}`")
        scope[name] = _join(scope[name], value) if self._depth and name in scope else value

    # Statements

    def _statements(self, statements: Iterable[ast.stmt], scopes: list[dict[str, _Value]]) -> None:
        for statement in statements:
            self._statement(statement, scopes)

    def _statement(self, node: ast.stmt, scopes: list[dict[str, _Value]]) -> None:
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
                    self._assign(node.target, self._expression(node.value, scopes), scopes, node.value)
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
                    if not isinstance(target, ast.Name) or self._depth or target.id not in scopes[-1]:
                        raise MayLeaveTraces("deletes something of another object")
                    del scopes[-1][target.id]
            case ast.Return():
                value = _PLAIN if node.value is None else self._expression(node.value, scopes)
                if isinstance(value.own, ast.AST) and value.own not in self._own:
                    # What it finds outside of itself is not known any more.
                    value = _REFERENCE
                self._bind("return", value, scopes)
            case ast.Pass() | ast.Break() | ast.Continue():
                pass
            case _:
                raise MayLeaveTraces(f"has a statement of the kind `{type(node).__name__}`")

    def _branch(
        self,
        body: Iterable[ast.stmt],
        scopes: list[dict[str, _Value]],
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

    def _if(self, node: ast.If, scopes: list[dict[str, _Value]]) -> None:
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

    def _known(self, node: ast.expr, scopes: list[dict[str, _Value]]) -> bool | None:
        """What a condition says at any moment; `None`: nobody knows."""
        for name in ("sys", "os"):
            value = self._look_up(name, scopes)
            if value is not None and value.name != name:
                return None
        return _known_condition(node)

    def _is_type_checking(self, node: ast.Name, scopes: list[dict[str, _Value]]) -> bool:
        value = self._look_up(node.id, scopes)
        return value is not None and value.name == "typing.TYPE_CHECKING"

    def _for(
        self,
        target: ast.expr,
        iterable: ast.expr,
        body: list[ast.stmt],
        scopes: list[dict[str, _Value]],
    ) -> None:
        member = self._member(self._iterable(iterable, scopes))
        self._depth += 1
        try:
            for _ in range(3):
                self._assign(target, member, scopes, None)
                self._statements(body, scopes)
        finally:
            self._depth -= 1

    def _try(self, node: ast.Try, scopes: list[dict[str, _Value]]) -> None:
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
                scopes[-1][handler.name] = _REFERENCE
            self._branch(handler.body, scopes)
        self._branch(node.finalbody, scopes)

    def _exception_type(self, node: ast.expr, scopes: list[dict[str, _Value]]) -> None:
        parts = node.elts if isinstance(node, ast.Tuple) else [node]
        for part in parts:
            if not isinstance(part, ast.Name) or not harmless.is_exception(part.id):
                self._expression(part, scopes)

    # Imports

    def _import(
        self,
        node: ast.Import | ast.ImportFrom,
        scopes: list[dict[str, _Value]],
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
                self._bind(bound, _Value(_Kind.REFERENCE, name=name), scopes)
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
            self._bind(bound, _Value(_Kind.REFERENCE, name=full), scopes)

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
            # It could not be imported, or is to be.
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

    # Definitions

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scopes: list[dict[str, _Value]]) -> None:
        for decorator in node.decorator_list:
            self._decorator(decorator, scopes)
        self._defaults(node.args, scopes)
        if not self._has_plain_annotations:
            for annotation in _annotations(node):
                self._annotation(annotation, scopes)
        is_plain = not node.decorator_list
        if len(scopes) == 1 and is_plain:
            self._own.add(node)
        self._bind(node.name, _Value(_Kind.REFERENCE, own=node if is_plain else "decorated"), scopes)
        if node.name == "pytest_generate_tests" and len(scopes) == 1 and not self._is_conftest:
            self._called_later.append((node, [_Value(_Kind.REFERENCE, role="metafunc")]))

    def _defaults(self, arguments: ast.arguments, scopes: list[dict[str, _Value]]) -> None:
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self._expression(default, scopes)

    def _decorator(self, node: ast.expr, scopes: list[dict[str, _Value]]) -> None:
        function = node.func if isinstance(node, ast.Call) else node
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            # `@value.setter`: of a property of the class.
            own = self._look_up(function.value.id, scopes[1:])
            if own is not None and own.own is not None and function.attr in ("setter", "getter", "deleter"):
                return
        name = self._full_name(function, scopes)
        is_unknown = isinstance(function, ast.Name) and self._look_up(function.id, scopes) is None
        if is_unknown and ast.unparse(function) in harmless.BUILTIN_DECORATORS:
            return
        value = self._expression(node, scopes) if harmless.is_mark(name) or name is None else None
        if value is not None and value.role == "mark":
            return
        if value is not None and isinstance(node, ast.Name) and isinstance(value.own, ast.FunctionDef):
            self._call_own(value.own, [_REFERENCE], {}, scopes)
            return
        if name is None or name not in harmless.DECORATORS:
            raise MayLeaveTraces(f"is decorated by `{ast.unparse(function)[:60]}`")
        if isinstance(node, ast.Call) and name in ("unittest.skipIf", "unittest.skipUnless"):
            self._plain_arguments(node, scopes, name)
        elif isinstance(node, ast.Call):
            self._stored_arguments(node, scopes, is_fixture=name.endswith("fixture"))

    def _class(self, node: ast.ClassDef, scopes: list[dict[str, _Value]]) -> None:
        for decorator in node.decorator_list:
            self._decorator(decorator, scopes)
        for keyword in node.keywords:
            if keyword.arg not in ("frozen", "total", "slots"):
                raise MayLeaveTraces(f"makes the class `{node.name}` in another way")
            self._plain(keyword.value, scopes, "depends on")
        is_test_class = self._is_test_class(node.name)
        for base in node.bases:
            self._base(base, scopes, is_test_class)
        inner: dict[str, _Value] = {"__qualname__": _PLAIN, "__module__": _PLAIN}
        self._statements(node.body, [*scopes, inner])
        is_enum = any((self._full_name(base, scopes) or "").startswith("enum.") for base in node.bases)
        for name, value in inner.items():
            if is_enum and name in ("__init__", "__eq__", "__hash__"):
                # Called for each member when the class is made.
                raise MayLeaveTraces(f"has an enumeration with `{name}`")
            if name in harmless.HOOKS_OF_CLASSES:
                raise MayLeaveTraces(f"has a class with `{name}`")
            is_foreign = value.kind is _Kind.REFERENCE and value.own is None and value.role is None
            if is_foreign and not (value.name and harmless.has_no_owner(harmless.resolve(value.name))):
                raise MayLeaveTraces(f"gives the class `{node.name}` the attribute `{name}`")
        if is_test_class or any(self._is_of_unittest(base, scopes) for base in node.bases):
            for part in node.body:
                if isinstance(part, harmless.FUNCTIONS) and any(_is_property(each) for each in part.decorator_list):
                    raise MayLeaveTraces(f"has the property `{part.name}` in a class of tests")
        self._bind(node.name, _Value(_Kind.REFERENCE, own=node), scopes)

    def _is_of_unittest(self, base: ast.expr, scopes: list[dict[str, _Value]]) -> bool:
        name = self._full_name(base, scopes)
        return name is None or not name.startswith(("typing", "enum", "abc", "collections"))

    def _base(self, node: ast.expr, scopes: list[dict[str, _Value]], is_test_class: bool) -> None:
        if isinstance(node, ast.Subscript):
            self._annotation(node, scopes)
            node = node.value
        name = self._full_name(node, scopes)
        if name is not None:
            if name not in harmless.BASES and not harmless.may_be_base(harmless.resolve(name), is_test_class):
                raise MayLeaveTraces(f"has a class that is a `{name}`")
            return
        if isinstance(node, ast.Name):
            value = self._look_up(node.id, scopes)
            if value is not None and isinstance(value.own, ast.ClassDef):
                return
            if value is None and (node.id in harmless.PURE_BUILTINS or harmless.is_exception(node.id)):
                return
        raise MayLeaveTraces(f"has a class that is a `{ast.unparse(node)[:60]}`")

    def _annotation(self, node: ast.expr, scopes: list[dict[str, _Value]]) -> None:
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
                    if name is not None and not is_hint and type(harmless.resolve(name)) is not type:
                        raise MayLeaveTraces("has an annotation that is computed")
                return
            case ast.Subscript():
                name = self._full_name(node.value, scopes)
                is_builtin = isinstance(node.value, ast.Name) and node.value.id in harmless.GENERIC_BUILTINS
                if (name is not None and name.partition(".")[0] in harmless.GENERIC_ROOTS) or (
                    name is None and is_builtin and self._look_up(ast.unparse(node.value), scopes) is None
                ):
                    self._annotation(node.slice, scopes)
                    return
            case _:
                pass
        raise MayLeaveTraces("has an annotation that is computed")

    # Assignments

    def _assign(
        self,
        target: ast.expr,
        value: _Value,
        scopes: list[dict[str, _Value]],
        source: ast.expr | None,
    ) -> None:
        match target:
            case ast.Name():
                self._bind(target.id, value, scopes)
            case ast.Tuple() | ast.List():
                if value.kind is _Kind.REFERENCE:
                    raise MayLeaveTraces("takes something apart that it has imported")
                elements = source.elts if isinstance(source, (ast.Tuple, ast.List)) else None
                for index, part in enumerate(target.elts):
                    if elements is not None and len(elements) == len(target.elts):
                        self._assign(part, self._expression(elements[index], scopes), scopes, elements[index])
                    else:
                        self._assign(part, self._member(value), scopes, None)
            case ast.Starred():
                self._assign(target.value, _CONTAINER, scopes, None)
            case ast.Subscript() if isinstance(target.value, ast.Name):
                self._plain(target.slice, scopes, "looks for")
                self._fill(target.value.id, value, scopes)
            case ast.Attribute() if self._is_self(target.value, scopes):
                pass
            case _:
                raise MayLeaveTraces("changes something of another object")

    def _is_self(self, node: ast.expr, scopes: list[dict[str, _Value]]) -> bool:
        value = self._look_up(node.id, scopes) if isinstance(node, ast.Name) else None
        return value is not None and value.role == "self"

    def _fill(self, name: str, value: _Value, scopes: list[dict[str, _Value]]) -> None:
        """Something is put into a container of the module's own, found by this name."""
        for scope in reversed(scopes):
            if name in scope:
                held = scope[name]
                if held.kind is _Kind.REFERENCE or held.role == "foreign":
                    raise MayLeaveTraces(f"changes what is in `{name}`")
                if value.kind is not _Kind.PLAIN and held.kind is _Kind.PLAIN:
                    # Whoever else holds it takes its members for plain ones.
                    raise MayLeaveTraces(f"puts something that it has imported into `{name}`")
                return
        raise MayLeaveTraces(f"changes what is in `{name}`")

    def _augment(self, node: ast.AugAssign, scopes: list[dict[str, _Value]]) -> None:
        if not isinstance(node.target, ast.Name):
            raise MayLeaveTraces("changes something of another object")
        before = self._look_up(node.target.id, scopes)
        value = self._expression(node.value, scopes)
        if before is None or _Kind.REFERENCE in (before.kind, value.kind) or before.role == "foreign":
            raise MayLeaveTraces(f"changes `{node.target.id}`, which it has not made of plain values")
        if before.kind is not value.kind and value.kind is not _Kind.PLAIN:
            raise MayLeaveTraces(f"puts something that it has imported into `{node.target.id}`")
        if _Kind.CONTAINER in (before.kind, value.kind) and not isinstance(node.op, (ast.Add, ast.Mult)):
            raise MayLeaveTraces("computes with what it has imported")
        self._bind(node.target.id, _join(before, value), scopes)

    # Expressions

    def _plain(self, node: ast.expr, scopes: list[dict[str, _Value]], what: str) -> None:
        """Python is to ask the value something: that is harmless for plain ones only."""
        if self._expression(node, scopes).kind is not _Kind.PLAIN:
            raise MayLeaveTraces(f"{what} `{ast.unparse(node)[:60]}`")

    def _iterable(self, node: ast.expr, scopes: list[dict[str, _Value]]) -> _Value:
        value = self._expression(node, scopes)
        if value.kind is _Kind.REFERENCE:
            raise MayLeaveTraces(f"iterates over `{ast.unparse(node)[:60]}`")
        return value

    @staticmethod
    def _member(value: _Value) -> _Value:
        return _PLAIN if value.kind is _Kind.PLAIN else _REFERENCE

    def _expression(self, node: ast.expr, scopes: list[dict[str, _Value]]) -> _Value:
        match node:
            case ast.Constant():
                return _PLAIN
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
                return _PLAIN
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
                return _PLAIN
            case ast.BoolOp():
                for each in node.values[:-1]:
                    self._plain(each, scopes, "depends on")
                return _join(_PLAIN, self._expression(node.values[-1], scopes))
            case ast.Compare():
                return self._comparison(node, scopes)
            case ast.IfExp():
                if self._known(node.test, scopes) is None:
                    self._plain(node.test, scopes, "depends on")
                return _join(self._expression(node.body, scopes), self._expression(node.orelse, scopes))
            case ast.JoinedStr():
                for each in node.values:
                    self._expression(each, scopes)
                return _PLAIN
            case ast.FormattedValue():
                self._plain(node.value, scopes, "shows")
                if node.format_spec is not None:
                    self._expression(node.format_spec, scopes)
                return _PLAIN
            case ast.Subscript():
                return self._subscript(node, scopes)
            case ast.Slice():
                for part in (node.lower, node.upper, node.step):
                    if part is not None:
                        self._plain(part, scopes, "looks for")
                return _PLAIN
            case ast.Starred():
                return self._iterable(node.value, scopes)
            case ast.Lambda():
                self._defaults(node.args, scopes)
                return _Value(_Kind.REFERENCE, own=node if len(scopes) == 1 else "inner")
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                return self._comprehension(node, [node.elt], scopes, isinstance(node, ast.SetComp))
            case ast.DictComp():
                return self._comprehension(node, [node.key, node.value], scopes, False)
            case ast.NamedExpr():
                value = self._expression(node.value, scopes)
                self._bind(node.target.id, value, scopes)
                return value
        raise MayLeaveTraces(f"has an expression of the kind `{type(node).__name__}`")

    def _collection(self, elements: Iterable[ast.expr], scopes: list[dict[str, _Value]]) -> _Value:
        values = [self._expression(each, scopes) for each in elements]
        if all(value.role == "mark" for value in values) and values:
            return _MARK
        return _PLAIN if all(value.kind is _Kind.PLAIN for value in values) else _CONTAINER

    def _comprehension(
        self,
        node: Any,
        results: list[ast.expr],
        scopes: list[dict[str, _Value]],
        is_hashed: bool,
    ) -> _Value:
        # Names of a class are not found from inside of it, except by the first iterable.
        outside = [scope for scope in scopes if "__qualname__" not in scope]
        inner = [*outside, dict[str, _Value]()]
        self._depth += 1
        try:
            for generator in node.generators:
                self._assign(generator.target, self._member(self._iterable(generator.iter, inner)), inner, None)
                for condition in generator.ifs:
                    self._plain(condition, inner, "depends on")
            values = [self._expression(each, inner) for each in results]
        finally:
            self._depth -= 1
        if (is_hashed or len(values) > 1) and values[0].kind is not _Kind.PLAIN:
            raise MayLeaveTraces("hashes what it has imported")
        return _PLAIN if all(value.kind is _Kind.PLAIN for value in values) else _CONTAINER

    def _operation(self, node: ast.BinOp, scopes: list[dict[str, _Value]]) -> _Value:
        left, right = self._expression(node.left, scopes), self._expression(node.right, scopes)
        kinds = {left.kind, right.kind}
        if kinds == {_Kind.PLAIN}:
            return _PLAIN
        if _Kind.REFERENCE not in kinds and isinstance(node.op, (ast.Add, ast.Mult)):
            return _CONTAINER
        raise MayLeaveTraces(f"computes with `{ast.unparse(node)[:60]}`")

    def _comparison(self, node: ast.Compare, scopes: list[dict[str, _Value]]) -> _Value:
        sides = [node.left, *node.comparators]
        if all(isinstance(each, (ast.Is, ast.IsNot)) for each in node.ops):
            for side in sides:
                self._expression(side, scopes)
            return _PLAIN
        if self._known(node, scopes) is not None:
            return _PLAIN
        is_member = len(sides) == 2 and isinstance(node.ops[0], (ast.In, ast.NotIn))
        if is_member and self._full_name(sides[1], scopes) == "os.environ":
            self._plain(sides[0], scopes, "looks for")
            self._read("the environment")
            return _PLAIN
        for side in sides:
            self._plain(side, scopes, "compares")
        return _PLAIN

    def _subscript(self, node: ast.Subscript, scopes: list[dict[str, _Value]]) -> _Value:
        name = self._full_name(node.value, scopes)
        if name == "os.environ":
            self._plain(node.slice, scopes, "looks for")
            self._read("the environment")
            return _PLAIN
        if name in ("sys.version_info", "sys.implementation"):
            return _PLAIN
        if name is not None and name.partition(".")[0] in harmless.GENERIC_ROOTS:
            self._annotation(node, scopes)
            return _REFERENCE
        is_builtin = isinstance(node.value, ast.Name) and node.value.id in harmless.GENERIC_BUILTINS
        if is_builtin and self._look_up(ast.unparse(node.value), scopes) is None:
            self._annotation(node, scopes)
            return _REFERENCE
        value = self._expression(node.value, scopes)
        self._plain(node.slice, scopes, "looks for")
        if value.kind is _Kind.REFERENCE:
            raise MayLeaveTraces(f"looks into `{ast.unparse(node.value)[:60]}`")
        return self._member(value)

    def _name_value(self, node: ast.Name, scopes: list[dict[str, _Value]]) -> _Value:
        value = self._look_up(node.id, scopes)
        if value is None:
            if (
                node.id in harmless.PURE_BUILTINS
                or node.id in harmless.BUILTIN_DECORATORS
                or harmless.is_exception(node.id)
            ):
                return _REFERENCE
            if node.id in ("NotImplemented", "Ellipsis", "print", "open", "super", "map", "filter"):
                return _REFERENCE
            raise MayLeaveTraces(f"uses `{node.id}`")
        if value.name is not None:
            return self._foreign(value.name)
        return value

    def _attribute(self, node: ast.Attribute, scopes: list[dict[str, _Value]]) -> _Value:
        name = self._full_name(node, scopes)
        if name is not None:
            return self._foreign(name)
        value = self._expression(node.value, scopes)
        if value.kind is _Kind.PLAIN:
            return _PLAIN
        if value.role == "metafunc" and node.attr in ("fixturenames",):
            return _PLAIN
        if value.role in ("metafunc", "self"):
            return _REFERENCE
        if isinstance(value.own, ast.ClassDef) and self._is_simple_enum(value.own, scopes):
            return _REFERENCE
        raise MayLeaveTraces(f"takes `{node.attr}` of `{ast.unparse(node.value)[:60]}`")

    def _foreign(self, name: str) -> _Value:
        """Something that was imported, by its full name, is taken as it is."""
        if harmless.is_mark(name):
            return _Value(_Kind.REFERENCE, name=name, role="mark")
        if name in harmless.CONSTANT_VALUES:
            return _PLAIN
        found = harmless.resolve(name)
        if found is harmless.NOTHING:
            raise MayLeaveTraces(f"uses `{name}`")
        module = name.rpartition(".")[0]
        if type(found) is not ModuleType and module.partition(".")[0] not in sys.stdlib_module_names:
            self._read(f"`{name}`")
        if type(found) in harmless.SIMPLE:
            return _PLAIN
        if type(found) in (tuple, frozenset) and all(type(each) in harmless.SIMPLE for each in found):
            return _PLAIN
        if not harmless.is_benign(found):
            raise MayLeaveTraces(f"uses `{name}`, an object that may notice who looks at it")
        if type(found) in (list, tuple, dict, set, frozenset) or isinstance(found, enum.EnumMeta):
            members = found.values() if type(found) is dict else found
            if not isinstance(found, enum.EnumMeta) and not all(map(harmless.is_benign, members)):
                raise MayLeaveTraces(f"uses `{name}`, which has objects that may notice who looks at them")
            if not isinstance(found, type):
                return _Value(_Kind.CONTAINER, name=name, role="foreign")
            if type(found).__dict__.get("__iter__", None) is None or type(found) is enum.EnumMeta:
                return _Value(_Kind.CONTAINER, name=name, role="foreign")
        return _Value(_Kind.REFERENCE, name=name)

    def _full_name(self, node: ast.expr, scopes: list[dict[str, _Value]]) -> str | None:
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

    # Calls

    def _call(self, node: ast.Call, scopes: list[dict[str, _Value]]) -> _Value:
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
                return _MARK
            if value.own is not None:
                return self._call_known(value.own, function.id, node, scopes)
            raise MayLeaveTraces(f"calls `{function.id}`, which it has computed")
        if isinstance(function, ast.Attribute):
            return self._call_method(function, node, scopes)
        raise MayLeaveTraces("calls what it has computed")

    def _call_foreign(self, name: str, node: ast.Call, scopes: list[dict[str, _Value]]) -> _Value:
        if harmless.is_mark(name):
            only = node.args[0] if len(node.args) == 1 and not node.keywords else None
            if only is not None and self._expression(only, scopes).kind is _Kind.REFERENCE:
                own = self._expression(only, scopes).own
                if own is None:
                    raise MayLeaveTraces("marks something that it has imported")
            self._stored_arguments(node, scopes, is_parametrized=name.endswith(".parametrize"))
            return _MARK
        if name == "pytest.approx":
            self._plain_arguments(node, scopes, name)
            return _REFERENCE
        if name in harmless.PURE or name in harmless.READING:
            self._plain_arguments(node, scopes, name)
            if name in harmless.READING:
                self._read(f"`{name}`")
            return _PLAIN
        if name in harmless.STORING:
            self._stored_arguments(node, scopes)
            return _Value(_Kind.REFERENCE, role="object")
        if name == "pytest.importorskip":
            return self._import_or_skip(node, scopes)
        if name == "pytest.skip":
            self._plain_arguments(node, scopes, name)
            return _PLAIN
        if name == "collections.defaultdict":
            factory = node.args[0] if node.args else None
            if factory is None or (isinstance(factory, ast.Name) and factory.id in harmless.PURE_BUILTINS):
                return _PLAIN
        raise MayLeaveTraces(f"calls `{name}`")

    def _import_or_skip(self, node: ast.Call, scopes: list[dict[str, _Value]]) -> _Value:
        first = node.args[0] if node.args else None
        if not isinstance(first, ast.Constant) or not isinstance(first.value, str) or len(scopes) > 1:
            raise MayLeaveTraces("imports what only running it can tell")
        for other in (*node.args[1:], *(keyword.value for keyword in node.keywords)):
            self._expression(other, scopes)
        self._imported(first.value, may_fail=True)
        return _Value(_Kind.REFERENCE, name=first.value)

    def _plain_arguments(self, node: ast.Call, scopes: list[dict[str, _Value]], name: str) -> None:
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            value = self._expression(argument, scopes)
            if value.kind is not _Kind.PLAIN and not (
                value.kind is _Kind.REFERENCE and self._is_type(argument, scopes)
            ):
                raise MayLeaveTraces(f"calls `{name}` with `{ast.unparse(argument)[:60]}`")

    def _is_type(self, node: ast.expr, scopes: list[dict[str, _Value]]) -> bool:
        """Whether it is one of Python's own types, as in `isinstance(x, str)` or `dtype=float`."""
        return (
            isinstance(node, ast.Name) and node.id in harmless.PURE_BUILTINS and self._look_up(node.id, scopes) is None
        )

    def _stored_arguments(
        self,
        node: ast.Call,
        scopes: list[dict[str, _Value]],
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

    def _ids(self, node: ast.expr, scopes: list[dict[str, _Value]]) -> None:
        value = self._expression(node, scopes)
        if value.kind is not _Kind.REFERENCE:
            return
        if isinstance(value.own, (*harmless.FUNCTIONS, ast.Lambda)):
            self._called_later.append((value.own, [_REFERENCE]))
            return
        if self._is_type(node, scopes) and ast.unparse(node) in ("str", "repr"):
            raise MayLeaveTraces("shows values to make ids of them")
        raise MayLeaveTraces("makes ids by a function that it has imported")

    def _call_builtin(self, name: str, node: ast.Call, scopes: list[dict[str, _Value]]) -> _Value:
        if harmless.is_exception(name):
            self._stored_arguments(node, scopes)
            return _REFERENCE
        if name not in harmless.PURE_BUILTINS:
            if name in harmless.BUILTIN_DECORATORS:
                self._stored_arguments(node, scopes)
                return _Value(_Kind.REFERENCE, own="decorated")
            raise MayLeaveTraces(f"calls `{name}`")
        values = [self._expression(each, scopes) for each in node.args]
        values += [self._expression(keyword.value, scopes) for keyword in node.keywords]
        if name in ("isinstance", "issubclass"):
            self._plain_arguments(node, scopes, name)
            return _PLAIN
        if all(value.kind is _Kind.PLAIN for value in values):
            return _PLAIN
        is_handed_on = name in harmless.OF_CONTAINERS and all(value.kind is not _Kind.REFERENCE for value in values)
        if not is_handed_on and not (name == "dict" and not node.args):
            raise MayLeaveTraces(f"calls `{name}` with what it has imported")
        return _PLAIN if name == "len" else _CONTAINER

    def _call_method(self, function: ast.Attribute, node: ast.Call, scopes: list[dict[str, _Value]]) -> _Value:
        target = self._expression(function.value, scopes)
        if target.role == "metafunc" and function.attr == "parametrize":
            self._stored_arguments(node, scopes, is_parametrized=True)
            return _PLAIN
        if target.kind is _Kind.PLAIN:
            return self._call_plain_method(function, node, scopes)
        is_foreign = target.role == "foreign" and function.attr not in ("items", "keys", "values", "copy", "get")
        if target.kind is _Kind.CONTAINER and function.attr in harmless.CONTAINER_METHODS and not is_foreign:
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                self._expression(argument, scopes)
            return _CONTAINER if function.attr in ("items", "keys", "values", "copy") else _REFERENCE
        raise MayLeaveTraces(f"calls `{function.attr}` of `{ast.unparse(function.value)[:60]}`")

    def _call_plain_method(self, function: ast.Attribute, node: ast.Call, scopes: list[dict[str, _Value]]) -> _Value:
        if function.attr in harmless.READING_METHODS:
            self._read("files")
        elif function.attr not in harmless.METHODS:
            raise MayLeaveTraces(f"calls `{function.attr}` of `{ast.unparse(function.value)[:60]}`")
        arguments = (*node.args, *(keyword.value for keyword in node.keywords))
        values = [self._expression(each, scopes) for each in arguments]
        if all(value.kind is _Kind.PLAIN for value in values):
            return _PLAIN
        if function.attr not in harmless.CONTAINER_METHODS or not isinstance(function.value, ast.Name):
            raise MayLeaveTraces(f"calls `{function.attr}` with what it has imported")
        if function.attr in ("add",) and values[0].kind is not _Kind.PLAIN:
            raise MayLeaveTraces("hashes what it has imported")
        for value in values:
            self._fill(function.value.id, value, scopes)
        return _REFERENCE

    # Functions and classes of the module's own

    def _call_known(self, own: Any, name: str, node: ast.Call, scopes: list[dict[str, _Value]]) -> _Value:
        arguments = [self._expression(each, scopes) for each in node.args]
        keywords = {each.arg: self._expression(each.value, scopes) for each in node.keywords}
        if isinstance(own, ast.ClassDef):
            return self._make_own(own, arguments, keywords, scopes)
        if not isinstance(own, (*harmless.FUNCTIONS, ast.Lambda)):
            raise MayLeaveTraces(f"calls `{name}`, which is decorated")
        if any(isinstance(each, ast.Starred) for each in node.args) or None in keywords:
            arguments, keywords = [_REFERENCE], {"": _REFERENCE}
            return self._call_own(own, arguments, keywords, scopes, is_certain=False)
        return self._call_own(own, arguments, keywords, scopes)

    def _call_own(
        self,
        own: Any,
        arguments: list[_Value],
        keywords: Mapping[str | None, _Value],
        scopes: list[dict[str, _Value]],
        is_certain: bool = True,
    ) -> _Value:
        if isinstance(own, ast.AsyncFunctionDef):
            return _REFERENCE
        if own not in self._own and not isinstance(own, ast.Lambda):
            raise MayLeaveTraces("calls a function that is in another one, or in a class")
        if self._calls >= _MOST_DEPTH:
            raise MayLeaveTraces("calls functions that call each other")
        body = own.body if isinstance(own, ast.FunctionDef) else [ast.Return(value=own.body)]
        if any(isinstance(each, (ast.Global, ast.Nonlocal)) for each in _own_statements(own)):
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
        if any(isinstance(each, (ast.Yield, ast.YieldFrom)) for each in _own_statements(own)):
            return _CONTAINER
        return local.get("return", _PLAIN)

    def _parameters(
        self,
        arguments: ast.arguments,
        given: list[_Value],
        keywords: Mapping[str | None, _Value],
        is_certain: bool,
    ) -> dict[str, _Value]:
        positional = [*arguments.posonlyargs, *arguments.args]
        local: dict[str, _Value] = {}
        for index, parameter in enumerate((*positional, *arguments.kwonlyargs)):
            name = parameter.arg
            if not is_certain:
                local[name] = _REFERENCE
            elif index < len(given) and index < len(positional):
                local[name] = given[index]
            else:
                # Without an argument it is the default, of which nothing is known here.
                local[name] = keywords.get(name, _REFERENCE)
        for default, parameter in zip(reversed(arguments.defaults), reversed(positional), strict=False):
            if local[parameter.arg] == _REFERENCE and isinstance(default, ast.Constant):
                is_given = positional.index(parameter) < len(given) or parameter.arg in keywords
                if is_certain and not is_given:
                    local[parameter.arg] = _PLAIN
        for more in (arguments.vararg, arguments.kwarg):
            if more is not None:
                local[more.arg] = _CONTAINER
        return local

    def _make_own(
        self,
        own: ast.ClassDef,
        arguments: list[_Value],
        keywords: Mapping[str | None, _Value],
        scopes: list[dict[str, _Value]],
    ) -> _Value:
        """An object of one of the module's own classes is made."""
        for base in own.bases:
            name = self._full_name(base, scopes)
            is_object = isinstance(base, ast.Name) and base.id in ("object", "Exception", "ValueError")
            if name not in ("typing.NamedTuple", "enum.Enum", "abc.ABC") and not is_object:
                raise MayLeaveTraces(f"makes an object of `{own.name}`")
        for part in own.body:
            if isinstance(part, harmless.FUNCTIONS) and part.name in ("__init__", "__post_init__"):
                if part.decorator_list:
                    raise MayLeaveTraces(f"makes an object of `{own.name}`")
                given = [_Value(_Kind.REFERENCE, role="self")]
                if part.name == "__init__":
                    given += arguments
                self._own.add(part)
                self._call_own(part, given, keywords if part.name == "__init__" else {}, scopes)
        for decorator in own.decorator_list:
            function = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self._full_name(function, scopes) not in ("dataclasses.dataclass", "enum.unique"):
                raise MayLeaveTraces(f"makes an object of `{own.name}`")
        return _Value(_Kind.REFERENCE, role="object")

    def _is_simple_enum(self, own: ast.ClassDef, scopes: list[dict[str, _Value]]) -> bool:
        names = {self._full_name(base, scopes) for base in own.bases}
        has_methods = any(isinstance(part, harmless.FUNCTIONS) for part in own.body)
        return (
            bool(names)
            and not has_methods
            and all(name in harmless.BASES and "enum." in name for name in names if name)
        )


# Syntax


def _own_statements(function: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a function, but what is in functions and classes of it."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, (*harmless.FUNCTIONS, ast.ClassDef, ast.Lambda)):
            yield from _own_statements(child)


def _annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    for argument in every:
        if argument is not None and argument.annotation is not None:
            yield argument.annotation
    if node.returns is not None:
        yield node.returns


def _is_property(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "property"


def _known_condition(node: ast.expr) -> bool | None:
    """What a condition on Python's version or the platform says; `None`: it is another one."""
    if ast.unparse(node) in ("__name__ == '__main__'", "'__main__' == __name__"):
        return False
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute):
            if not isinstance(each.value, ast.Name):
                return None
            if f"{each.value.id}.{each.attr}" not in ("sys.version_info", "sys.platform", "os.name"):
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
