"""pytest's own run of a shard: without workers it is pytest that runs the tests of one machine."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING

import pytest

from rpytest import stdlib
from rpytest.ipc import channel
from rpytest.ipc.run_messages import ShardAnswer, ShardQuestion, ShardReply
from rpytest.options.sharding import KEY
from rpytest.stdlib import json, os

if TYPE_CHECKING:
    import socket

    from rpytest.ipc.run_messages import Shard, ShardShare

__builtins__ = stdlib.BUILTINS


def mark(config: pytest.Config) -> None:
    """The run ends without a test: say in its junit file of which shard it is."""
    shard = config.stash.get(KEY, None)
    if shard is not None:
        _add_properties(config, [("rpytest.shard", f"{shard.index}/{shard.total}")])


def _add_properties(config: pytest.Config, properties: Iterable[Sequence[str]]) -> None:
    from _pytest.junitxml import xml_key

    xml = config.stash.get(xml_key, None)
    if xml is not None:
        for name, value in properties:
            xml.add_global_property(name, value)


class ShardWithoutWorkers:
    """A plugin for the plain role, in which pytest itself runs the tests: leaves it only the
    shard's.
    """

    def __init__(self, conn: socket.socket, shard: Shard) -> None:
        self.conn = conn
        self.shard = shard
        self.notice = ""
        self.is_empty = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """After all other plugins have chosen and ordered."""
        yield
        if not items:
            mark(config)
            return
        share = self._ask(config, items)
        chosen = set(share.tests)
        others = [item for index, item in enumerate(items) if index not in chosen]
        items[:] = [items[index] for index in share.tests]
        self.is_empty = not items
        self.notice = share.notice
        if others:
            config.hook.pytest_deselected(items=others)
        _add_properties(config, share.properties)

    def _ask(self, config: pytest.Config, items: list[pytest.Item]) -> ShardShare:
        from rpytest.collection.collected import inventory

        body = inventory(items, config.option.rpytest_dist, 0)
        fd = channel.memfd("rpytest-inventory", body)
        channel.send(
            self.conn,
            ShardQuestion(
                shard=self.shard,
                rootdir=str(config.rootpath),
                tests=len(items),
                inventory_len=len(body),
            ),
            [fd],
        )
        os.close(fd)
        message, fds = channel.receive(self.conn, ShardAnswer)
        answer = ShardReply.parse(json.loads(channel.read_all(fds[0], message.len)))
        channel.close_all(fds)
        if answer.share is None:
            raise pytest.UsageError(answer.error)
        return answer.share

    def pytest_report_collectionfinish(self, config: pytest.Config) -> list[str]:
        """Say what the shard is."""
        return [self.notice] if self.notice and config.option.verbose >= 0 else []

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A shard without tests is no failure."""
        if self.is_empty and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK
