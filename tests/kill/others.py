"""Kills of the processes that are there once: host, session, daemon, command line."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import truth
import witness
from report import Report, with_evidence
from support import processes
from support.harness import Project
from support.running import Running
from witness import Folder

TARGETS = ("host", "supervisor", "session", "daemon", "cli")
#: After this the command, or what a killed one left, hangs.
WATCHDOG_SECONDS = 60.0
#: A few tests with every outcome.
MODULE = "test_outcomes.py"
_WORKERS = 3
#: How many processes without a parent there were with these sessions, these checkpoints as far as
#: they are known, and so many of them.
_orphans: dict[tuple[frozenset[int], frozenset[int], int, int], int] = {}
_FAILED = 1
_BROKEN = 3


@dataclass
class Mode:
    """How the killed run is started."""

    bare: bool
    #: Nothing is warm: the kill may come while tests are collected.
    cold: bool
    #: A daemon for this run only.
    once: bool

    @property
    def args(self) -> list[str]:
        """Its arguments."""
        return [
            "-n",
            str(_WORKERS),
            MODULE,
            *(["--start-method=bare"] if self.bare else []),
            *(["--no-daemon"] if self.once else []),
        ]


def kill(
    project: Project,
    folder: Folder,
    references: truth.References,
    target: str,
    kills: int,
    seed: int,
    report: Report,
) -> None:
    """Kill `target` so many times, each time in another run, which must end; the next run must be
    complete.
    """
    wanted = {
        nodeid: seen for nodeid, seen in references[False].items() if nodeid.startswith(MODULE)
    }
    number = 0
    moments: Counter[str] = Counter()
    while report.total(target) < kills and not report.problems:
        number += 1
        chance = random.Random(f"{seed} {target} {number}")
        bare = target != "session" and chance.random() < 0.2
        mode = Mode(bare=bare, cold=chance.random() < 0.3, once=chance.random() < 0.15)
        one = _Kill(project, folder, target, mode, chance)
        problems = one.run(wanted)
        if one.moment:
            report.kills[target, one.moment] += 1
            moments[one.moment] += 1
        report.runs += 2
        report.tests += 2 * len(wanted)
        report.add(f"{target} {number} ({mode}, {one.moment})", problems)
        if number % 10 == 0:
            print(f"{target}: {report.total(target)} killed: {dict(moments)}", flush=True)


@dataclass
class _Kill:
    project: Project
    folder: Folder
    target: str
    mode: Mode
    random: random.Random
    #: When it struck; empty when the run was over before.
    moment: str = ""

    def run(self, wanted: dict[str, truth.Seen]) -> list[str]:
        project = self.project
        if self.mode.cold:
            # As if a test file had been saved: the next run collects anew.
            module = project.path / MODULE
            module.write_text(module.read_text() + "\n")
        self.folder.clear({})
        file = project.scratch / "other.xml"
        file.unlink(missing_ok=True)
        running = project.spawn(*self.mode.args, f"--junitxml={file}", env=self._env())
        self._strike(running)
        status = running.wait(WATCHDOG_SECONDS)
        problems = self._check_end(running, status)
        if self.moment:
            problems += self._check_rest(running)
        return with_evidence(problems, str(running)) + self._check_next(wanted)

    def _env(self) -> dict[str, str]:
        return {"KILL_FOLDER": str(self.folder.path), "KILL_WORKERS": str(_WORKERS)}

    def _strike(self, running: Running) -> None:
        """Kill the target at a random moment; a part of the kills waits for the tests to have
        begun.
        """
        early = self.random.random() < 0.3
        if early:
            time.sleep(self.random.uniform(0.0, 0.3))
        else:
            least = self.random.randrange(1, 30)
            while running.is_running() and self._done() < least:
                time.sleep(0.002)
        end = time.monotonic() + 20
        while running.is_running() and time.monotonic() < end:
            tree = witness.tree(self.project.processes(), self.mode.bare)
            pid = running.pid if self.target == "cli" else getattr(tree, self.target)
            if pid and (
                self.target != "session"
                or self.mode.bare
                or pid not in (tree.host, tree.supervisor)
            ):
                done = self._done()
                workers = tree.workers
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                self.moment = (
                    "tests ran"
                    if done
                    else "workers were there"
                    if workers
                    else "tests were collected, or earlier"
                )
                return
            time.sleep(0.002)

    def _done(self) -> int:
        return sum(words.pushes for words in self.folder.words().values())

    # -- checks

    def _check_end(self, running: Running, status: int) -> list[str]:
        """A clear end: the right status, and words about what happened where something did."""
        if self.target == "cli":
            return [] if not self.moment or status == -signal.SIGKILL else [f"exit status {status}"]
        collecting = self.moment.startswith("tests were collected")
        unharmed = status == _FAILED and not running.stderr
        words = (
            "went away while",
            "was killed by SIGKILL before",
            "died while it collected",
            # The daemon of a cold start, which the command line knows as its child.
            "could not be started",
            "the daemon ended before it could start the workers",
        )
        told = (
            status == _BROKEN
            and any(word in running.stderr for word in words)
            and "hint:" in running.stderr
        )
        # Who is not needed any more, or not yet, may go unnoticed.
        fine: Callable[[], bool] = {
            "host": lambda: told or (unharmed and not self._ran(running)),
            "supervisor": lambda: unharmed or told,
            "session": lambda: unharmed or (collecting and told),
            "daemon": lambda: unharmed or (collecting and told),
        }[self.target]
        if not self.moment:
            return [] if unharmed else [f"exit status {status} though nothing was killed"]
        if (
            "INTERNALERROR" in running.stdout + running.stderr
            or "Traceback" in running.stdout + running.stderr
        ):
            return ["a traceback"]
        return (
            []
            if fine() or (self.target == "host" and unharmed)
            else [f"no clear end: exit status {status}"]
        )

    def _ran(self, running: Running) -> bool:
        return "short test summary" in running.stdout

    def _check_rest(self, running: Running) -> list[str]:
        """Nothing of the run is left, but what is kept warm for the next one."""
        left: list[int] = []
        status = ""

        def only_warm() -> bool:
            nonlocal status
            tree = witness.tree(self.project.processes(), False)
            status = self.project.rpytest("--daemon-status", junit=False).stdout
            # A session is a child of the daemon, or of the preload that it was forked from.
            sessions = {int(pid) for pid in re.findall(r"^ *session (\d+): ", status, re.M)}
            # Each may have a base and a checkpoint, which are nobody's children and have none; a
            # checkpoint outlives its session, as the status says, with its base. A controller would
            # be one orphan more, at the latest when this is looked at again.
            checkpoints = status.count("kept for other arguments: ")
            # Nobody's children are configured processes, too, from which sessions are forked.
            configured = status.count("configured, to collect other tests: ")
            # A session whose preload is gone is nobody's child, too.
            known = {tree.daemon, *sessions}
            orphans = [
                pid
                for pid in self.project.processes()
                if witness.is_orphan(pid) and pid not in known
            ]
            # Each session and checkpoint may have forked the process of its next run already: which
            # checkpoints there are is known by it.
            waiting = {
                int(pid)
                for pid in re.findall(r", process (\d+) waits for the next run$", status, re.M)
            }
            kept = (
                frozenset(sessions),
                frozenset(map(witness.parent, waiting)),
                checkpoints,
                configured,
            )
            most = _orphans.get(kept, len(sessions) + 2 * checkpoints + configured)
            helpers = orphans if len(orphans) <= most else []
            preloads = set(witness.children(tree.daemon)) - sessions
            warm = {tree.daemon, *sessions, *preloads, *helpers, *waiting}
            left[:] = [
                pid
                for pid in self.project.processes()
                if pid not in warm
                or (pid != tree.daemon and not set(witness.children(pid)) <= sessions | waiting)
            ]
            if not left:
                _orphans[kept] = len(orphans)
            return not left

        problems = []
        if not processes.wait_until(only_warm):
            problems += with_evidence(
                [f"process left: {processes.describe(pid)}" for pid in left], status
            )
        problems += [f"shared memory left: {path}" for path in processes.segments_of([running.pid])]
        return problems

    def _check_next(self, wanted: dict[str, truth.Seen]) -> list[str]:
        """The next run is complete, and warm where a warm session was not killed."""
        file = self.project.scratch / "next.xml"
        file.unlink(missing_ok=True)
        self.folder.clear({})
        running = self.project.spawn(
            "-n", str(_WORKERS), MODULE, f"--junitxml={file}", env=self._env()
        )
        status = running.wait(WATCHDOG_SECONDS)
        results = truth.read(file) if file.exists() else {}
        problems = truth.check_results(wanted, results, set(), set())
        if status != _FAILED or running.stderr:
            problems.append(f"exit status {status}")
        return with_evidence([f"next run: {problem}" for problem in problems], str(running))
