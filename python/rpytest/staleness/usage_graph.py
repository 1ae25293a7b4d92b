"""What `--watch` must know of a collected project: the files to look at, and which of them use
which.

The command line only orders tests by it: what is missed here is run later, not never.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import TYPE_CHECKING, Any

from rpytest.ipc import channel
from rpytest.ipc.process_messages import BareDependencies
from rpytest.ipc.run_messages import Dependencies as DependenciesEvent
from rpytest.project.file_states import IGNORED_NAMES, FileState, state
from rpytest.project.locations import PACKAGE
from rpytest.stdlib import json

if TYPE_CHECKING:
    from rpytest.staleness.dependencies import Dependencies

#: Where files lie that are not the project's: Python, and what is installed beside it.
FOREIGN = (sys.prefix + os.sep, sys.base_prefix + os.sep, "/proc/", "/sys/", "/dev/")


class UsageGraph:
    """Which of the project's files use which, seen while they are imported."""

    def __init__(self) -> None:
        self._active = False
        #: Names that a module's code, with all functions in it, mentions: imported ones are among
        #: them.
        self._names: dict[str, set[str]] = {}
        #: Data files, and the project's code that was at work when they were opened.
        self._readers: dict[str, set[str]] = {}
        #: Folders that the project's own code has listed: each entry may mean something.
        self.listed: set[str] = set()

    def start(self) -> None:
        """From now on imports and opened files are observed; an audit hook can't be removed."""
        self._active = True
        sys.addaudithook(self._audit)

    def stop(self) -> None:
        """Collection is over."""
        self._active = False

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._active:
            return
        if event == "exec":
            code = args[0]
            if (
                isinstance(code, CodeType)
                and code.co_name == "<module>"
                and _is_ours(code.co_filename)
            ):
                self._names.setdefault(code.co_filename, set()).update(_names(code))
        elif event == "open":
            path = args[0]
            if (
                isinstance(path, str)
                and not path.endswith((".py", ".pyc"))
                and _is_ours(name := os.path.abspath(path))
            ):
                self._readers.setdefault(name, set()).update(_project_callers())
        elif event in ("os.listdir", "os.scandir"):
            path = "." if args[0] is None else args[0]
            if isinstance(path, str) and any(_project_callers()):
                self.listed.add(os.path.abspath(path))

    def edges(self, unloaded: dict[str, str]) -> Iterator[tuple[str, str]]:
        """Pairs of files: the first uses the second. `unloaded` are modules that a test may import
        when it runs, with their files.
        """
        for data, readers in self._readers.items():
            yield from ((reader, data) for reader in readers)
        modules: dict[str, str] = {}
        by_last: dict[str, list[str]] = {}
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and _is_ours(file := os.path.abspath(file)):
                modules[name] = file
        modules = {**unloaded, **modules}
        for name in modules:
            by_last.setdefault(name.rpartition(".")[2], []).append(name)
        packages = {
            file: name if _is_init(file) else name.rpartition(".")[0]
            for name, file in modules.items()
        }
        for file, names in self._names.items():
            own = packages.get(file, "")
            for mentioned in names:
                for name in by_last.get(mentioned.rpartition(".")[2], ()):
                    parent = name.rpartition(".")[0]
                    if mentioned == name or (
                        mentioned.rpartition(".")[2] == mentioned and _reaches(parent, own, names)
                    ):
                        yield file, modules[name]
        for name, file in modules.items():
            parent = name.rpartition(".")[0]
            if parent in modules:
                yield file, modules[parent]
        for conftest in [
            file for file in modules.values() if os.path.basename(file) == "conftest.py"
        ]:
            folder = os.path.dirname(conftest) + os.sep
            yield from (
                (file, conftest)
                for file in self._names
                if file.startswith(folder) and file != conftest
            )


def _reaches(parent: str, own: str, names: set[str]) -> bool:
    """Whether something in the package `parent` is imported by its last name alone:
    `from parent import x`, `from . import x`.
    """
    return (
        parent in names
        or parent == own
        or own.startswith(f"{parent}.")
        or parent.rpartition(".")[2] in names
    )


