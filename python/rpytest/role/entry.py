"""How a process takes over what the command line has (directory, environment, streams), and how it
tells the exit status when it ends.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, NoReturn

from rpytest import stdlib
from rpytest.ipc import channel
from rpytest.ipc.process_messages import Done
from rpytest.ipc.run_messages import Collecting, Exit
from rpytest.process import lifecycle, random_generators, signal_handlers, takeover
from rpytest.stdlib import contextlib, os, signal, socket
from rpytest.xdist_compat import distribution, xdist_module

__builtins__ = stdlib.BUILTINS


if TYPE_CHECKING:
    from rpytest.ipc.run_messages import RunRequest


def take_over_command_line(request: RunRequest, fds: list[int], conn: socket.socket) -> None:
    """Take over the command line's environment, directory and streams."""
    lifecycle.keep_private(conn)
    random_generators.reseed()
    os.umask(request.umask)
    os.chdir(request.cwd)
    takeover.adopt_environment(request.variables)
    takeover.adopt_streams(fds)
    takeover.adopt_affinity(request.affinity)
    # pytest is not there yet to deal with an interrupt: `Role.run_pytest` lets it in.
    signal_handlers.default_signals(held=(signal.SIGINT,))
    # What the daemon knows of the folders on the path may be long ago.
    importlib.invalidate_caches()
    distribution.install()
    sys.argv = [request.prog, *request.argv]
    # What Python puts on the path: for a console script the folder of the program, for `python -m`
    # the current one, with `-P` and `-I` neither.
    if request.cwd_on_path:
        sys.path.insert(0, os.getcwd())
    elif not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        sys.path.insert(0, os.path.dirname(request.prog))
    xdist_module.install()
    announce_process(conn)


def announce_process(conn: socket.socket) -> None:
    """Tell the command line which process interrupts should go to."""
    pidfd = os.pidfd_open(os.getpid())
    channel.send(conn, Collecting(pid=os.getpid()), [pidfd])
    os.close(pidfd)


def finish_plain(conn: socket.socket, control: socket.socket, status: int) -> NoReturn:
    """End a process in which pytest itself ran: tell the command line its exit status, after
    everything was written.
    """
    lifecycle.run_exit_functions()
    with contextlib.suppress(channel.Closed, OSError):
        channel.send(control, Done())
    with contextlib.suppress(channel.Closed, OSError):
        channel.send(conn, Exit(status=status))
    lifecycle.exit_now(0)
