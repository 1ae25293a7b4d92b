"""A configured and collected session takes over what another command line asks for: what pytest has
made from an option, or printed, is made anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from _pytest.junitxml import xml_key

from rpytest.options import comparison, meaning, option_reads, sharding
from rpytest.options.comparison import Declined
from rpytest.reports.junit import install_junit
from rpytest.reports.terminal import Terminal
from rpytest.xdist_compat import worker_identity

if TYPE_CHECKING:
    from collections.abc import Container

    from rpytest.ipc.run_messages import RunRequest
    from rpytest.options.comparison import ParsedCommandLine
    from rpytest.reports.junit import CollectingXML

#: What a worker's configuration has other values of than its command line.
_OF_A_WORKER = ("dist", "distload", "numprocesses", "maxprocesses", "stepwise")

#: Objects that are not needed any more: to take thousands apart would cost more than all the rest.
_kept: list[object] = []

#: Options that change what pytest writes before the first test.
_IN_HEADER = frozenset({"verbose", "no_header", "code_highlight", "file_or_dir"})


def options(
    config: pytest.Config,
    arguments: ParsedCommandLine,
    request: RunRequest,
    different: dict[str, Any],
    args: list[str],
    source: Any,
) -> int:
    """Give ``config`` the options of ``request``; returns the number of workers. Raises
    :class:`Declined` where it can't be done here.
    """
    option: Any = config.option
    comparison.apply(config, request.argv, different, args, source)
    for name in _OF_A_WORKER:
        setattr(option, name, different.get(name, arguments.own.get(name)))
    if getattr(option, "stepwise_skip", False) or getattr(option, "stepwise_reset", False):
        option.stepwise = True
    if sharding.KEY in config.stash:
        del config.stash[sharding.KEY]
    try:
        meaning.settle_options(config)
        workers = 0 if meaning.wants_plain(config) else meaning.workers(config, request)
    except pytest.UsageError as error:
        raise Declined(str(error)) from None
    if workers == 0:
        raise Declined("pytest itself is to run")
    method = option.start_method or request.start_method
    if method not in (None, "collected"):
        raise Declined(f"the start method is `{method}`")
    worker_identity.become_worker_options(option)
    worker_identity.set_environment("gw0", workers, option.testrunuid or "0")
    held: Any = config
    held.workerinput.update(
        workercount=workers, mainargv=list(request.argv), testrunuid=option.testrunuid or "0"
    )
    return workers


def before_late_ones(config: pytest.Config, plugin: object, early: Container[int]) -> None:
    """Put a plugin's hooks where they would be if it had been registered before collection, where
    only the plugins of these ids were.
    """
    caller: Any
    for caller in config.pluginmanager.get_hookcallers(plugin) or ():
        implementations: list[Any] = caller._hookimpls
        at = next(
            at
            for at, implementation in enumerate(implementations)
            if implementation.plugin is plugin
        )
        own = implementations.pop(at)
        later = (
            place
            for place, other in enumerate(implementations)
            if _kind(other) == _kind(own) and id(other.plugin) not in early
        )
        implementations.insert(next(later, at), own)


def _kind(implementation: Any) -> tuple[bool, bool, bool]:
    return (
        implementation.wrapper or implementation.hookwrapper,
        implementation.tryfirst,
        implementation.trylast,
    )


def cache(
    config: pytest.Config,
    session: pytest.Session,
    reports: list[pytest.CollectReport],
    early: Container[int],
) -> None:
    """Let the plugins that choose tests by pytest's cache begin again; ``reports`` are those of a
    collection that is not done again.
    """
    manager = config.pluginmanager
    for name in ("lfplugin-collskip", "lfplugin-collwrapper", "stepwiseplugin"):
        plugin = manager.getplugin(name)
        if plugin is not None:
            manager.unregister(plugin)
    # The plugins begin again in place: their hooks keep their position among those of others.
    last_failed: Any = manager.getplugin("lfplugin")
    if last_failed is not None:
        type(last_failed).__init__(last_failed, config)
    new_first: Any = manager.getplugin("nfplugin")
    if new_first is not None:
        new_first.active = config.option.newfirst
        if new_first.active:
            type(new_first).__init__(new_first, config)
        else:
            # The file of all tests that there ever were is read at the end (`Cache.save`).
            _kept.append(new_first.cached_nodeids)
            new_first.cached_nodeids = set()
    if last_failed is not None and last_failed.lastfailed:
        for report in reports:
            last_failed.pytest_collectreport(report)
    if config.option.stepwise and manager.hasplugin("stepwise"):
        from _pytest.stepwise import StepwisePlugin

        stepwise: Any = StepwisePlugin(config)
        manager.register(stepwise, "stepwiseplugin")
        before_late_ones(config, stepwise, early)
        stepwise.pytest_sessionstart(session)


def terminal(
    session: pytest.Session, held: Terminal, different: dict[str, Any], collects_again: bool
) -> None:
    """Let pytest's terminal reporter begin again, up to the moment before collection; what it knows
    of collection stays if that is not done again.
    """
    reporter: Any = held.reporter
    if reporter is None:
        return
    is_same = not option_reads.reads.header_depends_on(different)
    if not held.has_plain_header and (_IN_HEADER & different.keys() or not is_same):
        raise Declined(
            "pytest's header is not all that was written before the tests were collected"
        )
    stats, collected = reporter.stats, reporter._numcollected
    held.begin_again(session, may_keep=is_same)
    if collects_again:
        reporter.stats.update({name: list(reports) for name, reports in held.early_stats.items()})
    else:
        reporter.stats.update(stats)
        reporter._numcollected = collected
    reporter.pytest_collection()


def junit(
    config: pytest.Config,
    is_first: bool,
    reports: list[pytest.CollectReport],
    early: Container[int],
) -> CollectingXML | None:
    """Replace the junit writer; ``reports`` are those of a collection that is not done again."""
    present = config.stash.get(xml_key, None)
    if present is not None:
        if config.pluginmanager.is_registered(present):
            config.pluginmanager.unregister(present)
        del config.stash[xml_key]
    xml = install_junit(config, is_first)
    if xml is not None:
        before_late_ones(config, xml, early)
        xml.pytest_sessionstart()
        for report in reports:
            xml.pytest_collectreport(report)
    return xml
