"""A small number of the kills of `tests/kill/`; the large number is a command of its own, see CONTRIBUTING.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent.parent / "kill" / "kill.py"


@pytest.mark.parametrize("what", ["worker", "host", "session", "daemon", "cli"])
def test_kills(what: str) -> None:
    command = [sys.executable, str(PROGRAM), f"--what={what}", "--kills=40", "--other-kills=3"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert "0 lost, 0 duplicated, 0 torn or mixed up, 0 problems in all" in done.stdout
