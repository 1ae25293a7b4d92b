"""A small number of the kills of `tests/kill/`; the large number is a command of its own, see
CONTRIBUTING.md.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "kill" / "kill.py"


def test_nothing_is_lost_whatever_is_killed() -> None:
    command = [sys.executable, str(PROGRAM), "--what=all", "--kills=40", "--other-kills=3"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "0 lost, 0 duplicated, 0 torn or mixed up, 0 problems in all" in done.stdout
