"""A session within this process leaves nothing of itself here."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from support import inner_session


def surroundings() -> dict[str, Any]:
    return {
        "variables": dict(os.environ),
        "folder": Path.cwd(),
        "path": list(sys.path),
        "finders": list(sys.meta_path),
        "modules": {name: id(module) for name, module in sys.modules.items()},
        "filters": list(warnings.filters),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook),
        "byte code": sys.dont_write_bytecode,
    }


@pytest.mark.parametrize("is_whole", [True, False])
def test_nothing_is_left(tmp_path: Path, is_whole: bool) -> None:
    inner_session.write(
        tmp_path, conftest="import test_a", test_a="def test_1(): pass\ndef test_2(): assert 0"
    )
    before = surroundings()
    with (
        pytest.raises(KeyError) if not is_whole else pytest.MonkeyPatch.context(),
        inner_session.collected(tmp_path) as session,
    ):
        assert surroundings() != before
        outcomes = [report.outcome for report in inner_session.run(session, "test_2")]
        assert outcomes == ["passed", "failed", "passed"]
        if not is_whole:
            raise KeyError
    after = surroundings()
    # pytest may have needed more of the library.
    for name in after["modules"].keys() - before["modules"].keys():
        assert not str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path))
        del after["modules"][name]
    assert after == before
    assert not hasattr(sys, "last_value")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "conftest.py",
        "pytest.ini",
        "test_a.py",
    ]
