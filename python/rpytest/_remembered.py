"""Session fixtures of a project that were seen to leave something that forks can't share: a file in the cache directory."""

from __future__ import annotations

import hashlib
import inspect
import stat
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from rpytest import _real
from rpytest._real import contextlib, json, os, pathlib, tempfile

__builtins__ = _real.BUILTINS

_VERSION = 1

#: More characters than this are not read.
_LARGEST = 16 << 20


class Remembered:
    """What was learned about the session fixtures of one project."""

    def __init__(self, root: pathlib.Path, environment: Mapping[str, str], cwd: str) -> None:
        self.root = root
        #: Why a fixture can't be shared, by what it is made of.
        self.reasons: dict[str, str] = {}
        self._digests: dict[str, str] = {}
        self._file = _place(root, environment, cwd)
        self._read()

    def reason(self, definition: pytest.FixtureDef[Any]) -> str | None:
        """Why the fixture can't be shared, as far as is known."""
        return self.reasons.get(self.key(definition)) if self.reasons else None

    def key(self, definition: pytest.FixtureDef[Any]) -> str:
        """Where the fixture is and what its file says: an edited one is looked at again."""
        function = inspect.unwrap(definition.func)
        code = getattr(function, "__code__", None)
        path = code.co_filename if code is not None else ""
        if path not in self._digests:
            try:
                data = pathlib.Path(path).read_bytes()
            except OSError:
                data = b""
            self._digests[path] = hashlib.blake2b(data, digest_size=12).hexdigest()
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        qualified = getattr(function, "__qualname__", definition.argname)
        try:
            path = os.path.relpath(path, self.root)
        except ValueError:
            pass
        return f"{version} {path}::{qualified} {self._digests[code.co_filename if code is not None else '']}"

    def _read(self) -> None:
        if self._file is None:
            return
        # Whatever lies there may say or be anything; `RecursionError` and `MemoryError` are what nested or long text may give.
        with contextlib.suppress(Exception):
            content = json.loads(_read_file(self._file))
            if content.get("version") == _VERSION and content.get("root") == str(self.root):
                self.reasons = {str(key): str(reason) for key, reason in content["own"].items()}

    def add(self, key: str, reason: str) -> bool:
        """Remember; `False`: only for this run, the cache directory can't be written to."""
        # Another run may have learned something meanwhile.
        self._read()
        place = key.rpartition(" ")[0]
        self.reasons = {known: why for known, why in self.reasons.items() if known.rpartition(" ")[0] != place}
        self.reasons[key] = reason
        if self._file is None:
            return False
        content = json.dumps({"version": _VERSION, "root": str(self.root), "own": self.reasons}, indent=1)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=self._file.parent, delete=False) as file:
                file.write(content)
        except OSError:
            return False
        try:
            os.replace(file.name, self._file)
        except OSError:
            os.unlink(file.name)
            return False
        return True


def _read_file(path: pathlib.Path) -> str:
    """The text of a file that is one, and is not larger than ours would be: a pipe would be waited for."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(fd, encoding="utf-8") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            raise ValueError("it is not a file of ours")
        return file.read(_LARGEST)


def _place(root: pathlib.Path, environment: Mapping[str, str], cwd: str) -> pathlib.Path | None:
    """The file of a project, beside its history of durations."""
    digest = hashlib.blake2b(os.fsencode(root), digest_size=8).hexdigest()
    name = f"{root.name or 'root'}-{digest}.json"
    chosen = environment.get("RPYTEST_CACHE_DIR")
    if chosen is not None:
        return pathlib.Path(cwd, chosen, "fixtures", name)
    for variable, folder in (("XDG_CACHE_HOME", "rpytest"), ("HOME", ".cache/rpytest")):
        base = environment.get(variable, "")
        if os.path.isabs(base):
            return pathlib.Path(base, folder, "fixtures", name)
    return None
