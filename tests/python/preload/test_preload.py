"""Sessions that are forked from a process in which the project's installed packages are imported
already.

Whatever a package does while it is imported, and whatever a project does with it: the outcome is
that of a cold run. A package is "installed" here when it lies in a folder named ``site-packages``
on `PYTHONPATH`.
"""

from __future__ import annotations

import os
import re

import pytest

from support.harness import Project
from support.sites import Site


@pytest.fixture
def site(project: Project) -> Site:
    return Site(project)


# Tells, by a file, when it is executed.
COUNTED = "import os\nwith open({!r}, 'a') as file: file.write('x')\n"


def test_an_edit_does_not_import_packages_again(site: Site) -> None:
    site.package("heavy.part", "import sys\nVALUE = object()\nLOADED = 'heavy' in sys.modules\n")
    site.package("heavy.__init__", "import os\nPID = os.getpid()\n")
    site.project.write(
        test_a="import heavy, heavy.part, os\ndef test_1(): assert heavy.part.LOADED\n"
        "def test_2(): print('made in', heavy.PID, 'not in', os.getppid())\n"
    )
    text = site.learn("-rP")
    assert "heavy: " in text
    made = int(re.findall(r"preload (\d+): ", text)[0])
    for _ in range(2):
        site.edit()
        result = site.project.rpytest("-rP", junit=False)
        assert f"made in {made} not in" in result.stdout
    assert site.refusals() == []


def test_a_session_depends_on_what_its_preload_has_read(site: Site) -> None:
    """It has not opened these files itself; nor has it those of the package's byte code."""
    site.package("heavy.part", "VALUE = 1\n")
    site.package("heavy.__init__", "from heavy.part import VALUE\n")
    site.project.write(
        test_a=(
            "import heavy\ndef test_1(): assert heavy.VALUE == 1\n"
            "def test_2(): assert heavy.VALUE == 22\n"
        )
    )
    site.learn()
    site.edit()
    for value, failed in (("22", "test_1"), ("1", "test_2")):
        # A session from the preload, then the same one again.
        for _ in range(2):
            assert site.run().counts == {"passed": 1, "failed": 1}
        site.package("heavy.part", f"VALUE = {value}\n")
        for _ in range(2):
            assert f"test_a.py::{failed} FAILED" in site.run().stdout
        site.wait()
        site.edit()


def test_a_watcher_knows_the_project_s_files_when_a_conftest_fails(site: Site) -> None:
    """And not only those that the preload has read."""
    site.package("heavy", "")
    site.project.env["NO_COLOR"] = "1"
    value = site.project.path / "value.txt"
    value.write_text("1")
    site.project.write(
        conftest="with open('value.txt') as file: int(file.read())\n",
        test_a="import heavy\ndef test_1(): pass\n",
    )
    site.learn()
    value.write_text("one")
    running = site.project.spawn("--watch", tty=True)
    try:
        running.wait_for("invalid literal(?s:.)*watching")
        site.project.put({"value.txt": "11"})
        running.wait_for("invalid literal(?s:.)*1 passed(?s:.)*watching")
        running.send("q")
        running.wait()
    finally:
        running.kill()


