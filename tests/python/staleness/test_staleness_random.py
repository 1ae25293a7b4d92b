"""A few rounds of random edits and selections; ``python tests/python/random_staleness.py`` does
hundreds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from random_staleness import play
from support.harness import Project


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_edits(shared_project: Project, folder: Path, seed: int) -> None:
    play(shared_project, folder, seed, rounds=3)
