"""Warnings come out of a record as they were, or as much like it as can be."""

from __future__ import annotations

import enum
import warnings
from typing import Any

import pytest

from rpytest.reports.recorded_warnings import decode_warning, encode_warning


class Plain(UserWarning):
    class Inner(DeprecationWarning):
        pass


class Own(UserWarning):
    """It wants something else than it shows."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"{name} {number}")


class Picky(UserWarning):
    def __init__(self, *, name: str) -> None:
        super().__init__(name)


class Shouting(UserWarning):
    def __str__(self) -> str:
        return f"{self.args[0]}!"


class Name(str, enum.Enum):
    A = "a"


def record(message: Any, category: type[Warning] | None = None, **more: Any) -> Any:
    kind = category or type(message)
    return warnings.WarningMessage(message, kind, "/p/test_a.py", 3, **more)


def travelled(message: Any, category: type[Warning] | None = None) -> warnings.WarningMessage:
    return decode_warning(encode_warning(record(message, category), "runtest", "id", None))[0]


@pytest.mark.parametrize(
    "warning",
    [
        UserWarning("text"),
        UserWarning(),
        UserWarning("one", 2),
        UserWarning("ä\udc80\n"),
        DeprecationWarning(("tuple", 1)),
        ResourceWarning("text"),
        Plain("text"),
        Plain.Inner("text"),
        Shouting("text"),
        pytest.PytestUnraisableExceptionWarning("text"),
        UnicodeWarning(b"bytes"),
    ],
    ids=repr,
)
def test_the_same(warning: Warning) -> None:
    found = travelled(warning)
    assert type(found.message) is type(warning)
    assert found.category is type(warning)
    assert found.message.args == warning.args
    assert str(found.message) == str(warning)


def test_all_of_a_record() -> None:
    location = ("/p/test_a.py", 3, "test_1")
    blob = encode_warning(
        record(UserWarning("text"), line="the line", source=object()), "call", "a.py::t", location
    )
    found, when, nodeid, place = decode_warning(blob)
    assert (found.filename, found.lineno, found.line) == ("/p/test_a.py", 3, "the line")
    # It is in another process.
    assert found.source is None
    assert (when, nodeid, place) == ("call", "a.py::t", location)


def test_a_category_above_its_class() -> None:
    found = travelled(Plain.Inner("text"), Warning)
    assert found.category is Warning
    assert type(found.message) is Plain.Inner


@pytest.mark.parametrize(
    "warning", [Own("name", 3), Picky(name="text"), UserWarning(Name.A, object())]
)
def test_a_class_that_can_not_be_made_again(warning: Warning) -> None:
    """Name and text are the same, and it is a warning."""
    found: Any = travelled(warning)
    assert type(found.message).__name__ == type(warning).__name__
    assert type(found.message).__module__ == type(warning).__module__
    assert isinstance(found.message, Warning)
    assert str(found.message) == str(warning)
    assert found.category is type(warning)


def local() -> type[Warning]:
    class Local(UserWarning):
        pass

    return Local


def of_a_module_that_is_not_there() -> type[Warning]:
    return type("Elsewhere", (UserWarning,), {"__module__": "no_such_module_anywhere"})


def of_another_name() -> type[Warning]:
    """What is there under its name is no warning."""
    return type("OrderedDict", (UserWarning,), {"__module__": "collections"})


@pytest.mark.parametrize("make", [local, of_a_module_that_is_not_there, of_another_name])
def test_a_class_that_is_not_found(make: Any) -> None:
    kind = make()
    found: Any = travelled(kind("text"))
    for one in (type(found.message), found.category):
        assert issubclass(one, Warning)
        assert one.__name__ == kind.__name__
        assert one.__module__ == kind.__module__
    assert str(found.message) == "text"


def test_a_text_in_the_place_of_a_warning() -> None:
    """As `warnings.showwarning` may be called."""
    found = travelled("text", DeprecationWarning)
    assert isinstance(found.message, Warning)
    assert type(found.message).__name__ == "DeprecationWarning"
    assert found.category is DeprecationWarning
    assert str(found.message) == "text"
