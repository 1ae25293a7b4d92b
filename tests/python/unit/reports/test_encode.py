"""What a worker writes about a test, and what its host reads of it: as little as will do."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest._io import TerminalWriter

from rpytest.ipc import ring_records
from rpytest.ipc.ring_records import Entry
from rpytest.reports import encode
from rpytest.reports.decode import decode_report
from rpytest.reports.encode import Encoder, skip_reason
from rpytest.reports.junit import CollectingXML
from support import inner_session

TESTS = """
import pytest
def test_pass(): pass
def test_fail(): assert 0, "wh\xe4t"
def test_says(request): request.node.add_report_section("call", "stdout", "\xf6dd\\udc80")
def test_says_and_fails(request):
    request.node.add_report_section("call", "stdout", "\xf6dd\\udc80")
    assert 0
def test_property(record_property): record_property("name", ["value"])
def test_skip(): pytest.skip("why")
@pytest.mark.skip
def test_skip_mark(): pass
@pytest.mark.xfail(reason="known")
def test_xfail(): assert 0
@pytest.mark.xfail(reason="known")
def test_xpass(): pass
@pytest.mark.xfail(strict=True)
def test_xpass_strict(): pass
@pytest.fixture
def before(): raise ValueError
@pytest.fixture
def after():
    yield
    raise ValueError
def test_error(before): pass
def test_error_after(after): pass
def test_fails_twice(after): assert 0
def test_no_such_fixture(no_such_fixture): pass
def test_text(): pytest.fail("only a text", pytrace=False)
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("encode")
    inner_session.write(folder, test_a=TESTS)
    with inner_session.collected(folder) as session:
        yield session


@pytest.fixture
def plugin(session: Any) -> Iterator[Any]:
    """Takes plugins for the time of a test."""
    registered: list[Any] = []

    def register(module: str = "some_plugin", **functions: Any) -> None:
        contents = {name: staticmethod(each) for name, each in functions.items()}
        made = type("Plugin", (), {"__module__": module, **contents})
        registered.append(made)
        session.config.pluginmanager.register(made)

    yield register
    for each in registered:
        session.config.pluginmanager.unregister(each)


def read(body: bytes) -> tuple[list[Entry], str, tuple[int, ...]]:
    """What the command line reads of a body: entries, junit elements and their counts."""
    reader = ring_records._Reader(memoryview(body))
    entries = []
    for _ in range(reader.number(ring_records._U32)):
        head = reader.unpack(ring_records._HEAD)
        fields: list[Any] = [*head, *(str(reader.blob(), "utf-8") for _ in range(5))]
        fields.append(bytes(reader.blob()))
        entries.append(Entry(*fields))
    for _ in range(reader.number(ring_records._U32)):
        reader.blob()
    junit = str(reader.blob(), "utf-8")
    return entries, junit, reader.unpack(ring_records._COUNTS)


def entries_of(encoder: Encoder, reports: Sequence[Any]) -> list[Entry]:
    flags, body, _ = encoder.test(reports, [])
    assert flags == 0
    return read(body)[0]


def data_of(encoder: Encoder, reports: Sequence[Any]) -> list[Any]:
    """For each report what a host can make it from, if anything."""
    return [
        ring_records.load(entry.blob) if entry.blob else None
        for entry in entries_of(encoder, reports)
    ]


# Tests of which there is nothing to say


def test_a_test_that_passes_is_its_times(session: Any) -> None:
    reports = inner_session.run(session, "test_pass")
    flags, body, is_urgent = Encoder(session.config, None).test(reports, [])
    setup, call, teardown = reports
    assert (flags, is_urgent) == (ring_records.PLAIN, False)
    assert body == ring_records.plain_test(
        setup.start, setup.duration, call.duration, teardown.duration
    )


def test_what_makes_it_more(session: Any) -> None:
    """A warning, an attribute, a section, another phase, another class."""
    encoder = Encoder(session.config, None)
    reports = inner_session.run(session, "test_pass")
    assert encoder.test(reports, [b"warning"])[0] == 0
    assert encoder.test(reports[:2], [])[0] == 0
    assert encoder.test([*reports, reports[1]], [])[0] == 0
    assert encoder.test(reports[::-1], [])[0] == 0
    for name in ("test_says", "test_property", "test_fail", "test_skip"):
        assert encoder.test(inner_session.run(session, name), [])[0] == 0
    report: Any = reports[1]
    assert encoder.is_plain(report)
    report.extra = 1
    assert not encoder.is_plain(report)

    class Own(pytest.TestReport):
        pass

    report.__class__ = Own
    del report.extra
    assert not encoder.is_plain(report)


