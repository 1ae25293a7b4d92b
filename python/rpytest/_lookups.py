"""What may find modules whose names only running it can tell: `import_module(name)`, `sys.modules[name]`, `exec(text)`…

Most libraries have such a function somewhere, and it is not called while tests are collected. So it is found out whether it was: from Python 3.12 on
the interpreter tells when one of these functions begins or goes on (``sys.monitoring``), and tells nothing about any other. What can't be watched in
this way (a name that is handed on, a statement at the top level) may have found everything. See ``docs/design/edits.md``.
"""

from __future__ import annotations

import ast
import dis
import enum
import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

from rpytest import _sources

#: By which code may have something of modules whose names only running it can tell.
NAMES = frozenset(
    {
        "__import__",
        "eval",
        "exec",
        "exec_module",
        "import_module",
        "iter_modules",
        "run_module",
        "run_path",
        "walk_packages",
    }
)

#: Those that do nothing more than to import what their first argument names.
_IMPORTING = frozenset({"__import__", "import_module"})

#: Names in the code of whatever may look: `modules` is that of `sys`, perhaps.
_WATCHED = NAMES | {"modules"}

#: What makes something that stays as it is of `sys.modules`.
_COPYING = frozenset({"dict", "frozenset", "len", "list", "set", "sorted", "tuple"})

_ASKING = frozenset({"get", "pop", "setdefault"})
_VIEWS = frozenset({"items", "keys", "values"})

_IMPORT = dis.opmap["IMPORT_NAME"]

_MONITORING: Any = getattr(sys, "monitoring", None)

#: Numbers that nobody has a claim to.
_TOOLS = (4, 3)


class Where(enum.Enum):
    """Where a file has something that may find any module."""

    NOWHERE = "nowhere"
    #: Only in functions, each of which calls it in place.
    IN_FUNCTIONS = "in functions"
    ANYWHERE = "anywhere"


def where(source: bytes | None) -> Where:
    """Where this source has something that may find any module; `None`: nobody knows it any more."""
    if source is None:
        return Where.ANYWHERE
    try:
        tree = _sources.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Where.ANYWHERE
    finder = _Finder()
    try:
        finder.visit(tree)
    except RecursionError:
        return Where.ANYWHERE
    return finder.found


