"""A command that runs: its output as it comes, signals to it, and an end to it if it hangs."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from support import processes

WATCHDOG_SECONDS = processes.PATIENCE_SECONDS
"""After this a command hangs. Far more than a loaded machine needs: never a measure of speed."""

# Makes the terminal on descriptor 0 the controlling one, so that ^C in it is a SIGINT.
_WITH_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


class Hang(AssertionError):
    """A command that did not end; the text says what its processes were doing."""


class Running:
    """A started command.

    It leads a session of its own, so signals meant for it can't reach the tests' runner.
    `tree` lists the living processes that belong to it, for the report on a hang.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        tty: bool,
        tree: Callable[[], list[int]],
    ) -> None:
        self.command = list(command)
        self._tree = tree
        self._tty = tty
        self._began = time.monotonic()
        self._changed = threading.Condition()
        self._output = {"stdout": bytearray(), "stderr": bytearray()}
        self._input: int
        if tty:
            self._input, terminal = pty.openpty()
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            self._first_modes = termios.tcgetattr(terminal)
            self._process = subprocess.Popen(
                [sys.executable, "-c", _WITH_TERMINAL, *self.command],
                cwd=cwd,
                env=env,
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                start_new_session=True,
            )
            os.close(terminal)
            sources = {"stdout": self._input}
        else:
            reading, self._input = os.pipe()
            self._process = subprocess.Popen(
                self.command,
                cwd=cwd,
                env=env,
                stdin=reading,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            os.close(reading)
            assert self._process.stdout and self._process.stderr
            sources = {
                "stdout": self._process.stdout.fileno(),
                "stderr": self._process.stderr.fileno(),
            }
        self.pid = self._process.pid
        self._sources = sources
        self._readers = [
            threading.Thread(target=self._read, args=item, daemon=True) for item in sources.items()
        ]
        for reader in self._readers:
            reader.start()

    # -- output and input

    @property
    def terminal(self) -> int:
        """The descriptor that stands for the user at its terminal."""
        assert self._tty
        return self._input

    @property
    def first_modes(self) -> list[object]:
        """The terminal's settings before the command was started; it may have others by the time
        that somebody asks.
        """
        assert self._tty
        return self._first_modes

    @property
    def modes(self) -> list[object]:
        """The terminal's settings."""
        return termios.tcgetattr(self.terminal)

    @property
    def stdout(self) -> str:
        """What came on standard output so far; with a terminal, everything."""
        return self._text("stdout")

    @property
    def stderr(self) -> str:
        """What came on standard error so far."""
        return self._text("stderr")

    def wait_for(self, pattern: str, timeout: float = WATCHDOG_SECONDS) -> re.Match[str]:
        """Wait until standard output or error has a match of the regular expression.

        Fails when the command ends without one, or hangs.
        """

        def search() -> re.Match[str] | None:
            return re.search(pattern, self.stdout, re.M) or re.search(pattern, self.stderr, re.M)

        end = time.monotonic() + timeout
        with self._changed:
            while not (found := search()):
                if not any(reader.is_alive() for reader in self._readers):
                    raise AssertionError(f"ended without a match of {pattern!r}\n{self}")
                if time.monotonic() > end:
                    raise self._hang(f"no match of {pattern!r}")
                self._changed.wait(0.1)
        return found

    def send(self, text: str) -> None:
        """Write to its standard input (in a terminal: type)."""
        os.write(self._input, text.encode())

    def end_input(self) -> None:
        """Close its standard input; a terminal stays."""
        if self._input >= 0 and not self._tty:
            os.close(self._input)
            self._input = -1

    # -- its end

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the command alone."""
        self._process.send_signal(number)

    def send_group_signal(self, number: signal.Signals) -> None:
        """Send a signal to its process group, as a terminal does for ^C."""
        os.killpg(self.pid, number)

    def pause(self) -> None:
        """Stop it; returns when it stands still."""
        self.send_signal(signal.SIGSTOP)
        assert processes.wait_until(lambda: processes.state(self.pid) in "TZX")
        assert processes.state(self.pid) == "T", f"it has ended\n{self}"

    def go_on(self) -> None:
        """Let it go on after `pause`."""
        self.send_signal(signal.SIGCONT)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout: float = WATCHDOG_SECONDS) -> int:
        """Wait for its end and the end of its output; returns the exit status.

        Raises `Hang`, with a report, after ending everything that belongs to it.
        """
        end = time.monotonic() + timeout
        self.end_input()
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self._hang("it did not end") from None
        for reader in self._readers:
            reader.join(max(0.0, end - time.monotonic()))
            if reader.is_alive():
                raise self._hang("it ended, but its output is still held open")
        self._close()
        return status

    def kill(self) -> None:
        """Kill the command alone, if it still runs, and reap it."""
        if self.is_running():
            self._process.kill()
        self._process.wait()

    def __str__(self) -> str:
        return (
            f"$ {' '.join(self.command)}\n---- stdout\n{self.stdout}\n---- stderr\n"
            f"{self.stderr}\n----"
        )

    # -- inside

    def _text(self, name: str) -> str:
        with self._changed:
            return bytes(self._output[name]).decode(errors="replace")

    def _read(self, name: str, descriptor: int) -> None:
        while True:
            try:
                data = os.read(descriptor, 65536)
            except OSError:  # a terminal's other end is closed
                data = b""
            with self._changed:
                self._output[name] += data
                self._changed.notify_all()
            if not data:
                return

    def _close(self) -> None:
        """Give the descriptors back; only once the readers have ended."""
        if self._input >= 0:
            os.close(self._input)
            self._input = -1
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()

    def _hang(self, what: str) -> Hang:
        """Describe everything that belongs to the command, end it, and return the report."""
        elapsed = time.monotonic() - self._began
        report = [f"hang after {elapsed:.0f} s: {what}"]
        if not self._tty:
            report += [
                f"{name} is held open by {processes.with_pipe(descriptor)}"
                for name, descriptor in self._sources.items()
            ]
        tree = self._tree()
        report += [processes.describe(pid) for pid in tree]
        # pytest enables faulthandler: aborted Python processes write where they were.
        others = [pid for pid in tree if pid != self.pid]
        processes.send(others, signal.SIGABRT)
        processes.wait_until(lambda: not any(map(processes.is_alive, others)), seconds=20)
        processes.send(self._tree(), signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(20)
        report.append(str(self))
        return Hang("\n".join(report))
