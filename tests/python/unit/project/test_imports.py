"""What files import, as their sources say, and where modules lie."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from rpytest.project import imports


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", set()),
        ("import um_b", {"um_b"}),
        ("import um_a as x, um_p.inner", {"um_a", "um_p.inner"}),
        ("if 0:\n    import um_c", {"um_c"}),
        ("def test(): import um_b", {"um_b"}),
        ("from um_b import *", {"um_b", "um_b.*"}),
        ("from um_q import inner", {"um_q", "um_q.inner"}),
        ("from . import other", {"pkg.sub", "pkg.sub.other"}),
        ("from ..over import x", {"pkg.over", "pkg.over.x"}),
        ("import importlib\nX = importlib.import_module('um_a')", {"importlib", "um_a"}),
        ("X = __import__('um_b')", {"um_b"}),
        ("import pytest\nX = pytest.importorskip('um_b')", {"pytest", "um_b"}),
        ("import importlib\nX = importlib.import_module('um_' + 'a')", None),
        ("import importlib\nX = importlib.import_module(name='um_a')", None),
        ("X = __import__(name)", None),
        ("exec('import um_a')", None),
        ("import sys\nX = sys.modules['um_a']", None),
        ("import pkgutil\nfor x in pkgutil.iter_modules(): pass", None),
        ("def", None),
        ("x = '\\0'\n\0", None),
    ],
)
def test_imported(tmp_path: Path, text: str, wanted: set[str] | None) -> None:
    file = tmp_path / "x.py"
    file.write_text(text)
    found = imports.imported(str(file), "pkg.sub.x")
    assert (None if found is None else set(found)) == wanted


def test_a_package(tmp_path: Path) -> None:
    file = tmp_path / "__init__.py"
    file.write_text("from . import inner")
    assert imports.imported(str(file), "pkg") == frozenset({"pkg", "pkg.inner"})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert imports.imported(str(tmp_path / "gone.py"), "gone") is None


def test_root_of(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "test_x.py"
    file.parent.mkdir(parents=True)
    file.touch()
    assert imports.root_of(file) == str(file.parent)
    assert imports.module_name_of(file) == "test_x"
    (file.parent / "__init__.py").touch()
    assert imports.root_of(file) == str(tmp_path / "a")
    assert imports.module_name_of(file) == "b.test_x"
    (tmp_path / "a" / "__init__.py").touch()
    assert imports.root_of(file) == str(tmp_path)
    assert imports.module_name_of(file) == "a.b.test_x"


def test_folder_of() -> None:
    module = types.ModuleType("m")
    assert imports.folder_of(module) is None
    module.__file__ = "/p/m.py"
    assert imports.folder_of(module) == "/p"
    module.__file__ = "/p/m/__init__.py"
    module.__path__ = ["/p/m"]
    assert imports.folder_of(module) == "/p"
