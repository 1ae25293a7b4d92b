"""The end of session fixtures that were set up once for all workers: their finalizers, and whose failure a failure is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, NoReturn

import pytest
from _pytest._code import code as _pytest_code
from _pytest.runner import CallInfo

from rpytest import _real
from rpytest._closures import Need
from rpytest._encode import CollectingXML, Encoder
from rpytest._needs import Needs
from rpytest._news import News
from rpytest._phase import no_terminal, phase
from rpytest._real import traceback

__builtins__ = _real.BUILTINS

_SHOWS_HIDDEN_GROUPS = hasattr(_pytest_code, "_filter_tracebackexception")


class Finalizers:
    """Those of the fixtures that a process has set up."""

    def __init__(
        self, session: pytest.Session, needs: Needs, definitions: Iterable[object], has_run: Collection[int] | None
    ) -> None:
        """``has_run``: the tests that have a result, unless all have."""
        self.session = session
        self.needs = needs
        self.has_run = has_run
        known = [need for definition in definitions if (need := needs.of(definition)) is not None]
        self.last = last_dependant(needs, known, has_run)
        # Plugins want a test around a phase, whether one has run or not.
        self.item: Any = needs.item(last_dependant(needs, known, None) or 0 if self.last is None else self.last)
        self.news = News()
        #: By the test that they belong to.
        self.errors: dict[int | None, list[BaseException]] = {}

    def run(self, on_interrupt: Callable[[BaseException], None]) -> None:
        """Run them all, whatever they raise; ``on_interrupt`` is called where Ctrl-C or `pytest.exit` is dealt with."""
        __tracebackhide__ = True
        stack = self.session._setupstate.stack
        finalizers, _ = stack.get(self.session, ([], None))
        with phase(self.session.config, self.item, "teardown", self.news), no_terminal(_no_debugger):
            while finalizers:
                finalizer = finalizers.pop()
                try:
                    finalizer()
                except (KeyboardInterrupt, pytest.exit.Exception) as error:
                    on_interrupt(error)
                except BaseException as error:
                    self.errors.setdefault(self._owner(finalizer), []).append(error)
        stack.clear()

    def records(self, encoder: Encoder) -> list[tuple[int, bytes]]:
        """What they have to tell, for the tests to which it belongs; see :meth:`homeless` for the rest."""
        records = []
        for number, found in self.errors.items():
            if number is None:
                continue
            report = self._failed(self.needs.item(number), found)
            if encoder.xml is not None:
                _prime(encoder.xml, self.needs.item(number))
            # What was written and logged is in one piece; it belongs to whoever has failed.
            report.sections += [(f"Captured {key} teardown", content) for key, content in self.news.sections]
            _, body, _ = encoder.test([report], self.news.warnings)
            self.news.warnings = []
            records.append((number, body))
        if self.news.warnings and self.last is not None:
            _, body, _ = encoder.test([], self.news.warnings)
            records.append((self.last, body))
        return records

    def homeless(self) -> list[str]:
        """Failures that no test can report, because none has run."""
        return [_described(error) for error in self.errors.get(None, ())]

    def _owner(self, finalizer: object) -> int | None:
        """The last dependant of the fixture that a finalizer belongs to."""
        definition = getattr(getattr(finalizer, "func", None), "__self__", None)
        need = self.needs.of(definition)
        number = None if need is None else self.needs.last(need, self.has_run)
        return self.last if number is None else number

    def _failed(self, item: pytest.Item, errors: list[BaseException]) -> pytest.TestReport:
        def again() -> None:
            # Before pytest 9 a group without a visible frame can't be shown.
            __tracebackhide__ = len(errors) == 1 or _SHOWS_HIDDEN_GROUPS
            if len(errors) == 1:
                raise errors[0]
            raise group(f"errors while tearing down {self.session!r}", errors)

        call = CallInfo.from_call(again, when="teardown")
        report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
        return report


def last_dependant(needs: Needs, some: Iterable[Need], has_run: Collection[int] | None) -> int | None:
    """The last dependant of them all that has run; without one, the last test that has."""
    numbers = [number for need in some if (number := needs.last(need, has_run)) is not None]
    return max(numbers, default=max(has_run, default=None) if has_run is not None else 0)


def _prime(xml: CollectingXML, item: pytest.Item) -> None:
    """Let the junit writer know the test as one that has passed: what is added now is added to that."""
    call = CallInfo.from_call(lambda: None, when="call")
    xml.log_report(pytest.TestReport.from_item_and_call(item, call))
    xml.stats = dict.fromkeys(xml.stats, 0)


def _described(error: BaseException) -> str:
    """What is said of a finalizer's failure where no test can have it."""
    frames = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return f"error: a finalizer of a session fixture failed, and no test has run that could report it\n{frames}"


def group(text: str, errors: list[BaseException]) -> BaseException:
    """What pytest raises for several exceptions in one teardown."""
    import _pytest.runner as runner

    kind: Any = getattr(runner, "BaseExceptionGroup", None)
    if kind is None:
        import builtins

        kind = builtins.BaseExceptionGroup  # type: ignore[attr-defined,unused-ignore]
    group: BaseException = kind(text, errors[::-1])
    return group


def _no_debugger() -> NoReturn:
    __tracebackhide__ = True
    pytest.fail("no debugger in the finalizer of a shared fixture; hint: name the fixture in `per_worker_fixtures`")
