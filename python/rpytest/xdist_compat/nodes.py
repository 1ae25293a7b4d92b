"""What pytest-xdist's own hooks are called with in the controller: nodes, their gateways, and who
manages them.
"""

from __future__ import annotations

import platform
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rpytest import stdlib
from rpytest.stdlib import os

if TYPE_CHECKING:
    import pytest

__builtins__ = stdlib.BUILTINS


class Spec:
    """How a worker is started; looks like an execnet specification of ``popen``."""

    popen = True
    chdir: str | None = None
    python: str | None = None
    ssh: str | None = None
    socket: str | None = None

    def __init__(self, name: str) -> None:
        self.id = name
        self.env: dict[str, str] = {}

    def __str__(self) -> str:
        return "popen"

    def __repr__(self) -> str:
        return f"<XSpec 'popen//id={self.id}'>"


class Gateway:
    """The side of a worker that pytest-xdist's users look at: ``id`` and ``spec``."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.id = spec.id

    def __repr__(self) -> str:
        return f"<Gateway id={self.id!r}>"

    def _rinfo(self) -> SimpleNamespace:
        # pytest-cov asks for it; a worker is a fork of this interpreter.
        return SimpleNamespace(
            executable=sys.executable,
            version_info=tuple(sys.version_info),
            platform=sys.platform,
            cwd=os.getcwd(),
            pid=os.getpid(),
        )


class NodeManager:
    """Belongs to one run; ``roots`` is empty, as nothing is copied to other machines."""

    def __init__(self, config: pytest.Config, workers: int, uid: str) -> None:
        self.config = config
        self.testrunuid = uid
        self.roots: list[str] = []
        self.specs = [Spec(f"gw{slot}") for slot in range(workers)]


class WorkerNode:
    """A worker as hooks see it in the controller: pytest-xdist's ``WorkerController`` without its
    network.
    """

    #: Absent until the worker has ended its session, and for good if it dies: hooks tell by that.
    workeroutput: dict[str, Any]
    #: Absent unless it is to be another one: the line about the worker above each failure, under
    #: pytest's name for it.
    _workerinfocache: str

    def __init__(self, manager: NodeManager, slot: int, arguments: list[str]) -> None:
        self.nodemanager = manager
        self.config = manager.config
        self.slot = slot
        self.gateway = Gateway(manager.specs[slot])
        self.workerinput: dict[str, Any] = {
            "workerid": self.gateway.id,
            "workercount": len(manager.specs),
            "testrunuid": manager.testrunuid,
            "mainargv": arguments,
        }
        self.workerinfo: dict[str, Any] = {
            "version": platform.python_version(),
            "version_info": tuple(sys.version_info),
            "sysplatform": sys.platform,
            "platform": platform.platform(),
            "executable": sys.executable,
            "cwd": os.getcwd(),
            "id": self.gateway.id,
            "spec": self.gateway.spec,
        }
        #: `pytest_testnodedown` was called for it.
        self.is_down = False
        #: `pytest_testnodeready` was called for it.
        self.is_ready = False

    @property
    def shutting_down(self) -> bool:
        """Whether it runs no more tests."""
        return self.is_down

    def __repr__(self) -> str:
        return f"<WorkerController {self.gateway.id}>"
