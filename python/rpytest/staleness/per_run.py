"""What is to happen once in every run, and has happened in a session: such a session serves one
run.

Workers are forked from it as from any other; the next run gets a session of its own (start method
`imported`).
"""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any

import pytest

from rpytest.project import locations
from rpytest.pytest_compat.hooks import plugin_name, third_party_hooks

#: Plugins whose `pytest_sessionstart` may as well have run before the fork. Hypothesis's ends a
#: check of what conftests do at import.
_STARTS_ONCE = frozenset({"_hypothesis_pytestplugin"})

#: Audit events by which a conftest's `pytest_configure` does something that is to be done, or
#: undone, in every run.
EVENTS = {
    "open": "writes",
    "os.mkdir": "makes",
    "os.remove": "removes",
    "os.rmdir": "removes",
    "os.rename": "renames",
    "os.link": "links",
    "os.symlink": "links",
    "os.truncate": "changes",
    "shutil.rmtree": "removes",
    "shutil.copyfile": "copies",
    "shutil.move": "moves",
    "tempfile.mkstemp": "makes",
    "tempfile.mkdtemp": "makes",
    "socket.bind": "binds a socket",
}

#: Further ones by which a hook begins something that has an end.
STARTING_EVENTS = {
    **EVENTS,
    "subprocess.Popen": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.system": "starts a process",
    "os.fork": "starts a process",
    "os.forkpty": "starts a process",
    "socket.connect": "connects a socket",
    "sqlite3.connect": "opens the database",
}

#: Without a name of a file in the message.
_WITHOUT_NAME = frozenset(STARTING_EVENTS) - set(EVENTS) - {"sqlite3.connect"} | {"socket.bind"}

#: Hooks that end what was begun in `pytest_configure`.
_ENDING_HOOKS = ("pytest_sessionfinish", "pytest_unconfigure")


def of_each_worker(config: pytest.Config, event: str, args: tuple[Any, ...]) -> str | None:
    """What a hook of the project that begins a session is about to do, if each worker has to do it
    for itself as under pytest-xdist.

    A session calls these hooks once for all of its workers, and each worker those of the end: one
    beginning would have many ends. That is so for `pytest_sessionstart`, and for `pytest_configure`
    where the project has something to do at the end. ``None``: it is nothing of that kind.
    """
    hook, frame = _hook_of_project()
    if frame is None or (event == "socket.bind" and _is_importing()):
        return None
    what: str | None = STARTING_EVENTS[event]
    if event not in _WITHOUT_NAME:
        what = _effect_on_files(event, args) if event in EVENTS else f"{what} {args[0]!s}"
    if what is None or (hook == "pytest_configure" and not _ends_something(config, frame)):
        return None
    return f"`{hook}` of {frame.f_globals.get('__name__')} {what}"


def _hook_of_project() -> tuple[str, FrameType | None]:
    """The hook at the beginning of a session that is being called, and the frame of the project's
    implementation.
    """
    callee: FrameType | None = None
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        # pluggy's loop over the implementations of a hook, which are called by no other name.
        if callee is not None and frame.f_code.co_name == "_multicall" and _is_of_pluggy(frame):
            hook = frame.f_locals.get("hook_name")
            if hook in ("pytest_configure", "pytest_sessionstart"):
                module = str(callee.f_globals.get("__name__", ""))
                if locations.is_project_module(module):
                    return str(hook), callee
        callee, frame = frame, frame.f_back
    return "", None


def _is_of_pluggy(frame: FrameType) -> bool:
    return locations.top_level(str(frame.f_globals.get("__name__", ""))) == "pluggy"


def _ends_something(config: pytest.Config, frame: FrameType) -> bool:
    """Whether the project has something to do at the end of a session: in a hook, or by what this
    implementation of `pytest_configure` asks for.
    """
    if {"add_cleanup", "atexit"} & set(frame.f_code.co_names):
        return True
    return any(
        locations.is_project_module(implementation.function.__module__)
        for hook in _ENDING_HOOKS
        for implementation in third_party_hooks(config, hook)
    )


def effect(event: str, args: tuple[Any, ...]) -> str | None:
    """What a `pytest_configure` of the project is doing; ``None``: it is nothing of that kind, or
    somebody else does it.
    """
    if event == "socket.bind":
        if _is_importing():
            # A library finds out what there is, as urllib3 does of IPv6. Nobody asks what it does
            # if a test module imports it.
            return None
        what = EVENTS[event]
    else:
        found = _effect_on_files(event, args)
        if found is None:
            return None
        what = found
    name = _configuring()
    return None if name is None else f"`pytest_configure` of {name} {what}"


def _effect_on_files(event: str, args: tuple[Any, ...]) -> str | None:
    if not isinstance(args[0], (str, bytes, os.PathLike)):
        return None
    path = os.path.abspath(os.fsdecode(args[0]))
    if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
        return None
    if event == "os.mkdir" and os.path.isdir(path):
        return None
    if (
        path.startswith(("/dev/", "/proc/"))
        or f"{os.sep}__pycache__" in path
        or f"{os.sep}.pytest_cache" in path
    ):
        return None
    return f"{EVENTS[event]} {path}"


def _is_importing() -> bool:
    """Whether the top level of an installed module is being executed, within a
    `pytest_configure`.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_name != "pytest_configure":
        if frame.f_code.co_name == "<module>" and locations.is_installed(frame.f_code.co_filename):
            return True
        frame = frame.f_back
    return False


def _configuring() -> str | None:
    """The module of the project whose `pytest_configure` is being called, if there is one."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "pytest_configure":
            name = str(frame.f_globals.get("__name__", ""))
            if locations.is_project_module(name):
                return name
        frame = frame.f_back
    return None


def reason(config: pytest.Config) -> str | None:
    """Why a configured session can be used for one run only, as far as hooks and options tell."""
    if getattr(config.option, "cacheclear", False):
        return "`--cache-clear` is for one run"
    if getattr(config.option, "debug", None):
        return "`--debug` is about one run"
    for hook in ("pytest_sessionstart", "pytest_runtestloop", "pytest_unconfigure"):
        for impl in third_party_hooks(config, hook):
            if hook == "pytest_runtestloop" and (impl.wrapper or impl.hookwrapper):
                # Around the loop, so in every worker.
                continue
            if not locations.is_project_module(impl.function.__module__):
                # A plugin prepares its own objects, and acts on the run in the controller.
                continue
            name = plugin_name(impl)
            if name not in _STARTS_ONCE:
                return f"`{hook}` of {name} is to run in every run"
    for module in _cleanups(config):
        if locations.is_project_module(module):
            return f"{module} has something to clean up after every run"
    return None


def _cleanups(config: pytest.Config) -> list[str]:
    """Modules of the functions that `Config.add_cleanup` was given."""
    stack: Any = getattr(config, "_cleanup_stack", None)
    if stack is None:
        functions = list(getattr(config, "_cleanup", ()))
    else:
        functions = [
            getattr(entry[1], "__wrapped__", entry[1])
            for entry in getattr(stack, "_exit_callbacks", ())
        ]
    found = []
    for function in functions:
        while hasattr(function, "func"):
            function = function.func
        found.append(str(getattr(function, "__module__", None) or "_pytest"))
    return found
