"""The traceback of a report as pytest's `pytest_report_to_serializable` makes it
(`_pytest.reports._report_to_json`), made without its help.

pytest copies every part of a traceback deeply, several times, by `dataclasses.asdict`; in a run of
many failures that was most of what a worker did. And it does so with the functions of `copy`, which
a fixture may have replaced while a test is recorded: plain pytest does not serialise its reports.
Its own `pytest_report_from_serializable` reads the result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from _pytest._code import code
from _pytest._code.code import ExceptionChainRepr

from rpytest import stdlib

__builtins__ = stdlib.BUILTINS

#: The fields of pytest's classes.
_known = {
    kind: tuple(field.name for field in dataclasses.fields(kind))
    for kind in vars(code).values()
    if isinstance(kind, type)
    and kind.__name__.startswith("Repr")
    and dataclasses.is_dataclass(kind)
}


def to_serializable(
    report: pytest.TestReport, hook: Callable[..., Any], config: pytest.Config
) -> Any:
    """The report as ``hook`` returns it. The hook is asked about all of it but the traceback, parts
    of which are the report's own.
    """
    longrepr: Any = report.longrepr
    if not (
        hasattr(longrepr, "toterminal")
        and hasattr(longrepr, "reprtraceback")
        and hasattr(longrepr, "reprcrash")
    ):
        return hook(config=config, report=report)
    rest = object.__new__(type(report))
    vars(rest).update(vars(report), longrepr=None)
    data = hook(config=config, report=rest)
    data["longrepr"] = _exception(longrepr)
    return data


def _exception(longrepr: Any) -> dict[str, Any]:
    data = {
        "reprcrash": _crash(longrepr.reprcrash),
        "reprtraceback": _traceback(longrepr.reprtraceback),
        "sections": longrepr.sections,
        "chain": None,
    }
    if isinstance(longrepr, ExceptionChainRepr):
        data["chain"] = [
            (_traceback(traceback), _crash(crash), description)
            for traceback, crash, description in longrepr.chain
        ]
    return data


def _traceback(traceback: Any) -> dict[str, Any]:
    data = {
        name: None if name == "reprentries" else _plain(getattr(traceback, name))
        for name in _names(traceback)
    }
    data["reprentries"] = [
        {"type": type(entry).__name__, "data": _fields(entry)} for entry in traceback.reprentries
    ]
    return data


def _crash(crash: Any) -> dict[str, Any] | None:
    return _fields(crash) if crash is not None else None


def _fields(value: Any) -> dict[str, Any]:
    return {name: _plain(getattr(value, name)) for name in _names(value)}


def _names(value: Any) -> tuple[str, ...]:
    known = _known.get(type(value))
    if known is None:
        known = _known[type(value)] = tuple(field.name for field in dataclasses.fields(value))
    return known


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return _fields(value)
    if type(value) in (list, tuple):
        return type(value)([_plain(each) for each in value])
    return value
