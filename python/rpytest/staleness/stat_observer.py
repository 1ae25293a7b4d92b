"""What was looked at without being opened: whether a file is there and what it is, how big or old
it is, where a link leads.

Python has no audit events for `os.stat` and its like. While a session is made, these functions are
replaced by ones that remember question and answer.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
from collections.abc import Callable, Container, Iterable, Iterator
from types import FrameType, ModuleType
from typing import Any

from rpytest._native import Noticed
from rpytest.project import file_states
from rpytest.project.callers import INSIDE, KNOWN, acts_for_project, asker
from rpytest.project.file_states import VIRTUAL

#: Kind of question, path, and what else it depends on → answer.
Question = tuple[str, str, int]
Answer = object

#: Where pytest asks for what makes a difference to the tests that it finds: ini files, conftests
#: and packages, in folders above them, too.
_OF_PYTEST = frozenset(
    {
        "_pytest.config",
        "_pytest.config.findpaths",
        "_pytest.pathlib",
        "_pytest.main",
        "_pytest.python",
        "_pytest.doctest",
    }
)
#: Functions there that ask about words of the command line, which each run resolves for itself,
#: about temporary folders, and whether something is a virtual environment, which
#: `staleness.dependencies` looks for.
_KNOWN_OTHERWISE = frozenset(
    {
        "_in_venv",
        "safe_exists",
        "filename_arg",
        "directory_arg",
        "rm_rf",
        "on_rm_rf_error",
        "get_extended_length_path_str",
    }
    | {
        "ensure_extended_length_path",
        "make_numbered_dir",
        "make_numbered_dir_with_cleanup",
        "cleanup_numbered_dir",
    }
    | {
        "try_cleanup",
        "ensure_deletable",
        "cleanup_dead_symlinks",
        "maybe_delete_a_numbered_dir",
        "create_cleanup_lock",
    }
)
#: Functions of the helpers that tell more than what kind of file there is.
_WHOLE = frozenset(
    {
        "",
        "stat",
        "lstat",
        "getsize",
        "getmtime",
        "getatime",
        "getctime",
        "samefile",
        "owner",
        "group",
        "copystat",
    }
)
#: Parts of paths that every run makes, or may, and packages look for.
_PARTS = frozenset(
    {"__pycache__", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache", ".coverage"}
)

#: Audit events of functions that make something or take it away, and which of their arguments say
#: where: a path, and the open folder that it is relative to, if there is one.
_ACTS: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "shutil.rmtree": ((0, 1),),
    "shutil.move": ((0, None), (1, None)),
    "sqlite3.connect": ((0, None),),
}
#: After which there is nothing below but what this process makes.
_EMPTYING = frozenset({"os.mkdir", "shutil.rmtree"})


class StatObserver:
    """Questions that were asked while a session was made, and what the answers were."""

    def __init__(self, written: Container[str]) -> None:
        """``written``: files that this process has opened for writing so far."""
        self._written = written
        self._answers: dict[Question, Answer] = {}
        #: Questions whose answers are known to be what they were at the end.
        self._settled: set[Question] = set()
        #: What this process has made or removed, and folders with all that is in them.
        self._touched: set[str] = set()
        self._emptied: set[str] = set()
        #: What of both, and of the files that this process has written, is the project's doing: it
        #: is to be as the project has left it.
        self.made: dict[str, None] = {}
        #: Files that it has opened to append something, with their sizes.
        self.appended: dict[str, int] = {}
        #: What had another answer when somebody asked again.
        self._differed: str | None = None
        #: Questions of pytest itself, which as a rule are about what is known otherwise: it lists
        #: the folder, or opens the file.
        self._of_pytest: set[Question] = set()
        self._inside = INSIDE

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
            _restore_functions()

    def inherit(self, other: StatObserver) -> None:
        """What was asked in the process that this one was forked from."""
        for question, answer in other._answers.items():
            self._answers.setdefault(question, answer)

    def acted(self, event: str, args: tuple[Any, ...]) -> None:
        """An audit event: something may be made or removed."""
        for number, folder in _ACTS.get(event, ()):
            if isinstance(args[number], (str, bytes, os.PathLike)):
                # Before Python 3.11 `shutil.rmtree` has none.
                path = absolute(
                    args[number],
                    args[folder] if folder is not None and folder < len(args) else None,
                )
                if event == "os.mkdir" and _ask(("stat", path, 0)) is not None:
                    # The call will fail, as for `makedirs` it may.
                    continue
                (self._emptied if event in _EMPTYING else self._touched).add(path)
                if event != "sqlite3.connect" and acts_for_project(sys._getframe(2)):
                    self.made[path] = None

    def is_own(self, path: str) -> bool:
        """Whether what is there, or is not, is this process's own doing: every session does the
        same, whatever there was before.
        """
        if path in self._touched or path in self._written:
            return True
        while path not in self._emptied:
            path, child = os.path.dirname(path), path
            if path == child:
                return False
        return True

    def note(
        self,
        kind: str,
        path: Any,
        answer: Answer,
        detail: int,
        function: str,
        who: FrameType,
        folder: int | None = None,
        of_pytest: bool = False,
    ) -> None:
        """``who`` has asked, by calling ``function``; ``folder`` is open, and what ``path`` is
        relative to.
        """
        known = len(self._answers)
        if isinstance(path, int):
            path = file_states.name_of(path)
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        asked = absolute(path, folder)
        is_inside = who.f_code.co_filename.startswith(self._inside)
        if asked.startswith(VIRTUAL) or self.is_own(asked):
            return
        if (is_inside or of_pytest) and _is_of_every_run(asked):
            return
        if kind == "stat":
            if function in _WHOLE and not (is_inside or of_pytest):
                kind = "state"
            answer = _told(kind, answer)
        elif kind == "link" and isinstance(answer, (str, bytes)):
            answer = os.fsdecode(answer)
        question = (kind, asked, detail)
        before = self._answers.setdefault(question, answer)
        if before != answer:
            self._differed = self._differed or asked
        if not of_pytest:
            self._of_pytest.discard(question)
        elif question not in self._of_pytest and len(self._answers) > known:
            self._of_pytest.add(question)

    def scanned(self, folder: str, who: FrameType) -> None:
        """``who`` is about to get the entries of ``folder`` themselves, which say how big and old
        each is (`DirEntry.stat`) without a word to us.
        """
        if asker(who)[0] or who.f_code.co_filename.startswith(self._inside):
            # A helper, which gives away names.
            return
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if not self.is_own(entry.path):
                    question = ("state", entry.path, 1)
                    self._answers.setdefault(question, _ask(question))

    def wrote(self, path: str, flags: int) -> None:
        """A file is about to be opened for writing."""
        if flags & os.O_APPEND and not flags & os.O_TRUNC:
            found = file_states.state(path)
            self.appended.setdefault(path, -1 if found is None else found[2])
        else:
            self.made[path] = None

    def first_changed_while_collecting(self) -> str | None:
        """Collection is over: a path of which something else would be said already, or `None`."""
        if self._differed is not None:
            return self._differed
        for question, before in list(self._answers.items()):
            if question not in self._settled:
                self._settled.add(question)
                if _ask(question) != before:
                    return question[1]
        return None

    def depend_on(self, paths: Iterable[str]) -> None:
        """Depend on whether these are there, and what they are."""
        for path in paths:
            question = ("stat", path, 1)
            self._answers[question] = _ask(question)
            self._settled.add(question)

    def forget_known(self, is_known: Callable[[str], bool]) -> None:
        """After :meth:`first_changed_while_collecting`: forget what pytest has asked about paths of
        which changes are noticed otherwise.
        """
        for question in self._of_pytest & self._settled:
            if is_known(question[1]):
                del self._answers[question]
        self._of_pytest.clear()

    def changed(self) -> str | None:
        """What would be answered otherwise now, in words, or `None`."""
        for question, before in self._answers.items():
            now = _ask(question)
            if now != before:
                path = question[1]
                return (
                    f"{path} is new"
                    if before is None
                    else f"{path} is gone"
                    if now is None
                    else f"{path} changed"
                )
        return None

    def missing(self) -> Iterator[str]:
        """Paths at which nothing was found."""
        for (kind, path, _), answer in self._answers.items():
            if answer is None and kind in ("stat", "state"):
                yield path


#: The observer that notices at present.
_current: StatObserver | None = None


def _teller(
    kind: str, detail: Callable[[tuple[Any, ...], dict[str, Any]], int]
) -> Callable[..., None]:
    def tell(args: tuple[Any, ...], kwargs: dict[str, Any] | None, answer: Answer) -> None:
        # Another thread may stop it meanwhile.
        current = _current
        if current is None:
            return
        # The current directory may be gone; whoever asks has his answer already.
        with contextlib.suppress(Exception):
            function, who = asker(sys._getframe(1))
            # Nearly always one of these, hundreds of times.
            if who is None:
                return
            module = str(who.f_globals.get("__name__", ""))
            is_pytest = module in _OF_PYTEST and who.f_code.co_name not in _KNOWN_OTHERWISE
            if module.partition(".")[0] in KNOWN and not is_pytest:
                return
            named = kwargs or {}
            path = args[0] if args else named.get("path", named.get("fd"))
            folder = named.get("dir_fd")
            current.note(kind, path, answer, detail(args, named), function, who, folder, is_pytest)

    return tell


def _follows(_: tuple[Any, ...], named: dict[str, Any]) -> int:
    return int(bool(named.get("follow_symlinks", True)))


def _mode(args: tuple[Any, ...], named: dict[str, Any]) -> int:
    return int(args[1] if len(args) > 1 else named["mode"])


#: Which folder a thread opens a file relative to at the moment.
_opening = threading.local()


def _open_ahead(_: tuple[Any, ...], named: dict[str, Any]) -> None:
    """`os.open` is about to be called: its audit event does not tell of ``dir_fd``."""
    _opening.folder = named.get("dir_fd")


def _opened(_args: tuple[Any, ...], _named: dict[str, Any] | None, _answer: Answer) -> None:
    _opening.folder = None


def opening() -> int | None:
    """The open folder that the name in an audit event of `open` is relative to, if there is one."""
    return getattr(_opening, "folder", None)


def absolute(path: str | bytes | os.PathLike[Any], folder: int | None = None) -> str:
    """Where a path leads that is relative to ``folder``, which is open, or to the current
    directory.
    """
    name = os.fsdecode(path)
    if isinstance(folder, int) and folder >= 0 and not os.path.isabs(name):
        name = os.path.join(file_states.name_of(folder) or "", name)
    return os.path.abspath(name)


_FUNCTIONS = {
    "stat": Noticed(os.stat, _teller("stat", _follows)),
    "lstat": Noticed(os.lstat, _teller("stat", lambda _args, _named: 0)),
    "access": Noticed(os.access, _teller("access", _mode)),
    "readlink": Noticed(os.readlink, _teller("link", lambda _args, _named: 0)),
    "fstat": Noticed(os.fstat, _teller("stat", lambda _args, _named: 1)),
    "open": Noticed(os.open, _opened, _open_ahead),
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
            # What somebody has put there meanwhile stays; and a class may have something else of
            # that name.
            if plain(getattr(place, name, None)) is _FUNCTIONS[name].plain:
                setattr(place, name, function)


def _references() -> list[int]:
    return [sys.getrefcount(function) for function in _FUNCTIONS.values()]


#: While nobody has taken one: those of this module.
_UNTAKEN = _references()


def _restore_functions() -> None:
    """Modules that have taken one of the functions by name, ``from os import stat``, get what they
    asked for.
    """
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


def _is_of_every_run(path: str) -> bool:
    parts = path.split(os.sep)
    return not _PARTS.isdisjoint(parts) or any(
        part.startswith(file_states.PREFIX_IGNORED) for part in parts
    )


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
