"""Whose environment is where: each run has its own, all of it, and nothing of anybody else's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.daemons import sockets
from support.harness import Project

_SECRET = "s3cret-of-another-shell"

_TEST = """
import ctypes, json, os, pathlib

def test_1():
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_char_p
    seen = {name: libc.getenv(name.encode()) for name in ("MINE", "TOKEN", "TZ")}
    initial = pathlib.Path("/proc/self/environ").read_bytes().split(b"\\0")
    pathlib.Path(os.environ["OUT"]).write_text(json.dumps({
        "environ": dict(os.environ),
        "getenv": {name: value and value.decode() for name, value in seen.items()},
        "initial": [item.decode(errors="replace") for item in initial],
    }))
"""


def _run(project: Project, *args: str, **env: str | None) -> dict[str, object]:
    out = project.scratch / "out.json"
    result = project.rpytest(*args, junit=False, env={"OUT": str(out), **env})
    assert result.status == 0, result
    found: dict[str, object] = json.loads(out.read_text())
    return found


@pytest.mark.parametrize(
    "options", [(), ("--no-daemon",), ("-n", "0")], ids=["daemon", "once", "plain"]
)
def test_nothing_of_the_shell_that_started_the_daemon(
    project: Project, options: tuple[str, ...]
) -> None:
    project.write(test_a=_TEST)
    first = _run(project, *options, TOKEN=_SECRET, MINE="1", TZ="UTC")
    assert first["getenv"] == {"MINE": "1", "TOKEN": _SECRET, "TZ": "UTC"}
    assert not [item for item in first["initial"] if _SECRET in item]  # type: ignore[attr-defined]
    for _ in range(2):
        second = _run(project, *options, MINE="2")
        assert second["getenv"] == {"MINE": "2", "TOKEN": None, "TZ": None}
        assert _SECRET not in json.dumps(second)


def test_the_environment_is_pytests(project: Project) -> None:
    project.write(test_a=_TEST)
    out = project.scratch / "out.json"
    assert project.pytest(junit=False, env={"OUT": str(out)}).status == 0
    expected = json.loads(out.read_text())["environ"]
    for _ in range(2):
        found = _run(project)["environ"]
        assert isinstance(found, dict)
        ours = {
            name: value
            for name, value in found.items()
            if not name.startswith(("PYTEST_XDIST", "PYTEST_CURRENT"))
        }
        assert ours == {
            name: value for name, value in expected.items() if not name.startswith("PYTEST_CURRENT")
        }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PYTHONHASHSEED", "1"),
        ("PYTHONOPTIMIZE", "1"),
        ("PYTHONDEVMODE", "1"),
        ("PYTHONUTF8", "1"),
        ("LC_ALL", "C"),
        ("LANG", "C"),
        ("MALLOC_ARENA_MAX", "1"),
        ("GLIBC_TUNABLES", "glibc.malloc.check=0"),
        ("LD_BIND_NOW", "1"),
        ("HOME", "/nonexistent"),
    ],
)
def test_what_acts_at_the_interpreters_start_makes_a_daemon_of_its_own(
    project: Project, name: str, value: str
) -> None:
    project.write(
        test_a="import os, pathlib, sys\n\ndef test_1():\n"
        "    fields = dict(item.split(b'=', 1) for item in "
        "pathlib.Path('/proc/self/environ').read_bytes().split(b'\\0') if b'=' in item)\n"
        f"    assert fields.get({name!r}.encode()) == os.environ.get({name!r}, "
        f"'').encode() or {name!r} not in os.environ\n"
        f"    pathlib.Path(os.environ['OUT']).write_text(repr((os.environ.get({name!r}), "
        "sys.flags)))\n"
    )
    out = project.scratch / "out"

    def flags(program: str, given: str | None) -> str:
        run = getattr(project, program)
        result = run(junit=False, env={name: given, "OUT": str(out)})
        assert result.status == 0, result
        return out.read_text()

    for given in (project.env.get(name), value):
        assert flags("rpytest", given) == flags("pytest", given)
    assert len(sockets(project)) == 2


@pytest.mark.parametrize(
    "packages", ["", "import sqlite3, xml.dom.minidom"], ids=["plain", "preloaded"]
)
def test_no_variable_of_another_project_is_in_memory(
    project: Project, tmp_path: Path, packages: str
) -> None:
    """A run may look at all of its memory, and at what it has open: what another project's run had
    in its environment was never there.
    """
    other, mine = tmp_path / "other", tmp_path / "mine"
    # The two halves of the secret never stand side by side in what looks for it.
    middle = len(_SECRET) // 2
    look = f"""
        import os, re
        {packages}

        def test_1():
            first, second = {_SECRET[:middle].encode()!r}, {_SECRET[middle:].encode()!r}
            found = []
            with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
                for line in list(maps):
                    begin, end = (int(part, 16) for part in line.split()[0].split("-"))
                    if "rw" not in line.split()[1] or end - begin > 1 << 30:
                        continue
                    try:
                        memory.seek(begin)
                        data = memory.read(end - begin)
                    except (OSError, ValueError, OverflowError):
                        continue
                    found += [line for at in re.finditer(first, data) if data[at.end():].startswith(second)]
                    del data
            assert not found
            for fd in os.listdir("/proc/self/fd"):
                try:
                    target = os.readlink(f"/proc/self/fd/{{fd}}")
                except OSError:
                    continue
                assert "rpytest-environment" not in target
            if "TOKEN" in os.environ:
                # Its own: the search finds what is there.
                assert 0
    """  # noqa: E501
    project.fill(
        other,
        {"test_o.py": f"{packages}\ndef test_1(): pass\n", "test_p.py": "def test_2(): pass\n"},
    )
    project.fill(mine, {"test_m.py": look})
    for args in ((), (), ("test_p.py",), ("-q",)):
        result = project.rpytest(*args, junit=False, cwd=other, env={"TOKEN": _SECRET})
        assert result.status == 0, result
    for _ in range(2):
        result = project.rpytest(junit=False, cwd=mine)
        assert result.status == 0, result
    result = project.rpytest(junit=False, cwd=mine, env={"TOKEN": _SECRET})
    assert "assert not found" in result.stdout.replace("[", ""), result
