"""`--watch`: runs again on change, what is affected first; keys, signals, and the terminal left as
it was.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import pytest

from support import processes
from support.daemons import wait_for, waiting_test
from support.harness import Project
from support.running import Running

IDLE = re.compile(r"watching (\d+) files?")
RESULT = re.compile(r"([\w/.]+::\S+) (PASSED|FAILED|ERROR)")
# Of the status line.
CONTROL = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
CHAIN = {
    "lib/__init__.py": "",
    "lib/low.py": "VALUE = 1\n",
    "lib/middle.py": "from lib import low\nVALUE = low.VALUE\n",
    "test_a.py": "def test_a(): pass\n",
    "test_b.py": "import json\ndef test_b(): assert json.loads('1') == 1\n",
    "test_y.py": "def test_y():\n    from lib.middle import VALUE\n    assert VALUE < 10\n",
    "test_z.py": "from lib.middle import VALUE\ndef test_z(): assert VALUE < 10\n",
}


class Watching:
    """A running watcher; each `idle` returns what was printed since the one before."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.seen = 0

    def wait(self, pattern: str) -> str:
        """Wait for it in what is new; returns the new text up to its end."""

        # It fails when the output has ended without it, which is after the command has.
        match = self.running.wait_for(rf"(?s)\A.{{{self.seen}}}(?P<new>.*?(?:{pattern}))")
        self.seen = match.end()
        return CONTROL.sub("", match["new"])

    def idle(self) -> str:
        return self.wait(IDLE.pattern)

    def order(self) -> list[str]:
        """The tests of the next run, in their order."""
        return [id for id, _ in RESULT.findall(self.idle())]

    def quit(self) -> int:
        self.running.send("q")
        return self.running.wait()


@pytest.fixture
def chain(project: Project) -> Project:
    project.write(CHAIN)
    return project


def watching(project: Project, *args: str, tty: bool = True) -> Watching:
    return Watching(project.spawn("--watch", *args, tty=tty, env={"NO_COLOR": "1"}))


@pytest.fixture
def watcher(chain: Project) -> Iterator[Watching]:
    """At a terminal, after its first run."""
    watcher = watching(chain)
    assert "4 passed" in watcher.idle()
    yield watcher
    watcher.running.kill()


class TestOrder:
    def test_affected_first(self, chain: Project, watcher: Watching) -> None:
        chain.put({"lib/low.py": "VALUE = 2 # edited\n"})
        text = watcher.idle()
        assert "changed: lib/low.py\r\n" in text
        ids = [id for id, _ in RESULT.findall(text)]
        # Also what imports it in a function only.
        assert ids == [
            "test_y.py::test_y",
            "test_z.py::test_z",
            "test_a.py::test_a",
            "test_b.py::test_b",
        ]
        chain.put({"test_b.py": "def test_b(): assert 1 + 1\n"})
        assert watcher.order()[0] == "test_b.py::test_b"
        assert watcher.quit() == 0

    @pytest.mark.parametrize("kind", ["imported", "from a checkpoint"])
    def test_affected_first_in_other_sessions(self, chain: Project, kind: str) -> None:
        """One session for each run; one that was collected without `--watch`, for other
        arguments.
        """
        files = ["test_a.py", "test_b.py", "test_y.py", "test_z.py"]
        if kind == "imported":
            chain.put({"conftest.py": "def pytest_sessionstart(): pass\n"})
        else:
            # Twice, as the first run's session may still be busy with itself.
            for _ in range(2):
                assert chain.rpytest("-n1", junit=False).status == 0
        watcher = watching(chain, *files, "-v")
        text = watcher.idle()
        assert "4 passed" in text
        assert ("start method: imported" in text) == (kind == "imported")
        chain.put({"lib/low.py": "VALUE = 2 # edited\n"})
        assert watcher.order() == [
            "test_y.py::test_y",
            "test_z.py::test_z",
            "test_a.py::test_a",
            "test_b.py::test_b",
        ]
        chain.put({"test_b.py": "def test_b(): assert 1 + 1\n"})
        assert watcher.order()[0] == "test_b.py::test_b"
        assert watcher.quit() == 0

    def test_what_is_looked_for(self, chain: Project) -> None:
        """A file that a module has not found is watched."""
        chain.write(
            {
                "in/none": "",
                "test_c.py": (
                    "import os\nFOUND = os.path.exists('in/big')\ndef test_c(): assert not FOUND\n"
                ),
            }
        )
        watcher = watching(chain)
        assert "5 passed" in watcher.idle()
        chain.put({"in/big": ""})
        text = watcher.idle()
        assert "changed: in/big" in text
        assert "1 failed, 4 passed" in text
        assert watcher.quit() == 1

    def test_failed_first(self, chain: Project, watcher: Watching) -> None:
        chain.put({"test_z.py": "def test_z(): assert 0\n"})
        assert "1 failed, 3 passed" in watcher.idle()
        # Now it is imported when a test runs, not before.
        chain.put({"lib/middle.py": "VALUE = 2\n"})
        assert watcher.order() == [
            "test_z.py::test_z",
            "test_y.py::test_y",
            "test_a.py::test_a",
            "test_b.py::test_b",
        ]
        assert watcher.quit() == 1

    def test_data_and_conftests(self, project: Project) -> None:
        project.write(
            {
                "data.txt": "1",
                "sub/conftest.py": "import pytest\n@pytest.fixture\ndef value(): return 1\n",
                "sub/test_s.py": "def test_s(value): assert value\n",
                "test_a.py": "def test_a(): pass\n",
                "test_z.py": (
                    "import pathlib\nDATA = pathlib.Path('data.txt').read_text()\n"
                    "def test_z(): pass\n"
                ),
            }
        )
        watcher = watching(project)
        assert watcher.order() == [
            "sub/test_s.py::test_s",
            "test_a.py::test_a",
            "test_z.py::test_z",
        ]
        project.put({"data.txt": "2222"})
        assert watcher.order()[0] == "test_z.py::test_z"
        project.put({"sub/conftest.py": "import pytest\n@pytest.fixture\ndef value(): return 22\n"})
        assert watcher.order()[0] == "sub/test_s.py::test_s"
        assert watcher.quit() == 0

    def test_several_workers(self, chain: Project) -> None:
        watcher = watching(chain, "-n2", "-v")
        watcher.idle()
        chain.put({"lib/low.py": "VALUE = 2 # edited\n"})
        text = watcher.idle()
        assert "before that what failed or is affected" in text
        assert "4 passed" in text
        assert watcher.quit() == 0

    def test_an_order_that_was_asked_for_stays(self, chain: Project) -> None:
        watcher = watching(chain, "--order", "collected")
        order = watcher.order()
        chain.put({"lib/low.py": "VALUE = 2 # edited\n"})
        assert watcher.order() == order
        assert watcher.quit() == 0


