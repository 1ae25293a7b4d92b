"""Cached byte code as something that a session depends on.

Python runs the cached byte code of a module whose source has the modification second and size that
the cache names, whatever its text is by now. So a source that looks touched may be about to be
compiled for the first time, and another cache beside the same source is other code.
"""

from __future__ import annotations

import importlib.util
import os
import struct
import sys
from collections.abc import Container, Iterable

from rpytest.project.file_states import FileState, state

#: Flags of a cache that names its source's hash, which is compared each time (PEP 552); pytest's
#: own from version 9.2 on.
_CHECKED_HASH = 3

#: Magic number, flags (0: the next two count), the source's modification time in seconds, its size.
_HEAD = struct.Struct("<4sIII")


def is_cached(name: str) -> bool:
    """Whether it is a file that Python or pytest keeps byte code in, for a source elsewhere."""
    if not name.endswith((".pyc", ".pyo")):
        return False
    return (
        os.path.basename(os.path.dirname(name)) == "__pycache__" or _under_prefix(name) is not None
    )


def source_of(name: str) -> str:
    """The source file that cached byte code (Python's or pytest's) was made from; other names as
    they are.
    """
    if not is_cached(name):
        return name
    folder, base = os.path.split(_under_prefix(name) or name)
    # The tag is followed by the level of optimisation or pytest's version; what stands before it
    # may have dots, too.
    stem, tag, _ = base.rpartition(f".{sys.implementation.cache_tag}")
    folder = folder if _under_prefix(name) is not None else os.path.dirname(folder)
    return os.path.join(folder, (stem if tag else base.partition(".")[0]) + ".py")


def _under_prefix(name: str) -> str | None:
    """The name without `sys.pycache_prefix` (``PYTHONPYCACHEPREFIX``), below which folders are
    called as those of the sources are; `None`: it does not lie there.
    """
    if not sys.pycache_prefix:
        return None
    prefix = os.path.abspath(sys.pycache_prefix).rstrip(os.sep)
    return name.removeprefix(prefix) if name.startswith(prefix + os.sep) else None


class ByteCode:
    """The caches that were looked for while modules were imported."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._states: dict[str, FileState | None] = {}
        #: Caches whose modules may be other code than their sources are: these were changed after
        #: they had been compiled.
        self._doubtful: set[str] = set()
        #: What was seen since the last look.
        self._fresh: set[str] = set()
        #: What a process that is forked from this one needs of all that was seen.
        self._left: Iterable[str] = ()

    def opened(self, name: str) -> None:
        """A file of byte code is about to be opened, if it is there."""
        if name not in self._seen:
            self._seen.add(name)
            self._fresh.add(name)

    def for_children(self, foreign: tuple[str, ...]) -> None:
        """Before processes are forked: to them, sources below `foreign` folders don't matter."""
        self._left = [name for name in self._seen if not name.startswith(foreign)]

    def inherit(self, other: ByteCode) -> None:
        """Take over what the process has seen that this one was forked from."""
        for name in other._left:
            self.opened(name)

    def snapshot(self, foreign: tuple[str, ...]) -> None:
        """Take the state of all that have none yet, except for those below `foreign` folders."""
        fresh, self._fresh = self._fresh, set()
        for name in fresh:
            if name.startswith(foreign):
                continue
            found, text = state(name), state(source_of(name))
            self._states[name] = found
            if found is not None and text is not None and found[3] <= text[4]:
                self._doubtful.add(name)

    def doubtful_sources(self) -> set[str]:
        """Sources that say nothing about what was imported."""
        return {source_of(name) for name in self._doubtful}

    def changed(self, but: Container[str] = ()) -> str | None:
        """Why modules would be other code now although their sources are the same, or `None`;
        sources in ``but`` are not the same.
        """
        for name, before in self._states.items():
            now = state(name)
            if now == before or source_of(name) in but:
                continue
            if name in self._doubtful or not _is_harmless(name, now):
                return f"the byte code of {source_of(name)} changed"
            self._states[name] = now
        return None


def _is_harmless(name: str, found: FileState | None) -> bool:
    """Whether what is imported with this cache is what its source says."""
    if found is None:
        return True
    try:
        source = os.stat(source_of(name))
        with open(name, "rb") as file:
            head = file.read(_HEAD.size)
        _, flags, seconds, size = _HEAD.unpack(head)
        mask = 0xFFFFFFFF
        if flags == _CHECKED_HASH:
            with open(source_of(name), "rb") as file:
                is_used = importlib.util.source_hash(file.read()) == head[8:]
        else:
            is_used = flags != 0 or (
                seconds == int(source.st_mtime) & mask and size == source.st_size & mask
            )
    except (OSError, struct.error):
        return False
    return not is_used or found[3] > source.st_ctime_ns