def test_sys_modules_is_as_in_a_cold_run(site: Site) -> None:
    """What was not imported yet is not there, and no attribute of its package either."""
    site.package("heavy.part", "")
    site.package("heavy.other", "")
    site.package("second", "import heavy.other\n")
    seen = (
        "import sys\nNAMES = [name for name in sys.modules if name.split('.')[0] in ('heavy', "
        "'second', 'colorsys')]\n"
    )
    site.project.write(
        {
            "test_a.py": seen + "import heavy\ndef test_1(): assert NAMES == []\n"
            "HAS = hasattr(heavy, 'part'), hasattr(heavy, 'other')\n"
            "def test_2(): assert HAS == (False, False)\n",
            "test_b.py": seen + "import heavy.part\ndef test_1(): assert NAMES == ['heavy']\n"
            "HAS = hasattr(heavy, 'part'), hasattr(heavy, 'other')\n"
            "def test_2(): assert HAS == (True, False)\n",
            "test_c.py": seen
            + "import colorsys, second, heavy\ndef test_1(): assert NAMES == ['heavy', "
            "'heavy.part']\n"
            "def test_2(): assert hasattr(heavy, 'other')\n"
            "def test_3():\n    import importlib\n"
            "    for name, module in list(sys.modules.items()):\n"
            "        if name.split('.')[0] in ('heavy', 'second', 'colorsys'):\n"
            "            assert module.__spec__.name == name and module.__spec__.loader is "
            "module.__loader__\n"
            "            assert importlib.reload(module) is module\n",
        }
    )
    site.learn()
    site.edit()
    assert site.run().counts == {"passed": 7}
    # Only a part of what is preloaded.
    site.edit("test_c.py")
    assert site.run("test_c.py").counts == {"failed": 1, "passed": 2}
    # An import that another module had made before is missing now.
    site.project.write(test_b="import heavy\ndef test_1(): assert heavy.part\n")
    assert site.run("test_b.py").counts == {"failed": 1}
    assert site.refusals() == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            (
                "import threading\nthread = threading.Thread(target=int)\nthread.start()\n"
                "thread.join()"
            ),
            "starts a thread",
        ),
        (
            "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''], check=True)",
            "starts a process",
        ),
        ("import os\nif os.fork() == 0: os._exit(0)\nos.wait()", "starts a process"),
        (
            (
                "import socket\ns = socket.socket()\ntry: s.connect(('127.0.0.1', 9))\n"
                "except OSError: s.close()"
            ),
            "connects a socket",
        ),
        ("import os\nOPEN = open(os.devnull)", "changes open files"),
        ("import pathlib\nTEXT = pathlib.Path('data.txt').read_text()", "reads {cwd}/data.txt"),
        ("import os\nNAMES = os.listdir('.')", "looks into the project's folder"),
        (
            "import pathlib\npathlib.Path({scratch!r}, 'written').write_text('')",
            "writes {scratch}/written",
        ),
        ("import pathlib\npathlib.Path({scratch!r}, 'made').mkdir(exist_ok=True)", None),
        ("import os\nos.environ['ADDED'] = '1'", "changes the environment"),
        ("import sys\nsys.path.append('/nowhere')", "changes `sys.path`"),
        ("import sys\nsys.setrecursionlimit(3456)", "changes a limit of the interpreter"),
        (
            "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)",
            "changes a signal handler",
        ),
        ("import logging\nlogging.root.setLevel(1)", "changes `logging`"),
        (
            "import warnings\nwarnings.warn('outdated', DeprecationWarning)",
            "warns: DeprecationWarning: outdated",
        ),
        ("print('hello')", "uses `sys.stdout`"),
        ("import os\nos.write(1, b'hello')", "prints"),
        ("from sys import stdout\nKEPT = stdout,", "keeps `sys.stdout`"),
        ("import sys\ndef show(text, file=sys.stderr): file.write(text)", None),
        ("import sys\nNAME = sys.stdout.encoding", None),
        ("import sys\nNUMBER = sys.__stdin__.fileno()", None),
        ("import sys\nTESTS = 'test' in sys.argv", "uses `sys.argv`"),
        ("import sys\nINPUT = sys.stdin is None", None),
        ("import os\nos.register_at_fork(before=lambda: None)", "has handlers for forks"),
        ("import os\nos.chdir('/')\nos.chdir({cwd!r})", "changes the directory"),
        ("raise ImportError('not today')", None),
        ("import sqlite3\nsqlite3.connect(':memory:').close()", "opens a database"),
    ],
)
def test_imports_that_do_something_are_not_preloaded(
    site: Site, code: str, reason: str | None
) -> None:
    """They do it in each session, as in each process of pytest; so does what imports them, and
    nothing else.
    """
    places = {"cwd": str(site.project.path), "scratch": str(site.project.scratch)}
    site.package("doing", "import os\nPID = os.getpid()\n" + code.format(**places) + "\n")
    site.package(
        "needs", "import os\nPID = os.getpid()\ntry: import doing\nexcept ImportError: pass\n"
    )
    site.package("plain", "import os\nPID = os.getpid()\n")
    site.project.write({"data.txt": "1"})
    site.project.write(
        test_a=(
            "import os, plain, needs\ndef test_1(): print('made in', plain.PID, needs.PID, "
            "'session', os.getpid())\n"
        )
    )
    text = site.learn("-rP")
    if reason is not None:
        assert f"    without `doing`, which {reason.format(**places)}\n" in text
    for _ in range(2):
        site.edit()
        result = site.run("-rP")
        plain, needs = re.findall(r"made in (\d+) (\d+) ", result.stdout)[0]
        made = re.findall(r"preload (\d+) has ", site.log())
        assert plain in made, f"{result}\n{site.log()}"
        assert (needs in made) == (reason is None), f"{result}\n{site.log()}"
    assert site.refusals() == []


