"""A session: pytest configured as a worker and collected once, kept warm, forked into a host for
each run.

The process is a fork of the daemon. It calls pytest's own main function; the plugin's hooks decide
the role, and the session lives *inside* `pytest_runtestloop`: a forked worker continues from there
as an ordinary pytest process would.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

import pytest
from _pytest.config import ExitCode

from rpytest import stdlib
from rpytest.collection import shard_without_workers
from rpytest.collection.collected import AFRESH, describe
from rpytest.controller.base import ControllerStart, fork_base
from rpytest.controller.client import ControllerClient, Died, Ended
from rpytest.controller.starter import ControllerStarter
from rpytest.ipc import channel
from rpytest.ipc.channel import send_refusal
from rpytest.ipc.process_messages import Bare, Learned, Over, Plain
from rpytest.ipc.run_messages import Report
from rpytest.options import meaning, option_reads, sharding
from rpytest.preload import import_steps, session_finder
from rpytest.process import inspection, lifecycle, process_bound, signal_handlers
from rpytest.project import locations
from rpytest.pytest_compat import debug_log, known_plugins
from rpytest.pytest_compat.cache_plugins import save_without_run
from rpytest.pytest_compat.hooks import finish_session_without_tests
from rpytest.reports.terminal import Terminal
from rpytest.role import pytest_plugin
from rpytest.role.entry import finish_plain, take_over_command_line
from rpytest.role.role import useful
from rpytest.role.session_state import SessionState
from rpytest.selection.checkpoint import Checkpoint
from rpytest.session.server import Server
from rpytest.staleness import per_run, usage_graph
from rpytest.staleness.dependencies import Dependencies
from rpytest.stdlib import contextlib, socket
from rpytest.worker.spec import WorkerForked
from rpytest.xdist_compat import worker_identity

__builtins__ = stdlib.BUILTINS


if TYPE_CHECKING:
    from rpytest.ipc.process_messages import HandedOver
    from rpytest.ipc.run_messages import RunRequest
    from rpytest.preload.builder import PreloadBuilder
    from rpytest.selection.selected_run import SelectedRun


class Session(SessionState):
    """One collected session, in a process of its own."""

    def __init__(
        self,
        control: socket.socket,
        conn: socket.socket,
        request: RunRequest,
        dependencies: Dependencies,
        is_kept: bool,
    ) -> None:
        super().__init__(control, conn, request, dependencies, is_kept)
        self.checkpoint: Checkpoint | None = None
        #: Since the first run was one of `--watch`.
        self.graph: usage_graph.UsageGraph | None = None
        #: Workers run the tests: another role can't be watched.
        self.is_watchable = True
        if request.watch:
            self.graph = usage_graph.UsageGraph()
            self.graph.start()
        #: `--debug`: the file.
        self.debug: str | None = None
        #: A controller that another process has started for the first run.
        self.handed_over: tuple[HandedOver, list[int]] | None = None
        #: Modules that every session has from the daemon, and where installed ones lie.
        self.given = frozenset(sys.modules)
        self.inside = locations.installed_folders()

    @property
    def selection(self) -> SelectedRun | None:
        """The run that this process is, if a checkpoint has forked it."""
        return None if self.checkpoint is None else self.checkpoint.selection

    # pytest's life cycle

    def main(self) -> NoReturn:
        """Run pytest in this process: to the end (plain role), or until it serves runs (and, in a
        fork, works).
        """
        request = self.request
        plugin = pytest_plugin.RpytestPlugin(
            request,
            self.decide,
            self.loop,
            option_reads.observe if self.is_kept else lambda _: None,
        )
        status = self.run_pytest(list(request.argv), plugin)
        try:
            self._ended(status)
        except KeyboardInterrupt:
            if self.worker is not None or self.controller is not None:
                signal_handlers.die_of_interrupt()
            # pytest has said all there is to say.
            finish_plain(self.conn, self.control, int(ExitCode.INTERRUPTED))

    def _ended(self, status: int) -> NoReturn:
        """pytest's main function has returned."""
        if self.controller is not None:
            self.controller.end(status)
        if self.worker is not None:
            self.worker.finish(status)
        if self.selection is not None:
            self.selection.confirm()
        if self.terminal is not None and self.terminal.session is not None:
            save_without_run(self.terminal.session)
        client = self.controllers.client if self.controllers is not None else None
        if client is not None:
            status = self.end_alone(client, status)
        elif self.terminal is not None:
            self.terminal.release()
        # No test has run: whatever is mended next is among these.
        self.tell_dependencies()
        finish_plain(self.conn, self.control, status)

    def decide(self, config: pytest.Config) -> None:
        """Take the worker role, or leave everything to pytest."""
        self.workers = 0 if meaning.wants_plain(config) else meaning.workers(config, self.request)
        if self.workers == 0:
            meaning.refuse_workers_options(config, self.request)
            self.is_watchable = False
            meaning.refuse_watch(config, self.request)
            with contextlib.suppress(channel.Closed):
                channel.send(self.control, Plain())
            shard = config.stash.get(sharding.KEY, None)
            if shard is not None:
                config.pluginmanager.register(
                    shard_without_workers.ShardWithoutWorkers(self.conn, shard)
                )
            return
        self.parsed_plugins = frozenset(map(id, config.pluginmanager.get_plugins()))
        method = config.option.start_method or self.request.start_method
        self.uid = config.option.testrunuid
        self.debug = getattr(config.option, "debug", None)
        debug_log.prepare(config)
        if method == "bare":
            self._fall_back("asked for")
        self.dependencies.observer.before_effect = lambda event, args: self._before_effect(
            config, event, args
        )
        if method == "imported":
            self.dependencies.observer.per_run = "asked for"
        threads = inspection.python_threads()
        if threads:
            # Threads would be missing in a controller, too, which is forked here.
            self._fall_back(f"a thread is alive before collection ({', '.join(threads[:3])})")
        start = None
        try:
            base = fork_base(config, [self.control, self.conn])
        except ControllerStart as raised:
            start = raised.with_traceback(None)
        if start is not None:
            debug_log.separate(config, "controller")
            self.become_controller(config, start, list(self.request.argv))
            return
        uid = config.option.testrunuid or "0"
        # Until workers exist the identity is a placeholder; who looks at it is noticed.
        worker_identity.set_environment("gw0", self.workers, uid)
        workerinput = worker_identity.worker_input(
            list(self.request.argv), "gw0", self.workers, uid, self.identity_reads
        )
        known_plugins.prepare_session(config, self.identity_reads)
        self.controllers = ControllerStarter(
            base, self.workers, self.uid, workerinput, self.conn.fileno(), self.end_early
        )
        if self.handed_over is not None:
            message, fds = self.handed_over
            self.handed_over = None
            self.controllers.go_on_with(
                ControllerClient.take_over(message, fds, self.conn.fileno()), message.uid
            )
        worker_identity.become_worker_config(config, workerinput, self.identity_reads)
        option_reads.observe_argv(config)

    def started(self, session: pytest.Session) -> None:
        """The session has begun: prepare for runs with other arguments."""
        if self.controllers is not None and self.is_kept:
            self.checkpoint = Checkpoint(self, session)

    def use(self, preload: PreloadBuilder) -> None:
        """Take over from the preload that this process was forked from."""
        self.dependencies.inherit(preload.dependencies)
        self.finder = session_finder.PreloadFinder(preload, self._start_over)
        self.finder.read = self.dependencies.variables

    def _start_over(self, reason: str, names: list[str]) -> NoReturn:
        """Nothing that was preloaded can be used with what the project does: a fresh session does
        without.
        """
        controller, fds = self._handed_over()
        lifecycle.run_exit_functions()
        with contextlib.suppress(channel.Closed):
            channel.send(self.control, Over(reason=reason, names=names, controller=controller), fds)
        lifecycle.exit_now(0)

    def learned(self) -> Learned | None:
        """Installed modules that were imported here, if the preload doesn't know of all of them."""
        found = import_steps.installed(self.dependencies.observer.imports, self.given, self.inside)
        known = self.finder.preload.wanted if self.finder is not None else {}
        if self.session is None or all(name in known for name in found):
            return None
        tried = [name for name in self.dependencies.observer.imports if name not in sys.modules]
        return Learned(modules=found, tried=tried, root=str(self.session.config.rootpath))

    def configured(self, config: pytest.Config) -> None:
        """Before `pytest_sessionstart` of others: they must find what the controller has for
        them.
        """
        if self.finder is not None:
            self.finder.check_modules()
        if self.controllers is not None:
            if self.identity_reads.reader is not None:
                # Known before anything of the session has begun.
                self._fall_back(self.identity_reads.reader)
            self.controllers.start_if_needed(config, self.identity_reads)

    def loop(self, session: pytest.Session) -> bool | None:
        """`pytest_runtestloop`: serve runs; returns in a worker when it has run its tests."""
        config = session.config
        self.has_collected = True
        if self.controller is not None:
            self.dependencies.observer.stop()
            return self.controller.loop(session)
        if self.finder is not None:
            self.finder.check_modules()
            self.finder.stop_refusing()
        if self.controllers is None:
            # pytest itself runs the tests.
            self.dependencies.observer.stop()
            return None
        require_reporter(config, self.terminal)
        errors = bool(session.testsfailed and not config.option.continue_on_collection_errors)
        if errors or not session.items:
            # pytest's own loop says what is to be said.
            shard_without_workers.mark(config)
            return None
        self.identity_reads.active = False
        option_reads.end(config)
        self.dependencies.observer.stop()
        if self.graph is not None:
            self.graph.stop()
        if self.selection is None:
            self.dependencies.snapshot(config, session)
        obstacle = self.identity_reads.reader or self.controllers.obstacle()
        if obstacle is not None:
            self._fall_back(obstacle)
        threads = inspection.python_threads()
        if threads:
            self._fall_back(f"a thread is alive after collection ({', '.join(threads[:3])})")
        if inspection.interval_timers():
            # Forks don't have the timer of `signal.alarm`, for example.
            self._fall_back("an interval timer runs after collection")
        children = inspection.child_processes()
        if children:
            # The first worker to finish its session may end it, and the others still need theirs.
            finish_session_without_tests(session)
            self._fall_back(f"a process runs after collection ({', '.join(children[:3])})")
        opened = inspection.shared_when_forked(self.own_sockets())
        if opened is not None:
            self._fall_back(f"{opened} is open after collection")
        refusing = process_bound.process_bound_object()
        if refusing is not None:
            self._fall_back(
                f"{refusing}, made while the tests were collected, works only in the "
                "process that made it"
            )
        if self.selection is not None:
            self.selection.confirm()
        self.workers = useful(self.workers, session)
        assert self.terminal is not None
        collected = describe(config, session, self.terminal, self.xml, self.workers)
        collected.collection_log = self.collection_log
        collected.learn = self.learned
        if self.selection is not None:
            collected.how = self.selection.how
        elif self.request.afresh is not None:
            collected.how = AFRESH.format(self.request.afresh)
        server = Server(
            self.control,
            self.conn,
            self.request,
            collected,
            self.dependencies,
            self.controllers,
            self.identity_reads,
            self.graph,
        )
        selection = self.selection
        try:
            if selection is None:
                server.serve()
            else:
                server.serve_selection(selection.waiting)
        except WorkerForked as raised:
            forked = raised.with_traceback(None)
        # The `except` clause is left first: a test may look at the exception that is dealt with.
        worker = self.worker = server.become_worker(forked)
        worker.configure(config, session, self.xml)
        worker.run()
        return True

    def _fall_back(self, reason: str) -> NoReturn:
        """This session can't be forked into workers: they must be started in the `bare` way."""
        # No exception is raised: pytest would report it as an internal error.
        self.dependencies.observer.before_effect = None
        self.tell_dependencies()
        lifecycle.run_exit_functions()
        if self.selection is not None:
            self.selection.hand_back(reason)
        try:
            controller, fds = self._handed_over()
            bare = Bare(
                reason=reason,
                workers=self.workers,
                uid=self.uid,
                debug=self.debug,
                files=self.dependencies.project_files(),
                controller=controller,
            )
            channel.send(self.control, bare, fds)
        except channel.Closed:
            # Killed: nobody is left to fork the workers.
            send_refusal(
                self.conn,
                "the daemon ended before it could start the workers",
                "run it again; a new daemon starts by itself",
            )
        lifecycle.exit_now(0)

    def _handed_over(self) -> tuple[HandedOver | None, list[int]]:
        """The controller that is there for this run, for the process that goes on with the run in
        the place of this one.
        """
        if self.controllers is not None:
            return self.controllers.hand_over()
        return self.handed_over or (None, [])

    def _before_effect(self, config: pytest.Config, event: str, args: tuple[object, ...]) -> None:
        """A hook at the session's start is about to do something that each worker is to do for
        itself, and to end for itself: nothing is done yet.
        """
        if not self.has_collected and self.controller is None:
            reason = per_run.of_each_worker(config, event, args)
            if reason is not None:
                self._fall_back(reason)

    def own_sockets(self) -> set[int]:
        """See :class:`SessionState`."""
        own = super().own_sockets()
        if self.selection is not None:
            own.add(self.selection.control.fileno())
        return own

    def tell_dependencies(self) -> None:
        """Tell the command line, for `--watch`, what the session was made from."""
        if self.request.watch and self.is_watchable:
            usage_graph.send_dependencies(self.conn, self.dependencies, self.graph)

    def end_alone(self, client: ControllerClient, status: int) -> int:
        """pytest ended before any worker was needed (nothing collected, errors, an interrupt): so
        does the controller, with its hooks.
        """
        if self.terminal is not None and not client.is_live:
            self.terminal.release()
            lifecycle.flush_streams()
        try:
            session = self.terminal.session if self.terminal is not None else None
            if session is not None:
                client.collected(self.collection_log.encode(session, client.wants_ids), 0)
            status, _, _ = client.conclude(Report(status=status, alone=True), b"")
        except Ended as ended:
            status = ended.status
        except (KeyboardInterrupt, channel.Closed):
            client.kill()
            status = int(ExitCode.INTERRUPTED)
        except Died as error:
            sys.stderr.write(f"error: {error}\n")
            status = int(ExitCode.INTERNAL_ERROR)
        return status

    def end_early(self, status: int, error: str) -> NoReturn:
        """The controller ended while it configured itself, and has said why."""
        if error:
            sys.stderr.write(f"error: {error}\n")
        finish_plain(self.conn, self.control, status)


