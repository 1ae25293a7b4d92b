"""How a process takes over what the command line has (directory, environment, streams), and how it tells the exit status when it ends."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, NoReturn

from rpytest import _distribution, _generators, _process, _real, _wire, _xdist
from rpytest._real import contextlib, os, signal, socket

__builtins__ = _real.BUILTINS


if TYPE_CHECKING:
    from rpytest._wire import Message


def enter(request: Message, fds: list[int], conn: socket.socket) -> None:
    """Take over the command line's environment, directory and streams."""
    _process.keep_private(conn)
    _generators.reseed()
    os.umask(int(request["umask"]))
    os.chdir(request["cwd"])
    _process.adopt_environment(request["env"])
    _process.adopt_streams(fds)
    _process.adopt_affinity(request["affinity"])
    # pytest is not there yet to deal with an interrupt: `Role.run_pytest` lets it in.
    _process.default_signals(held=(signal.SIGINT,))
    # What the daemon knows of the folders on the path may be long ago.
    importlib.invalidate_caches()
    _distribution.install()
    sys.argv = [request["prog"], *request["argv"]]
    # As for a console script: the folder of the program; as for `python -m`: the current one; neither with `-P` and `-I`.
    if request.get("cwd_on_path"):
        sys.path.insert(0, os.getcwd())
    elif not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        sys.path.insert(0, os.path.dirname(request["prog"]))
    _xdist.install()
    announce_process(conn, "collecting")


def announce_process(conn: socket.socket, event: str) -> None:
    """Tell the command line which process interrupts should go to."""
    pidfd = os.pidfd_open(os.getpid())
    _wire.send(conn, {"ev": event, "pid": os.getpid()}, [pidfd])
    os.close(pidfd)


def finish_plain(conn: socket.socket, control: socket.socket, status: int) -> NoReturn:
    """End a process in which pytest itself ran: tell the command line its exit status, after everything was written."""
    _process.run_exit_functions()
    with contextlib.suppress(_wire.Closed, OSError):
        _wire.send(control, {"ev": "done"})
    with contextlib.suppress(_wire.Closed, OSError):
        _wire.send(conn, {"ev": "exit", "status": status, "out": "", "err": ""})
    _process.leave(0)