class TestChanges:
    def test_files_come_and_go(self, chain: Project, watcher: Watching) -> None:
        chain.put({"test_new.py": "def test_new(): pass\n"})
        assert "5 passed" in watcher.idle()
        (chain.path / "test_new.py").unlink()
        assert "4 passed" in watcher.idle()
        chain.put({"deep/test_deep.py": "def test_deep(): pass\n"})
        assert "5 passed" in watcher.idle()
        assert watcher.quit() == 0

    def test_nothing_that_matters(self, chain: Project, watcher: Watching) -> None:
        chain.put({"notes.log": "x", ".hidden": "x", "test_a.py~": "x", "docs.md": "x"})
        (chain.path / "__pycache__/other.pyc").write_text("x")
        # Something that does: it is the only thing that is told.
        chain.put({"test_b.py": "def test_b(): pass\n"})
        assert "changed: test_b.py\r\n" in watcher.idle()
        assert watcher.quit() == 0

    def test_broken_and_mended(self, chain: Project, watcher: Watching) -> None:
        chain.put({"lib/low.py": "VALUE = = 1\n"})
        assert "SyntaxError" in watcher.idle()
        chain.put({"lib/low.py": "VALUE = 1\n"})
        assert "4 passed" in watcher.idle()
        chain.put({"conftest.py": "import nothing_such\n"})
        assert "nothing_such" in watcher.idle()
        chain.put({"nothing_such.py": ""})
        assert "4 passed" in watcher.idle()
        chain.put({"pytest.ini": "[pytest]\naddopts = --no-such-option\n"})
        assert "unrecognized arguments" in watcher.idle()
        chain.put({"pytest.ini": "[pytest]\naddopts = -k test_a\n"})
        assert "1 passed, 3 deselected" in watcher.idle()
        assert watcher.quit() == 0

    def test_broken_from_the_start(self, project: Project) -> None:
        project.write(test_a="import helper\ndef test_a(): pass\n")
        watcher = watching(project)
        assert "ModuleNotFoundError" in watcher.idle()
        project.put({"helper.py": ""})
        assert "1 passed" in watcher.idle()
        assert watcher.quit() == 0

    def test_no_tests_yet(self, project: Project) -> None:
        watcher = watching(project)
        assert "no tests ran" in watcher.idle()
        project.put({"test_a.py": "def test_a(): pass\n"})
        assert "1 passed" in watcher.idle()
        assert watcher.quit() == 0

    def test_during_a_run(self, project: Project) -> None:
        project.write(
            {
                "test_a.py": waiting_test("started", "go"),
                "helper.py": "",
                "test_b.py": "import helper\ndef test_b(): pass\n",
            }
        )
        watcher = watching(project)
        wait_for(project.path / "started")
        project.put({"helper.py": "VALUE = 1\n"})
        (project.path / "go").touch()
        assert "2 passed" in watcher.wait("changed: helper.py")
        assert "2 passed" in watcher.idle()
        assert watcher.quit() == 0

    def test_by_the_tests_themselves(self, project: Project) -> None:
        """Once more, since it may have been the user; then it is no news."""
        project.write(
            {
                "data.txt": "",
                "test_a.py": (
                    "DATA = open('data.txt').read()\ndef test_a():\n"
                    "    with open('data.txt', 'a') as file: file.write('x')\n"
                ),
            }
        )
        watcher = watching(project)
        watcher.wait("changed: data.txt")
        assert "not run again: the tests themselves change data.txt" in watcher.idle()
        assert (project.path / "data.txt").read_text() == "xx"
        # The user's change counts all the same.
        project.put({"test_b.py": "def test_b(): pass\n"})
        assert "2 passed" in watcher.wait("changed: data.txt")
        watcher.idle()
        assert watcher.quit() == 0

    @pytest.mark.parametrize("args", [("-n2", "--start-method", "bare"), ("--no-daemon",)])
    def test_other_ways_to_run(self, chain: Project, args: tuple[str, ...]) -> None:
        watcher = watching(chain, *args)
        assert "4 passed" in watcher.idle()
        chain.put({"lib/low.py": "VALUE = 100\n"})
        assert "2 failed, 2 passed" in watcher.idle()
        chain.put({"lib/low.py": "VALUE = 1\n"})
        assert "4 passed" in watcher.idle()
        assert watcher.quit() == 0


