"""What is to happen once in every run does, however warm the daemon is; nothing else costs a fresh
collection.
"""

from __future__ import annotations

import re

import pytest

from support import processes
from support.daemons import runs, status
from support.harness import Project
from support.sites import Site

TEST = "def test_1(): pass\n"


def method(stdout: str) -> str | None:
    """The start method and its reason, if it is told."""
    found = re.search(r"^start method: (.*)$", stdout, re.MULTILINE)
    return found and found[1]


@pytest.mark.parametrize(
    ("conftest", "reason"),
    [
        (
            "def pytest_unconfigure(config): note('end')",
            "`pytest_unconfigure` of conftest is to run in every run",
        ),
        (
            "def pytest_configure(config): note('start')",
            "`pytest_configure` of conftest writes {cwd}/notes",
        ),
        (
            (
                "import os\ndef pytest_configure(config):\n    os.mkdir('made')\n"
                "    os.rmdir('made')\n    note('start')"
            ),
            "`pytest_configure` of conftest makes {cwd}/made",
        ),
        (
            (
                "def pytest_configure(config):\n    import subprocess\n"
                "    subprocess.run(['true'], check=True)\n    note('start')"
            ),
            "collection started a process",
        ),
        (
            "def end(): note('end')\ndef pytest_configure(config): config.add_cleanup(end)",
            "conftest has something to clean up after every run",
        ),
    ],
)
def test_hooks_with_effects(project: Project, conftest: str, reason: str) -> None:
    project.write(
        {
            "conftest.py": (
                "def note(text):\n    with open('notes', 'a') as file: file.write(text + ' "
                f"')\n{conftest}\n"
            ),
            "test_a.py": TEST,
        }
    )

    def notes() -> int:
        (project.path / "notes").unlink(missing_ok=True)
        result = project.rpytest("-n1", "-v", "-p", "no:cacheprovider", junit=False)
        assert result.counts == {"passed": 1}, result
        assert method(result.stdout) == f"imported ({reason.format(cwd=project.path)})"
        return len((project.path / "notes").read_text().split())

    first = notes()
    assert first > 0
    assert [notes(), notes()] == [first, first]
    # A session says it when its run has its process, which may be through by then.
    said = f"the last session was not reused: {reason.format(cwd=project.path)}"
    assert processes.wait_until(lambda: runs(project) == [] and said in status(project)), status(
        project
    )


@pytest.mark.parametrize(
    ("conftest", "reason"),
    [
        ("import library", None),
        (
            "import library; library.bind()",
            "imported (`pytest_configure` of conftest binds a socket)",
        ),
        ("import own", "imported (`pytest_configure` of conftest binds a socket)"),
    ],
    ids=["by an installed module", "by a function", "by a module of the project"],
)
def test_sockets_that_are_bound(project: Project, conftest: str, reason: str | None) -> None:
    """urllib3 tries what the system can do when it is imported; a server's port is another
    matter.
    """
    site = Site(project)
    bind = (
        "import socket\ndef bind():\n    with socket.socket() as sock: sock.bind(('127.0.0.1', "
        "0))\nbind()\n"
    )
    site.package("library", bind)
    configure = f"def pytest_configure(config):\n    {conftest}\n"
    project.write({"own.py": bind, "conftest.py": configure, "test_a.py": TEST})
    for _ in range(2):
        assert method(site.run("-v").stdout) == reason
    assert processes.wait_until(lambda: runs(project) == ([] if reason else [2])), status(project)


@pytest.mark.parametrize(
    "conftest",
    [
        "def pytest_configure(config): config.addinivalue_line('markers', 'mine: of ours')",
        "def pytest_configure(config):\n    import os\n    os.environ['MODE'] = 'test'",
        "def pytest_configure(config): open('data').close()",
        "def pytest_configure(config):\n    import os\n    os.makedirs('there', exist_ok=True)",
        "def pytest_report_header(): return 'mine'",
        # In the controller, which each run has of its own.
        (
            "def pytest_configure(config):\n    if not hasattr(config, 'workerinput'): "
            "open('notes', 'a').write('x')"
        ),
        "def pytest_sessionfinish(session): pass",
    ],
)
def test_hooks_without(project: Project, conftest: str) -> None:
    project.write({"data": "", "there/x": "", "conftest.py": conftest + "\n", "test_a.py": TEST})
    for _ in range(2):
        result = project.rpytest("-n1", "-v", "-p", "no:cacheprovider", junit=False)
        assert result.counts == {"passed": 1}
        assert method(result.stdout) is None
    assert runs(project) == [2]


def test_asked_for(project: Project) -> None:
    project.write(
        {"test_a.py": "import os\nPID = os.getpid()\ndef test_1(): print('collected in', PID)\n"}
    )
    seen = set()
    for _ in range(2):
        result = project.rpytest("-n2", "-v", "-rP", "--start-method", "imported", junit=False)
        assert method(result.stdout) == "imported (asked for)"
        seen |= set(re.findall(r"collected in \d+", result.stdout))
    assert len(seen) == 2
    project.write({"pyproject.toml": "[tool.rpytest]\nstart_method = 'imported'\n"})
    assert method(project.rpytest("-v", junit=False).stdout) == "imported (asked for)"
    assert method(project.rpytest("-v", "--start-method", "collected", junit=False).stdout) is None


def test_what_each_run_has_of_its_own(project: Project) -> None:
    """With a warm session: base of temporary folders, id of the run, log files, junit's time."""
    project.write(
        {
            "run.log": "",
            "pytest.ini": "[pytest]\nlog_file = run.log\nlog_file_level = INFO\n",
            "test_a.py": "import logging\ndef test_1(tmp_path_factory, testrun_uid):\n"
            "    print('mine', tmp_path_factory.getbasetemp().parent, testrun_uid)\n"
            "    logging.info('one line')\n",
        }
    )
    bases, uids = set(), set()
    for _ in range(3):
        result = project.rpytest("-n1", "-rP", junit=False)
        ((base, uid),) = re.findall(r"^mine (\S+) (\S+)$", result.stdout, re.MULTILINE)
        bases.add(base)
        uids.add(uid)
        assert (project.path / "run.log").read_text().count("one line") == 1
    assert (len(bases), len(uids)) == (3, 3)
    assert runs(project) == [3]
