"""A pytest plugin for other projects' tests: what they run with `pytester` is run by the
``rpytest`` program.

``pytest -p route`` with this folder on ``PYTHONPATH``. `pytester` itself is pytest's own; only
which command it starts is changed, and what the command says is put into the words of the project
whose tests these are (`dialect.py`).

Environment: ``CONFORMANCE_RPYTEST`` is the program; ``CONFORMANCE_DIALECT`` what is translated.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

import dialect

_PROGRAM = os.environ["CONFORMANCE_RPYTEST"]
_DIALECT = os.environ["CONFORMANCE_DIALECT"]
_TRANSLATE = dialect.BY_NAME[_DIALECT]

_run = pytest.Pytester.run


class Routed(Exception):
    """A test asked for something that only exists inside of the process that runs pytest."""


class Recorded:
    """Stands for the hook recorder of an in-process run: what can be told from outside."""

    def __init__(self, result: pytest.RunResult) -> None:
        self.ret = result.ret
        self._result = result

    def assertoutcome(self, passed: int = 0, skipped: int = 0, failed: int = 0) -> None:
        """As the recorder's method of this name."""
        seen = self._result.parseoutcomes()
        found = {name: seen.get(name, 0) for name in ("passed", "skipped", "failed")}
        assert found == {"passed": passed, "skipped": skipped, "failed": failed}

    def __getattr__(self, name: str) -> Any:
        raise Routed(
            f"`{name}` of an in-process run's hook recorder can't be had from another process"
        )


def _arguments(_: pytest.Pytester) -> tuple[str, ...]:
    return (_PROGRAM,)


def _run_translated(self: pytest.Pytester, *cmdargs: Any, **kwargs: Any) -> pytest.RunResult:
    result = _run(self, *cmdargs, **kwargs)
    if os.fspath(cmdargs[0]) != _PROGRAM:
        return result
    lines = _TRANSLATE(result.outlines)
    if lines != result.outlines:
        print("in the other's words:")
        print(*lines, sep="\n")
    status = int(result.ret)
    if _DIALECT == "statuses":
        status = dialect.status(status, lines)
    return pytest.RunResult(status, lines, result.errlines, result.duration)


def _run_elsewhere(self: pytest.Pytester, *args: Any, **kwargs: Any) -> pytest.RunResult:
    if kwargs.pop("syspathinsert", False):
        self.syspathinsert()
    kwargs.pop("no_reraise_ctrlc", None)
    plugins = kwargs.pop("plugins", ())
    if plugins or any(not isinstance(plugin, str) for plugin in self.plugins):
        raise Routed("a plugin object of this process can't be registered in another process")
    return self.runpytest_subprocess(*args, **kwargs)


def _record_elsewhere(self: pytest.Pytester, *args: Any, **kwargs: Any) -> Recorded:
    return Recorded(_run_elsewhere(self, *args, **kwargs))


@pytest.fixture(autouse=True)
def _insert_paths_elsewhere(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """`monkeypatch.syspath_prepend` holds for programs that a test starts, too."""
    prepend = monkeypatch.__class__.syspath_prepend

    def prepended(self: pytest.MonkeyPatch, path: Any) -> None:
        prepend(self, path)
        self.setenv("PYTHONPATH", os.fspath(path), prepend=os.pathsep)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytest.MonkeyPatch, "syspath_prepend", prepended)
        yield


def pytest_configure() -> None:
    """Route every way of `pytester` to run pytest."""
    cls: Any = pytest.Pytester
    cls._getpytestargs = _arguments
    cls.run = _run_translated
    cls.runpytest = cls.runpytest_inprocess = _run_elsewhere
    cls.inline_run = _record_elsewhere
