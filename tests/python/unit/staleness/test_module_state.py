"""What counts as a replacement of something that a module consists of."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

import pytest

from rpytest._native import Noticed
from rpytest.staleness.module_state import MISSING, ModuleState, module_states


def function() -> None:
    pass


def other() -> None:
    pass


class Unequal:
    """As an array: the result of a comparison is no truth value."""

    def __eq__(self, _: object) -> bool:
        raise ValueError

    __hash__ = None  # type: ignore[assignment]


def made(name: str, /, **contents: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    return module


def noticed(plain: Any) -> Any:
    return Noticed(plain, lambda *_: None)


@pytest.mark.parametrize(
    ("old", "new", "is_replaced"),
    [
        (function, other, True),
        (function, function, False),
        (function, None, True),
        (int, str, True),
        (made("a"), made("b"), True),
        # Simple values are settings.
        (1, 2, True),
        (1, 1.0, True),
        (True, 1, True),
        ("text", "other", True),
        ((1,), (2,), True),
        (frozenset({1}), frozenset(), True),
        # Equal ones are no other setting.
        ((1, [2]), (1, [2]), False),
        ("ab" * 1000, "".join(["ab"] * 1000), False),
        # What can't be compared may be anything.
        ((Unequal(),), (Unequal(),), True),
        # Caches, counters and the like.
        ([1], [2], False),
        ({}, {1: 2}, False),
        (None, 1, False),
        (object(), object(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_replaced(old: Any, new: Any, is_replaced: bool) -> None:
    module = made("m", before=function, name=old, after=function)
    state = ModuleState("m", module)
    assert state.first_replaced() is None
    vars(module)["name"] = new
    assert state.first_replaced() == ("m.name" if is_replaced else None)


@pytest.mark.parametrize(
    ("old", "is_replaced"), [(function, True), (1, True), ([1], False), (None, False)]
)
def test_deleted(old: Any, is_replaced: bool) -> None:
    module = made("m", name=old)
    state = ModuleState("m", module)
    del vars(module)["name"]
    assert state.first_replaced() == ("m.name" if is_replaced else None)


def test_what_was_added_does_not_count() -> None:
    module = made("m", name=1)
    state = ModuleState("m", module)
    vars(module).update(new=function)
    assert state.first_replaced() is None
    # Nor what becomes of it.
    vars(module).update(new=other)
    assert state.first_replaced() is None


def test_the_order_does_not_count() -> None:
    module = made("m", name=1, function=function)
    state = ModuleState("m", module)
    del vars(module)["name"]
    vars(module)["name"] = 1
    assert state.first_replaced() is None


@pytest.mark.parametrize(
    ("module", "attribute", "old", "new", "is_replaced"),
    [
        # Private functions count, private values don't.
        ("m", "_name", function, other, True),
        ("m", "_name", 1, 2, False),
        ("m", "__name", function, other, False),
        ("m", "__file__", "a", "b", False),
        ("builtins", "__import__", function, other, True),
        ("builtins", "__debug__", True, False, False),
        ("builtins", "open", function, other, True),
        # pytest's and ours.
        ("pdb", "set_trace", function, other, False),
        ("threading", "excepthook", function, other, False),
        ("inspect", "unwrap", function, other, False),
        ("inspect", "signature", function, other, True),
        # Of `sys` functions count that are no hooks.
        ("sys", "exit", function, other, True),
        ("sys", "excepthook", function, other, False),
        ("sys", "unraisablehook", function, other, False),
        ("sys", "argv", [], [1], False),
        ("sys", "dont_write_bytecode", True, False, False),
        ("sys", "platform", "a", "b", False),
        # The import system has bound a sub-module in the place of a function of that name.
        ("m", "name", function, made("m.name"), False),
        ("m", "name", function, made("n.name"), True),
    ],
)
def test_names(module: str, attribute: str, old: Any, new: Any, is_replaced: bool) -> None:
    contents = made(module, **{attribute: old})
    state = ModuleState(module, contents)
    vars(contents)[attribute] = new
    assert state.first_replaced() == (f"{module}.{attribute}" if is_replaced else None)


def test_a_function_that_is_noticed_for_a_while() -> None:
    module = made("m", name=function)
    state = ModuleState("m", module)
    vars(module)["name"] = noticed(function)
    assert state.first_replaced() is None
    vars(module)["name"] = function
    assert state.first_replaced() is None
    vars(module)["name"] = noticed(other)
    assert state.first_replaced() == "m.name"


def test_one_that_was_noticed_at_first() -> None:
    module = made("m", name=noticed(function))
    state = ModuleState("m", module)
    vars(module)["name"] = function
    assert state.first_replaced() is None


def test_what_does_not_count_is_the_state_from_then_on() -> None:
    """A cache that has changed is not looked at again; a function in its place counts then."""
    module = made("m", name=[1])
    state = ModuleState("m", module)
    vars(module)["name"] = function
    assert state.first_replaced() is None
    assert state.before("name") is function
    vars(module)["name"] = other
    assert state.first_replaced() == "m.name"
    assert state.first_replaced() == "m.name"


def test_before() -> None:
    module = made("m", name=1)
    state = ModuleState("m", module)
    vars(module).update(name=2, new=3)
    assert state.before("name") == 1
    assert state.before("new") is MISSING
    assert state.before("nothing") is MISSING


def test_functions_of_sys_only() -> None:
    state = ModuleState("sys", sys)
    assert state.before("exit") is sys.exit
    assert state.before("argv") is MISSING
    assert state.before("platform") is MISSING


def test_which_modules() -> None:
    class Lazy(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    modules: dict[str, Any] = {
        "os": os,
        "warnings": made("warnings"),
        "multiprocessing.resource_tracker": made("x"),
        "none": None,
        "strange": object(),
        "lazy": Lazy("lazy"),
        "other": made("other"),
    }
    names = ["os", "warnings", "multiprocessing.resource_tracker", "none", "strange", "gone"]
    assert [state.name for state in module_states(modules, names)] == ["os"]
    (state,) = [ModuleState("lazy", modules["lazy"])]
    assert state.first_replaced() is None
