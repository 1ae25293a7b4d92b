"""Fixtures of every scope, and the witness: workers that say what they are doing, and that
sometimes kill themselves.

Each worker maps a file of its own, in which its last words stand after its death: see
`tests/kill/witness.py`, the reader. A worker that draws a ticket kills itself with SIGKILL at that
very place, or is killed by a timer of the kernel a random time later. All of this is the project's
doing: the workers are rpytest's own, unchanged.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = os.environ.get("KILL_FOLDER")

# -- fixtures


@pytest.fixture(scope="session")
def session_value() -> Iterator[str]:
    yield f"session {os.getpid()}"


@pytest.fixture(scope="module")
def module_value(request: pytest.FixtureRequest) -> Iterator[str]:
    yield f"module {request.module.__name__} {os.getpid()}"


@pytest.fixture(scope="class")
def class_value(request: pytest.FixtureRequest) -> Iterator[str]:
    yield f"class {request.cls.__name__} {os.getpid()}"


# -- what a worker says of itself

# Layout of a worker's file; the same numbers stand in witness.py.
PHASE, IN_FLIGHT, PUSHES, NODEID, LENGTH = 0, 1, 4, 16, 512
FREE, RUNNING, EITHER = b"\0", b"\1", b"\2"

_mapped: mmap.mmap | None = None
_births = 0
_random = random.Random()
_libc = ctypes.CDLL(None, use_errno=True)


def _open(incarnated: bool) -> mmap.mmap:
    global _mapped
    if _mapped is None:
        kind = "next" if incarnated else "first"
        with Path(FOLDER or "", "state", f"{kind}-{os.getpid()}").open("w+b") as file:
            file.truncate(LENGTH)
            _mapped = mmap.mmap(file.fileno(), LENGTH)
        _mapped[PHASE : PHASE + 1] = b"r"
        _random.seed(os.urandom(8))
    return _mapped


def _set(place: int, value: bytes) -> None:
    if _mapped is not None:
        _mapped[place : place + 1] = value


def _draw(kind: str, chance: float) -> bool:
    """Whether this process has drawn one of the tickets of that kind."""
    if _random.random() >= chance:
        return False
    tickets = Path(FOLDER or "", "tickets")
    for ticket in tickets.glob(f"{kind}-*"):
        try:
            # Only one process can take it.
            ticket.rename(Path(FOLDER or "", "used", f"{ticket.name}-{os.getpid()}"))
        except OSError:
            continue
        return True
    return False


def _maybe_die(kind: str, chance: float) -> None:
    if _mapped is not None and _draw(kind, chance):
        os.kill(os.getpid(), signal.SIGKILL)


class _SigEvent(ctypes.Structure):
    _fields_ = [
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * 48),
    ]


class Bomb:
    """A timer of the kernel that kills this process with SIGKILL, wherever it is by then."""

    def __init__(self) -> None:
        self._timer = ctypes.c_void_p()
        event = _SigEvent(None, signal.SIGKILL, 0, b"")
        if _libc.timer_create(1, ctypes.byref(event), ctypes.byref(self._timer)):
            raise OSError(ctypes.get_errno(), "timer_create")

    def set(self, nanoseconds: int) -> None:
        """Go off then; 0: don't."""
        spec = struct.pack("4l", 0, 0, nanoseconds // 1_000_000_000, nanoseconds % 1_000_000_000)
        if _libc.timer_settime(self._timer, 0, spec, None):
            raise OSError(ctypes.get_errno(), "timer_settime")


_bomb: Bomb | None = None


def _forks_a_worker() -> bool:
    """Whether the fork that is going on is a host's for a worker. There are others: hosts
    themselves, controllers.
    """
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") != "rpytest.process.lifecycle":
        frame = frame.f_back
    while frame is not None and frame.f_globals.get("__name__") == "rpytest.process.lifecycle":
        frame = frame.f_back
    # Not any frame further up: a worker without a session, whose own host's these are, forks the
    # process that answers.
    return (
        frame is not None
        and frame.f_code.co_name == "_spawn"
        and frame.f_globals.get("__name__") == "rpytest.host.host"
    )


def _in_host() -> None:
    global _births
    if _forks_a_worker():
        _births += 1


def _in_child() -> None:
    global _bomb
    if _forks_a_worker():
        incarnated = _births > int(os.environ["KILL_WORKERS"])
        _open(incarnated)
        if incarnated:
            _maybe_die("respawn", 0.15)
            if _draw("respawn", 0.15):
                _bomb = Bomb()
                _bomb.set(_random.randrange(1, 3_000_000))


if FOLDER:
    os.register_at_fork(before=_in_host, after_in_child=_in_child)


class Tap:
    """Stands before the native worker."""

    def __init__(self, native: Any, bodies: Any) -> None:
        self.native = native
        self.items = bodies
        self.stopped = native.stopped
        self.stop = native.stop
        self.counters = native.counters
        self.idle = native.idle
        self.set_fork_cost = native.set_fork_cost
        self.bomb = Bomb()
        self.pushes = 0

    def claim(self) -> int:
        stolen = self.native.counters()[1]
        _set(PHASE, b"x" if stolen else b"q")
        if stolen:
            _maybe_die("stealing", 0.1)
        test: int = self.native.claim()
        if self.native.counters()[1] != stolen:
            _set(PHASE, b"x")
            _maybe_die("stealing", 0.2)
        if test < 0 and _mapped is not None and _mapped[IN_FLIGHT : IN_FLIGHT + 1] == FREE:
            _set(PHASE, b"g")
        return test

    def linger(self) -> int:
        _set(PHASE, b"g")
        test: int = self.native.linger()
        if test >= 0:
            _set(PHASE, b"q")
        return test

    def begin(self, test: int) -> None:
        assert _mapped is not None
        _set(IN_FLIGHT, EITHER)
        nodeid = self.items[test].nodeid.encode()
        _mapped[NODEID : NODEID + len(nodeid) + 1] = nodeid + b"\0"
        self.native.begin(test)
        _set(PHASE, b"s")
        _set(IN_FLIGHT, RUNNING)

    def phase(self, phase: int) -> None:
        self.native.phase(phase)
        _set(PHASE, b"sct"[phase : phase + 1])

    def push(self, kind: int, flags: int, test: int, body: bytes, urgent: bool) -> None:
        if kind != 1:
            self.native.push(kind, flags, test, body, urgent)
            _set(PHASE, b"z" if kind == 2 else b"g")
            return
        assert _mapped is not None
        _maybe_die("commit", 0.01)
        _set(IN_FLIGHT, EITHER)
        _set(PHASE, b"p")
        self.pushes += 1
        struct.pack_into("<I", _mapped, PUSHES, self.pushes)
        bomb = _draw("torn", 0.05)
        if bomb:
            # Copying and checking takes about as long as this: the record is then torn, or not yet
            # or just committed.
            self.bomb.set(_random.randrange(1, 2_000 + 3 * len(body)))
        self.native.push(kind, flags, test, body, urgent)
        if bomb:
            self.bomb.set(0)
            tickets = Path(FOLDER or "", "tickets")
            # Not hit: somebody else may try.
            for used in Path(FOLDER or "", "used").glob(f"torn-*-{os.getpid()}"):
                used.rename(tickets / used.name.rpartition("-")[0])
        _set(PHASE, b"a")
        _set(IN_FLIGHT, FREE)
        _maybe_die("commit", 0.01)


def pytest_plugin_registered(plugin: object) -> None:
    """A worker registers itself when it is about to run tests."""
    worker: Any = plugin
    if (
        FOLDER
        and type(plugin).__module__ == "rpytest.worker.worker"
        and type(plugin).__name__ == "Worker"
    ):
        _open(worker.spec.incarnation > 0)
        if _bomb is not None:
            _bomb.set(0)
        worker.native = Tap(worker.native, worker.session.items)
        _set(PHASE, b"q")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    _maybe_die("setup", 0.01)
    yield
    _maybe_die("setup", 0.01)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    _maybe_die("call", 0.01)
    yield
    _maybe_die("call", 0.01)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    _maybe_die("teardown", 0.01)
    yield
    _maybe_die("teardown", 0.01)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_logfinish() -> Iterator[None]:
    yield
    # All phases are over, the record is not yet made.
    _set(PHASE, b"e")


if sys.platform != "linux":
    raise RuntimeError("this project kills itself by Linux' means")