def test_warnings_come_with_it(session: Any) -> None:
    reports = inner_session.run(session, "test_pass")
    _, body, _ = Encoder(session.config, None).test(reports, [b"1", b"2"])
    found = ring_records.decode_test(memoryview(body), plain=False)
    assert found.warnings == [b"1", b"2"]
    assert [category for _, _, _, category, _ in found.reports] == ["", "passed", ""]


def test_a_plugin_that_is_asked_for_its_status(session: Any, plugin: Any) -> None:
    colours = {"green": True, "bold": False, "red": 1}

    def pytest_report_teststatus(report: Any) -> Any:
        return ("own", "o", ("OWN", colours)) if report.when == "call" else None

    plugin(pytest_report_teststatus=pytest_report_teststatus)
    found = entries_of(Encoder(session.config, None), inner_session.run(session, "test_pass"))
    assert [(each.category, each.letter, each.word, each.markup) for each in found] == [
        ("", "", "", ""),
        ("own", "o", "OWN", "green,red"),
        ("", "", "", ""),
    ]


# Its status


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("test_fail", [("", "", ""), ("failed", "F", "FAILED"), ("", "", "")]),
        ("test_says", [("", "", ""), ("passed", ".", "PASSED"), ("", "", "")]),
        ("test_skip", [("", "", ""), ("skipped", "s", "SKIPPED"), ("", "", "")]),
        ("test_skip_mark", [("skipped", "s", "SKIPPED"), ("", "", "")]),
        ("test_xfail", [("", "", ""), ("xfailed", "x", "XFAIL"), ("", "", "")]),
        ("test_xpass", [("", "", ""), ("xpassed", "X", "XPASS"), ("", "", "")]),
        ("test_error", [("error", "E", "ERROR"), ("", "", "")]),
        ("test_error_after", [("", "", ""), ("passed", ".", "PASSED"), ("error", "E", "ERROR")]),
    ],
)
def test_status(session: Any, name: str, wanted: list[tuple[str, str, str]]) -> None:
    found = entries_of(Encoder(session.config, None), inner_session.run(session, name))
    assert [(each.category, each.letter, each.word) for each in found] == wanted


@pytest.mark.parametrize(
    ("name", "failures"),
    [
        ("test_says", [0, 0, 0]),
        ("test_fail", [0, 1, 0]),
        ("test_skip", [0, 0, 0]),
        ("test_xfail", [0, 0, 0]),
        ("test_xpass", [0, 0, 0]),
        ("test_xpass_strict", [0, 1, 0]),
        ("test_error", [1, 0]),
        ("test_fails_twice", [0, 1, 1]),
    ],
)
def test_failures_are_looked_at_at_once(session: Any, name: str, failures: list[int]) -> None:
    reports = inner_session.run(session, name)
    _, body, is_urgent = Encoder(session.config, None).test(reports, [])
    found = read(body)[0]
    assert [each.bits & ring_records.IS_FAILURE for each in found] == failures
    assert is_urgent is any(failures)
    for entry, report in zip(found, reports, strict=True):
        assert ring_records.WHEN_NAMES[entry.when] == report.when
        assert entry.outcome == ring_records.OUTCOME[report.outcome]
        assert (entry.start, entry.duration) == (report.start, report.duration)


def test_a_failure_that_was_expected_is_none(session: Any) -> None:
    """As plugins may tell it; `-x` goes on, too."""
    reports: list[Any] = inner_session.run(session, "test_fail")
    reports[1].wasxfail = "reason: known"
    _, body, is_urgent = Encoder(session.config, None).test(reports, [])
    assert not is_urgent
    assert [each.bits & ring_records.IS_FAILURE for each in read(body)[0]] == [0, 0, 0]


