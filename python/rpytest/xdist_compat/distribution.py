"""What `importlib.metadata` says of pytest-xdist when it is not installed: that workers here can do
what its release can.

Plugins ask for its version to learn what they may send from a worker; pytest-rerunfailures tells of
reruns only if it is new enough. A list of all distributions doesn't contain it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, DistributionFinder, PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pluggy._manager import DistFacade  # type: ignore[attr-defined]

#: The release whose surface is ours.
VERSION = "3.8.0"


class _Xdist(Distribution):
    def read_text(self, filename: str) -> str | None:
        """The distribution's metadata, and no other file."""
        if filename == "METADATA":
            return f"Metadata-Version: 2.1\nName: pytest-xdist\nVersion: {VERSION}\n"
        return None

    def locate_file(self, path: object) -> Path:
        """No file of it exists."""
        raise FileNotFoundError(f"{path} of pytest-xdist, which is not installed")


class _Finder(DistributionFinder):
    """Comes last: an installed pytest-xdist is found before."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Find no modules: only the distribution."""

    def find_distributions(
        self,
        context: DistributionFinder.Context = DistributionFinder.Context(),  # noqa: B008
    ) -> Iterable[Distribution]:
        """The one distribution, if it is asked for by name."""
        name = (context.name or "").lower().replace("_", "-").replace(".", "-")
        return [_Xdist()] if name == "pytest-xdist" else []


def install() -> None:
    """Let this process find it."""
    sys.meta_path.append(_Finder())


#: Entry points of pytest-xdist, in the group `pytest11`.
ENTRY_POINTS = ("xdist", "xdist.looponfail")


def name_when_loaded(pluginmanager: Any, placeholder: object) -> None:
    """Let an installed pytest-xdist be named where pytest would have loaded it by its entry points:
    in the header, and for `required_plugins`.

    pytest knows installed plugins by what `PluginManager.load_setuptools_entrypoints` has noted;
    that one passes over names that are taken, as pytest-xdist's are by ``placeholder``. One that is
    not installed is named nowhere.
    """
    # Where it is defined differs between versions; there it is in all of them.
    from pluggy._manager import DistFacade  # type: ignore[attr-defined]

    from rpytest._native import Noticed

    load, import_plugin = pluginmanager.load_setuptools_entrypoints, pluginmanager.import_plugin
    known: list[tuple[object, DistFacade]] = pluginmanager._plugin_distinfo

    def note(names: Iterable[str]) -> None:
        if any(plugin is placeholder for plugin, _ in known) or all(
            map(pluginmanager.is_blocked, names)
        ):
            return
        try:
            found = distribution("pytest-xdist")
        except PackageNotFoundError:
            return
        if not isinstance(found, _Xdist):
            known.append((placeholder, DistFacade(found)))

    def load_and_note(group: str, name: str | None = None) -> Any:
        if group == "pytest11" and name is None:
            note(ENTRY_POINTS)
        return load(group, name)

    def imported(args: tuple[Any, ...], named: dict[str, Any] | None, _: object) -> None:
        modname, consider_entry_points = (*args, False)[:2]
        if (named or {}).get(
            "consider_entry_points", consider_entry_points
        ) and modname in ENTRY_POINTS:
            # `-p`, where plugins are not loaded by themselves.
            note([modname])

    pluginmanager.load_setuptools_entrypoints = load_and_note
    # Without a frame of its own: pytest's warnings about plugins name the line that calls it.
    pluginmanager.import_plugin = Noticed(import_plugin, imported)
