"""Many small tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from common import work


@pytest.mark.parametrize("i", range(240))
def test_small(
    i: int, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    assert work(request.node.nodeid, record_property)


@pytest.mark.parametrize("i", range(40))
def test_in_folder(
    i: int,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text(work(request.node.nodeid, record_property))
    assert len(list(tmp_path.iterdir())) == 1
