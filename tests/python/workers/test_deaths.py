"""Single deaths at chosen places; random ones are in `tests/kill/`."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support import junit_files, processes
from support.daemons import daemon_pid
from support.harness import Project
from support.running import Running

COLLECTS_FOR_LONG = """
    import os, time
    open("collecting", "w").write(str(os.getpid()))
    while not os.path.exists("go on"):
        time.sleep(0.01)

    def test_1(): pass
    def test_2(): pass
"""


def collecting(project: Project, *args: str) -> tuple[Running, int]:
    """A command whose tests are being collected, and the process that does so."""
    project.write(test_long=COLLECTS_FOR_LONG)
    note = project.path / "collecting"
    note.unlink(missing_ok=True)
    running = project.spawn(*args)
    assert processes.wait_until(lambda: note.exists() and note.read_text() != "")
    return running, int(note.read_text())


def let_go_on(project: Project) -> None:
    (project.path / "go on").touch()


@pytest.mark.parametrize(
    "args",
    [("-n2",), ("-n0",), ("-n2", "--no-daemon"), ("-n1", "--start-method=bare")],
    ids=" ".join,
)
def test_command_killed_while_tests_are_collected(project: Project, args: tuple[str, ...]) -> None:
    """Nothing goes on collecting for nobody, however long it takes, and the next run does not wait
    for it.
    """
    running, collector = collecting(project, *args)
    running.kill()
    assert processes.wait_until(lambda: not processes.is_alive(collector))
    let_go_on(project)
    result = project.rpytest(*args)
    assert result.status == 0
    assert result.counts == {"passed": 2}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_command_ended_while_tests_are_collected(project: Project, number: signal.Signals) -> None:
    running, collector = collecting(project, "-n2")
    running.send_signal(number)
    assert running.wait() == 2
    assert "interrupt" in (running.stdout + running.stderr).lower()
    assert "error:" not in running.stderr, running
    # It has said its last word and may still be on its way out.
    assert processes.wait_until(lambda: not processes.is_alive(collector))


def test_daemon_killed_while_tests_are_collected(project: Project) -> None:
    """The run goes on without it."""
    running, _ = collecting(project, "-n2")
    daemon = daemon_pid(project)
    processes.send([daemon], signal.SIGKILL)
    assert processes.wait_until(lambda: not processes.is_alive(daemon))
    let_go_on(project)
    assert running.wait() == 0
    assert "2 passed" in running.stdout
    assert running.stderr == ""
    # Its session has no daemon to come back to.
    assert processes.wait_until(lambda: not project.processes())


def test_host_killed_by_a_test(project: Project) -> None:
    project.write(
        test_kills="""
        import os, signal, time
        import pytest

        begun = []

        @pytest.mark.parametrize("i", range(10))
        def test_one(i):
            begun.append(i)
            if len(begun) == 2:
                # The result of its first one has been left.
                os.mkdir(f"done-{i}")
            if i == 5:
                while not any(name.startswith("done") for name in os.listdir()): time.sleep(0.01)
                os.kill(os.getppid(), signal.SIGKILL)
                [time.sleep(0.1) for _ in range(10000)]
        """
    )
    result = project.rpytest("-n2")
    assert result.status == 3
    assert (
        "error: the run's host process went away while the tests were running\nhint: "
        in result.stderr
    )
    # Whatever has no result is an error, by name.
    assert len(result.outcomes) == 10
    assert set(result.outcomes.values()) == {"passed", "error"}
    assert result.outcome("[5]") == "error"


LIVE = """
        import pytest

        class Live(TerminalReporter):
            pass

        @pytest.hookimpl(trylast=True)
        def pytest_configure(config):
            plain = config.pluginmanager.getplugin("terminalreporter")
            config.pluginmanager.unregister(plain)
            config.pluginmanager.register(Live(config), "terminalreporter")
