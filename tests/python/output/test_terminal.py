"""On a real terminal: the status line, colours, debuggers, Ctrl-C and Ctrl-Z."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import termios

import pytest

from support import processes, rich, screen
from support.harness import Project
from support.running import Running

SLOW = {
    "test_slow": """
        import pathlib, time

        import pytest

        def test_first(): pass
        def test_fails(): assert [1] == [2]
        @pytest.mark.parametrize("i", range(3))
        def test_sleeps(i):
            while not pathlib.Path("go").exists(): time.sleep(0.01)
        """
}

DEBUGGED = {
    "test_debugged": """
        import pathlib, time

        def test_before():
            while not pathlib.Path("before").exists(): time.sleep(0.01)

        def test_stops():
            value = 40
            breakpoint()
            value += 1
            value += 1
            assert value == 42

        def test_after():
            while not pathlib.Path("after").exists(): time.sleep(0.01)
        """
}

READS = {
    "test_reads": """
        def test_reads():
            print("waits for input")
            try:
                line = input()
            except EOFError:
                line = "nothing"
            print(f"read: {line}")
        def test_other(): pass
        """
}

LONG = {
    "test_long": """
        import os, time
        import pytest

        @pytest.fixture(scope="module")
        def resource():
            yield 1
            print("torn down")

        def test_fails(): assert 0
        def test_long(resource):
            os.mkdir("begun"); [time.sleep(0.1) for _ in range(3000)]
        def test_never_reached(): pass
        """
}

COLOURFUL = {
    "test_colours": """
        import warnings

        import pytest

        def test_passes(): warnings.warn("careful")
        def test_fails():
            value = {"key": [1, 2, 3]}
            assert value == {"key": [1, 2, 4]}, "not equal"
        @pytest.mark.skip(reason="no")
        def test_skipped(): pass
        @pytest.mark.xfail
        def test_xpassed(): pass
        # Workers have these, and a missing fixture's error lists what there is.
        @pytest.fixture
        def worker_id(): pass
        @pytest.fixture
        def testrun_uid(): pass
        def test_error(missing): pass
        """
}

_STATUS = r"\[ *\d+/\d+\] "


def _evened(lines: list[str]) -> list[str]:
    """Without what differs from run to run."""
    return [re.sub(r"=+ (.*) in \d+\.\d+s =+", r"= \1 =", line) for line in lines]


def _on_terminal(
    project: Project, *args: str, program: str = "rpytest", env: dict[str, str | None] | None = None
) -> tuple[int, str]:
    terminal = {"TERM": "xterm-256color", **(env or {})}
    running = project.spawn(*args, program=program, env=terminal, tty=True)
    status = running.wait()
    return status, running.stdout


class TestStatusLine:
    def test_says_what_goes_on_and_leaves_nothing(self, project: Project) -> None:
        project.write(**SLOW)
        args = ("-n", "1", "--color=no", "-p", "no:cacheprovider")
        running = project.spawn(*args, env={"TERM": "xterm-256color"}, tty=True)
        running.wait_for(
            _STATUS.replace(r"\d+/\d+", "2/5")
            + r"1 failed · \d+\.\ds · test_slow.py::test_sleeps\[0\] \(\d+\.\ds\)"
        )
        project.write({"go": ""})
        assert running.wait() == 1
        output = running.stdout
        plain = project.rpytest(*args, junit=False)
        # What remains on the screen is what a file gets, but for one line.
        assert _evened(screen.shown(output)) == [
            line for line in _evened(plain.lines) if line != "created: 1/1 worker"
        ]

    @pytest.mark.parametrize("args", [("-q",), ("-s",)], ids=" ".join)
    def test_absent_where_others_write_on_its_line(
        self, project: Project, args: tuple[str, ...]
    ) -> None:
        project.write(**SLOW)
        running = project.spawn(
            "-n", "2", "--color=no", *args, env={"TERM": "xterm-256color"}, tty=True
        )
        # Long enough for a status line, which is drawn thirty times a second, to come if there is
        # one; it must not.
        processes.wait_until(lambda: re.search(_STATUS, running.stdout) is not None, seconds=1)
        project.write({"go": ""})
        status, output = running.wait(), running.stdout
        assert status == 1
        assert not re.search(_STATUS, output)
        assert "\x1b[2K" not in output

    def test_dumb_terminals_get_plain_text(self, project: Project) -> None:
        project.write(**SLOW)
        running = project.spawn("-n", "2", env={"TERM": "dumb"}, tty=True)
        processes.wait_until(lambda: "\x1b" in running.stdout.partition("2 workers")[2], seconds=1)
        project.write({"go": ""})
        running.wait()
        output = running.stdout
        assert "\x1b" not in output.partition("2 workers")[2]

    def test_fits_a_window_that_shrinks(self, project: Project) -> None:
        project.write(
            test_a_module_with_a_rather_long_name_that_fills_the_line="""
                import pathlib, time
                def test_with_a_long_name_too():
                    while not pathlib.Path("go").exists(): time.sleep(0.01)
                """
        )
        running = project.spawn("-n", "1", tty=True, env={"TERM": "xterm", "COLUMNS": None})
        running.wait_for(_STATUS)
        before = len(running.stdout)
        fcntl.ioctl(running.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
        running.send_signal(signal.SIGWINCH)
        # A few lines, after as many more as may have been on their way.
        running.wait_for(rf"(?s).{{{before + 200}}}(?:.*\[0/1\][^\n\x1b]{{30,44}}…){{4}}")
        project.write({"go": ""})
        assert running.wait() == 0
        last = re.findall(r"\[0/1\][^\n\x1b]*", running.stdout)[-3:]
        assert all(len(line) <= 49 for line in last), last


def test_quiet_letters_wrap_at_the_width(project: Project) -> None:
    project.write(
        test_many=(
            "import pytest\n@pytest.mark.parametrize('i', range(200))\n"
            "def test_many(i): assert i % 50"
        )
    )
    _, output = _on_terminal(
        project, "-n", "2", "-q", "--color=no", "--tb=no", env={"COLUMNS": "60"}
    )
    letters = [line for line in screen.shown(output) if re.fullmatch(r"[.F]+", line)]
    assert [len(line) for line in letters] == [60, 60, 60, 20]
    assert "".join(letters).count("F") == 4


def test_live_output_is_live(project: Project) -> None:
    project.write(
        test_live="""
        import pathlib, time
        def test_live():
            print("printed while it runs")
            while not pathlib.Path("go").exists(): time.sleep(0.01)
        """
    )
    running = project.spawn("-n", "1", "-s", tty=True)
    running.wait_for("printed while it runs")
    project.write({"go": ""})
    assert running.wait() == 0


class TestColours:
    """Where pytest's sections are coloured, ours are, to the byte; and so are our lines."""

    @pytest.fixture
    def project(self, shared_project: Project) -> Project:
        shared_project.write(**COLOURFUL)
        return shared_project

    @pytest.mark.parametrize(
        ("args", "env", "coloured"),
        [
            (("--color=auto",), {}, False),
            (("--color=yes",), {}, True),
            ((), {"FORCE_COLOR": "1"}, True),
            ((), {"PY_COLORS": "1"}, True),
            (("--color=yes",), {"NO_COLOR": "1"}, True),
            (("--color=no",), {"FORCE_COLOR": "1"}, False),
            ((), {"PY_COLORS": "1", "NO_COLOR": "1"}, True),
            (("--color=yes", "--code-highlight=no", "-v"), {}, True),
        ],
    )
    def test_not_on_a_terminal(
        self, project: Project, args: tuple[str, ...], env: dict[str, str], coloured: bool
    ) -> None:
        args = ("-p", "no:cacheprovider", *args)
        expected = project.pytest(*args, env=env, junit=False)
        actual = project.rpytest("-n", "2", *args, env=env, junit=False)
        assert " FAILURES " in expected.stdout
        assert rich.normalised(rich.sections(actual.stdout)) == rich.normalised(
            rich.sections(expected.stdout)
        )
        assert ("\x1b[32mPASSED\x1b[0m" in actual.stdout) == coloured
        assert ("\x1b[" in actual.stdout) == coloured

    @pytest.mark.parametrize(
        ("args", "env", "coloured"),
        [
            ((), {}, True),
            (("--color=no",), {}, False),
            ((), {"NO_COLOR": "1"}, False),
            ((), {"PY_COLORS": "0"}, False),
            ((), {"TERM": "dumb"}, False),
        ],
    )
    def test_on_a_terminal(
        self, project: Project, args: tuple[str, ...], env: dict[str, str | None], coloured: bool
    ) -> None:
        args = ("-p", "no:cacheprovider", *args)
        _, expected = _on_terminal(project, "-p", "no:xdist", *args, program="pytest", env=env)
        _, actual = _on_terminal(project, "-n", "2", *args, env=env)
        # A terminal's line ends, and what the status line erased.
        actual, expected = (text.replace("\r\n", "\n") for text in (actual, expected))
        actual = re.sub(r"^.*\x1b\[2K", "", actual, flags=re.M)
        assert " FAILURES " in expected
        assert rich.normalised(rich.sections(actual)) == rich.normalised(rich.sections(expected))
        assert ("\x1b[32mPASSED\x1b[0m" in actual) == coloured
        assert ("\x1b[31m" in actual) == coloured


