"""What makes a session fixture unfit to be inherited, where a whole run would need a machine with the thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from rpytest.fixtures import fork_hazards


def test_a_gpu_is_known_by_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "nvidia0"
    device.touch()
    monkeypatch.setattr(fork_hazards, "_GPUS", (str(tmp_path / "nvidia"),))
    with device.open() as used:
        assert fork_hazards._describe(used.fileno()) == "a GPU in use"
    (tmp_path / "other").touch()
    with (tmp_path / "other").open() as used:
        assert fork_hazards._describe(used.fileno()) is None
