"""After an edit of test modules: may these alone be imported and collected anew, in a process that
has imported what they were before?

They may if nobody can tell. The old versions have left nothing behind, as their statements are of a
kind that leaves nothing (``import_effects/analysis.py``), and no other module knows of them.
Otherwise everything is collected afresh. See ``docs/design/edits.md``.
"""

from __future__ import annotations

import importlib
import linecache
import sys
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NoReturn

import pytest

from rpytest.import_effects.import_history import ImportRecord, effects_of
from rpytest.import_effects.symbolic_values import ImportEffects

#: Names by which a module may have something of modules that only running it can tell.
_ANY_MODULE = frozenset(
    {
        "__import__",
        "eval",
        "exec",
        "exec_module",
        "import_module",
        "iter_modules",
        "run_module",
        "run_path",
        "walk_packages",
    }
)

#: Stands among the names that are mentioned for any other.
ANY = "*"


def mentioned(code: CodeType, names: Container[str]) -> Iterator[str]:
    """Which of these modules, by the last parts of their names, the code may refer to; :data:`ANY`:
    nobody knows.
    """
    if _looks_for_classes(code):
        yield ANY
    for each in (code, *_nested(code)):
        if not _ANY_MODULE.isdisjoint(each.co_names) or (
            "sys" in each.co_names and "modules" in each.co_names
        ):
            yield ANY
        for word in (*each.co_names, *_texts(each.co_consts)):
            last = word.rpartition(".")[2]
            if last in names:
                yield last


