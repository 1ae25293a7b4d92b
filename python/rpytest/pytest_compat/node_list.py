"""What a collector has collected, as a list in which pytest finds a node id without looking at all.

pytest compares each node id that it is given with every node of a module
(`_pytest.main.Session.collect`), so that 2,000 ids of a module with 2,000 tests are four million
comparisons. This list shows that function only the nodes that have the name in question.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

#: Fewer are found as fast as they are looked up.
_FEWEST = 32

_COLLECT = pytest.Session.collect.__code__


class Members(list[Any]):
    """Nodes in the order in which they were collected."""

    def __init__(self, nodes: list[Any]) -> None:
        super().__init__(nodes)
        self._indexed: list[Any] = []
        self._by_name: dict[str, list[Any]] = {}

    def __reversed__(self) -> Iterator[Any]:
        """All of them; asked by pytest for a name, those that may have it."""
        frame: Any = sys._getframe(1)
        if frame.f_code is not _COLLECT or len(self) < _FEWEST:
            return super().__reversed__()
        parts = frame.f_locals.get("matchparts")
        if not isinstance(parts, list) or not parts or not isinstance(parts[0], str):
            # This pytest keeps what it looks for elsewhere, or looks for a file.
            return super().__reversed__()
        return iter(self._named(parts[0])[::-1])

    def _named(self, name: str) -> list[Any]:
        """Nodes of this name, with any parameters or none: no other one can match."""
        if self._indexed != list(self):
            # Hooks may change the list in place.
            self._indexed = list(self)
            found = defaultdict(list)
            for node in self:
                for each in {node.name, node.name.split("[")[0]}:
                    found[each].append(node)
            self._by_name = dict(found)
        return self._by_name.get(name, [])
