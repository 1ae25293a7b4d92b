"""The process from which controllers are forked, as hooks run in them that act outside of workers.

A session forks a *base* when pytest has parsed its options and loaded plugins and conftests, but is
not configured yet. The base waits. For each run that needs a controller it forks one, which goes on
from there as pytest's own main function would in pytest-xdist's controller; a run without need for
it costs one idle process per session and nothing else. See ``docs/design/controller.md``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NoReturn

import pytest

from rpytest import stdlib
from rpytest.controller.client import ControllerClient, Died
from rpytest.ipc import channel
from rpytest.ipc.process_messages import StartController
from rpytest.process import lifecycle, signal_handlers, takeover
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


class ControllerStart(lifecycle.BackToPytest):
    """What a controller is started with; raised in its own process, in which pytest goes on."""

    def __init__(self, message: StartController, sock: socket.socket, streams: list[int]) -> None:
        self.message = message
        self.sock = sock
        self.streams = streams


def fork_base(config: pytest.Config, private: Sequence[socket.socket]) -> ControllerBase:
    """Fork a base; raises :class:`ControllerStart` in each controller. ``private`` is closed in
    them.
    """
    ours, theirs = channel.pair()
    lifecycle.keep_private(ours)
    lifecycle.flush_streams()

    def be_base() -> None:
        ours.close()
        for sock in private:
            sock.close()
        _serve_base(config, theirs)

    lifecycle.fork_detached_into(be_base)
    theirs.close()
    return ControllerBase(ours)


def _serve_base(config: pytest.Config, sock: socket.socket) -> NoReturn:
    lifecycle.forget_inherited_cleanups()
    # The streams are the run's: each controller gets them with its start.
    takeover.detach_streams()
    rebind_capture(config)
    signal_handlers.ignore_interrupts()
    while True:
        try:
            message, fds = channel.receive(sock, StartController)
        except channel.Closed:
            lifecycle.exit_now(0)
        lifecycle.fork_detached_into(functools.partial(_be_controller, sock, message, fds))
        channel.close_all(fds)


def _be_controller(sock: socket.socket, message: StartController, fds: list[int]) -> NoReturn:
    sock.close()
    run = channel.adopt(fds[0])
    lifecycle.keep_private(run)
    raise ControllerStart(message, run, fds[1:])
