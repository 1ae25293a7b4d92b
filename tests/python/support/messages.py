"""Runs scripts of the shell, and reads what rpytest says as a user does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from support.harness import Project, Result


def shell(
    project: Project,
    script: str,
    *,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
) -> Result:
    """Run a script of the shell to its end."""
    running = project.spawn("-c", script, program="/bin/bash", env=env, cwd=cwd)
    return Result(tuple(running.command), running.wait(), running.stdout, running.stderr, None)


def assert_clear(result: Result) -> None:
    """What a user must not see: the insides of rpytest."""
    text = result.stdout + result.stderr
    assert "panicked" not in text, result
    assert "internal error" not in text, result
    assert "daemon/daemon.py" not in text, result
    assert "daemon/sessions.py" not in text, result
    assert "session/session.py" not in text, result
    assert "role/role.py" not in text, result
    assert "Traceback" not in result.stderr.replace("INTERNALERROR> Traceback", ""), result