"""


@pytest.mark.parametrize("terminal", ["plain", "live"])
@pytest.mark.parametrize("args", [("-n2",), ("-n2", "--start-method=bare")], ids=" ".join)
def test_host_killed_while_a_controller_reports(
    project: Project, args: tuple[str, ...], terminal: str
) -> None:
    """Its hooks are behind when the command line gives it up: it ends without a word."""
    project.write(
        conftest="""
        import os, time

        from _pytest.terminal import TerminalReporter

        def pytest_runtest_logreport(report):
            if "PYTEST_XDIST_WORKER" not in os.environ:
                time.sleep(0.1)
        """
        + LIVE * (terminal == "live"),
        test_kills="""
        import os, signal, time
        import pytest

        @pytest.mark.parametrize("i", range(10))
        def test_one(i):
            # Reports are on their way by then.
            time.sleep(0.1)
            if i == 5:
                os.kill(os.getppid(), signal.SIGKILL)
                [time.sleep(0.1) for _ in range(10000)]
        """,
    )
    result = project.rpytest(*args)
    assert result.status == 3
    assert "went away while the tests were running" in result.stderr
    assert "given up" not in result.stdout, result
    assert "INTERNALERROR" not in result.stdout + result.stderr, result
    assert "Traceback" not in result.stdout + result.stderr, result
    assert len(result.outcomes) == 10


@pytest.mark.parametrize("scope", ["function", "module", "session"])
@pytest.mark.parametrize("place", ["setup", "teardown"])
def test_fixture_that_ends_the_process(project: Project, scope: str, place: str) -> None:
    """With status 0, which is no success."""
    code = {"setup": "os._exit(0); yield", "teardown": "yield; os._exit(0)"}[place]
    project.write(
        conftest=f"""
        import os
        import pytest

        @pytest.fixture(scope="{scope}")
        def ends(worker_id):
            {code}
        """,
        test_a="def test_1(ends): pass",
        test_b="def test_2(): pass\ndef test_3(): pass",
    )
    result = project.rpytest("-n2")
    assert result.status == 1
    assert sorted(result.outcomes.values()) == ["failed", "passed", "passed"]
    (failed,) = [case for case in result.cases or () if case.outcome == "failed"]
    assert "exit status 0 before the test was finished" in failed.message
    if scope != "session" or place == "setup":
        assert failed.id.endswith("test_1")


@pytest.mark.parametrize("args", [("-n2",), ("-n2", "--start-method=bare")], ids=" ".join)
def test_result_of_a_test_whose_teardown_ends_the_process(
    project: Project, args: tuple[str, ...]
) -> None:
    """Passed, skipped or failed, it was: what is said of its call is not lost with the worker, and
    the death is a failure.
    """
    project.write(
        conftest="""
        import os
        import pytest

        @pytest.fixture
        def ends():
            yield
            os._exit(3)
        """,
        test_a="""
        import pytest

        def test_passes(ends): pass
        def test_fails(ends):
            print("what it wrote")
            assert 1 == 2
        def test_skips(ends): pytest.skip("not today")
        @pytest.mark.xfail(reason="as expected")
        def test_xfails(ends): assert 0
        @pytest.mark.xfail(reason="as expected")
        def test_xpasses(ends): pass
        def test_other(): pass
        """,
    )
    file = project.scratch / "deaths.xml"
    result = project.rpytest(*args, "-rfsxXp", f"--junitxml={file}", junit=False)
    assert result.status == 1
    # What had passed or been skipped counts as that, too, as under pytest with an error in the
    # teardown.
    assert result.counts == {"passed": 2, "failed": 5, "skipped": 1, "xfailed": 1, "xpassed": 1}
    assert "assert 1 == 2" in result.stdout and "what it wrote" in result.stdout
    assert "not today" in result.stdout and "as expected" in result.stdout
    # It is the last that is known of them, too.
    known = json.loads(
        project.rpytest("--inventory-status", "--inventory-format=json", junit=False).stdout
    )
    assert (known["tests"], known["failed"]) == (6, 5)
    # One test, one outcome, in the junit file.
    assert ElementTree.parse(file).getroot()[0].get("tests") == "6"
    outcomes = {case.id.partition("::")[2]: case.outcome for case in junit_files.read(file)}
    for name in ("passes", "fails", "skips", "xfails", "xpasses"):
        assert re.search(
            rf"crashed while running 'test_a.py::test_{name}': exit status 3 \(in its teardown\)",
            result.stdout,
        )
        assert outcomes[f"test_{name}"] == "failed"


@pytest.mark.parametrize("args", [("-n2",), ("-n2", "--start-method=bare")], ids=" ".join)
def test_worker_that_dies_between_claim_and_test(project: Project, args: tuple[str, ...]) -> None:
    """The test that it had taken and not begun is somebody else's."""
    project.write(
        conftest="""
        import os

        def pytest_plugin_registered(plugin):
            if type(plugin).__name__ != "Worker" or plugin.spec.incarnation > 0:
                return
            native = plugin.native

            class Claims:
                def __getattr__(self, name):
                    return getattr(native, name)

                def begin(self, test):
                    os.mkdir(f"died-{plugin.spec.slot}")
                    os._exit(0)

            plugin.native = Claims()
        """,
        # Those that come in their place leave tests for both.
        test_a="""
        import glob, time
        import pytest

        @pytest.mark.parametrize("i", range(20))
        def test_1(i):
            while len(glob.glob("died-*")) < 2: time.sleep(0.01)
        """,
    )
    result = project.rpytest(*args)
    assert result.outcomes == {f"test_a::test_1[{i}]": "passed" for i in range(20)}
    # Two workers have crashed, which no test's result shows.
    assert result.status == 1
    assert result.stdout.count("node down: exit status 0 before its session was finished") == 2


