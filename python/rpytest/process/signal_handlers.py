"""What signals do in a process, and who deals with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from rpytest import stdlib
from rpytest.process.lifecycle import exit_now
from rpytest.stdlib import os, signal

__builtins__ = stdlib.BUILTINS


def default_signals(held: Iterable[int] = ()) -> None:
    """Give signals the dispositions of a fresh interpreter in the foreground; those that are
    ``held`` wait for `let_interrupts_in`.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, held)


def let_interrupts_in() -> None:
    """Where pytest deals with them: an interrupt that strikes before is not lost, and no traceback
    of ours.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))


def die_of_interrupt() -> NoReturn:
    """End as a program that does not catch Ctrl-C: who has sent it knows what it means."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    os.kill(os.getpid(), signal.SIGINT)
    exit_now(2)


#: What a project does when a child ends, while this process looks after children of ours.
_child_handler: Any = signal.SIG_DFL


def park_child_handler() -> None:
    """Put a project's handler of SIGCHLD aside in a process that waits for children itself: it
    might reap them first, whoever's they are.
    """
    global _child_handler
    handler = signal.getsignal(signal.SIGCHLD)
    # `None` is one that wasn't installed from Python: it could not be put back.
    if handler is not None:
        _child_handler = handler
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def restore_child_handler() -> None:
    """Where a project's code runs again: what :func:`park_child_handler` has put aside."""
    if _child_handler != signal.SIG_DFL:
        signal.signal(signal.SIGCHLD, _child_handler)


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the command line, which tells everybody what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
