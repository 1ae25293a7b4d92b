"""Whether what a daemon consists of was installed anew since it started: every session would have the old version from it."""

from __future__ import annotations

import sys

from rpytest._warm import file_times, startup_files


class Parts:
    """The files that every fork of this process comes from, as they were when it started."""

    def __init__(self) -> None:
        #: The modules that every fork inherits: pytest, its plugins of its own, rpytest.
        self._modules = file_times(
            sorted({str(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))})
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
