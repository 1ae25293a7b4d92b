"""What a forked process takes over from the command line: streams, environment, processors."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rpytest import stdlib
from rpytest.process.lifecycle import flush_streams, keep_alive
from rpytest.stdlib import contextlib, io, os, time

__builtins__ = stdlib.BUILTINS

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


def adopt_streams(fds: Sequence[int]) -> None:
    """Make ``fds`` this process's standard input, output and error, and close them."""
    for target, fd in enumerate(fds):
        os.dup2(fd, target, inheritable=True)
    for fd in fds:
        if fd > 2:
            os.close(fd)
    _rebuild_streams()


def detach_streams() -> None:
    """Point the standard streams at ``/dev/null``: a kept process must not hold a terminal or a
    pipe of a run that has ended.
    """
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
    # The old objects stay referenced (somebody may hold them) but must not close the descriptors
    # when they are collected.
    encoding = "utf-8" if sys.flags.utf8_mode else None
    errors = getattr(sys.__stdout__, "errors", None) or "strict"
    keep_alive(sys.stdin, sys.stdout, sys.stderr)
    named = os.environ.get("PYTHONIOENCODING", "").partition(":")
    if named[0]:
        encoding = named[0]
    if named[2]:
        errors = named[2]
    with contextlib.suppress(OSError):
        sys.stdin = sys.__stdin__ = open(0, encoding=encoding, closefd=False)  # type: ignore[misc] # noqa: SIM115
    # A line is shown when it is complete, into a pipe, too: a worker may die in the test that has
    # written it, and the lines of several workers are not to wait for each other. pytest-xdist's
    # workers (execnet's) do that as well. Files in memory are nobody's to look at.
    unbuffered = is_unbuffered()
    raw = open(1, "wb", buffering=0 if unbuffered else -1, closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(  # type: ignore[misc]
        raw, encoding=encoding, errors=errors, line_buffering=True, write_through=unbuffered
    )
    raw = open(2, "wb", buffering=0 if unbuffered else -1, closefd=False)  # noqa: SIM115
    stderr = io.TextIOWrapper(
        raw,
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=True,
        write_through=unbuffered,
    )
    sys.stderr = sys.__stderr__ = stderr  # type: ignore[misc]


def is_unbuffered() -> bool:
    """Whether the environment asks for standard streams without a buffer, as Python does at its
    start.
    """
    return bool(os.environ.get("PYTHONUNBUFFERED")) and not sys.flags.ignore_environment


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
