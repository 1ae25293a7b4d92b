"""What a project does at the beginning and at the end of a session happens as often as under
pytest-xdist: once in the controller, once in each worker.

Every beginning has its end, in the same process, whatever way a run goes: cold, warm, without a
daemon, or when it turns out late that workers have to be started in another way.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest

from support.harness import Project
from support.sites import Site

NOTE = """
import os
def note(what, config):
    role = "worker" if hasattr(config, "workerinput") else "main"
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{what} {role} {os.getpid()}\\n")
"""

CONFIGURE = "def pytest_configure(config): note('configure', config)\n"
UNCONFIGURE = "def pytest_unconfigure(config): note('unconfigure', config)\n"
START = "def pytest_sessionstart(session): note('start', session.config)\n"
FINISH = "def pytest_sessionfinish(session): note('finish', session.config)\n"
#: The beginning of each end.
PAIRS = {"unconfigure": "configure", "finish": "start"}

#: By another name, in a class, below an import, with a process, by another function.
HIDDEN = """
import pytest
class Plugin:
    @pytest.hookimpl(specname="pytest_sessionstart")
    def pytest_begin(self, session):
        import beginning
        beginning.begin(session.config)
    def pytest_sessionfinish(self, session): note("finish", session.config)
def pytest_configure(config): config.pluginmanager.register(Plugin())
"""
BEGINNING = "from conftest import note\ndef begin(config): note('start', config)\n"

PROCESS = """
import subprocess
def pytest_sessionstart(session):
    session.config.process = subprocess.Popen(["sleep", "1000"])
    note("start", session.config)
def pytest_sessionfinish(session):
    session.config.process.kill()
    session.config.process.wait()
    note("finish", session.config)
"""

CLEANUP = """
def pytest_configure(config):
    note("configure", config)
    config.add_cleanup(lambda: note("unconfigure", config))
