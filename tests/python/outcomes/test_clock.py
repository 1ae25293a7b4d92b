"""A clock that stands still or jumps, as `libfaketime` or a conftest makes it, keeps nobody:
neither a run, nor its end, nor the daemon.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support import processes
from support.daemons import daemon_pid
from support.harness import Project

LIBRARIES = sorted(map(str, Path("/usr/lib").glob("*/faketime/libfaketime.so.1")))

FILES = {
    "test_a.py": "def test_1(): pass\ndef test_2(): assert 0\n",
    "test_b.py": (
        "import pytest\n@pytest.fixture(scope='session')\ndef shared(): yield 1\n"
        "def test_3(shared): pass\ndef test_4(shared): pass\n"
    ),
}

needs_libfaketime = pytest.mark.skipif(
    not LIBRARIES, reason="needs libfaketime (Debian's `faketime`)"
)
clocks = pytest.mark.parametrize(
    "clock", ["2020-01-01 00:00:00", "+0 i2.0"], ids=["stands still", "jumps"]
)


def faked(clock: str) -> dict[str, str]:
    return {"LD_PRELOAD": LIBRARIES[0], "FAKETIME": clock}


@needs_libfaketime
@clocks
@pytest.mark.parametrize("args", [("-n2",), ("-n2", "--no-daemon"), ("-n0",)], ids=" ".join)
def test_libfaketime(project: Project, clock: str, args: tuple[str, ...]) -> None:
    """Of the command line, of a daemon that it starts, and of all processes below."""
    project.write(FILES)
    for _ in range(2):
        result = project.rpytest(*args, env=faked(clock))
        assert (result.status, result.counts) == (1, {"passed": 3, "failed": 1}), result


@needs_libfaketime
@clocks
def test_a_daemon_ends(project: Project, clock: str) -> None:
    """When it is told to, and when it is not used any more."""
    project.write({**FILES, "pyproject.toml": "[tool.rpytest]\nidle_timeout = 1\n"})
    assert project.rpytest("-n2", env=faked(clock)).status == 1
    assert processes.wait_until(lambda: not sockets_of(project))
    project.write({"pyproject.toml": ""})
    assert project.rpytest("-n2", env=faked(clock)).status == 1
    pid = daemon_pid(project)
    assert project.rpytest("--daemon-stop", junit=False, env=faked(clock)).status == 0
    assert processes.wait_until(lambda: not Path(f"/proc/{pid}").exists())


def sockets_of(project: Project) -> list[Path]:
    return sorted(project.runtime_dir.glob("*.sock"))


STANDS_STILL = """
import time
for name in ("time", "monotonic", "perf_counter"):
    value = getattr(time, name)()
    setattr(time, name, lambda value=value: value)
    setattr(time, name + "_ns", lambda value=value: int(value * 1e9))
"""
NOBODY_SLEEPS = """
import time
def sleep(seconds): raise AssertionError("somebody waits by the clock")
time.sleep = sleep
"""


@pytest.mark.parametrize(
    "conftest", [STANDS_STILL, NOBODY_SLEEPS], ids=["stands still", "nobody sleeps"]
)
@pytest.mark.parametrize(
    "args", [(), ("--start-method", "imported"), ("--start-method", "bare")], ids=" ".join
)
def test_of_a_conftest(project: Project, conftest: str, args: tuple[str, ...]) -> None:
    project.write({**FILES, "conftest.py": conftest})
    for _ in range(2):
        result = project.rpytest("-n2", *args)
        assert (result.status, result.counts) == (1, {"passed": 3, "failed": 1}), result
