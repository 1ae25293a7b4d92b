"""What is alive when a process of ours is forked is out of the garbage collector's reach
(`gc.freeze`), so that forks share its pages.

The collector then does not find these objects, whoever asks for them: a library that looks who
holds one would think that nobody does, as hypothesis does of each generator of random numbers. So
questions are answered as in any process: they bring all objects back first.
"""

from __future__ import annotations

import functools
import gc
import weakref
from typing import Any, Protocol

from rpytest import stdlib
from rpytest.process import random_generators
from rpytest.stdlib import contextlib, io

__builtins__ = stdlib.BUILTINS

#: The functions as they were: without the objects that are frozen.
get_objects = gc.get_objects
get_referrers = gc.get_referrers

_FILES = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)

#: Files among what was frozen: nothing else finds them.
_files: weakref.WeakSet[Any] = weakref.WeakSet()


class FrozenObjectsListener(Protocol):
    """Somebody who has counted something among the objects that are not frozen."""

    def returned(self, back: bool) -> None:
        """Count again: right before, and right after, (``back``) what is frozen comes back."""


#: The listeners that are alive.
counting: weakref.WeakSet[FrozenObjectsListener] = weakref.WeakSet()


def freeze() -> None:
    """Move everything alive out of the collector's reach; what files have buffered is written,
    once, and not by each fork.
    """
    objects = get_objects()
    _files.update(_flush(objects))
    random_generators.find(objects)
    del objects
    gc.freeze()


def flush_files() -> None:
    """Write out what open files have buffered, those of before included: `os._exit` does not, and
    the end of an interpreter would.
    """
    _flush([*_files, *get_objects()])


def _flush(candidates: list[Any]) -> list[Any]:
    """Flush the files among these; returns those that could be."""
    flushed = []
    for candidate in candidates:
        if type(candidate) in _FILES:
            with contextlib.suppress(Exception):
                if not candidate.closed:
                    candidate.flush()
                    flushed.append(candidate)
    return flushed


def _return() -> None:
    if gc.get_freeze_count():
        for each in list(counting):
            each.returned(back=False)
        gc.unfreeze()
        for each in list(counting):
            each.returned(back=True)


def install() -> None:
    """Replace functions of `gc`, in the process that all others are forked from, before anything of
    the project runs.
    """

    @functools.wraps(get_objects)
    def objects(*args: Any, **kwargs: Any) -> list[Any]:
        _return()
        return get_objects(*args, **kwargs)

    @functools.wraps(get_referrers)
    def referrers(*objs: Any) -> list[Any]:
        _return()
        return [each for each in get_referrers(*objs) if each is not objs]

    gc.get_objects, gc.get_referrers = objects, referrers
