"""Modules have effects on others while they are imported: whatever is run after what, rpytest says
what a cold pytest says.

The kinds of effects are in `effects.KINDS`. Of each, the whole project is run, then each part of it
in turn, alone and in other orders, and the whole again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.effects import KINDS, MORE, Kind, tried
from support.harness import Project
from support.pairs import Pair
from support.staleness import Seen

HERE = [kind for kind in tried(KINDS) if kind.runs_here]


def told(seen: Seen) -> set[str]:
    """What tests have printed, and why modules could not be imported or were skipped."""
    return {line for line in seen.text() if line.startswith(("state:", "E  ", "SKIPPED"))}


@pytest.mark.parametrize("kind", HERE, ids=str)
def test_selections(shared_project: Project, folder: Path, kind: Kind) -> None:
    pair = Pair(shared_project, folder)
    pair.write(kind.project(), "written")
    whole = pair.run()
    # The first one twice: a session that was made for it, if any, serves the second one.
    for args in (*kind.selections, kind.selections[0], ""):
        part = pair.run(args)
        if args == "test_b.py" and not kind.alike:
            assert told(part) - told(whole), "the kind has no effect that can be seen"


@pytest.mark.parametrize("kind", HERE[::9], ids=str)
def test_parts_come_first(shared_project: Project, folder: Path, kind: Kind) -> None:
    """Nothing has been collected before a part is."""
    pair = Pair(shared_project, folder)
    pair.write(kind.project(), "written")
    for args in (*MORE, "", *reversed(MORE)):
        pair.run(args)
