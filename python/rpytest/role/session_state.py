"""What a session is, as far as the processes that are forked from it read and write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpytest import stdlib
from rpytest.role.role import Role
from rpytest.xdist_compat import worker_identity

__builtins__ = stdlib.BUILTINS

if TYPE_CHECKING:
    from rpytest.controller.starter import ControllerStarter
    from rpytest.ipc.run_messages import RunRequest
    from rpytest.preload import session_finder
    from rpytest.staleness.dependencies import Dependencies
    from rpytest.stdlib import socket


class SessionState(Role):
    """A session's connections, its run, and what it has found out about itself."""

    def __init__(
        self,
        control: socket.socket,
        conn: socket.socket,
        request: RunRequest,
        dependencies: Dependencies,
        is_kept: bool,
    ) -> None:
        super().__init__()
        #: The session may serve other runs after its first one.
        self.is_kept = is_kept
        #: The connections to the daemon and to the command line.
        self.control = control
        self.conn = conn
        self.request = request
        self.dependencies = dependencies
        self.identity_reads = worker_identity.IdentityReads()
        #: The plugins, by identity, that were there when the arguments were parsed, initial
        #: conftests included.
        self.parsed_plugins: frozenset[int] = frozenset()
        #: `--testrunuid`.
        self.uid: str | None = None
        self.controllers: ControllerStarter | None = None
        #: Shows packages that a preload has imported.
        self.finder: session_finder.PreloadFinder | None = None

    def own_sockets(self) -> set[int]:
        """Descriptors of those that rpytest itself has open here."""
        own = {self.control.fileno(), self.conn.fileno()}
        if self.controllers is not None:
            own |= {
                part.sock.fileno()
                for part in (self.controllers.base, self.controllers.client)
                if part is not None
            }
        return own
