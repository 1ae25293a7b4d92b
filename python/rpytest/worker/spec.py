"""What a worker is given when it is forked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rpytest import stdlib
from rpytest.process import lifecycle
from rpytest.stdlib import socket, time

if TYPE_CHECKING:
    from rpytest import _native
    from rpytest.fixtures.setup_output import SetupOutput

__builtins__ = stdlib.BUILTINS


class WorkerSpec:
    """What a worker is given when it is forked."""

    def __init__(
        self,
        slot: int,
        incarnation: int,
        count: int,
        uid: str,
        bell: int,
        spill: int,
        crash: int,
        host: socket.socket,
    ) -> None:
        self.slot = slot
        self.incarnation = incarnation
        self.count = count
        self.uid = uid
        #: Descriptors: doorbell eventfd, spill memfd, memfd for what a crash writes.
        self.bell = bell
        self.spill = spill
        self.crash = crash
        self.host = host
        #: A pipe for the stacks of a test that runs for too long: its end to write to here, in a
        #: host the one to read from.
        self.stacks = -1
        #: What the controller has put into this worker's input, and whether it wants every report.
        self.input: dict[str, Any] = {}
        self.every_report = False
        #: When it was forked: `time.monotonic`.
        self.forked = time.monotonic()
        #: See :class:`rpytest.controller.client.ControllerClient`.
        self.is_live = False
        self.wants_ids = False
        #: Whether fixtures are measured: `--timings`.
        self.timings = False
        #: What shared fixtures have said, by test.
        self.outputs: dict[int, SetupOutput] = {}
        #: The shared fixtures, in the order of their set-ups.
        self.shared: list[pytest.FixtureDef[Any]] = []

    @property
    def name(self) -> str:
        """pytest-xdist's name of this worker."""
        return f"gw{self.slot}"


class WorkerForked(lifecycle.BackToPytest):
    """This process is a worker: pytest goes on in it, in `pytest_runtestloop`."""

    def __init__(self, spec: WorkerSpec, segment: _native.Segment) -> None:
        self.spec = spec
        self.segment = segment
