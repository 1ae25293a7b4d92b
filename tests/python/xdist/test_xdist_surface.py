"""pytest-xdist's options, settings, variables and name: each means something here, or is a usage
error with a hint; none is accepted and ignored.
"""

from __future__ import annotations

import pytest

from support.harness import MEETING, Project

TESTS = "import pytest\n@pytest.mark.parametrize('i', range(6))\ndef test_a(i): pass\n"


@pytest.mark.parametrize(
    ("ini", "args"),
    [
        ("required_plugins = pytest-xdist>=3.0", []),
        ("required_plugins = pytest-xdist", []),
        ("required_plugins = pytest-xdist>=99", []),
        ("required_plugins = pytest-xdist no-such-plugin", []),
        ("required_plugins = pytest-xdist\naddopts = -p xdist", []),
        ("required_plugins = pytest-xdist\naddopts = -p xdist --disable-plugin-autoload", []),
        ("required_plugins = pytest-xdist\naddopts = --disable-plugin-autoload", []),
        ("required_plugins = pytest-xdist", ["-p", "no:xdist", "-p", "no:xdist.looponfail"]),
        ("required_plugins = pytest-xdist", ["-p", "no:xdist"]),
    ],
    ids=str,
)
def test_required_plugins(project: Project, ini: str, args: list[str]) -> None:
    """As pytest says it of what is installed, cold and warm, and with pytest itself."""
    project.write({"pytest.ini": f"[pytest]\n{ini}\n", "test_a.py": TESTS})
    # Not `project.pytest`, which leaves pytest-xdist out.
    running = project.spawn(*args, program="pytest")
    status = running.wait()
    expected = [line for line in running.stderr.splitlines() if "plugins" in line]
    for more in (["-n2"], ["-n2"], ["-n0"]):
        result = project.rpytest(*more, *args, junit=False)
        assert result.status == status, f"{result}\n{running.stderr}"
        assert [line for line in result.stderr.splitlines() if "plugins" in line] == expected


@pytest.mark.parametrize(
    "args",
    [
        ["--maxschedchunk=1"],
        ["--maxschedchunk", "5"],
        ["--max-worker-restart=0"],
        ["--maxprocesses=1"],
        ["--no-loadscope-reorder", "--dist=loadscope"],
        ["--loadscope-reorder", "--dist=loadfile"],
        ["-d"],
        ["--tx", "2*popen"],
        ["--tx=popen"],
        ["--testrunuid=abc"],
        ["--dist=worksteal"],
        ["--dist=no"],
    ],
    ids=" ".join,
)
def test_options_that_are_obeyed(project: Project, args: list[str]) -> None:
    """On the command line and in `addopts`; a warm session serves them all."""
    project.write({"test_a.py": TESTS})
    for _ in range(2):
        assert project.rpytest("-n2", *args).counts == {"passed": 6}
    project.write({"pytest.ini": f"[pytest]\naddopts = {' '.join(args)}\n"})
    assert project.rpytest("-n2").counts == {"passed": 6}


def test_one_test_at_a_time(project: Project) -> None:
    """`--maxschedchunk=1`: no test waits behind one that takes long."""
    project.write(
        {
            "meeting.py": MEETING,
            "test_a.py": "import os, pytest\nfrom meeting import meet\n"
            "@pytest.mark.parametrize('i', range(6))\ndef test_a(i):\n"
            "    here = os.environ['PYTEST_DEBUG_TEMPROOT']\n"
            "    if os.environ['PYTEST_XDIST_WORKER'] == 'gw0':\n"
            "        meet()\n        import time\n        late = time.monotonic() + 240\n"
            "        while len(os.listdir(os.path.join(here, 'done'))) < 5: assert "
            "time.monotonic() < late; time.sleep(0.01)\n"
            "    else:\n        meet()\n"
            "        open(os.path.join(here, 'done', str(i)), 'w').close()\n",
            "conftest.py": "import os, pytest\n@pytest.fixture(autouse=True, scope='session')\n"
            "def done():\n"
            "    os.makedirs(os.path.join(os.environ['PYTEST_DEBUG_TEMPROOT'], 'done'), "
            "exist_ok=True)\n",
        }
    )
    assert project.rpytest("-n2", "--maxschedchunk=1").counts == {"passed": 6}


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["-f"], "`rpytest --watch`"),
        (["--looponfail"], "`rpytest --watch`"),
        (["--rsyncdir", "x"], "no remote workers"),
        (["--rsyncdir=x"], "no remote workers"),
        (["--rsyncignore=x"], "no remote workers"),
        (["--px", "id=a//socket=b"], "no remote workers"),
        (["--tx", "ssh=host"], "local forks"),
        (["--tx", "popen//python=python3.9"], "local forks"),
        (["--tx", "2*popen//chdir=x"], "local forks"),
        (["--maxschedchunk=0"], "1 or more"),
        (["--maxschedchunk=-1"], "1 or more"),
        (["--maxschedchunk=many"], "1 or more"),
        (["--maxprocesses=some"], "0 or more"),
        (["--max-worker-restart=some"], "0 or more"),
        (["-n", "-1"], "`-n 0`"),
    ],
    ids=str,
)
def test_options_that_can_not_be(project: Project, args: list[str], hint: str) -> None:
    """Before any test runs."""
    project.write({"test_a.py": TESTS})
    result = project.rpytest(*args, junit=False)
    assert result.status == 4 and "hint: " in result.stderr and hint in result.stderr, result


