"""What a process is while pytest runs in it, and what all of them have in common: sessions, `bare`
workers, controllers.

Each of them calls pytest's own main function; the plugin's hooks decide what becomes of it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.config import ExitCode

from rpytest import __version__, stdlib
from rpytest.collection.collection_log import CollectionLog
from rpytest.controller.controller import Controller
from rpytest.options import comparison, meaning, option_reads
from rpytest.process import lifecycle, signal_handlers
from rpytest.project.locations import PACKAGE
from rpytest.reports.junit import CollectingXML, install_junit
from rpytest.reports.terminal import Terminal
from rpytest.role import pytest_plugin
from rpytest.stdlib import traceback
from rpytest.xdist_compat import xdist_fixtures

__builtins__ = stdlib.BUILTINS


if TYPE_CHECKING:
    from collections.abc import Iterator

    from rpytest.controller.base import ControllerStart
    from rpytest.worker.worker import Worker


class Role:
    """What a process in the worker role has while pytest runs in it."""

    #: Among processes that collect the same, the one that speaks for all.
    is_first = True

    def __init__(self) -> None:
        self.terminal: Terminal | None = None
        self.xml: CollectingXML | None = None
        self.worker: Worker | None = None
        self.controller: Controller | None = None
        self.collection_log = CollectionLog()
        #: Workers that were asked for.
        self.workers = 0
        self.has_collected = False
        self.session: pytest.Session | None = None

    def run_pytest(self, argv: list[str], plugin: pytest_plugin.RpytestPlugin) -> int:
        """Run pytest's main function; what escapes from it (a hook at the very end, `sys.exit`) is
        shown as the interpreter would show it.
        """
        try:
            signal_handlers.let_interrupts_in()
            return int(
                run_pytest(argv, [plugin, xdist_fixtures, self.collection_log, RoleHooks(self)])
            )
        except BaseException as error:
            status = _escaped(error, self.has_collected)
            if self.controller is not None and status == 0:
                # `sys.exit(0)` in a hook at the end does not make failures good.
                return self.controller.status_of_tests()
            if self.worker is not None and status:
                self.worker.abort(status)
            if self.worker is None and status == 0 and self.session is not None:
                # Neither does it where pytest itself runs.
                return int(self.session.exitstatus)
            return status

    def configured(self, config: pytest.Config) -> None:
        """pytest and its plugins are configured, the session begins."""

    def started(self, session: pytest.Session) -> None:
        """The session is there, nothing is collected yet."""

    def become_controller(
        self, config: pytest.Config, start: ControllerStart, arguments: list[str]
    ) -> None:
        """Let pytest run as a controller from here on, in a fork of the base."""
        message = start.message
        if message.argv is not None and message.argv != arguments:
            # The run has another command line than the base, and its session has accepted that.
            known = comparison.ParsedCommandLine(config, arguments)
            arguments = list(message.argv)
            different = known.compare(arguments, counted=False)
            comparison.apply(config, arguments, different, *known.resolve(different))
            meaning.settle_options(config)
        self.controller = Controller(start, message.workers, message.uid, arguments)
        self.controller.enter(config)


class RoleHooks:
    """The hooks of a process in the worker role before it works."""

    def __init__(self, role: Role) -> None:
        self.role = role

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """After pytest's own plugins: redirect the terminal reporter, create the junit writer."""
        if hasattr(config, "workerinput"):
            self.role.terminal = Terminal(config)
            self.role.xml = install_junit(config, self.role.is_first)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """After everybody has configured itself."""
        self.role.session = session
        if self.role.terminal is not None:
            self.role.terminal.session = session
            self.role.terminal.renew()
        self.role.configured(session.config)
        self.role.started(session)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_report_header(self) -> Iterator[None]:
        """Note separately which options are read for the header: a run with other values writes it
        anew, so they are no dependency.
        """
        with option_reads.reads.for_header():
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """What was written so far is the header of every run."""
        if self.role.terminal is not None:
            self.role.terminal.end_header()


def useful(workers: int, session: pytest.Session) -> int:
    """No more workers than tests, unless each worker runs them all."""
    each = session.config.option.rpytest_dist == "each"
    return workers if each else min(workers, len(session.items))


def run_pytest(args: list[str], plugins: list[object]) -> int | ExitCode:
    """`pytest.main` under the name of our program."""
    import _pytest.config as implementation

    if any(arg == "--version" or (arg.startswith("-V") and not arg.strip("-V")) for arg in args):
        sys.stdout.write(f"rpytest {__version__}\n")
        sys.stdout.flush()
    main: Any = getattr(implementation, "_main", None)
    if main is not None:
        return main(args=args, plugins=plugins, prog="rpytest")  # type: ignore[no-any-return]
    return pytest.main(args, plugins=plugins)


def _escaped(error: BaseException, has_collected: bool) -> int:
    """Print an exception that ended pytest's main function; returns the exit status that the
    interpreter would give.
    """
    flush = lifecycle.flush_streams
    flush()
    trace = error.__traceback__
    while (
        trace is not None
        and trace.tb_next is not None
        and trace.tb_frame.f_code.co_filename.startswith(PACKAGE)
    ):
        # Ours: of no use to whoever wrote the hook.
        trace = trace.tb_next
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            status = (error.code or 0) & 0xFF
        else:
            sys.stderr.write(f"{error.code}\n")
            status = ExitCode.TESTS_FAILED
        if status == 0 and not has_collected:
            # No test has run: that is no success.
            place = traceback.extract_tb(error.__traceback__)[-1]
            sys.stderr.write(
                "error: `sys.exit` was called before the tests were collected, at "
                f"{place.filename}:{place.lineno}\n"
            )
            sys.stderr.write("hint: raise `pytest.exit` or `pytest.skip` there instead\n")
            status = ExitCode.INTERNAL_ERROR
    elif isinstance(error, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
        status = ExitCode.INTERRUPTED
    else:
        traceback.print_exception(type(error), error, trace)
        status = ExitCode.TESTS_FAILED
    flush()
    return int(status)