def pytest_unconfigure(): pass
"""

WAYS = [
    ["-n1"],
    ["-n2"],
    ["-n2", "--no-daemon"],
    ["-n2", "--start-method=imported"],
    ["-n2", "--start-method=bare"],
]

TESTS = "import pytest\n@pytest.mark.parametrize('i', range(6))\ndef test_a(i): pass\n"


def notes(project: Project) -> dict[int, tuple[str, Counter[str]]]:
    """What the processes of a run have noted: role and how often, by process; forgets it."""
    file = project.scratch / "notes"
    found: dict[int, tuple[str, Counter[str]]] = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        what, role, pid = line.split()
        found.setdefault(int(pid), (role, Counter()))[1][what] += 1
    file.unlink(missing_ok=True)
    return found


def run(project: Project, *args: str) -> list[tuple[str, dict[str, int]]]:
    """A run in which all tests pass; returns role and notes of each process."""
    project.env["NOTES"] = str(project.scratch / "notes")
    result = project.rpytest("-p", "no:cacheprovider", *args, junit=False)
    assert result.status == 0, result
    assert "rror" not in result.stderr, result
    return sorted((role, dict(counts)) for role, counts in notes(project).values())


@pytest.mark.parametrize("args", WAYS, ids=" ".join)
@pytest.mark.parametrize(
    "hooks",
    [
        START + FINISH,
        CONFIGURE + UNCONFIGURE,
        CONFIGURE + UNCONFIGURE + START + FINISH,
        HIDDEN,
        PROCESS,
        CLEANUP,
    ],
    ids=["session", "configuration", "all", "hidden", "process", "cleanup"],
)
def test_each_beginning_has_its_end(project: Project, hooks: str, args: list[str]) -> None:
    """As under pytest-xdist: nobody begins twice, and who begins ends."""
    project.write({"conftest.py": NOTE + hooks, "beginning.py": BEGINNING, "test_a.py": TESTS})
    workers = 1 if "-n1" in args else 2
    for _ in range(3):
        found = run(project, *args)
        assert [role for role, _ in found] == ["main", *["worker"] * workers], found
        for _, counts in found:
            assert set(counts.values()) == {1}, found
            assert {PAIRS[what] for what in counts if what in PAIRS} == {
                what for what in counts if what not in PAIRS
            }, found


@pytest.mark.parametrize("args", [["-n1"], ["-n2"], ["-n2", "--no-daemon"]], ids=" ".join)
@pytest.mark.parametrize(
    "files",
    [
        {
            "conftest.py": (
                "def pytest_configure(config): config.name = "
                "os.environ.get('PYTEST_XDIST_WORKER')\n"
            )
        },
        {
            "conftest.py": (
                "def pytest_sessionstart(session): getattr(session.config, 'workerinput', "
                "{}).get('workerid')\n"
            )
        },
        {
            "conftest.py": (
                "def pytest_collection_modifyitems(config): config.workerinput['workerid']\n"
            )
        },
        {"conftest.py": "NAME = os.environ.get('PYTEST_XDIST_WORKER')\n"},
        {
            "test_b.py": (
                "import os\nNAME = os.environ.get('PYTEST_XDIST_WORKER')\ndef test_b(): pass\n"
            )
        },
        {
            "test_b.py": (
                "import threading\nthreading.Thread(target=threading.Event().wait, "
                "daemon=True).start()\n"
            )
        },
        {"test_b.py": "import socket\nSOCKET = socket.socket()\ndef test_b(): pass\n"},
        {"test_b.py": "import signal\nsignal.alarm(1000)\ndef test_b(): pass\n"},
        {
            "conftest.py": "import random\ndef pytest_configure_node(node): "
            "node.workerinput['seed'] = "
            "random.random()\n"
            "def pytest_collection_modifyitems(config): config.workerinput['seed']\n"
        },
    ],
    ids=[
        *(
            "name in configure",
            "name in sessionstart",
            "name while selecting",
            "name in a conftest",
            "name in a module",
        ),
        *("thread", "socket", "timer", "input of each worker"),
    ],
)
def test_the_controller_begins_once(
    project: Project, files: dict[str, str], args: list[str]
) -> None:
    """When it turns out that workers can't be forked from the session, the controller that is there
    goes on.
    """
    guarded = (
        "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionstart(session):\n"
        "    if not hasattr(session.config, 'workerinput'):\n"
        "        os.mkdir(os.environ['MADE'])\n        note('start', session.config)\n"
        "def pytest_sessionfinish(session):\n"
        "    if not hasattr(session.config, 'workerinput'):\n"
        "        os.rmdir(os.environ['MADE'])\n        note('finish', session.config)\n"
    )
    project.env["MADE"] = str(project.scratch / "made")
    other = files.get("conftest.py", "").replace(
        "def pytest_sessionstart", "def pytest_report_header"
    )
    other = other.replace(
        "report_header(session): getattr(session.config", "report_header(config): getattr(config"
    )
    project.write({**files, "conftest.py": NOTE + guarded + other, "test_a.py": TESTS})
    for _ in range(2):
        assert run(project, *args) == [("main", {"start": 1, "finish": 1})]


def test_a_value_for_workers_that_is_another_one_in_each_run(project: Project) -> None:
    """The session is of no use for the second run; its controller is."""
    project.write(
        {
            "conftest.py": NOTE
            + "import pytest\n"
            + "def pytest_configure_node(node): node.workerinput['time'] = os.environ['_']\n"
            + "def pytest_collection_modifyitems(config): config.workerinput['time']\n"
            + "def pytest_sessionstart(session):\n"
            + "    if not hasattr(session.config, 'workerinput'): note('start', session.config)\n"
            + "def pytest_testnodedown(node): note('down', node.config)\n"
            + "def pytest_terminal_summary(config): note('finish', config)\n",
            "test_a.py": TESTS,
        }
    )
    for time in "abc":
        project.env["_"] = time
        for selection in ([], ["-k", "2 or 3"]):
            assert run(project, "-n2", *selection) == [
                ("main", {"start": 1, "down": 2, "finish": 1})
            ]


def test_what_is_preloaded_and_can_not_be_used(project: Project) -> None:
    """A session that starts over goes on with its controller."""
    site = Site(project)
    site.package("library", "import os\nVALUE = os.environ.get('LIBRARY')\n")
    project.write(
        {
            "conftest.py": NOTE
            + "def pytest_sessionstart(session):\n"
            + "    if not hasattr(session.config, 'workerinput'): note('start', session.config)\n"
            + "def pytest_sessionfinish(session):\n"
            + "    if not hasattr(session.config, 'workerinput'): note('finish', session.config)\n",
            "test_a.py": "import library\ndef test_a(): assert library.VALUE is None\n",
        }
    )
    project.env["NOTES"] = str(project.scratch / "notes")
    site.learn()
    run(project, "-n2")
    site.wait()
    project.write(
        {
            "test_a.py": (
                "import os\nos.environ['LIBRARY'] = 'x'\nimport library\n"
                "def test_a(): assert library.VALUE == 'x'\n"
            )
        }
    )
    assert run(project, "-n2") == [("main", {"start": 1, "finish": 1})]


def test_a_session_that_is_shared_where_nobody_can_tell(project: Project) -> None:
    """Objects of its own are no reason to collect in each worker: fixtures go on being shared."""
    project.write(
        {
            "conftest.py": "import pytest\ndef pytest_sessionstart(session): session.results = {}\n"
            "def pytest_sessionfinish(session): session.results.clear()\n"
            "@pytest.fixture(scope='session')\ndef shared(): return []\n",
            "test_a.py": "def test_a(shared): pass\ndef test_b(shared): pass\n",
        }
    )
    result = project.rpytest("-n2", "-v", junit=False)
    assert result.status == 0 and "shared session fixtures: shared" in result.stdout, result
    assert re.search(r"^start method: imported", result.stdout, re.MULTILINE), result
