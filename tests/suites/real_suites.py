"""Run real suites from source distributions; compare every outcome with plain pytest's.

    python tests/suites/real_suites.py --cache DIR --repeat 20           # all; hours
    python tests/suites/real_suites.py --only click --only flask --repeat 1 --workers 2

Each suite has an environment of its own (below DIR, made once; ``--prepare`` does only that), with
the rpytest of this tree. With each number of workers it is run whole, cold and warm, then by file,
by single test and whole again. What differs from pytest is asked of pytest and pytest-xdist a few
times more: a test that these run differently from time to time is listed by name and no difference.
``--ways`` runs a test of every module after a whole run and says in how many the fast way was
taken. Exit status: 1 when anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parent), str(HERE.parent.parent / "scripts")]

import environments  # noqa: E402
from _venv import SetupError  # noqa: E402
from comparing import Place, Ran, Reference, reason, way  # noqa: E402
from real import SUITES, Suite  # noqa: E402


@dataclass
class Verdict:
    """What has been seen of a suite."""

    name: str
    tests: int = 0
    runs: int = 0
    pytest_seconds: float = 0.0
    warm_seconds: float = 0.0
    """Of the whole suite; medians."""
    one_pytest_seconds: float = 0.0
    one_warm_seconds: float = 0.0
    """Of a single test after a whole run; medians."""
    one_ways: dict[str, int] = field(default_factory=dict)
    fast_modules: int = 0
    modules: int = 0
    """With ``--ways``: in how many modules a test was run the fast way, of how many."""
    reasons: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    unstable: list[str] = field(default_factory=list)
    problem: str = ""


class Trial:
    """All runs of one suite."""

    def __init__(self, suite: Suite, place: Place, options: argparse.Namespace) -> None:
        self.suite = suite
        self.place = place
        self.options = options
        self.verdict = Verdict(suite.name)
        self._references: dict[tuple[str, ...], Reference] = {}
        self._whole: list[float] = []
        self._one: list[tuple[float, float]] = []

    def run(self) -> Verdict:
        ids = self.collected()
        verdict = self.verdict
        verdict.tests = len(ids)
        if not ids:
            verdict.problem = "pytest collects nothing"
            return verdict
        whole = list(self.suite.args)
        for turn in range(self.options.repeat):
            for workers in self.options.workers:
                draw = random.Random(f"{self.suite.name} {turn} {workers}")
                self.place.run("rpytest", "--daemon-stop")
                self.compare(f"cold -n{workers}", workers, whole)
                self._whole.append(self.compare(f"warm -n{workers}", workers, whole).seconds)
                files = sorted({id.partition("::")[0] for id in ids})
                for file in draw.sample(files, min(self.options.parts, len(files))):
                    self.compare(f"file -n{workers}", workers, [*self.settings(), file])
                for id in draw.sample(ids, min(self.options.parts, len(ids))):
                    self.single(workers, id)
                self.compare(f"whole again -n{workers}", workers, whole)
        if self.options.ways:
            self.ways(ids)
        verdict.pytest_seconds = self._references[tuple(whole)].first.seconds
        verdict.warm_seconds = statistics.median(self._whole)
        verdict.one_warm_seconds = statistics.median(ours for ours, _ in self._one)
        verdict.one_pytest_seconds = statistics.median(theirs for _, theirs in self._one)
        return verdict

    def settings(self) -> list[str]:
        """The suite's arguments that are not about which tests."""
        args = list(self.suite.args)
        return [
            word for at, word in enumerate(args) if word == "-o" or (at and args[at - 1] == "-o")
        ]

    def collected(self) -> list[str]:
        """The node ids, as pytest lists them."""
        ran = self.place.run("pytest", "-p", "no:xdist", "--collect-only", "-q", *self.suite.args)
        # Twice: `-q` of an ini file shows counts only.
        if not any("::" in line for line in ran.text.splitlines()):
            ran = self.place.run(
                "pytest",
                "-p",
                "no:xdist",
                "--collect-only",
                *self.suite.args,
                "-o",
                "addopts=",
                "-q",
            )
        lines = (line.strip() for line in ran.text.splitlines())
        # Not those with a blank in front of their end: they are parts of warnings.
        return [line for line in lines if ".py::" in line and " " not in line.partition("::")[0]]

    def compare(self, what: str, workers: int, args: list[str], verbose: bool = False) -> Ran:
        """Run rpytest once; note what differs."""
        key = tuple(args)
        if key not in self._references:
            self._references[key] = Reference(self.place, args, self.options.again)
        ran = self.place.run("rpytest", "-n", str(workers), *(["-v"] if verbose else []), *args)
        self.verdict.runs += 1
        wrong, unstable = self._references[key].differences(ran, workers)
        for line in wrong:
            if len(self.verdict.differences) < self.options.show:
                self.verdict.differences.append(f"{what} {' '.join(args)}: {line}")
                print(f"  {self.suite.name}: {self.verdict.differences[-1]}", flush=True)
        if wrong and self.options.keep:
            self.options.keep.mkdir(parents=True, exist_ok=True)
            kept = self.options.keep / f"{self.suite.name}-{self.verdict.runs}.txt"
            kept.write_text(
                f"{what} {args}\n"
                + "\n".join(wrong)
                + f"\n\n{ran.text}\n---- pytest\n{self._references[key].first.text}"
            )
        self.verdict.unstable = sorted({*self.verdict.unstable, *unstable})
        return ran

    def single(self, workers: int, id: str) -> None:
        """One test, after the whole: its outcome, its time, and which way it went."""
        args = [*self.settings(), id]
        ran = self.compare(f"single -n{workers}", workers, args, verbose=True)
        self._one.append((ran.seconds, self._references[tuple(args)].first.seconds))
        went = self.way_of(ran)
        self.verdict.one_ways[went] = self.verdict.one_ways.get(went, 0) + 1

    def ways(self, ids: list[str]) -> None:
        """In how many modules a test is run the fast way."""
        first: dict[str, str] = {}
        for id in ids:
            first.setdefault(id.partition("::")[0], id)
        self.place.run("rpytest", "-n2", *self.suite.args)
        for id in first.values():
            ran = self.place.run("rpytest", "-n2", "-v", *self.settings(), id)
            self.verdict.modules += 1
            self.verdict.fast_modules += self.way_of(ran) == "fast"

    def way_of(self, ran: Ran) -> str:
        went, text = way(ran.text), ran.text
        if went == "?":
            text = self.place.run("rpytest", "--daemon-status").text
            went = way(text)
        if went == "slow" and (why := reason(text)) not in self.verdict.reasons:
            self.verdict.reasons.append(why)
        return went


