"""Session fixtures that are created once for all workers: what is special about them in one run."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from support import processes
from support.harness import MEETING, Project, Result

#: A fixture's set-up and finalizer leave a line each, with the process that ran them.
NOTES = """
    import os, threading, time
    import pytest

    def note(text):
        with open(os.path.join(os.path.dirname(__file__), "notes"), "a") as file:
            file.write(f"{text} {os.getpid()}\\n")
"""


def notes(project: Project) -> list[str]:
    """What was noted, without the processes; the next run begins anew."""
    return [line.split()[0] for line in noted(project)]


def noted(project: Project) -> list[str]:
    path = project.path / "notes"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def shared(result: Result) -> list[str]:
    found = re.findall(r"^shared session fixtures: (.*)$", result.stdout, re.M)
    assert len(found) < 2, result
    return found[0].split(", ") if found else []


def own(result: Result) -> dict[str, str]:
    return dict(
        re.findall(r"^session fixture of each worker: (\S+) \((.*)\)$", result.stdout, re.M)
    )


@pytest.mark.parametrize("n", [1, 4])
def test_created_once_and_ended_after_the_last_test(project: Project, n: int) -> None:
    conftest = (
        NOTES
        + """
    @pytest.fixture(scope="session")
    def outer(tmp_path_factory):
        note("outer")
        yield tmp_path_factory.mktemp("outer")
        note("end-outer")

    @pytest.fixture(scope="session")
    def inner(outer):
        note("inner")
        yield os.getpid()
        note("end-inner")

    @pytest.fixture(scope="session")
    def unneeded():
        note("unneeded")

    @pytest.fixture(scope="module")
    def of_module(inner):
        note("of_module")
        yield inner
    """
    )
    test = """
    import os, time, pytest
    @pytest.mark.parametrize("i", range(8))
    def test_1(inner, of_module, i):
        assert inner == of_module != os.getpid()
        time.sleep(0.02)
    @pytest.mark.skip
    def test_2(unneeded): pass
    def test_3(): pass
    """
    project.write({"conftest.py": conftest, "test_a.py": test})
    for _ in range(2):
        result = project.rpytest("-v", f"-n{n}")
        assert result.status == 0, result
        lines = noted(project)
        names = [line.split()[0] for line in lines if not line.startswith("of_module")]
        assert names == ["outer", "inner", "end-inner", "end-outer"]
        assert len({line.split()[1] for line in lines if not line.startswith("of_module")}) == 1
        assert shared(result) == ["outer", "inner"]
        assert own(result) == {}


def test_failures_skips_and_failing_finalizers_are_pytests(project: Project) -> None:
    conftest = """
    import warnings
    import pytest

    @pytest.fixture(scope="session")
    def failing():
        print("written by it")
        assert 0, "no luck"

    @pytest.fixture(scope="session")
    def skipping():
        pytest.skip("not here")

    @pytest.fixture(scope="session")
    def warning():
        warnings.warn("an old one")
        yield
        raise RuntimeError("badly ended")
    """
    test = """
    def test_1(failing): pass
    def test_2(failing): pass
    def test_3(skipping): pass
    def test_4(skipping): pass
    def test_5(warning): pass
    def test_6(): pass
    def test_7(warning): pass
    """
    project.write({"conftest.py": conftest, "test_a.py": test})
    plain = project.pytest("-p", "no:xdist")
    result = project.rpytest("-n3", "-v")
    assert shared(result) == ["failing", "skipping", "warning"]
    assert (result.status, result.counts) == (plain.status, plain.counts), result
    for part in (
        "ERRORS",
        "ERROR at setup of test_1",
        "ERROR at setup of test_2",
        "ERROR at teardown of test_7",
    ):
        assert part in result.stdout
    # The traceback is the fixture's and nothing of ours.
    for text in (plain.stdout, result.stdout):
        section = text.partition("ERROR at setup of test_1")[2].partition(
            "ERROR at setup of test_2"
        )[0]
        assert "written by it" in section
        assert "rpytest/" not in section
        assert ">       raise RuntimeError" in text.partition("ERROR at teardown of test_7")[2]
    assert (
        "rpytest/"
        not in result.stdout.partition("ERROR at teardown of test_7")[2].partition("summary")[0]
    )
    assert result.stdout.count("an old one") == plain.stdout.count("an old one")


def test_what_cannot_be_inherited_is_made_by_each_worker(project: Project) -> None:
    """Found out once, said once, looked at again when the file has changed."""
    conftest = (
        NOTES
        + """
    @pytest.fixture(scope="session")
    def first():
        note("first")
        return 1

    @pytest.fixture(scope="session")
    def thread():
        note("thread")
        stop = threading.Event()
        running = threading.Thread(target=stop.wait, name="busy")
        running.start()
        yield running
        stop.set()
        running.join()
        note("end-thread")

    @pytest.fixture(scope="session")
    def named(worker_id):
        return worker_id

    @pytest.fixture(scope="session")
    def looking():
        return os.environ["PYTEST_XDIST_WORKER"]

    @pytest.fixture(scope="session", params=[1, 2])
    def several(request):
        return request.param

    @pytest.fixture(scope="session", params=[3])
    def single(request):
        return request.param
    """
    )
    test = """
    def test_1(first, thread): assert thread.is_alive()
    def test_2(named, looking, worker_id): assert named == looking == worker_id
    def test_3(several, single): assert several < single
    """
    project.write({"conftest.py": conftest, "test_a.py": test})
    expected = {
        "thread": "its set-up started a thread: busy",
        "named": "requests worker_id",
        "looking": "asks which worker it is in",
        "several": "parametrized",
    }
    for learns in (True, False):
        result = project.rpytest("-v", "-n2")
        assert result.status == 0, result
        assert shared(result) == ["first", "single"]
        assert own(result) == expected
        assert ("from now on" in result.stdout) == learns
        lines = notes(project)
        assert lines.count("thread") == lines.count("end-thread") == 1 + learns
        assert lines.count("first") == 1 + 2 * learns
    path = project.path / "conftest.py"
    path.write_text(
        path.read_text().replace("running.start()", "running.start(); stop.set(); running.join()")
    )
    project.write(test_a="def test_1(thread): pass")
    result = project.rpytest("-v", "-n2")
    assert shared(result) == ["thread"], result


def test_user_has_the_last_word(project: Project) -> None:
    conftest = """
    import os, sqlite3
    import pytest

    @pytest.fixture(scope="session")
    def connection():
        return sqlite3.connect(":memory:")

    @pytest.fixture(scope="session")
    def process():
        return os.getpid()

    @pytest.fixture(scope="session")
    def author():
        return os.getpid()

    author.rpytest_shared = False
    """
    test = "def test_1(connection, process, author): pass"
    project.write({"conftest.py": conftest, "test_a.py": test})

    def run(settings: str) -> Result:
        (project.path / "pyproject.toml").write_text(f"[tool.rpytest]\n{settings}\n")
        return project.rpytest("-v", "-n2")

    result = run("")
    assert shared(result) == ["process"]
    assert own(result) == {
        "connection": "its set-up left a sqlite connection",
        "author": "rpytest_shared = False",
    }
    result = run('shared_fixtures = ["connection"]\nper_worker_fixtures = ["process"]')
    assert shared(result) == ["connection"]
    assert own(result) == {"process": "per_worker_fixtures", "author": "rpytest_shared = False"}
    result = run('session_fixtures = "per-worker"')
    assert shared(result) == []
    assert own(result) == dict.fromkeys(
        ("connection", "process", "author"), 'session_fixtures = "per-worker"'
    )
    result = run('shared_fixtures = ["process"]\nper_worker_fixtures = ["process"]')
    assert result.status == 4
    assert "`process` is in `shared_fixtures` and in `per_worker_fixtures`" in result.stderr


SERVER = (
    NOTES
    + """
    import subprocess, sys

    @pytest.fixture(scope="session")
    def server():
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        note(f"server-{process.pid}")
        yield process
        process.terminate()
        note(f"status{process.wait()}")
    """
)


def test_child_process_serves_all_workers_and_survives_their_crashes(project: Project) -> None:
    test = """
    import os, pytest
    @pytest.mark.parametrize("i", range(6))
    def test_1(server, i):
        assert server.poll() is None
        if i == 2:
            os._exit(3)
        os.kill(server.pid, 0)
    """
    project.write({"conftest.py": SERVER, "test_a.py": test})
    result = project.rpytest("-n2", "-v")
    assert result.status == 1
    assert result.counts == {"passed": 5, "failed": 1}, result
    assert shared(result) == ["server"]
    assert [line.partition("-")[0] for line in notes(project)] == [
        "server",
        "status-15".partition("-")[0],
    ]


@pytest.mark.parametrize("victim", ["command", "host"])
def test_server_ends_when_a_process_of_ours_is_killed(project: Project, victim: str) -> None:
    test = """
    import os, time
    def test_1(server):
        open("host", "w").write(str(os.getppid()))
        os.rename("host", "running")
        [time.sleep(0.1) for _ in range(6000)]
    """
    project.write({"conftest.py": SERVER, "test_a.py": test})
    running = project.spawn("-n2")
    note = project.path / "running"
    assert processes.wait_until(note.exists)
    (server,) = [int(line.split()[0].partition("-")[2]) for line in noted(project)]
    assert processes.is_alive(server)
    if victim == "command":
        running.kill()
    else:
        processes.send([int(note.read_text())], signal.SIGKILL)
        assert running.wait() == 3
    assert processes.wait_until(lambda: not processes.is_alive(server))


def test_interrupted_while_it_is_set_up(project: Project) -> None:
    conftest = (
        NOTES
        + """
    @pytest.fixture(scope="session")
    def first():
        yield
        note("end-first")

    @pytest.fixture(scope="session")
    def slow(first):
        note("slow")
        [time.sleep(0.1) for _ in range(6000)]
    """
    )
    project.write({"conftest.py": conftest, "test_a.py": "def test_1(slow): pass"})
    running = project.spawn("-n2")
    path = project.path / "notes"
    # Written, and not only opened: there the interrupt would strike in a module of Python's.
    assert processes.wait_until(lambda: path.exists() and path.read_text() != "")
    running.send_signal(signal.SIGINT)
    assert running.wait() == 2, running
    assert "KeyboardInterrupt" in running.stdout, running
    assert "conftest.py:" in running.stdout, running
    assert notes(project) == ["slow", "end-first"]


def test_exit_in_a_set_up_ends_the_run(project: Project) -> None:
    conftest = """
    import pytest
    @pytest.fixture(scope="session")
    def leaving():
        pytest.exit("enough", returncode=7)
    """
    project.write(
        {"conftest.py": conftest, "test_a.py": "def test_1(leaving): pass\ndef test_2(): pass"}
    )
    result = project.rpytest("-n2")
    assert result.status == 7, result
    assert "_pytest.outcomes.Exit: enough" in result.stdout


def test_set_up_that_kills_its_process_is_each_workers(project: Project) -> None:
    conftest = """
    import os
    import pytest
    @pytest.fixture(scope="session")
    def deadly():
        os._exit(5)
    """
    project.write(
        {"conftest.py": conftest, "test_a.py": "def test_1(deadly): pass\ndef test_2(): pass"}
    )
    result = project.rpytest("-n2", "-v")
    assert result.status == 1
    assert result.counts == {"passed": 1, "failed": 1}, result
    assert own(result) == {"deadly": "its set-up ended the process: exit status 5"}


def test_recipe_with_a_lock_keeps_working(project: Project) -> None:
    """pytest-xdist's: whoever is first makes the data, in the directory above the worker's own."""
    conftest = (
        NOTES
        + """
    import fcntl, json

    @pytest.fixture(scope="session")
    def data(tmp_path_factory, worker_id):
        path = tmp_path_factory.getbasetemp().parent / "data.json"
        with open(f"{path}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                note("made")
                path.write_text(json.dumps([1, 2]))
            return json.loads(path.read_text())

    @pytest.fixture(scope="session")
    def beside(tmp_path_factory):
        return tmp_path_factory.getbasetemp().parent
    """
    )
    test = """
    import pytest
    @pytest.mark.parametrize("i", range(6))
    def test_1(data, beside, tmp_path_factory, i):
        assert data == [1, 2]
        assert beside == tmp_path_factory.getbasetemp().parent
    """
    project.write({"conftest.py": conftest, "test_a.py": test})
    for _ in range(2):
        result = project.rpytest("-n3", "-v")
        assert result.status == 0, result
        assert own(result) == {"data": "requests worker_id"}
        assert shared(result) == ["beside"]
        assert notes(project) == ["made"]


def test_history_does_not_take_it_for_the_first_tests_own(project: Project) -> None:
    conftest = """
    import time
    import pytest
    @pytest.fixture(scope="session")
    def slow():
        time.sleep(1)
    """
    project.write(
        {"conftest.py": conftest, "test_a.py": "def test_1(slow): pass\ndef test_2(slow): pass"}
    )
    result = project.rpytest("-n2", "--durations=0", "-vv")
    shown = {
        id: float(time)
        for time, id in re.findall(r"^(\d+\.\d\d)s setup +test_a.py::(\w+)$", result.stdout, re.M)
    }
    assert shown["test_1"] >= 1, result
    exported = project.path / "history.jsonl"
    assert project.spawn("--history-export", str(exported)).wait() == 0
    _, *tests = map(json.loads, exported.read_text().splitlines())
    set_ups = {test["id"].rpartition("::")[2]: test["us"][0] / 1e6 for test in tests}
    # What is shown has the fixture's second in it; the rest is as long as the machine makes it.
    assert set_ups["test_1"] <= shown["test_1"] - 1 + 0.01, (set_ups, shown)
    assert set_ups["test_2"] <= shown["test_2"] + 0.01, (set_ups, shown)


def test_parts_of_the_suite_set_up_what_they_need(project: Project) -> None:
    conftest = (
        NOTES
        + """
    @pytest.fixture(scope="session")
    def one(): note("one")
    @pytest.fixture(scope="session")
    def two(): note("two")
    """
    )
    project.write(
        {
            "conftest.py": conftest,
            "test_a.py": "def test_1(one): pass",
            "test_b.py": "def test_1(two): pass",
        }
    )
    for argument, name in (("test_a.py", "one"), ("test_b.py", "two")):
        assert project.rpytest("-n2", argument).status == 0
        assert notes(project) == [name]
    drawn = []
    for shard in range(2):
        assert project.rpytest("-n2", f"--shard={shard}", "--total-shards=2").status == 0
        drawn += notes(project)
    assert sorted(drawn) == ["one", "two"]


@pytest.mark.parametrize("call", ["pass", "assert 0"])
def test_junit_of_a_failing_finalizer_is_pytests(project: Project, call: str) -> None:
    conftest = """
    import pytest
    @pytest.fixture(scope="session")
    def one():
        yield
        raise RuntimeError("badly ended")
    @pytest.fixture(scope="session")
    def two(one):
        yield
        raise ValueError("badly, too")
    """
    test = f"def test_1(one): pass\ndef test_2(two): {call}\n"
    project.write({"conftest.py": conftest, "test_a.py": test})
    project.compare(n=2)


def test_finalizer_that_ends_its_process_is_an_error(project: Project) -> None:
    conftest = """
    import os
    import pytest
    @pytest.fixture(scope="session")
    def deadly():
        yield
        os._exit(0)
    """
    project.write(
        {"conftest.py": conftest, "test_a.py": "def test_1(deadly): pass\ndef test_2(): pass"}
    )
    result = project.rpytest("-n2")
    assert result.status == 1, result
    assert "a finalizer of a session fixture ended its process: exit status 0" in result.stdout


def test_set_up_that_does_not_listen_to_interrupts(project: Project) -> None:
    """The second signal ends the command at once; what is left behind ends a little later."""
    conftest = (
        NOTES
        + """
    import subprocess, sys
    @pytest.fixture(scope="session")
    def stubborn():
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        is_noted = False
        while True:
            try:
                if not is_noted:
                    note(process.pid)
                    is_noted = True
                [time.sleep(0.1) for _ in range(6000)]
            except KeyboardInterrupt:
                note("interrupted")
    """
    )
    project.write({"conftest.py": conftest, "test_a.py": "def test_1(stubborn): pass"})
    running = project.spawn("-n2")
    path = project.path / "notes"
    assert processes.wait_until(lambda: path.exists() and "\n" in path.read_text())
    server = int(path.read_text().split()[0])
    running.send_signal(signal.SIGINT)
    assert processes.wait_until(lambda: "interrupted" in path.read_text())
    running.send_signal(signal.SIGINT)
    assert running.wait() == 2
    assert processes.wait_until(lambda: not processes.is_alive(server))


def test_breakpoint_in_a_set_up_belongs_to_a_worker(project: Project) -> None:
    conftest = """
    import pytest
    @pytest.fixture(scope="session")
    def looked_at():
        breakpoint()
    """
    project.write(
        {"conftest.py": conftest, "test_a.py": "def test_1(looked_at): pass\ndef test_2(): pass"}
    )
    result = project.rpytest("-n2", "-v")
    assert own(result) == {"looked_at": "its set-up wants a debugger"}
    assert "a debugger needs the terminal" in result.stdout
    assert result.counts == {"passed": 1, "errors": 1}


def test_nothing_is_shared_with_bare(project: Project) -> None:
    conftest = NOTES + '    @pytest.fixture(scope="session")\n    def one(): note("one")\n'
    test = "from meeting import meet\ndef test_1(one): meet()\ndef test_2(one): meet()\n"
    project.write({"conftest.py": conftest, "meeting.py": MEETING, "test_a.py": test})
    result = project.rpytest("-n2", "-v", "--start-method=bare")
    assert "session fixtures: each worker has its own (start method bare)" in result.stdout
    assert notes(project) == ["one", "one"]


def test_readers_have_positions_of_their_own(project: Project) -> None:
    conftest = """
    import os
    import pytest
    @pytest.fixture(scope="session")
    def lines():
        path = os.path.join(os.path.dirname(__file__), "lines")
        with open(path, "w") as file:
            file.writelines(f"{number}\\n" for number in range(2000))
        with open(path, buffering=16) as file:
            yield file
    """
    test = """
    import pytest
    @pytest.mark.parametrize("i", range(4))
    def test_1(lines, i):
        lines.seek(0)
        assert [int(line) for line in lines] == list(range(2000))
    """
    project.write({"conftest.py": conftest, "test_a.py": test})
    result = project.rpytest("-n4", "-v")
    assert result.counts == {"passed": 4}
    assert shared(result) == ["lines"]


@pytest.mark.parametrize(
    "how", ["raise LookupError('kaboom')", "raise SystemExit(0)", "raise KeyboardInterrupt"]
)
@pytest.mark.parametrize("where", ["hook", "condition"])
def test_condition_of_a_mark_that_cannot_be_evaluated(
    shared_project: Project, folder: Path, where: str, how: str
) -> None:
    """It is looked at before anything is set up; what it raises is seen by the worker that runs the
    test, as in pytest.
    """
    body = how if where == "hook" else "return {'answer': answer}"
    shared_project.fill(
        folder,
        {
            "conftest.py": (
                f"def answer():\n    {how}\ndef pytest_markeval_namespace(config):\n    {body}\n"
            ),
            "test_a.py": """
                import pytest
                @pytest.fixture(scope="session")
                def shared(): yield 1
                def test_1(shared): pass
                @pytest.mark.skipif("answer()")
                def test_2(shared): pass
                """,
        },
    )
    expected = shared_project.pytest(junit=False, cwd=folder)
    result = shared_project.rpytest("-n2", junit=False, cwd=folder)
    assert expected.status != 0 and result.status == expected.status, f"{result}\n{expected}"


def test_a_file_that_is_unlinked_meanwhile_is_no_new_one(project: Project) -> None:
    """As the run's own segment is, at any moment of a set-up."""
    project.write(
        test_a="""
        import os, tempfile
        import pytest

        FILE = tempfile.NamedTemporaryFile("w", delete=False)

        @pytest.fixture(scope="session")
        def value():
            os.unlink(FILE.name)
            return 1

        @pytest.mark.parametrize("i", range(4))
        def test_it(i, value): assert value == 1
        """
    )
    result = project.rpytest("-v", "-n2")
    assert result.counts == {"passed": 4}
    assert shared(result) == ["value"], result
    assert own(result) == {}