def test_too_many_deaths(project: Project) -> None:
    """What can't run any more is an error, by name."""
    project.write(
        test_a=(
            "import os, pytest\n@pytest.mark.parametrize('i', range(30))\n"
            "def test_1(i): os._exit(0)"
        )
    )
    result = project.rpytest("-n2", "--max-worker-restart=3")
    assert result.status == 1
    assert len(result.outcomes) == 30
    assert set(result.outcomes.values()) == {"failed"}
    assert re.search(r"!! xdist: maximum crashed workers reached: 3 !!", result.stdout)
    messages = [case.message for case in result.cases or ()]
    assert sum("crashed while running" in message for message in messages) == 5
    assert (
        sum(
            "did not run: more than 3 workers crashed (`--max-worker-restart`)" in message
            for message in messages
        )
        == 25
    )


def test_command_stopped_for_a_while(project: Project, tmp_path: Path) -> None:
    """Workers wait for it when their rings are full, and nothing is lost."""
    each, stops = 100, 3
    count = each * stops
    project.write(
        test_a=f"""
        import pathlib, time
        import pytest

        @pytest.mark.parametrize("i", range({each}))
        @pytest.mark.parametrize("part", range({stops}))
        def test_1(i, part):
            pathlib.Path(f"began-{{part}}").touch()
            # Whatever is written is written while the command is stopped, or later.
            while not pathlib.Path(f"stopped-{{part}}").exists(): time.sleep(0.01)
            print(f"{{i}} " * 2000)
        """
    )
    junit = tmp_path / "stopped.xml"
    running = project.spawn("-n2", f"--junitxml={junit}")
    for part in range(stops):
        assert processes.wait_until((project.path / f"began-{part}").exists)
        running.pause()
        (project.path / f"stopped-{part}").touch()
        assert not processes.wait_until(lambda: not running.is_running(), seconds=1)
        running.go_on()
    assert running.wait() == 0
    assert f"{count} passed" in running.stdout
    assert len(junit_files.read(junit)) == count


def test_modules_that_a_test_breaks(project: Project) -> None:
    """What a test leaves behind in Python's own modules breaks nothing of ours: pytest does not use
    them then, either.
    """
    project.write(
        test_a="""
        import json, os, socket, time
        def test_breaks():
            json.dumps = json.loads = json.load = None
            os.getpid = os.getppid = os.fork = lambda: 1
            time.time = time.monotonic = time.perf_counter = lambda: 0.0
            socket.socket = None
            os.environ.clear()
        def test_asks_for_a_folder(tmp_path): assert tmp_path.is_dir()
        def test_fails(): assert 0
        """
    )
    project.compare(n=1)
    project.compare(n=2)


def test_a_port_is_free_when_the_command_has_ended(project: Project) -> None:
    """A large process takes a while to go, and gives its memory back before its sockets."""
    project.write(
        test_a="""
        import os, socket, threading

        kept = []

        def test_listens():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            from pathlib import Path
            file = Path("port")
            if not file.exists():
                # An address of its own, so that nobody else takes the port between two runs.
                host = "127." + ".".join(str(1 + byte % 254) for byte in os.urandom(3))
                file.write_text(f"{host} {port}")
            host, port = file.read_text().split()
            server = socket.create_server((host, int(port)))
            threading.Thread(target=server.accept, daemon=True).start()
            kept.append((server, bytearray(300 << 20)))
        """
    )
    for _ in range(4):
        result = project.rpytest("-n1")
        assert result.status == 0, result
