"""The process from which controllers are forked, as hooks run in them that act outside of workers.

A session forks a *base* when pytest has parsed its options and loaded plugins and conftests, but is
not configured yet. The base waits. For each run that needs a controller it forks one, which goes on
from there as pytest's own main function would in pytest-xdist's controller; a run without need for
it costs one idle process per session and nothing else. See ``docs/design/controller.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import pytest

from rpytest import stdlib
from rpytest.controller.client import ControllerClient, Died
from rpytest.ipc import channel
from rpytest.ipc.process_messages import StartController
from rpytest.process import lifecycle, signal_handlers, takeover
from rpytest.process.lifecycle import fork_detached
from rpytest.pytest_compat.output import rebind_capture
from rpytest.stdlib import socket

__builtins__ = stdlib.BUILTINS


class ControllerBase:
    """The waiting base as the process sees it that has forked it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def start(self, message: StartController, streams: Sequence[int]) -> ControllerClient:
        """Let the base fork a controller for one run, with these standard streams (which stay open
        here).
        """
        ours, theirs = channel.pair()
        lifecycle.keep_private(ours)
        try:
            channel.send(self.sock, message, [theirs.fileno(), *streams])
        except channel.Closed:
            raise Died from None
        finally:
            theirs.close()
        return ControllerClient(ours)

    def close(self) -> None:
        """Let the base go."""
        self.sock.close()


class ControllerStart:
    """What a controller is started with, in its own process."""

    def __init__(self, message: StartController, sock: socket.socket, streams: list[int]) -> None:
        self.message = message
        self.sock = sock
        self.streams = streams


def fork_base(
    config: pytest.Config, private: Sequence[socket.socket]
) -> ControllerBase | ControllerStart:
    """Fork a base; returns :class:`ControllerBase` here and :class:`ControllerStart` in each
    controller. ``private`` is closed in them.
    """
    ours, theirs = channel.pair()
    lifecycle.keep_private(ours)
    lifecycle.flush_streams()
    if fork_detached():
        theirs.close()
        return ControllerBase(ours)
    ours.close()
    for sock in private:
        sock.close()
    try:
        return _serve_base(config, theirs)
    except BaseException:
        import traceback

        # Not into pytest, which runs above here.
        traceback.print_exc()
        lifecycle.exit_now(3)


def _serve_base(config: pytest.Config, sock: socket.socket) -> ControllerStart:
    lifecycle.forget_inherited_cleanups()
    # The streams are the run's: each controller gets them with its start.
    takeover.detach_streams()
    rebind_capture(config)
    signal_handlers.ignore_interrupts()
    while True:
        try:
            message, fds = channel.receive(sock, StartController)
        except channel.Closed:
            _leave()
        if fork_detached() == 0:
            sock.close()
            run = channel.adopt(fds[0])
            lifecycle.keep_private(run)
            return ControllerStart(message, run, fds[1:])
        channel.close_all(fds)


def _leave() -> NoReturn:
    lifecycle.exit_now(0)
