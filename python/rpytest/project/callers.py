"""Who does something: the project, or pytest, Python or an installed package for itself. The frames
of the call tell.
"""

from __future__ import annotations

import os
import sysconfig
from types import FrameType

from rpytest.project.locations import installed_folders

#: Modules through which others ask.
_HELPERS = frozenset(
    {
        "genericpath",
        "posixpath",
        "pathlib",
        "pathlib._local",
        "pathlib._abc",
        "pathlib._os",
        "pathlib.types",
        "glob",
    }
    | {"os", "shutil", "fnmatch", "_collections_abc"}
    # The folder of a package, for who asks for what is in it.
    | {"importlib.readers", "importlib.abc", "importlib._abc", "importlib.simple"}
    | {
        f"importlib.resources{name}"
        for name in ("", "._common", "._legacy", "._functional", ".abc", ".readers", ".simple")
    }
)
#: Packages and single modules whose questions are about what is known otherwise, or is nobody
#: else's business.
KNOWN = frozenset(
    {
        "_pytest",
        "pytest",
        "pluggy",
        "rpytest",
        "importlib",
        "linecache",
        "inspect",
        "tokenize",
        "traceback",
        "tempfile",
    }
    | {"pkgutil", "zipimport", "site"}
)


#: Where installed modules lie. As in the beginning: whatever a project puts into `sys.path` is its
#: own.
INSIDE = installed_folders()
_STDLIB = os.path.join(sysconfig.get_path("stdlib"), "")
_PACKAGES = tuple({os.path.join(sysconfig.get_path(name), "") for name in ("purelib", "platlib")})

#: Folders of packages of other environments that this one includes.
_PACKAGES_BELOW = tuple(
    os.path.join(os.sep, name, "") for name in ("site-packages", "dist-packages")
)


def asker(frame: FrameType | None) -> tuple[str, FrameType | None]:
    """Who wants to know: the helper that it has called to that end ("": it asks by itself), and its
    frame.
    """
    function = ""
    while frame is not None:
        if frame.f_globals.get("__name__") not in _HELPERS:
            return function, frame
        function = frame.f_code.co_name
        frame = frame.f_back
    return function, None


def _is_known(who: FrameType) -> bool:
    return str(who.f_globals.get("__name__", "")).partition(".")[0] in KNOWN


def is_asked_by_others(frame: FrameType) -> bool:
    """Whether somebody wants to know something in ``frame`` who is not pytest, or Python for
    itself.
    """
    _, who = asker(frame)
    return who is not None and not _is_known(who)


def acts_for_project(frame: FrameType | None) -> bool:
    """Whether the project does something in ``frame``, be it through Python's library; and not
    pytest, or an installed package for itself.
    """
    while frame is not None:
        name, file = str(frame.f_globals.get("__name__", "")), frame.f_code.co_filename
        if file.startswith(_PACKAGES) or any(part in file for part in _PACKAGES_BELOW):
            return False
        if not file.startswith((_STDLIB, "<frozen ")):
            return name.partition(".")[0] not in KNOWN
        if name.startswith("importlib"):
            # Byte code.
            return False
        frame = frame.f_back
    return False


def is_of_project(frame: FrameType) -> bool:
    """Whether somebody who is not pytest, Python or an installed package does something in
    ``frame``.
    """
    _, who = asker(frame)
    return who is not None and not _is_known(who) and not who.f_code.co_filename.startswith(INSIDE)


def is_for_python(frame: FrameType) -> bool:
    """Whether a file is opened to be imported, or to be quoted in a traceback."""
    _, who = asker(frame)
    return who is None or _is_known(who)
