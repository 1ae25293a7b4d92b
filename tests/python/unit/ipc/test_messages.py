"""What a message may be, and whether the page on the protocol tells of each."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rpytest.ipc import process_messages, run_messages
from rpytest.ipc.message import Message

ROOT = Path(__file__).resolve().parents[4]
PAGE = ROOT / "docs" / "design" / "protocol.md"

#: The classes that have a name on the wire, by it.
NAMED: dict[tuple[str, str], list[type[Message]]] = {}
for _kind in {**vars(run_messages), **vars(process_messages)}.values():
    if isinstance(_kind, type) and issubclass(_kind, Message):
        for _tag in _kind.tag.items():
            NAMED.setdefault(_tag, []).append(_kind)

RUN: dict[str, Any] = {
    "op": "run",
    "protocol": 2,
    "build": "b",
    "argv": ["-n2"],
    "cwd": "/",
    "env_key": "k",
    "prog": "/bin/rpytest",
    "umask": 18,
    "affinity": [0],
    "preload": True,
}


def test_fields_and_their_defaults() -> None:
    request = run_messages.DaemonRequest.parse(
        {**RUN, "tty": {"stdout": True, "columns": 80}, "colour": "red"}
    )
    assert isinstance(request, run_messages.RunRequest)
    assert (request.argv, request.cpus, request.session_fixtures, request.memory_limit) == (
        ["-n2"],
        1,
        "shared",
        None,
    )
    assert request.tty == run_messages.Tty(stdout=True)
    assert "colour" not in vars(request)
    assert request.wire()["tty"] == {"stdout": True, "columns": 80}
    assert "memory_limit" not in request.wire()
    assert run_messages.DaemonRequest.parse(request.wire()) == request


def test_lists_are_each_messages_own() -> None:
    one, two = run_messages.Fixtures(), run_messages.Fixtures()
    one.notes.append("text")
    assert two.notes == []


def test_a_default_is_no_messages_own() -> None:
    """Nothing instead of a list is the default, which each message has for itself."""
    one = run_messages.DaemonRequest.parse({**RUN, "shared_fixtures": None})
    assert isinstance(one, run_messages.RunRequest)
    one.shared_fixtures.append("name")
    assert (
        run_messages.RunRequest(**{name: RUN[name] for name in RUN if name != "op"}).shared_fixtures
        == []
    )


def test_nothing_is_evaluated_when_a_message_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test may have replaced what annotations are understood with."""
    raw = process_messages.BaseTempAnswer(path="/").wire()
    for name in ("eval", "compile", "exec"):
        monkeypatch.delattr(f"builtins.{name}")
    assert process_messages.BaseTempAnswer.parse(raw).path == "/"


def test_one_kind_of_several_families() -> None:
    raw = run_messages.Report(status=1).wire()
    families = (
        run_messages.HostRequest,
        run_messages.ControllerRequest,
        run_messages.PytestRequest,
    )
    assert all(family.parse(raw) == run_messages.Report(status=1) for family in families)
    with pytest.raises(ValueError, match="no WorkerRequest: 'report'"):
        process_messages.WorkerRequest.parse(raw)


def test_messages_in_messages() -> None:
    inner = run_messages.Crashed(test=3, message="it died")
    raw = json.loads(json.dumps(process_messages.Delegate(request=inner).wire()))
    assert process_messages.SupervisedRequest.parse(raw) == process_messages.Delegate(request=inner)
    assert process_messages.SupervisedRequest.parse(
        {"op": "delegate", "request": None}
    ) == process_messages.Delegate(request=None)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"argv": None}, "`argv` of a RunRequest is None"),
        ({"argv": "-n2"}, "`argv` of a RunRequest is '-n2'"),
        ({"umask": True}, "`umask` of a RunRequest is True"),
        ({"umask": 1.5}, "`umask` of a RunRequest is 1.5"),
        ({"tty": {"stdout": 1}}, "`stdout` of a Tty is 1"),
        ({"tty": {}}, "a Tty has no `stdout`"),
        ({"op": "walk"}, "no DaemonRequest: 'walk'"),
        ({"op": None}, "no DaemonRequest: None"),
        ({"op": ["run"]}, "no DaemonRequest: ['run']"),
        ({"op": {}}, "no DaemonRequest: "),
    ],
    ids=str,
)
def test_what_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        run_messages.DaemonRequest.parse({**RUN, **change})


