"""A test that hangs has a name, while it does and when somebody has had enough."""

from __future__ import annotations

import re
import signal

import pytest

from support import processes
from support.harness import Project

HANGS = """
    import pathlib, time
    import pytest

    def test_quick(): pass

    @pytest.mark.parametrize("what", ["it"])
    def test_hangs(what):
        pathlib.Path("begun").touch()
        [time.sleep(0.1) for _ in range(10000)]
"""


@pytest.mark.parametrize("args", [(), ("-s",), ("-p", "no:terminal"), ("-q",)], ids=" ".join)
def test_stacks_are_shown_while_it_hangs(project: Project, args: tuple[str, ...]) -> None:
    project.write({"pytest.ini": "[pytest]\nfaulthandler_timeout = 0.5\n"}, test_a=HANGS)
    for _ in range(2):
        running = project.spawn("-n", "2", *args)
        running.wait_for(r'File ".*test_a.py", line \d+ in test_hangs')
        running.wait_for(r"\[worker \d\] test_a.py::test_hangs\[it\] has been running for \d+\.\ds")
        assert "test_hangs" in running.stderr
        assert running.is_running()
        running.send_signal(signal.SIGINT)
        assert running.wait() == 2


def test_stacks_in_a_bare_worker(project: Project) -> None:
    project.write({"pytest.ini": "[pytest]\nfaulthandler_timeout = 0.5\n"}, test_a=HANGS)
    running = project.spawn("-n", "2", "--start-method=bare")
    running.wait_for(r'File ".*test_a.py", line \d+ in test_hangs')
    running.send_signal(signal.SIGINT)
    assert running.wait() == 2


def test_stacks_on_a_terminal(project: Project) -> None:
    project.write({"pytest.ini": "[pytest]\nfaulthandler_timeout = 0.5\n"}, test_a=HANGS)
    running = project.spawn("-n", "2", tty=True, env={"TERM": "xterm"})
    running.wait_for(r'File ".*test_a.py", line \d+ in test_hangs')
    running.send_signal(signal.SIGINT)
    assert running.wait() == 2


def test_the_test_goes_on_and_passes(project: Project) -> None:
    project.write(
        {"pytest.ini": "[pytest]\nfaulthandler_timeout = 0.1\n"},
        test_a="import time\ndef test_slow(): time.sleep(1)\ndef test_slow_too(): time.sleep(1)\n",
    )
    result = project.compare(n=2)
    assert result.status == 0
    for name in ("test_slow", "test_slow_too"):
        assert re.search(rf"in {name}$", result.stderr, re.M), result


def test_verbose_names_it_where_there_is_no_status_line(project: Project) -> None:
    project.write(test_a=HANGS)
    running = project.spawn("-n", "2", "-v")
    running.wait_for(r"\[worker \d\] test_a.py::test_hangs\[it\] is running \(\d+\.\ds\)$")
    running.send_signal(signal.SIGTERM)
    assert running.wait() == 2
    assert running.stdout.count("is running") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("n", [1, 2])
def test_what_was_running_is_told_from_what_did_not_run(
    project: Project, number: signal.Signals, n: int
) -> None:
    project.write(test_a=HANGS + "\n    def test_never(): pass\n")
    running = project.spawn("-n", str(n), "-p", "no:randomly")
    assert processes.wait_until((project.path / "begun").exists)
    if n == 2:
        running.wait_for(r"test_never PASSED")
    running.wait_for(r"test_quick PASSED")
    running.send_signal(number)
    assert running.wait() == 2
    assert re.search(
        r"^Interrupted: test_a.py::test_hangs\[it\] was running \(\d+\.\ds\)$", running.stdout, re.M
    )
    did_not_run = re.findall(r"^Interrupted: (\d) of 3 tests did not run$", running.stdout, re.M)
    assert did_not_run == (["1"] if n == 1 else [])
