"""The beginning and the end of a process: fork, what a fork must not share with its siblings, exit.

The traps are listed in ``docs/design/processes.md``. Everything here runs in a process with one
thread.
"""

from __future__ import annotations

import atexit
import functools
import gc
import sys
import warnings
import weakref
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, cast

from rpytest import stdlib
from rpytest.process import coverage_run, heap, random_generators, random_seeds
from rpytest.stdlib import contextlib, os, select, socket, threading

__builtins__ = stdlib.BUILTINS

_F = TypeVar("_F", bound=Callable[..., object])

#: Callbacks and objects that were registered for the end of another process: kept alive, never
#: called. Dropping the last reference to a generator or an object with ``__del__`` would run the
#: very clean-up that belongs to that process.
_kept: list[object] = []

#: Bound before any project's code runs: a conftest or a test may put something else in its place
#: and never put it back.
_exit = os._exit


def exit_now(status: int) -> NoReturn:
    """End this process at once, as `os._exit` does, which coverage.py would not notice."""
    coverage_run.save()
    _exit(status)


#: Sockets on whose end of file another process waits.
_private: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_is_own_fork = False
_is_foreign = False


def keep_alive(*objects: object) -> None:
    """Never drop these in this process, nor in a fork of it."""
    _kept.append(objects)


def keep_private(*sockets: socket.socket) -> None:
    """Close these sockets in every fork that is not one of ours.

    A child that a test or a conftest forks may outlive the run; holding the sockets, it would keep
    the command line waiting for their end.
    """
    _private.update(sockets)


class BackToPytest(BaseException):
    """Raised in a process that was forked while pytest ran further up: pytest goes on in it.

    Each kind is caught in one place, where pytest has called us. Not an `Exception`: nobody in
    between is to take it for an error.
    """


def fork_into(main: Callable[[], object]) -> int:
    """Fork a process that does ``main``, which ends it or raises :class:`BackToPytest`.

    Returns its process id, and only in the process that has called it. It is one of rpytest's own:
    ``main`` says itself what it lets go of.
    """
    pid = _fork()
    if pid == 0:
        _end_in(main)
    return pid


def fork_detached_into(main: Callable[[], object]) -> None:
    """:func:`fork_into` a process that is nobody's child: code that waits for all its children must
    not wait for this one.

    Raises `OSError` if there can't be another process.
    """

    def in_between() -> None:
        try:
            fork_into(main)
        except OSError:
            exit_now(1)
        exit_now(0)

    pid = fork_into(in_between)
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        # A handler of the project's for SIGCHLD was first; if nothing was forked, its end of the
        # socket is closed.
        status = 0
    if status != 0:
        raise BlockingIOError("no process could be forked")


def _end_in(main: Callable[[], object]) -> NoReturn:
    try:
        main()
    except BackToPytest:
        raise
    except BaseException:
        # The exception must not reach pytest, which runs further up in this process, and neither
        # must another one that is raised because the terminal is gone.
        with contextlib.suppress(BaseException):
            import traceback

            traceback.print_exc()
    exit_now(3)


def _fork() -> int:
    """`os.fork`: the only function that returns in two processes."""
    global _is_own_fork
    random_state = random_seeds.state()
    _is_own_fork = True
    # gevent's makes its hub anew in the forked process.
    current: Any = sys.modules["os"].fork
    call = current if str(getattr(current, "__module__", "")).startswith("gevent") else os.fork
    try:
        if not _has_threads():
            pid = call()
        else:
            with warnings.catch_warnings():
                # Python 3.12 and later warn of threads, those of C libraries included: whoever
                # forks here has looked at which there are.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = call()
    finally:
        _is_own_fork = False
    if pid == 0:
        random_seeds.restore(random_state)
    return pid


def _has_threads() -> bool:
    try:
        return len(os.listdir("/proc/self/task")) > 1
    except OSError:
        return True


def pause(seconds: float) -> None:
    """Wait, without a look at the clock.

    `time.sleep` waits until a moment of the monotonic clock, from Python 3.11 on. Under a clock
    that jumps (``libfaketime`` in the environment of a run) that moment may never come. Who waits
    for a limited time counts such pauses, for the same reason: a frozen clock never says that it is
    over.
    """
    select.select([], [], [], seconds)


def is_own_fork() -> bool:
    """Whether rpytest itself is forking right now."""
    return _is_own_fork


def is_foreign() -> bool:
    """Whether this process was forked by a test or a conftest, and not by rpytest."""
    return _is_foreign


def _leave_tree() -> None:
    global _is_foreign
    if not _is_own_fork:
        _is_foreign = True
        for sock in list(_private):
            sock.close()


os.register_at_fork(after_in_child=_leave_tree)


def remember_exit_functions() -> None:
    """Make `atexit.register` keep a reference of its own, so that forks can disarm callbacks
    without dropping them.
    """
    original = atexit.register

    def register(func: _F, /, *args: Any, **kwargs: Any) -> _F:
        _kept.append((func, args, kwargs))
        original(func, *args, **kwargs)
        return func

    replacement: Any = register
    functools.update_wrapper(replacement, cast("Any", original))
    atexit.register = replacement


def flush_streams() -> None:
    """Flush `sys.stdout` and `sys.stderr`; a closed or broken stream is nobody's problem here."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def forget_inherited_cleanups() -> None:
    """Make this fork forget every clean-up that another process has to do; what it registers from
    now on is its own.
    """
    atexit._clear()
    # Absent in some builds, renamed in others: then there is nothing to disarm.
    registry: dict[Any, Any] = getattr(weakref.finalize, "_registry", {})
    _kept.extend(finalizer.detach() for finalizer in list(registry))
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    for name in ("multiprocessing.util", "multiprocessing.process"):
        module = sys.modules.get(name)
        if module is None:
            continue
        for attribute in ("_finalizer_registry", "_children"):
            held = getattr(module, attribute, None)
            if held:
                _kept.append(held.copy())
                held.clear()
    tracker: Any = sys.modules.get("multiprocessing.resource_tracker")
    if tracker is not None:
        # The tracker's pipe and process belong to the parent; a fresh tracker starts when this
        # process needs one.
        _kept.append(tracker._resource_tracker)
        fresh = tracker.ResourceTracker()
        tracker._resource_tracker = fresh
        for name in ("ensure_running", "register", "unregister", "getfd"):
            setattr(tracker, name, getattr(fresh, name))
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None and not random_seeds.is_seeded("numpy.random"):
        # CPython reseeds `random` in a forked child; numpy does not reseed its global state.
        with contextlib.suppress(Exception):
            numpy_random.seed()
    random_generators.reseed()


def run_exit_functions() -> None:
    """Do what the end of the interpreter would do, for what this process itself has registered."""
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        with contextlib.suppress(BaseException):
            util._exit_function()
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    # A worker that has said goodbye may be killed.
    coverage_run.save()
    flush_streams()


def freeze() -> None:
    """Move everything alive out of the collector's reach, so that its marks don't unshare the pages
    of forks.
    """
    gc.collect()
    heap.freeze()