def test_no_field_is_missing_or_unknown() -> None:
    with pytest.raises(ValueError, match="a Spawn has no `incarnation`"):
        run_messages.HostRequest.parse({"op": "spawn", "slot": 1})
    with pytest.raises(ValueError, match="no Spawn"):
        run_messages.Spawn.parse({"op": "go", "slot": 1, "incarnation": 1})
    with pytest.raises(ValueError, match="is a JSON object"):
        run_messages.HostRequest.parse([])
    with pytest.raises(TypeError, match="Spawn: incarnation, number missing or unknown"):
        run_messages.Spawn(slot=1, number=2)  # type: ignore[call-arg]


def test_the_page_tells_of_each_message() -> None:
    told = set(re.findall(r'\{"(ev|op)":"(\w+)"', PAGE.read_text()))
    assert sorted(NAMED.keys() - told) == []
    assert sorted(told - NAMED.keys()) == []


def test_the_page_knows_the_fields() -> None:
    """An object of a message that stands there, between back quotes, has no other fields than one
    of the classes of that name.
    """
    wrong = []
    for text in re.findall(r"`(\{[^`]*\})`", PAGE.read_text().replace(r"\|", "|")):
        tag = re.match(r'\{"(ev|op)":"(\w+)"', text)
        if tag is None:
            continue
        depth, shown = 0, ""
        for letter in text:
            depth += (letter in "{[") - (letter in "]}")
            shown += letter if depth == 1 else ""
        fields = set(re.findall(r'"(\w+)":', shown)) - {"ev", "op"}
        if not any(fields <= kind._types.keys() for kind in NAMED[tag[1], tag[2]]):
            wrong.append((text[:60], sorted(fields - NAMED[tag[1], tag[2]][0]._types.keys())))
    assert wrong == []


def test_the_command_line_knows_the_same_kinds() -> None:
    """The variants of the two enums in Rust are the classes of the two families."""
    text = (ROOT / "src" / "daemon" / "message" / "host.rs").read_text()
    for enum, family, key in (
        ("HostEvent", run_messages.HostEvent, "ev"),
        ("HostRequest", run_messages.HostRequest, "op"),
    ):
        body = re.search(rf"pub enum {enum}\b.*?\{{(.*?)\n\}}", text, re.S)
        assert body is not None
        variants = {name.lower() for name in re.findall(r"^    ([A-Z]\w+)", body[1], re.M)} - {
            "unknown"
        }
        assert {(key, name) for name in variants} == family.kinds.keys()


@pytest.mark.parametrize(
    ("file", "kind", "own"),
    [
        # The environment travels beside the request; the daemon adds why nothing is kept.
        ("request.rs", run_messages.RunRequest, {"env", "afresh"}),
        ("options.rs", run_messages.Options, set()),
        ("options.rs", run_messages.Shard, set()),
        ("host.rs", run_messages.Exit, set()),
        ("host.rs", run_messages.Died, set()),
        ("host.rs", run_messages.Fixtures, set()),
        ("host.rs", run_messages.ShardQuestion, set()),
        ("status.rs", run_messages.SessionStatus, set()),
        ("status.rs", run_messages.PreloadStatus, set()),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_command_line_knows_the_same_fields(
    file: str, kind: type[Message], own: set[str]
) -> None:
    """What is declared in Rust: no field is missing on either side."""
    text = (ROOT / "src" / "daemon" / "message" / file).read_text()
    body = re.search(rf"pub struct {kind.__name__} \{{\n(.*?)\n\}}", text, re.S)
    assert body is not None
    fields = set(
        re.findall(
            r"^    pub (\w+):", re.sub(r"#\[serde\(skip\)\]\n    pub \w+:", "", body[1]), re.M
        )
    )
    assert fields - {"op"} == kind._types.keys() - own
