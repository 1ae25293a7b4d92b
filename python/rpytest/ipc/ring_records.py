"""Record bodies: what a worker writes about a test into its ring.

The formats are those of ``docs/design/protocol.md`` §3; ``src/decode/`` reads them. Blobs are for
Python only: `marshal`, because it carries exactly the plain Python values and is the fastest there
is; both ends are forks of one interpreter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from rpytest import stdlib
from rpytest.stdlib import marshal, struct

__builtins__ = stdlib.BUILTINS

TEST, BYE, STOP, LOG = 1, 2, 3, 4
PLAIN = 1
#: The body ends with fixtures that were set up: all of them (`--timings`), or expensive ones of the
#: session.
SETUPS = 2
NO_TEST = 0xFFFF_FFFF

WHEN = {"setup": 0, "call": 1, "teardown": 2}
WHEN_NAMES = ("setup", "call", "teardown", "other")
OUTCOME = {"passed": 0, "failed": 1, "skipped": 2}

_PLAIN_KINDS = (bool, int, float, str, bytes)
#: A value that contains itself has no end; reports are far from this.
_DEPTH_LIMIT = 64

IS_FAILURE, IN_SUMMARY = 1, 2

WHY_INTERRUPT, WHY_EXIT, WHY_INTERNAL, WHY_SHOULDSTOP, WHY_SHOULDFAIL = 1, 2, 3, 4, 5

_PLAIN = struct.Struct("<dddd")
_HEAD = struct.Struct("<BBBdd")
_U32 = struct.Struct("<I")
_COUNTS = struct.Struct("<5I")
_SETUP = struct.Struct("<ddB")

#: A fixture that was set up: name, scope, node id of where it is defined, start (epoch), seconds
#: without other fixtures' set-ups, whether it raised.
Setup = tuple[str, str, str, float, float, bool]

NO_COUNTS = (0, 0, 0, 0, 0)


@dataclass(slots=True)
class Entry:
    """One report of a test, ready to be encoded."""

    when: int
    outcome: int
    bits: int
    start: float
    duration: float
    category: str
    letter: str
    word: str
    markup: str
    reason: str
    blob: bytes


def plain_values(value: Any, depth: int = 0) -> Any:
    """Return ``value`` built of what `marshal` carries; everything else, and what is nested too
    deeply, becomes its repr.
    """
    kind = type(value)
    if value is None or kind in _PLAIN_KINDS:
        return value
    if depth < _DEPTH_LIMIT:
        deeper = depth + 1
        if isinstance(value, dict):
            return {
                plain_values(key, deeper): plain_values(item, deeper) for key, item in value.items()
            }
        if isinstance(value, tuple):
            return tuple(plain_values(item, deeper) for item in value)
        if isinstance(value, list):
            return [plain_values(item, deeper) for item in value]
        if isinstance(value, (set, frozenset)):
            items = (plain_values(item, deeper) for item in value)
            return frozenset(items) if isinstance(value, frozenset) else set(items)
    # Subclasses (enums, numpy's scalars) travel as the plain value that they are.
    for base in (int, float, str):
        if isinstance(value, base):
            return base(value)
    if isinstance(value, bytes):
        return bytes(value)
    try:
        return repr(value)
    except Exception as error:
        return f"<{kind.__name__} whose repr raised {type(error).__name__}>"


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Whether `marshal` carries ``value`` as it is. It would take anything that has a buffer for
    bytes.
    """
    kind = type(value)
    if value is None or kind in _PLAIN_KINDS:
        return True
    if depth >= _DEPTH_LIMIT:
        return False
    deeper = depth + 1
    if kind is dict:
        return all(
            _is_plain(key, deeper) and _is_plain(item, deeper) for key, item in value.items()
        )
    if kind in (list, tuple, set, frozenset):
        return all(_is_plain(item, deeper) for item in value)
    return False


def dump(value: Any) -> bytes:
    """Encode a value for the other side; attributes that can't travel degrade to their repr."""
    return marshal.dumps(value if _is_plain(value) else plain_values(value))


def dump_plain(report: pytest.TestReport) -> bytes:
    """Encode a report that says no more than that its phase passed, without asking hooks; `b""`
    when it has values that can't travel.
    """
    fields: Any = (
        report.nodeid,
        report.location,
        report.keywords,
        report.when,
        report.duration,
        report.start,
        report.stop,
    )
    try:
        return marshal.dumps(fields)
    except ValueError:
        return b""


def load_plain(fields: tuple[Any, ...]) -> pytest.TestReport:
    """Rebuild what :func:`dump_plain` has encoded."""
    nodeid, location, keywords, when, duration, start, stop = fields
    return pytest.TestReport(
        nodeid, location, keywords, "passed", None, when, duration=duration, start=start, stop=stop
    )


def load(blob: bytes | memoryview) -> Any:
    """Decode what :func:`dump` made."""
    return marshal.loads(blob)


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")
    return _U32.pack(len(data)) + data


def _blob(data: bytes) -> bytes:
    return _U32.pack(len(data)) + data


