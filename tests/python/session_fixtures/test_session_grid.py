"""Session fixtures are created once, shared by all workers, wherever that is right: many little
projects, each as in plain pytest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import cases_devices
import cases_failures
import cases_hazards
import cases_identity
import cases_processes
import cases_requests
import cases_running
import cases_threads
import cases_values
from grid import Case, Ground, hold
from support.harness import Project

CASES = [
    *cases_values.CASES,
    *cases_requests.CASES,
    *cases_failures.CASES,
    *cases_identity.CASES,
    *cases_hazards.CASES,
    *cases_devices.CASES,
    *cases_threads.CASES,
    *cases_processes.CASES,
    *cases_running.CASES,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(shared_project: Project, folder: Path, case: Case) -> None:
    hold(case, Ground(shared_project, folder, case.files))


def test_there_are_enough() -> None:
    assert len(CASES) == len({case.id for case in CASES}) >= 40
