"""`breakpoint()` in a worker: the only worker of a run gets the terminal for its debugger, one of
several can't.

``--pdb`` and ``--trace`` are not meant here: with them pytest itself runs, in a process that owns
the terminal.
"""

from __future__ import annotations

import pdb
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.debugging import pytestPDB

from rpytest import stdlib
from rpytest.ipc import channel
from rpytest.ipc.message import Empty
from rpytest.ipc.process_messages import WorkerDebugger
from rpytest.stdlib import signal

if TYPE_CHECKING:
    from rpytest.worker.spec import WorkerSpec

__builtins__ = stdlib.BUILTINS


class Debugger:
    """Asks the command line for the terminal before pytest's debugger writes to it, and gives it
    back.
    """

    def __init__(self, spec: WorkerSpec) -> None:
        self.spec = spec
        self.holds_terminal = False

    def install(self) -> None:
        """Stand before pytest's debugger in this process."""
        original: Any = pytestPDB._init_pdb

        def init_pdb(method: str, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            # Here and not in `pytest_enter_pdb`: before that hook pytest has written its heading.
            self.take_terminal()
            return original(method, *args, **kwargs)

        pytestPDB._init_pdb = init_pdb  # type: ignore[method-assign]
        if self.spec.count > 1:
            # `breakpoint()` comes here directly: the traceback ends in the test.
            pdb.set_trace = self._refuse

    def _refuse(self, *_args: object, **_kwargs: object) -> None:
        __tracebackhide__ = True
        pytest.fail(
            f"a debugger needs the terminal, which belongs to {self.spec.count} workers; "
            "hint: run this test with `-n 1`"
        )

    def take_terminal(self) -> None:
        """Wait until the command line writes nothing any more."""
        __tracebackhide__ = True
        if self.spec.count > 1:
            self._refuse()
        if not self.holds_terminal:
            channel.send(self.spec.host, WorkerDebugger(active=True))
            channel.receive(self.spec.host, Empty)
            self.holds_terminal = True

    @pytest.hookimpl
    def pytest_enter_pdb(self, pdb: Any) -> None:
        """A debugger that continued comes back without pytest when it meets one of its
        breakpoints.
        """
        original = getattr(pdb, "setup", None)
        if original is None:
            return

        def setup(*args: Any) -> Any:
            self.take_terminal()
            return original(*args)

        pdb.setup = setup

    @pytest.hookimpl
    def pytest_leave_pdb(self) -> None:
        """Give the terminal back."""
        if self.holds_terminal and pytestPDB._recursive_debug == 0:
            self.holds_terminal = False
            # The debugger has left its own handler, which would come back to it on Ctrl-C: now that
            # ends the run again.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            channel.send(self.spec.host, WorkerDebugger(active=False))