class _Finder(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found = Where.NOWHERE
        self._above: list[ast.AST] = []
        self._depth = 0

    def visit(self, node: ast.AST) -> None:
        self._above.append(node)
        super().visit(node)
        self._above.pop()

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        inside: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else [*node.body]
        for each in ast.iter_child_nodes(node):
            if each not in inside:
                self.visit(each)
        # A test finds what is there when it is run.
        if isinstance(node, ast.Lambda) or not node.name.startswith("test"):
            self._depth += 1
            for each in inside:
                self.visit(each)
            self._depth -= 1

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node)

    def visit_Import(self, node: ast.Import) -> None:
        if any(alias.name == "sys" and alias.asname for alias in node.names):
            self.found = Where.ANYWHERE

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if (alias.name in NAMES and alias.asname) or (node.module == "sys" and alias.name in ("modules", "*")):
                self.found = Where.ANYWHERE

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in NAMES:
            self._name(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in NAMES:
            self._name(node)
        elif node.attr == "modules" and isinstance(node.value, ast.Name) and node.value.id == "sys":
            self._modules(node)
        self.generic_visit(node)

    def _parent(self, level: int = 1) -> ast.AST:
        return self._above[-1 - level]

    def _may(self) -> None:
        if self._depth == 0:
            self.found = Where.ANYWHERE
        elif self.found is Where.NOWHERE:
            self.found = Where.IN_FUNCTIONS

    def _name(self, node: ast.Name | ast.Attribute) -> None:
        call = self._parent()
        if not isinstance(call, ast.Call) or call.func is not node:
            # Handed on: by which name it will be called, nobody knows.
            self.found = Where.ANYWHERE
        elif not (_name_of(node) in _IMPORTING and call.args and _is_text(call.args[0])):
            self._may()

    def _modules(self, node: ast.Attribute) -> None:
        parent = self._parent()
        if isinstance(parent, ast.Subscript) and parent.value is node:
            key: ast.AST | None = parent.slice
        elif isinstance(parent, ast.Compare) and node in parent.comparators:
            is_last = len(parent.comparators) == 1 and isinstance(parent.ops[0], (ast.In, ast.NotIn))
            key = parent.left if is_last else None
        elif isinstance(parent, ast.Attribute) and isinstance(self._parent(2), ast.Call):
            call = self._parent(2)
            assert isinstance(call, ast.Call)
            if parent.attr in _ASKING and call.func is parent and call.args:
                key = call.args[0]
            elif parent.attr == "copy" or (parent.attr in _VIEWS and self._is_copied(call, 3)):
                key = None
            else:
                self.found = Where.ANYWHERE
                return
        elif self._is_copied(node, 1):
            key = None
        else:
            self.found = Where.ANYWHERE
            return
        if not _is_text(key) and not (isinstance(key, ast.Name) and key.id == "__name__"):
            self._may()

    def _is_copied(self, node: ast.AST, level: int) -> bool:
        """Whether a value is gone when the expression, or the loop, that it stands in is over."""
        parent = self._parent(level)
        if isinstance(parent, ast.Call):
            return node in parent.args and isinstance(parent.func, ast.Name) and parent.func.id in _COPYING
        return isinstance(parent, (ast.For, ast.AsyncFor)) and parent.iter is node


def _name_of(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr


def _is_text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The functions in it that may look, as far as they are no tests."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType) and not constant.co_name.startswith("test"):
            if not _WATCHED.isdisjoint(constant.co_names):
                yield constant
            yield from _codes(constant)


class Lookups:
    """Which of these functions have run, and since when test modules have been there."""

    def __init__(self) -> None:
        #: How many modules of the project have begun to be executed.
        self._count = 0
        self._began: dict[str, int] = {}
        #: Files of functions that may look, and when one of them ran last.
        self._ran: dict[str, int] = {}
        self._watched: set[CodeType] = set()
        self._tool: int | None = None
        self._is_over = False
        #: A text was executed that may look by itself.
        self._is_lost = False

    @property
    def are_known(self) -> bool:
        """Whether it is known which functions have run."""
        return _MONITORING is not None and not self._is_lost

    def see(self, code: CodeType) -> None:
        """A module of the project is about to be executed."""
        if self._is_over or _MONITORING is None:
            return
        self._count += 1
        self._began.setdefault(code.co_filename, self._count)
        self._watch(code)
        if self._watched:
            frame: FrameType | None = sys._getframe(2)
            while frame is not None:
                if frame.f_code in self._watched:
                    self._noticed(frame.f_code)
                frame = frame.f_back

    def see_text(self, code: CodeType, by_others: bool) -> None:
        """The project, or an installed package, is about to execute something that was made of a text."""
        if by_others or self._is_over or self._is_lost:
            return
        for each in (code, *_all_codes(code)):
            if not (_WATCHED | {"__subclasses__"}).isdisjoint(each.co_names) or _IMPORT in each.co_code[::2]:
                self._is_lost = True

    def _watch(self, code: CodeType) -> None:
        codes = set(_codes(code)) - self._watched
        if not codes or self._is_lost:
            return
        if self._tool is None and not self._take_tool():
            self._is_lost = True
            return
        events = _MONITORING.events
        for each in codes:
            _MONITORING.set_local_events(self._tool, each, events.PY_START | events.PY_RESUME)
        self._watched |= codes

    def _take_tool(self) -> bool:
        for tool in _TOOLS:
            if _MONITORING.get_tool(tool) is None:
                _MONITORING.use_tool_id(tool, "rpytest")
                self._tool = tool
                events = _MONITORING.events
                for event in (events.PY_START, events.PY_RESUME, events.PY_THROW):
                    _MONITORING.register_callback(tool, event, self._noticed)
                # Of a generator into which an exception is thrown; it can't be asked for of some functions alone.
                _MONITORING.set_events(tool, events.PY_THROW)
                return True
        return False

    def _noticed(self, code: CodeType, *_of_event: object) -> None:
        if code in self._watched:
            self._ran[code.co_filename] = self._count

    def stop(self) -> None:
        """Collection is over; nothing is to be seen of it in what runs from now on."""
        self._is_over = True
        if self._tool is None:
            return
        _MONITORING.set_events(self._tool, 0)
        for code in self._watched:
            _MONITORING.set_local_events(self._tool, code, 0)
        events = _MONITORING.events
        for event in (events.PY_START, events.PY_RESUME, events.PY_THROW):
            _MONITORING.register_callback(self._tool, event, None)
        _MONITORING.free_tool_id(self._tool)
        self._tool = None
        self._watched = set()

    def since(self, file: str) -> set[str]:
        """Files of which a function that may look has run since the module of this file began to be executed."""
        began = self._began.get(file, 0)
        return {name for name, count in self._ran.items() if count >= began}


def _all_codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _all_codes(constant)
