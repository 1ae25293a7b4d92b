"""What a session's forks do that serve other runs than its own: they let go of its run, and start
the controller of theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpytest import stdlib
from rpytest.ipc import channel
from rpytest.options import option_reads
from rpytest.process import lifecycle, signal_handlers, takeover
from rpytest.pytest_compat.output import park_capture, rebind_capture, restart_faulthandler
from rpytest.stdlib import os

__builtins__ = stdlib.BUILTINS


if TYPE_CHECKING:
    import pytest

    from rpytest.ipc.run_messages import RunRequest
    from rpytest.role.session_state import SessionState
    from rpytest.stdlib import socket


def close_run_in_child(role: SessionState, config: pytest.Config, control: socket.socket) -> None:
    """Let go of the session's own run in a fork that waits for other runs. ``control`` is the
    fork's connection to the daemon.
    """
    lifecycle.keep_private(control)
    lifecycle.forget_inherited_cleanups()
    role.conn.close()
    role.control.close()
    assert role.controllers is not None
    if role.controllers.client is not None:
        role.controllers.client.close()
        role.controllers.client = None
    park_capture(config)
    signal_handlers.park_child_handler()
    takeover.detach_streams()
    rebind_capture(config)
    restart_faulthandler(config, 2)
    option_reads.reads.active = False
    role.dependencies.observer.stop()


def take_run(role: SessionState, request: RunRequest, fds: list[int]) -> None:
    """Make a run this process's: its connection (the first of the descriptors), its standard
    streams, and what may differ between two runs of one session.
    """
    role.request, role.conn = request, channel.adopt(fds[0])
    lifecycle.keep_private(role.conn)
    takeover.adopt_streams(fds[1:])
    takeover.adopt_noise(request.variables)
    takeover.adopt_affinity(request.affinity)


def start_controller(role: SessionState) -> str | None:
    """Start the controller of the run that ``role`` has taken over.

    Returns why the run can't be served here, with a controller that has given other values than
    were read, or `None`. Raises `Ended` or `Died`; ends this process when the command line is gone.
    """
    controllers = role.controllers
    assert controllers is not None
    controllers.workers, controllers.fixed_uid = role.workers, role.uid
    streams = [os.dup(fd) for fd in range(3)]
    try:
        client = controllers.client = controllers.start(role.request, streams, role.conn.fileno())
    except channel.Closed:
        lifecycle.exit_now(1)
    finally:
        channel.close_all(streams)
    key = controllers.workerinput.differs(client.inputs[0])
    return None if key is None else f"`config.workerinput[{key!r}]` is another value"