def test_a_swallowed_objection_counts(site: Site) -> None:
    site.package("doing", "try:\n    open('data.txt').close()\nexcept:\n    pass\n")
    site.project.write({"data.txt": "1"})
    site.project.write(test_a="import doing\ndef test_1(): pass\n")
    assert "    without `doing`, which reads " in site.learn()


def test_a_stream_that_a_package_keeps_is_the_session_s(site: Site) -> None:
    """As structlog does, whose loggers can be pickled if they write to one of these."""
    site.package("kept", "from sys import stdout\ndef show(text, file=stdout): file.write(text)\n")
    site.package("heavy", "import os, sys, kept\nERR = [sys.stderr]\nPID = os.getpid()\n")
    site.project.write(
        test_a="import heavy, kept, sys\n"
        "SAME = kept.stdout is sys.stdout, heavy.ERR[0] is sys.stderr\n"
        "def test_1(capsys): assert SAME == (True, True)\n"
        "def test_2(): kept.show(f'made in {heavy.PID}\\n')\n",
        test_b="def test_2(): pass\n",
    )
    site.learn()
    for file in ("test_a.py", "test_b.py", "", "-s"):
        site.edit()
        result = site.run("-rP", *filter(None, [file]))
        assert "failed" not in result.counts
        if file != "test_b.py":
            made = re.findall(r"made in (\d+)", result.stdout)
            assert len(made) == 1
            assert made[0] in re.findall(r"preload (\d+) has ", site.log())


def test_what_a_stream_answers_is_another_thing_without_capturing(site: Site) -> None:
    site.package("heavy", "import sys\nNAME = sys.stdout.errors\n")
    site.project.write(
        test_a="import heavy, sys\nSAME = heavy.NAME == sys.stdout.errors\n"
        "def test_1(): assert SAME\n",
    )
    site.learn()
    site.edit()
    site.run()
    assert site.refusals() == []
    site.edit()
    site.run("-s")
    assert site.refusals() == ["`sys.stdout.errors` is another one here"]


