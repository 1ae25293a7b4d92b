"""A worker of the `bare` start method: it configures and collects by itself before there is a
plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from rpytest import stdlib
from rpytest.bare.remote_services import serve_pytest
from rpytest.collection import shard_without_workers
from rpytest.collection.collected import Collected, describe
from rpytest.host.pytest_services import LocalPytest
from rpytest.ipc import channel
from rpytest.ipc.process_messages import (
    BareAttached,
    BareCollected,
    BareDependencies,
    BareEnded,
    BareGo,
    BareOrder,
    Resolved,
)
from rpytest.options import meaning
from rpytest.process import lifecycle, takeover
from rpytest.pytest_compat import debug_log
from rpytest.pytest_compat.output import restart_faulthandler, stop_capture
from rpytest.role import pytest_plugin
from rpytest.role.role import Role, useful
from rpytest.staleness import usage_graph
from rpytest.staleness.dependencies import Dependencies
from rpytest.stdlib import contextlib, os, signal, socket
from rpytest.worker.spec import WorkerSpec
from rpytest.worker.worker import Worker
from rpytest.xdist_compat import worker_identity

if TYPE_CHECKING:
    from rpytest import _native
    from rpytest.ipc.run_messages import RunRequest

__builtins__ = stdlib.BUILTINS


class BareWorker(Role):
    """A worker that configures and collects by itself, then waits for the segment."""

    def __init__(
        self,
        spec: WorkerSpec,
        request: RunRequest,
        argv: list[str],
        reason: str,
        segment: _native.Segment | None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.argv = argv
        self.is_first = spec.slot == 0 and spec.incarnation == 0
        self.request = request
        self.reason = reason
        # A replacement inherits the host's mapping; the first workers exist before there is a
        # segment.
        self.segment = segment
        self.identity_reads = worker_identity.IdentityReads()
        self.identity_reads.active = False
        #: With `--watch`, in the worker that speaks for all.
        self.graph: usage_graph.UsageGraph | None = None
        self.dependencies = Dependencies()
        if request.watch and self.is_first:
            self.graph = usage_graph.UsageGraph()
            self.graph.start()
            self.dependencies.observer.start()

    def _tell_dependencies(self) -> None:
        self.dependencies.observer.stop()
        if self.graph is not None:
            self.graph.stop()
            usage_graph.send_dependencies(
                self.spec.host, self.dependencies, self.graph, BareDependencies
            )
            self.graph = None

    def main(self) -> NoReturn:
        """Run pytest; the role's hooks do the rest."""
        # Before pytest begins, as under pytest-xdist: a conftest of the rootdir is imported before
        # arguments are resolved.
        worker_identity.set_environment(self.spec.name, self.spec.count, self.spec.uid)
        plugin = pytest_plugin.RpytestPlugin(self.request, self.decide, self.loop)
        status = self.run_pytest(self.argv, plugin)
        if self.worker is not None:
            self.worker.finish(status)
        text = ""
        collection_log = b""
        if self.terminal is not None:
            if self.terminal.session is not None:
                collection_log = self.collection_log.encode(self.terminal.session, False)
            if self.spec.slot == 0:
                # A terminal reporter of a plugin's is the controller's.
                if not self.spec.is_live:
                    self.terminal.release()
            else:
                # The host shows this text if worker 0 has nothing to complain about.
                text = self.terminal.take()
        self._tell_dependencies()
        lifecycle.run_exit_functions()
        with contextlib.suppress(channel.Closed):
            body = channel.memfd("rpytest-news", collection_log)
            channel.send(
                self.spec.host, BareEnded(status=status, text=text, len=len(collection_log)), [body]
            )
        lifecycle.exit_now(0)

    def decide(self, config: pytest.Config) -> None:
        """`pytest_cmdline_main`: tell the host how many workers there are, and be one."""
        self.workers = 0 if meaning.wants_plain(config) else meaning.workers(config, self.request)
        if self.workers == 0:
            return
        uid = config.option.testrunuid or self.spec.uid
        channel.send(self.spec.host, Resolved(workers=self.workers, uid=uid))
        self.spec.count, self.spec.uid = self.workers, uid
        debug_log.prepare(config)
        worker_identity.set_environment(self.spec.name, self.workers, uid)
        values = worker_identity.worker_input(
            list(self.request.argv), self.spec.name, self.workers, uid, self.identity_reads
        )
        values.update(self.spec.input)
        worker_identity.become_worker_config(config, values, self.identity_reads)

    def loop(self, session: pytest.Session) -> bool | None:
        """`pytest_runtestloop`: report what was collected, wait, run."""
        from rpytest import _native

        config = session.config
        self.has_collected = True
        errors = bool(session.testsfailed and not config.option.continue_on_collection_errors)
        if self.workers == 0 or errors or not session.items:
            shard_without_workers.mark(config)
            return None
        self._tell_dependencies()
        assert self.terminal is not None
        collected = describe(
            config, session, self.terminal, self.xml, useful(self.workers, session)
        )
        host = self.spec.host
        # Every id, not a digest: unequal lists are shown.
        body = channel.memfd("rpytest-inventory", collected.inventory)
        if self.spec.slot == 0 and self.spec.incarnation == 0:
            services = self._fork_answers(collected)
            announcement = collected.announcement("bare", self.reason, False)
            data = self.collection_log.encode(session, self.spec.wants_ids)
            collection_log = channel.memfd("rpytest-news", data)
            channel.send(
                host,
                BareCollected(
                    announcement=announcement, len=len(collected.inventory), log_len=len(data)
                ),
                [services.fileno(), collection_log, body],
            )
            services.close()
            os.close(collection_log)
        else:
            channel.send(host, BareCollected(len=len(collected.inventory)), [body])
        os.close(body)
        message, fds = channel.receive(host, BareOrder)
        if not isinstance(message, BareGo):
            return True
        (self.spec.bell,) = fds
        self.spec.timings = message.timings
        segment = (
            self.segment if self.segment is not None else _native.Segment.open(message.segment)
        )
        self.worker = Worker(self.spec, segment)
        channel.send(host, BareAttached())
        restart_faulthandler(config, self.spec.crash, self.spec.stacks)
        self.terminal.silence_hooks()
        if self.spec.count > 1:
            takeover.detach_input()
        self.worker.configure(config, session, self.xml)
        self.worker.run()
        return True

    def _fork_answers(self, collected: Collected) -> socket.socket:
        ours, theirs = channel.pair()
        lifecycle.flush_streams()

        def answer() -> None:
            ours.close()
            self.spec.host.close()
            lifecycle.forget_inherited_cleanups()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            stop_capture(collected.config)
            debug_log.separate(collected.config, "summary")
            serve_pytest(theirs, LocalPytest(collected))

        # If it fails, the host notices the end of the socket.
        lifecycle.fork_detached_into(answer)
        theirs.close()
        return ours
