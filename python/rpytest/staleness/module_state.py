"""Whether somebody has replaced what modules consist of: a function of `socket`, a setting of an
installed package.

Who imports a package afterwards gets what it makes of the replacement; one that was imported ahead
has not seen it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rpytest import _native
from rpytest.staleness.stat_observer import plain

if TYPE_CHECKING:
    from typing import TypeGuard

#: Settings are of these types; other objects come and go as caches and counters.
_SIMPLE = (bool, int, float, str, bytes, tuple, frozenset)

#: Names of pytest's and this package's own replacements, made in every session before anything of
#: the project runs.
_OURS = frozenset({("pdb", "set_trace"), ("threading", "excepthook"), ("inspect", "unwrap")})

#: Modules that change all the time: by `warnings.catch_warnings`; by every fork of ours.
_VARYING = frozenset({"warnings", "multiprocessing.resource_tracker"})

#: Stands for the value of an attribute that is not there.
MISSING = object()


class ModuleState:
    """What a module consisted of at some time."""

    def __init__(self, name: str, module: ModuleType) -> None:
        self.name = name
        # `vars()` would load a module that is loaded lazily (`importlib.util.LazyLoader`).
        self._now: dict[str, Any] = object.__getattribute__(module, "__dict__")
        self._before = dict(self._now)
        if name == "sys":
            # Others don't count; `argv` is to be held by nobody who is not a part of the project.
            self._before = {
                attribute: value for attribute, value in self._now.items() if callable(value)
            }

    def before(self, attribute: str) -> object:
        """What an attribute was."""
        return self._before.get(attribute, MISSING)

    def first_replaced(self) -> str | None:
        """The name of something that is not there any more, or is something else; what was added
        does not count.
        """
        now, before = self._now, self._before
        # Nearly always; this is done for thousands of modules.
        if _native.begins_with(now, before):
            return None
        for attribute, old in before.items():
            new = now.get(attribute, MISSING)
            if new is not old and self._counts(attribute, old, new):
                return f"{self.name}.{attribute}"
        self._before = {
            attribute: plain(value) for attribute, value in now.items() if attribute in before
        }
        return None

    def _counts(self, attribute: str, old: object, new: object) -> bool:
        if plain(old) is plain(new):
            # Noticed for a while, which changes nothing for anybody.
            return False
        if attribute.startswith("__") and not (self.name == "builtins" and callable(old)):
            return False
        if _is_module(new) and vars(new).get("__name__") == f"{self.name}.{attribute}":
            # The import system has bound a sub-module.
            return False
        if self.name == "sys":
            # `dont_write_bytecode` and so on; the hooks are pytest's.
            return callable(old) and not attribute.endswith("hook")
        if (self.name, attribute) in _OURS:
            return False
        if callable(old) or _is_module(old):
            return True
        if attribute.startswith("_") or not issubclass(type(old), _SIMPLE):
            return False
        return type(new) is not type(old) or _differ(old, new)


def _is_module(value: object) -> TypeGuard[ModuleType]:
    """Never `isinstance`: objects that are made when they are first used say so in `__class__`."""
    return issubclass(type(value), ModuleType)


def _differ(old: object, new: object) -> bool:
    """A tuple may hold what can't be compared: arrays, or objects that are nowhere yet."""
    try:
        return bool(new != old)
    except Exception:
        return True


def module_states(modules: Mapping[str, ModuleType], names: Iterable[str]) -> list[ModuleState]:
    """The states of those of the modules that can be looked at."""
    found = ((name, modules.get(name)) for name in names if name not in _VARYING)
    return [ModuleState(name, module) for name, module in found if isinstance(module, ModuleType)]
