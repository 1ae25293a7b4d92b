"""What ``rpytest`` prints, in the words of the project whose tests read it.

Two steps, counted apart in the report: labels (``[worker 0]`` is ``[gw0]``, and stands before the
outcome), and the two exit statuses in which rpytest follows pytest where pytest-xdist does not.
Nothing is added that was not said: a test that waits for news still has to get them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_LABELLED = re.compile(r"^\[worker (\d+)\] (.+) ([A-Z]+)((?: \(.*\))?)$")
_LABEL = re.compile(r"^\[worker (\d+)\]")


def status(number: int, lines: list[str]) -> int:
    """pytest-xdist's exit status of such a run."""
    text = "\n".join(lines)
    if number == 2 and re.search(r"^!+ Interrupted: \d+ errors? during collection !+$", text, re.M):
        return 1
    if number == 1 and re.search(r"^!+ stopping after \d+ failures !+$", text, re.M):
        return 2
    return number


def as_is(lines: list[str]) -> list[str]:
    """Our words."""
    return lines


def labels(lines: list[str]) -> list[str]:
    """``[worker 0] id PASSED`` is ``[gw0] PASSED id``."""
    return [_LABEL.sub(r"[gw\1]", _LABELLED.sub(r"[gw\1] \3 \2\4", line)) for line in lines]


BY_NAME: dict[str, Callable[[list[str]], list[str]]] = {
    "as-is": as_is,
    "labels": labels,
    "statuses": labels,
}
