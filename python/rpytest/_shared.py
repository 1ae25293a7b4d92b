"""Session fixtures that are created once, before there are workers, and shared by all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rpytest import _adapters, _frozen, _hazards, _identity, _inherited, _process, _real, _record, _seeds
from rpytest._basetemp import use_basetemp
from rpytest._closures import Need, is_ours
from rpytest._encode import Encoder
from rpytest._finalizers import Finalizers, last_dependant
from rpytest._fork import park_capture, restart_capture
from rpytest._longrepr import interrupt_location
from rpytest._needs import Needs
from rpytest._news import News
from rpytest._obstacles import Settings
from rpytest._phase import no_terminal, phase
from rpytest._real import os, signal, time
from rpytest._remembered import Remembered
from rpytest._setup_watcher import Hazard, SetupWatcher
from rpytest._setups import SetupClock
from rpytest._suspects import Belongings, suspects
from rpytest._warden import Ward, Warden

if TYPE_CHECKING:
    from rpytest._collected import Collected
    from rpytest._wire import Message

__builtins__ = _real.BUILTINS

#: Objects that belong to the host: a worker never drops them, which would run what is to run once.
_kept: list[object] = []


class SharedFixtures:
    """The session fixtures of one run: in the host that sets them up, and in the workers that inherit them."""

    def __init__(
        self,
        collected: Collected,
        base_temp: Callable[[], Path],
        crashed: Callable[[Message, str], bytes],
        request: Message,
        watch: _identity.Watch,
        interrupt_handler: Any,
        uid: str,
    ) -> None:
        """``base_temp`` and ``crashed`` are those of the run's host: see :class:`rpytest._answers.Answers`."""
        self.collected = collected
        self._base_temp = base_temp
        self._crashed = crashed
        self.session: pytest.Session = collected.session
        self.config: pytest.Config = collected.config
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
        #: What set-ups have made in the run's temporary folder.
        self.belongings: Belongings | None = None
        self.slots = 1

    # Before the fork of the workers

    def prepare(self, conn: Any, planned: list[int], slots: int, timings: bool) -> Message | None:
        """Set up what the planned tests need; may return in a fork of the calling process, which is then the host.

        Returns the `fixtures` message, or `None` when the project has no such fixtures.
        """
        self.timings, self.slots = timings, slots
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
            # Without a request it was killed between its last set-up and the first worker: that is the end of a host.
            if warden.is_settled and warden.is_lent and warden.request is not None and not warden.is_gone:
                self._take_over(warden)
                return None
            if warden.is_settled or warden.is_gone:
                _process.leave(0)
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
            _process.leave(1)
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

    def suspects(self, bodies: bytes | memoryview) -> list[str]:
        """What is to be said of failed tests that use what all workers share; before the finalizers take it away."""
        if not self.set_up or self.slots < 2:
            return []
        failed = {id(need.definition) for need in self.needs if need.has_failed}
        shared = [each for each, _ in self.set_up if not is_ours(each) and id(each) not in failed]
        written = {} if self.belongings is None else self.belongings.written_to()
        return suspects(self.session, memoryview(bodies), shared, written, self.slots)

    # Setting up

    def _set_up(self, ward: Ward, slots: int) -> None:
        config = self.config
        self.is_alive = True
        _identity.set_environment(os.environ.get(_identity.ENV_WORKER, "gw0"), slots, self.uid)
        config.workerinput.update(workercount=slots, testrunuid=self.uid)  # type: ignore[attr-defined]
        use_basetemp(config, lambda: self._base_temp() / "popen-shared")
        self.belongings = Belongings(Path(config._tmp_path_factory.getbasetemp()))  # type: ignore[attr-defined]
        restart_capture(config)
        watcher = SetupWatcher(self.needs, self.watch, self.set_up)
        clock = SetupClock() if self.timings else None
        config.pluginmanager.register(watcher, "rpytest-shared")
        if clock is not None:
            config.pluginmanager.register(clock, "rpytest-setups")
        ward.lend()
        # What is frozen is not looked through for what a set-up has made.
        _frozen.freeze()
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
                # Not before: a hazard may be that `os` is another one.
                self.belongings.made_by(step[1].name)
        except (KeyboardInterrupt, pytest.exit.Exception) as error:
            self._interrupted(error)
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

    def _one(self, number: int, need: Need, watcher: SetupWatcher, ward: Ward) -> None:
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
            with phase(self.config, item, "setup", news), no_terminal(watcher.debugger), _seeds.noticing():
                need.definition.execute(request=request)
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as error:
            need.has_failed = True
            if not watcher.has_seen_failure and watcher.hazard is None:
                # Nothing that pytest keeps: each test that asks would set it up again.
                watcher.hazard = Hazard(need.definition, f"its set-up raised {type(error).__name__}", False)
        finally:
            news.duration += time.perf_counter() - began
            item._initrequest()
            # Live logs: pytest's handler writes to the terminal, which is the command line's.
            text = self.collected.terminal.take().strip("\n")
            if text:
                self.notes.append(text)

    def _interrupted(self, error: BaseException) -> None:
        """Called where Ctrl-C or `pytest.exit` is dealt with."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        why, status, text = _record.WHY_INTERRUPT, -1, "KeyboardInterrupt"
        if isinstance(error, pytest.exit.Exception):
            why, status, text = _record.WHY_EXIT, -1 if error.returncode is None else error.returncode, str(error.msg)
        self.stop = {"ev": "stop", "why": why, "status": status, "text": text, "location": interrupt_location()}

    def _give_up(self, ward: Ward, watcher: SetupWatcher) -> None:
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
        _process.leave(0)

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
            last = last_dependant(self.needs, self.needs.shareable(), has_run)
            if last is None:
                self.homeless.append(f"error: {died}")
                return []
            return [(last, self._crashed({"test": last, "message": died, "duration": 0.0}, ""))]
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

        def interrupted(error: BaseException) -> None:
            self._interrupted(error)
            signal.signal(signal.SIGINT, self.interrupt_handler)

        finalizers = Finalizers(self.session, self.needs, [definition for definition, _ in self.set_up], has_run)
        finalizers.run(interrupted)
        if every_report is None:
            return []
        self.homeless += finalizers.homeless()
        return finalizers.records(Encoder(self.config, self.collected.xml, every_report))