class TestKeys:
    def test_all_and_failed(self, chain: Project, watcher: Watching) -> None:
        watcher.running.send("f")
        assert "no test has failed" in watcher.idle()
        chain.put({"test_z.py": "def test_z(): assert 0\ndef test_more(): pass\n"})
        assert "1 failed, 4 passed" in watcher.idle()
        watcher.wait(re.escape("f: failed (1), q: quit"))
        watcher.running.send("f")
        text = watcher.idle()
        assert "1 failed, 4 deselected" in text
        assert "failed last time: 1 of 5 tests" in text
        watcher.running.send("\r")
        assert "1 failed, 4 passed" in watcher.idle()
        chain.put({"test_z.py": "def test_z(): pass\n"})
        assert "4 passed" in watcher.idle()
        watcher.running.send("a")
        assert "4 passed" in watcher.idle()
        watcher.running.send("x?")
        assert "Ctrl-C" in watcher.idle()
        assert watcher.quit() == 0

    def test_failed_test_is_gone(self, chain: Project, watcher: Watching) -> None:
        chain.put({"test_z.py": "def test_z(): assert 0\n"})
        watcher.idle()
        chain.put({"test_z.py": "def test_another(): pass\n"})
        assert "4 passed" in watcher.idle()
        watcher.running.send("f")
        assert "no test has failed" in watcher.idle()
        assert watcher.quit() == 0

    @pytest.mark.parametrize("key", ["q", "\x04", "\x03"])
    def test_end(self, chain: Project, key: str) -> None:
        running = chain.spawn("--watch", tty=True)
        Watching(running).idle()
        assert processes.wait_until(lambda: running.modes != running.first_modes)
        running.send(key)
        assert processes.wait_until(lambda: not running.is_running())
        assert running.modes == running.first_modes
        assert running.wait() == 0
        # The status line is gone.
        assert running.stdout.endswith("\r\x1b[K")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_signal(self, chain: Project, number: signal.Signals) -> None:
        watcher = watching(chain)
        running = watcher.running
        watcher.idle()
        assert processes.wait_until(lambda: running.modes != running.first_modes)
        running.send_signal(number)
        assert processes.wait_until(lambda: not running.is_running())
        assert running.modes == running.first_modes
        assert running.wait() == 2

    def test_suspended(self, watcher: Watching) -> None:
        running = watcher.running
        assert processes.wait_until(lambda: running.modes != running.first_modes)
        raw = running.modes
        running.send("\x1a")
        # It gives the terminal back and then stops: SIGCONT in between would be lost.
        assert processes.wait_until(lambda: processes.state(running.pid) == "T")
        assert running.modes == running.first_modes
        running.go_on()
        watcher.idle()
        assert processes.wait_until(lambda: running.modes == raw)
        running.send("\n")
        assert "4 passed" in watcher.idle()
        assert watcher.quit() == 0

    def test_keys_during_a_run_are_for_the_time_after_it(self, project: Project) -> None:
        project.write({"test_a.py": waiting_test("started", "go")})
        watcher = watching(project)
        wait_for(project.path / "started")
        watcher.running.send("q")
        (project.path / "go").touch()
        assert watcher.running.wait() == 0


