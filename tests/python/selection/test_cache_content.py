"""Whatever lies in the cache folder costs its benefit at worst: no error, no wait, and the next run
puts right what it can.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from support.harness import Project

_TEST = """
import os, pytest, threading

@pytest.fixture(scope="session")
def leaves_a_thread():
    # Remembered in the cache folder: forks can't share it.
    stop = threading.Event()
    threading.Thread(target=stop.wait, daemon=True).start()
    yield 1
    stop.set()

def test_1(leaves_a_thread): pass
def test_2(): pass
"""


def _directory(path: Path) -> None:
    path.mkdir()
    (path / "something").touch()


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 5 << 30)


def _magic_sparse(path: Path) -> None:
    path.write_bytes(b"RPYTDUR\n" + (2).to_bytes(4, "little"))
    os.truncate(path, 5 << 30)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _unreadable(path: Path) -> None:
    path.write_bytes(b"x")
    path.chmod(0)


_CONTENTS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "directory": _directory,
    "sparse": _sparse,
    "sparse with a header": _magic_sparse,
    "loop": _loop,
    "dangling": lambda path: path.symlink_to("/nonexistent/x"),
    "zeros for ever": lambda path: path.symlink_to("/dev/zero"),
    "full": lambda path: path.symlink_to("/dev/full"),
    "unreadable": _unreadable,
    "empty": lambda path: path.touch(),
    "nested": lambda path: path.write_text("[" * 200_000),
    "list": lambda path: path.write_text("[]"),
    "number": lambda path: path.write_text("9" * 10_000),
    "null": lambda path: path.write_text("null"),
    "other types": lambda path: path.write_text('{"version": 1, "root": [], "own": [1]}'),
    "not utf-8": lambda path: path.write_bytes(b"\xff\xfe\x00{"),
}


def _warm_up(project: Project) -> list[Path]:
    project.write(test_a=_TEST)
    for _ in range(2):
        assert project.rpytest(junit=False).status == 0
    return sorted(path for path in project.cache_dir.rglob("*") if path.is_file())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            child.unlink()
        path.rmdir()
    else:
        path.unlink()


@pytest.mark.parametrize("kind", _CONTENTS)
def test_anything_in_the_place_of_each_file(project: Project, kind: str) -> None:
    files = _warm_up(project)
    assert {path.suffix for path in files} >= {".bin", ".lock", ".json"}, files
    places = [*files, *(path.with_suffix(".tmp") for path in files if path.suffix == ".bin")]
    for place in places:
        if place.exists():
            _remove(place)
        _CONTENTS[kind](place)
        for args in ((), ("--inventory-status",)):
            result = project.rpytest(*args, junit=False)
            assert result.status == 0, (place, result)
            assert "Traceback" not in result.stdout + result.stderr, (place, result)
            for line in result.stderr.splitlines():
                assert line.startswith("warning: the duration"), (place, result)
        # It goes on as if nothing had been.
        if os.path.lexists(place):
            _remove(place)
    assert project.rpytest(junit=False).stderr == ""


def test_random_content(project: Project) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    files = [path for path in _warm_up(project) if path.suffix in (".bin", ".json")]
    for _ in range(int(os.environ.get("RPYTEST_CACHE_ROUNDS", "6"))):
        for path in files:
            data = bytearray(path.read_bytes())
            kind = rng.randrange(4)
            if kind == 0:
                data = bytearray(rng.randbytes(rng.randrange(300)))
            elif kind == 1:
                del data[rng.randrange(len(data) + 1) :]
            elif kind == 2:
                data += rng.randbytes(rng.randrange(100))
            for _ in range(rng.randrange(4) if data else 0):
                data[rng.randrange(len(data))] = rng.randrange(256)
            path.write_bytes(data)
        result = project.rpytest(junit=False)
        assert result.status == 0, result
        assert "Traceback" not in result.stdout + result.stderr, result


@pytest.mark.parametrize("folder", ["", "durations", "fixtures"])
@pytest.mark.parametrize("kind", ["empty", "pipe", "loop", "dangling"])
def test_no_folder(project: Project, folder: str, kind: str) -> None:
    project.cache_dir.mkdir(exist_ok=True)
    place = project.cache_dir / folder
    if not folder:
        place.rmdir()
    _CONTENTS[kind](place)
    project.write(test_a=_TEST)
    for _ in range(2):
        result = project.rpytest(junit=False)
        assert result.status == 0, result
        assert "Traceback" not in result.stdout + result.stderr, result
