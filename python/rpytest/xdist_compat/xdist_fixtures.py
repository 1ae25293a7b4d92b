"""The fixtures of pytest-xdist, registered as a plugin of their own."""

from __future__ import annotations

import uuid
from typing import Any

import pytest


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """Name of the worker (``gw0``, ``gw1``, …), or ``master`` when tests are not distributed."""
    workerinput: dict[str, Any] | None = getattr(request.config, "workerinput", None)
    return "master" if workerinput is None else str(workerinput["workerid"])


@pytest.fixture(scope="session")
def testrun_uid(request: pytest.FixtureRequest) -> str:
    """An id that all workers of one run share and no other run has."""
    workerinput: dict[str, Any] | None = getattr(request.config, "workerinput", None)
    return uuid.uuid4().hex if workerinput is None else str(workerinput["testrunuid"])