class TestWhatAProjectDoes:
    """With packages that are preloaded."""

    def test_variables(self, site: Site) -> None:
        """A conftest sets what a package looks at."""
        site.package("heavy", "import os\nMODE = os.environ.get('MODE')\n")
        site.package("other", "import os\nMODE = os.getenv('OTHER')\n")
        site.project.write(test_a="import heavy, other\ndef test_1(): assert heavy.MODE is None\n")
        site.learn()
        site.project.write(conftest="import os\nos.environ['MODE'] = 'test'\n")
        assert site.run().counts == {"failed": 1}
        assert site.refusals() == ["the project changes $MODE before `heavy` is imported"]
        text = site.wait()
        assert "    without `heavy`, which" in text
        # What does not look at it stays.
        assert "    other: " in text
        site.edit()
        assert site.run().counts == {"failed": 1}
        assert len(site.refusals()) == 1

    def test_a_module_of_the_same_name(self, site: Site) -> None:
        site.package("heavy", "import second\nVALUE = second.VALUE\n")
        site.package("second", "VALUE = 1\n")
        site.project.write(test_a="import heavy\ndef test_1(): assert heavy.VALUE == 1\n")
        site.learn()
        site.project.write(second="VALUE = 2\n")
        assert site.run().counts == {"failed": 1}
        assert site.refusals() == [
            f"`second` is found elsewhere ({site.project.path}/second.py by SourceFileLoader)"
        ]
        (site.project.path / "second.py").unlink()
        assert site.run().counts == {"passed": 1}

    def test_an_optional_module_that_appears(self, site: Site) -> None:
        site.package(
            "heavy", "try:\n    import optional\nexcept ImportError:\n    optional = None\n"
        )
        site.project.write(test_a="import heavy\ndef test_1(): assert heavy.optional is None\n")
        site.learn()
        site.project.write(optional="")
        assert site.run().counts == {"failed": 1}
        assert site.refusals() == ["`optional` exists here"]

    def test_rewriting(self, site: Site) -> None:
        site.package("heavy", "def check(value):\n    assert value == 1\n")
        site.project.write(test_a="import heavy\ndef test_1(): heavy.check(2)\n")
        site.learn()
        assert "assert 2 == 1" not in site.project.rpytest(junit=False).stdout
        site.project.write(conftest="import pytest\npytest.register_assert_rewrite('heavy')\n")
        result = site.run()
        assert "assert 2 == 1" in result.stdout
        assert "cannot be rewritten" not in result.stdout

    def test_a_stand_in(self, site: Site) -> None:
        site.package("heavy", "VALUE = 1\n")
        site.package("needs", "import heavy\nVALUE = heavy.VALUE\n")
        site.project.write(test_a="import needs\ndef test_1(): assert needs.VALUE == 1\n")
        site.learn()
        site.project.write(
            conftest="import sys, types\nsys.modules['heavy'] = types.SimpleNamespace(VALUE=2)\n"
        )
        assert site.run().counts == {"failed": 1}
        assert site.refusals() == ["`heavy` is another module than the one that was preloaded"]

    def test_importing_again(self, site: Site) -> None:
        """A test that removes a module from `sys.modules` gets a new one."""
        site.package("heavy", "VALUE = object()\n")
        site.project.write(
            test_a="import heavy, sys\ndef test_1():\n    before = heavy\n"
            "    del sys.modules['heavy']\n"
            "    import heavy as again\n    assert again is not before and again.VALUE is "
            "not before.VALUE\n"
        )
        site.learn()
        site.edit()
        assert site.run().counts == {"passed": 1}
        assert site.refusals() == []

    def test_importing_in_a_test(self, site: Site) -> None:
        """What an edit moves from the module into the test is still there."""
        site.package("heavy", "VALUE = 1\n")
        site.project.write(test_a="import heavy\ndef test_1(): assert heavy.VALUE == 1\n")
        site.learn()
        site.project.write(
            test_a=(
                "import sys\ndef test_1():\n    assert 'heavy' not in sys.modules\n"
                "    import heavy\n    assert heavy.VALUE == 1\n"
            )
        )
        for number in ("0", "1", "2"):
            result = site.project.rpytest("-n", number, junit=False)
            assert result.counts == {"passed": 1}, result
        assert site.refusals() == []

    def test_another_directory(self, site: Site) -> None:
        """Each has a preload of its own, and the least recently used one goes."""
        site.package("heavy", "import os\nWHERE = os.getcwd()\n")
        for name in "abcd":
            site.project.write(
                {
                    f"{name}/test_a.py": (
                        "import heavy, os\ndef test_1(): assert heavy.WHERE == os.getcwd()\n"
                    )
                }
            )
            site.project.rpytest(junit=False, cwd=site.project.path / name)
            site.wait()
        for name in "abcd":
            site.edit(f"{name}/test_a.py")
            assert site.project.rpytest(junit=False, cwd=site.project.path / name).counts == {
                "passed": 1
            }
        assert len(re.findall(r"^  preload ", site.wait(), re.MULTILINE)) <= 3

    def test_warning_filters(self, site: Site) -> None:
        """Those that a package installs hold from when it is imported."""
        site.package("heavy", "import warnings\nwarnings.filterwarnings('ignore', 'of heavy')\n")
        text = (
            "import warnings\nwarnings.warn('before of heavy')\nimport heavy\n"
            "warnings.warn('of heavy')\ndef test_1(): pass\n"
        )
        site.project.write(
            test_a=text, test_b="import warnings\nwarnings.warn('of heavy')\ndef test_1(): pass\n"
        )
        site.learn()
        site.edit()
        # pytest resets them after collection.
        assert site.run().counts == {"passed": 2, "warnings": 1}
        assert site.refusals() == []

    def test_finders(self, site: Site) -> None:
        """A package that brings a finder of its own (as six does) brings it when it is imported."""
        site.package(
            "heavy",
            "import sys, types\nfrom importlib.machinery import ModuleSpec\n"
            "class Finder:\n    @staticmethod\n    def find_spec(name, path=None, target=None):\n"
            "        return ModuleSpec(name, Finder) if name == 'virtual' else None\n"
            "    create_module = staticmethod(lambda spec: None)\n"
            "    exec_module = staticmethod(lambda module: None)\n"
            "sys.meta_path.append(Finder)\n",
        )
        site.project.write(
            test_a="import importlib.util\nBEFORE = importlib.util.find_spec('virtual')\n"
            "import heavy, virtual\n"
            "def test_1(): assert BEFORE is None\n"
        )
        site.learn()
        site.edit()
        assert site.run().counts == {"passed": 1}
        assert site.refusals() == []

    def test_a_crash(self, site: Site) -> None:
        """Of a session that a preload has forked: its cause is told."""
        site.package("heavy", "")
        site.project.write(test_a="import heavy\ndef test_1(): pass\n")
        site.learn()
        site.project.write(test_a="import heavy, os\nos._exit(7)\n")
        result = site.project.rpytest(junit=False)
        assert result.status == 3
        assert (
            "the process that collects the tests ended with status 7 before it was done"
            in result.stderr
        )


