"""Session fixtures that are created once, before there are workers, and shared by all of them."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
import traceback
import types
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from _pytest._code import code as _pytest_code
from _pytest.runner import CallInfo
from _pytest.tmpdir import TempPathFactory
from _pytest.warnings import catch_warnings_for_item

from rpytest import _adapters, _hazards, _identity, _inherited, _process, _record
from rpytest._debugger import no_terminal
from rpytest._encode import CollectingXML, Encoder, encode_warning
from rpytest._fork import park_capture, restart_capture
from rpytest._needs import Need, Needs, Settings
from rpytest._news import News
from rpytest._remembered import Remembered
from rpytest._setups import SetupClock
from rpytest._warden import Ward, Warden

if TYPE_CHECKING:
    import warnings

    from rpytest._answers import LocalAnswers
    from rpytest._wire import Message

_SHOWS_HIDDEN_GROUPS = hasattr(_pytest_code, "_filter_tracebackexception")

#: Objects that belong to the host: a worker never drops them, which would run what is to run once.
_kept: list[object] = []


class SharedFixtures:
    """The session fixtures of one run: in the host that sets them up, and in the workers that inherit them."""

    def __init__(
        self, answers: LocalAnswers, request: Message, watch: _identity.Watch, interrupt_handler: Any, uid: str
    ) -> None:
        self.answers = answers
        self.session: pytest.Session = answers.collected.session
        self.config: pytest.Config = answers.collected.config
        self.settings = Settings(request)
        self.watch = watch
        self.interrupt_handler = interrupt_handler
        self.uid = uid
        self.timings = False
        self.remembered = Remembered(self.config.rootpath, request["env"], request["cwd"])
        #: What was learned in this run, by fixture.
        self.learned: dict[int, str] = {}
        self.notes: list[str] = []
        #: Failures of finalizers that no test can report, because none has run.
        self.homeless: list[str] = []
        self.ward: Ward | None = None
        self.needs: Needs
        #: Those that were set up, in that order, with the request that did it; pytest's own among them.
        self.set_up: list[tuple[pytest.FixtureDef[Any], Any]] = []
        #: What the first dependants are to report.
        self.news: dict[int, News] = {}
        #: Ended by Ctrl-C or `pytest.exit` in a set-up or finalizer: a `stop` message.
        self.stop: Message | None = None
        self.processes: _inherited.Living | None = None
        self.readers: list[int] = []
        self.is_alive = False
        #: How a finalizer has ended the process with the fixtures.
        self.died: str | None = None
        #: A request that the process with the fixtures has not lived to answer, with its descriptors.
        self.left_over: tuple[Message, list[int]] | None = None

    # Before the fork of the workers

    def prepare(self, conn: Any, planned: list[int], slots: int, timings: bool) -> Message | None:
        """Set up what the planned tests need; may return in a fork of the calling process, which is then the host.

        Returns the `fixtures` message, or `None` when the project has no such fixtures.
        """
        self.timings = timings
        planned = sorted(planned)
        while True:
            self.needs = Needs(self.session, planned, self.settings, self._known_reason)
            if not self.needs.shareable():
                break
            warden = Warden(conn)
            ward = warden.fork()
            if ward is not None:
                self.ward = ward
                self._set_up(ward, slots)
                ward.tell({"op": "settled"})
                ward.take_back()
                break
            if warden.is_settled and warden.is_lent and not warden.is_gone:
                self._take_over(warden)
                return None
            if warden.is_settled or warden.is_gone:
                os._exit(0)
            self._learn(warden)
        return self._message()

    def _take_over(self, warden: Warden) -> None:
        """A finalizer has ended the process that ran it. The workers have ended before; what is left to do is done here."""
        assert warden.request is not None
        self.left_over = (warden.request, warden.fds)
        self.died = f"a finalizer of a session fixture ended its process: {warden.how()}"

    def _known_reason(self, definition: pytest.FixtureDef[Any]) -> str | None:
        return self.learned.get(id(definition)) or self.remembered.reason(definition)

    def _learn(self, warden: Warden) -> None:
        """The process with the fixtures has ended itself, or died: the next one goes without the fixture that was the reason."""
        said = warden.said or warden.at
        if said is None:
            # Killed, and not by a fixture: so a host ends. The command line notices.
            os._exit(1)
        remember = warden.said is not None and bool(said["remember"])
        name, reason = str(said["name"]), str(said["reason"])
        if warden.said is None:
            reason = f"its set-up ended the process: {warden.how()}"
        definition = next((need.definition for need in self.needs if need.definition.argname == name), None)
        for need in self.needs:
            if self.remembered.key(need.definition) == said["key"]:
                definition = need.definition
        if definition is None:
            # Asked for at run time only: the one that asked was named instead.
            raise RuntimeError(f"the session fixture `{name}` is unknown")
        self.learned[id(definition)] = reason
        text = f"session fixture of each worker from now on: {name} ({reason})"
        if remember:
            if not self.remembered.add(str(said["key"]), reason):
                text += "; the cache directory can't be written to, so the next run finds it out again"
        else:
            text = f"session fixture of each worker: {name} ({reason})"
        if said["others"]:
            text += f"; set up again because of that: {', '.join(said['others'])}"
        self.notes.append(text)

    def _message(self) -> Message | None:
        own = [(need.name, need.obstacle) for need in self.needs if need.obstacle is not None]
        shared = self.names()
        if not own and not shared and not self.notes:
            return None
        return {
            "ev": "fixtures",
            "shared": shared,
            "own": list(dict(own).items()),
            "notes": self.notes,
            "charged": [[number, news.duration] for number, news in self.news.items()],
        }

    def names(self) -> list[str]:
        """The project's fixtures that were set up, in that order."""
        names = []
        for definition, _ in self.set_up:
            need = self.needs.of(definition)
            if need is None:
                need = Need(definition)
            if not need.is_builtin:
                names.append(definition.argname)
        return list(dict.fromkeys(names))

    # Setting up

    def _set_up(self, ward: Ward, slots: int) -> None:
        config = self.config
        self.is_alive = True
        _identity.set_environment(os.environ.get(_identity.ENV_WORKER, "gw0"), slots, self.uid)
        config.workerinput.update(workercount=slots, testrunuid=self.uid)  # type: ignore[attr-defined]
        use_shared_temp(config, self.answers)
        restart_capture(config)
        watcher = _SetupWatcher(self)
        clock = SetupClock() if self.timings else None
        config.pluginmanager.register(watcher, "rpytest-shared")
        if clock is not None:
            config.pluginmanager.register(clock, "rpytest-setups")
        ward.lend()
        # What is frozen is not looked through for what a set-up has made.
        gc.freeze()
        try:
            signal.signal(signal.SIGINT, self.interrupt_handler)
            _process.restore_child_handler()
            setup_state: Any = self.session._setupstate
            # Only the session: modules and packages are each worker's.
            setup_state.setup(self.session)
            while True:
                step = self.needs.next_set_up(self.needs.shareable())
                if step is None:
                    break
                self._one(*step, watcher, ward)
                if clock is not None:
                    self.news[step[0]].setups += clock.take()
                if watcher.hazard is not None:
                    self._give_up(ward, watcher)
        except KeyboardInterrupt:
            self._interrupted(_record.WHY_INTERRUPT, -1, "KeyboardInterrupt")
        except pytest.exit.Exception as error:
            self._interrupted(_record.WHY_EXIT, -1 if error.returncode is None else error.returncode, str(error.msg))
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _process.park_child_handler()
        park_capture(config)
        for plugin in (watcher, clock):
            if plugin is not None:
                config.pluginmanager.unregister(plugin)
        self.processes = _inherited.Living()
        self.readers = watcher.readers
        _process.freeze()

    def _one(self, number: int, need: Need, watcher: _SetupWatcher, ward: Ward) -> None:
        """Set one up for its first dependant, with whatever it requests."""
        item: Any = self.needs.item(number)
        news = self.news.setdefault(number, News())
        request = self.needs.request(number, need)
        watcher.start(need)
        ward.tell(
            {
                "op": "at",
                "name": need.name,
                "key": self.remembered.key(need.definition),
                "reason": "",
                "others": self.names(),
            }
        )
        began = time.perf_counter()
        need.is_up = True
        try:
            with self._phase(item, "setup", news), no_terminal(watcher.debugger):
                need.definition.execute(request=request)
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as error:
            need.has_failed = True
            if not watcher.has_seen_failure and watcher.hazard is None:
                # Nothing that pytest keeps: each test that asks would set it up again.
                watcher.hazard = _Hazard(need.definition, f"its set-up raised {type(error).__name__}", False)
        finally:
            news.duration += time.perf_counter() - began
            item._initrequest()
            # Live logs: pytest's handler writes to the terminal, which is the command line's.
            text = self.answers.collected.terminal.take().strip("\n")
            if text:
                self.notes.append(text)

    @contextlib.contextmanager
    def _phase(self, item: Any, when: str, news: News) -> Iterator[None]:
        """What pytest and some plugins do around a phase of a test; what was written goes into `news`."""
        manager = self.config.pluginmanager
        heard = types.SimpleNamespace(pytest_warning_recorded=_Historic(news))
        sections = item._report_sections
        item._report_sections = []
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(_current_test(item, when))
                stack.enter_context(catch_warnings_for_item(config=self.config, ihook=heard, when="runtest", item=item))
                logging: Any = manager.getplugin("logging-plugin")
                if logging is not None:
                    stack.enter_context(_logged(logging, item, when, news))
                capture: Any = manager.getplugin("capturemanager")
                if capture is not None:
                    stack.enter_context(capture.item_capture(when, item))
                stack.enter_context(_adapters.around_phase(self.config, item, when))
                yield
        finally:
            news.sections += [(key, content) for _, key, content in item._report_sections]
            item._report_sections = sections

    def _interrupted(self, why: int, status: int, text: str) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        crash = getattr(pytest.ExceptionInfo.from_current().getrepr(), "reprcrash", None)
        location = f"{crash.path}:{crash.lineno}" if crash is not None else ""
        self.stop = {"ev": "stop", "why": why, "status": status, "text": text, "location": location}

    def _give_up(self, ward: Ward, watcher: _SetupWatcher) -> None:
        """Something can't be inherited: finalize everything here; the parent forks another process."""
        hazard = watcher.hazard
        assert hazard is not None
        culprit = hazard.definition
        named = next((need for need in self.needs if need.definition is culprit), None) or watcher.need
        assert named is not None
        others = [name for name in self.names() if name != named.name]
        self._finalize(None)
        park_capture(self.config)
        _process.run_exit_functions()
        ward.tell(
            {
                "op": "hazard",
                "name": named.name,
                "key": self.remembered.key(named.definition),
                "reason": hazard.reason,
                "remember": hazard.remember,
                "others": others,
            }
        )
        os._exit(0)

    # In a worker

    def detach(self) -> None:
        """In a forked worker: the values are its own to use, their ends are the host's affair."""
        if self.ward is None:
            return
        self.ward.close()
        stack = self.session._setupstate.stack
        _kept.append(list(stack.items()))
        stack.clear()
        for definition, request in self.set_up:
            _kept.append((list(definition._finalizers), definition.cached_result, request))
            definition._finalizers.clear()
        if self.processes is not None:
            self.processes.take_over()
        _hazards.reopen(self.readers)

    # After the last worker

    def finalize(
        self,
        every_report: bool,
        request: Message | None = None,
        fds: Sequence[int] = (),
        has_run: Collection[int] | None = None,
        failures: int = 0,
    ) -> list[tuple[int, bytes]]:
        """Run the finalizers; returns records for the tests to which their failures belong.

        ``has_run``: the tests that have a result, unless all have. No other gets a record; for a failure without a test there is
        :attr:`homeless`. ``failures`` is what the workers have counted: finalizers ask ``session.testsfailed``. If a finalizer ends the process, its parent answers the request.
        """
        if self.died is not None:
            died, self.died = self.died, None
            last = self._last(self.needs.shareable(), has_run)
            if last is None:
                self.homeless.append(f"error: {died}")
                return []
            return [(last, self.answers.crashed({"test": last, "message": died, "duration": 0.0}, ""))]
        if not self.is_alive or self.ward is None:
            return []
        self.is_alive = False
        restart_capture(self.config)
        self.ward.lend(request, fds)
        signal.signal(signal.SIGINT, self.interrupt_handler)
        _process.restore_child_handler()
        self.session.testsfailed += failures
        try:
            return self._finalize(every_report, has_run)
        finally:
            self.session.testsfailed -= failures
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _process.park_child_handler()
            self.ward.take_back()
            park_capture(self.config)
            _adapters.finish_host(self.config)

    def _finalize(self, every_report: bool | None, has_run: Collection[int] | None = None) -> list[tuple[int, bytes]]:
        __tracebackhide__ = True
        self.is_alive = False
        known = [need for definition, _ in self.set_up if (need := self.needs.of(definition)) is not None]
        last = self._last(known, has_run)
        # Plugins want a test around a phase, whether one has run or not.
        item: Any = self.needs.item(self._last(known, None) or 0 if last is None else last)
        news = News()
        errors: dict[int | None, list[BaseException]] = {}
        stack = self.session._setupstate.stack
        finalizers, _ = stack.get(self.session, ([], None))
        with self._phase(item, "teardown", news), no_terminal(_no_debugger):
            while finalizers:
                finalizer = finalizers.pop()
                try:
                    finalizer()
                except KeyboardInterrupt:
                    self._interrupted(_record.WHY_INTERRUPT, -1, "KeyboardInterrupt")
                    signal.signal(signal.SIGINT, self.interrupt_handler)
                except pytest.exit.Exception as error:
                    status = -1 if error.returncode is None else error.returncode
                    self._interrupted(_record.WHY_EXIT, status, str(error.msg))
                    signal.signal(signal.SIGINT, self.interrupt_handler)
                except BaseException as error:
                    errors.setdefault(self._owner(finalizer, last, has_run), []).append(error)
        stack.clear()
        if every_report is None:
            return []
        records = []
        encoder = Encoder(self.config, self.answers.collected.xml, every_report)
        for number, found in errors.items():
            if number is None:
                self.homeless += map(_described, found)
                continue
            report = self._failed(self.needs.item(number), found)
            if encoder.xml is not None:
                _prime(encoder.xml, self.needs.item(number))
            # What was written and logged is in one piece; it belongs to whoever has failed.
            report.sections += [(f"Captured {key} teardown", content) for key, content in news.sections]
            _, body, _ = encoder.test([report], news.warnings)
            news.warnings = []
            records.append((number, body))
        if news.warnings and last is not None:
            _, body, _ = encoder.test([], news.warnings)
            records.append((last, body))
        return records

    def _last(self, needs: Iterable[Need], has_run: Collection[int] | None) -> int | None:
        """The last dependant of them all that has run; without one, the last test that has."""
        numbers = [number for need in needs if (number := self.needs.last(need, has_run)) is not None]
        return max(numbers, default=max(has_run, default=None) if has_run is not None else 0)

    def _owner(self, finalizer: object, last: int | None, has_run: Collection[int] | None) -> int | None:
        """The last dependant of the fixture that a finalizer belongs to."""
        definition = getattr(getattr(finalizer, "func", None), "__self__", None)
        need = self.needs.of(definition)
        number = None if need is None else self.needs.last(need, has_run)
        return last if number is None else number

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


