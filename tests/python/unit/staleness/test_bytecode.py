"""Which cached byte code makes a module another one than its source says."""

from __future__ import annotations

import os
import py_compile
from collections.abc import Callable
from pathlib import Path

import pytest

from rpytest.staleness.bytecode import ByteCode, is_cached, source_of


def test_names() -> None:
    for name in (
        "/p/__pycache__/a.cpython-311.pyc",
        "/p/__pycache__/a.cpython-311-pytest-9.2.0.pyc",
    ):
        assert is_cached(name)
        assert source_of(name) == "/p/a.py"
    for name in ("/p/a.py", "/p/a.pyc", "/p/__pycache__/a.txt", "/p/__pycache__"):
        assert not is_cached(name)
        assert source_of(name) == name


class Module:
    """A source that is older than its cache."""

    def __init__(
        self,
        folder: Path,
        mode: py_compile.PycInvalidationMode = py_compile.PycInvalidationMode.TIMESTAMP,
    ):
        self.source = folder / "m.py"
        self.source.write_text("x = 1\n")
        # In another second than now; the change time can't be set.
        os.utime(self.source, (1, 1))
        self.mode = mode
        self.cache = Path(self.compile())

    def compile(self) -> str:
        name = ""
        later = 0
        while later <= self.source.stat().st_ctime_ns:
            name = (
                py_compile.compile(str(self.source), invalidation_mode=self.mode, doraise=True)
                or ""
            )
            later = Path(name).stat().st_mtime_ns
        return name

    def seen(self) -> ByteCode:
        code = ByteCode()
        code.opened(str(self.cache))
        code.snapshot(())
        return code


def touched(module: Module) -> None:
    module.cache.touch()


def compiled_again(module: Module) -> None:
    module.compile()


def deleted(module: Module) -> None:
    module.cache.unlink()


def of_another_second(module: Module) -> None:
    os.utime(module.source, (2, 2))
    module.compile()
    os.utime(module.source, (1, 1))


def emptied(module: Module) -> None:
    module.cache.write_bytes(b"")


def other_code(module: Module) -> None:
    """Of another source with the same second and size, as a copied folder may have it."""
    module.source.write_text("x = 2\n")
    os.utime(module.source, (1, 1))
    module.compile()
    module.source.write_text("x = 1\n")
    os.utime(module.source, (1, 1))
    # Compiled before the source was written: so it may be anything.
    os.utime(module.cache, (1, 1))


@pytest.mark.parametrize("change", [compiled_again, deleted, of_another_second, emptied])
def test_harmless(tmp_path: Path, change: Callable[[Module], None]) -> None:
    module = Module(tmp_path)
    code = module.seen()
    assert code.changed() is None
    change(module)
    expected = None if change is not emptied else f"the byte code of {module.source} changed"
    assert code.changed() == expected


def test_other_code_is_a_change(tmp_path: Path) -> None:
    module = Module(tmp_path)
    code = module.seen()
    other_code(module)
    assert code.changed() == f"the byte code of {module.source} changed"
    assert code.changed(but={str(module.source)}) is None


def test_a_source_that_was_changed_after_it_had_been_compiled_is_doubtful(tmp_path: Path) -> None:
    module = Module(tmp_path)
    other_code(module)
    code = module.seen()
    assert code.doubtful_sources() == {str(module.source)}
    assert code.changed() is None
    touched(module)
    assert code.changed() is not None


def test_a_cache_that_is_checked_by_hash(tmp_path: Path) -> None:
    module = Module(tmp_path, py_compile.PycInvalidationMode.CHECKED_HASH)
    code = module.seen()
    module.compile()
    assert code.changed() is None


def test_what_is_below_foreign_folders_does_not_matter(tmp_path: Path) -> None:
    module = Module(tmp_path)
    code = ByteCode()
    code.opened(str(module.cache))
    code.snapshot((f"{tmp_path}{os.sep}",))
    other_code(module)
    assert code.changed() is None


def test_what_a_fork_inherits(tmp_path: Path) -> None:
    module = Module(tmp_path)
    code = module.seen()
    code.for_children(())
    other = ByteCode()
    other.inherit(code)
    other.snapshot(())
    other_code(module)
    assert other.changed() is not None


@pytest.mark.parametrize(("later", "doubtful"), [(-1, True), (0, True), (1, False)])
def test_a_source_may_have_changed_after_it_was_compiled(
    tmp_path: Path, later: int, doubtful: bool
) -> None:
    """In the same tick of the clock, too: what was compiled may be an earlier text."""
    module = Module(tmp_path)
    compiled = module.source.stat().st_ctime_ns + later
    os.utime(module.cache, ns=(compiled, compiled))
    found = module.seen().doubtful_sources()
    assert found == ({str(module.source)} if doubtful else set())
