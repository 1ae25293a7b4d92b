"""What the project's tests must give, and whether a run gave it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import common

PROJECT = Path(__file__).parent / "project"

_OUTPUT = re.compile(r"^[0-9a-f]{12}:\d{6}$", re.M)
_CRASHED = "crashed while running"
_IN_TEARDOWN = "(in its teardown)"


@dataclass(frozen=True)
class Seen:
    """One test of a junit file."""

    #: Number of elements, what they contain (failure, error…), their first messages.
    elements: int
    kinds: tuple[str, ...]
    messages: tuple[str, ...]
    properties: tuple[tuple[str | None, str | None], ...]
    output: tuple[str, ...]

    @property
    def crashed(self) -> bool:
        """Failed because its worker died."""
        return any(_CRASHED in message for message in self.messages)

    @property
    def crashed_late(self) -> bool:
        """Its call was over."""
        return self.crashed and any(_IN_TEARDOWN in message for message in self.messages)


#: By whether the run was fat: every test by node id.
References = dict[bool, dict[str, Seen]]


def read(file: Path) -> dict[str, Seen]:
    """The tests of a junit file by node id."""
    groups: dict[str, list[ElementTree.Element]] = {}
    for element in ElementTree.parse(file).getroot().iter("testcase"):
        module, _, cls = (element.get("classname") or "").partition(".")
        parts = [f"{module}.py", *cls.split("."), element.get("name") or ""]
        groups.setdefault("::".join(part for part in parts if part), []).append(element)
    return {nodeid: _seen(elements) for nodeid, elements in groups.items()}


def _seen(elements: list[ElementTree.Element]) -> Seen:
    parts = [part for element in elements for part in element]
    outcomes = [part for part in parts if part.tag in ("failure", "error", "skipped")]
    output = "".join(part.text or "" for part in parts if part.tag == "system-out")
    return Seen(
        len(elements),
        tuple(part.tag for part in outcomes),
        tuple(part.get("message", "") for part in outcomes),
        tuple(
            (part.get("name"), part.get("value"))
            for element in elements
            for part in element.iter("property")
        ),
        tuple(_OUTPUT.findall(output)),
    )


def check_reference(reference: dict[str, Seen], fat: bool) -> list[str]:
    """Whether pytest itself gives what the tests' names say; returns what is wrong."""
    problems = []
    for nodeid, seen in reference.items():
        wanted = tuple(common.lines(nodeid, fat)) * seen.output.count(
            f"{common.token(nodeid)}:000000"
        )
        if seen.output != wanted or ("token", common.token(nodeid)) not in seen.properties:
            problems.append(f"pytest's own result of {nodeid} is not as expected")
    return problems


def check_results(
    reference: dict[str, Seen], results: dict[str, Seen], must: set[str], may: set[str]
) -> list[str]:
    """Every test exactly once, with its true outcome, properties and output, unless it crashed: all
    of `must` have, and none outside of `may`. Returns what is wrong.
    """
    problems = [f"lost: {nodeid}" for nodeid in reference.keys() - results.keys()]
    problems += [f"from nowhere: {nodeid}" for nodeid in results.keys() - reference.keys()]
    for nodeid in reference.keys() & results.keys():
        seen, wanted = results[nodeid], reference[nodeid]
        if seen.crashed:
            if nodeid not in may:
                problems.append(f"crashed, but was in no dead worker's hands: {nodeid}")
            if seen.elements != 1 or seen.kinds != ("failure",):
                problems.append(
                    f"crashed and something else: {nodeid}: {seen.elements} × {seen.kinds}"
                )
        elif nodeid in must:
            problems.append(f"died with its worker, but has a result: {nodeid}: {seen.kinds}")
        elif seen.elements != wanted.elements:
            what = "duplicated" if seen.elements > wanted.elements else "partly lost"
            problems.append(
                f"{what}: {nodeid}: {seen.elements} elements instead of {wanted.elements}"
            )
        elif seen != wanted:
            fields = [
                name
                for name in ("kinds", "messages", "properties", "output")
                if getattr(seen, name) != getattr(wanted, name)
            ]
            problems.append(
                f"torn or mixed up: {nodeid}: {', '.join(fields)} differ ({seen.kinds} "
                f"{seen.messages})"
            )
    return problems


def _counted(nodeid: str) -> list[str]:
    """What a test adds to the final line."""
    for part, words in (
        ("::test_fails_twice", ["failed", "errors"]),
        ("::test_fails", ["failed"]),
        ("::test_skips", ["skipped"]),
        ("::test_xfails", ["xfailed"]),
        ("::test_errors_in_setup", ["errors"]),
        ("::test_errors_in_teardown", ["passed", "errors"]),
    ):
        if part in nodeid:
            return words
    return ["passed"]


def final_line(results: dict[str, Seen]) -> dict[str, int]:
    """The counts that the final line must have."""
    counts: Counter[str] = Counter()
    for nodeid, seen in results.items():
        counted = _counted(nodeid)
        if seen.crashed:
            # In its teardown it had passed, or been skipped, if it was to.
            before = (
                [word for word in counted if word not in ("failed", "errors")]
                if seen.crashed_late
                else []
            )
            counted = ["failed", *before]
        counts.update(counted)
    return dict(counts)
