"""A worker's end of the shared memory. Implemented in Rust (`pyext/`)."""

from collections.abc import Callable
from typing import Any, Final, final

__version__: Final[str]

def die_with_parent() -> None:
    """Asks the kernel to kill this process when its parent ends; whether it has is to be checked
    afterwards.
    """

def adopt_orphans(yes: bool) -> None:
    """Whether descendants of this process become its children when their parents end."""

def begins_with(now: dict[str, object], before: dict[str, object]) -> bool:
    """Whether the values of `now` begin with the very objects that are the values of `before`, in
    the same order.

    In a forked process much cheaper than it is in Python, as no reference is counted.
    """

def own_pages() -> list[tuple[int, int]]:
    """The ranges of memory pages, start and length in bytes, that this process shares with no other
    one.

    Raises OSError when the system does not tell.
    """

def copy_pages(ranges: list[tuple[int, int]]) -> None:
    """Gives this process copies of its own of these pages, before it needs them; their contents
    stay as they are.
    """

def call_soon(function: Callable[[], object]) -> bool:
    """Calls `function` between two instructions of the main thread, as a rule after the present
    one; what it raises is ignored.

    `False` when too many calls are pending.
    """

@final
class Noticed:
    """A function that tells of its use, and is otherwise that function: equal to it, and no method
    of a class that has it.

    `tell` is called with the arguments, the named ones (or None) and the result, which is None when
    an OSError or a ValueError was raised. With `ahead`, which is called before the function with
    the arguments and the named ones, both are called only if there are named ones, and `tell`
    whatever was raised. None of them is seen in tracebacks.
    """

    def __new__(
        cls,
        plain: Callable[..., Any],
        tell: Callable[[tuple[Any, ...], dict[str, Any] | None, Any], object],
        ahead: Callable[[tuple[Any, ...], dict[str, Any]], object] | None = None,
    ) -> Noticed: ...
    @property
    def plain(self) -> Callable[..., Any]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

@final
class Segment:
    """The shared memory of one run, as it was made by the program. Inherited by forked
    processes.
    """

    @staticmethod
    def open(name: str) -> Segment:
        """Maps the segment named `name`.

        Raises OSError when there is none, RuntimeError when it is not of this build.
        """

    @property
    def name(self) -> str: ...
    def planned(self) -> list[int]:
        """The tests of the run, in no particular order."""

    def stop(self) -> None:
        """No worker claims a test from now on."""

@final
class Worker:
    """One worker process at work; made once per process, after the fork."""

    def __new__(
        cls, segment: Segment, slot: int, incarnation: int, bell: int, spill: int
    ) -> Worker:
        """Attaches to a slot.

        `bell` is the descriptor of the program's eventfd, `spill` that of an empty file of this
        worker alone, for large bodies. Raises ValueError when there is no such slot, or it belongs
        to another incarnation.
        """

    def claim(self) -> int:
        """Takes a test; -1 when there is nothing left that is worth taking over, or the run was
        stopped.
        """

    def set_fork_cost(self, us: int) -> None:
        """A fresh worker in the place of this one would take so many microseconds to get as far as
        this one is.
        """

    def linger(self) -> int:
        """Called by a worker that has found no test: waits until one is worth taking over, and
        takes it; -1 when none is left. -1 is final.
        """

    def begin(self, test: int) -> None:
        """`test` is in flight from now on, in setup."""

    def phase(self, phase: int) -> None:
        """The test in flight is in its setup (0), call (1) or teardown (2)."""

    def idle(self) -> None:
        """No test is in flight."""

    def push(
        self,
        kind: int,
        flags: int,
        test: int,
        body: bytes,
        urgent: bool,
        attempt: int = 0,
    ) -> None:
        """Writes a record; wakes the program if it sleeps and the record is urgent, or the ring is
        half full.

        While the ring is full it waits, with the GIL released, and lets signal handlers run about
        every second; what they raise ends the wait, and nothing was written then. Raises OSError
        when a large body cannot be kept, and RuntimeError when a test has written over the shared
        memory.
        """

    def stop(self) -> None:
        """No worker claims a test from now on."""

    def stopped(self) -> bool:
        """Whether the program or any worker stopped the run."""

    def counters(self) -> tuple[int, int, int, int, int, int, int]:
        """Counts of: claims, steals, records, spilled bodies, rings of the bell, waits for room,
        waits in vain.
        """
