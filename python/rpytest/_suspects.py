"""A test has failed that uses a session fixture which all workers share: that may be why, and nothing else in the output would say so.

Under pytest-xdist each worker has its own. A database file, a folder, or a name made from `os.getpid()` is private there and is one for all here: tests that
write to it meet. See ``docs/session-fixtures.md``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rpytest import _real, _record
from rpytest._closures import closures
from rpytest._real import os
from rpytest._reporter import split_bodies

__builtins__ = _real.BUILTINS


if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

#: Files that are looked at for one fixture; failed tests that are looked at, and that are named.
_MOST_FILES = 2000
_MOST_TESTS = 1000
_NAMED = 3

#: Of a file or folder: inode, size, modification time in nanoseconds.
State = tuple[int, int, int]


class Belongings:
    """The files and folders that set-ups of shared fixtures have made below the run's temporary folder, as they were then."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known = self._entries()
        self._of: dict[str, dict[str, State]] = {}

    def _entries(self) -> set[str]:
        try:
            return set(os.listdir(self._root))
        except OSError:
            return set()

    def made_by(self, name: str) -> None:
        """The fixture ``name`` has been set up: what is new is its own."""
        now = self._entries()
        new, self._known = now - self._known, now
        if new:
            self._of.setdefault(name, {}).update(_states(os.path.join(self._root, entry) for entry in sorted(new)))

    def written_to(self) -> dict[str, str]:
        """For each fixture, something of its own that has been changed since."""
        found = {}
        for name, before in self._of.items():
            now = _states(path for path in before if os.path.dirname(path) == str(self._root))
            changed = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
            # Rather a file than the folder that it is new in.
            if changed:
                found[name] = next((path for path in changed if os.path.isfile(path)), changed[-1])
        return found


def _states(paths: Iterable[str]) -> dict[str, State]:
    found: dict[str, State] = {}
    for path in _below(paths):
        if len(found) == _MOST_FILES:
            break
        try:
            status = os.lstat(path)
        except OSError:
            continue
        found[path] = status.st_ino, status.st_size, status.st_mtime_ns
    return found


def _below(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        yield path
        if os.path.isdir(path) and not os.path.islink(path):
            try:
                yield from _below(entry.path for entry in sorted(os.scandir(path), key=lambda entry: entry.name))
            except OSError:
                continue


def suspects(
    session: pytest.Session, bodies: memoryview, shared: Collection[object], written: dict[str, str], workers: int
) -> list[str]:
    """What is to be said of the failed tests that use one of the ``shared`` fixtures, if there are any.

    ``bodies``: the records of the run; ``written``: what tests have written to, by the name of the fixture that has made it.
    """
    ids = {id(definition) for definition in shared}
    known = closures(session)
    names: dict[str, None] = {}
    tests: dict[int, str] = {}
    looked_at = 0
    for test, flags, kind, _, _, body in split_bodies(bodies):
        if kind != _record.TEST or flags & _record.PLAIN or not _has_failed(body):
            continue
        item = session.items[test % len(session.items)]
        used = [definition.argname for definition, _ in known.of(item) if id(definition) in ids]
        if used:
            names.update(dict.fromkeys(used))
            tests[test] = item.nodeid
        looked_at += 1
        if looked_at == _MOST_TESTS:
            break
    if not tests:
        return []
    made = [name for name in names if name in written]
    ordered = [name for _, name in sorted(tests.items())]
    some = ", ".join([*ordered[:_NAMED], *(["…"] if len(ordered) > _NAMED else [])])
    what = "session fixture" if len(names) == 1 else "session fixtures"
    lines = [
        f"failed tests use the {what} {', '.join(f'`{name}`' for name in names)}, which all {workers} workers share: {some}",
        *(f"tests have written to what `{name}` has made: {written[name]}" for name in made),
    ]
    setting = ", ".join(f'"{name}"' for name in made or names)
    lines.append(
        f"hint: if each worker needs its own, as under pytest-xdist, say `per_worker_fixtures = [{setting}]` in [tool.rpytest]"
    )
    return lines


def _has_failed(body: memoryview) -> bool:
    return any(category in ("failed", "error") for _, _, _, category, _ in _record.decode_test(body, False).reports)


class Hints:
    """A plugin that writes these lines above pytest's short summary."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """After the sections of plugins and conftests."""
        if terminalreporter.no_summary:
            return
        terminalreporter.section("shared session fixtures", "=", yellow=True)
        for line in self.lines:
            terminalreporter.line(line)


def tell(config: pytest.Config, message: dict[str, Any]) -> None:
    """pytest is about to write the summary of a run: let it say what this `report` request has to say about shared fixtures."""
    lines = message.get("suspects")
    if lines:
        config.pluginmanager.register(Hints(lines), "rpytest-suspects")
