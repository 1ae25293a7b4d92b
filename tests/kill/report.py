"""What the kill tests found."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Report:
    """Kills by target and phase, and what went wrong."""

    #: By target (`worker`, `host`…) and phase.
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    runs: int = 0
    tests: int = 0
    #: Tests that failed because their worker died.
    crashed: int = 0
    problems: list[str] = field(default_factory=list)

    def total(self, target: str) -> int:
        """Kills of that target."""
        return sum(count for (name, _), count in self.kills.items() if name == target)

    def add(self, title: str, problems: list[str]) -> None:
        """Note what is wrong with one run."""
        self.problems += [f"{title}: {problem}" for problem in problems]

    def count(self, prefix: str) -> int:
        """Problems of a kind."""
        return sum(f": {prefix}" in problem for problem in self.problems)

    def table(self) -> str:
        """For people."""
        lines = [f"{'killed':10} {'while':34} kills"]
        for target in dict.fromkeys(name for name, _ in self.kills):
            for (name, phase), count in sorted(self.kills.items(), key=lambda item: -item[1]):
                if name == target:
                    lines.append(f"{target:10} {phase:34} {count:5}")
            lines.append(f"{target:10} {'in all':34} {self.total(target):5}")
        lines.append(
            f"{self.runs} runs, {self.tests} tests planned, {self.crashed} of them "
            "reported as crashed: "
            f"{self.count('lost') + self.count('partly lost')} lost, "
            f"{self.count('duplicated')} duplicated, "
            f"{self.count('torn')} torn or mixed up, {len(self.problems)} problems in all"
        )
        return "\n".join(lines)


def with_evidence(problems: list[str], *evidence: str | Path) -> list[str]:
    """Keep texts and files if there are problems, and say where."""
    if not problems:
        return []
    folder = Path(tempfile.mkdtemp(prefix="rpytest-kill-evidence-"))
    for number, item in enumerate(evidence):
        if isinstance(item, str):
            (folder / f"{number}.txt").write_text(item)
        elif item.exists():
            shutil.copy(item, folder)
    return [*problems, f"the evidence is in {folder}"]
