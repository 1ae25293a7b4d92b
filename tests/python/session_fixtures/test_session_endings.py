"""Shared session fixtures when a run does not go its way: crashes, interrupts, kills. The
finalizers run once, after the last worker.
"""

from __future__ import annotations

import signal

import pytest

from cases_processes import ASK, PID_SERVER, SERVER
from grid import Ground, announced, parametrized
from support import processes
from support.harness import Project
from support.running import Running

NOTES = ("up outer", "up inner", "down inner", "down outer")

TWO = """
import pytest
from notes import note

@pytest.fixture(scope="session")
def outer():
    note("up outer")
    yield {"value": 1}
    note("down outer")

@pytest.fixture(scope="session")
def inner(outer):
    note("up inner")
    yield outer
    note("down inner")
"""


@pytest.fixture
def ground(project: Project) -> Ground:
    return Ground(project, project.path, {})


def fill(ground: Ground, **files: str) -> None:
    ground.project.write({f"{name}.py": text for name, text in files.items()})


DEATHS = {
    "exit": "os._exit(0)",
    "kill": "os.kill(os.getpid(), signal.SIGKILL)",
    "segv": "os.kill(os.getpid(), signal.SIGSEGV)",
}


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("n", [1, 4])
def test_worker_dies(ground: Ground, n: int, death: str) -> None:
    """Its replacement has the same fixtures."""
    fill(
        ground,
        conftest=TWO,
        test_a="import os, signal\n"
        + parametrized(
            "inner", f"assert inner == {{'value': 1}}\n    if i == 7:\n        {DEATHS[death]}"
        ),
    )
    for _ in range(2):
        result, notes = ground.rpytest(f"-n{n}")
        assert result.status == 1
        assert result.counts == {"passed": 15, "failed": 1}
        assert result.outcome("test_one[7]") == "failed"
        assert notes == NOTES
        assert announced(result) == (("outer", "inner"), {})


@pytest.mark.parametrize("args", [("-n4",), ("-n16", "--dist", "loadfile")], ids=" ".join)
def test_many_workers_die(ground: Ground, args: tuple[str, ...]) -> None:
    fill(
        ground,
        conftest=TWO,
        test_a="import os\n" + parametrized("inner", "if i % 4 == 1: os._exit(i)"),
        test_b="import os\n" + parametrized("outer", "if i % 8 == 1: os._exit(i)"),
    )
    result, notes = ground.rpytest(*args)
    assert result.status == 1
    assert result.counts == {"passed": 26, "failed": 6}
    assert notes == NOTES


def test_no_more_replacements(ground: Ground) -> None:
    """What has not run is an error; the finalizers run."""
    fill(ground, conftest=TWO, test_a="import os\n" + parametrized("inner", "os._exit(1)"))
    result, notes = ground.rpytest("-n2", "--max-worker-restart=0")
    assert result.status == 1
    assert len(result.outcomes) == 16
    assert set(result.outcomes.values()) == {"failed"}
    assert notes == NOTES


def test_server_survives_crashes(ground: Ground) -> None:
    """A child process of a shared fixture serves every worker and replacement, and ends with the
    finalizer.
    """
    fill(
        ground,
        conftest=SERVER,
        pid_server=PID_SERVER,
        test_a="import os, urllib.request\n"
        + parametrized("server", f"{ASK}\n    if i % 5 == 0:\n        os._exit(1)"),
    )
    for _ in range(2):
        result, notes = ground.rpytest("-n4")
        assert result.counts == {"passed": 12, "failed": 4}
        assert notes == ("up server", "down server -15")


def test_finalizer_fails_after_a_crash(ground: Ground) -> None:
    """The last dependant has already failed: it gets the error, too."""
    fill(
        ground,
        conftest=TWO.replace(
            'note("down inner")', 'note("down inner"); raise ValueError("stays up")'
        ),
        test_a="import os\n" + parametrized("inner", "if i == 15: os._exit(1)"),
    )
    result, notes = ground.rpytest("-n2")
    assert result.status == 1
    assert result.counts == {"passed": 15, "failed": 1, "errors": 1}
    assert result.outcome("test_one[15]") == "error+failed"
    assert "ValueError: stays up" in result.stdout
    assert notes == NOTES


