"""Specifications of pytest-xdist's hooks, so that plugins and conftests written for it work
unchanged.

Names, arguments and ``firstresult`` are those of pytest-xdist 3.8. All are called in the
controller, except `pytest_xdist_auto_num_workers`, which every process calls that resolves
``-n auto``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest

from rpytest.xdist_compat.nodes import Gateway, Spec, WorkerNode


@pytest.hookspec()
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[Spec]) -> None:
    """Called before any worker's input is made."""


@pytest.hookspec()
def pytest_xdist_newgateway(gateway: Gateway) -> None:
    """Called for each worker, before `pytest_configure_node`."""


@pytest.hookspec()
def pytest_xdist_rsyncstart(source: str | os.PathLike[str], gateways: Sequence[Gateway]) -> None:
    """Never called: workers are local."""


@pytest.hookspec()
def pytest_xdist_rsyncfinish(source: str | os.PathLike[str], gateways: Sequence[Gateway]) -> None:
    """Never called: workers are local."""


@pytest.hookspec(firstresult=True)
def pytest_xdist_getremotemodule() -> Any:
    """Never called: workers are forks."""


@pytest.hookspec()
def pytest_configure_node(node: WorkerNode) -> None:
    """Called for each worker before it is configured: ``node.workerinput`` is what it will have as
    ``config.workerinput``.
    """


@pytest.hookspec()
def pytest_testnodeready(node: WorkerNode) -> None:
    """Called for each worker that will run tests."""


@pytest.hookspec()
def pytest_testnodedown(node: WorkerNode, error: object | None) -> None:
    """Called when a worker has ended its session (``node.workeroutput`` is there), or has died
    (``error`` says how).
    """


@pytest.hookspec()
def pytest_xdist_node_collection_finished(node: WorkerNode, ids: Sequence[str]) -> None:
    """Called for each worker with the node ids that all have collected."""


@pytest.hookspec(firstresult=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Never called; a plugin that has one is a usage error, since its scheduler would not be
    obeyed.
    """


@pytest.hookspec(firstresult=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return the number of workers for ``-n auto`` and ``-n logical``."""


@pytest.hookspec(firstresult=True)
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport, sched: Any) -> None:
    """Called with the node id of a test in which a worker has died; ``report`` may be changed."""
