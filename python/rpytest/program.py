"""Find the native ``rpytest`` program that was installed together with this package."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator

PROGRAM = "rpytest"


class ProgramNotFound(Exception):
    """No ``rpytest`` program anywhere; ``looked_at`` lists ``(place, path)`` in the order tried."""

    def __init__(self, looked_at: list[tuple[str, str]]) -> None:
        places = "\n".join(f"  {path}  ({place})" for place, path in looked_at)
        super().__init__(f"the `{PROGRAM}` program was not found; looked for\n{places}")
        self.looked_at = looked_at


def find_program() -> str:
    """Absolute path of the native program.

    Raises `ProgramNotFound` when it is nowhere.
    """
    looked_at: list[tuple[str, str]] = []
    for place, path in _candidates():
        if any(path == seen for _, seen in looked_at):
            continue
        looked_at.append((place, path))
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise ProgramNotFound(looked_at)


def _candidates() -> Iterator[tuple[str, str]]:
    """Where the program may be, the most likely place first.

    Another environment's program would start another environment's Python, so everything that
    belongs to this installation comes before ``PATH``.
    """
    name = PROGRAM + (sysconfig.get_config_var("EXE") or "")

    yield "scripts of this environment", os.path.join(sysconfig.get_path("scripts"), name)
    if sys.executable:
        beside = os.path.dirname(os.path.abspath(sys.executable))
        yield "beside the interpreter", os.path.join(beside, name)
    user = sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))
    yield "scripts of `pip install --user`", os.path.join(user, name)
    for prefix in _prefixes():
        yield "scripts of the prefix this package is in", os.path.join(prefix, "bin", name)
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if folder:
            yield "PATH", os.path.join(os.path.abspath(folder), name)


def _prefixes() -> Iterator[str]:
    """Prefixes that this package may have been installed to.

    ``pip install --target DIR`` puts the package into ``DIR``, ``--prefix DIR`` into
    ``DIR/lib/pythonX.Y/site-packages``; both put programs into ``DIR/bin``.
    """
    parent = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    yield parent
    if os.path.basename(parent) in ("site-packages", "dist-packages"):
        yield os.path.dirname(os.path.dirname(os.path.dirname(parent)))
