"""Objects of well-known libraries that remember their process and refuse to work in a fork of
it.
"""

from __future__ import annotations

import sys

from rpytest.process import heap


def process_bound_object() -> str | None:
    """Name one such object that is alive here, if there is one.

    filelock 4: a lock that was made before the fork, as in a module, raises when a worker acquires
    it.
    """
    filelock = sys.modules.get("filelock")
    base = getattr(filelock, "BaseFileLock", None)
    if base is None:
        return None
    for value in heap.get_objects():
        if issubclass(type(value), base) and hasattr(value, "_creator_pid"):
            return f"a `filelock.{type(value).__name__}`"
    return None
