"""What `importlib.metadata` says of pytest-xdist when it is not installed: that workers here can do what its release can.

Plugins ask for its version to learn what they may send from a worker; pytest-rerunfailures tells of reruns only if it is new enough. A list of all
distributions doesn't contain it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path

#: The release whose surface is ours.
VERSION = "3.8.0"


class _Xdist(Distribution):
    def read_text(self, filename: str) -> str | None:
        """Its metadata, and no other file."""
        if filename == "METADATA":
            return f"Metadata-Version: 2.1\nName: pytest-xdist\nVersion: {VERSION}\n"
        return None

    def locate_file(self, path: object) -> Path:
        """No file of it exists."""
        raise FileNotFoundError(f"{path} of pytest-xdist, which is not installed")


class _Finder(DistributionFinder):
    """Comes last: an installed pytest-xdist is found before."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """It finds no modules."""

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
