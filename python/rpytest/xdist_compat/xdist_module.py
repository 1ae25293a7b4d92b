"""pytest-xdist's importable interface, for plugins and conftests that import it where it is not
installed.

An installed pytest-xdist is found first; its functions look at ``config.workerinput``, which is
there.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from rpytest.xdist_compat import hookspecs, xdist_fixtures

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The version of pytest-xdist whose interface this is.
API_VERSION = "3.8.0"


def is_xdist_worker(request_or_session: pytest.FixtureRequest | pytest.Session) -> bool:
    """Whether this process runs tests for a controller."""
    return hasattr(request_or_session.config, "workerinput")


def is_xdist_controller(request_or_session: pytest.FixtureRequest | pytest.Session) -> bool:
    """Whether this process is the controller of workers; `False` when tests are not distributed."""
    return not is_xdist_worker(request_or_session) and request_or_session.config.option.dist != "no"


def get_xdist_worker_id(request_or_session: pytest.FixtureRequest | pytest.Session) -> str:
    """The worker's name (``gw0``…), or ``master`` in the controller or when tests are not
    distributed.
    """
    workerinput = getattr(request_or_session.config, "workerinput", None)
    return "master" if workerinput is None else str(workerinput["workerid"])


_API = {
    "is_xdist_worker": is_xdist_worker,
    "is_xdist_controller": is_xdist_controller,
    "is_xdist_master": is_xdist_controller,
    "get_xdist_worker_id": get_xdist_worker_id,
}


class XdistModuleFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``xdist``, ``xdist.plugin`` and ``xdist.newhooks`` when nothing else does."""

    NAMES = ("xdist", "xdist.plugin", "xdist.newhooks")

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the three names only; the last finder is asked only for what is not installed."""
        if fullname not in self.NAMES:
            return None
        if fullname != "xdist" and not isinstance(
            getattr(sys.modules.get("xdist"), "__loader__", None), XdistModuleFinder
        ):
            # A part of an installed package that is not there.
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=fullname == "xdist")

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module."""
        if module.__name__ == "xdist.newhooks":
            names = {
                name: value for name, value in vars(hookspecs).items() if name.startswith("pytest_")
            }
        else:
            names = {**_API, "__version__": API_VERSION}
            if module.__name__ == "xdist.plugin":
                names.update(
                    worker_id=xdist_fixtures.worker_id, testrun_uid=xdist_fixtures.testrun_uid
                )
        vars(module).update(names)


def install() -> None:
    """Let ``import xdist`` find this where pytest-xdist is not installed."""
    if not any(isinstance(finder, XdistModuleFinder) for finder in sys.meta_path):
        sys.meta_path.append(XdistModuleFinder())
