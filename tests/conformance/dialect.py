"""What ``rpytest`` prints, in the words of the project whose tests read it.

Three steps, counted apart in the report: labels (``[worker 0]`` is ``[gw0]``, and stands before the outcome), announcements (what both say, in
pytest-xdist's words), and the two exit statuses in which rpytest follows pytest where pytest-xdist does not. Nothing is added that was not said: a
test that waits for news still has to get them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_LABELLED = re.compile(r"^\[worker (\d+)\] (.+) ([A-Z]+)((?: \(.*\))?)$")
_LABEL = re.compile(r"^\[worker (\d+)\]")
_STARTED = re.compile(r"^(\d+) (workers?) \[(\d+) (test)(s?)\]$")
_CRASHED = re.compile(
    r"^\[worker (\d+)\] crashed: (?P<cause>.*?)(?: while running .*?)?(?: \(not replaced(?:: (?P<why>.*))?\))?$"
)
_LAST = re.compile(r"^!+ worker (\d+) crashed and was not replaced: `--max-worker-restart` is (\d+) !+$")
_INTERRUPT = re.compile(r"^!+ KeyboardInterrupt !+$")
_LIMIT = re.compile(r"`--max-worker-restart` is (\d+)")


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


def announcements(lines: list[str]) -> list[str]:
    """How many workers there are, which tests run, which workers crash, what an interrupt is called: as pytest-xdist says it."""
    return [said for line in lines for said in _announce(line)]


def _announce(line: str) -> Iterator[str]:
    if started := _STARTED.match(line):
        count, workers, tests, _, plural = started.groups()
        yield f"created: {count}/{count} {workers}"
        yield f"{count} {workers} [{tests} item{plural}]"
    elif crashed := _CRASHED.match(line):
        worker = f"gw{crashed[1]}"
        yield f"[{worker}] node down: {crashed['cause']}"
        limit = _LIMIT.match(crashed["why"] or "")
        if limit is None:
            # pytest-xdist starts another one also when nothing is left to do.
            yield f"replacing crashed worker {worker}"
        else:
            yield _limit_reached(worker, limit[1])
    elif last := _LAST.match(line):
        # pytest-xdist's goes above the short summary, this one below it: both stand after the tracebacks.
        yield f"= xdist: {_limit_reached(f'gw{last[1]}', last[2])} ="
    elif _INTERRUPT.match(line):
        # A test's, or a Ctrl-C: pytest-xdist's controller stops with an exception of its own, named after a worker.
        yield line
        yield "! xdist.dsession.Interrupted: received keyboard-interrupt !"
    elif labelled := _LABELLED.match(line):
        # pytest-xdist's `-v` writes a test's id when it begins and again with its outcome.
        yield f"{labelled[2]} "
        yield from labels([line])
    else:
        yield from labels([line])


def _limit_reached(worker: str, limit: str) -> str:
    if limit == "0":
        return f"worker {worker} crashed and worker restarting disabled"
    return f"maximum crashed workers reached: {limit}"


BY_NAME: dict[str, Callable[[list[str]], list[str]]] = {
    "as-is": as_is,
    "labels": labels,
    "announcements": announcements,
    "statuses": announcements,
}