class TestDebugger:
    """`breakpoint()` in the only worker has the terminal; `--pdb` and `--trace` are pytest's
    own.
    """

    def start(self, project: Project, *args: str) -> Running:
        return project.spawn(
            "--color=no", "-p", "no:cacheprovider", *args, tty=True, env={"TERM": "xterm"}
        )

    @pytest.fixture
    def debugged(self, project: Project) -> Project:
        """In which no test waits."""
        project.write(**DEBUGGED)
        project.write({"before": "", "after": ""})
        return project

    def interrupt(self, running: Running) -> None:
        """Type Ctrl-C at the prompt: pdb asks again.

        Python sees a signal that comes just before it begins to read only when something else
        happens, so a key may be necessary that a person would press anyway: an empty line, which
        pdb takes for the last command once more. Not the same key again: it might come so late that
        it interrupts what runs by then.
        """

        def asked_again() -> bool:
            return re.search(r"--KeyboardInterrupt--(?s:.)*\(Pdb\) ", running.stdout) is not None

        running.send("\x03")
        for _ in range(60):
            if processes.wait_until(asked_again, seconds=5):
                return
            running.send("\n")
        raise AssertionError(f"no answer to Ctrl-C\n{running}")

    def test_breakpoint(self, project: Project) -> None:
        project.write(**DEBUGGED)
        running = self.start(project, "-n", "1")
        running.wait_for(_STATUS)
        project.write({"before": ""})
        running.wait_for(r"IO-capturing turned off(?s:.)*\(Pdb\) ")
        running.send("p value + 1\n")
        running.wait_for(r"^41\r?$(?s:.)*\(Pdb\) ")
        # The prompt's affair, not the end of the run.
        self.interrupt(running)
        running.send("c\n")
        running.wait_for(r"PDB continue(?s:.)*" + _STATUS)
        project.write({"after": ""})
        assert running.wait() == 0
        text = running.stdout.replace("\r\n", "\n")
        before, _, rest = text.partition("PDB set_trace")
        inside, _, after = rest.partition("PDB continue")
        assert re.search(_STATUS, before) and re.search(_STATUS, after)
        assert "\x1b[2K" not in inside and not re.search(_STATUS, inside)
        assert "test_debugged.py::test_before PASSED" in before
        assert "3 passed" in after

    def test_breakpoints_of_its_own(self, debugged: Project) -> None:
        running = self.start(debugged, "-n", "1")
        running.wait_for(r"turned off(?s:.)*\(Pdb\) ")
        running.send("b 11\n")
        running.wait_for(r"Breakpoint 1 at (?s:.)*\(Pdb\) ")
        running.send("c\n")
        running.wait_for(r"IO-capturing resumed(?s:.)*-> assert value == 42(?s:.)*\(Pdb\) ")
        running.send("p value * 2\n")
        running.wait_for(r"^84\r?$(?s:.)*\(Pdb\) ")
        running.send("c\n")
        assert running.wait() == 0
        inside = running.stdout.rpartition("-> assert value == 42")[2].partition("PDB continue")[0]
        assert "\x1b[2K" not in inside

    def test_quit_ends_the_run(self, debugged: Project) -> None:
        running = self.start(debugged, "-n", "1")
        running.wait_for(r"turned off(?s:.)*\(Pdb\) ")
        running.send("q\n")
        assert running.wait() == 2
        assert "Exit: Quitting debugger" in running.stdout
        assert re.search(r"::test_\w+ was running \(", running.stdout)

    def test_ctrl_c_after_the_debugger_ends_the_run(self, project: Project) -> None:
        project.write(
            test_long="""
            import os, time
            def test_long():
                breakpoint()
                print("goes on")
                os.mkdir("gone on")
                for _ in range(3000): time.sleep(0.1)
            """
        )
        running = self.start(project, "-n", "1")
        running.wait_for(r"turned off(?s:.)*\(Pdb\) ")
        running.send("c\n")
        running.wait_for(r"IO-capturing resumed(?s:.)*" + _STATUS)
        # The debugger is left only a little later than it says so.
        assert processes.wait_until((project.path / "gone on").exists)
        running.send("\x03")
        assert running.wait() == 2
        assert "! KeyboardInterrupt !" in running.stdout

    def test_several_workers_can_not_share_it(self, debugged: Project) -> None:
        result = debugged.rpytest("-n", "2")
        assert result.status == 1
        assert result.counts == {"failed": 1, "passed": 2}
        assert (
            "a debugger needs the terminal, which belongs to 2 workers; hint: run this "
            "test with `-n 1`"
        ) in result.stdout
        assert ">       breakpoint()" in result.stdout and "debugging.py" not in result.stdout

    def test_a_dead_debugger_leaves_the_terminal_as_it_was(self, debugged: Project) -> None:
        running = self.start(debugged, "-n", "1")
        running.wait_for(r"turned off(?s:.)*\(Pdb\) ")
        running.send("import os; print('pid', os.getpid())\n")
        pid = int(running.wait_for(r"^pid (\d+)\r?$(?s:.)*\(Pdb\) ")[1])
        assert processes.wait_until(lambda: running.modes != running.first_modes), (
            "the line editor has its own"
        )
        os.kill(pid, signal.SIGKILL)
        running.wait_for("^=+ .* in .*s =+\r?$")
        assert processes.wait_until(lambda: not running.is_running())
        assert running.modes == running.first_modes
        assert running.wait() == 1
        assert "crashed" in running.stdout and "1 failed, 2 passed" in running.stdout

    @pytest.mark.parametrize("workers", [["-n", "1"], []], ids=["n1", "no-n"])
    def test_post_mortem(self, project: Project, workers: list[str]) -> None:
        project.write(
            test_fails=(
                "def test_fails():\n    value = 6\n    assert value == 7\n\ndef test_passes(): pass"
            )
        )
        running = self.start(project, *workers, "--pdb")
        running.wait_for(r"entering PDB(?s:.)*-> assert value == 7(?s:.)*\(Pdb\) ")
        running.send("p value * 9\n")
        running.wait_for(r"^54\r?$(?s:.)*\(Pdb\) ")
        self.interrupt(running)
        running.send("c\n")
        assert running.wait() == 1
        assert "1 failed, 1 passed" in running.stdout

    def test_trace(self, project: Project) -> None:
        project.write(test_traced="def test_traced():\n    value = 6\n    assert value == 6")
        running = self.start(project, "-n", "1", "--trace")
        running.wait_for(r"PDB runcall(?s:.)*-> value = 6(?s:.)*\(Pdb\) ")
        running.send("n\n")
        running.wait_for(r"-> assert value == 6(?s:.)*\(Pdb\) ")
        running.send("c\n")
        assert running.wait() == 0
        assert "1 passed" in running.stdout