STOPS = {"-x": ("-x",), "stepwise": ("--sw",), "2 workers": ("-n2", "-x")}
FAILS = TWO.replace('note("down inner")', 'note("down inner"); raise ValueError("stays up")')
DIES = TWO.replace('note("down inner")', 'import os; note("down inner"); os._exit(5)')


@pytest.mark.parametrize("conftest", [FAILS, DIES], ids=["fails", "dies"])
@pytest.mark.parametrize("args", STOPS.values(), ids=STOPS)
def test_finalizer_fails_in_a_run_that_was_stopped(
    ground: Ground, args: tuple[str, ...], conftest: str
) -> None:
    """The error is the last dependant's that has run: a test that never ran has no teardown."""
    fill(ground, conftest=conftest, test_a=parametrized("inner", "assert i < 3"))
    result, notes = ground.rpytest("-n1", *args)
    assert notes[:3] == NOTES[:3]
    blamed = [name for name, outcome in result.outcomes.items() if "+" in outcome]
    assert len(blamed) == 1
    # Each has run: nothing but a finalizer's failure would be said of a test that has not.
    assert set(result.outcomes.values()) <= {
        "passed",
        "failed",
        "error+failed",
        "failed+failed",
        "error+passed",
    }
    if "-n2" not in args:
        assert list(result.outcomes) == [f"test_a::test_one[{i}]" for i in range(4)]
        assert blamed == ["test_a::test_one[3]"]


def test_finalizer_fails_and_no_dependant_has_run(ground: Ground) -> None:
    """It is the last test's that has run; without one it is said outside of tests."""
    fill(
        ground, conftest=FAILS, test_0="def test_first(): assert 0\n", test_a=parametrized("inner")
    )
    result, notes = ground.rpytest("-n1", "-x")
    assert result.outcomes == {"test_0::test_first": "error+failed"}
    assert notes == NOTES
    fill(ground, test_0="def test_first(): raise KeyboardInterrupt\n")
    result, notes = ground.rpytest("-n1")
    assert result.status == 2
    assert result.outcomes == {}
    assert "no test has run that could report it" in result.stdout
    assert "ValueError: stays up" in result.stdout
    assert notes == NOTES


FACTORY = """
import pytest
from notes import note

@pytest.fixture(scope="session")
def make(request):
    def make(name, end=lambda: None):
        request.addfinalizer(lambda: (note(f"down {name}"), end()))
        return name
    yield make
    note("down make")

@pytest.fixture(scope="module")
def module(make):
    yield make("of a module")
"""


@pytest.mark.parametrize("end", ["passes", "fails", "-x", "ctrl-c"])
def test_finalizers_that_tests_add(ground: Ground, end: str) -> None:
    """Each runs once, in the worker in which it was added, before those of the fixture."""
    last = {
        "passes": "pass",
        "fails": "make('bad', lambda: 1 / 0)",
        "-x": "assert 0",
        "ctrl-c": "raise KeyboardInterrupt",
    }[end]
    fill(
        ground,
        conftest=FACTORY,
        test_a=parametrized(
            "make, module", f"make(f'user {{i}}')\n    if i == 7:\n        {last}", count=8
        ),
    )
    args = ("-x",) if end == "-x" else ()
    serial, serial_notes = ground.pytest(*args)
    assert len(serial_notes) == (11 if end == "fails" else 10)
    assert serial_notes[-1] == "down make"
    for n in (1, 4, 4):
        result, notes = ground.rpytest(f"-n{n}", *args)
        assert result.status == serial.status
        assert notes[-1] == "down make"
        if n == 1:
            assert notes == serial_notes
            assert result.counts == serial.counts
        elif end in ("passes", "fails"):
            # A module's fixture is made in each worker that needs it.
            assert sorted(set(notes)) == sorted(serial_notes)
            assert len([line for line in notes if line.startswith("down user")]) == 8
            assert result.counts == serial.counts
        assert ("ZeroDivisionError" in result.stdout) == (end == "fails")


