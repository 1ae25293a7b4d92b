"""Who a worker is, told so that a reader is noticed.

A session is collected before its workers exist. A plugin or conftest that *looks* at the worker's
name while it is imported, configured or collected would see the wrong one; it is recognised here,
and the run then starts its workers in the `bare` way.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from rpytest.process.takeover import NOISE
from rpytest.project.callers import is_asked_by_others
from rpytest.project.locations import ALL_VARIABLES
from rpytest.xdist_compat import xdist_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest


ENV_WORKER = "PYTEST_XDIST_WORKER"
ENV_COUNT = "PYTEST_XDIST_WORKER_COUNT"
ENV_UID = "PYTEST_XDIST_TESTRUNUID"


#: Through which a name is read for somebody else.
_OWN_FILES = (__file__, xdist_module.__file__)


#: Whether a :class:`IdentityReads` is active, the reader that it has noticed, and whether a shared
#: fixture is set up.
WatchState = tuple[bool, "str | None", bool]


class IdentityReads:
    """Notes the first place that read a worker's identity; switched off once workers exist."""

    def __init__(self) -> None:
        self.active = True
        self.reader: str | None = None
        #: A shared fixture is set up: the run's id is known, and what the controller's hooks have
        #: for a worker is its own.
        self.is_sharing = False
        #: A plugin or conftest asked whether this is a worker: it does something else in the
        #: controller.
        self.asked = False
        #: One asked how many workers there are.
        self.counted = False
        #: Environment variables that were looked at, of those that count as noise otherwise; or
        #: `ALL_VARIABLES`.
        self.variables: set[str] = set()

    def replace_state(self, state: WatchState) -> WatchState:
        """Watch in another way from now on; returns how it was, and what was seen."""
        before = (self.active, self.reader, self.is_sharing)
        self.active, self.reader, self.is_sharing = state
        return before

    def noticed(self, what: str) -> None:
        """Record that ``what`` was read, with the innermost frame outside of this package and of
        the standard library.
        """
        if not self.active or self.reader is not None:
            return
        for frame in reversed(traceback.extract_stack()[:-2]):
            inside = frame.filename in _OWN_FILES or frame.filename.startswith("<frozen ")
            if not inside and not frame.filename.endswith(("os.py", "_collections_abc.py")):
                if f"{os.sep}pytest_cov{os.sep}" not in frame.filename:
                    # pytest-cov's copy of the name is brought up to date in the worker.
                    self.reader = f"{what} is read by {frame.filename}:{frame.lineno}"
                return
        self.reader = f"{what} is read"

    def asks(self, depth: int) -> None:
        """Record that a plugin or conftest, ``depth`` frames above, wants to know whether this is a
        worker.
        """
        if self.active and not self.asked:
            frame = sys._getframe(depth + 1)
            if (
                frame.f_globals.get("__name__") == xdist_module.__name__
                and frame.f_back is not None
            ):
                # Somebody has called pytest-xdist's function, and is the one who wants to know.
                frame = frame.f_back
            module = str(frame.f_globals.get("__name__", ""))
            self.asked = module.split(".")[0] not in ("_pytest", "rpytest")


