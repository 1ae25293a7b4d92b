"""What is written into rings comes out as it was, or as its repr."""

from __future__ import annotations

import enum
import struct
from typing import Any

import pytest

from rpytest.ipc import ring_records


class Color(enum.IntEnum):
    RED = 1


class Name(str):
    pass


class Silent:
    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1,
        2**90,
        1.5,
        "ä",
        "\udc80",
        b"\0",
        [1, [2]],
        (1, ("a",)),
        {"a": {1: None}},
        {1, 2},
        frozenset({1}),
        ...,
    ],
    ids=repr,
)
def test_plain_values_travel(value: Any) -> None:
    wanted = repr(value) if value is ... else value
    found = ring_records.load(ring_records.dump(value))
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (Color.RED, 1),
        (Name("x"), "x"),
        ([Color.RED, {Name("k"): (Color.RED,)}], [1, {"k": (1,)}]),
        (bytearray(b"x"), "bytearray(b'x')"),
        (memoryview(b"x"), None),
        (object, "<class 'object'>"),
        (Silent(), "<Silent whose repr raised ValueError>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_values_degrade(value: Any, wanted: Any) -> None:
    found = ring_records.load(ring_records.dump(value))
    if wanted is None:
        assert found.startswith("<memory at ")
    else:
        assert found == wanted
        assert type(found) is type(wanted)


def test_a_value_that_contains_itself_has_an_end() -> None:
    value: list[Any] = []
    value.append(value)
    found = ring_records.load(ring_records.dump(value))
    for _ in range(10):
        found = found[0]
    assert found


def test_what_is_dumped_is_not_changed() -> None:
    value = {"a": [Color.RED]}
    ring_records.dump(value)
    assert value["a"][0] is Color.RED


def test_plain_test() -> None:
    found = ring_records.decode_test(
        memoryview(ring_records.plain_test(10.0, 1.0, 2.0, 3.0)), plain=True
    )
    assert found.reports == [
        (0, 10.0, 1.0, "", b""),
        (1, 11.0, 2.0, "passed", b""),
        (2, 13.0, 3.0, "", b""),
    ]
    assert found.warnings == []


def entry(when: int, blob: bytes) -> ring_records.Entry:
    return ring_records.Entry(
        when, 1, 3, 5.0, 0.25, "failed", "F", "FAILED", "red", "becäuse\udc80", blob
    )


@pytest.mark.parametrize("warnings", [[], [b"w"], [b"", b"x" * 100_000]])
@pytest.mark.parametrize("blobs", [[], [b""], [b"a", b"b" * 70_000, b"c"]], ids=len)
def test_full_test(blobs: list[bytes], warnings: list[bytes]) -> None:
    entries = [entry(when, blob) for when, blob in enumerate(blobs)]
    found = ring_records.decode_test(
        memoryview(ring_records.full_test(entries, warnings, "<x/>", (1, 2, 3, 4, 5))), plain=False
    )
    assert found.reports == [(when, 5.0, 0.25, "failed", blob) for when, blob in enumerate(blobs)]
    assert found.warnings == warnings


def test_setups_come_behind_the_body() -> None:
    body = ring_records.full_test([entry(1, b"x")], []) + ring_records.setups(
        [("db", "session", "", 1.0, 2.0, False)]
    )
    assert ring_records.decode_test(memoryview(body), plain=False).reports[0][4] == b"x"


def test_bye() -> None:
    output = ring_records.dump({"said": 1})
    body = memoryview(
        ring_records.bye(3, [("name", "välue"), ("", "")], [b"w1", b"w2"], output, holds=True)
    )
    assert body[0] == 3
    assert body[-1] == 1
    assert ring_records.decode_warnings(body) == [b"w1", b"w2"]
    assert ring_records.load(ring_records.decode_output(body)) == {"said": 1}


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_body_that_is_cut_is_told(cut: int) -> None:
    body = ring_records.full_test([entry(1, b"blob")], [b"warning"])
    short = memoryview(body)[: len(body) - struct.calcsize("<5I") - 4 - cut]
    with pytest.raises((ValueError, struct.error)):
        ring_records.decode_test(short, plain=False)


def test_a_report_that_only_passed() -> None:
    keywords: dict[str, Any] = {"k": 1}
    report = pytest.TestReport(
        "a::b", ("a", 1, "b"), keywords, "passed", None, "call", duration=1.5, start=2.0, stop=3.5
    )
    found = ring_records.load_plain(ring_records.load(ring_records.dump_plain(report)))
    assert vars(found) == vars(report)
    keywords["k"] = object()
    report.keywords = keywords
    assert ring_records.dump_plain(report) == b""
