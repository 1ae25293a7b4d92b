"""Whether what a daemon consists of was installed anew since it started: every session would have
the old version from it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable

#: Modification time, size and inode by file name; `None` for a missing file.
FileTimes = dict[str, list[int] | None]


#: Modules that are imported at the start if there are any.
_CUSTOMIZE = ("sitecustomize", "usercustomize")


class InstalledFiles:
    """The files that every fork of this process comes from, as they were when it started."""

    def __init__(self) -> None:
        #: The modules that every fork inherits: pytest, its plugins of its own, rpytest.
        self._modules = file_times(
            sorted(
                {
                    str(file)
                    for module in list(sys.modules.values())
                    if (file := getattr(module, "__file__", None))
                }
            )
        )
        #: What the interpreter has read at its start: path files of site-packages above all.
        self._startup = file_times(startup_files())

    def changed(self) -> str | None:
        """What has become of them, if they are not the same any more."""
        if self._modules != file_times(self._modules):
            return "pytest or rpytest was installed anew"
        if self._startup != file_times(startup_files()):
            return "a path file (`.pth`) of the environment changed"
        return None


def file_times(names: Iterable[str]) -> FileTimes:
    """What tells whether the files have changed."""
    times: FileTimes = {}
    for name in names:
        try:
            found = os.stat(name)
            times[name] = [found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino]
        except OSError:
            times[name] = None
    return times


def startup_files() -> list[str]:
    """Files from which an interpreter makes its path and its hooks before anything else runs,
    whether they are there or not.
    """
    names = []
    for folder in sys.path:
        names += [os.path.join(folder, name, "__init__.py") for name in _CUSTOMIZE]
        names += [os.path.join(folder, f"{name}.py") for name in _CUSTOMIZE]
        with contextlib.suppress(OSError):
            names += [
                os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".pth")
            ]
    return sorted(names)
