"""From records back to pytest's reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rpytest import stdlib
from rpytest.ipc import ring_records
from rpytest.reports import failure_text
from rpytest.stdlib import struct

__builtins__ = stdlib.BUILTINS

#: Before each body in the memfd of a `report` request: test, record flags, record kind, slot,
#: incarnation, length of the body in bytes.
BODY_HEAD = struct.Struct("<IBBHHI")


def decode_report(
    config: pytest.Config, data: dict[str, Any] | tuple[Any, ...]
) -> pytest.TestReport:
    """Rebuild a report from what the worker's hook has made of it."""
    if isinstance(data, tuple):
        return ring_records.load_plain(data)
    writes = data.pop(failure_text.KEY, None)
    report: Any = config.hook.pytest_report_from_serializable(config=config, data=data)
    subtest = data.get("_subtest.context")
    if subtest is not None:
        # pytest 9.2 takes the repr of the parameters once more when it decodes: `i='1'`.
        object.__setattr__(report.context, "kwargs", subtest["kwargs"])
    if writes is not None:
        report.longrepr = failure_text.Recorded(writes)
    return report  # type: ignore[no-any-return]


def split_bodies(bodies: memoryview) -> Iterator[tuple[int, int, int, int, int, memoryview]]:
    """The records in the memfd of a `report` request: test, record flags, record kind, slot,
    incarnation, body.
    """
    at = 0
    while at < len(bodies):
        test, flags, kind, slot, incarnation, length = BODY_HEAD.unpack_from(bodies, at)
        at += BODY_HEAD.size
        yield test, flags, kind, slot, incarnation, bodies[at : at + length]
        at += length