def require_reporter(config: pytest.Config, terminal: Terminal | None) -> None:
    """Refuse a plugin that has taken the terminal reporter away: it means to draw everything
    itself, as one process sees it.
    """
    had = terminal is not None and terminal.reporter is not None
    if had and not config.pluginmanager.hasplugin("terminalreporter"):
        raise pytest.UsageError(
            "a plugin has removed pytest's terminal reporter, so it can't be told of what "
            "workers do\n"
            "hint: `-n 0` runs pytest itself; or leave the option out that asks for the "
            "plugin's output (`--rich`?)"
        )


def session_main(
    control: socket.socket,
    conn: socket.socket,
    request: RunRequest,
    fds: list[int],
    is_kept: bool,
    preload: PreloadBuilder | None = None,
    controller: tuple[HandedOver, list[int]] | None = None,
) -> NoReturn:
    """Entry of a process that was forked from the daemon, or from a preload, for one (root,
    arguments, environment).

    ``is_kept``: for more than one run. ``controller``: one that is there already for this run.
    """
    dependencies = Dependencies(request.variables)
    lifecycle.keep_private(control)
    session = Session(control, conn, request, dependencies, is_kept)
    session.handed_over = controller
    session.identity_reads.variables = dependencies.variables
    take_over_command_line(request, fds, conn)
    if preload is not None:
        session.use(preload)
    dependencies.observer.start()
    # Before pytest begins: a conftest of the rootdir is imported before anything is known about
    # workers.
    worker_identity.watch_environment(session.identity_reads)
    session.main()
