"""The rows of the matrix."""

from __future__ import annotations

from row import Row
from rows import data, outcomes, reporting

ROWS: tuple[Row, ...] = tuple(
    cls()
    for module in (outcomes, data, reporting)
    for cls in vars(module).values()
    if isinstance(cls, type) and issubclass(cls, Row) and cls is not Row
)
