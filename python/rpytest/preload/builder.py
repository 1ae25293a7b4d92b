"""The preload: a process in which the project's installed packages are imported, and nothing of the
project is.

The daemon forks it, with the environment and directory of a run, when a session has shown which
packages the project imports. Sessions are then forked from it. It never keeps an import that does
more than define things: such an import is refused before it does so, by an audit hook that raises
(``preload/import_guard.py``). See ``docs/design/preload.md``.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rpytest.preload import import_steps
from rpytest.preload.import_guard import ImportGuard, NotPreloadable
from rpytest.preload.import_steps import Binding, ImportStep, PreloadedSpec
from rpytest.preload.stand_ins import StandIns
from rpytest.process import lifecycle
from rpytest.project import locations
from rpytest.project.locations import top_level
from rpytest.staleness import module_state
from rpytest.staleness.dependencies import Dependencies

if TYPE_CHECKING:
    from rpytest.ipc.process_messages import Learned

_ALWAYS = ("always", None, Warning, None, 0)


class PreloadBuilder:
    """Makes the steps, and holds them."""

    def __init__(self, learned: Learned, failed: Mapping[str, str], roots: list[str]) -> None:
        """``learned``: installed ``modules`` and their files, in the order of their imports, and
        those that were ``tried`` in vain.

        ``failed``: those that could not be preloaded before, and why. ``roots``: folders of the
        project.
        """
        self.wanted = learned.modules
        self.tried = frozenset(learned.tried)
        self.owner: dict[str, ImportStep] = {}
        self.failed = dict(failed)
        #: Something was executed that is not kept: this process is of no use.
        self.is_dirty = False
        self.environment = dict(os.environ)
        self.inside = locations.installed_folders()
        self.dependencies = Dependencies()
        self._guard = ImportGuard(
            self.dependencies, tuple(os.path.join(root, "") for root in roots), self.inside
        )
        self._stand_ins = StandIns(self._guard.spoiled)
        self._base = set(sys.modules)
        self._finders = [self, *sys.meta_path]
        self._filters = list(warnings.filters)
        self._stack: list[ImportStep] = []
        self._visible: list[ImportStep] = []
        self._entering: str | None = None
        self._executed: list[str] = []
        #: The innermost step that failed.
        self._culprit: str | None = None
        #: What the modules that every session here has from the daemon consist of, without pytest's
        #: own.
        self.states: list[module_state.ModuleState] = []
        #: Environment variables that were looked at.
        self.reads: frozenset[str] = frozenset()

    def make(self) -> None:
        """Import everything that is wanted, as far as it can be."""
        environment: Any = os.environ
        environment._data = import_steps.ObservedEnvironment(environment._data, self._stack)
        os.environb._data = environment._data  # type: ignore[attr-defined]
        self.dependencies.observer.start()
        self._guard.begin()
        sys.dont_write_bytecode, writes = True, sys.dont_write_bytecode
        self._guard.is_on = True
        try:
            for wanted in self.wanted:
                # A package first, and not as a part of its sub-module.
                for name in locations.with_parents(wanted):
                    if (
                        name not in self.owner
                        and name not in self._base
                        and name not in self.failed
                    ):
                        self._make_one(name)
        finally:
            self._guard.is_on = False
            sys.dont_write_bytecode = writes
            self.dependencies.observer.stop()
            self._guard.end()
            sys.meta_path[:] = self._finders[1:]
            warnings.filters[:] = self._filters  # type: ignore[index]
            import_steps.filters_changed()
        self._mark()

    def _mark(self) -> None:
        """Remember what all modules consist of at this moment."""
        names = [
            name
            for name in self._base
            if top_level(name) not in locations.OWN and top_level(name) != "encodings"
        ]
        self.states = module_state.module_states(sys.modules, names)
        steps = set(self.owner.values())
        for step in steps:
            step.states = module_state.module_states(step.modules, step.modules)
        self.reads = frozenset().union(*(step.reads for step in steps))

    def modules(self) -> dict[str, ModuleType]:
        """The modules that steps hold, and those that are there from the beginning."""
        found = dict(sys.modules)
        for step in set(self.owner.values()):
            found |= step.modules
        return found

    def _make_one(self, name: str) -> None:
        before = import_steps.surroundings()
        threads, written = import_steps.native_threads(), _written()
        self._executed.clear()
        self._guard.objection = self._culprit = None
        try:
            step = self._run(name)
            if self._guard.objection is not None:
                raise NotPreloadable(self._guard.objection)
            after = import_steps.surroundings()
            for what, value in after.items():
                # A module that knows of some state may have come with it.
                if value != before[what] and before[what] is not None:
                    raise NotPreloadable(f"changes {what}")
            if _written() != written:
                raise NotPreloadable("prints")
            own_threads = {
                top_level(each.name) for each in step.closure
            } & import_steps.RESTARTS_ITS_THREADS
            if import_steps.native_threads() > threads and not own_threads:
                raise NotPreloadable("starts a thread")
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)) and not self._executed:
                raise
            if not self._executed and isinstance(error, ModuleNotFoundError) and error.name == name:
                # There is no such module to be found: another one has put it in place.
                self.failed.pop(name, None)
                return
            self.is_dirty = self.is_dirty or bool(self._executed)
            self._fail(name, error)
            self.owner = {key: owner for key, owner in self.owner.items() if owner.name != name}

    def _fail(self, name: str, error: BaseException) -> None:
        if self._culprit not in (None, name):
            reason = f"imports `{self._culprit}`, {import_steps.LEFT_OUT}"
        else:
            self._culprit = name
            reason = (
                str(error)
                if isinstance(error, NotPreloadable)
                else f"raises {type(error).__name__}: {error}"
            )
        self.failed.setdefault(name, reason)

    def _run(self, name: str) -> ImportStep:
        """Import ``name`` as a step of its own."""
        step = ImportStep(name)
        for each in self._visible:
            each.unbind()
        hidden = {key: module for key, module in sys.modules.items() if key not in self._base}
        outer = self._visible, self._entering, list(sys.meta_path), list(warnings.filters)
        self._visible, self._entering = [], name
        self._uncover()
        self._stack.append(step)
        try:
            with self._stand_ins.in_place(step.use):
                importlib.import_module(name)
            self._complete(step)
        except BaseException as error:
            self._fail(name, error)
            raise
        finally:
            self._stack.pop()
            for each in [*self._visible, step]:
                each.unbind()
            self._visible, self._entering, sys.meta_path[:], filters = outer
            warnings.filters[:] = filters  # type: ignore[index]
            import_steps.filters_changed()
            for key in [key for key in sys.modules if key not in self._base]:
                del sys.modules[key]
            sys.modules.update(hidden)
            for each in self._visible:
                each.bind()
        return step

    def _uncover(self) -> None:
        for key in [key for key in sys.modules if key not in self._base]:
            del sys.modules[key]
        sys.meta_path[:] = self._finders
        warnings.filters[:] = [_ALWAYS, *self._filters]  # type: ignore[index]
        import_steps.filters_changed()

    def _complete(self, step: ImportStep) -> None:
        for name, module in sys.modules.items():
            if name not in self._base and name not in self.owner:
                step.modules[name] = module
        for name, module in step.modules.items():
            if name in step.found and (
                not isinstance(module, ModuleType) or module.__spec__ is None
            ):
                raise self._guard.spoiled(f"puts something else in the place of `{name}`")
            step.native |= isinstance(
                getattr(getattr(module, "__spec__", None), "loader", None),
                importlib.machinery.ExtensionFileLoader,
            )
            package_name, _, attribute = name.rpartition(".")
            package = sys.modules.get(package_name)
            if (
                package is not None
                and package_name not in step.modules
                and vars(package).get(attribute) is module
            ):
                of = self.owner.get(package_name)
                before = (
                    [state.before(attribute) for state in of.states if state.name == package_name]
                    if of
                    else []
                )
                step.bindings.append(
                    Binding(
                        package, attribute, module, before[0] if before else module_state.MISSING
                    )
                )
        known = [entry for each in self._visible for entry in each.filters]
        known += [_ALWAYS, *self._filters]
        step.filters = [entry for entry in warnings.filters if entry not in known]
        mine = [finder for each in self._visible for finder, _ in each.finders] + self._finders
        at = sys.meta_path.index(self._finders[-1])
        step.finders = [
            (finder, index < at)
            for index, finder in enumerate(sys.meta_path)
            if not any(finder is one for one in mine)
        ]
        step.closure = [*self._visible, step]
        step.states = module_state.module_states(step.modules, step.modules)
        self.owner.update(dict.fromkeys(step.modules, step))

    # The import system, as long as steps are made

    def find_spec(
        self,
        name: str,
        path: Any = None,
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        """What the step that is being made asks for."""
        if not self._guard.is_on or not self._stack:
            return None
        current = self._stack[-1]
        step = self.owner.get(name)
        if step is not None:
            return self._shown(step, name)
        if name in self.failed:
            raise self._guard.spoiled(f"imports `{name}`, {import_steps.LEFT_OUT}")
        spec = import_steps.resolve(name, path, self)
        if spec is None:
            if "." not in name:
                current.missing.add(name)
            return None
        if spec.origin in ("built-in", "frozen"):
            return spec
        wanted = self.wanted.get(name)
        has_failed = name in self.tried and (spec.origin or "").startswith(self.inside)
        if wanted == (spec.origin or ""):
            pass
        elif not has_failed and import_steps.resolve(name, path, self, self._finders) is not None:
            # A finder that was there before finds it, and not only one of a package, as of
            # `six.moves`.
            raise self._guard.spoiled(f"imports `{name}`, which no session has imported")
        # Python's own `_x` are parts of its `x`, and may import it.
        is_part = has_failed or (name.startswith("_") and name in sys.stdlib_module_names)
        if name != self._entering and top_level(name) != top_level(current.name) and not is_part:
            if any(top_level(each.name) == top_level(name) for each in self._stack):
                raise self._guard.spoiled(f"imports `{name}`, which imports it")
            return self._shown(self._run(name), name)
        if name == self._entering:
            self._entering = None
        self._executed.append(name)
        current.found.add(name)
        return spec

    def _shown(self, step: ImportStep, name: str) -> PreloadedSpec:
        for each in step.closure:
            if each not in self._visible:
                each.show(name)
                self._visible.append(each)
        return PreloadedSpec(name, step.modules[name])


def _written() -> int:
    lifecycle.flush_streams()
    return sum(os.lseek(fd, 0, os.SEEK_END) for fd in (1, 2))