def _counts(counts: Sequence[int]) -> bytes:
    return _COUNTS.pack(*counts)


_PLAIN_TAIL = _text("") + _counts(NO_COUNTS)


def plain_test(
    start: float,
    setup: float,
    call: float,
    teardown: float,
    junit: str = "",
    counts: Sequence[int] = NO_COUNTS,
) -> bytes:
    """Body of a test of which every phase passed and has nothing to show."""
    tail = _text(junit) + _counts(counts) if junit else _PLAIN_TAIL
    return _PLAIN.pack(start, setup, call, teardown) + tail


def full_test(
    entries: Sequence[Entry],
    warnings: Iterable[bytes],
    junit: str = "",
    counts: Sequence[int] = NO_COUNTS,
) -> bytes:
    """Body of any other test."""
    parts = [_U32.pack(len(entries))]
    for entry in entries:
        parts.append(_HEAD.pack(entry.when, entry.outcome, entry.bits, entry.start, entry.duration))
        parts.extend(
            map(_text, (entry.category, entry.letter, entry.word, entry.markup, entry.reason))
        )
        parts.append(_blob(entry.blob))
    parts.append(_blobs(warnings))
    parts.append(_text(junit))
    parts.append(_counts(counts))
    return b"".join(parts)


def setups(done: Sequence[Setup]) -> bytes:
    """What is put behind the body of a test; the record's flags say :data:`SETUPS`."""
    parts = [_U32.pack(len(done))]
    for name, scope, base, start, duration, failed in done:
        parts += [_SETUP.pack(start, duration, failed), _text(name), _text(scope), _text(base)]
    return b"".join(parts)


def bye(
    exitstatus: int,
    properties: Sequence[tuple[str, str]],
    warnings: Iterable[bytes],
    workeroutput: bytes,
    holds: bool,
) -> bytes:
    """Body of a worker's last record; ``holds``: its death has to be awaited
    (:class:`rpytest.worker.worker.ResourceFootprint`).
    """
    parts = [bytes((exitstatus & 0xFF,)), _U32.pack(len(properties))]
    for name, value in properties:
        parts += [_text(name), _text(value)]
    parts += [_blobs(warnings), _blob(workeroutput), bytes((holds,))]
    return b"".join(parts)


def stop(why: int, status: int, text: str, location: str) -> bytes:
    """Body of a record by which a worker ends the run; ``status`` −1 means the default for
    ``why``.
    """
    return bytes((why,)) + struct.pack("<i", status) + _text(text) + _text(location)


def log(text: str) -> bytes:
    """Body of a record with lines of a live log."""
    return _text(text)


def _blobs(blobs: Iterable[bytes]) -> bytes:
    encoded = [_blob(blob) for blob in blobs]
    return _U32.pack(len(encoded)) + b"".join(encoded)


@dataclass(slots=True)
class Decoded:
    """A TEST body read back: the reports as (when, start, duration, category, blob) and the
    warnings' blobs.
    """

    reports: list[tuple[int, float, float, str, bytes | memoryview]]
    warnings: list[bytes]


def decode_test(body: memoryview, plain: bool) -> Decoded:
    """Read a TEST body (used by the process that writes pytest's summary)."""
    reports: list[tuple[int, float, float, str, bytes | memoryview]] = []
    if plain:
        start, *durations = _PLAIN.unpack_from(body, 0)
        for when, duration in enumerate(durations):
            reports.append((when, start, duration, "passed" if when == 1 else "", b""))
            start += duration
        return Decoded(reports, [])
    reader = _Reader(body)
    for _ in range(reader.number(_U32)):
        when, _outcome, _bits, start, duration = reader.unpack(_HEAD)
        category = str(reader.blob(), "utf-8")
        for _ in range(4):
            reader.blob()
        reports.append((when, start, duration, category, reader.blob()))
    warnings = [bytes(reader.blob()) for _ in range(reader.number(_U32))]
    return Decoded(reports, warnings)


def decode_warnings(body: memoryview) -> list[bytes]:
    """The warnings' blobs of a BYE body."""
    reader = _Reader(body)
    reader.at = 1
    for _ in range(2 * reader.number(_U32)):
        reader.blob()
    return [bytes(reader.blob()) for _ in range(reader.number(_U32))]


def decode_output(body: memoryview) -> memoryview:
    """The worker's output (:func:`load` makes a dict of it) in a BYE body."""
    reader = _Reader(body)
    reader.at = 1
    for _ in range(2 * reader.number(_U32)):
        reader.blob()
    for _ in range(reader.number(_U32)):
        reader.blob()
    return reader.blob()


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def unpack(self, form: struct.Struct) -> tuple[Any, ...]:
        values = form.unpack_from(self.data, self.at)
        self.at += form.size
        return values

    def number(self, form: struct.Struct) -> int:
        return int(self.unpack(form)[0])

    def blob(self) -> memoryview:
        length = self.number(_U32)
        part = self.data[self.at : self.at + length]
        if len(part) != length:
            raise ValueError(f"a record ends {length - len(part)} bytes early")
        self.at += length
        return part