@pytest.mark.parametrize("setting", ["rsyncdirs", "rsyncignore", "looponfailroots"])
def test_settings(project: Project, setting: str) -> None:
    """pytest-xdist knows them, warns of them, and has no use for them with local workers;
    `--strict-config` has nothing against them.
    """
    project.write(
        {"pytest.ini": f"[pytest]\n{setting} = .\naddopts = --strict-config\n", "test_a.py": TESTS}
    )
    for args in (["-n2"], ["-n2"], ["-n0"]):
        result = project.rpytest(*args)
        assert result.counts == {"passed": 6, "warnings": 1}, result
        assert (
            f"the setting `{setting}` of pytest-xdist is deprecated" in result.stdout
            and "hint: " in result.stdout
        )


@pytest.mark.parametrize(
    ("conftest", "env", "count"),
    [
        ("", {"PYTEST_XDIST_AUTO_NUM_WORKERS": "3"}, 3),
        (
            "def pytest_xdist_auto_num_workers(config): return 2\n",
            {"PYTEST_XDIST_AUTO_NUM_WORKERS": "3"},
            2,
        ),
        (
            "def pytest_xdist_auto_num_workers(config): return None\n",
            {"PYTEST_XDIST_AUTO_NUM_WORKERS": "3"},
            3,
        ),
    ],
)
def test_number_of_workers(
    project: Project, conftest: str, env: dict[str, str], count: int
) -> None:
    """Hook, then variable."""
    test = (
        "def test_a(i):\n    import os\n    assert os.environ['PYTEST_XDIST_WORKER_COUNT'] == "
        f"'{count}'\n"
    )
    project.write(
        {"conftest.py": conftest, "test_a.py": TESTS.replace("def test_a(i): pass\n", test)}
    )
    for value in ("auto", "logical"):
        assert project.rpytest("-n", value, env=env).counts == {"passed": 6}


def test_values_that_plugins_read(project: Project) -> None:
    """By the names and with the defaults that pytest-xdist's options have."""
    names = [
        "px",
        "rsyncdir",
        "rsyncignore",
        "maxschedchunk",
        "looponfail",
        "testrunuid",
        "maxworkerrestart",
        "loadscopereorder",
    ]
    project.write(
        {
            "conftest.py": "def pytest_sessionfinish(session):\n"
            "    if not hasattr(session.config, 'workerinput'):\n"
            f"        print([session.config.getoption(name) for name in {names}], "
            "[session.config.getini(name) for name in ('rsyncdirs', 'rsyncignore', "
            "'looponfailroots')])\n",
            "test_a.py": TESTS,
        }
    )
    running = project.spawn("-q", "-n2", program="pytest")
    assert running.wait() == 0, running.stderr
    wanted = next(line for line in running.stdout.splitlines() if "[[]" in line)
    # `-f` is off either way.
    seen = project.rpytest("-n2", junit=False).stdout.replace(
        "None, None, None, True", "False, None, None, True"
    )
    assert wanted[wanted.index("[[]") :] in seen, f"{wanted}\n{seen}"