@pytest.mark.parametrize(
    ("shown", "names"),
    [
        ("", {"test_fail", "test_error"}),
        ("s", {"test_fail", "test_error", "test_skip"}),
        ("x", {"test_fail", "test_error", "test_xfail"}),
        ("X", {"test_fail", "test_error", "test_xpass"}),
        ("p", {"test_fail", "test_error", "test_skip", "test_xfail", "test_xpass", "test_says"}),
        ("P", {"test_fail", "test_error", "test_says"}),
    ],
)
def test_what_is_in_the_summary(
    session: Any, monkeypatch: pytest.MonkeyPatch, shown: str, names: set[str]
) -> None:
    """Any of its reports is; `-rP` shows what has sections."""
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    monkeypatch.setattr(terminal, "reportchars", shown)
    encoder = Encoder(session.config, None)
    found = {
        name
        for name in ("fail", "error", "skip", "xfail", "xpass", "says")
        for each in entries_of(encoder, inner_session.run(session, f"test_{name}"))
        if each.bits & ring_records.IN_SUMMARY
    }
    assert {f"test_{name}" for name in found} == names


def test_tracebacks_of_expected_failures(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.config.option, "xfail_tb", True)
    found = entries_of(Encoder(session.config, None), inner_session.run(session, "test_xfail"))
    assert [each.bits & ring_records.IN_SUMMARY != 0 for each in found] == [False, True, False]


def test_reasons(session: Any) -> None:
    encoder = Encoder(session.config, None)
    reasons = {
        name: [each.reason for each in entries_of(encoder, inner_session.run(session, name))]
        for name in ("test_skip", "test_skip_mark", "test_xfail", "test_xpass", "test_fail")
    }
    assert reasons == {
        "test_skip": ["", "why", ""],
        "test_skip_mark": ["unconditional skip", ""],
        "test_xfail": ["", "known", ""],
        "test_xpass": ["", "known", ""],
        "test_fail": ["", "", ""],
    }


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"wasxfail": "reason: why"}, "why"),
        ({"wasxfail": "why"}, "why"),
        ({"wasxfail": ""}, ""),
        ({"wasxfail": 3}, "3"),
        ({"wasxfail": "why", "longrepr": ("a.py", 1, "Skipped: other")}, "why"),
        ({"longrepr": ("a.py", 1, "Skipped: why")}, "why"),
        ({"longrepr": ("a.py", 1, "Skipped")}, ""),
        ({"longrepr": ("a.py", 1, "why")}, "why"),
        ({"longrepr": ("a.py", 1, None)}, "None"),
        ({"longrepr": "Skipped: why"}, ""),
        ({"longrepr": None}, ""),
    ],
)
def test_skip_reason(fields: dict[str, Any], reason: str) -> None:
    report: Any = SimpleNamespace(**fields)
    assert skip_reason(report) == reason


# Which reports travel


@pytest.mark.parametrize(
    ("name", "travels"),
    [
        ("test_fail", [False, True, False]),
        ("test_skip", [False, True, False]),
        ("test_error", [True, False]),
        # What a passed test has said is shown by nobody.
        ("test_says", [False, False, False]),
        ("test_property", [False, False, False]),
        # With a failure it is shown, and the last phase has it, too.
        ("test_says_and_fails", [False, True, True]),
        ("test_xpass", [False, True, False]),
    ],
)
def test_travelling(session: Any, name: str, travels: list[bool]) -> None:
    found = data_of(Encoder(session.config, None), inner_session.run(session, name))
    assert [data is not None for data in found] == travels


