"""A session's controllers: whether its runs need one, and one for each run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from rpytest import stdlib
from rpytest.controller.base import ControllerBase
from rpytest.controller.client import ControllerClient, Died, Ended
from rpytest.ipc import channel
from rpytest.ipc.process_messages import StartController
from rpytest.process import lifecycle
from rpytest.pytest_compat import known_plugins
from rpytest.pytest_compat.hooks import third_party_hooks
from rpytest.reports.terminal import replaces_terminal
from rpytest.stdlib import os, uuid

if TYPE_CHECKING:
    from rpytest.ipc.process_messages import HandedOver
    from rpytest.ipc.run_messages import RunRequest
    from rpytest.xdist_compat.worker_identity import IdentityReads, WorkerInput


__builtins__ = stdlib.BUILTINS


#: Hooks that, implemented by a plugin or conftest, make a controller necessary: they act on the run
#: as a whole, or see its reports.
HOOKS = (
    "pytest_sessionstart",
    "pytest_sessionfinish",
    "pytest_unconfigure",
    "pytest_runtest_logstart",
    "pytest_runtest_logreport",
    "pytest_runtest_logfinish",
    "pytest_xdist_setupnodes",
    "pytest_xdist_newgateway",
    "pytest_configure_node",
    "pytest_testnodeready",
    "pytest_testnodedown",
    "pytest_xdist_node_collection_finished",
    "pytest_handlecrashitem",
    "pytest_keyboard_interrupt",
    "pytest_warning_recorded",
    # A controller is needed to refuse this one, which can't be obeyed.
    "pytest_xdist_make_scheduler",
)


class ControllerStarter:
    """The controllers of one session; the first is started when it turns out that one is needed."""

    def __init__(
        self,
        base: ControllerBase,
        workers: int,
        uid: str | None,
        workerinput: WorkerInput,
        conn: int,
        ended: Callable[[int, str], NoReturn],
    ) -> None:
        """``conn``: descriptor of the command line's connection. ``ended`` ends the process."""
        self.base: ControllerBase | None = base
        self.workers = workers
        self.fixed_uid = uid
        self.workerinput = workerinput
        self._conn = conn
        self._ended = ended
        #: The run's standard streams, until the first controller has them.
        self._streams = [os.dup(fd) for fd in range(3)]
        self.client: ControllerClient | None = None
        self.uid = uid or ""
        workerinput.fetch = self._fetch

    def start_if_needed(self, config: pytest.Config, identity_reads: IdentityReads) -> None:
        """After `pytest_configure`: start a controller if any plugin or conftest has something for
        it to do, or let the base go.
        """
        if self.client is None and is_needed(config, identity_reads.asked):
            self._start_first()
        if self.client is not None:
            self.workerinput.complete()
        elif self.base is not None:
            self.base.close()
            self.base = None
        self.workerinput.fetch = None
        channel.close_all(self._streams)
        self._streams = []

    def _fetch(self) -> dict[str, Any]:
        if self.client is None:
            self._start_first()
        assert self.client is not None
        return self.client.inputs[0]

    def _start_first(self) -> None:
        try:
            self.client = self.start(None, self._streams, self._conn)
        except Ended as error:
            self._ended(error.status, "")
        except Died as error:
            self._ended(3, str(error))
        except channel.Closed:
            # Nobody is interested any more.
            lifecycle.exit_now(1)

    def start(
        self, request: RunRequest | None, streams: Sequence[int], conn: int
    ) -> ControllerClient:
        """Start the controller of a run (``request``: of a later one than the first) and wait until
        it is configured.

        Raises :class:`Ended` or :class:`Died`; `Closed` when the command line goes away meanwhile.
        """
        assert self.base is not None
        self.uid = self.fixed_uid or uuid.uuid4().hex
        message = StartController(uid=self.uid, workers=self.workers)
        if request is not None:
            message.env, message.argv = request.variables, request.argv
        client = self.base.start(message, streams)
        client.conn = conn
        try:
            client.wait()
        except (channel.Closed, KeyboardInterrupt):
            client.kill()
            raise
        return client

    def go_on_with(self, client: ControllerClient, uid: str) -> None:
        """Another process has started the controller of the first run."""
        self.client, self.uid = client, uid

    def hand_over(self) -> tuple[HandedOver | None, list[int]]:
        """What another process needs to go on with the controller of this run, if it has one: its
        hooks have run, once.
        """
        if self.client is None:
            return None, []
        return self.client.hand_over(self.uid)

    def close(self) -> None:
        """Let go of base and controller in a process that has only inherited them."""
        if self.base is not None:
            self.base.close()
        if self.client is not None:
            self.client.close()
        self.client = self.base = None

    def obstacle(self) -> str | None:
        """Why workers can't be forked from this session: something that the controller gave was
        read, and it is not the same for all.
        """
        if self.client is None:
            return None
        for slot, values in enumerate(self.client.inputs):
            key = self.workerinput.differs(values)
            if key is not None:
                return f"`config.workerinput[{key!r}]` was read and is another value in gw{slot}"
        return None


def is_needed(config: pytest.Config, has_asked: bool) -> bool:
    """Whether a plugin or conftest does something outside of workers; ``has_asked``: one has looked
    whether it is in a worker.
    """
    return (
        has_asked
        or replaces_terminal(config)
        or any(
            known_plugins.concerns_the_run(implementation, hook)
            for hook in HOOKS
            for implementation in third_party_hooks(config, hook)
        )
    )
