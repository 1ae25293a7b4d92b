"""Fixtures for the tests of the installed program."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before the modules are imported: their assertions are part of the tests.
pytest.register_assert_rewrite("grid", "support")

from support import processes
from support.harness import Project
from support.running import WATCHDOG_SECONDS


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project with a daemon, caches and temporary files of its own.

    At the end the daemon is stopped, and the test fails if a process, a shared memory entry or a
    socket is left.
    """
    with _guarded(tmp_path) as project:
        yield project


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A `project` for many tests of the same files: one daemon serves them all."""
    with _guarded(tmp_path_factory.mktemp("project")) as project:
        yield project


@pytest.fixture
def folder(shared_project: Project) -> Path:
    """A new folder in the shared project: a project of its own, as far as pytest is concerned."""
    return Path(tempfile.mkdtemp(prefix="t", dir=shared_project.path))


@contextlib.contextmanager
def _guarded(path: Path) -> Iterator[Project]:
    project = Project(path)
    watchdog = threading.Timer(4 * WATCHDOG_SECONDS, _end_hang, [project])
    watchdog.daemon = True
    watchdog.start()
    try:
        yield project
    finally:
        watchdog.cancel()
        project.close()


def _end_hang(project: Project) -> None:
    """Tell what the test's processes are doing and end them: what waits for them goes on."""
    report = "\n".join(processes.describe(pid) for pid in project.processes())
    print(f"the test hangs, its processes are killed\n{report}", file=sys.stderr, flush=True)
    project.kill_all()