def test_passed_tests_are_shown(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    reports = inner_session.run(session, "test_says")
    monkeypatch.setattr(terminal, "reportchars", "P")
    found = data_of(Encoder(session.config, None), reports)
    assert [data is not None for data in found] == [False, True, True]
    monkeypatch.setattr(terminal, "reportchars", "")
    monkeypatch.setattr(session.config.option, "durations", 3)
    assert data_of(Encoder(session.config, None), reports) == found


def test_every_report(session: Any) -> None:
    """Somebody wants those of passed tests, too, who has no items to make them from."""
    encoder = Encoder(session.config, None, every_report=True)
    reports = inner_session.run(session, "test_pass")
    found = data_of(encoder, reports)
    # They are short: no hook is asked.
    assert [type(data) for data in found] == [tuple] * 3
    for data, report in zip(found, reports, strict=True):
        assert vars(decode_report(session.config, data)) == vars(report)


def test_every_report_with_what_can_not_travel(session: Any) -> None:
    reports: list[Any] = inner_session.run(session, "test_pass")
    reports[1].keywords = {"name": object()}
    found = data_of(Encoder(session.config, None, every_report=True), reports)
    assert [type(data) for data in found] == [tuple, dict, tuple]
    assert found[1]["keywords"]["name"].startswith("<object object")


def test_a_plugin_s_attribute(session: Any, plugin: Any) -> None:
    """It is taken out again at the end, by whoever writes something there."""
    reports: list[Any] = inner_session.run(session, "test_pass")
    reports[1].extra = {"a": 1}
    assert data_of(Encoder(session.config, None), reports) == [None] * 3
    # It is known that this plugin looks at nothing else.
    plugin("pytest_timeout", pytest_terminal_summary=lambda: None)
    encoder = Encoder(session.config, None)
    found = data_of(encoder, reports)
    assert [data is not None for data in found] == [False, True, False]
    again: Any = decode_report(session.config, found[1])
    assert again.extra == {"a": 1}
    says = inner_session.run(session, "test_says")
    assert data_of(encoder, says) == [None] * 3


def test_a_plugin_that_writes_a_summary(session: Any, plugin: Any) -> None:
    assert not encode.needs_every_report(session.config)
    plugin(pytest_terminal_summary=lambda: None)
    assert encode.needs_every_report(session.config)
    found = data_of(Encoder(session.config, None), inner_session.run(session, "test_says"))
    assert [data is not None for data in found] == [False, True, True]


@pytest.mark.parametrize(
    ("shown", "durations", "shows"),
    [("", None, False), ("fE", None, False), ("p", None, True), ("P", None, True), ("", 0, True)],
)
def test_options_that_show_passed_tests(
    session: Any,
    monkeypatch: pytest.MonkeyPatch,
    shown: str,
    durations: int | None,
    shows: bool,
) -> None:
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    monkeypatch.setattr(terminal, "reportchars", shown)
    monkeypatch.setattr(session.config.option, "durations", durations)
    assert encode.shows_passed_tests(session.config) is shows
    assert encode.needs_every_report(session.config) is shows


class Extra(pytest.TestReport):
    """As of a subtest: a report of a class of its own, beside those of the phases."""


def extra(report: pytest.TestReport, **fields: Any) -> Any:
    found = Extra.__new__(Extra)
    vars(found).update({**vars(report), **fields})
    return found


def test_an_extra_report_that_passed_only_counts(session: Any) -> None:
    setup, call, teardown = inner_session.run(session, "test_pass")
    more = [extra(call), extra(call, sections=[("out", "text")]), extra(call, when="other")]
    found = entries_of(Encoder(session.config, None), [setup, *more, call, teardown])
    assert [each.category for each in found] == ["", "passed", "passed", "passed", "passed", ""]
    assert [bool(each.blob) for each in found] == [False, False, True, False, False, False]
    # What has another name is none of the three phases.
    assert [each.when for each in found] == [0, 1, 1, 3, 1, 2]


# What is kept for the case that the worker dies


@pytest.mark.parametrize(
    ("name", "whens"),
    [
        ("test_pass", None),
        ("test_says", None),
        ("test_property", None),
        ("test_fail", ["call"]),
        ("test_skip_mark", ["setup"]),
        ("test_error", ["setup"]),
        ("test_xfail", ["call"]),
        ("test_xpass", ["call"]),
    ],
)
def test_kept(session: Any, name: str, whens: list[str] | None) -> None:
    reports = [each for each in inner_session.run(session, name) if each.when != "teardown"]
    kept = Encoder(session.config, None).encode_kept(reports)
    if whens is None:
        assert kept == b""
    else:
        found = [decode_report(session.config, data) for data in ring_records.load(kept)]
        assert [each.when for each in found] == whens


def test_kept_of_a_test_whose_part_has_failed(session: Any) -> None:
    """The test's own report is there in any case."""
    setup, call, _ = inner_session.run(session, "test_pass")
    encoder = Encoder(session.config, None)
    kept = encoder.encode_kept([setup, extra(call), extra(call, outcome="failed"), call])
    assert [(data["$report_type"], data["outcome"]) for data in ring_records.load(kept)] == [
        ("Extra", "failed"),
        ("TestReport", "passed"),
    ]


# To and fro


def text_of(report: Any, colours: bool) -> str:
    writer = TerminalWriter(io.StringIO())
    writer.hasmarkup = colours
    report.toterminal(writer)
    file: Any = writer._file
    return str(file.getvalue())


@pytest.mark.parametrize(
    "name",
    [
        "test_fail",
        "test_says_and_fails",
        "test_skip",
        "test_skip_mark",
        "test_xfail",
        "test_xpass",
        "test_xpass_strict",
        "test_error",
        "test_error_after",
        "test_fails_twice",
        "test_no_such_fixture",
        "test_text",
    ],
)
@pytest.mark.parametrize("colours", [False, True])
def test_a_report_comes_back(
    session: Any, monkeypatch: pytest.MonkeyPatch, name: str, colours: bool
) -> None:
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    monkeypatch.setattr(terminal._tw, "hasmarkup", colours)
    reports = inner_session.run(session, name)
    found = data_of(Encoder(session.config, None), reports)
    assert any(data is not None for data in found)
    for data, report in zip(found, reports, strict=True):
        if data is not None:
            again: Any = decode_report(session.config, data)
            for attribute in ("nodeid", "location", "keywords", "outcome", "when", "sections"):
                assert getattr(again, attribute) == getattr(report, attribute)
            assert getattr(again, "wasxfail", None) == getattr(report, "wasxfail", None)
            assert text_of(again, colours) == text_of(report, colours)


def test_text_that_is_not_unicode(session: Any) -> None:
    """It comes back as it was; texts for the command line are readable."""
    reports: list[Any] = inner_session.run(session, "test_says_and_fails")
    encoder = Encoder(session.config, None)
    data = data_of(encoder, reports)[1]
    assert decode_report(session.config, data).sections == [("Captured stdout call", "ödd\udc80")]
    (_, skipped, _) = inner_session.run(session, "test_skip")
    skipped.longrepr = ("a.py", 1, "Skipped: ö\udc80")
    (entry,) = entries_of(encoder, [skipped])
    assert entry.reason == "ö\\udc80"


def test_a_plugin_says_how_reports_travel(session: Any, plugin: Any) -> None:
    def pytest_report_to_serializable(report: Any) -> dict[str, Any]:
        return {"mine": report.nodeid, "text": report.longreprtext}

    plugin(pytest_report_to_serializable=pytest_report_to_serializable)
    reports = inner_session.run(session, "test_fail")
    found = data_of(Encoder(session.config, None), reports)[1]
    assert found["mine"] == "test_a.py::test_fail"
    assert "assert 0" in found["text"]
    passed = inner_session.run(session, "test_pass")
    encoder = Encoder(session.config, None, every_report=True)
    assert [data["mine"] for data in data_of(encoder, passed)] == ["test_a.py::test_pass"] * 3


# The junit file


def test_junit_elements(session: Any, tmp_path: Path) -> None:
    xml = CollectingXML(str(tmp_path / "x.xml"), None)
    encoder = Encoder(session.config, xml)
    counts = {}
    for name in ("test_fail", "test_skip", "test_error", "test_xfail"):
        _, junit, counts[name] = read(encoder.test(inner_session.run(session, name), [])[1])
        assert junit.count("<testcase ") == 1
        assert f'name="{name}"' in junit
    assert counts == {
        "test_fail": (0, 1, 0, 0, 0),
        "test_skip": (0, 0, 0, 1, 0),
        "test_error": (0, 0, 1, 0, 0),
        "test_xfail": (0, 0, 0, 1, 0),
    }
    reports = inner_session.run(session, "test_pass")
    flags, body, _ = encoder.test(reports, [])
    assert flags == ring_records.PLAIN
    assert b'<testcase classname="test_a" name="test_pass"' in body
    assert body.endswith(ring_records._COUNTS.pack(1, 0, 0, 0, 0))


def test_a_junit_file_of_other_reports(session: Any, tmp_path: Path) -> None:
    """Such as of the last attempt only."""
    encoder = Encoder(session.config, CollectingXML(str(tmp_path / "x.xml"), None))
    passed = inner_session.run(session, "test_pass")
    failed = inner_session.run(session, "test_fail")
    _, body, _ = encoder.test([*failed, *passed], [], junit_reports=passed)
    entries, junit, counts = read(body)
    assert len(entries) == 6
    assert "test_fail" not in junit
    assert counts == (1, 0, 0, 0, 0)


def test_no_terminal(tmp_path: Path) -> None:
    """Nobody is there to say what a status is called: it is the outcome."""
    inner_session.write(tmp_path, test_b="def test_1(): assert 0")
    with inner_session.collected(tmp_path, "-p", "no:terminal") as session:
        encoder = Encoder(session.config, None)
        found = entries_of(encoder, inner_session.run(session, "test_1"))
    assert [each.category for each in found] == ["", "failed", ""]
    assert [each.word for each in found] == ["", "", ""]
