"""What a session knows once it is collected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from _pytest.scope import Scope

from rpytest import stdlib
from rpytest.collection import grouping
from rpytest.collection.collection_log import CollectionLog
from rpytest.ipc.process_messages import Learned
from rpytest.ipc.run_messages import Collected as Announcement
from rpytest.ipc.run_messages import Options
from rpytest.options import sharding
from rpytest.reports.junit import CollectingXML
from rpytest.reports.terminal import Terminal, needs_report, test_verbosity
from rpytest.stdlib import json

__builtins__ = stdlib.BUILTINS


#: What is said of the collection that a run finds.
KEPT = "kept from an earlier run"
KEPT_PARTLY = f"{KEPT}, as what is left out of it leaves nothing when it is imported"
AFRESH = "afresh, as {}"


class Collected:
    """What a session knows once it is collected: all that its hosts need."""

    def __init__(
        self,
        config: pytest.Config,
        session: pytest.Session,
        terminal: Terminal,
        xml: CollectingXML | None,
        workers: int,
    ) -> None:
        self.config = config
        self.session = session
        self.terminal = terminal
        self.xml = xml
        self.workers = workers
        #: pytest's text so far, and which part of it is about collection.
        self.header = ""
        self.collection = ""
        self.options = Options()
        self.inventory = b""
        #: What collection has said.
        self.collection_log = CollectionLog()
        #: Says which installed modules were imported, if they are of use to a preload.
        self.learn: Callable[[], Learned | None] = lambda: None
        #: Whether it was collected before, or why not, in words.
        self.how: str | None = None

    def announcement(self, method: str, why: str | None, warm: bool) -> Announcement:
        """The `collected` message, without the length of its attachment."""
        return Announcement(
            options=self.options.replace(workers=self.workers),
            header=self.header,
            collection=self.collection,
            tests=len(self.session.items) * max(1, self.options.copies),
            warm=warm,
            method=method,
            why=why,
            how=KEPT if warm and self.how is None else self.how,
        )


def inventory(items: list[pytest.Item], mode: str, copies: int) -> bytes:
    """The `collected` message's attachment: node ids, numbers that are equal for neighbours of one
    module and of one class, and what must stay together.

    With `copies`, the suite is there as many times: each worker has its own tests.
    """
    ids, modules, classes = [], [], []
    module_numbers: dict[int, int] = {}
    class_numbers: dict[tuple[int, int, tuple[tuple[str, int], ...]], int] = {}
    for item in items:
        ids.append(item.nodeid)
        module = item.getparent(pytest.File)  # type: ignore[type-abstract]
        cls = item.getparent(pytest.Class)
        key = id(module)
        modules.append(module_numbers.setdefault(key, len(module_numbers)))
        # A parameter of a wider scope is entered and left like a class: pytest has put its tests
        # next to each other.
        place = (key, id(cls), _wide_parameters(item))
        classes.append(class_numbers.setdefault(place, len(class_numbers)))
    times = max(1, copies)
    content = {
        "ids": ids * times,
        "modules": modules * times,
        "classes": classes * times,
        "groups": grouping.groups(items, mode),
        "serial": [
            number + copy * len(items) for copy in range(times) for number in grouping.serial(items)
        ],
    }
    return json.dumps(content, separators=(",", ":")).encode("utf-8", "backslashreplace")


def _wide_parameters(item: pytest.Item) -> tuple[tuple[str, int], ...]:
    """Names and indices of the parameters that a test shares with others: those of class scope or
    wider.
    """
    callspec: Any = getattr(item, "callspec", None)
    if callspec is None:
        return ()
    scopes = callspec._arg2scope
    return tuple(
        (name, index)
        for name, index in callspec.indices.items()
        if scopes.get(name, Scope.Function) is not Scope.Function
    )


def describe(
    config: pytest.Config,
    session: pytest.Session,
    terminal: Terminal,
    xml: CollectingXML | None,
    workers: int,
) -> Collected:
    """Gather what the command line must know about a collected session."""
    collected = Collected(config, session, terminal, xml, workers)
    collected.collection = terminal.take()
    collected.header = terminal.header + collected.collection
    option = config.option
    mode = option.rpytest_dist
    copies = workers if mode == "each" else 0
    collected.inventory = inventory(session.items, mode, copies)
    junit = None
    if xml is not None:
        # From here on the file is the command line's. Skipped or broken modules are test cases of
        # their own.
        xml.writes_file = False
        elements, counts = xml.take()
        junit = {
            "path": xml.logfile,
            "suite_name": xml.suite_name,
            "collected": elements,
            "counts": list(counts),
        }
    restarts = option.maxworkerrestart
    reporter = terminal.reporter
    stats = reporter.stats if reporter is not None else {}
    collected.options = Options(
        silent=reporter is None,
        verbose=getattr(option, "verbose", 0),
        verbose_tests=test_verbosity(config),
        maxfail=int(option.maxfail or 0),
        junit=junit,
        capture=getattr(option, "capture", "no"),
        color=terminal.has_color(),
        max_worker_restart=None if restarts is None else int(restarts),
        needs_report=needs_report(config, terminal),
        no_summary=bool(getattr(option, "no_summary", False)),
        no_header=bool(getattr(option, "no_header", False)),
        stats=bool(option.rpytest_stats),
        testrunuid=option.testrunuid,
        rootdir=str(config.rootpath),
        collect_errors=session.testsfailed,
        shard=config.stash.get(sharding.KEY, None),
        order=_order(option),
        copies=copies,
        replay=_absolute(config, option.rpytest_replay),
        record_plan=_absolute(config, option.rpytest_record_plan),
        whole=_is_whole(config)
        and sharding.KEY not in config.stash
        and not stats.get("deselected")
        and not session.testsfailed,
        # What collection itself put into the final line: deselected tests, skipped modules.
        counts={name: len(reports) for name, reports in stats.items() if name},
    )
    return collected


def _order(option: Any) -> str:
    if option.rpytest_order != "lpt":
        return str(option.rpytest_order)
    # Groups in collection order is what pytest-xdist's option is about; it has none in other modes.
    grouped = option.rpytest_dist in ("loadscope", "loadfile", "loadgroup")
    return "queue" if grouped and not option.loadscopereorder else "lpt"


def _absolute(config: pytest.Config, path: str | None) -> str | None:
    return None if path is None else str(config.invocation_params.dir / path)


#: Options that leave tests out.
_NARROWING = (
    "ignore",
    "ignore_glob",
    "deselect",
    "keyword",
    "markexpr",
    "lf",
    "stepwise",
    "pyargs",
    "inifilename",
    "confcutdir",
    "rpytest_replay",
)


def _is_whole(config: pytest.Config) -> bool:
    """Whether every test of the project was collected: what is missing now has been removed."""
    if any(getattr(config.option, name, None) for name in _NARROWING):
        return False
    source = getattr(config, "args_source", None)
    match getattr(source, "name", None):
        case "TESTPATHS":
            return True
        case "INVOCATION_DIR":
            return config.invocation_params.dir == config.rootpath
        case _:
            return False
