"""Which session serves a run, as far as none has to be started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rpytest.daemon import assignment, eviction
from rpytest.daemon.assignment import Assignment
from rpytest.daemon.entries import (
    Environment,
    Line,
    PendingRun,
    SessionEntry,
    base_key,
    session_key,
)
from rpytest.ipc import channel
from rpytest.ipc.process_messages import Info
from rpytest.ipc.run_messages import RunRequest, Tty
from rpytest.process.inspection import is_stopped
from support.processes import wait_until


def request(**fields: Any) -> RunRequest:
    needed = {
        "protocol": 2,
        "build": "",
        "argv": ["-n2"],
        "cwd": "/p",
        "env_key": "",
        "prog": "",
        "umask": 0,
        "affinity": [],
        "preload": False,
    }
    return RunRequest(**{**needed, **fields})


class Daemon:
    """An assignment whose daemon can't fork, and the other ends of all connections."""

    def __init__(self, stack: contextlib.ExitStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.forgotten: list[int] = []
        self.dropped: list[tuple[Any, str]] = []
        preloads: Any = SimpleNamespace(
            status_of=lambda *_: None,
            processes={},
            forget=self.forgotten.append,
            drop=lambda *what: self.dropped.append(what),
        )
        self.sessions = Assignment(self.no_fork, preloads, is_kept=True)

    def no_fork(self, *_: object) -> int:
        raise AssertionError("a session is started")

    def pair(self) -> tuple[socket.socket, socket.socket]:
        ours, theirs = channel.pair()
        self.stack.callback(ours.close)
        self.stack.callback(theirs.close)
        return ours, theirs

    def run(self, wanted: RunRequest | None = None) -> tuple[PendingRun, socket.socket]:
        """A run, and the command line's end of its connection."""
        ours, theirs = self.pair()
        environment = Environment(channel.memfd("environment", b'{"A": "1"}'))
        pending = PendingRun(wanted or request(), ours, [], environment)
        self.stack.callback(environment.close)
        return pending, theirs

    def session(self, pid: int, **fields: Any) -> tuple[SessionEntry, socket.socket]:
        """A warm session, and its own end of the connection."""
        ours, theirs = self.pair()
        info = fields.pop("info", Info(tests=fields.pop("tests", 0), root="/p"))
        entry = SessionEntry(
            fields.pop("key", ""), pid, -1, ours, 0.0, None, info=info, number=pid, **fields
        )
        self.sessions.entries[ours.fileno()] = entry
        return entry, theirs


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with contextlib.ExitStack() as stack:
        yield Daemon(stack, tmp_path)


def served(session: socket.socket) -> tuple[RunRequest, int]:
    """What a session was given, and with how many descriptors."""
    message, fds = channel.receive(session, RunRequest, socket.MSG_DONTWAIT)
    channel.close_all(fds)
    return message, len(fds)


@pytest.mark.parametrize("at", [None, -1, 1, 5])
def test_a_run_has_its_environment_with_it(daemon: Daemon, at: int | None) -> None:
    ours, _ = daemon.pair()
    with pytest.raises(ValueError, match="without its environment"):
        daemon.sessions.take(request(env_at=at), ours, [0])


def test_a_session_of_the_same_command_line_gets_it(daemon: Daemon) -> None:
    wanted = request()
    _, other = daemon.session(1, key=session_key(request(argv=["-n3"])))
    entry, session = daemon.session(2, key=session_key(wanted))
    ours, _ = daemon.pair()
    fds = [os.open(os.devnull, os.O_RDONLY), channel.memfd("environment", b'{"A": "1"}')]
    daemon.sessions.take(wanted.replace(env_at=1, memory_limit=99), ours, fds)
    message, count = served(session)
    assert message.argv == ["-n2"]
    assert message.variables == {"A": "1"}
    # The connection and one stream; the environment was read.
    assert count == 2
    assert not channel.has_message(other)
    assert entry.used > 0
    assert daemon.sessions.memory_limit == 99
    assert daemon.sessions.is_busy()
    (pending,) = daemon.sessions.unaccepted()
    assert entry.sent is pending
    pending.close()
    pending.environment.close()


def test_a_session_gets_one_run_after_the_other(daemon: Daemon) -> None:
    entry: Any
    entry, session = daemon.session(1, key=session_key(request()))
    runs = [daemon.run(request(build=name))[0] for name in ("first", "second")]
    for run in runs:
        daemon.sessions._run(run)
    assert served(session)[0].build == "first"
    assert not channel.has_message(session)
    # It has said that it has the first one.
    entry.pending.remove(runs[0])
    entry.sent = None
    daemon.sessions._pass_on(entry)
    assert served(session)[0].build == "second"
    assert entry.sent is runs[1]
    assert daemon.sessions.unaccepted() == [runs[1]]


def test_a_session_that_is_broken(daemon: Daemon) -> None:
    """It is noticed where its end is; the run is not lost before."""
    entry, session = daemon.session(1, key=session_key(request()))
    session.close()
    run, _ = daemon.run()
    daemon.sessions._run(run)
    assert entry.pending == [run]


def test_what_makes_another_session() -> None:
    """Its arguments and how wide the terminal is; for a checkpoint, whether there is one."""
    plain, wide, narrow = (
        request(tty=tty)
        for tty in (None, Tty(stdout=True, columns=80), Tty(stdout=True, columns=79))
    )
    assert len({session_key(each) for each in (plain, wide, narrow)}) == 3
    assert base_key(wide) == base_key(narrow) != base_key(plain)
    assert base_key(plain) == base_key(request(tty=Tty(stdout=False)))
    assert base_key(plain) == base_key(request(argv=["-k", "x"]))
    assert session_key(request(argv=["a b"])) != session_key(request(argv=["a", "b"]))
    for fields in (
        {"cwd": "/q"},
        {"env_key": "x"},
        {"umask": 1},
        {"cpus": 2},
        {"default_workers": "2"},
        {"start_method": "bare"},
        {"cwd_on_path": True},
        {"prog": "x"},
        {"preload": True},
    ):
        assert base_key(request(**fields)) != base_key(request())
    # What each run has for itself.
    for fields in ({"build": "x"}, {"memory_limit": 3}, {"ci": True}, {"timings": True}):
        assert session_key(request(**fields)) == session_key(request())


def ask(daemon: Daemon, declined: set[int]) -> int | None:
    """Which checkpoint is asked for a run that these have declined."""
    run, _ = daemon.run()
    run.declined = declined
    found = daemon.sessions._checkpoint(run)
    return None if found is None else found.number


@pytest.mark.parametrize(
    ("declined", "number"),
    [
        (set(), 2),
        # Then the one that was used last.
        ({2}, 3),
        # No third one is asked: it takes longer than to collect.
        ({2, 3}, None),
        ({2, 1}, None),
        ({3}, 2),
    ],
)
def test_which_checkpoint(daemon: Daemon, declined: set[int], number: int | None) -> None:
    base = base_key(request())
    daemon.session(1, is_checkpoint=True, base=base, tests=10, used=1.0)
    daemon.session(2, is_checkpoint=True, base=base, tests=90, used=2.0)
    daemon.session(3, is_checkpoint=True, base=base, tests=20, used=3.0)
    daemon.session(4, is_checkpoint=True, base="other", tests=99, used=9.0)
    daemon.session(5, base=base, tests=99, used=9.0)
    assert ask(daemon, declined) == number


def test_of_equal_checkpoints_the_newest(daemon: Daemon) -> None:
    base = base_key(request())
    for pid in (1, 2):
        entry, _ = daemon.session(pid, is_checkpoint=True, base=base, tests=5, used=-pid)
        entry.since = pid
    assert ask(daemon, set()) == 2


def test_no_checkpoint(daemon: Daemon) -> None:
    daemon.session(1, base=base_key(request()), tests=5)
    assert ask(daemon, set()) is None


def test_a_checkpoint_that_declines_is_the_only_one(daemon: Daemon) -> None:
    daemon.session(1, is_checkpoint=True, base=base_key(request()))
    assert ask(daemon, {1}) is None


def test_a_checkpoint_gets_a_line_with_the_run(daemon: Daemon) -> None:
    wanted = request(argv=["-k", "x"])
    entry, checkpoint = daemon.session(
        1, is_checkpoint=True, base=base_key(wanted), key="none", standby=77
    )
    run, _ = daemon.run(wanted)
    daemon.sessions._run(run)
    (line,) = daemon.sessions.lines.values()
    assert (line.pending, line.checkpoint, line.standby) == (run, entry, 77)
    assert not channel.is_closed(line.sock)
    # The connection and the line; nobody else has that line's end.
    message, count = served(checkpoint)
    assert (message.argv, count) == (["-k", "x"], 2)
    assert channel.is_closed(line.sock)
    assert daemon.sessions.unaccepted() == [run]
    line.sock.close()


def test_busy(daemon: Daemon) -> None:
    sessions = daemon.sessions
    assert not sessions.is_busy()
    entry, _ = daemon.session(1)
    assert not sessions.is_busy()
    entry.info = None
    assert sessions.is_busy()
    entry.info = Info(tests=0, root="/p")
    run, _ = daemon.run()
    entry.pending = [run]
    assert sessions.is_busy()
    entry.pending = []
    sessions.lines[0] = Line(run.conn, run, entry, 0)
    assert sessions.is_busy()


def test_status(daemon: Daemon) -> None:
    daemon.session(1)
    daemon.session(2, is_checkpoint=True)
    daemon.session(3, is_over=True)
    collecting, _ = daemon.session(4, cwd="/q")
    collecting.info = None
    daemon.sessions.last_reason = "why"
    status = daemon.sessions.status()
    assert [(each.pid, each.root) for each in status["sessions"]] == [(1, "/p"), (4, "/q")]
    assert [each.pid for each in status["checkpoints"]] == [2]
    assert (status["preloads"], status["configured"]) == ([], [])
    assert status["last_reason"] == "why"


def test_commands_that_are_gone(daemon: Daemon) -> None:
    """A run that was not passed on yet is taken back; the session has the other one."""
    entry, _ = daemon.session(1)
    sent, first = daemon.run()
    waiting, second = daemon.run()
    staying, _ = daemon.run()
    entry.pending, entry.sent = [sent, waiting, staying], sent
    daemon.sessions.look_after_runs()
    assert entry.pending == [sent, waiting, staying]
    first.close()
    second.close()
    daemon.sessions.look_after_runs()
    assert entry.pending == [sent, staying]
    assert (sent.gone, waiting.gone, staying.gone) == (True, True, False)
    assert waiting.conn.fileno() == -1
    assert daemon.sessions.unaccepted() == [staying]
    assert daemon.sessions.entries != {}


def test_too_large(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, session = daemon.session(5)
    preload = object()
    asked: list[int] = []

    def too_large(*arguments: Any) -> list[Any]:
        asked.append(arguments[-1])
        return [entry, preload]

    monkeypatch.setattr(eviction, "too_large", too_large)
    daemon.sessions.memory_limit = 10
    # Nothing has been started since.
    daemon.sessions.shrink()
    assert asked == []
    daemon.sessions.has_grown = True
    daemon.sessions.shrink()
    assert asked == [10]
    assert daemon.sessions.entries == {}
    assert daemon.forgotten == [5]
    assert channel.is_closed(session)
    reason = "more than 10 MiB are in use"
    assert daemon.dropped == [(preload, reason)]
    assert daemon.sessions.last_reason == f"it was let go, as {reason} (`memory_limit`)"
    # Not after each run: it takes time.
    monkeypatch.setattr(assignment, "_MEASURED_EVERY", 1e9)
    daemon.sessions.has_grown = True
    daemon.sessions.shrink()
    assert asked == [10]


def test_make_room(daemon: Daemon) -> None:
    here, there = str(daemon.folder), str(daemon.folder / "gone")
    kept, _ = daemon.session(1, cwd=here)
    daemon.session(2, cwd=there)
    preload = SimpleNamespace(request=request(cwd=there))
    processes: Any = daemon.sessions.preloads.processes
    processes["x"] = preload
    daemon.sessions._make_room()
    assert list(daemon.sessions.entries.values()) == [kept]
    assert daemon.dropped == [(preload, f"{there} is gone")]


@pytest.mark.parametrize("is_checkpoint", [False, True])
def test_a_stopped_process_is_killed_and_its_end_is_read(
    daemon: Daemon, is_checkpoint: bool
) -> None:
    """Also while a fork of it holds its ends of the connections, as this test does."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    entry = daemon.session(child.pid, is_checkpoint=is_checkpoint)[0]
    entry.pidfd = os.pidfd_open(child.pid)
    daemon.stack.callback(os.close, entry.pidfd)
    pending, _ = daemon.run()
    pending.since = 0.0
    line, _ = daemon.pair()
    if is_checkpoint:
        daemon.sessions.lines[line.fileno()] = Line(line, pending, entry, 0)
    else:
        entry.pending = [pending]
        entry.sent = pending
    os.kill(child.pid, signal.SIGSTOP)
    assert wait_until(lambda: is_stopped(child.pid))
    daemon.sessions._look_for_stopped()
    assert child.wait() == -signal.SIGKILL
    for sock in (entry.control, line) if is_checkpoint else (entry.control,):
        with pytest.raises(channel.Closed):
            channel.receive(sock, RunRequest, socket.MSG_DONTWAIT)