class TestChanges:
    """Of what is preloaded."""

    def test_a_package_is_edited(self, site: Site) -> None:
        path = site.package("heavy", "VALUE = 1\n")
        site.project.write(test_a="import heavy\ndef test_1(): assert heavy.VALUE == 1\n")
        site.learn()
        path.write_text("VALUE = 22\n")
        assert site.run().counts == {"failed": 1}
        assert f"is not used again: {path} changed" in site.log()
        site.wait()
        path.write_text("VALUE = 1\n# again\n")
        assert site.run().counts == {"passed": 1}

    def test_a_package_is_installed(self, site: Site) -> None:
        site.package(
            "heavy", "try:\n    import optional\nexcept ImportError:\n    optional = None\n"
        )
        site.project.write(test_a="import heavy\ndef test_1(): assert heavy.optional is None\n")
        site.learn()
        path = site.package("optional", "")
        assert site.run().counts == {"failed": 1}
        site.wait()
        path.unlink()
        assert site.run().counts == {"passed": 1}

    def test_a_file_that_a_package_reads(self, site: Site) -> None:
        data = site.project.scratch / "data.txt"
        data.write_text("1")
        site.package("heavy", f"VALUE = open({str(data)!r}).read()\n")
        site.project.write(test_a="import heavy\ndef test_1(): assert heavy.VALUE == '1'\n")
        site.learn()
        data.write_text("22")
        site.edit()
        assert site.run().counts == {"failed": 1}

    def test_it_is_killed(self, site: Site) -> None:
        site.package("heavy", "")
        site.project.write(test_a="import heavy\ndef test_1(): pass\n")
        text = site.learn()
        os.kill(int(re.findall(r"preload (\d+): ", text)[0]), 9)
        site.edit()
        assert site.run().counts == {"passed": 1}
        site.wait()


def test_coverage_sees_imports(site: Site) -> None:
    """Who traces gets every import, from the first line on."""
    site.package("heavy", "VALUE = 1\n")
    site.project.write(
        {
            "tracing.py": "import sys\nSEEN = []\ndef trace(frame, event, _):\n"
            "    SEEN.append(frame.f_globals.get('__name__'))\n"
            "def pytest_configure(config):\n    if config.getoption('--trace-it'): "
            "sys.settrace(trace)\n"
            "def pytest_addoption(parser): parser.addoption('--trace-it', action='store_true')\n",
            "conftest.py": "pytest_plugins = ['tracing']\n",
            "test_a.py": "import tracing, heavy\ndef test_1(): assert 'heavy' in tracing.SEEN\n",
        }
    )
    assert site.project.rpytest(junit=False).status == 1
    site.wait()
    for _ in range(2):
        site.edit()
        assert site.project.rpytest("--trace-it", junit=False).status == 0
    assert site.refusals() == ["imports are traced"]
    assert site.project.rpytest(junit=False).status == 1


def test_no_preload_without_a_daemon(site: Site) -> None:
    site.package("heavy", "")
    site.project.write(test_a="import heavy\ndef test_1(): pass\n")
    assert site.project.rpytest("--no-daemon", junit=False).status == 0
    assert site.project.processes() == []
