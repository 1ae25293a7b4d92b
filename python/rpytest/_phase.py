"""What pytest and some plugins do around the set-up or teardown of a test, done around that of a shared fixture."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from _pytest.debugging import pytestPDB
from _pytest.warnings import catch_warnings_for_item

from rpytest import _adapters, _real
from rpytest._encode import encode_warning
from rpytest._real import contextlib, os

if TYPE_CHECKING:
    import warnings

    from rpytest._news import News

__builtins__ = _real.BUILTINS


@contextlib.contextmanager
def phase(config: pytest.Config, item: Any, when: str, news: News) -> Iterator[None]:
    """What pytest and some plugins do around a phase of a test; what was written goes into `news`."""
    manager = config.pluginmanager
    heard = types.SimpleNamespace(pytest_warning_recorded=_Historic(news))
    sections = item._report_sections
    item._report_sections = []
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_current_test(item, when))
            stack.enter_context(catch_warnings_for_item(config=config, ihook=heard, when="runtest", item=item))
            logging: Any = manager.getplugin("logging-plugin")
            if logging is not None:
                stack.enter_context(_logged(logging, item, when, news))
            capture: Any = manager.getplugin("capturemanager")
            if capture is not None:
                stack.enter_context(capture.item_capture(when, item))
            stack.enter_context(_adapters.around_phase(config, item, when))
            yield
    finally:
        news.sections += [(key, content) for _, key, content in item._report_sections]
        item._report_sections = sections


class _Historic:
    """Stands for the hook that hears of warnings."""

    def __init__(self, news: News) -> None:
        self.news = news

    def call_historic(self, kwargs: dict[str, Any]) -> None:
        """Keep one warning."""
        message: warnings.WarningMessage = kwargs["warning_message"]
        self.news.warnings.append(encode_warning(message, kwargs["when"], kwargs["nodeid"], kwargs["location"]))


@contextlib.contextmanager
def _current_test(item: pytest.Item, when: str) -> Iterator[None]:
    os.environ["PYTEST_CURRENT_TEST"] = f"{item.nodeid} ({when})".replace("\x00", "(null)")
    try:
        yield
    finally:
        os.environ.pop("PYTEST_CURRENT_TEST", None)


@contextlib.contextmanager
def _logged(plugin: Any, item: Any, when: str, news: News) -> Iterator[None]:
    from _pytest.logging import caplog_handler_key, caplog_records_key

    item.stash[caplog_records_key] = {}
    around = plugin._runtest_for(item, when)
    if not hasattr(around, "__enter__"):
        # Before it was made a context manager, pytest had `yield from` here.
        around = contextlib.contextmanager(lambda generator: generator)(around)
    try:
        with around:
            yield
    finally:
        news.records += item.stash[caplog_records_key].get(when, ())
        for key in (caplog_records_key, caplog_handler_key):
            if key in item.stash:
                del item.stash[key]


@contextlib.contextmanager
def no_terminal(asked: Callable[[], NoReturn]) -> Iterator[None]:
    """While shared fixtures are set up or ended nobody has a terminal to lend: ``asked`` is called instead of a debugger."""
    original: Any = pytestPDB._init_pdb

    def init_pdb(*_args: object, **_kwargs: object) -> NoReturn:
        __tracebackhide__ = True
        asked()

    pytestPDB._init_pdb = init_pdb  # type: ignore[method-assign]
    try:
        yield
    finally:
        pytestPDB._init_pdb = original  # type: ignore[method-assign]