class TestInterrupt:
    def test_ends_the_run(self, project: Project) -> None:
        project.write(
            {"test_a.py": waiting_test("started", "go"), "test_b.py": "def test_b(): pass\n"}
        )
        watcher = watching(project)
        wait_for(project.path / "started")
        watcher.running.send("\x03")
        assert "KeyboardInterrupt" in watcher.idle()
        (project.path / "go").touch()
        watcher.running.send("\n")
        assert "2 passed" in watcher.idle()
        watcher.running.send("\x03")
        assert watcher.running.wait() == 0

    def test_twice(self, project: Project) -> None:
        code = (
            "import signal, time, pathlib\ndef test_a():\n"
            "    signal.signal(signal.SIGINT, lambda *_: pathlib.Path('once').touch())\n"
            "    pathlib.Path('started').touch()\n    time.sleep(600)\n"
        )
        project.write(test_a=code)
        watcher = watching(project)
        wait_for(project.path / "started")
        watcher.running.send("\x03")
        wait_for(project.path / "once")
        watcher.running.send("\x03")
        assert watcher.running.wait() == 2

    def test_terminated(self, project: Project) -> None:
        project.write({"test_a.py": waiting_test("started", "go")})
        watcher = watching(project)
        wait_for(project.path / "started")
        watcher.running.send_signal(signal.SIGTERM)
        assert watcher.running.wait() == 2


class TestWithoutTerminal:
    def test_pipe(self, chain: Project) -> None:
        watcher = watching(chain, tty=False)
        assert "4 passed" in watcher.idle()
        watcher.running.send("q\n")
        chain.put({"test_z.py": "def test_z(): assert 0\n"})
        assert "1 failed, 3 passed" in watcher.idle()
        # Closes the pipe.
        assert watcher.running.wait() == 1
        assert "\x1b" not in watcher.running.stdout
        assert re.search(r"^watching \d+ files$", watcher.running.stdout, re.M)

    def test_nothing_to_read(self, chain: Project) -> None:
        running = chain.spawn("-c", "exec rpytest --watch < /dev/null", program="/bin/sh")
        watcher = Watching(running)
        assert "4 passed" in watcher.idle()
        chain.put({"test_z.py": "def test_z(): assert 0\n"})
        assert "1 failed, 3 passed" in watcher.idle()
        running.send_signal(signal.SIGINT)
        assert running.wait() == 1


class TestUsage:
    @pytest.mark.parametrize(
        "args", [("-n0",), ("--pdb",), ("--collect-only",), ("--trace", "-n2"), ("--setup-plan",)]
    )
    def test_no_workers(self, chain: Project, args: tuple[str, ...]) -> None:
        result = chain.rpytest("--watch", *args, junit=False)
        assert result.status == 4
        assert "`--watch` runs tests in workers" in result.stdout + result.stderr
        assert "hint: " in result.stdout + result.stderr

    def test_other_action(self, project: Project) -> None:
        for action in ("--daemon-status", "--daemon-stop", "--inventory-status"):
            result = project.rpytest("--watch", action, junit=False)
            assert result.status == 4
            assert "cannot be used with" in result.stderr

    def test_help(self, project: Project) -> None:
        result = project.rpytest("--watch", "--help", junit=False)
        assert result.status == 0
        assert "--watch" in result.stdout

    def test_in_addopts(self, chain: Project) -> None:
        chain.put({"pytest.ini": "[pytest]\naddopts = --watch\n"})
        result = chain.rpytest(junit=False)
        assert result.status == 4
        assert "--watch" in result.stderr

    def test_xdists_option_names_it(self, chain: Project) -> None:
        result = chain.rpytest("-f", junit=False)
        assert result.status == 4
        assert "hint: leave it out, use `rpytest --watch`" in result.stderr


def test_files_are_told_by_their_number(watcher: Watching) -> None:
    match = IDLE.search(watcher.running.stdout)
    assert match
    # The modules, and no file of Python's or of an installed package.
    assert int(match[1]) == len(CHAIN)
    assert watcher.quit() == 0
