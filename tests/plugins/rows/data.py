"""Plugins that measure, generate or keep data, and those with databases and servers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from row import Row, Run


def _section(run: Run, title: str) -> str:
    """The text of the terminal's sections with this title, one after the other."""
    found = re.findall(rf"^[=-]+ {title} [=-]+\n(.*?)(?=^=+ |\Z)", run.stdout, re.M | re.S)
    return "\n".join(found)


class Cov(Row):
    plugin = "pytest-cov"
    compared = "totals, lines, branches and contexts of each file; the table on the terminal"

    def product(self, run: Run) -> dict[str, object]:
        report: dict[str, Any] = json.loads(
            run.read("coverage.json") or '{"files": {}, "totals": {}}'
        )
        contexts = {
            f"{name}:{line}": sorted(context.partition("|")[0] for context in found)
            for name, file in report["files"].items()
            for line, found in file["contexts"].items()
        }
        parts = ("executed_lines", "missing_lines", "executed_branches", "missing_branches")
        return {
            "totals": report["totals"],
            "lines": {
                name: {part: file[part] for part in parts} for name, file in report["files"].items()
            },
            "contexts": contexts,
            "table": re.findall(r"^(?:shop/\S+|TOTAL) .*$", run.stdout, re.M),
        }


class Hypothesis(Row):
    plugin = "hypothesis"
    compared = "statistics of each test, the falsifying example, the example database"

    def product(self, run: Run) -> dict[str, object]:
        return {
            "statistics": sorted(
                re.findall(r"^(test_\S+::\S+):$", _section(run, "Hypothesis Statistics"), re.M)
            ),
            "example": re.findall(r"^E +(number=\d+,)$", run.stdout, re.M),
            "database": bool(list(run.folder.glob(".hypothesis/examples/*"))),
        }


class Syrupy(Row):
    plugin = "syrupy"
    compared = "the snapshot report with unused ones, told once"

    def product(self, run: Run) -> dict[str, object]:
        return {"report": _section(run, "snapshot report").partition("=====")[0].strip()}


class SyrupyUpdate(Row):
    plugin = "syrupy"
    name = "syrupy (--snapshot-update)"
    args = ("--snapshot-update",)
    compared = "the snapshot files, unused ones removed"

    def product(self, run: Run) -> dict[str, object]:
        return {
            "report": _section(run, "snapshot report").strip(),
            "files": run.files("__snapshots__/*"),
        }


class Regressions(Row):
    plugin = "pytest-regressions"
    compared = "the files that it writes in the first run"

    def product(self, run: Run) -> dict[str, object]:
        return {"files": run.files("test_regressions/*")}


class InlineSnapshot(Row):
    plugin = "inline-snapshot"
    packages = ("pytest-xdist",)
    reference = "xdist"
    compared = "source files unchanged: it disables itself in workers"

    def product(self, run: Run) -> dict[str, object]:
        return {"source": run.read("test_inline.py")}


class Bdd(Row):
    plugin = "pytest-bdd"
    compared = "scenarios, steps that fail, the hook that is told of them"

    def product(self, run: Run) -> dict[str, object]:
        return {"errors": sorted(re.findall(r"^step failed: .*", run.stdout, re.M))}


class BddCucumber(Row):
    """pytest-bdd keeps what it writes beside reports, in the process that made them."""

    plugin = "pytest-bdd"
    name = "pytest-bdd (--cucumberjson)"
    packages = ("pytest-xdist",)
    reference = "xdist"
    args = ("--cucumberjson=made.json",)
    compared = "the report, which is empty under pytest-xdist, too"

    def product(self, run: Run) -> dict[str, object]:
        features = json.loads(run.read("made.json") or "[]")
        scenarios = [
            (
                element["name"],
                [(step["name"], step["result"]["status"]) for step in element["steps"]],
            )
            for feature in features
            for element in feature["elements"]
        ]
        return {"scenarios": sorted(scenarios)}


class Benchmark(Row):
    plugin = "pytest-benchmark"
    packages = ("pytest-xdist",)
    reference = "xdist"
    compared = "it disables itself in workers, says so, and runs each benchmark once"

    def check(self, run: Run) -> Iterator[str]:
        if "benchmarks are automatically disabled" not in run.stdout + run.result.stderr.lower():
            yield "it does not say that benchmarks are disabled"


class Django(Row):
    plugin = "pytest-django"
    packages = ("django",)
    compared = "one database for each worker, transactions, live server"

    def check(self, run: Run) -> Iterator[str]:
        left = sorted(path.name for path in run.folder.glob("*.sqlite3*"))
        if left:
            yield f"databases left: {left}"


class Postgresql(Row):
    """The server of Debian's package, which must be there."""

    plugin = "pytest-postgresql"
    packages = ("psycopg[binary]",)
    compared = "a server for each worker, a database for each test; no server left"

    def prepare(self, folder: Path) -> None:
        """The plugin wants an absolute path."""
        (folder / "pytest.ini").write_text(f"[pytest]\npostgresql_exec = {folder / 'pg_ctl'}\n")
