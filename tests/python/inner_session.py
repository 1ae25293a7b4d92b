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

#: What would act on this process as a whole, or depends on where it runs.
_QUIET = (
    *("-p", "no:cacheprovider"),
    *("-p", "no:faulthandler"),
    *("-p", "no:threadexception"),
    *("-p", "no:unraisableexception"),
    "--assert=plain",
    "--capture=no",
    "--color=no",
)


def write(folder: Path, **files: str) -> None:
    """Write files of Python by their names, `__` for a slash."""
    for name, text in files.items():
        file = folder / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@contextlib.contextmanager
def collected(
    folder: Path, *arguments: str, ini: str = "", plugins: Sequence[object] = ()
) -> Iterator[Any]:
    """A session in ``folder`` that has collected its tests; it ends with the context."""
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}")
    modules = dict(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
            patch.delenv(name, raising=False)
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        # A test that runs there takes the variable of this one away.
        patch.setenv("PYTEST_CURRENT_TEST", "")
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setattr(sys, "path", list(sys.path))
        patch.chdir(folder)
        try:
            with _session([*_QUIET, *arguments], plugins) as session:
                yield session
        finally:
            for name, module in list(sys.modules.items()):
                file = getattr(module, "__file__", None) or ""
                if name not in modules and str(file).startswith(str(folder)):
                    del sys.modules[name]
            # A conftest of there has taken the name of one of here.
            sys.modules.update(modules)
            for name in ("last_exc", "last_type", "last_value", "last_traceback"):
                vars(sys).pop(name, None)


@contextlib.contextmanager
def _session(arguments: list[str], plugins: Sequence[Any]) -> Iterator[pytest.Session]:
    config: Any = get_config(arguments, plugins)
    try:
        for plugin in plugins:
            config.pluginmanager.register(plugin)
        config.parse(arguments)
        config._do_configure()
        session = pytest.Session.from_config(config)
        config.hook.pytest_sessionstart(session=session)
        config.hook.pytest_collection(session=session)
        yield session
        config.hook.pytest_sessionfinish(session=session, exitstatus=0)
    finally:
        config._ensure_unconfigure()


def run(session: pytest.Session, name: str) -> list[pytest.TestReport]:
    """The reports of a test, by its name."""
    (item,) = (item for item in session.items if item.name == name)
    return runtestprotocol(item, log=False, nextitem=None)
