"""A session of pytest within this process, for tests of what looks at items, fixtures and reports
as pytest makes them. Nothing of it is left behind.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.config import get_config
from _pytest.runner import runtestprotocol

#: What would act on this process as a whole, depends on where it runs, or takes time for nothing.
_LEFT_OUT = (
    *("cacheprovider", "faulthandler", "threadexception", "unraisableexception"),
    *("debugging", "doctest", "legacypath", "pastebin", "recwarn", "setuponly"),
    *("setupplan", "stepwise", "unittest"),
)
_QUIET = (
    *(word for name in _LEFT_OUT for word in ("-p", f"no:{name}")),
    "--assert=plain",
    "--capture=no",
)

#: Folders of the sessions that there are right now.
_folders: list[Path] = []


def write(folder: Path, **files: str) -> None:
    """Write files of Python by their names, `__` for a slash."""
    for name, text in files.items():
        file = folder / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@contextlib.contextmanager
def collected(folder: Path, *arguments: str, ini: str = "") -> Iterator[Any]:
    """A session in ``folder`` that has collected its tests; it ends with the context."""
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}")
    modules = dict(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
            patch.delenv(name, raising=False)
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        patch.setenv("PY_COLORS", "0")
        # A test that runs there takes the variable of this one away.
        patch.setenv("PYTEST_CURRENT_TEST", "")
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setattr(sys, "path", list(sys.path))
        patch.chdir(folder)
        # Modules of another session may have the names of those of this one.
        _forget(_folders)
        _folders.append(folder)
        try:
            with _session([*_QUIET, *arguments]) as session:
                yield session
        finally:
            _folders.remove(folder)
            _forget([folder])
            # Those of the other session, and a conftest of here whose name one of there has taken.
            sys.modules.update(modules)
            for name in ("last_exc", "last_type", "last_value", "last_traceback"):
                vars(sys).pop(name, None)


def _forget(folders: Sequence[Path]) -> None:
    """Take modules of these folders away."""
    places = tuple(f"{folder}/" for folder in folders)
    for name, module in list(sys.modules.items()):
        file = str(getattr(module, "__file__", None) or "")
        if file.startswith(places):
            del sys.modules[name]


@contextlib.contextmanager
def _session(arguments: list[str]) -> Iterator[pytest.Session]:
    config: Any = get_config(arguments)
    try:
        config.parse(arguments)
        config._do_configure()
        session = pytest.Session.from_config(config)
        config.hook.pytest_sessionstart(session=session)
        config.hook.pytest_collection(session=session)
        assert not session.testsfailed, "a module could not be collected"
        yield session
        config.hook.pytest_sessionfinish(session=session, exitstatus=0)
    finally:
        config._ensure_unconfigure()


def run(session: pytest.Session, name: str) -> list[pytest.TestReport]:
    """The reports of a test, by its name; it knows nothing of an earlier run."""
    (item,) = (item for item in session.items if item.name == name)
    item._report_sections.clear()
    item.user_properties.clear()
    return runtestprotocol(item, log=False, nextitem=None)
