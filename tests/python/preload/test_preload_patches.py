"""A project that replaces something of a module before it imports a package that is preloaded gets
what it would get without a preload.

See ``test_preload.py`` for the rest.
"""

from __future__ import annotations

import pytest

from rpytest import _native
from support.harness import Project
from support.sites import Site


@pytest.fixture
def site(project: Project) -> Site:
    return Site(project)


@pytest.mark.parametrize(
    ("module", "attribute", "replace"),
    [
        ("socket", "create_connection", "socket.create_connection = lambda *a, **k: 'replaced'"),
        ("time", "sleep", "time.sleep = lambda seconds: None"),
        ("threading", "Thread", "threading.Thread = type('Thread', (threading.Thread,), {})"),
        ("os", "sched_getaffinity", "del os.sched_getaffinity"),
        ("builtins", "print", "builtins.print = lambda *a, **k: None"),
        (
            "builtins",
            "__import__",
            "builtins.__import__ = lambda *a, real=builtins.__import__, **k: real(*a, **k)",
        ),
        ("colorsys", "ONE_THIRD", "colorsys.ONE_THIRD = 0.5"),
    ],
)
def test_python_s_own(site: Site, module: str, attribute: str, replace: str) -> None:
    """What a conftest replaces (as `gevent.monkey` does) is what packages get that are imported
    afterwards.
    """
    site.package("before", "import os\nPID = os.getpid()\n")
    site.package(
        "heavy", f"import colorsys, {module}\nTAKEN = getattr({module}, {attribute!r}, None)\n"
    )
    site.project.write(
        test_a=f"import {module}, before, heavy, os\n"
        f"def test_1(): assert heavy.TAKEN is getattr({module}, {attribute!r}, None)\n"
        "def test_2(): print('made in', before.PID)\n"
    )
    site.learn()
    site.project.write(conftest=f"import before, {module}\n{replace}\n")
    assert site.run().counts == {"passed": 2}
    reasons = site.refusals()
    assert len(reasons) == 1
    start = f"the project replaces `{module}.{attribute}` before `"
    assert reasons[0].startswith(start), reasons
    text = site.wait()
    # What is imported before that is still of use.
    assert "    before: " in text
    # Once more, if something has been imported only now.
    for _ in range(3):
        before = site.refusals()
        site.edit()
        assert site.run().counts == {"passed": 2}
        site.wait()
    assert site.refusals() == before
    assert len(before) <= 2
    assert all(reason.startswith(start) for reason in before), before


@pytest.mark.parametrize(
    "replace", ["base.MODE = 2", "base.mode = lambda: 2", "base.Mode = str", "del base.MODE"]
)
def test_of_a_package(site: Site, replace: str) -> None:
    """Only those that need this package do without the preload."""
    site.package("base", "import os\nMODE = 1\ndef mode(): return 1\nclass Mode: pass\n")
    site.package(
        "heavy",
        (
            "import base\nTAKEN = [getattr(base, name, None) for name in ('MODE', 'Mode')], "
            "base.mode()\n"
        ),
    )
    site.package("other", "import os\nPID = os.getpid()\n")
    text = (
        "import heavy, other, base\n"
        "def test_1(): assert heavy.TAKEN == ([getattr(base, name, None) for name in "
        "('MODE', 'Mode')], base.mode())\n"
    )
    site.project.write(test_a=text)
    site.learn()
    site.project.write(conftest=f"import base\n{replace}\n")
    assert site.run().counts == {"passed": 1}
    (reason,) = site.refusals()
    assert reason.startswith("the project replaces `base."), reason
    text = site.wait()
    assert "    base, other: " in text
    assert "    without `heavy`, which the project replaces `base." in text
    site.edit()
    assert site.run().counts == {"passed": 1}
    assert len(site.refusals()) == 1


def test_what_is_no_replacement(site: Site) -> None:
    """Caches that are filled, names that are added, sub-modules that are bound, what pytest itself
    replaces.
    """
    site.package("base", "CACHE = None\n_count = 0\ndef part(): pass\n")
    site.package("base.part", "")
    site.package("heavy", "import base, socket, tempfile, pdb, warnings, os\nPID = os.getpid()\n")
    site.project.write(
        conftest="import base, base.part, os, pdb, socket, sys, tempfile, warnings\n"
        "base.CACHE = {}\nbase._count += 1\nbase.ADDED = 1\nsocket.ADDED = 1\n"
        "tempfile.gettempdir()\n"
        "sys.dont_write_bytecode = sys.dont_write_bytecode\n",
        test_a="import warnings\nwith warnings.catch_warnings(record=True):\n    import heavy\n"
        "def test_1(): print('made in', heavy.PID)\n",
    )
    text = site.learn("-rP")
    pid = text.partition("  preload ")[2].partition(":")[0]
    site.edit()
    assert f"made in {pid}" in site.project.rpytest("-rP", junit=False).stdout
    assert site.refusals() == []


def test_a_name_that_a_sub_module_takes(site: Site) -> None:
    """It is the function until the module of the same name is imported."""
    site.package("base", "def part(): pass\n")
    site.package("base.part", "")
    site.project.write(test_a="import base.part\ndef test_1(): assert not callable(base.part)\n")
    site.learn()
    site.project.write(test_a="import base\ndef test_1(): assert callable(base.part)\n")
    assert site.run().counts == {"passed": 1}
    site.project.write(
        test_a="import base\nimport base.part\ndef test_1(): assert not callable(base.part)\n"
    )
    assert site.run().counts == {"passed": 1}
    assert site.refusals() == []


def test_by_a_test(site: Site) -> None:
    """Nothing can start over then: the package is imported as it would be without a preload."""
    site.package("heavy", "import time\nTAKEN = time.sleep\n")
    site.project.write(test_a="import heavy\ndef test_1(): assert heavy.TAKEN\n")
    site.learn()
    site.project.write(
        test_a="import time\ndef test_1(monkeypatch):\n"
        "    monkeypatch.setattr(time, 'sleep', len)\n"
        "    import heavy\n    assert heavy.TAKEN is len\n"
    )
    for number in ("0", "1"):
        result = site.project.rpytest("-n", number, junit=False)
        assert result.counts == {"passed": 1}, result
    assert site.refusals() == []


def test_sockets_of_its_own(project: Project) -> None:
    """Nothing of rpytest's uses what a conftest has put in the place of Python's sockets."""
    project.write(
        conftest="import socket\nclass Socket(socket.socket):\n"
        "    def __init__(self, *args, **kwargs):\n"
        "        super().__init__(*args, **kwargs)\n        self.setblocking(False)\n"
        "socket.socket = Socket\n",
        test_a=(
            "import socket\ndef test_1(): assert socket.socket.__name__ == 'Socket'\n"
            "def test_2(): pass\n"
        ),
    )
    for arguments in (
        (),
        ("-n", "2"),
        ("-n", "2", "--start-method", "bare"),
        ("-n", "2", "--no-daemon"),
    ):
        for _ in range(2):
            result = project.rpytest(*arguments, junit=False)
            assert (result.status, result.counts) == (0, {"passed": 2}), result


def test_noticed_functions_are_no_replacements() -> None:
    """While it is noticed who uses a function, all else of its module is compared as quickly as
    ever.
    """

    def plain() -> None: ...

    noticed = _native.Noticed(plain, print)
    assert _native.begins_with({"a": noticed, "b": 1}, {"a": plain})
    assert not _native.begins_with({"a": noticed}, {"a": print})
    # Only for a while: what it was before is the function.
    assert not _native.begins_with({"a": plain}, {"a": noticed})