class WorkerInput(dict[str, Any]):
    """`config.workerinput`: a dict that notices when a worker's own values are read.

    What `pytest_configure_node` puts in is fetched when it is first asked for: the controller then
    has to exist.
    """

    OWN = frozenset({"workerid", "testrunuid"})
    KNOWN = OWN | {"workercount", "mainargv"}

    def __init__(self, values: dict[str, Any], watch: IdentityReads) -> None:
        super().__init__(values)
        self._watch = watch
        #: Returns what the controller's hooks have put in for this worker; `None` once it was
        #: called.
        self.fetch: Callable[[], dict[str, Any]] | None = None
        #: Keys of the controller that were read.
        self.read: set[str] = set()

    def _look(self, key: str) -> None:
        if key == "workercount" and self._watch.active:
            self._watch.counted = True
        if key == "testrunuid" and self._watch.is_sharing:
            return
        if key in self.OWN:
            self._watch.noticed(f"`config.workerinput[{key!r}]`")
        elif key not in self.KNOWN:
            self.complete()
            if self._watch.active and self._watch.is_sharing:
                self._watch.noticed(f"`config.workerinput[{key!r}]`")
            elif self._watch.active:
                self.read.add(key)

    def complete(self) -> None:
        """Fetch what is still missing."""
        fetch, self.fetch = self.fetch, None
        if fetch is not None:
            for key, value in fetch().items():
                if key not in self.KNOWN:
                    self[key] = value

    def differs(self, other: dict[str, Any]) -> str | None:
        """A key that was read and whose value is another one in ``other``."""
        nothing = object()
        for key in sorted(self.read):
            if super().get(key, nothing) != other.get(key, nothing):
                return key
        return None

    def __getitem__(self, key: str) -> Any:
        self._look(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        if isinstance(key, str) and key not in self.OWN:
            self._look(key)
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As `dict.get`."""
        return self[key] if key in self else default  # noqa: SIM401 - `self[key]` is what notices

    def _look_at_all(self) -> None:
        self.complete()
        for key in list(super().__iter__()):
            self._look(key)

    def __iter__(self) -> Iterator[str]:
        self._look_at_all()
        return super().__iter__()

    def keys(self) -> Any:
        """As `dict.keys`, like all that follow."""
        self._look_at_all()
        return super().keys()

    def values(self) -> Any:
        self._look_at_all()
        return super().values()

    def items(self) -> Any:
        self._look_at_all()
        return super().items()

    def copy(self) -> dict[str, Any]:
        self._look_at_all()
        return super().copy()

    def pop(self, key: str, *default: Any) -> Any:
        self._look(key)
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        self._look_at_all()
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:
        self._look(key)
        return super().setdefault(key, default)

    def __reversed__(self) -> Iterator[str]:
        self._look_at_all()
        return super().__reversed__()

    def __eq__(self, other: object) -> bool:
        self._look_at_all()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __repr__(self) -> str:
        self._look_at_all()
        return super().__repr__()


def hide_input(config: pytest.Config, values: WorkerInput, watch: IdentityReads) -> None:
    """Give ``config`` its ``workerinput`` as an attribute that notices who asks for it."""
    kind = type(config)

    class Config(kind):  # type: ignore[misc, valid-type]
        """pytest's configuration in a worker."""

        @property
        def workerinput(self) -> WorkerInput:
            watch.asks(1)
            held: WorkerInput | None = self.__dict__.get("_rpytest_workerinput")
            if held is None:
                raise AttributeError("workerinput")
            return held

        @workerinput.setter
        def workerinput(self, value: WorkerInput) -> None:
            self.__dict__["_rpytest_workerinput"] = value

        @workerinput.deleter
        def workerinput(self) -> None:
            del self.__dict__["_rpytest_workerinput"]

    Config.__name__, Config.__qualname__, Config.__module__ = (
        kind.__name__,
        kind.__qualname__,
        kind.__module__,
    )
    config.__class__ = Config
    config.workerinput = values  # type: ignore[attr-defined]


class _Environ(dict[bytes, bytes]):
    """The mapping under `os.environ` that notices when the worker's name is looked up (and not just
    copied).
    """

    def __init__(self, values: dict[bytes, bytes], watch: IdentityReads) -> None:
        super().__init__(values)
        self._watch = watch
        #: For each key of the last iteration the one before it: `os.environ` makes a list of all
        #: keys, then looks each of them up.
        self._before: dict[bytes, bytes | None] = {}
        self._last: bytes | None = None

    def __iter__(self) -> Any:
        if self._watch.active:
            self._note(ALL_VARIABLES)
            self._last = None
            keys = list(super().__iter__())
            self._before = dict(zip(keys, (None, *keys), strict=False))
        return super().__iter__()

    def __getitem__(self, key: bytes) -> bytes:
        # How many workers there are is known once the arguments have been parsed.
        if self._watch.active:
            if key in _ENV_BYTES or (key == _COUNT_BYTES and key not in self):
                self._look(key)
            elif key == _COUNT_BYTES and not self._is_copied(key):
                self._watch.counted = True
            elif key in _NOISE:
                self._note(os.fsdecode(key))
            self._last = key
        return super().__getitem__(key)

    def items(self) -> Any:
        """As `dict.items`: `repr(os.environ)` asks for them."""
        if self._watch.active:
            self._note(ALL_VARIABLES)
        return super().items()

    def _note(self, name: str) -> None:
        """The caller of the caller looks at a variable, or at all, which may have another value in
        the next run of the same session.
        """
        if name not in self._watch.variables and is_asked_by_others(sys._getframe(2)):
            self._watch.variables.add(name)

    def _look(self, key: bytes) -> None:
        if key == _UID_BYTES and self._watch.is_sharing:
            return
        if not self._is_copied(key):
            self._watch.noticed(f"${os.fsdecode(key)}")

    def _is_copied(self, key: bytes) -> bool:
        # `dict(os.environ)`, `os.environ.copy()`: all keys are looked up, once, and in their order.
        return key in self._before and self._before.pop(key) == self._last


_NOISE = frozenset(map(os.fsencode, NOISE))
_COUNT_BYTES = os.fsencode(ENV_COUNT)
_UID_BYTES = os.fsencode(ENV_UID)
_ENV_BYTES = frozenset(map(os.fsencode, (ENV_WORKER, ENV_UID)))


def watch_environment(watch: IdentityReads) -> None:
    """Put the noticing mapping under `os.environ`."""
    environ: Any = os.environ
    environ._data = _Environ(environ._data, watch)
    # The same variables in bytes: one mapping under both.
    os.environb._data = environ._data  # type: ignore[attr-defined]


def worker_input(
    config_args: list[str], worker: str, count: int, uid: str, watch: IdentityReads
) -> WorkerInput:
    """Build `config.workerinput` as pytest-xdist does."""
    values = {"workerid": worker, "workercount": count, "testrunuid": uid, "mainargv": config_args}
    return WorkerInput(values, watch)


def set_environment(worker: str, count: int, uid: str) -> None:
    """Export a worker's identity as pytest-xdist does."""
    os.environ[ENV_WORKER] = worker
    os.environ[ENV_COUNT] = str(count)
    os.environ[ENV_UID] = uid


def become_worker_config(
    config: pytest.Config, workerinput: WorkerInput, watch: IdentityReads
) -> None:
    """Give ``config`` what plugins look at to see that they are in a worker, as pytest-xdist
    does.
    """
    become_worker_options(config.option)
    hide_input(config, workerinput, watch)
    config.workeroutput = {}  # type: ignore[attr-defined]


def become_worker_options(option: Any) -> None:
    """The values that options have in a worker."""
    option.loadgroup = option.dist == "loadgroup"
    option.looponfail = False
    option.usepdb = False
    option.dist = "no"
    option.distload = False
    option.numprocesses = None
    option.maxprocesses = None
