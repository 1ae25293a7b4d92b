"""What the statements of a test module do while it is imported, as its source says: is it certain that they leave nothing outside of the module?

The certain part is small on purpose: imports, tests, fixtures and classes of tests, marks, parameters from literals and from a written list of
functions that keep nothing, the module's own functions if they are of the same kind. Whatever is not known counts as something that leaves a trace.
"""

from __future__ import annotations

import ast
import builtins
import enum
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from rpytest import _sources
from rpytest._contents import CLASS_CONTENTS

#: What may be called, or be the base of a class: by full name, and everything in those that end with a dot.
_HARMLESS = (
    "abc.ABC",
    "abc.abstractmethod",
    "base64.",
    "binascii.",
    "collections.",
    "copy.",
    "dataclasses.",
    "datetime.",
    "decimal.Decimal",
    "enum.",
    "fractions.Fraction",
    "functools.cached_property",
    "functools.lru_cache",
    "functools.partial",
    "functools.total_ordering",
    "functools.wraps",
    "hashlib.",
    "io.BytesIO",
    "io.StringIO",
    "ipaddress.",
    "itertools.chain",
    "itertools.combinations",
    "itertools.permutations",
    "itertools.product",
    "itertools.repeat",
    "json.dumps",
    "json.loads",
    "logging.getLogger",
    "math.",
    "numpy.arange",
    "numpy.array",
    "numpy.ones",
    "numpy.zeros",
    "operator.",
    "os.environ.get",
    "os.getenv",
    "os.path.",
    "pandas.DataFrame",
    "pandas.Series",
    "pandas.Timestamp",
    "pathlib.",
    "platform.",
    "pytest.approx",
    "pytest.fixture",
    "pytest.mark.",
    "pytest.param",
    "random.Random",
    "re.compile",
    "re.escape",
    "string.Template",
    "struct.",
    "textwrap.",
    "types.SimpleNamespace",
    "typing.",
    "typing_extensions.",
    "unittest.IsolatedAsyncioTestCase",
    "unittest.TestCase",
    "unittest.expectedFailure",
    "unittest.skip",
    "unittest.skipIf",
    "unittest.skipUnless",
    "uuid.UUID",
)

#: The same of Python's own names.
_HARMLESS_BUILTINS = frozenset(
    "abs all any ascii bin bool bytearray bytes chr classmethod complex dict divmod enumerate float format frozenset hash hex int isinstance issubclass "  # noqa: SIM905
    "len list max min object oct ord pow property range repr reversed round set slice sorted staticmethod str sum super tuple zip".split()
)

#: Methods of values of Python's own, by name, that change nothing but the value.
_METHODS = frozenset(
    "absolute add append as_posix capitalize casefold copy count date decode discard encode endswith exists expanduser extend find format get hex index "  # noqa: SIM905
    "insert is_dir is_file isoformat items join joinpath keys lower lstrip read_bytes read_text relative_to remove replace resolve reverse rsplit rstrip "
    "setdefault sort split splitlines startswith strip title total_seconds union update upper values with_name with_suffix zfill".split()
)

#: Names that a module has from the beginning.
_GIVEN = frozenset({"__name__", "__file__", "__doc__", "__package__"})

_SIMPLE = (bool, int, float, complex, str, bytes, type(None))

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

#: Statements and expressions of which only the parts matter.
_TRANSPARENT = (
    ast.If,
    ast.For,
    ast.While,
    ast.Try,
    ast.ExceptHandler,
    ast.Expr,
    ast.Pass,
    ast.Return,
    ast.Assert,
    ast.Break,
    ast.Continue,
    ast.Raise,
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Set,
    ast.Dict,
    ast.BoolOp,
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.IfExp,
    ast.JoinedStr,
    ast.FormattedValue,
    ast.Starred,
    ast.Slice,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
    ast.comprehension,
    ast.Subscript,
    ast.keyword,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
    ast.expr_context,
)


class Uncertain(Exception):
    """The statements may leave something; the text says which: "uses …"."""


