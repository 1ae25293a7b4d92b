"""coverage.py around a whole run, without pytest-cov: `coverage run -m rpytest`, or its ``.pth``
file with `COVERAGE_PROCESS_START` or `patch = subprocess`.

Such a run gets processes of its own, which are started under coverage: the daemon that serves it
measures from its start, every process that is forked from it goes on measuring with a copy of what
was measured before, and leaves its data in a folder when it ends. The daemon ends last, and adds
all of it to the one data file that pytest's process would have written. What was measured twice is
the same lines.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import os
import pickle
import select
import shutil
import sys
import tempfile
from typing import Any

#: From `python -m rpytest` under `coverage run` to the daemon, through the command line.
VARIABLE = "RPYTEST_COVERAGE"

#: Milliseconds for which the daemon waits for processes that nobody else waits for.
_PATIENCE = 10_000

#: What this process, a daemon or a fork of it, measures.
_measuring: Measuring | None = None


def _current() -> Any:
    """The `coverage.Coverage` that measures in this process, if any."""
    coverage = sys.modules.get("coverage")
    find = getattr(getattr(coverage, "Coverage", None), "current", None)
    return None if find is None else find()


def hand_over(environment: dict[str, str]) -> None:
    """This process is about to become the command line: put into ``environment`` how coverage
    measures here, and end that.
    """
    environment.pop(VARIABLE, None)
    current = _current()
    if current is None:
        return
    # There is no data in general: `rpytest` is no part of what is measured.
    current._warn_no_data = False
    current.stop()
    # `get_data` would add all files that were not executed: they are found at the end of the run.
    data = current._data
    is_new = not data.measured_files()
    if is_new:
        # `coverage run` does the same when it writes; nothing of this process is to be left.
        data.erase()
    config = current.config
    state = {
        "config": vars(config),
        "file": os.path.abspath(config.data_file),
        # The suffix of files that are kept apart, whose names end with a digest of what is in them.
        "suffix": getattr(current, "_data_suffix", None) or (True if config.parallel else None),
        # If not, `--append` has brought in the data of earlier runs.
        "is_new": is_new,
    }
    environment[VARIABLE] = base64.b64encode(pickle.dumps(state)).decode("ascii")


class Measuring:
    """A daemon's measuring, and what all its forks leave."""

    def __init__(self, given: str | None, started: Any) -> None:
        """``given`` by `hand_over`; ``started``: the `Coverage` that was begun with the
        interpreter.
        """
        import coverage

        self._pid = os.getpid()
        self._saved_by = -1
        self._given = None if given is None else pickle.loads(base64.b64decode(given))
        self._started = started
        self._folder = tempfile.mkdtemp(prefix="rpytest-coverage-")
        #: The end of the last process that has the other end open is the end of the run.
        self._ends, self._alive = os.pipe()
        if started is not None:
            started.stop()
        # Data is kept in memory: what a fork measures must not get into a file that others write
        # to.
        self.measuring: Any = coverage.Coverage(data_file=None, config_file=False)
        config = self.measuring.config
        vars(config).update(vars(started.config) if self._given is None else self._given["config"])
        # What `patch` replaces in the process, and the handler of a signal, are for one process:
        # here is `save`.
        config.patch, config.sigterm = [], False
        for name in ("_warn_no_data", "_warn_unimported_source", "_warn_preimported_source"):
            setattr(self.measuring, name, False)
        self.measuring.start()
        for each in (self.measuring, started):
            # What is registered for the end of one process would end it, or write a file, in
            # others.
            at_exit = getattr(each, "_atexit", None)
            if at_exit is not None:
                atexit.unregister(at_exit)

    def save(self) -> None:
        """At the end of a process: leave what was measured in it."""
        if self._saved_by == os.getpid():
            return
        self._saved_by = os.getpid()
        measuring: list[Any] = []
        # Others that were started since (`patch = fork`) stand in front of ours.
        while (current := _current()) is not None and len(measuring) < 100:
            current.stop()
            measuring.append(current)
        for number, each in enumerate(
            {id(each): each for each in (*measuring, self.measuring)}.values()
        ):
            content = each.get_data().dumps()
            with open(os.path.join(self._folder, f"{os.getpid()}-{number}"), "xb") as file:
                file.write(content)

    def finish(self) -> None:
        """Add what everybody has left to the data file of the run, at the daemon's end."""
        os.close(self._alive)
        poll = select.poll()
        poll.register(self._ends, select.POLLHUP)
        poll.poll(_PATIENCE)
        self.save()
        from coverage import CoverageData

        if self._given is None:
            data = self._started.get_data()
        else:
            data = CoverageData(basename=self._given["file"], suffix=self._given["suffix"])
            if not self._given["is_new"]:
                data.read()
        for name in sorted(os.listdir(self._folder)):
            part = CoverageData(no_disk=True)
            with open(os.path.join(self._folder, name), "rb") as file:
                part.loads(file.read())
            data.update(part)
        if self._given is None:
            self._started.save()
        else:
            data.write()
        shutil.rmtree(self._folder, ignore_errors=True)


def begin() -> None:
    """Measure, if that is wanted, in a daemon for one run that has just been started."""
    global _measuring
    given = os.environ.pop(VARIABLE, None)
    started = _current()
    if given is not None or started is not None:
        _measuring = Measuring(given, started)


def save() -> None:
    """Keep what this process has measured: it has done its work."""
    if _measuring is not None:
        with _told():
            _measuring.save()


def finish() -> None:
    """Write the data of the run: the daemon has served it."""
    if _measuring is not None:
        with _told():
            _measuring.finish()


@contextlib.contextmanager
def _told() -> Any:
    """Coverage that is lost is no reason for losing a run, and is not lost in silence."""
    try:
        yield
    except Exception as error:
        with contextlib.suppress(Exception):
            os.write(
                2,
                f"warning: coverage data of process {os.getpid()} were lost: {error!r}\n".encode(),
            )
