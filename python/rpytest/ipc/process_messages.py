"""Messages between processes of Python: workers, controllers, supervisors, sessions, preloads and
the daemon.

See ``run_messages.py`` for those of the command line. ``docs/design/protocol.md`` says what each is
for.
"""

from __future__ import annotations

from typing import Any

from rpytest import stdlib
from rpytest.ipc.message import Message
from rpytest.ipc.run_messages import Collected, ControllerRequest, HostRequest, PytestRequest

__builtins__ = stdlib.BUILTINS


# Worker → host


class WorkerRequest(Message):
    """What a worker tells, or asks of, its host."""


class BaseTemp(WorkerRequest, PytestRequest, op="basetemp"):
    """Where is the run's temporary folder?"""


class BaseTempAnswer(Message):
    """Answer to `BaseTemp`: one of the two."""

    path: str | None = None
    error: str | None = None


class Waits(WorkerRequest, op="waits"):
    """The worker has ended its session and waits for a thread or a child."""

    text: str


class WorkerDebugger(WorkerRequest, op="debugger"):
    """The worker wants the terminal for a debugger (an answer says that it has it), or gives it
    back.
    """

    active: bool


class Resolved(WorkerRequest, op="resolved"):
    """A bare worker is configured, and says how many workers are wanted."""

    workers: int
    uid: str


class BareCollected(WorkerRequest, op="collected"):
    """A bare worker has collected. The first one says what the command line is to know."""

    len: int
    announcement: Collected | None = None
    #: Length of what collection has said.
    log_len: int = 0


class BareDependencies(WorkerRequest, op="dependencies"):
    """What a bare worker was made from, as in `Dependencies`."""

    len: int


class BareAttached(WorkerRequest, op="attached"):
    """A bare worker has mapped the segment."""


class BareEnded(WorkerRequest, op="ended"):
    """A bare worker has ended without anything to run."""

    status: int
    text: str
    len: int


class BareOrder(Message):
    """What a bare host tells its workers."""


class BareGo(BareOrder, op="go"):
    """Map the segment and begin; the doorbell comes along. An empty name: it is mapped already."""

    segment: str
    timings: bool = False


class Quit(BareOrder, op="quit"):
    """There are enough workers."""


# Host ⇄ a pytest in another process


class Finish(PytestRequest, op="finish"):
    """The run is over: clean up, and end."""

    status: int


class PytestAnswer(Message):
    """Answer to any of them; ``len`` bytes come along."""

    len: int = 0
    path: str | None = None
    error: str | None = None
    status: int = 0


# Host ⇄ controller


class StartController(Message):
    """Tells a base to fork a controller for one run. Socket and streams come along."""

    uid: str
    workers: int
    #: From the second run on.
    env: dict[str, str] | None = None
    argv: list[str] | None = None


class CollectionTold(ControllerRequest, op="collected"):
    """What collection has said comes along; so many workers begin."""

    slots: int
    len: int


class MakeNode(ControllerRequest, op="node"):
    """A worker is replaced, or followed: it has an input of its own."""

    slot: int
    incarnation: int


class ControllerEvent(Message):
    """What a controller says; ``len`` bytes come along."""

    len: int = 0


class ControllerConfigured(ControllerEvent, op="configured"):
    """The controller is configured; the workers' inputs come along."""

    pid: int
    header: str
    #: A plugin's reporter has the terminal.
    live: bool
    wants_reports: bool
    handles_crashes: bool
    wants_ids: bool


class ControllerTaken(ControllerEvent, op="taken"):
    """See `Taken`."""

    shouldstop: str | None = None
    shouldfail: str | None = None


class NodeInput(ControllerEvent, op="input"):
    """Answer to `MakeNode`: the worker's input comes along."""


class CrashVerdict(ControllerEvent, op="verdict"):
    """Answer to `Crashed`: what `pytest_handlecrashitem` has made of it."""

    outcome: str
    message: str
    attributes: dict[str, Any]
    again: bool


class ControllerText(ControllerEvent, op="text"):
    """Answer to `Report`: pytest's text comes along."""

    status: int
    internal: str = ""
    properties: list[Any] = []


class ControllerEnded(ControllerEvent, op="ended"):
    """The controller has ended by itself, and has said why."""

    status: int
    internal: str = ""
    properties: list[Any] = []


class HandedOver(Message):
    """A controller whose hooks have run, for the process that goes on with it; its socket, pidfd
    and the workers' inputs come along.
    """

    uid: str
    header: str
    wants_reports: bool
    is_live: bool
    handles_crashes: bool
    wants_ids: bool
    len: int