@pytest.mark.parametrize("failing", [0, 3])
def test_finalizer_knows_how_many_have_failed(ground: Ground, failing: int) -> None:
    """Some keep what they have made for whoever looks into the failure."""
    conftest = """
    import pytest
    from notes import note

    @pytest.fixture(scope="session")
    def database(request):
        yield
        note(f"{request.session.testsfailed} of {len(request.session.items)}")
    """
    fill(ground, conftest=conftest, test_a=parametrized("database", f"assert i >= {failing}"))
    _, serial = ground.pytest()
    assert serial == (f"{failing} of 16",)
    for n in (1, 4, 4):
        result, notes = ground.rpytest(f"-n{n}")
        assert result.status == (1 if failing else 0)
        assert notes == serial


def started(ground: Ground, *args: str, note: str) -> Running:
    """A run that has written the note."""
    ground.forget()
    running = ground.project.spawn(*args, env=ground.env, cwd=ground.folder)
    assert processes.wait_until(lambda: note in ground.noted() or not running.is_running())
    assert note in ground.noted(), running
    return running


#: Tests that take for ever, once one of them has begun.
SLOW = "import time\nfrom notes import note\n" + parametrized(
    "inner", "note('test runs'); [time.sleep(0.1) for _ in range(10000)]"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("n", [1, 4])
def test_interrupted_while_tests_run(ground: Ground, n: int, number: signal.Signals) -> None:
    fill(ground, conftest=TWO, test_a=SLOW)
    running = started(ground, f"-n{n}", note="test runs")
    running.send_signal(number)
    assert running.wait() == 2, running
    assert [line for line in ground.noted() if line != "test runs"] == list(NOTES)


@pytest.mark.parametrize("n", [1, 4])
def test_interrupted_while_a_fixture_is_set_up(ground: Ground, n: int) -> None:
    """Those that are there are finalized; no test runs."""
    fill(
        ground,
        conftest="import time\n"
        + TWO.replace(
            'note("up inner")', 'note("up inner"); [time.sleep(0.1) for _ in range(10000)]'
        ),
        test_a=SLOW,
    )
    running = started(ground, f"-n{n}", note="up inner")
    running.send_signal(signal.SIGINT)
    assert running.wait() == 2, running
    assert ground.noted() == ("up outer", "up inner", "down outer")


@pytest.mark.parametrize("place", ["up", "down"])
def test_interrupted_twice(ground: Ground, place: str) -> None:
    """A fixture that hears nothing keeps neither the command nor its process."""
    fill(
        ground,
        conftest="import os, signal, time\n"
        + TWO.replace(
            f'note("{place} inner")',
            (
                f'signal.signal(signal.SIGINT, signal.SIG_IGN); note(f"{{os.getpid()}} deaf"); '
                f'note("{place} inner"); [time.sleep(0.1) for _ in range(10000)]'
            ),
        ),
        test_a=parametrized("inner"),
    )
    running = started(ground, "-n2", note=f"{place} inner")
    (deaf,) = [int(line.split()[0]) for line in ground.noted() if line.endswith(" deaf")]
    running.send_signal(signal.SIGINT)
    assert not processes.wait_until(lambda: not running.is_running(), seconds=1)
    assert processes.is_alive(deaf)
    running.send_signal(signal.SIGINT)
    assert running.wait() != 0
    assert processes.wait_until(lambda: not processes.is_alive(deaf))


@pytest.mark.parametrize("death", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_set_up_ends_its_process(ground: Ground, death: str) -> None:
    """No test can run. Never green, and nothing waits."""
    fill(
        ground,
        conftest="import os, signal\n"
        + TWO.replace('note("up inner")', f'note("up inner"); {death}'),
        test_a=parametrized("inner"),
    )
    result, notes = ground.rpytest("-n2")
    assert result.status in (1, 3)
    assert len(result.outcomes) == 16
    assert set(result.outcomes.values()) <= {"failed", "error"}
    assert "up outer" in notes


@pytest.mark.parametrize("death", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_finalizer_ends_its_process(ground: Ground, death: str) -> None:
    """What it was to finalize after that is not finalized: an error, not a green run."""
    fill(
        ground,
        conftest="import os, signal\n"
        + TWO.replace('note("down inner")', f'note("down inner"); {death}'),
        test_a=parametrized("inner"),
    )
    result, notes = ground.rpytest("-n2")
    assert result.status != 0
    assert len(result.outcomes) == 16
    assert notes == NOTES[:3]


def test_pytest_exit_in_a_set_up(ground: Ground) -> None:
    """Ends the run as it does in plain pytest."""
    fill(
        ground,
        conftest=TWO.replace(
            'note("up inner")', 'note("up inner"); pytest.exit("no licence", returncode=7)'
        ),
        test_a=parametrized("inner"),
    )
    serial, serial_notes = ground.pytest()
    assert serial.status == 7
    assert serial_notes == ("up outer", "up inner", "down outer")
    for n in (1, 4):
        result, notes = ground.rpytest(f"-n{n}")
        assert result.status == 7
        assert "no licence" in result.stdout
        assert "passed" not in result.stdout
        assert notes == serial_notes


@pytest.mark.parametrize("n", [1, 4])
def test_command_is_killed(ground: Ground, n: int) -> None:
    """The finalizers run all the same: a server is not left behind."""
    fill(
        ground,
        conftest=SERVER.replace(
            'note("up server")', 'note("up server"); note(f"host {os.getpid()}")'
        ).replace("import subprocess", "import os, subprocess"),
        pid_server=PID_SERVER,
        test_a="import time\nfrom notes import note\n"
        + parametrized(
            "server",
            (
                "note(f'server {server[0].pid}'); note('test runs'); [time.sleep(0.1) for _ in "
                "range(10000)]"
            ),
        ),
    )
    running = started(ground, f"-n{n}", note="test runs")
    (server,) = {int(line.split()[1]) for line in ground.noted() if line.startswith("server ")}
    assert processes.is_alive(server)
    running.kill()
    assert processes.wait_until(lambda: not processes.is_alive(server))
    assert processes.wait_until(lambda: "down server -15" in ground.noted())


def test_two_runs_at_once(ground: Ground) -> None:
    """Each has fixtures of its own."""
    fill(
        ground,
        conftest="import os, time\n" + TWO.replace('{"value": 1}', "os.getpid()"),
        test_a="import os, time\nfrom notes import note\n"
        + parametrized(
            "inner",
            (
                "note(f'sees {inner}')\n    while len({line for line in "
                "open(os.environ['NOTES']) if line.startswith('sees')}) < 2:\n"
                "        time.sleep(0.01)"
            ),
            count=2,
        ),
    )
    first = started(ground, "-n2", note="up inner")
    second = ground.project.spawn("-n2", env=ground.env, cwd=ground.folder)
    assert first.wait() == 0, first
    assert second.wait() == 0, second
    assert sorted(line for line in ground.noted() if not line.startswith("sees")) == sorted(
        2 * NOTES
    )


def test_without_a_daemon(ground: Ground) -> None:
    fill(ground, conftest=TWO, test_a=parametrized("inner"))
    for _ in range(2):
        result, notes = ground.rpytest("-n4", "--no-daemon")
        assert result.status == 0
        assert notes == NOTES
        assert announced(result) == (("outer", "inner"), {})


def test_no_worker_is_left_for_a_finalizer(ground: Ground) -> None:
    """It may wait for whatever child ends, as in plain pytest."""
    fill(
        ground,
        conftest="import os, pytest\n\n@pytest.fixture(scope='session')\n"
        "def outer():\n    yield 1\n"
        "    pid = os.spawnlp(os.P_NOWAIT, 'true', 'true')\n    found, _ = os.wait()\n"
        "    assert found == pid\n",
        test_a=parametrized("outer"),
    )
    for _ in range(4):
        result, _notes = ground.rpytest("-n2")
        assert result.status == 0, result
