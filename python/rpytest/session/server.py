"""A collected session at work: for each run it forks a host, in between it prepares the next
run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from rpytest import stdlib
from rpytest.collection.collected import Collected
from rpytest.controller.client import Died, Ended
from rpytest.controller.starter import ControllerStarter
from rpytest.fixtures.closures import closures
from rpytest.fixtures.sharing import SharedFixtures
from rpytest.host.host import Host
from rpytest.host.pytest_services import LocalPytest
from rpytest.ipc import channel
from rpytest.ipc.process_messages import Accepted, Info, Learned, SessionEvent, Stale, Standby
from rpytest.ipc.run_messages import Exit, RunRequest
from rpytest.process import lifecycle, signal_handlers, takeover
from rpytest.pytest_compat import debug_log
from rpytest.pytest_compat.output import (
    park_capture,
    rebind_capture,
    restart_capture,
    restart_faulthandler,
    restart_log_file,
    truncate_log_file,
)
from rpytest.role.standby import StandbyForker, StandbySide
from rpytest.staleness import usage_graph
from rpytest.staleness.dependencies import Dependencies
from rpytest.staleness.usage_graph import UsageGraph
from rpytest.stdlib import contextlib, os, select, signal, socket, time
from rpytest.worker.crash_file import crash
from rpytest.worker.spec import WorkerForked, WorkerSpec
from rpytest.worker.worker import Worker
from rpytest.xdist_compat.worker_identity import IdentityReads

__builtins__ = stdlib.BUILTINS


#: Items prepared between two looks at the control socket.
_SLICE = 50


class Server:
    """Serves runs until the daemon lets go of the session or something it depends on has
    changed.
    """

    def __init__(
        self,
        control: socket.socket,
        conn: socket.socket,
        request: RunRequest,
        collected: Collected,
        dependencies: Dependencies,
        controllers: ControllerStarter,
        identity_reads: IdentityReads,
        graph: UsageGraph | None,
    ) -> None:
        self.control = control
        self.conn = conn
        self.request = request
        self.collected = collected
        self.dependencies = dependencies
        self.controllers = controllers
        self.identity_reads = identity_reads
        #: The shared fixtures, in a host and its workers.
        self.shared: SharedFixtures | None = None
        #: What uses what, for `--watch`; a session that was made without has no graph.
        self.graph = graph
        #: The host of the next run.
        self.standby_forker = StandbyForker()
        #: pidfds of the hosts that are still running.
        self.hosts: list[int] = []
        self.runs = 0
        self.method = "collected" if dependencies.observer.per_run is None else "imported"
        self.idle: Iterator[None] | None = None
        #: What is to be told of installed packages.
        self._lesson: Learned | None = None
        self._has_asked = False
        self.interrupt_handler = signal.getsignal(signal.SIGINT)

    def serve(self) -> NoReturn:
        """Fork a host for each run. A worker, which a host has forked, raises `WorkerForked`."""
        park_capture(self.collected.config)
        signal_handlers.park_child_handler()
        lifecycle.freeze()
        # The daemon may go at any time: what runs is finished, and no more.
        with contextlib.suppress(channel.Closed):
            self._fork_host(warm=False, fds=[])
            while True:
                self._next_run()
        self._end()

    def serve_selection(self, waiting: StandbySide | None) -> NoReturn:
        """Be the host of the one run that this process was forked for."""
        self.standby_forker.waiting = waiting
        park_capture(self.collected.config)
        signal_handlers.park_child_handler()
        self._be_host(warm=True, selection=True)

    def _next_run(self) -> None:
        """Serve one more run; raises `Closed` when there will be no other."""
        if self.dependencies.effects is not None:
            # The session will not be used again; what it started must not outlive this run.
            self._tell(Stale(reason=self.dependencies.effects, learns=self._learned() is not None))
            self._end()
        if self.idle is None:
            takeover.detach_streams()
            rebind_capture(self.collected.config)
            # faulthandler has a copy of the first run's standard error, which it lets go of here.
            restart_faulthandler(self.collected.config, 2)
            self.idle = self._prepare()
        self._wait(self.idle)
        message, fds = channel.receive(self.control, RunRequest)
        self.dependencies.hash_files()
        standby, reason = self.standby_forker.offer(message, fds, self.dependencies)
        if reason is not None:
            channel.close_all(fds)
            self._retire(reason)
        if standby is not None:
            # Before it can begin: should this process be killed in between, the run is lost and not
            # served twice.
            self._accept()
            if standby.confirm():
                self._keep(standby.pidfd, fds)
                return
            standby.end()
        if self.controllers.base is not None and not self._control(message, fds):
            return
        self.request = message
        self.conn = channel.adopt(fds[0])
        lifecycle.keep_private(self.conn)
        self._fork_host(warm=True, fds=fds[1:], is_accepted=standby is not None)

    def _control(self, message: RunRequest, fds: list[int]) -> bool:
        """Start the controller of the next run; `False`: it has ended the run."""
        status = 3
        try:
            client = self.controllers.client = self.controllers.start(message, fds[1:], fds[0])
        except Ended as ended:
            status = ended.status
        except Died:
            # A fresh session has a fresh base, or knows what is wrong.
            channel.close_all(fds)
            self._retire("the process that starts its controllers died")
        except channel.Closed:
            # The command line went away; it hears of nothing any more.
            pass
        else:
            key = self.controllers.workerinput.differs(client.inputs[0])
            if key is not None:
                # The session that follows goes on with this controller: its hooks have run.
                controller, handed = self.controllers.hand_over()
                reason = f"`config.workerinput[{key!r}]` is another value"
                with contextlib.suppress(channel.Closed):
                    channel.send(self.control, Stale(reason=reason, controller=controller), handed)
                channel.close_all([*fds, handed[-1]])
                self._end()
            return True
        self._tell(Accepted())
        with contextlib.suppress(channel.Closed), channel.adopt(fds[0]) as conn:
            channel.send(conn, Exit(status=status))
        channel.close_all(fds[1:])
        return False

    def _retire(self, reason: str) -> NoReturn:
        """Tell the daemon that this session can't be used again, and why."""
        self._tell(Stale(reason=reason))
        self._end()

    def _end(self) -> NoReturn:
        """Wait for the runs that are going on, then do what an interpreter does at its end."""
        self.standby_forker.end()
        for fd in self.hosts:
            os.waitid(os.P_PIDFD, fd, os.WEXITED)
        self._teach()
        lifecycle.run_exit_functions()
        lifecycle.exit_now(0)

    def _wait(self, idle: Iterator[None]) -> None:
        """Return when the control socket has something; reap hosts and, while nothing runs,
        prepare.
        """
        busy = may_fork = True
        while True:
            poll = select.poll()
            poll.register(self.control, select.POLLIN)
            for fd in self.hosts:
                poll.register(fd, select.POLLIN)
            self.standby_forker.register(poll)
            ready = {fd for fd, _ in poll.poll(0 if busy and not self.hosts else None)}
            for fd in ready & set(self.hosts):
                os.waitid(os.P_PIDFD, fd, os.WEXITED)
                os.close(fd)
                self.hosts.remove(fd)
            if self.standby_forker.is_lost(ready):
                # The next run does without.
                may_fork = False
            if self.control.fileno() in ready:
                return
            if self.hosts:
                continue
            busy = next(idle, False) is None
            # A controller of the next run is started by this process.
            if (
                not busy
                and may_fork
                and self.standby_forker.standby is None
                and self.controllers.base is None
            ):
                may_fork = False
                collected = self.collected
                forked = self.standby_forker.prepare(
                    collected.config, collected.session, self.dependencies, self._serve_ahead
                )
                if forked is not None:
                    self._tell(Standby(pid=forked.pid))

    def _serve_ahead(self, waiting: StandbySide) -> NoReturn:
        """Be the host of the next run, in a standby process."""
        self.control.close()
        message, fds = waiting.wait()
        self.request = message
        self.conn = channel.adopt(fds[0])
        lifecycle.keep_private(self.conn)
        self._adopt(fds[1:], waiting)
        self._be_host(warm=True)

    def _learned(self) -> Learned | None:
        """What was learned of installed packages. Not asked for before the first run has its
        process, because somebody waits for that.
        """
        if not self._has_asked:
            self._has_asked, self._lesson = True, self.collected.learn()
        return self._lesson

    def _teach(self) -> None:
        """Tell the daemon, once, which installed packages the project imports: the next session may
        find them imported.
        """
        learned, self._lesson = self._learned(), None
        if learned is not None:
            self._tell(learned)

    def _prepare(self) -> Iterator[None]:
        """What every run would have to do is done once, between runs, a little at a time."""
        self._teach()
        yield
        self.dependencies.hash_files()
        yield
        known = closures(self.collected.session)
        for index, item in enumerate(self.collected.session.items):
            # Cached by the item: a fifth of pytest's protocol for a trivial test.
            _ = item.location
            known.of(item)
            if index % _SLICE == 0:
                yield
        lifecycle.freeze()

    def _fork_host(self, warm: bool, fds: list[int], is_accepted: bool = False) -> None:
        """Fork the host of one run."""
        if not is_accepted:
            self._accept()
        lifecycle.flush_streams()

        def be_host() -> NoReturn:
            self.control.close()
            channel.close_all(self.hosts)
            lifecycle.forget_inherited_cleanups()
            if warm:
                self._adopt(fds)
            self._be_host(warm)

        pid = lifecycle.fork_into(be_host)
        self.conn.close()
        self._keep(os.pidfd_open(pid), fds)

    def _keep(self, host: int, fds: list[int]) -> None:
        """A run has its host."""
        self.hosts.append(host)
        channel.close_all(fds)
        if self.controllers.client is not None:
            self.controllers.client.close()
            self.controllers.client = None

    def _accept(self) -> None:
        """A run is taken; the daemon knows all about it before it can be over."""
        self._tell(Accepted())
        self.runs += 1
        self._tell(
            Info(
                tests=len(self.collected.session.items),
                root=str(self.collected.config.rootpath),
                runs=self.runs,
                method=self.method,
                last=time.time(),
            )
        )

    def _tell(self, message: SessionEvent) -> None:
        """Say something to the daemon. When it was killed, the run goes on all the same."""
        with contextlib.suppress(channel.Closed):
            channel.send(self.control, message)

    def _adopt(self, fds: list[int], waiting: StandbySide | None = None) -> None:
        """Take over what may differ between two runs of one session."""
        takeover.adopt_streams(fds)
        # All other variables are the same, or it would be another session; a conftest may have set
        # or removed some since.
        takeover.adopt_noise(self.request.variables)
        takeover.adopt_affinity(self.request.affinity)
        if waiting is not None:
            waiting.confirmed()
        if self.controllers.client is None:
            truncate_log_file(self.collected.config)

    def _be_host(self, warm: bool, selection: bool = False) -> NoReturn:
        """Serve the run, and end with it. A worker raises `WorkerForked`."""
        with contextlib.suppress(channel.Closed):
            self._host(warm, selection).run()
        # The command line was gone before the run had begun.
        lifecycle.run_exit_functions()
        lifecycle.exit_now(0)

    def _host(self, warm: bool, selection: bool) -> Host:
        if self.request.watch:
            usage_graph.send_dependencies(self.conn, self.dependencies, self.graph)
        services = LocalPytest(self.collected)
        if warm and not selection:
            # Why it was collected was said in its first run.
            self.collected.how = None
        announcement = self.collected.announcement(
            self.method, self.dependencies.observer.per_run, warm
        )
        client = self.controllers.client
        if self.controllers.base is not None:
            self.controllers.base.close()
        if client is not None:
            announcement.options.testrunuid = self.controllers.uid
        if warm:
            services.summary.restart_clock()
            if not selection:
                services.summary.cache.reload()
        if services.summary.cache.has_failures():
            # Passing tests must be taken out of pytest's cache.
            announcement.options.needs_report = True
        host = Host(self.conn, announcement, self.collected.inventory, services, client)
        if self.standby_forker.waiting is not None:
            host.at_end = self.standby_forker.waiting.note
        shared = SharedFixtures(
            self.collected,
            services.base_temp,
            services.crashed,
            self.request,
            self.identity_reads,
            self.interrupt_handler,
            host.uid,
        )
        self.shared = host.shared = shared
        if client is not None:
            host.collection_log = self.collected.collection_log.encode(
                self.collected.session, client.wants_ids
            )
        return host

    def become_worker(self, forked: WorkerForked) -> Worker:
        """Let go of the host in a forked worker, where pytest goes on."""
        try:
            self._leave_host(forked.spec)
            return Worker(forked.spec, forked.segment)
        except BaseException as error:
            crash(forked.spec, error)

    def _leave_host(self, spec: WorkerSpec) -> None:
        """Share nothing with the worker's siblings that must not be shared."""
        lifecycle.forget_inherited_cleanups()
        if self.shared is not None:
            self.shared.detach()
        # The host ignored it; other handlers are those that a conftest may have installed.
        signal.signal(signal.SIGINT, self.interrupt_handler)
        signal_handlers.restore_child_handler()
        config = self.collected.config
        if spec.count > 1:
            takeover.detach_input()
        restart_capture(config)
        restart_faulthandler(config, spec.crash, spec.stacks)
        restart_log_file(config)
        debug_log.separate(config, spec.name, again=spec.incarnation > 0)
        self.collected.terminal.silence_hooks()
