"""Plugins that report."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from row import Row, Run


class Html(Row):
    plugin = "pytest-html"
    folder = "reporting"
    packages = ("pytest-xdist",)
    # Its log of a test that ran in a worker begins with the worker's name.
    reference = "xdist"
    args = ("--html=report.html", "--self-contained-html")
    compared = "every test with its outcome and log, the counts"

    def product(self, run: Run) -> dict[str, object]:
        found = re.search(r'data-jsonblob="(.*?)"', run.read("report.html"), re.S)
        data: dict[str, Any] = json.loads(html.unescape(found[1])) if found else {"tests": {}}
        results = {
            name: sorted((one["result"], _lines(one["log"])) for one in tests)
            for name, tests in data["tests"].items()
        }
        return {
            "tests": results,
            "counts": re.findall(r'class="(\w+)">(\d+ \w[\w ]*),?</span>', run.read("report.html")),
        }


class JsonReport(Row):
    plugin = "pytest-json-report"
    folder = "reporting"
    args = ("--json-report", "--json-report-file=report.json")
    compared = "every test with its phases, output and keywords; summary, warnings"

    def product(self, run: Run) -> dict[str, object]:
        data: dict[str, Any] = json.loads(run.read("report.json") or "{}")
        tests = {
            test["nodeid"]: {
                "outcome": test["outcome"],
                "lineno": test["lineno"],
                "keywords": sorted(test["keywords"]),
                "properties": test.get("user_properties"),
                "phases": {
                    when: (
                        test[when]["outcome"],
                        test[when].get("stdout"),
                        test[when].get("crash", {}).get("lineno"),
                    )
                    for when in ("setup", "call", "teardown")
                    if when in test
                },
            }
            for test in data.get("tests", ())
        }
        summary = data.get("summary", {})
        return {
            "tests": tests,
            "summary": summary,
            "exitcode": data.get("exitcode"),
            "warnings": len(data.get("warnings", ())),
        }


class Reportlog(Row):
    plugin = "pytest-reportlog"
    folder = "reporting"
    args = ("--report-log=log.json",)
    compared = "every report of every test, session and warning lines"

    def product(self, run: Run) -> dict[str, object]:
        entries = [json.loads(line) for line in run.read("log.json").splitlines()]
        reports = Counter(
            (entry["nodeid"], entry["when"], entry["outcome"])
            for entry in entries
            if entry["$report_type"] == "TestReport"
        )
        sections = {
            (entry["nodeid"], entry["when"]): entry["sections"]
            for entry in entries
            if entry["$report_type"] == "TestReport" and entry["sections"]
        }
        kinds = Counter(entry["$report_type"] for entry in entries)
        return {
            "reports": reports,
            "sections": sections,
            "session": kinds["SessionStart"] + kinds["SessionFinish"],
            "exitstatus": [entry["exitstatus"] for entry in entries if "exitstatus" in entry],
            "warnings": kinds["WarningMessage"],
        }


class Allure(Row):
    plugin = "allure-pytest"
    folder = "allure"
    args = ("--alluredir=results", "--clean-alluredir")
    compared = "each result with status, steps, labels, attachments"

    def product(self, run: Run) -> dict[str, object]:
        results = [json.loads(text) for text in run.files("results/*-result.json").values()]
        found = {
            one["fullName"] + str(one.get("parameters", "")): (
                one["status"],
                _steps(one),
                sorted(
                    (label["name"], label["value"])
                    for label in one["labels"]
                    if label["name"] not in ("thread", "host")
                ),
                one.get("description"),
                len(one.get("attachments", ())),
            )
            for one in results
        }
        containers = [json.loads(text) for text in run.files("results/*-container.json").values()]
        fixtures = Counter(
            fixture["name"] for one in containers for fixture in one.get("befores", ())
        )
        return {"results": found, "number": len(results), "fixtures": fixtures}


class Sugar(Row):
    plugin = "pytest-sugar"
    folder = "reporting"
    tty = True
    compared = "its counts and failures on the terminal, told once"

    def product(self, run: Run) -> dict[str, object]:
        return {
            "results": sorted(
                re.findall(
                    r"^ +(\d+ (?:passed|failed|error|skipped|xfailed|xpassed))", run.stdout, re.M
                )
            )
        }

    def check(self, run: Run) -> Iterator[str]:
        if run.stdout.count("Results (") != 1:
            yield f"its summary is there {run.stdout.count('Results (')} times"


class Rich(Row):
    plugin = "pytest-rich"
    folder = "reporting"
    args = ("--rich",)
    tty = True
    compared = "counts on the terminal"
    known = (
        "`--rich` in a terminal is a usage error with a hint: the plugin removes pytest's "
        "terminal reporter and draws by itself what one process "
        "does (under pytest-xdist it ends with a ZeroDivisionError). Without a terminal, "
        "as in CI, it does nothing, and all is well"
    )

    def product(self, run: Run) -> dict[str, object]:
        words = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
        return {word: sorted(re.findall(rf"(\d+) {word}", run.stdout)) for word in words}


class Instafail(Row):
    plugin = "pytest-instafail"
    folder = "reporting"
    args = ("--instafail",)
    compared = "each failure once, and at once"

    def product(self, run: Run) -> dict[str, object]:
        return {"failures": Counter(re.findall(r"^_{3,} (.+?) _{3,}$", run.stdout, re.M))}

    def check(self, run: Run) -> Iterator[str]:
        if not re.search(r"FAILED test_all\.py::test_raises *\n_+ test_raises _+\n", run.stdout):
            yield "a failure is not told right after the test"


def _lines(log: str) -> str:
    """A log without addresses, times and paths of this machine."""
    return re.sub(r"^\[gw\d+\].*\n|0x[0-9a-f]+|/\S*/|&#x27;|\d+\.\d+s", "", log, flags=re.M)


def _steps(one: dict[str, Any]) -> list[object]:
    return [(step["name"], step["status"], _steps(step)) for step in one.get("steps", ())]