class _Given(BaseException):
    """Leaves a set-up that another process makes instead."""


def _no_debugger() -> NoReturn:
    __tracebackhide__ = True
    pytest.fail("no debugger in the finalizer of a shared fixture; hint: name the fixture in `per_worker_fixtures`")


class _Hazard:
    def __init__(self, definition: pytest.FixtureDef[Any], reason: str, remember: bool) -> None:
        self.definition = definition
        self.reason = reason
        self.remember = remember


class _SetupWatcher:
    """Looks at what each set-up leaves behind."""

    def __init__(self, shared: SharedFixtures) -> None:
        self.shared = shared
        self.hazard: _Hazard | None = None
        self.readers: list[int] = []
        #: What is being set up.
        self.need: Need | None = None
        #: A failure that pytest remembers, of this fixture or one that it requests.
        self.has_seen_failure = False

    def start(self, need: Need) -> None:
        """The next set-up is for this fixture."""
        self.need = need
        self.has_seen_failure = False

    def debugger(self) -> NoReturn:
        """The set-up calls `breakpoint()`: in a worker that is alone it gets the terminal."""
        assert self.need is not None
        self.hazard = _Hazard(self.need.definition, "its set-up wants a debugger", False)
        raise _Given

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any], request: Any) -> Generator[None, object, object]:
        shared = self.shared
        need = shared.needs.of(fixturedef)
        forced = need is not None and need.is_forced
        watch = shared.watch
        if need is not None and need.obstacle is not None and self.need is not None and self.hazard is None:
            # Asked for at run time by one that looked shareable.
            self.hazard = _Hazard(self.need.definition, f"requests {need.name}", True)
        before = _hazards.Snapshot()
        outer = watch.swap((not forced, None, True))
        try:
            return (yield)
        finally:
            _, reader, _ = watch.swap(outer)
            shared.set_up.append((fixturedef, request))
            failed = fixturedef.cached_result is not None and fixturedef.cached_result[2] is not None
            self.has_seen_failure |= failed
            if need is not None:
                need.is_up, need.has_failed = True, failed
            if not forced and self.hazard is None:
                reason = before.hazard()
                if reader is not None:
                    reason = "asks which worker it is in"
                if reason is not None:
                    self.hazard = _Hazard(fixturedef, reason if reader else f"its set-up {reason}", True)
            if self.hazard is None:
                self.readers += [fd for fd in before.readers() if fd not in self.readers]


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
    phase = plugin._runtest_for(item, when)
    if not hasattr(phase, "__enter__"):
        # Before it was made a context manager, pytest had `yield from` here.
        phase = contextlib.contextmanager(lambda generator: generator)(phase)
    try:
        with phase:
            yield
    finally:
        news.records += item.stash[caplog_records_key].get(when, ())
        for key in (caplog_records_key, caplog_handler_key):
            if key in item.stash:
                del item.stash[key]


class _SharedTemp(TempPathFactory):  # type: ignore[misc]
    """The temp path factory of shared fixtures: a directory beside those of the workers."""

    _answers: LocalAnswers

    def getbasetemp(self) -> Any:
        """`popen-shared` in the run's base directory."""
        if self._basetemp is None and self._given_basetemp is None:
            self._given_basetemp = self._answers.base_temp() / "popen-shared"
        return super().getbasetemp()


def use_shared_temp(config: pytest.Config, answers: LocalAnswers) -> None:
    """Make the configuration's temp path factory that of shared fixtures."""
    factory: Any = getattr(config, "_tmp_path_factory", None)
    if factory is not None:
        factory.__class__ = _SharedTemp
        factory._answers = answers
        factory._given_basetemp = factory._basetemp = None
