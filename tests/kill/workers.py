"""Rounds in which workers are killed: at random from outside, at chosen places by themselves."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import time
from dataclasses import dataclass, field

import common
import truth
import witness
from report import Report, with_evidence
from support import processes
from support.harness import Project
from support.running import Running
from witness import Folder, Words

#: A round hangs when it takes longer. Far more than a loaded machine needs.
WATCHDOG_SECONDS = 180.0
#: Tickets for kills at chosen places, and how many of each a round has for a hundred kills in all.
TICKETS = {
    "setup": 8,
    "call": 4,
    "teardown": 10,
    "commit": 12,
    "torn": 12,
    "stealing": 12,
    "respawn": 14,
}
_CRASH_LINE = re.compile(r"^\[worker \d+\] (?:node down: )?killed by (SIG\w+)", re.M)
_ANY_CRASH = re.compile(r"^\[worker \d+\] (?:node down: .*|.* after its last test)$", re.M)


@dataclass
class Round:
    """One run and its kills."""

    project: Project
    folder: Folder
    workers: int
    kills: int
    bare: bool
    fat: bool
    random: random.Random
    #: Workers killed from outside; those of them that waited for room in their ring.
    killed: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)

    def run(self, references: truth.References, report: Report, title: str) -> str:
        """Run, kill, check; returns a line about it."""
        reference = references[self.fat]
        share = {
            kind: max(1, round(self.kills * count / (400 if self.fat else 130)))
            for kind, count in TICKETS.items()
        }
        self.folder.clear({} if self.kills == 0 else share)
        file = self.project.scratch / "kill.xml"
        file.unlink(missing_ok=True)
        args = ["-n", str(self.workers), "--max-worker-restart=4000", f"--junitxml={file}"]
        if self.bare:
            args.append("--start-method=bare")
        began = time.monotonic()
        env = {"KILL_FOLDER": str(self.folder.path), "KILL_WORKERS": str(self.workers)}
        if self.fat:
            env[common.FAT] = "1"
        running = self.project.spawn(*args, env=env)
        self._kill(running, self.kills - sum(share.values()) // (2 if self.bare else 1))
        status = running.wait(WATCHDOG_SECONDS)
        words = self.folder.words()
        results = truth.read(file) if file.exists() else {}
        problems = self._check(reference, results, words, status, running)
        said = [*map(str, words.values()), f"killed {self.killed}, waiting {self.waiting}"]
        problems = with_evidence(
            problems, f"{running}\nexit status {status}", "\n".join(said), file
        )
        report.add(title, problems)
        report.runs += 1
        report.tests += len(reference)
        report.crashed += sum(seen.crashed for seen in results.values())
        dead = self._dead(words)
        for phase in dead.values():
            report.kills["worker", phase] += 1
        method = "bare" if self.bare else "collected"
        return (
            f"{title}: {self.workers} workers ({method}), {len(dead)} killed, "
            f"{time.monotonic() - began:.1f} s"
        )

    # -- kills

    def _kill(self, running: Running, count: int) -> None:
        """Kill `count` workers, one after the other, at random moments."""
        tree = witness.Tree()
        while running.is_running() and len(self.killed) < count:
            time.sleep(self.random.choice((0.0, 0.001, 0.005, 0.02, 0.05)))
            if not tree.host or not tree.workers:
                tree = witness.tree(self.project.processes(), self.bare)
                if self.bare and not any(words.pushes for words in self.folder.words().values()):
                    # Before the tests are known the death of a worker rightly ends a run of this
                    # kind.
                    tree = witness.Tree()
                continue
            if self.random.random() < (0.5 if self.fat else 0.05):
                self._fill_rings(running, tree)
            elif workers := tree.workers:
                self._strike(self.random.choice(workers), tree)

    def _strike(self, pid: int, tree: witness.Tree) -> None:
        # A zombie would be no kill, and its number might be somebody else's by now.
        if witness.parent(pid) == tree.host and processes.is_alive(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed.add(pid)

    def _fill_rings(self, running: Running, tree: witness.Tree) -> None:
        """Stop the reader, wait until a worker waits for room, kill that one."""
        running.send_signal(signal.SIGSTOP)
        try:
            last: dict[int, Words] = {}
            for _ in range(40):
                time.sleep(0.05)
                now = self.folder.words()
                # A record is written in microseconds: who is still at the same one waits.
                stuck = [
                    pid
                    for pid, words in now.items()
                    if words.letter == "p" and last.get(pid) == words and pid in tree.workers
                ]
                if stuck:
                    pid = self.random.choice(stuck)
                    self._strike(pid, tree)
                    self.waiting.add(pid)
                    return
                last = now
        finally:
            running.send_signal(signal.SIGCONT)

    # -- checks

    def _dead(self, words: dict[int, Words]) -> dict[int, str]:
        """Workers that were killed, and in which phase."""
        dead = {pid: said.phase for pid, said in words.items() if said.letter != witness.GOODBYE}
        # Killed before they could say anything.
        dead |= {pid: "respawn" for pid in self.killed if pid not in words}
        dead |= dict.fromkeys(self.waiting, "full ring")
        return dead

    def _check(
        self,
        reference: dict[str, truth.Seen],
        results: dict[str, truth.Seen],
        words: dict[int, Words],
        status: int,
        running: Running,
    ) -> list[str]:
        dead = [words[pid] for pid in self._dead(words) if pid in words]
        must = {said.nodeid for said in dead if said.in_flight == 1}
        may = {said.nodeid for said in dead if said.in_flight}
        problems = truth.check_results(reference, results, must, may)
        for said in dead:
            # What a worker noted and what the command line read; between the two letters either may
            # be right.
            late = {"setup": False, "teardown": True}.get(said.phase)
            if said.in_flight == 1 and late not in (
                None,
                said.nodeid in results and results[said.nodeid].crashed_late,
            ):
                problems.append(
                    f"died in its {said.phase}, but is said to have died in another phase: "
                    f"{said.nodeid}"
                )
        if status != 1:
            problems.append(f"exit status {status} instead of 1")
        # One line for each death and no others; a kill that came after the goodbye may have one,
        # too.
        least = len(self._dead(words))
        most = least + sum(
            words[pid].letter == witness.GOODBYE for pid in self.killed if pid in words
        )
        lines = _ANY_CRASH.findall(running.stdout)
        signals = _CRASH_LINE.findall(running.stdout)
        if not least <= len(lines) <= most:
            problems.append(f"{len(lines)} crashes reported for {least} kills (or {most})")
        if len(signals) != len(lines) or set(signals) - {"SIGKILL"}:
            problems.append(
                f"crashes that are no kills: {[line for line in lines if 'SIGKILL' not in line]}"
            )
        counts = _counts(running.stdout)
        if counts != truth.final_line(results):
            problems.append(
                f"the final line says {counts}, the junit file {truth.final_line(results)}"
            )
        if running.stderr:
            problems.append("something on standard error")
        return problems


def _counts(stdout: str) -> dict[str, int]:
    plural = {"error": "errors"}
    for line in reversed(stdout.splitlines()):
        if re.search(r"\bin \d+(\.\d+)?s", line):
            found = re.findall(r"(\d+) ([a-z]+)\b", line.partition(" in ")[0])
            return {plural.get(word, word): int(count) for count, word in found}
    return {}