# The process with shared fixtures → its supervisor


class SupervisedRequest(Message):
    """What the process with shared fixtures tells its supervisor."""


class Delegate(SupervisedRequest, op="delegate"):
    """Somebody's code runs from now on: listen to the command line, and answer this request if I
    can't.
    """

    request: HostRequest | None


class Reclaim(SupervisedRequest, op="reclaim"):
    """I listen again."""


class SetUpBegins(SupervisedRequest, op="at"):
    """The set-up of the fixture ``name`` begins."""

    name: str
    key: str
    others: list[str]


class HazardFound(SupervisedRequest, op="hazard"):
    """The fixture ``name`` can't be shared; everything is finalized, and this process ends."""

    name: str
    key: str
    reason: str
    remember: bool
    others: list[str]


class AllSetUp(SupervisedRequest, op="all_set_up"):
    """Everything is set up."""


# Sessions, checkpoints and the processes that fork them ⇄ daemon


class SessionEvent(Message):
    """What a session or a checkpoint tells the daemon."""

    #: A controller that is there for the run already: whoever serves the run goes on with it.
    controller: HandedOver | None = None


class LineEvent(Message):
    """What becomes of a run that was given to a checkpoint."""

    controller: HandedOver | None = None


class ProcessEvent(Message):
    """What a preload or a configured process tells the daemon."""


class Accepted(SessionEvent, LineEvent, ev="accepted"):
    """The run is taken."""


class Declined(LineEvent, ev="declined"):
    """The run goes to another session."""

    reason: str
    #: What was edited can't be collected anew: the checkpoint is of no use.
    edited: bool = False


class Stale(SessionEvent, ProcessEvent, ev="stale"):
    """Something has changed: whoever waits gets a fresh session."""

    reason: str
    #: The session will say what it has learned when its run has ended.
    learns: bool = False


class Info(SessionEvent, ev="info"):
    """What `--daemon-status` shows: a session sends it before a run begins, a checkpoint when it is
    ready, with its pidfd.
    """

    tests: int
    root: str
    runs: int = 0
    method: str = "collected"
    #: Seconds since the epoch.
    last: float | None = None
    pid: int | None = None


class Standby(SessionEvent, ev="standby"):
    """A process waits for the next run."""

    pid: int


class CheckpointForked(SessionEvent, ev="checkpoint"):
    """A session has forked a checkpoint, whose socket comes along."""

    tests: int
    root: str


class ConfiguredForked(SessionEvent, ev="configured"):
    """A session has forked a process that is configured, whose socket comes along."""

    root: str
    preloaded: bool


class Parts(SessionEvent, ev="parts"):
    """A checkpoint says how parts of its tests are run, in words."""

    parts: str


class Plain(SessionEvent, ev="plain"):
    """pytest itself runs here, for one run."""


class Done(SessionEvent, ev="done"):
    """The run that the session served has ended."""


class Learned(SessionEvent, ev="learned"):
    """Installed modules that the project imports, in the order of their imports, and where they
    lie.
    """

    modules: dict[str, str]
    #: Names that were looked for in vain.
    tried: list[str]
    root: str


class Unsuited(SessionEvent, ev="unsuited"):
    """A session that a configured process has forked: the run needs another configuration."""

    reason: str


class Over(SessionEvent, ev="over"):
    """What was preloaded does not go with what the project does: these names."""

    reason: str
    names: list[str]


class Bare(SessionEvent, ev="bare"):
    """Workers can't be forked from here."""

    reason: str
    workers: int
    uid: str | None
    #: `--debug`: the file.
    debug: str | None
    #: Files with which this may change.
    files: list[str]


class ForkSession(Message, op="session"):
    """Tells a preload or a configured process to fork a session, whose socket comes along."""


class Ready(ProcessEvent, ev="ready"):
    """A preload has made its imports."""

    packages: list[str]
    modules: int
    failed: dict[str, str]


class ReadyToFork(ProcessEvent, ev="ready_to_fork"):
    """A configured process can fork sessions; its pidfd comes along."""

    pid: int


class Spoiled(ProcessEvent, ev="spoiled"):
    """A preload has executed something that it does not keep; it is to be made again without
    ``failed``.
    """

    failed: dict[str, str]


class Forked(ProcessEvent, ev="forked"):
    """Answer to `ForkSession`; the pidfd comes along."""

    pid: int


class Ended(ProcessEvent, ev="ended"):
    """A session that was forked here has ended."""

    pid: int
    #: The status that `waitpid` has returned.
    status: int


class Confirmed(Message):
    """Tells a standby process that nothing has changed since it was forked but these files."""

    edited: list[str]
