#!/usr/bin/env python3
"""Compare rpytest with pytest and pytest-xdist on generated suites.

The runners take turns, so that a busy moment of the machine hits all of them alike: `pytest`,
`pytest -n N` (xdist), `rpytest -n N` with the daemon stopped before (cold), and `rpytest -n N`
again (warm). A first, untimed turn writes the byte code that all of them then read. Every run must
end with the same counts and exit status as pytest's. Memory is measured in runs of its own.

Run it with the Python of an environment that has rpytest, pytest and pytest-xdist.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from memory import peak_pss
from suites import write_realistic, write_trivial

MODES = ("pytest", "xdist", "cold", "warm")
MARK = "RPYTEST_RUNTIME_DIR"
STRIP_PREFIXES = ("PYTEST_", "RPYTEST_", "COV_")


class Disagreement(Exception):
    """A runner did something else than pytest; its times would mean nothing."""


@dataclass
class Measured:
    """One suite's results, by mode."""

    tests: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_mib: dict[str, float] = field(default_factory=dict)
    kept_mib: dict[str, float] = field(default_factory=dict)
    """What is still in memory a second after the run: a warm daemon."""
    notes: list[str] = field(default_factory=list)
    """What `rpytest --stats` printed after a warm run."""

    def median(self, mode: str) -> float:
        return statistics.median(self.seconds[mode])


