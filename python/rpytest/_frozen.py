"""What is alive when a process of ours is forked is out of the garbage collector's reach (`gc.freeze`), so that forks share its pages.

The collector then does not find these objects, whoever asks for them: a library that looks who holds one would think that nobody does, as hypothesis
does of each generator of random numbers. So questions are answered as in any process: they bring all objects back first.
"""

from __future__ import annotations

import functools
import gc
from typing import Any

#: The function as it was: without the objects that are frozen.
get_objects = gc.get_objects


def install() -> None:
    """In the process that all others are forked from, before anything of the project runs."""
    get_referrers = gc.get_referrers

    @functools.wraps(get_objects)
    def objects(*args: Any, **kwargs: Any) -> list[Any]:
        gc.unfreeze()
        return get_objects(*args, **kwargs)

    @functools.wraps(get_referrers)
    def referrers(*objs: Any) -> list[Any]:
        gc.unfreeze()
        return [each for each in get_referrers(*objs) if each is not objs]

    gc.get_objects, gc.get_referrers = objects, referrers