def main() -> int:
    """0 when no outcome differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cache", type=Path, help="where environments are kept (default: as for tests/plugins)"
    )
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="only this suite; may be repeated"
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="make the environments, run nothing but pytest's collection",
    )
    parser.add_argument("--repeat", type=int, default=1, help="turns of each suite (default: 1)")
    parser.add_argument(
        "--workers", type=int, action="append", help="numbers of workers (default: 2 and 4)"
    )
    parser.add_argument(
        "--parts", type=int, default=3, help="files, and single tests, in each turn (default: 3)"
    )
    parser.add_argument(
        "--again", type=int, default=5, help="how often pytest is asked again (default: 5)"
    )
    parser.add_argument(
        "--ways", action="store_true", help="run a test of every module, and count the fast ones"
    )
    parser.add_argument(
        "--show", type=int, default=20, help="at most so many differences of a suite (default: 20)"
    )
    parser.add_argument("--debug", action="store_true", help="the debug build of rpytest")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep the output of what differs in this folder"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the table to this file, too"
    )
    options = parser.parse_args()
    options.workers = options.workers or [2, 4]
    if options.cache:
        os.environ["RPYTEST_TEST_ENVIRONMENTS"] = str(options.cache.resolve())
    names = [suite.name for suite in SUITES]
    if unknown := set(options.only or ()) - set(names):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    build = environments.Build("debug" if options.debug else "release")
    if not options.prepare:
        # Always by the same Python: with another one cargo builds the extension anew.
        build.link(environments.make("suite-build", ["pytest"]))
    verdicts = []
    print(HEAD, flush=True)
    for suite in SUITES:
        if options.only and suite.name not in options.only:
            continue
        began = time.monotonic()
        verdict = judge(suite, build, options)
        verdicts.append(verdict)
        print(f"{line(verdict)}   [{time.monotonic() - began:.0f} s]", flush=True)
        if options.json:
            options.json.write_text(
                json.dumps([asdict(verdict) for verdict in verdicts], indent=1) + "\n"
            )
    bad = [verdict.name for verdict in verdicts if verdict.differences or verdict.problem]
    for verdict in verdicts:
        for id in verdict.unstable:
            print(f"differs under pytest or pytest-xdist, too: {verdict.name}: {id}")
    runs = sum(verdict.runs for verdict in verdicts)
    print(
        f"{len(verdicts)} suites, {runs} runs, {len(bad)} "
        f"differ{': ' if bad else ''}{', '.join(bad)}"
    )
    return 1 if bad else 0


def judge(suite: Suite, build: environments.Build, options: argparse.Namespace) -> Verdict:
    """Prepare a suite and run it."""
    requirements = ["pytest", "pytest-xdist", suite.source, *suite.extra]
    try:
        venv = environments.make(f"suite-{suite.name}", requirements)
        root = environments.download_source(venv, suite.source)
    except SetupError as error:
        return Verdict(suite.name, problem=str(error).splitlines()[0])
    if not options.prepare:
        build.link(venv)
    place = Place(root, venv.bin)
    try:
        if options.prepare:
            ran = place.run("pytest", "-p", "no:xdist", "-q", *suite.args)
            seen = sum(ran.outcomes.values())
            bad = sum(
                1 for _, outcome in ran.outcomes if {"failed", "error"} & set(outcome.split("+"))
            )
            last = ran.text.strip().splitlines()[-1] if ran.text.strip() else ""
            problem = (
                "" if seen and ran.status in (0, 1) else f"pytest ends with {ran.status}: {last}"
            )
            print(
                (
                    f"  {suite.name}: {seen} tests, {bad} fail, status {ran.status}, "
                    f"{ran.seconds:.1f} s: {last}"
                ),
                flush=True,
            )
            return Verdict(suite.name, tests=seen, pytest_seconds=ran.seconds, problem=problem)
        return Trial(suite, place, options).run()
    finally:
        place.close()


HEAD = f"{'suite':18}{'tests':>7}{'runs':>6}{'pytest':>9}{'warm':>9}{'one: pytest':>13}{'warm':>8}  way       differences"  # noqa: E501


def line(verdict: Verdict) -> str:
    """A row of the table."""
    ways = " ".join(f"{count} {name}" for name, count in sorted(verdict.one_ways.items()))
    if verdict.modules:
        ways += f" ({verdict.fast_modules} of {verdict.modules} modules)"
    return (
        f"{verdict.name:18}{verdict.tests:7}{verdict.runs:6}{verdict.pytest_seconds:8.2f}s{verdict.warm_seconds:8.2f}s"
        f"{verdict.one_pytest_seconds:12.2f}s{verdict.one_warm_seconds:7.2f}s  {ways:9} "
        f"{verdict.problem or len(verdict.differences) or 'none'}{f', {len(verdict.unstable)} unstable' if verdict.unstable else ''}"  # noqa: E501
    )


if __name__ == "__main__":
    sys.exit(main())
