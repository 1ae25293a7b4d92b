"""A worker of the `bare` start method: it configures and collects by itself before there is a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from rpytest import _debug, _identity, _plain_shard, _plugin, _process, _real, _watch, _wire
from rpytest._answers import LocalAnswers
from rpytest._birth import Birth
from rpytest._collected import Collected, describe
from rpytest._control import fork_detached
from rpytest._fork import restart_faulthandler, stop_capture
from rpytest._real import contextlib, os, signal, socket, traceback
from rpytest._remote_answers import answer_remotely
from rpytest._role import Role, useful
from rpytest._stale import Dependencies
from rpytest._worker import Worker

if TYPE_CHECKING:
    from rpytest import _native
    from rpytest._wire import Message

__builtins__ = _real.BUILTINS


class BareWorker(Role):
    """A worker that configures and collects by itself, then waits for the segment."""

    def __init__(
        self, birth: Birth, request: Message, argv: list[str], reason: str, segment: _native.Segment | None
    ) -> None:
        super().__init__()
        self.birth = birth
        self.argv = argv
        self.is_first = birth.slot == 0 and birth.incarnation == 0
        self.request = request
        self.reason = reason
        # A replacement inherits the host's mapping; the first workers exist before there is a segment.
        self.segment = segment
        self.watch = _identity.Watch()
        self.watch.active = False
        #: With `--watch`, in the worker that speaks for all.
        self.graph: _watch.Graph | None = None
        self.dependencies = Dependencies()
        if request.get("watch") and self.is_first:
            self.graph = _watch.Graph()
            self.graph.start()
            self.dependencies.observer.watch()

    def _tell_dependencies(self) -> None:
        self.dependencies.observer.stop()
        if self.graph is not None:
            self.graph.stop()
            _watch.send(self.birth.host, self.dependencies, self.graph, "op")
            self.graph = None

    def main(self) -> NoReturn:
        """Run pytest; the role's hooks do the rest."""
        # Before pytest begins, as under pytest-xdist: a conftest of the rootdir is imported before arguments are resolved.
        _identity.set_environment(self.birth.name, self.birth.count, self.birth.uid)
        surface = _plugin.Surface(self.request, self.decide, self.loop)
        status = self.run_pytest(self.argv, surface)
        if self.worker is not None:
            self.worker.goodbye(status)
        text = ""
        news = b""
        if self.terminal is not None:
            if self.terminal.session is not None:
                news = self.news.encode(self.terminal.session, False)
            if self.birth.slot == 0:
                # A terminal reporter of a plugin's is the controller's.
                if not self.birth.is_live:
                    self.terminal.release()
            else:
                # To be shown if worker 0 has nothing to complain about.
                text = self.terminal.take()
        self._tell_dependencies()
        _process.run_exit_functions()
        with contextlib.suppress(_wire.Closed):
            body = _wire.memfd("rpytest-news", news)
            _wire.send(self.birth.host, {"op": "ended", "status": status, "text": text, "len": len(news)}, [body])
        _process.leave(0)

    def decide(self, config: pytest.Config) -> None:
        """`pytest_cmdline_main`: tell the host how many workers there are, and be one."""
        self.workers = 0 if _plugin.wants_plain(config) else _plugin.workers(config, self.request)
        if self.workers == 0:
            return
        uid = config.option.testrunuid or self.birth.uid
        _wire.send(self.birth.host, {"op": "resolved", "workers": self.workers, "uid": uid})
        self.birth.count, self.birth.uid = self.workers, uid
        _debug.prepare(config)
        _identity.set_environment(self.birth.name, self.workers, uid)
        values = _identity.worker_input(list(self.request["argv"]), self.birth.name, self.workers, uid, self.watch)
        values.update(self.birth.input)
        _plugin.become_worker_config(config, values, self.watch)

    def loop(self, session: pytest.Session) -> bool | None:
        """`pytest_runtestloop`: report what was collected, wait, run."""
        from rpytest import _native

        config = session.config
        self.has_collected = True
        errors = bool(session.testsfailed and not config.option.continue_on_collection_errors)
        if self.workers == 0 or errors or not session.items:
            _plain_shard.mark(config)
            return None
        self._tell_dependencies()
        assert self.terminal is not None
        collected = describe(config, session, self.terminal, self.xml, useful(self.workers, session))
        host = self.birth.host
        # Every id, not a digest: unequal lists are shown.
        body = _wire.memfd("rpytest-inventory", collected.inventory)
        if self.birth.slot == 0 and self.birth.incarnation == 0:
            answers = self._fork_answers(collected)
            announcement = collected.announcement("bare", self.reason, False)
            data = self.news.encode(session, self.birth.wants_ids)
            news = _wire.memfd("rpytest-news", data)
            _wire.send(
                host,
                {
                    "op": "collected",
                    "announcement": announcement,
                    "len": len(collected.inventory),
                    "news_len": len(data),
                },
                [answers.fileno(), news, body],
            )
            answers.close()
            os.close(news)
        else:
            _wire.send(host, {"op": "collected", "len": len(collected.inventory)}, [body])
        os.close(body)
        message, fds = _wire.receive(host)
        if message["op"] != "go":
            return True
        (self.birth.bell,) = fds
        self.birth.timings = bool(message.get("timings"))
        segment = self.segment if self.segment is not None else _native.Segment.open(message["segment"])
        self.worker = Worker(self.birth, segment)
        _wire.send(host, {"op": "attached"})
        restart_faulthandler(config, self.birth.crash, self.birth.stacks)
        self.terminal.silence_hooks()
        if self.birth.count > 1:
            _process.detach_input()
        self.worker.enter(config, session, self.xml)
        self.worker.run()
        return True

    def _fork_answers(self, collected: Collected) -> socket.socket:
        ours, theirs = _wire.pair()
        _process.flush_streams()
        if fork_detached() == 0:
            ours.close()
            self.birth.host.close()
            _process.disarm_inherited()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                stop_capture(collected.config)
                _debug.separate(collected.config, "summary")
                answer_remotely(theirs, LocalAnswers(collected))
            except BaseException:
                # Not into pytest, which runs above here. The host notices the end of the socket.
                traceback.print_exc()
            _process.leave(3)
        theirs.close()
        return ours
