"""Warnings on their way from a worker to pytest's summary: the arguments of
`pytest_warning_recorded`.
"""

from __future__ import annotations

import warnings
from typing import Any

from rpytest import stdlib
from rpytest.ipc import ring_records

__builtins__ = stdlib.BUILTINS


def encode_warning(
    message: warnings.WarningMessage, when: str, nodeid: str, location: tuple[str, int, str] | None
) -> bytes:
    """Encode the arguments of `pytest_warning_recorded`."""
    warning: Any = message.message
    is_warning = isinstance(warning, Warning)
    return ring_records.dump(
        {
            "text": str(warning),
            "args": ring_records.plain_values(warning.args) if is_warning else None,
            "class": (type(warning).__module__, type(warning).__qualname__) if is_warning else None,
            "category": (message.category.__module__, message.category.__qualname__),
            "filename": message.filename,
            "lineno": message.lineno,
            "line": message.line,
            "when": when,
            "nodeid": nodeid,
            "location": location,
            "source": None,
        }
    )


def decode_warning(
    blob: bytes,
) -> tuple[warnings.WarningMessage, str, str, tuple[str, int, str] | None]:
    """Rebuild the arguments of `pytest_warning_recorded`."""
    data = ring_records.load(blob)
    category = _warning_class(*data["category"])
    kind = _warning_class(*data["class"]) if data["class"] else category
    try:
        message = kind(*data["args"])
        if str(message) != data["text"]:
            raise ValueError("the arguments don't make the same text")
    except Exception:
        # A class whose constructor wants something else: same name, same text.
        message = type(
            kind.__name__,
            (Warning,),
            {"__str__": lambda self: str(self.args[0]), "__module__": kind.__module__},
        )(data["text"])
    record = warnings.WarningMessage(
        message, category, data["filename"], data["lineno"], line=data["line"]
    )
    return record, data["when"], data["nodeid"], data["location"]


def _warning_class(module: str, name: str) -> type[Warning]:
    import importlib

    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        if isinstance(found, type) and issubclass(found, Warning):
            return found
    except Exception:
        pass
    return type(name.rpartition(".")[2], (Warning,), {"__module__": module})
