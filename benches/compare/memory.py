"""How much memory a run takes: the proportional set size of all its processes together."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

INTERVAL_SECONDS = 0.02
PROC = Path("/proc")


def peak_pss(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], variable: str
) -> tuple[float, float]:
    """Run `command`; returns the highest and the last sum of PSS, in MiB.

    PSS divides a page by the number of processes that map it, so memory that forked workers share
    counts once. All processes count that were started with the value that `env` has for
    `variable`: also a daemon that was there before. The last sum is what stays when the command
    has ended. Sampling every 20 ms takes processor time: never time a run that is sampled.
    """
    members = _Members(variable, env[variable])
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, members.pss())
        time.sleep(INTERVAL_SECONDS)
    time.sleep(1.0)  # what is about to end has ended
    return peak / 1024, members.pss() / 1024


class _Members:
    """The processes that have an environment variable with a value; each is asked only once."""

    def __init__(self, name: str, value: str) -> None:
        self._wanted = f"{name}={value}".encode()
        self._known: dict[int, bool] = {}

    def pss(self) -> int:
        """Sum of their PSS in KiB."""
        total = 0
        alive = {int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()}
        for pid in alive:
            if self._known.get(pid) is None:
                self._known[pid] = self._belongs(pid)
            if self._known[pid]:
                total += _pss(pid)
        self._known = {pid: known for pid, known in self._known.items() if pid in alive}
        return total

    def _belongs(self, pid: int) -> bool:
        try:
            variables = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return self._wanted in variables


def _pss(pid: int) -> int:
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:  # it has just ended
        return 0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