class Bench:
    """Runs the modes on one suite."""

    def __init__(self, suite: Path, scratch: Path, workers: str, extra: list[str]) -> None:
        self.suite = suite
        self.scratch = scratch
        self.bin = Path(sys.executable).parent
        kept = {k: v for k, v in os.environ.items() if not k.startswith(STRIP_PREFIXES)}
        self.env: Mapping[str, str] = dict(
            kept,
            PATH=f"{self.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            PYTEST_DEBUG_TEMPROOT=str(scratch),
            RPYTEST_CACHE_DIR=str(scratch / "cache"),
            RPYTEST_RUNTIME_DIR=str(scratch / "run"),
        )
        pytest, rpytest = str(self.bin / "pytest"), str(self.bin / "rpytest")
        self.rpytest = rpytest
        self.commands = {
            "pytest": [pytest, "-p", "no:xdist", *extra],
            "xdist": [pytest, "-n", workers, *extra],
            "cold": [rpytest, "-n", workers, *extra],
            "warm": [rpytest, "-n", workers, *extra],
        }

    def prepare(self, mode: str) -> None:
        """Bring about what `mode` starts from, outside of the measured time."""
        if mode == "cold":
            self.stop()
        elif mode == "warm":
            self.run(self.commands["warm"])

    def stop(self) -> None:
        if Path(self.rpytest).exists():
            self.run([self.rpytest, "--daemon-stop"])

    def run(self, command: list[str]) -> tuple[float, int, str]:
        """Wall seconds, exit status and output."""
        with tempfile.TemporaryFile("w+", dir=self.scratch) as output:
            began = time.perf_counter()
            status = subprocess.run(
                command,
                cwd=self.suite,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
            seconds = time.perf_counter() - began
            output.seek(0)
            return seconds, status, output.read()

    def measure(self, modes: list[str], repeat: int) -> Measured:
        """All modes in turn, `repeat` times, then once each for memory."""
        _, status, text = self.run(self.commands["pytest"])
        reference = status, final_counts(text)
        measured = Measured(tests=describe(reference[1]))
        for mode in modes:
            self.timed(mode, reference)
        for turn in range(repeat):
            for mode in modes:
                measured.seconds.setdefault(mode, []).append(self.timed(mode, reference))
            progress(f"{self.suite.name}: {turn + 1}/{repeat} turns")
        for mode in modes:
            if mode != "warm":
                self.stop()  # a daemon is no part of the others' memory
            self.prepare(mode)
            peak, kept = peak_pss(self.commands[mode], cwd=self.suite, env=self.env, variable=MARK)
            measured.peak_mib[mode], measured.kept_mib[mode] = peak, kept
        if "warm" in modes:
            _, _, text = self.run([*self.commands["warm"], "--stats"])
            measured.notes = after_final_line(text)
        self.stop()
        return measured

    def timed(self, mode: str, reference: tuple[int, dict[str, int]]) -> float:
        """Wall seconds of one run, which must agree with `reference`."""
        self.prepare(mode)
        seconds, status, text = self.run(self.commands[mode])
        found = status, final_counts(text)
        if found != reference:
            raise Disagreement(
                f"{mode} on {self.suite.name}: exit status and counts {found}, pytest "
                f"{reference}\n{text[-3000:]}"
            )
        return seconds


FINAL_LINE = re.compile(r"\bin \d+(?:\.\d+)?s\b")


def final_counts(text: str) -> dict[str, int]:
    """Counts of outcomes in pytest's last line; warnings are no outcome."""
    for line in reversed(text.splitlines()):
        if FINAL_LINE.search(line):
            found = re.findall(r"(\d+) ([a-z]+)", line.partition(" in ")[0])
            return {word: int(count) for count, word in found if not word.startswith("warning")}
    return {}


def after_final_line(text: str) -> list[str]:
    """The lines that follow pytest's last line."""
    lines = text.splitlines()
    last = max((i for i, line in enumerate(lines) if FINAL_LINE.search(line)), default=len(lines))
    return [line for line in lines[last + 1 :] if line.strip()]


def describe(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or "no counts"


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show(name: str, measured: Measured) -> None:
    """A Markdown table of one suite."""
    print(f"\n### {name}: {measured.tests}\n")
    print("| runner | median s | min - max | x pytest | x xdist | peak PSS MiB | kept MiB |")
    print("|---|---|---|---|---|---|---|")
    for mode, seconds in measured.seconds.items():
        ratios = [
            f"{measured.median(other) / measured.median(mode):.2f}"
            if other in measured.seconds
            else "-"
            for other in ("pytest", "xdist")
        ]
        label = f"rpytest {mode}" if mode in ("cold", "warm") else mode
        print(
            f"| {label} | {measured.median(mode):.3f} | {min(seconds):.3f} - {max(seconds):.3f} "
            f"| {ratios[0]} | {ratios[1]} "
            f"| {measured.peak_mib[mode]:.0f} | {measured.kept_mib[mode]:.0f} |"
        )
    if measured.notes:
        print("\nrpytest --stats, warm:\n")
        print("\n".join(f"    {line}" for line in measured.notes))
    sys.stdout.flush()


def machine() -> dict[str, Any]:
    """What a reader needs to judge the figures."""

    def installed(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return {
        "cpus": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: installed(name) for name in ("pytest", "pytest-xdist", "rpytest")},
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--suite", choices=["all", "trivial", "realistic"], default="all", help="default: all"
    )
    parser.add_argument(
        "--tests", default="500,5000", help="sizes of the trivial suites, default: 500,5000"
    )
    parser.add_argument("-n", dest="workers", default="4", help="workers, default: 4")
    parser.add_argument("--repeat", type=int, default=5, help="turns, default: 5")
    parser.add_argument(
        "--modes", default=",".join(MODES), help=f"which of {', '.join(MODES)}; default: all"
    )
    parser.add_argument("--args", default="", help="further pytest arguments, space separated")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    options.modes = options.modes.split(",")
    unknown = set(options.modes) - set(MODES)
    if unknown:
        parser.error(f"unknown modes: {', '.join(sorted(unknown))}")
    needed = {"pytest": "pytest", "xdist": "pytest", "cold": "rpytest", "warm": "rpytest"}
    for program in {needed[mode] for mode in options.modes} | {"pytest"}:
        if not (Path(sys.executable).parent / program).exists():
            parser.error(
                f"`{program}` is not installed beside this Python; "
                "hint: `scripts/test` makes .venv; use `.venv/bin/python`"
            )
    return options


def main() -> int:
    options = parse_arguments()
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print(f"-n {options.workers}, {options.repeat} turns")
    results: dict[str, Measured] = {}
    # Sockets have short paths, hence not below a deep TMPDIR.
    scratch = Path(tempfile.mkdtemp(prefix="rp-bench-", dir="/tmp"))
    (scratch / "run").mkdir(mode=0o700)
    try:
        suites: list[Path] = []
        if options.suite != "realistic":
            for size in map(int, options.tests.split(",")):
                suites.append(scratch / f"trivial-{size}")
                write_trivial(suites[-1], size)
        if options.suite != "trivial":
            suites.append(scratch / "realistic")
            write_realistic(suites[-1])
        for suite in suites:
            bench = Bench(suite, scratch, options.workers, options.args.split())
            try:
                results[suite.name] = bench.measure(options.modes, options.repeat)
            finally:
                bench.stop()
            show(suite.name, results[suite.name])
    except Disagreement as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if options.json:
        document = {
            "machine": about,
            "workers": options.workers,
            "suites": {name: vars(measured) for name, measured in results.items()},
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