def _is_ours(name: str) -> bool:
    return os.path.isabs(name) and not name.startswith(FOREIGN)


def _is_watched(name: str) -> bool:
    """Whether a change of it is the user's doing: not of what is installed, nor of what every run
    rewrites.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        # Python knows it only as bytes, and the message is text.
        return False
    return _is_ours(name + os.sep) and IGNORED_NAMES.isdisjoint(name.split(os.sep))


def _is_init(file: str) -> bool:
    return os.path.basename(file) == "__init__.py"


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _project_callers() -> Iterator[str]:
    """Files of the project whose code is at work."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if _is_ours(name) and not name.startswith(_OWN):
            yield name
        frame = frame.f_back  # type: ignore[assignment]


#: An editable rpytest lies where projects lie.
_OWN = os.path.realpath(PACKAGE) + os.sep


#: Folders that hold no module of the project's, beside hidden ones and virtual environments.
_NO_SOURCES = IGNORED_NAMES | {"node_modules", "site-packages", "build", "dist"}
#: A tree that is larger is looked at in part: whoever starts in `/` means something in it.
_MOST_FOLDERS = 3000


def _sources(roots: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Python files below `roots`, with the names that they have when they are imported from
    there.
    """
    seen: set[str] = set()
    for root in roots:
        for folder, folders, names in os.walk(root):
            folders[:] = [
                name
                for name in folders
                if not name.startswith(".")
                and name not in _NO_SOURCES
                and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
            ]
            if folder in seen or len(seen) >= _MOST_FOLDERS:
                folders.clear()
                continue
            seen.add(folder)
            for name in names:
                if name.endswith(".py"):
                    path = os.path.join(folder, name)
                    dotted = (
                        os.path.relpath(path, root).removesuffix(".py").removesuffix("/__init__")
                    )
                    yield dotted.replace(os.sep, "."), path


def _roots() -> list[str]:
    """Where the project's modules are imported from; inner folders first, which is where names
    begin.
    """
    folders = {os.path.abspath(name or ".") for name in sys.path} | {os.getcwd()}
    return sorted((name for name in folders if _is_watched(name)), key=len, reverse=True)


def encode(
    files: dict[str, FileState | None],
    folders: Iterable[str],
    edges: Iterable[tuple[str, str]],
    listed: set[str],
) -> bytes:
    """The `dependencies` message's attachment."""
    numbers = {name: number for number, name in enumerate(files)}
    used = {
        (numbers[user], numbers[file])
        for user, file in edges
        if user in numbers and file in numbers
    }
    content = {
        # Inode, size, modification and change time as at the moment when it was read; an empty
        # list: it was not there.
        "files": [
            [name, list(found[1:]) if found is not None else []] for name, found in files.items()
        ],
        "folders": [[name, name in listed] for name in folders],
        "uses": sorted(used),
    }
    return json.dumps(content, separators=(",", ":")).encode("utf-8", "backslashreplace")


def send_dependencies(
    conn: socket.socket,
    dependencies: Dependencies,
    graph: UsageGraph | None,
    kind: type[DependenciesEvent] | type[BareDependencies] = DependenciesEvent,
) -> None:
    """Tell the command line what to watch (as a bare worker: the host, which passes it on); when it
    is gone, nobody watches.
    """
    states = {name: found for name, found in dependencies.states() if _is_watched(name)}
    folders = sorted(name for name in dependencies.folders() if _is_watched(name))
    unloaded = dict(_sources(_roots()))
    for name in unloaded.values():
        if name not in states and _is_watched(name):
            # Perhaps a test imports it when it runs.
            states[name] = state(name)
    edges = graph.edges(unloaded) if graph is not None else ()
    data = encode(states, folders, edges, graph.listed if graph is not None else set())
    memfd = channel.memfd("rpytest-dependencies", data)
    with contextlib.suppress(channel.Closed, OSError):
        channel.send(conn, kind(len=len(data)), [memfd])
    os.close(memfd)