def _looks_for_classes(code: CodeType) -> bool:
    """Whether it may find all sub-classes of a class, even those that are no more."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return "__subclasses__" in code.co_names or any(map(_looks_for_classes, inner))


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        # A test finds what is there when it is run.
        if isinstance(constant, CodeType) and not constant.co_name.startswith("test"):
            yield constant
            yield from _nested(constant)


def _texts(constants: Iterable[object]) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, (tuple, frozenset)):
            yield from _texts(constant)


class EditedModules:
    """The test modules that a run has found edited."""

    def __init__(
        self,
        session: pytest.Session,
        files: Collection[str],
        texts: Mapping[str, bytes],
        mentions: Mapping[str, Collection[str]],
        record: ImportRecord,
        decline: Callable[[str], NoReturn],
    ) -> None:
        """``texts``: what the files were; ``mentions``: files that may refer to a module, by the
        last part of its name.

        ``record``: what was executed while they were collected. ``decline`` ends this process:
        everything is to be collected afresh.
        """
        self.files = frozenset(map(Path, files))
        self._session = session
        self._texts = texts
        self._mentions = mentions
        self._record = record
        self._decline = decline
        #: What they are now.
        self._new: dict[Path, bytes] = {}
        self.effects: dict[Path, ImportEffects] = {}
        #: All modules, these among them.
        self._before: set[str] = set()

    def remove_old(self, collectors: Collection[pytest.Module], nodes: Container[Any]) -> None:
        """Make the old versions as if they had never been there; ``nodes`` are theirs: the
        collectors, and all that is in them.
        """
        self._before = set(sys.modules)
        for collector in collectors:
            self._judge(collector)
        for collector in collectors:
            self._remove(collector)
        _forget_fixtures(
            self._session, nodes, [collector.nodeid for collector in collectors], self._decline
        )
        importlib.invalidate_caches()

    def _judge(self, collector: pytest.Module) -> None:
        """Decline unless neither version does anything to others while it is imported."""
        file = str(collector.path)
        module = _module_of(collector)
        text = self._texts.get(file)
        if module is None or text is None:
            self._decline(f"nobody knows what {collector.nodeid} was")
        if sys.modules.get(module.__name__) != module:
            self._decline(f"{collector.nodeid} has been taken out of `sys.modules`")
        if self._session.config.pluginmanager.is_registered(module):
            self._decline(f"{collector.nodeid} is a plugin, too")
        others = {
            *self._mentions.get(module.__name__.rpartition(".")[2], ()),
            *self._mentions.get(ANY, ()),
        } - {file}
        if others:
            self._decline(f"{min(others)} may have something of {collector.nodeid}")
        try:
            self._new[collector.path] = collector.path.read_bytes()
        except OSError as error:
            self._decline(f"{collector.nodeid} can't be read: {error}")
        old = self._record.effects(collector.path) or effects_of(
            text, module, module.__name__, collector
        )
        new = effects_of(self._new[collector.path], module, module.__name__, collector)
        for effects in (old, new):
            if isinstance(effects, str):
                self._decline(f"{collector.nodeid} {effects}")
        assert isinstance(old, ImportEffects) and isinstance(new, ImportEffects)
        self.effects[collector.path] = new
        before, after = self._others(old), self._others(new)
        if before != after:
            name = min({*before} ^ {*after}, default=next(iter(after), ""))
            self._decline(f"{collector.nodeid} has another import, of `{name}`")
        if not self._record.is_quiet_after(collector.path):
            # The new version comes after what it did not see in its own place.
            changed = new.reads or self._replaced(module, old, new)
            if changed is not None:
                self._decline(
                    f"{collector.nodeid} looks at {changed}, and comes after modules that "
                    "may leave traces"
                )

    def _others(self, effects: ImportEffects) -> list[str]:
        """Modules that a version imports, in their order, without those that were there before."""
        return [name for name in effects.imports if name not in self._record.given]

    @staticmethod
    def _replaced(module: ModuleType, old: ImportEffects, new: ImportEffects) -> str | None:
        """What the new version takes from other modules that may be another thing by now."""
        for each in new.taken:
            place, attribute, own = each
            found = vars(sys.modules.get(place, module)).get(attribute)
            if each not in old.taken or found is not vars(module).get(own):
                return f"`{place}.{attribute}`"
        return None

    def _remove(self, collector: pytest.Module) -> None:
        module = _module_of(collector)
        assert module is not None
        del sys.modules[module.__name__]
        package, _, name = module.__name__.rpartition(".")
        holder = sys.modules.get(package)
        if holder is not None and vars(holder).get(name) is module:
            delattr(holder, name)
        linecache.cache.pop(str(collector.path), None)
        seen = getattr(self._session._fixturemanager, "_holderobjseen", None)
        if seen is not None:
            seen.discard(module)

    def made(self, collector: pytest.Module) -> None:
        """The new version of a module was collected."""
        more = sys.modules.keys() - self._before
        if more:
            self._decline(f"{collector.nodeid} has brought `{min(more)}`")
        try:
            is_same = collector.path.read_bytes() == self._new[collector.path]
        except OSError:
            is_same = False
        if not is_same:
            self._decline(f"{collector.nodeid} was edited again")


def _module_of(collector: pytest.Module) -> ModuleType | None:
    """`None`: there is none that can be taken back."""
    found = vars(collector).get("_obj")
    return found if type(found) is ModuleType else None


def _forget_fixtures(
    session: pytest.Session,
    nodes: Container[Any],
    ids: Collection[str],
    decline: Callable[[str], NoReturn],
) -> None:
    """Take the fixtures of these nodes out of pytest's lists."""
    manager: Any = session._fixturemanager
    begins = tuple(f"{each}::" for each in ids)

    def is_gone(node: Any) -> bool:
        return node in nodes

    def has_gone_id(nodeid: str) -> bool:
        return nodeid in ids or nodeid.startswith(begins)

    if hasattr(manager, "_arg2fixturedefs"):
        # pytest 8: visible where the node id begins so.
        definitions = manager._arg2fixturedefs
        for name, found in list(definitions.items()):
            found[:] = [each for each in found if not has_gone_id(each.baseid)]
            if not found:
                del definitions[name]
    elif hasattr(manager, "_arg2node2fixturedefs"):
        for by_name, is_its in (
            (manager._arg2node2fixturedefs, is_gone),
            (manager._arg2nodeid2fixturedefs, has_gone_id),
        ):
            for name, by_place in list(by_name.items()):
                for place in [place for place in by_place if is_its(place)]:
                    del by_place[place]
                if not by_place:
                    del by_name[name]
        for node in [node for node in manager._node_autousenames if is_gone(node)]:
            del manager._node_autousenames[node]
    else:
        decline("nobody knows where this pytest keeps its fixtures")
    for nodeid in [nodeid for nodeid in manager._nodeid_autousenames if has_gone_id(nodeid)]:
        del manager._nodeid_autousenames[nodeid]
