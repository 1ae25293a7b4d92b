"""Modules have effects on others while they are imported, and are edited: rpytest says what a cold
pytest says of the project as it is now.

The kinds of effects are in `effects.KINDS`. Of each, the module with the effect is edited so that
it has the effect as before, on other lines; then no longer; then again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.effects import KINDS, Kind, tried
from support.harness import Project
from support.pairs import Pair


@pytest.mark.parametrize(
    "kind", [kind for kind in tried(KINDS, 1) if kind.edits and kind.runs_here], ids=str
)
def test_edits(shared_project: Project, folder: Path, kind: Kind) -> None:
    pair = Pair(shared_project, folder)
    pair.write(kind.project(), "written")
    before = pair.run()
    pair.write(kind.project(comment="edited"), "a comment added")
    assert pair.run().status == before.status
    pair.write(kind.project(effect=False), "the effect taken away")
    pair.run()
    pair.run(kind.selections[0])
    pair.write(kind.project(comment="back again"), "the effect is back")
    pair.run()
    pair.run("test_a.py")
