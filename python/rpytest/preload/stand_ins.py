"""Stand-ins for what each process of pytest has of its own in `sys`: the standard streams, which
pytest replaces for its capturing, and the command line.

A preload has none of them when it imports a package. What the package asks a stand-in
(``sys.stdout.encoding``) is answered as pytest's captured streams would answer, and noted: a
session in which the answer is another one can't use the package. Where the package keeps one
(``from sys import stdout``, ``def show(text, file=sys.stderr)``) is noted, too, and the session
puts its own there. Whatever else is done with one is refused.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from types import CellType, FunctionType
from typing import Any, NamedTuple, NoReturn, TypeAlias

#: The attributes of `sys` that have stand-ins.
_NAMES = ("argv", "stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")

#: Methods of streams that only tell something, and take nothing.
_QUESTIONS = frozenset({"isatty", "fileno", "readable", "writable", "seekable"})

#: ``("value", …)``, ``("raises", name of an exception)``, or ``("object", None)`` for what can't be
#: compared.
Answer: TypeAlias = tuple[str, object]

Refuse: TypeAlias = Callable[[str], BaseException]


def answer(stream: object, attribute: str) -> Answer:
    """What a stream says of itself."""
    try:
        value = getattr(stream, attribute)
        if attribute in _QUESTIONS:
            value = value()
    except Exception as error:
        return "raises", type(error).__name__
    if value is None or isinstance(value, (bool, int, str)):
        return "value", value
    return "object", None


class Place(NamedTuple):
    """Where a package keeps something."""

    get: Callable[[], object]
    put: Callable[[object], None]


class Use:
    """What one step has done with the stand-ins."""

    def __init__(self) -> None:
        #: What it has asked, (name in `sys`, attribute), and the answers.
        self.asked: dict[tuple[str, str], Answer] = {}
        #: Where it keeps one: its name in `sys`, and the place.
        self.kept: list[tuple[str, Place]] = []

    def first_difference(self) -> str | None:
        """The first question to which this process has another answer."""
        for (name, attribute), told in self.asked.items():
            if answer(getattr(sys, name), attribute) != told:
                return f"sys.{name}.{attribute}"
        return None

    def put(self) -> None:
        """Let the step keep this process's objects in the place of the stand-ins.

        Where there is something else by now, the project or a test has put it there.
        """
        for name, place in self.kept:
            try:
                is_stand_in = type(place.get()) is _StandIn
            except (LookupError, ValueError):
                # The place is gone.
                continue
            if is_stand_in:
                place.put(getattr(sys, name))


class StandIns:
    """The stand-ins that are in `sys` while a step is made."""

    def __init__(self, refuse: Refuse) -> None:
        """``refuse`` makes the exception for what must not be done with one."""
        # Not at the top: the daemon says by itself what is missing if pytest can't be imported.
        from _pytest.capture import DontReadFromInput, EncodedFile

        self._refuse = refuse
        # These are made as in `_pytest.capture.FDCapture`; where they lead is nobody's question.
        self._streams: dict[str, Any] = {
            name: EncodedFile(
                io.BytesIO(), encoding="utf-8", errors="replace", newline="", write_through=True
            )
            for name in ("stdout", "stderr")
        }
        self._streams["stdin"] = DontReadFromInput()
        for name in ("__stdin__", "__stdout__", "__stderr__"):
            self._streams[name] = getattr(sys, name)

    @contextlib.contextmanager
    def in_place(self, use: Use) -> Iterator[None]:
        """While the block imports a step: note its ``use`` of them."""
        before = {name: getattr(sys, name) for name in _NAMES}
        mine = {name: _StandIn(name, self._streams.get(name), use, self._refuse) for name in _NAMES}
        for name in _NAMES:
            setattr(sys, name, mine[name])
        unused = {name: sys.getrefcount(mine[name]) for name in _NAMES}
        try:
            yield
            for name in _NAMES:
                if getattr(sys, name, None) is not mine[name]:
                    raise self._refuse(f"replaces `sys.{name}`")
                if sys.getrefcount(mine[name]) == unused[name]:
                    continue
                # What waits for the garbage collector keeps nothing.
                gc.collect()
                count = sys.getrefcount(mine[name]) - unused[name]
                # Among them those of other steps that are visible here, which have been given ours
                # by `Use.put`.
                places = list(_places(mine[name], (mine, vars(sys))))
                if count != len(places):
                    raise self._refuse(f"keeps `sys.{name}`")
                use.kept += [(name, place) for place in places]
        finally:
            for name in _NAMES:
                setattr(sys, name, before[name])


class _StandIn:
    """Stands in the place of ``sys.<name>``; answers for ``stream``, if there is one."""

    #: Without a place for weak references, which are not counted.
    __slots__ = ("_ask", "_used")

    def __init__(self, name: str, stream: object, use: Use, refuse: Refuse) -> None:
        def ask(attribute: str) -> Any:
            told = answer(stream, attribute)
            if stream is None or told[0] == "object":
                raise refuse(f"uses `sys.{name}`")
            use.asked[name, attribute] = told
            return getattr(stream, attribute)

        def used() -> NoReturn:
            raise refuse(f"uses `sys.{name}`")

        object.__setattr__(self, "_ask", ask)
        object.__setattr__(self, "_used", used)

    def __getattribute__(self, attribute: str) -> Any:
        return object.__getattribute__(self, "_ask")(attribute)

    def _refuse(self, *_: object) -> Any:
        object.__getattribute__(self, "_used")()

    # Python looks for these in the class, and not by `__getattribute__`
    # (https://docs.python.org/3/reference/datamodel.html#special-method-lookup).
    __setattr__ = __delattr__ = __contains__ = __getitem__ = __setitem__ = __delitem__ = _refuse
    __iter__ = __next__ = __len__ = __eq__ = __hash__ = __str__ = __repr__ = _refuse
    __enter__ = __exit__ = __add__ = __iadd__ = __mul__ = __lt__ = __gt__ = __format__ = _refuse


def _places(kept: object, ours: Sequence[dict[str, Any]]) -> Iterator[Place]:
    """Each place where an object is kept. Places of other kinds than these are not found."""
    for holder in gc.get_referrers(kept):
        if any(holder is one for one in ours):
            continue
        if isinstance(holder, dict):
            classes = [owner for owner in gc.get_referrers(holder) if isinstance(owner, type)]
            for key in _keys(holder, kept):
                place = _item(holder, key)
                if classes:
                    # Not into its dictionary, for the sake of Python's cache of attributes.
                    place = place._replace(put=functools.partial(type.__setattr__, classes[0], key))
                yield place
        elif isinstance(holder, list):
            for index, value in enumerate(holder):
                if value is kept:
                    yield _item(holder, index)
        elif isinstance(holder, tuple):
            for owner in gc.get_referrers(holder):
                if isinstance(owner, FunctionType) and owner.__defaults__ is holder:
                    for index, value in enumerate(holder):
                        if value is kept:
                            yield Place(
                                functools.partial(_default, owner, index),
                                functools.partial(_set_default, owner, index),
                            )
        elif isinstance(holder, CellType):
            yield Place(
                functools.partial(getattr, holder, "cell_contents"),
                functools.partial(setattr, holder, "cell_contents"),
            )
        elif type(holder).__dictoffset__:
            # Python 3.11 and later keep attributes in the object itself.
            attributes = object.__getattribute__(holder, "__dict__")
            for key in _keys(attributes, kept):
                yield _item(attributes, key)


def _item(holder: Any, key: Any) -> Place:
    return Place(
        functools.partial(holder.__getitem__, key), functools.partial(holder.__setitem__, key)
    )


def _keys(holder: dict[Any, Any], kept: object) -> list[Any]:
    return [key for key, value in holder.items() if value is kept]


def _default(function: FunctionType, index: int) -> object:
    return (function.__defaults__ or ())[index]


def _set_default(function: FunctionType, index: int, value: object) -> None:
    defaults = list(function.__defaults__ or ())
    defaults[index] = value
    function.__defaults__ = tuple(defaults)
