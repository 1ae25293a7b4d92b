"""The end of a process: what was registered for it runs, an interrupt ends what does not return,
and the user hears what that is.
"""

from __future__ import annotations

import _thread
import atexit
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from rpytest import stdlib
from rpytest.ipc import channel
from rpytest.ipc.run_messages import HostRequest, Interrupt
from rpytest.process import inspection, lifecycle
from rpytest.project.locations import PACKAGE
from rpytest.stdlib import contextlib, os, select, signal, socket, threading

__builtins__ = stdlib.BUILTINS

#: Milliseconds after which it is told what is waited for.
PATIENCE = 3_000

#: Milliseconds that are left when the command line does not wait any longer, after an interrupt.
_LAST_MOMENTS = 10_000

#: Modules whose functions only call, or wait for, what is meant.
_PASSING = (
    "weakref",
    "atexit",
    "contextlib",
    "multiprocessing.util",
    "multiprocessing.process",
    "multiprocessing.popen_fork",
    "multiprocessing.connection",
    "selectors",
)

_Tell = Callable[[str], None]


class _Interrupt:
    """Lets SIGINT raise `KeyboardInterrupt` as long as functions run that are not ours, and nowhere
    else.
    """

    def __init__(self) -> None:
        self._is_open = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_open:
            raise KeyboardInterrupt

    def run(self) -> None:
        """What the end of the interpreter would do; each interrupt ends one of its parts, as it
        does there.
        """
        try:
            with contextlib.suppress(BaseException):
                self._is_open = True
                lifecycle.run_exit_functions()
                self._is_open = False
        finally:
            self._is_open = False


def run_exit_functions(tell: _Tell, conn: socket.socket | None = None) -> None:
    """Run what this process has registered for its end.

    ``tell`` is called, from another thread, with a text on what has not returned after a while.
    ``conn``: the host's connection, by which interrupts come; when it ends while something does not
    return, so does this process.
    """
    interrupt = _Interrupt()
    signal.signal(signal.SIGINT, interrupt)
    watcher = _Watcher(tell, conn) if _may_wait() else None
    try:
        interrupt.run()
    finally:
        # From here an interrupt would only spoil what is finished.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if watcher is not None:
            watcher.stop()


def _may_wait() -> bool:
    """Whether anything runs that could take long. Most processes have nothing, and need no thread
    to watch it.
    """
    multiprocessing: Any = sys.modules.get("multiprocessing.process")
    return (
        atexit._ncallbacks() > 0
        or bool(inspection.python_threads())
        or bool(multiprocessing is not None and multiprocessing._children)
    )


class _Watcher:
    """Another thread: the first one may be anywhere."""

    def __init__(self, tell: _Tell, conn: socket.socket | None) -> None:
        self._tell = tell
        self._conn = conn
        self._waited_for, self._stopping = os.pipe2(os.O_CLOEXEC)
        self._ended = _thread.allocate_lock()
        self._ended.acquire()
        self._main = threading.get_ident()
        # A `threading.Thread` would be found among those that are waited for.
        try:
            _thread.start_new_thread(self._watch, ())
        except RuntimeError:
            # No thread can be started.
            self._ended.release()

    def stop(self) -> None:
        """Return when the thread has ended."""
        os.write(self._stopping, b"x")
        self._ended.acquire()
        os.close(self._stopping)
        os.close(self._waited_for)

    def _watch(self) -> None:
        try:
            self._wait()
        except BaseException:
            # Nothing that goes wrong here is worth more than the end itself.
            pass
        finally:
            self._ended.release()

    def _wait(self) -> None:
        has_told = False
        poll = select.poll()
        poll.register(self._waited_for, select.POLLIN)
        if self._conn is not None:
            poll.register(self._conn, select.POLLIN)
        while True:
            # Without a look at the clock, which a test may have stopped.
            ready = {fd for fd, _ in poll.poll(None if has_told else PATIENCE)}
            if self._waited_for in ready:
                return
            if self._conn is not None and self._conn.fileno() in ready:
                self._hear(self._conn)
            if not has_told and not ready:
                has_told = True
                self._tell(waited_for(self._main))

    def _stops_within(self, milliseconds: int) -> bool:
        poll = select.poll()
        poll.register(self._waited_for, select.POLLIN)
        return bool(poll.poll(milliseconds))

    def _hear(self, conn: socket.socket) -> None:
        try:
            message, fds = channel.receive(conn, HostRequest, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except (channel.Closed, OSError, ValueError):
            # The command line has waited long enough. Whoever else is to do something at the end
            # may, for a while.
            signal.pthread_kill(self._main, signal.SIGINT)
            if not self._stops_within(_LAST_MOMENTS):
                lifecycle.exit_now(1)
            return
        channel.close_all(fds)
        if isinstance(message, Interrupt):
            signal.pthread_kill(self._main, signal.SIGINT)


def waited_for(main: int) -> str:
    """What a process waits for whose first thread (by its number) runs exit functions."""
    frame = sys._current_frames().get(main)
    stack: list[FrameType] = []
    while frame is not None:
        stack.append(frame)
        frame = frame.f_back
    if any(each.f_code is getattr(threading._shutdown, "__code__", None) for each in stack):  # type: ignore[attr-defined]
        return _threads()
    for each in reversed(stack[: _depth(stack)]):
        if each.f_globals.get("__name__", "") not in _PASSING:
            return f"the exit function {_place(each)}, which is at {_line(stack[0])}"
    children: Any = sys.modules.get("multiprocessing.process")
    names = [child.name for child in getattr(children, "_children", ())]
    if names:
        return f"child processes of multiprocessing: {', '.join(sorted(names))}"
    return f"what was registered for its end; it is at {_line(stack[0])}" if stack else "something"


def _depth(stack: list[FrameType]) -> int:
    """How many frames, the innermost first, are not ours."""
    return next(
        (at for at, frame in enumerate(stack) if frame.f_code.co_filename.startswith(PACKAGE)),
        len(stack),
    )


def _threads() -> str:
    current = sys._current_frames()
    parts = []
    for thread in threading.enumerate():
        if thread is threading.main_thread() or thread.daemon or not thread.is_alive():
            continue
        frame = current.get(thread.ident or 0)
        parts.append(
            f"`{thread.name}`" + (f", which is at {_line(frame)}" if frame is not None else "")
        )
    return f"the thread {' and '.join(parts)}" if parts else "a thread"


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return (
        f"`{getattr(code, 'co_qualname', code.co_name)}` "
        f"({_shown(code.co_filename)}:{code.co_firstlineno})"
    )


def _line(frame: FrameType) -> str:
    code = frame.f_code
    return f"{_shown(code.co_filename)}:{frame.f_lineno} in `{code.co_name}`"


def _shown(path: str) -> str:
    with contextlib.suppress(OSError, ValueError):
        relative = os.path.relpath(path)
        if not relative.startswith(os.pardir):
            return relative
    return path
