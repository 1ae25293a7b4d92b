"""What the statements of a module use while it is imported, as its byte code says.

The code is that of the module that was executed: what its file says by now may be something else.
"""

from __future__ import annotations

import dis
from collections.abc import Container, Iterable, Iterator
from types import CodeType

_ROOTS = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT", "LOAD_CLASSDEREF")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")

#: `inspect.CO_OPTIMIZED`: of functions, and not of classes and modules.
_OF_A_FUNCTION = 1


class Statements:
    """What the statements of a module use while it is imported, as its byte code says."""

    def __init__(self, code: CodeType) -> None:
        #: Modules that are imported, each with the dots of a relative import, and with what is taken from it.
        self.imports: set[str] = set()
        #: Names that are looked up, each with the attributes that are read right from it: ``pytest.mark.skip``.
        self.chains: set[str] = set()
        #: Attributes of what was called or computed.
        self.loose: set[str] = set()
        #: Texts and numbers.
        self.constants: set[object] = set()
        self._definitions: dict[str, list[CodeType]] = {}
        for each in _nested(code):
            self._definitions.setdefault(each.co_name, []).append(each)
        self._seen: set[int] = set()
        self._read(code, is_called=False)

    @property
    def roots(self) -> set[str]:
        """The names alone."""
        return set(map(root_of, self.chains))

    @property
    def names(self) -> set[str]:
        """Every name and attribute."""
        return self.loose.union(*(chain.split(".") for chain in self.chains))

    def _read(self, code: CodeType, is_called: bool) -> None:
        if id(code) in self._seen:
            return
        self._seen.add(id(code))
        self._read_instructions(code)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                # The body of a class, and of a comprehension, is run with what it is in; that of a function when somebody calls it.
                if is_called or not constant.co_flags & _OF_A_FUNCTION or constant.co_name.startswith("<"):
                    self._read(constant, is_called)
            else:
                self.constants.update(_constants((constant,)))

    def _read_instructions(self, code: CodeType) -> None:
        chain: list[str] = []
        level = 0
        module = ""
        for each in dis.get_instructions(code):
            name, value = each.opname, each.argval
            if name in ("EXTENDED_ARG", "CACHE"):
                continue
            if name.startswith(_ATTRIBUTES):
                if chain:
                    chain.append(str(value))
                else:
                    self.loose.add(str(value))
                continue
            if chain:
                self.chains.add(".".join(chain))
                chain.clear()
            if name.startswith(_ROOTS):
                chain.append(str(value))
                for definition in self._definitions.get(str(value), ()):
                    self._read(definition, is_called=True)
            elif name.startswith("LOAD_") and isinstance(value, int):
                self.constants.add(value)
                level = value
            elif name == "IMPORT_NAME":
                module = "." * level + str(value)
                self.imports.add(module)
            elif name == "IMPORT_FROM":
                self.imports.add(f"{module}.{value}")
        if chain:
            self.chains.add(".".join(chain))


def root_of(chain: str) -> str:
    """The name that a chain begins with."""
    return chain.partition(".")[0]


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)


def mentioned(code: CodeType, names: Container[str]) -> Iterator[str]:
    """Which of these modules, by the last parts of their names, the code may refer to."""
    for each in (code, *_nested(code)):
        for word in (*each.co_names, *_constants(each.co_consts)):
            last = word.rpartition(".")[2] if isinstance(word, str) else ""
            if last in names:
                yield last


def _constants(found: Iterable[object]) -> Iterator[object]:
    for constant in found:
        if isinstance(constant, (str, bytes, int, float, complex)):
            yield constant
        elif isinstance(constant, (tuple, frozenset)):
            yield from _constants(constant)
