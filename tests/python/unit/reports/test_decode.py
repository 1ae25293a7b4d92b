"""From what a worker has written back to pytest's reports, apart from what it writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from rpytest.ipc import ring_records
from rpytest.reports import decode, failure_text

Record = tuple[int, int, int, int, int, bytes]


def joined(records: list[Record]) -> bytes:
    return b"".join(
        decode.BODY_HEAD.pack(*head, len(body)) + bytes(body) for *head, body in records
    )


@pytest.mark.parametrize(
    "records",
    [
        [],
        [(0, 0, 1, 0, 0, b"")],
        [
            (3, 1, 1, 2, 1, b"body"),
            (ring_records.NO_TEST, 0, 2, 65535, 65535, b""),
            (1, 1, 1, 1, 1, b"x"),
        ],
        [(2**32 - 1, 255, 255, 65535, 65535, b"\0" * 100_000)],
    ],
    ids=len,
)
def test_bodies(records: list[Record]) -> None:
    found = decode.split_bodies(memoryview(joined(records)))
    assert [(*head, bytes(body)) for *head, body in found] == records


def test_bodies_are_not_copied() -> None:
    data = memoryview(joined([(0, 0, 1, 0, 0, b"body")]))
    (record,) = decode.split_bodies(data)
    assert record[5].obj is data.obj


@dataclass(frozen=True)
class Context:
    kwargs: dict[str, Any] = field(default_factory=dict)


def config_that_gives(report: Any) -> Any:
    """Its hook makes this report of what it is given."""

    def from_serializable(config: Any, data: Any) -> Any:
        assert config is not None
        report.data = dict(data)
        return report

    return SimpleNamespace(hook=SimpleNamespace(pytest_report_from_serializable=from_serializable))


def test_a_report_that_only_passed_asks_nobody() -> None:
    report = pytest.TestReport("a.py::t", ("a.py", 1, "t"), {"t": 1}, "passed", None, "call")
    data = ring_records.load(ring_records.dump_plain(report))
    nobody: Any = None
    assert vars(decode.decode_report(nobody, data)) == vars(report)


def test_hooks_see_what_hooks_have_made() -> None:
    report = SimpleNamespace(longrepr="text")
    found: Any = decode.decode_report(config_that_gives(report), {"some": "thing"})
    assert found is report
    assert found.data == {"some": "thing"}
    assert found.longrepr == "text"


def test_a_recorded_text_takes_the_place_of_the_string() -> None:
    report = SimpleNamespace(longrepr="text")
    writes = [("red", {"red": True}), (" plain\n", {})]
    data = {"some": "thing", failure_text.KEY: writes}
    found: Any = decode.decode_report(config_that_gives(report), data)
    assert found.data == {"some": "thing"}
    assert found.longrepr.writes == writes
    assert str(found.longrepr) == "red plain"


def test_a_text_that_is_empty_is_one() -> None:
    report = SimpleNamespace(longrepr="text")
    found: Any = decode.decode_report(config_that_gives(report), {failure_text.KEY: []})
    assert str(found.longrepr) == ""


def test_parameters_of_a_subtest() -> None:
    """Some versions of pytest take their repr once more."""
    report = SimpleNamespace(context=Context({"i": "'1'"}), longrepr=None)
    data = {"_subtest.context": {"msg": None, "kwargs": {"i": "1"}}}
    found: Any = decode.decode_report(config_that_gives(report), data)
    assert found.context.kwargs == {"i": "1"}
