"""What a forked process takes over from the command line, and what it must not share with its siblings.

The traps are listed in ``docs/design/processes.md``. Everything here runs in a process with one thread, right after `os.fork`.
"""

from __future__ import annotations

import atexit
import functools
import gc
import sys
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar, cast

from rpytest import stdlib
from rpytest.process import coverage_run, heap, random_generators, random_seeds
from rpytest.stdlib import contextlib, io, os, select, signal, socket, threading, time

__builtins__ = stdlib.BUILTINS

_F = TypeVar("_F", bound=Callable[..., object])

#: Callbacks and objects that were registered for the end of another process: kept alive, never called. Dropping the last
#: reference to a generator or an object with ``__del__`` would run the very clean-up that belongs to that process.
_kept: list[object] = []

#: Bound before any project's code runs: a conftest or a test may put something else in its place and never put it back.
_exit = os._exit


def leave(status: int) -> NoReturn:
    """End this process at once, as `os._exit` does, which coverage.py would not notice."""
    coverage_run.save()
    _exit(status)


#: Environment variables that differ between two shells and change nothing that a test run reads.
NOISE = frozenset(
    {
        "SHLVL",
        "_",
        "OLDPWD",
        "WINDOWID",
        "TERM_SESSION_ID",
        "SHELL_SESSION_ID",
        "TMUX_PANE",
        "STY",
        "SSH_CLIENT",
        "SSH_CONNECTION",
        "SSH_TTY",
        "LINES",
    }
)


#: Sockets on whose end of file another process waits.
_private: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_is_own_fork = False
_is_foreign = False


def keep_private(*sockets: socket.socket) -> None:
    """Close these sockets in every fork that is not one of ours.

    A child that a test or a conftest forks may outlive the run; holding the sockets, it would keep the command line waiting for their end.
    """
    _private.update(sockets)


def fork() -> int:
    """`os.fork` for rpytest's own processes, which say themselves what they let go of."""
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
                # Python 3.12 and later warn of threads, those of C libraries included: whoever forks here has looked at which there are.
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

    `time.sleep` waits until a moment of the monotonic clock, from Python 3.11 on. Under a clock that jumps (``libfaketime`` in the environment of a
    run) that moment may never come. Who waits for a limited time counts such pauses, for the same reason: a frozen clock never says that it is over.
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
    """Make `atexit.register` keep a reference of its own, so that forks can disarm callbacks without dropping them."""
    original = atexit.register

    def register(func: _F, /, *args: Any, **kwargs: Any) -> _F:
        _kept.append((func, args, kwargs))
        original(func, *args, **kwargs)
        return func

    replacement: Any = register
    functools.update_wrapper(replacement, cast("Any", original))
    atexit.register = replacement


def adopt_streams(fds: Sequence[int]) -> None:
    """Make ``fds`` this process's standard input, output and error, and close them."""
    for target, fd in enumerate(fds):
        os.dup2(fd, target, inheritable=True)
    for fd in fds:
        if fd > 2:
            os.close(fd)
    _rebuild_streams()


def detach_streams() -> None:
    """Point the standard streams at ``/dev/null``: a kept process must not hold a terminal or a pipe of a run that has ended."""
    flush_streams()
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for target in range(3):
        os.dup2(null, target, inheritable=True)
    if null > 2:
        os.close(null)
    _rebuild_streams()


def detach_input() -> None:
    """Let standard input be empty: several workers can't share it."""
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0, inheritable=True)
    os.close(null)


def _rebuild_streams() -> None:
    # The old objects stay referenced (somebody may hold them) but must not close the descriptors when they are collected.
    encoding = "utf-8" if sys.flags.utf8_mode else None
    errors = getattr(sys.__stdout__, "errors", None) or "strict"
    _kept.append((sys.stdin, sys.stdout, sys.stderr))
    named = os.environ.get("PYTHONIOENCODING", "").partition(":")
    if named[0]:
        encoding = named[0]
    if named[2]:
        errors = named[2]
    with contextlib.suppress(OSError):
        sys.stdin = sys.__stdin__ = open(0, encoding=encoding, closefd=False)  # type: ignore[misc] # noqa: SIM115
    # A line is shown when it is complete, into a pipe, too: a worker may die in the test that has written it, and the lines of several
    # workers are not to wait for each other. pytest-xdist's workers (execnet's) do that as well. Files in memory are nobody's to look at.
    unbuffered = is_unbuffered()
    raw = open(1, "wb", buffering=0 if unbuffered else -1, closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(  # type: ignore[misc]
        raw, encoding=encoding, errors=errors, line_buffering=True, write_through=unbuffered
    )
    raw = open(2, "wb", buffering=0 if unbuffered else -1, closefd=False)  # noqa: SIM115
    stderr = io.TextIOWrapper(
        raw, encoding=encoding, errors="backslashreplace", line_buffering=True, write_through=unbuffered
    )
    sys.stderr = sys.__stderr__ = stderr  # type: ignore[misc]


def is_unbuffered() -> bool:
    """Whether the environment asks for standard streams without a buffer, as Python does at its start."""
    return bool(os.environ.get("PYTHONUNBUFFERED")) and not sys.flags.ignore_environment


def flush_streams() -> None:
    """Flush `sys.stdout` and `sys.stderr`; a closed or broken stream is nobody's problem here."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def adopt_environment(environment: Mapping[str, str]) -> None:
    """Make `os.environ` equal to ``environment``, touching only what differs."""
    for name in [name for name in os.environ if name not in environment]:
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    time.tzset()


def adopt_noise(environment: Mapping[str, str]) -> None:
    """Take over the variables that may differ between two runs of one session."""
    for name in NOISE:
        if name in environment:
            os.environ[name] = environment[name]
        else:
            os.environ.pop(name, None)


def adopt_affinity(cpus: Sequence[int]) -> None:
    """Run on the processors that the command line may run on; a refusal is not an error."""
    with contextlib.suppress(OSError, ValueError):
        os.sched_setaffinity(0, cpus)


def default_signals(held: Iterable[int] = ()) -> None:
    """Give signals the dispositions of a fresh interpreter in the foreground; those that are ``held`` wait for `let_interrupts_in`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, held)


def let_interrupts_in() -> None:
    """Where pytest deals with them: an interrupt that strikes before is not lost, and no traceback of ours."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))


def die_of_interrupt() -> NoReturn:
    """End as a program that does not catch Ctrl-C: who has sent it knows what it means."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    os.kill(os.getpid(), signal.SIGINT)
    leave(2)


#: What a project does when a child ends, while this process looks after children of ours.
_child_handler: Any = signal.SIG_DFL


def park_child_handler() -> None:
    """Put a project's handler of SIGCHLD aside in a process that waits for children itself: it might reap them first, whoever's they are."""
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


def disarm_inherited() -> None:
    """Make this fork forget every clean-up that another process has to do; what it registers from now on is its own."""
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
        # Its pipe and process belong to the parent; a fresh tracker starts when this process needs one.
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
    """Move everything alive out of the collector's reach, so that its marks don't unshare the pages of forks."""
    gc.collect()
    heap.freeze()
