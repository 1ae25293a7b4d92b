"""Messages between the command line and daemon, session or host; the Rust twin is
``src/daemon/message/``.

``docs/design/protocol.md`` says what each is for; ``tests/python/unit/ipc/test_messages.py`` holds
that page, the two sides and these classes together.
"""

from __future__ import annotations

from typing import Any

from rpytest import stdlib
from rpytest.ipc.message import Message, Raw

__builtins__ = stdlib.BUILTINS


# Command line → daemon


class DaemonRequest(Message):
    """The first packet on a connection to the daemon."""


class Tty(Message):
    """What the command line's terminal can do."""

    stdout: bool
    columns: int = 80


class RunRequest(DaemonRequest, op="run"):
    """Run tests. The daemon passes it on to whoever may serve it; that process has the environment
    with it.
    """

    protocol: int
    build: str
    #: pytest's arguments.
    argv: list[str]
    cwd: str
    #: Digest of the variables that make two environments different ones.
    env_key: str
    #: Which of the descriptors is the environment, a file in memory; until somebody has taken it.
    env_at: int | None = None
    #: The environment, in a process that serves the run.
    env: dict[str, str] | None = None
    prog: str
    cwd_on_path: bool = False
    umask: int
    affinity: list[int]
    #: Processors that the run may use.
    cpus: int = 1
    #: `[tool.rpytest]`'s.
    default_workers: str | None = None
    tty: Tty | None = None
    ci: bool = False
    start_method: str | None = None
    timings: bool = False
    watch: bool = False
    #: A session may be forked from a preload.
    preload: bool
    #: MiB.
    memory_limit: int | None = None
    session_fixtures: str = "shared"
    shared_fixtures: list[str] = []
    per_worker_fixtures: list[str] = []
    #: Why it is collected afresh, although something was kept: the daemon's.
    afresh: str | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The environment, in a process that serves the run."""
        assert self.env is not None
        return self.env


class StatusRequest(DaemonRequest, op="status"):
    """What is warm? Of any version."""

    protocol: int = 0


class StopRequest(DaemonRequest, op="stop"):
    """End, and let all sessions end. Of any version."""

    protocol: int = 0


# Daemon → command line


class Stopped(Message):
    """Answer to `StopRequest`."""

    stopped: bool = True


class SessionStatus(Message):
    """A session, or a checkpoint, in `DaemonStatus`."""

    pid: int
    root: str
    args: list[str]
    tests: int
    #: Seconds since the epoch.
    since: float
    runs: int
    #: KiB.
    memory_kb: int
    method: str
    #: The process that waits for its next run; 0: none.
    standby: int
    #: How runs of a part of its tests are served, in words.
    parts: str


class PreloadStatus(Message):
    """A preload, or a configured process, in `DaemonStatus`."""

    pid: int
    cwd: str
    packages: list[str]
    modules: int
    ready: bool
    since: float
    memory_kb: int
    #: Modules, and why they are not preloaded.
    left_out: dict[str, str]


class DaemonStatus(Message):
    """Answer to `StatusRequest`."""

    pid: int
    protocol: int
    build: str
    python: str
    pytest: str
    started: float
    idle_timeout: float
    memory_kb: int
    memory_limit: int
    sessions: list[SessionStatus]
    checkpoints: list[SessionStatus]
    preloads: list[PreloadStatus]
    configured: list[PreloadStatus]
    last_reason: str | None


# Host, session or daemon → command line


class HostEvent(Message):
    """What the command line is told during a run."""


class Replace(HostEvent, ev="replace"):
    """Start a daemon of your own in the place of this one."""

    reason: str


class Collecting(HostEvent, ev="collecting"):
    """This process configures and collects, or is pytest itself; its pidfd comes along."""

    pid: int


class Shard(Message):
    """`--shard` and what belongs to it."""

    #: From 0.
    index: int
    total: int
    #: `--shard-history`, absolute.
    history: str | None = None


class Options(Message):
    """pytest's resolved options, as far as the command line needs them: see "host → CLI" in the
    protocol.
    """

    workers: int = 0
    silent: bool = False
    verbose: int = 0
    verbose_tests: int = 0
    maxfail: int = 0
    junit: Raw | None = None
    capture: str = "no"
    color: bool = False
    max_worker_restart: int | None = None
    needs_report: bool = False
    no_summary: bool = False
    no_header: bool = False
    stats: bool = False
    testrunuid: str | None = None
    rootdir: str = ""
    collect_errors: int = 0
    shard: Shard | None = None
    order: str = "lpt"
    copies: int = 0
    replay: str | None = None
    record_plan: str | None = None
    whole: bool = False
    counts: dict[str, int] = {}
    controlled: bool = False
    stream: bool = False


class Collected(HostEvent, ev="collected"):
    """Ready to run; the list of tests comes along."""

    options: Options
    header: str
    #: The part of `header` that is about collection.
    collection: str
    tests: int
    warm: bool
    method: str
    why: str | None
    how: str | None
    inventory_len: int = 0


class ShardQuestion(HostEvent, ev="shard"):
    """pytest itself is about to run: which of its tests belong to the shard? The list of tests
    comes along.
    """

    shard: Shard
    rootdir: str
    tests: int
    inventory_len: int


class Dependencies(HostEvent, ev="dependencies"):
    """With `--watch`: what the session was made from."""

    len: int


class Exit(HostEvent, ev="exit"):
    """The run has ended without workers, or of an error; the texts are still to be printed."""

    status: int
    out: str = ""
    err: str = ""
    #: An exception that escaped from a hook, for the junit file.
    internal: str = ""


class Attached(HostEvent, ev="attached"):
    """The segment is mapped by all who need it: its name may go."""

    #: The host's.
    pid: int = 0


class Notice(HostEvent, ev="notice"):
    """A worker or the host does not end; ``text`` says what it waits for."""

    text: str
    #: `None`: the host.
    slot: int | None = None


class Born(HostEvent, ev="born"):
    """A worker was forked."""

    slot: int
    incarnation: int
    pid: int


class Died(HostEvent, ev="died"):
    """A worker was reaped."""

    slot: int
    incarnation: int
    #: The status that `waitpid` has returned.
    status: int
    stack: str


class Stack(HostEvent, ev="stack"):
    """What faulthandler has written about a test that takes too long."""

    slot: int
    text: str


class DebuggerWanted(HostEvent, ev="debugger"):
    """A worker wants the terminal, or gives it back."""

    slot: int
    active: bool


class Fixtures(HostEvent, ev="fixtures"):
    """The session fixtures that were set up for all workers, and those that each makes."""

    shared: list[str] = []
    #: Names, and why they are not shared.
    own: list[Any] = []
    notes: list[str] = []
    #: Tests, and the seconds of the host's in their set-up reports.
    charged: list[Any] = []


class Stop(HostEvent, ev="stop"):
    """Ctrl-C or `pytest.exit` in a shared fixture: the fields of a STOP record."""

    why: int
    status: int
    text: str
    location: str


class Record(HostEvent, ev="record"):
    """The record of a test that has none, or to which a finalizer has added something."""

    test: int
    len: int
    #: Another one follows.
    more: bool = False
    #: A hook wants the test to run once more.
    again: bool = False


class Taken(HostEvent, ev="taken"):
    """The controller has looked at the last `reports`; a hook may want the run to end."""

    shouldstop: str | None = None
    shouldfail: str | None = None


class Summary(HostEvent, ev="summary"):
    """Everything that pytest prints after the last test, and the exit status."""

    status: int
    len: int
    #: Names and values, for the junit file.
    properties: list[Any] = []


# Command line → host; some go on to a controller, or to a pytest in another process than the host.


class HostRequest(Message):
    """What the command line asks of a host."""


class PytestRequest(Message):
    """What a bare host asks of a process in which pytest is configured."""


class ControllerRequest(Message):
    """What a host tells, or asks of, a controller."""


class Go(HostRequest, op="go"):
    """Map the segment, and fork the workers."""

    segment: str
    slots: int
    timings: bool = False


class Spawn(HostRequest, op="spawn"):
    """Fork another worker in the place of one that has ended."""

    slot: int
    incarnation: int


class Interrupt(HostRequest, op="interrupt"):
    """Ctrl-C."""


class DebuggerMayBegin(HostRequest, op="debugger"):
    """The command line writes no more."""

    slot: int


class Crashed(HostRequest, ControllerRequest, PytestRequest, op="crashed"):
    """Make the failed report of a test that has no result."""

    test: int
    message: str
    when: str = "call"
    #: Seconds.
    duration: float = 0.0
    slot: int = -1
    #: A worker died in it; otherwise nobody ran it.
    in_flight: bool = False
    #: The test is run again: this is one of its runs only.
    again: bool = False
    #: What a plugin has made of it.
    outcome: str = "failed"
    attributes: dict[str, Any] = {}
    #: For a pytest in another process: what the worker has written when it crashed, and the length
    #: of the reports that it had kept.
    stack: str = ""
    len: int = 0


class Reports(HostRequest, ControllerRequest, op="reports"):
    """What is new, for the controller."""

    len: int


class Report(HostRequest, ControllerRequest, PytestRequest, op="report"):
    """Replay the records, and write the summary."""

    status: int
    #: pytest's message for its line of exclamation marks.
    interrupted: str | None = None
    location: str = ""
    #: `session.shouldfail`'s or `shouldstop`'s.
    stop: str | None = None
    #: Seconds.
    duration: float = 0.0
    #: Bytes that the controller has had.
    streamed: int = 0
    #: Tests of other shards.
    elsewhere: int = 0
    failures: int = 0
    len: int = 0
    #: No worker was needed.
    alone: bool = False
    #: Lines about failed tests that use what all workers share.
    suspects: list[str] = []
    #: The text is another process's.
    cache_only: bool = False


class ShardAnswer(HostRequest, op="shard"):
    """Answer to `ShardQuestion`: a `ShardReply` comes along."""

    len: int


class ShardShare(Message):
    """The tests of a shard."""

    tests: list[int]
    notice: str
    properties: list[list[str]]


class ShardReply(Message):
    """Which tests belong to the shard, or why that can't be told: a usage error."""

    share: ShardShare | None = None
    error: str | None = None


class StopRun(HostRequest, op="stop"):
    """End."""

    status: int = 0
