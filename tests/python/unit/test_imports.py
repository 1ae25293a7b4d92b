"""What files import, as their sources say."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from rpytest import _imports


def load(monkeypatch: pytest.MonkeyPatch, name: str, file: Path | None) -> None:
    module = types.ModuleType(name)
    if file is not None:
        module.__file__ = str(file)
        if file.name == "__init__.py":
            module.__path__ = [str(file.parent)]
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Modules `um_a` … that are loaded: `um_a` imports `um_b`, and `um_c` imports `um_a`."""
    texts = {"um_a": "import um_b", "um_b": "", "um_c": "def f():\n    from um_a import x", "um_p": ""}
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
        load(monkeypatch, name, tmp_path / f"{name}.py")
    (tmp_path / "um_q").mkdir()
    (tmp_path / "um_q" / "__init__.py").write_text("")
    (tmp_path / "um_q" / "inner.py").write_text("from . import other\nfrom .. import nothing\nfrom .other import x")
    (tmp_path / "um_q" / "other.py").write_text("import um_b")
    for name, file in (("um_q", "__init__"), ("um_q.inner", "inner"), ("um_q.other", "other")):
        load(monkeypatch, name, tmp_path / "um_q" / f"{file}.py")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", set()),
        ("import um_b", {"um_b"}),
        ("import um_a", {"um_a", "um_b"}),
        ("import um_a as x, um_p", {"um_a", "um_b", "um_p"}),
        ("if 0:\n    import um_c", {"um_a", "um_b", "um_c"}),
        ("def test(): import um_b", {"um_b"}),
        ("from um_b import *", {"um_b"}),
        ("from um_q import inner", {"um_q", "um_q.inner", "um_q.other", "um_b"}),
        ("import um_q.other", {"um_q", "um_q.other", "um_b"}),
        ("import importlib\nX = importlib.import_module('um_a')", {"um_a", "um_b"}),
        ("X = __import__('um_b')", {"um_b"}),
        ("import pytest\nX = pytest.importorskip('um_b')", {"um_b"}),
        ("import not_there_at_all", set()),
        ("import importlib\nX = importlib.import_module('um_' + 'a')", None),
        ("import importlib\nX = importlib.import_module(name='um_a')", None),
        ("X = __import__(name)", None),
        ("def", None),
        ("x = '\\0'\n\0", None),
    ],
)
def test_needed(folder: Path, text: str, wanted: set[str] | None) -> None:
    file = folder / "test_x.py"
    file.write_text(text)
    found = _imports.needed_by([file], _imports.Loaded([str(folder)]))
    assert (None if found is None else {name for name in found if name.startswith("um_")}) == wanted


def test_a_file_that_is_not_there(folder: Path) -> None:
    assert _imports.needed_by([folder / "gone.py"], _imports.Loaded([])) is None


def test_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = _imports.Loaded([str(folder)])
    assert set(loaded.found) == {"um_a", "um_b", "um_c", "um_p", "um_q"}
    assert sorted(loaded.inside["um_q"]) == ["um_q", "um_q.inner", "um_q.other"]
    assert loaded.is_now([str(folder)])
    assert not loaded.is_now([])
    load(monkeypatch, "um_new", None)
    assert not loaded.is_now([str(folder)])


def test_root_of(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "test_x.py"
    file.parent.mkdir(parents=True)
    file.touch()
    assert _imports.root_of(file) == str(file.parent)
    (file.parent / "__init__.py").touch()
    assert _imports.root_of(file) == str(tmp_path / "a")
    (tmp_path / "a" / "__init__.py").touch()
    assert _imports.root_of(file) == str(tmp_path)


def test_ambiguous(tmp_path: Path) -> None:
    one, other = str(tmp_path / "1"), str(tmp_path / "2")
    (tmp_path / "1").mkdir()
    (tmp_path / "2" / "pkg").mkdir(parents=True)
    (tmp_path / "1" / "m.py").touch()
    assert not _imports.is_ambiguous("m", one, [one, other])
    assert _imports.is_ambiguous("pkg", one, [one, other])
    (tmp_path / "2" / "m.py").touch()
    assert _imports.is_ambiguous("m", one, [one, other])
