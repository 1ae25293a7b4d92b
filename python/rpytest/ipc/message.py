"""What a message of the control channel is: typed fields, and a name on the wire.

On the wire a message is a JSON object: its fields by name, and under ``ev`` or ``op`` the name of
its kind. Whoever receives one names the family that it expects (`channel.receive`), and gets an
object whose fields are there and have the types that are declared; what differs is a `ValueError`,
at the door. The messages themselves are in ``run_messages.py`` and ``process_messages.py``.
"""

from __future__ import annotations

import sys
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Union, get_args, get_origin

from rpytest import stdlib

if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_: object) -> Any:
        """Stands for the decorator of PEP 681, which only type checkers need."""
        return lambda cls: cls


__builtins__ = stdlib.BUILTINS

#: A JSON object that nobody has looked at yet.
Raw = dict[str, Any]

#: The types of fields by module and annotation: few of these differ.
_KNOWN_TYPES: dict[tuple[str, str], tuple[Any, ...]] = {}


@dataclass_transform(kw_only_default=True)
class Message:
    """A message, or an object within one. Subclasses declare fields; a class without ``ev`` and
    ``op`` is a family, or has no name.

    Fields are given by name. One that is `None` by default is left out on the wire as long as it is
    `None`.
    """

    #: What it is called on the wire: ``{"ev": "born"}``; empty: nothing tells it from others that
    #: may come at its place.
    tag: ClassVar[dict[str, str]] = {}
    #: The kinds of a family, by `tag`.
    kinds: ClassVar[dict[tuple[str, str], type[Any]]] = {}
    _defaults: ClassVar[dict[str, Any]] = {}
    #: The fields, and what their values may be.
    _types: ClassVar[dict[str, tuple[Any, ...]]] = {}

    def __init_subclass__(cls, ev: str = "", op: str = "") -> None:
        types: dict[str, tuple[Any, ...]] = {}
        defaults: dict[str, Any] = {}
        for base in reversed(cls.__bases__):
            if issubclass(base, Message):
                types |= base._types
                defaults |= base._defaults
        for name, annotation in vars(cls).get("__annotations__", {}).items():
            types[name] = _types_of(cls.__module__, annotation)
            if name in vars(cls):
                defaults[name] = vars(cls)[name]
        cls._defaults, cls._types = defaults, types
        cls.tag = {"ev": ev} if ev else {"op": op} if op else {}
        cls.kinds = {}
        for key in cls.tag.items():
            for base in cls.__mro__[1:]:
                if issubclass(base, Message) and not base.tag and base is not Message:
                    base.kinds[key] = cls

    def __init__(self, **fields: Any) -> None:
        for name, default in self._defaults.items():
            if name not in fields:
                # A list or a dictionary is each message's own.
                fields[name] = default.copy() if isinstance(default, (list, dict)) else default
        if fields.keys() != self._types.keys():
            wrong = sorted(fields.keys() ^ self._types.keys())
            raise TypeError(f"{type(self).__name__}: {', '.join(wrong)} missing or unknown")
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def replace(self, **changes: Any) -> Self:
        """The same with some fields changed."""
        return type(self)(**{**vars(self), **changes})

    def wire(self) -> Raw:
        """The message as a JSON object."""
        found: Raw = dict(self.tag)
        for name, value in vars(self).items():
            if value is not None or self._defaults.get(name, self) is not None:
                found[name] = _wired(value)
        return found

    @classmethod
    def parse(cls, raw: object) -> Self:
        """The message of this family, or of this kind, that a JSON object is; raises `ValueError`.

        Fields that the kind does not have are left out: another version may say more.
        """
        if not isinstance(raw, dict):
            raise ValueError(f"a {cls.__name__} is a JSON object, not {raw!r}")
        kind: type[Any] = cls
        if cls.kinds:
            names = (("op", raw.get("op")), ("ev", raw.get("ev")))
            # What a test has written to a worker's socket may have anything for a name.
            known = [
                cls.kinds[name] for name in names if isinstance(name[1], str) and name in cls.kinds
            ]
            if not known:
                raise ValueError(f"no {cls.__name__}: {raw.get('op') or raw.get('ev')!r}")
            kind = known[0]
        elif not cls.tag.items() <= raw.items():
            raise ValueError(f"no {cls.__name__}: {raw!r}")
        found = {}
        for name, types in kind._types.items():
            if name not in raw:
                if name not in kind._defaults:
                    raise ValueError(f"a {kind.__name__} has no `{name}`")
            elif raw[name] is not None or NoneType in types or name not in kind._defaults:
                found[name] = _parsed(raw[name], types, kind, name)
        message: Self = kind(**found)
        return message


def _wired(value: Any) -> Any:
    if isinstance(value, Message):
        return value.wire()
    return [_wired(each) for each in value] if isinstance(value, list) else value


def _types_of(module: str, annotation: str) -> tuple[Any, ...]:
    """The classes that an annotation allows; what is in lists and dictionaries is not looked at.

    They are found when a message's class is made, which is in the daemon: in a worker, tests may
    have replaced `eval`.
    """
    if (module, annotation) not in _KNOWN_TYPES:
        found = eval(annotation, vars(sys.modules[module]))
        options = get_args(found) if get_origin(found) in (Union, UnionType) else (found,)
        _KNOWN_TYPES[module, annotation] = tuple(get_origin(each) or each for each in options)
    return _KNOWN_TYPES[module, annotation]


def _parsed(value: Any, types: tuple[Any, ...], kind: type[Message], name: str) -> Any:
    """``value`` if it has the type of the field; raises `ValueError`."""
    for plain in types:
        if plain is Any or (plain is float and type(value) is int):
            return value
        if issubclass(plain, Message):
            if isinstance(value, dict):
                return plain.parse(value)
        # `True` is no number.
        elif isinstance(value, plain) and (type(value) is not bool or plain is bool):
            return value
    raise ValueError(f"`{name}` of a {kind.__name__} is {value!r}")


class Empty(Message):
    """An answer that says no more than that there is one."""
