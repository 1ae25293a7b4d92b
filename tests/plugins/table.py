"""The table of the matrix: on the screen and in docs/plugins.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from row import Row
from trial import Verdict

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
_ROW = re.compile(r"^\| ([^|]+) \| ")
_SHOWN = 6


def line(row: Row, verdict: Verdict, seconds: float) -> str:
    """What the screen shows of a row: one line, and what is wrong."""
    word = (
        "red, known" if verdict.problems and row.known else "red" if verdict.problems else "green"
    )
    reused = (
        ""
        if verdict.method != "collected"
        else ", session used again"
        if verdict.reused
        else ", collected afresh"
    )
    text = f"{row.title} {verdict.version}: {word} ({verdict.method}{reused}; {seconds:.0f} s)"
    shown = [f"    {problem[:600]}" for problem in verdict.problems[:_SHOWN]]
    if len(verdict.problems) > _SHOWN:
        shown.append(f"    … and {len(verdict.problems) - _SHOWN} more")
    return "\n".join([text, *shown])


def write(rows: Sequence[Row], verdicts: Sequence[Verdict], pytest: str) -> None:
    """Replace these rows of the page's table."""
    text = PAGE.read_text()
    head, mark, rest = text.partition(f"<!-- pytest {pytest} -->\n")
    if not mark:
        raise SystemExit(f"{PAGE} has no table for pytest {pytest}")
    body, end, tail = rest.partition("<!-- end -->\n")
    title, rule, *lines = body.splitlines()
    kept = {found[1]: line for line in lines if (found := _ROW.match(line))}
    kept.update(
        (row.title, _cells(row, verdict)) for row, verdict in zip(rows, verdicts, strict=True)
    )
    table = [title, rule, *(kept[name] for name in sorted(kept))]
    PAGE.write_text(head + mark + "\n".join(table) + "\n" + end + tail)


def _cells(row: Row, verdict: Verdict) -> str:
    kept = "yes" if verdict.reused and verdict.method == "collected" else "no"
    result = f"red: {row.known or 'see the output of the command'}" if verdict.problems else "green"
    return (
        f"| {row.title} | {verdict.version} | {result} | {verdict.method} | {kept} | "
        f"{row.compared} |"
    )