class TestInput:
    def test_the_only_worker_reads_the_terminal(self, project: Project) -> None:
        project.write(**READS)
        running = project.spawn("-n", "1", "-s", tty=True)
        running.wait_for("waits for input")
        running.send("typed\n")
        running.wait_for("read: typed")
        assert running.wait() == 0

    def test_several_find_it_empty(self, project: Project) -> None:
        project.write(**READS)
        running = project.spawn("-n", "2", "-s", tty=True)
        running.wait_for("read: nothing")
        assert running.wait() == 0

    @pytest.mark.parametrize("n", [1, 2])
    def test_captured_tests_may_not_read(self, project: Project, n: int) -> None:
        project.write(**READS)
        result = project.rpytest("-n", str(n))
        assert "OSError: pytest: reading from stdin while output is captured" in result.stdout
        assert result.counts == {"failed": 1, "passed": 1}


class TestSignals:
    def test_ctrl_c_reports_what_was_done(self, project: Project) -> None:
        project.write(**LONG)
        running = project.spawn(
            "-n", "1", "--color=no", "-p", "no:cacheprovider", tty=True, env={"TERM": "xterm"}
        )
        running.wait_for(_STATUS.replace(r"\d+/\d+", "1/3") + ".*test_long.py::test_long")
        # The line names it from its set-up on.
        assert processes.wait_until((project.path / "begun").exists)
        running.send("\x03")
        running.wait_for("in .*s =")
        assert processes.wait_until(lambda: not running.is_running())
        assert running.modes == running.first_modes
        assert running.wait() == 2
        lines = screen.shown(running.stdout)
        # Torn down, on a line without the status line's remains.
        assert "torn down" in lines
        # The one that was running did run.
        assert "Interrupted: 1 of 3 tests did not run" in lines
        assert any(
            re.fullmatch(r"Interrupted: test_long.py::test_long was running \(\d+\.\ds\)", line)
            for line in lines
        )
        assert any(line.startswith("FAILED test_long.py::test_fails") for line in lines)
        assert any(re.fullmatch("!+ KeyboardInterrupt !+", line) for line in lines)
        assert any(
            "test_long.py:1" in line and line.endswith(": KeyboardInterrupt") for line in lines
        )
        assert not any(re.match(_STATUS, line) for line in lines)

    def test_ctrl_z_stops_and_goes_on(self, project: Project) -> None:
        project.write(**SLOW)
        running = project.spawn("-n", "2", "--color=no", tty=True, env={"TERM": "xterm"})
        running.wait_for(_STATUS + ".*test_sleeps")
        running.send("\x1a")
        assert processes.wait_until(lambda: processes.state(running.pid) == "T")
        # Nothing is left of the status line for the shell's prompt to follow. What was written
        # before it stopped may still be on its way to us.
        assert processes.wait_until(
            lambda: not any(re.match(_STATUS, line) for line in screen.shown(running.stdout))
        )
        running.go_on()
        project.write({"go": ""})
        assert running.wait() == 1
        assert "1 failed, 4 passed" in running.stdout
