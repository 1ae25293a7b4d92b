"""The process of a preload: it makes its imports, then forks a session whenever the daemon asks for
one.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from rpytest.ipc import channel
from rpytest.ipc.process_messages import (
    Ended,
    Forked,
    ForkSession,
    ProcessEvent,
    Ready,
    Spoiled,
    Stale,
)
from rpytest.ipc.run_messages import RunRequest
from rpytest.preload.builder import PreloadBuilder
from rpytest.process import lifecycle, signal_handlers, takeover
from rpytest.project.locations import top_level

if TYPE_CHECKING:
    from rpytest.ipc.process_messages import Learned

#: Looked for in the current directory, and opened only if it is there: of matplotlib.
_PROBED = ("matplotlibrc",)


#: `rpytest.session.session.session_main`, which is above all this: the daemon, which knows both,
#: hands it in.
SessionMain = Callable[..., NoReturn]


def preload_main(
    control: socket.socket,
    request: RunRequest,
    learned: Learned,
    failed: dict[str, str],
    session_main: SessionMain,
) -> NoReturn:
    """Entry of the process that the daemon has forked.

    ``request`` is one of the runs that it is for; ``learned`` is what a session has imported:
    ``modules`` and its ``root``. ``session_main`` is what each of its forks becomes.
    """
    lifecycle.keep_private(control)
    os.umask(request.umask)
    os.chdir(request.cwd)
    takeover.adopt_environment(request.variables)
    takeover.adopt_affinity(request.affinity)
    signal_handlers.default_signals()
    signal_handlers.ignore_interrupts()
    sys.argv = [request.prog]
    takeover.adopt_streams(
        [os.open(os.devnull, os.O_RDONLY), *(os.memfd_create("rpytest-output") for _ in range(2))]
    )
    preload = PreloadBuilder(learned, failed, [request.cwd, learned.root])
    preload.make()
    takeover.detach_streams()
    if preload.is_dirty:
        channel.send(control, Spoiled(failed=preload.failed))
        os._exit(0)
    folders = {folder.rstrip(os.sep) for folder in preload.inside}
    preload.dependencies.record_state(preload.modules(), map(os.path.abspath, _PROBED), folders)
    lifecycle.freeze()
    channel.send(
        control,
        Ready(
            packages=sorted(
                {top_level(step.name) for step in preload.owner.values()} - sys.stdlib_module_names
            ),
            modules=len(preload.owner),
            failed=preload.failed,
        ),
    )
    _serve(control, preload, session_main)


def _serve(control: socket.socket, preload: PreloadBuilder, session_main: SessionMain) -> NoReturn:
    """Fork a session whenever the daemon asks for one, until it lets go."""
    children: dict[int, int] = {}
    while True:
        poll = select.poll()
        poll.register(control, select.POLLIN)
        for fd in children:
            poll.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll()}
        for fd in ready & children.keys():
            pid, status = os.waitpid(children.pop(fd), 0)
            os.close(fd)
            _tell(control, Ended(pid=pid, status=status))
        if control.fileno() not in ready:
            continue
        try:
            _, fds = channel.receive(control, ForkSession)
        except (channel.Closed, OSError, ValueError):
            break
        began = time.time_ns()
        reason = preload.dependencies.changed()
        if reason is not None:
            channel.close_all(fds)
            _tell(control, Stale(reason=reason))
            continue

        def be_session(fd: int = fds[0], began: int = began) -> None:
            control.close()
            channel.close_all(list(children))
            _be_session(channel.adopt(fd), preload, began, session_main)

        pid = lifecycle.fork_into(be_session)
        channel.close_all(fds)
        pidfd = os.pidfd_open(pid)
        children[pidfd] = pid
        _tell(control, Forked(pid=pid), [pidfd])
    for pid in children.values():
        os.waitpid(pid, 0)
    os._exit(0)


def _tell(control: socket.socket, message: ProcessEvent, fds: list[int] | None = None) -> None:
    try:
        channel.send(control, message, fds or [])
    except channel.Closed:
        os._exit(0)


def _be_session(
    control: socket.socket, preload: PreloadBuilder, began: int, session_main: SessionMain
) -> NoReturn:
    """Wait for the run in a fork, and be its session."""
    try:
        request, fds = channel.receive(control, RunRequest)
        preload.dependencies.observer.started_ns = began
        session_main(control, channel.adopt(fds[0]), request, fds[1:], True, preload)
    except channel.Closed:
        # The daemon has not waited for this process.
        pass
    except KeyboardInterrupt:
        signal_handlers.die_of_interrupt()
    except BaseException:
        import traceback

        traceback.print_exc()
    os._exit(3)
