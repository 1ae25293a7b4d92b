"""What a worker leaves for the case that it dies: a file that its host reads then."""

from __future__ import annotations

from typing import NoReturn

from rpytest import stdlib
from rpytest.process import lifecycle
from rpytest.stdlib import contextlib, io, os, signal
from rpytest.worker.spec import WorkerSpec

__builtins__ = stdlib.BUILTINS

#: Stands before encoded reports among the text of a crash.
_KEPT = b"\0rpytest: reports\0"


def read_crash_file(crash: int, limit: int) -> tuple[str, bytes]:
    """What a dead worker has left in its crash file: text (at most ``limit`` bytes), and the
    reports that it had kept.
    """
    size = os.fstat(crash).st_size
    if not size:
        return "", b""
    data = os.pread(crash, size, 0)
    before, mark, after = data.partition(_KEPT)
    reports = b""
    if mark:
        length = int.from_bytes(after[:8], "little")
        reports, after = after[8 : 8 + length], after[8 + length :]
        if len(reports) != length:
            reports = b""
    return (before + after)[:limit].decode("utf-8", "replace"), reports


class CrashFile(io.TextIOBase):
    """The terminal of a worker: nobody sees it, but what was written during the test that a worker
    crashes in is shown with the crash.

    pytest-timeout's method ``thread`` writes all stacks there, then ends the process.
    """

    def __init__(self, crash: int) -> None:
        self._fd = crash
        #: There is something in the file.
        self.dirty = False

    def write(self, text: str) -> int:
        """At once: a process that ends itself flushes nothing."""
        self.dirty = True
        os.write(self._fd, text.encode("utf-8", "backslashreplace"))
        return len(text)

    def keep(self, reports: bytes) -> None:
        """What the running test has come to, for the case that this process doesn't survive its
        teardown.
        """
        self.dirty = True
        os.write(self._fd, _KEPT + len(reports).to_bytes(8, "little") + reports)

    def forget(self) -> None:
        """The test is over."""
        self.dirty = False
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)


def crash(spec: WorkerSpec, error: BaseException) -> NoReturn:
    """End a worker that can't go on; without a last record its end is a crash, and this is its
    stack.
    """
    import traceback

    with contextlib.suppress(BaseException):
        text = "".join(traceback.format_exception(error))
        os.write(spec.crash, text.encode("utf-8", "backslashreplace"))
        lifecycle.flush_streams()
    if isinstance(error, KeyboardInterrupt):
        # Recognisable as what it is: the interrupt that all workers got.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    lifecycle.exit_now(1)