class Statements:
    """The statements of one test module."""

    def __init__(self, source: bytes, package: str) -> None:
        """Raises :class:`Uncertain`, or :class:`SyntaxError`. ``package``: that of the module, for relative imports."""
        self._package = package
        tree = _sources.parse(source)
        #: Modules that are imported, and what is taken from them, by full names.
        self.imports: set[str] = set()
        #: Names that stand for something imported: its module, and what of it.
        self._imported: dict[str, tuple[str, str]] = {}
        self._own: dict[str, ast.AST | None] = {}
        self._called: set[ast.AST] = set()
        self._find_names(tree.body)
        for statement in tree.body:
            self._visit(statement)

    # Names

    def _find_names(self, statements: Iterable[ast.AST]) -> None:
        """The names of the module: what it imports, and what it defines itself."""
        for statement in statements:
            for node in _of_module(statement):
                if isinstance(node, ast.Import):
                    for alias in node.names:
                        self.imports.add(alias.name)
                        module = alias.name if alias.asname else alias.name.partition(".")[0]
                        self._imported[alias.asname or module] = module, ""
                elif isinstance(node, ast.ImportFrom):
                    module = self._absolute(node)
                    self.imports.add(module)
                    for alias in node.names:
                        if alias.name == "*":
                            raise Uncertain(f"imports everything of `{module}`")
                        self.imports.add(f"{module}.{alias.name}")
                        self._imported[alias.asname or alias.name] = module, alias.name
                elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                    self._own[node.name] = None if node.name in self._own else node
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    self._own[node.id] = None

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self._package.split(".")
        base = ".".join(parts[: len(parts) - node.level + 1])
        return f"{base}.{node.module}" if node.module else base

    def _full_name(self, node: ast.expr, local: frozenset[str]) -> str | None:
        """Of something imported; `None`: it is something else."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id in local or node.id not in self._imported:
            return None
        return ".".join(part for part in (*self._imported[node.id], *reversed(parts)) if part)

    # What is done

    def _visit(self, node: ast.AST, local: frozenset[str] = frozenset(), is_inner: bool = False) -> None:
        """``local``: names of the function that is called; ``is_inner``: of a class or function."""
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            self._visit_definition(node, local)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            if is_inner:
                raise Uncertain("imports something in a class or function")
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
            self._visit_assignment(node, local, is_inner)
        elif isinstance(node, ast.Call):
            self._visit_call(node, local)
        elif isinstance(node, ast.Lambda):
            self._visit(node.body, local | _parameters(node.args), True)
        elif isinstance(node, (ast.Name, ast.Attribute)):
            self._visit_value(node, local)
        elif isinstance(node, _TRANSPARENT):
            if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
                raise Uncertain("changes what is in something")
            if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
                local |= _stored(node)
            for child in ast.iter_child_nodes(node):
                self._visit(child, local, is_inner)
        else:
            raise Uncertain(f"has a statement of the kind `{type(node).__name__}`")

    def _visit_definition(self, node: Any, local: frozenset[str]) -> None:
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call):
                self._visit(decorator, local)
            else:
                self._check_called(decorator, local)
        if isinstance(node, ast.ClassDef):
            if node.keywords:
                raise Uncertain(f"makes the class `{node.name}` in another way")
            for base in node.bases:
                self._check_called(base, local)
            inner = local | _stored(node)
            inner |= {each.name for each in node.body if isinstance(each, (*_FUNCTIONS, ast.ClassDef))}
            for statement in node.body:
                self._visit(statement, inner, True)
        else:
            # Annotations are looked at by nobody.
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default is not None:
                    self._visit(default, local)

    def _visit_assignment(self, node: Any, local: frozenset[str], is_inner: bool) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            for part in ast.walk(target):
                if isinstance(part, (ast.Attribute, ast.Subscript)):
                    raise Uncertain("changes something of another object")
        if isinstance(node, ast.AugAssign) and getattr(node.target, "id", None) in self._imported:
            raise Uncertain("changes something that it has imported")
        value = node.value
        if value is not None:
            name = self._full_name(value, local) if isinstance(value, (ast.Name, ast.Attribute)) else None
            if name is not None and not _is_harmless(name) and type(_resolve(name)) not in _SIMPLE:
                raise Uncertain(f"gives `{name}` another name")
            self._visit(value, local, is_inner)

    def _visit_call(self, node: ast.Call, local: frozenset[str]) -> None:
        name = self._check_called(node.func, local)
        if name is not None and name.startswith("pytest.mark.") and len(node.args) == 1 and not node.keywords:
            argument = node.args[0]
            if isinstance(argument, (ast.Name, ast.Attribute)) and self._full_name(argument, local):
                raise Uncertain("marks something that it has imported")
        for argument in node.args:
            self._visit(argument, local)
        for keyword in node.keywords:
            self._visit(keyword.value, local)

    def _check_called(self, function: ast.expr, local: frozenset[str]) -> str | None:
        """Raise unless it may be called, or be a base; returns its full name if it was imported."""
        name = self._full_name(function, local)
        if name is not None:
            if not _is_harmless(name):
                raise Uncertain(f"uses `{name}`")
            return name
        if isinstance(function, ast.Name):
            self._check_own(function.id, local)
        elif isinstance(function, ast.Attribute):
            if function.attr not in _METHODS and not _is_property(function, local):
                raise Uncertain(f"uses `{function.attr}` of something")
            self._visit(function.value, local)
        else:
            raise Uncertain("calls what it has computed")
        return None

    def _check_own(self, name: str, local: frozenset[str]) -> None:
        definition = self._own.get(name)
        if name in local or (name in self._own and definition is None):
            raise Uncertain(f"calls `{name}`, which it has computed")
        if definition is None:
            if name not in _HARMLESS_BUILTINS and not _is_exception(name):
                raise Uncertain(f"uses `{name}`")
        elif definition not in self._called:
            self._called.add(definition)
            bodies = (
                [definition]
                if isinstance(definition, _FUNCTIONS)
                else [each for each in ast.walk(definition) if isinstance(each, _FUNCTIONS)]
            )
            for body in bodies:
                inner = _parameters(body.args) | _stored(body)
                for statement in body.body:
                    self._visit(statement, inner, True)

    def _visit_value(self, node: ast.Name | ast.Attribute, local: frozenset[str]) -> None:
        """Something is taken as it is."""
        if not isinstance(node.ctx, ast.Load):
            if isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Store):
                raise Uncertain("changes something of another object")
            return
        name = self._full_name(node, local)
        if name is not None:
            if not _is_value(name):
                raise Uncertain(f"uses `{name}`")
        elif isinstance(node, ast.Attribute):
            self._visit(node.value, local)
        elif not (
            node.id in local
            or node.id in self._own
            or node.id in _GIVEN
            or node.id in _HARMLESS_BUILTINS
            or _is_exception(node.id)
        ):
            raise Uncertain(f"uses `{node.id}`")


def _of_module(statement: ast.AST) -> Iterable[ast.AST]:
    """All nodes of a statement, but what is in functions and classes."""
    yield statement
    if not isinstance(statement, (*_FUNCTIONS, ast.ClassDef, ast.Lambda)):
        for child in ast.iter_child_nodes(statement):
            yield from _of_module(child)


def _stored(node: ast.AST) -> frozenset[str]:
    """Names that something is assigned to in there."""
    every = ast.walk(node)
    return frozenset(each.id for each in every if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store))


def _is_property(function: ast.Attribute, local: frozenset[str]) -> bool:
    """Whether it decorates another function of a property of the class."""
    holder = function.value
    return isinstance(holder, ast.Name) and holder.id in local and function.attr in ("setter", "getter")


def _parameters(arguments: ast.arguments) -> frozenset[str]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return frozenset(each.arg for each in every if each is not None)


def _is_harmless(name: str) -> bool:
    return any(name.startswith(each) if each.endswith(".") else name == each for each in _HARMLESS)


def _is_exception(name: str) -> bool:
    value: Any = vars(builtins).get(name)
    return issubclass(type(value), type) and issubclass(value, BaseException)


def _is_value(name: str) -> bool:
    """Whether what has this full name may be read and handed on: it can't be changed, or what it is told it does not keep."""
    if name in ("os.environ", "sys.version_info") or _is_harmless(name):
        return True
    value = _resolve(name)
    if type(value) in _SIMPLE:
        return True
    if type(value) in (tuple, frozenset):
        return all(type(each) in _SIMPLE for each in value)
    return issubclass(type(value), (type, enum.Enum)) or type(value) is type(sys.version_info)


#: In the place of what is not found.
_NOTHING = object()


def _resolve(name: str) -> Any:
    """What a full name stands for, without running anything."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        value: Any = sys.modules.get(".".join(parts[:end]))
        if type(value) is ModuleType:
            for part in parts[end:]:
                if type(value) is not ModuleType and not issubclass(type(value), type):
                    # What a value has is as good as the value.
                    return value if type(value) in (*_SIMPLE, type(sys.version_info)) else _NOTHING
                held = CLASS_CONTENTS(value) if issubclass(type(value), type) else vars(value)
                found = held.get(part, _NOTHING)
                if issubclass(type(value), enum.EnumMeta):
                    found = value._member_map_.get(part, found)
                value = found
                if value is _NOTHING:
                    return value
            return value
    return _NOTHING
