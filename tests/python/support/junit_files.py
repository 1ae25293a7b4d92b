"""Reads the files that ``--junitxml`` writes."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One test of a junit file.

    A test that failed and then had an error in teardown has two elements there, but is one case.
    """

    id: str
    """``classname::name``."""
    outcome: str
    """``passed``, or the kinds joined by ``+``: failed, error, skipped, xfailed."""
    message: str
    """The first kind's message: the reason of a skip, the first line of a failure."""
    text: str
    """All kinds' text: tracebacks."""
    output: str
    """Captured output, when junit_logging asks for it."""
    properties: tuple[tuple[str, str], ...]


def read(file: Path) -> tuple[Case, ...]:
    """The tests of a junit file, one entry a test id, in the order of the file."""
    elements: dict[str, list[ElementTree.Element]] = {}
    for element in ElementTree.parse(file).getroot().iter("testcase"):
        id = f"{element.get('classname')}::{element.get('name')}"
        elements.setdefault(id, []).append(element)
    return tuple(_case(id, group) for id, group in elements.items())


def _case(id: str, elements: list[ElementTree.Element]) -> Case:
    names = {"failure": "failed", "error": "error", "skipped": "skipped"}
    kinds, messages, texts, output = [], [], [], []
    for child in itertools.chain.from_iterable(elements):
        if child.tag in names:
            xfailed = child.get("type") == "pytest.xfail"
            kinds.append("xfailed" if xfailed else names[child.tag])
            messages.append(child.get("message", ""))
            texts.append(child.text or "")
        elif child.tag in ("system-out", "system-err"):
            output.append(child.text or "")
    properties = [
        (item.get("name", ""), item.get("value", ""))
        for element in elements
        for item in element.iter("property")
    ]
    return Case(
        id=id,
        outcome="+".join(sorted(kinds)) or "passed",
        message=messages[0] if messages else "",
        text="\n".join(texts),
        output="".join(output),
        properties=tuple(sorted(properties)),
    )
