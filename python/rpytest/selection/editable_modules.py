"""What a checkpoint keeps of its test modules, so that a run may collect those anew that were
edited meanwhile (``selection/edited_modules.py``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rpytest.project import locations
from rpytest.pytest_compat.hooks import plugin_name, third_party_hooks
from rpytest.selection.edited_modules import ANY, mentioned

if TYPE_CHECKING:
    import pytest

    from rpytest.ipc.run_messages import RunRequest
    from rpytest.selection.collection_cache import CollectionCache
    from rpytest.staleness.dependencies import Dependencies

#: Bytes of test modules: more is not kept.
_MOST_TEXT = 16 << 20

#: Test modules, those that were changed last, that are kept at once: the next edit may come soon,
#: and be one of these.
_FIRST = 32

#: Hooks by which the project may make tests depend on those that were made before.
MAKING_HOOKS = (
    "pytest_collect_directory",
    "pytest_collect_file",
    "pytest_generate_tests",
    "pytest_ignore_collect",
    "pytest_itemcollected",
    "pytest_make_parametrize_id",
    "pytest_pycollect_makeitem",
    "pytest_pycollect_makemodule",
)


class EditableModules:
    """The test modules of one session that may be edited."""

    def __init__(self, collection_cache: CollectionCache, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._record = collection_cache.record
        #: Their collectors.
        self.files = collection_cache.editable()
        #: What they are, as far as it is kept.
        self.texts: dict[str, bytes] = {}
        self._mentions: dict[str, set[str]] | None = None
        self._keeping = self._keep_texts()
        for _ in itertools.islice(self._keeping, _FIRST):
            pass

    def prepare(self) -> Iterator[None]:
        """Look at the others, too, one at a time, while nobody waits."""
        yield from self._keeping
        yield from self._record.judge(self._text)
        yield from self._find_mentions()

    def _text(self, file: str) -> bytes | None:
        return self.texts.get(file) or self._dependencies.text(file)

    def _keep_texts(self) -> Iterator[None]:
        left = _MOST_TEXT
        for file in self._dependencies.latest(self.files):
            text = self._dependencies.text(file)
            left -= len(text or b"")
            if left < 0:
                return
            if text is not None:
                self.texts[file] = text
            yield

    def _find_mentions(self) -> Iterator[None]:
        names = {Path(file).stem for file in self.files}
        found: dict[str, set[str]] = {}
        for file, code in list(self._dependencies.observer.codes.items()):
            for name in (ANY,) if code is None else mentioned(code, names):
                found.setdefault(name, set()).add(file)
            yield
        self._mentions = found

    def mentions(self) -> dict[str, set[str]]:
        """Files that may refer to a test module, by the last part of its name."""
        if self._mentions is None:
            # The edit came early.
            for _ in self._find_mentions():
                pass
        assert self._mentions is not None
        return self._mentions


def obstacle(config: pytest.Config, request: RunRequest) -> str | None:
    """Why no test module can be collected anew, whatever is in it; or `None`."""
    if request.watch:
        return "`--watch` is to know what everything was made from"
    for hook in MAKING_HOOKS:
        for implementation in third_party_hooks(config, hook):
            code = getattr(implementation.function, "__code__", None)
            if (
                hook == "pytest_itemcollected"
                or code is None
                or not locations.is_installed(code.co_filename)
            ):
                return (
                    f"`{hook}` of {plugin_name(implementation)} has heard of tests that are no more"
                )
    return None
