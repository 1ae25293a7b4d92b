"""What was looked at without being opened: whether a file is there and what it is, how big or old it is, where a link leads.

Python has no audit events for `os.stat` and its like. While a session is made, these functions are replaced by ones that remember question and answer.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import sysconfig
from collections.abc import Callable, Container, Iterator
from types import FrameType, ModuleType
from typing import Any

from rpytest._native import Noticed
from rpytest._states import VIRTUAL

#: Kind of question, path, and what else it depends on → answer.
Question = tuple[str, str, int]
Answer = object

#: Modules through which others ask.
_HELPERS = frozenset(
    {"genericpath", "posixpath", "pathlib", "pathlib._local", "pathlib._abc", "pathlib._os", "pathlib.types", "glob"}
    | {"os", "shutil", "fnmatch"}
)
#: Whose questions are about what is known otherwise, or is nobody else's business: packages and single modules.
_KNOWN = frozenset(
    {"_pytest", "pytest", "pluggy", "rpytest", "importlib", "linecache", "inspect", "tokenize", "traceback", "tempfile"}
    | {"pkgutil", "zipimport", "site"}
)
#: Functions of the helpers that tell more than what kind of file there is.
_WHOLE = frozenset(
    {"", "stat", "lstat", "getsize", "getmtime", "getatime", "getctime", "samefile", "owner", "group", "copystat"}
)
#: Parts of paths that every run makes, or may.
_PARTS = frozenset({"__pycache__", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache", ".coverage"})

#: Audit events of functions that make something or take it away, and which of their arguments say where.
_ACTS = {
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "shutil.rmtree": (0,),
    "shutil.move": (0, 1),
    "sqlite3.connect": (0,),
}
#: After which there is nothing below but what this process makes.
_EMPTYING = frozenset({"os.mkdir", "shutil.rmtree"})


class Glances:
    """Questions that were asked while a session was made, and what the answers were."""

    def __init__(self, written: Container[str]) -> None:
        """``written``: files that this process has opened for writing so far."""
        self._written = written
        self._answers: dict[Question, Answer] = {}
        #: Those whose answers are known to be what they were at the end.
        self._settled: set[Question] = set()
        #: What this process has made or removed, and folders with all that is in them.
        self._touched: set[str] = set()
        self._emptied: set[str] = set()
        self._inside = tuple({os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "purelib", "platlib")})

    def start(self) -> None:
        """Begin to notice."""
        global _current
        _current = self
        _replace(_FUNCTIONS)

    def stop(self) -> None:
        """Leave everything as it was."""
        global _current
        if _current is self:
            _current = None
            _replace({name: function.plain for name, function in _FUNCTIONS.items()})
            _give_back()

    def inherit(self, other: Glances) -> None:
        """What was asked in the process that this one was forked from."""
        for question, answer in other._answers.items():
            self._answers.setdefault(question, answer)

    def acted(self, event: str, args: tuple[Any, ...]) -> None:
        """An audit event: something may be made or removed."""
        for number in _ACTS.get(event, ()):
            if isinstance(args[number], (str, bytes, os.PathLike)):
                path = os.path.abspath(os.fsdecode(args[number]))
                if event == "os.mkdir" and _ask(("stat", path, 0)) is not None:
                    # It will fail, as for `makedirs` it may.
                    continue
                (self._emptied if event in _EMPTYING else self._touched).add(path)

    def is_own(self, path: str) -> bool:
        """Whether what is there, or is not, is this process's own doing: every session does the same, whatever there was before."""
        if path in self._touched or path in self._written:
            return True
        while path not in self._emptied:
            path, child = os.path.dirname(path), path
            if path == child:
                return False
        return True

    def note(self, kind: str, path: Any, answer: Answer, detail: int, function: str, who: FrameType) -> None:
        """``who`` has asked, by calling ``function``."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        asked = os.path.abspath(os.fsdecode(path))
        if asked.startswith(VIRTUAL) or not _PARTS.isdisjoint(asked.split(os.sep)) or self.is_own(asked):
            return
        if kind == "stat":
            if function in _WHOLE and not who.f_code.co_filename.startswith(self._inside):
                kind = "state"
            answer = _told(kind, answer)
        elif kind == "link" and isinstance(answer, (str, bytes)):
            answer = os.fsdecode(answer)
        self._answers.setdefault((kind, asked, detail), answer)

    def settle(self) -> str | None:
        """Collection is over: a path of which something else would be said already, or `None`."""
        for question, before in list(self._answers.items()):
            if question not in self._settled:
                self._settled.add(question)
                if _ask(question) != before:
                    return question[1]
        return None

    def changed(self) -> str | None:
        """What would be answered otherwise now, in words, or `None`."""
        for question, before in self._answers.items():
            now = _ask(question)
            if now != before:
                path = question[1]
                return f"{path} is new" if before is None else f"{path} is gone" if now is None else f"{path} changed"
        return None

    def missing(self) -> Iterator[str]:
        """Paths at which nothing was found."""
        for (kind, path, _), answer in self._answers.items():
            if answer is None and kind in ("stat", "state"):
                yield path


#: Who notices at present.
_current: Glances | None = None


def _teller(kind: str, detail: Callable[[tuple[Any, ...], dict[str, Any]], int]) -> Callable[..., None]:
    def tell(args: tuple[Any, ...], kwargs: dict[str, Any] | None, answer: Answer) -> None:
        # Another thread may stop it meanwhile.
        current = _current
        if current is None:
            return
        # The current directory may be gone; whoever asks has his answer already.
        with contextlib.suppress(Exception):
            function, who = _asker(sys._getframe(1))
            # Nearly always one of these, hundreds of times.
            if who is None or _is_known(who):
                return
            named = kwargs or {}
            if named.get("dir_fd") is None:
                path = args[0] if args else named.get("path")
                current.note(kind, path, answer, detail(args, named), function, who)

    return tell


def _follows(_: tuple[Any, ...], named: dict[str, Any]) -> int:
    return int(bool(named.get("follow_symlinks", True)))


def _mode(args: tuple[Any, ...], named: dict[str, Any]) -> int:
    return int(args[1] if len(args) > 1 else named["mode"])


_FUNCTIONS = {
    "stat": Noticed(os.stat, _teller("stat", _follows)),
    "lstat": Noticed(os.lstat, _teller("stat", lambda _args, _named: 0)),
    "access": Noticed(os.access, _teller("access", _mode)),
    "readlink": Noticed(os.readlink, _teller("link", lambda _args, _named: 0)),
}

_NOTICED = frozenset(_FUNCTIONS.values())


def _replace(functions: dict[str, Any]) -> None:
    places: list[Any] = [os]
    accessor = getattr(sys.modules.get("pathlib"), "_NormalAccessor", None)
    if accessor is not None:
        # Python 3.10's `pathlib` has it from before.
        places.append(accessor)
    for place in places:
        for name, function in functions.items():
            # Not what somebody has put there meanwhile; classes have functions of other names of their own.
            if plain(getattr(place, name, None)) is _FUNCTIONS[name].plain:
                setattr(place, name, function)


def _references() -> list[int]:
    return [sys.getrefcount(function) for function in _FUNCTIONS.values()]


#: While nobody has taken one: those of this module.
_UNTAKEN = _references()


def _give_back() -> None:
    """Modules that have taken one of the functions by name, ``from os import stat``, get what they asked for."""
    if _references() == _UNTAKEN:
        # Looking through all modules takes milliseconds.
        return
    for module in list(sys.modules.values()):
        if type(module) is ModuleType:
            names = vars(module)
            for name, value in list(names.items()):
                if type(value) is Noticed and value in _NOTICED:
                    names[name] = value.plain


def plain(function: object) -> object:
    """The function itself, if it is one that is noticed."""
    return function.plain if type(function) is Noticed else function


def _asker(frame: FrameType | None) -> tuple[str, FrameType | None]:
    """Who wants to know: what it has called to that end (nothing: the function itself), and its frame."""
    function = ""
    while frame is not None:
        if frame.f_globals.get("__name__") not in _HELPERS:
            return function, frame
        function = frame.f_code.co_name
        frame = frame.f_back
    return function, None


def _is_known(who: FrameType) -> bool:
    return str(who.f_globals.get("__name__", "")).partition(".")[0] in _KNOWN


def is_for_python(frame: FrameType) -> bool:
    """Whether a file is opened to be imported, or to be quoted in a traceback."""
    _, who = _asker(frame)
    return who is None or _is_known(who)


def _told(kind: str, found: Any) -> Answer:
    """What somebody has learned from a `stat`."""
    if found is None:
        return None
    if kind == "stat":
        return stat.S_IFMT(found.st_mode)
    if stat.S_ISREG(found.st_mode):
        return found.st_mode, found.st_size, found.st_mtime_ns
    # Folders change with all that is made in them.
    return found.st_mode


def _ask(question: Question) -> Answer:
    kind, path, detail = question
    try:
        if kind == "access":
            return _FUNCTIONS["access"].plain(path, detail)
        if kind == "link":
            return os.fsdecode(_FUNCTIONS["readlink"].plain(path))
        return _told(kind, _FUNCTIONS["stat"].plain(path, follow_symlinks=bool(detail)))
    except (OSError, ValueError):
        return None
