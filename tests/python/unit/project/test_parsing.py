"""Sources are parsed without a word."""

from __future__ import annotations

import ast
import warnings

import pytest

from rpytest.project.parsing import parse


def test_no_warning_and_no_other_filter() -> None:
    """Neither where warnings are shown nor where they are errors, as with `-W error`."""
    source = b"x = '\\w'\n"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        parse(source)
        assert told == []
        compile(source, "x.py", "exec")
        assert told != []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        parse(source)
        assert warnings.filters == before


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (b"x = 'a'", "a"),
        ("x = 'ä'".encode(), "ä"),
        (b"\xef\xbb\xbfx = 'a'", "a"),
        (b"# coding: latin-1\nx = '\xe4'", "ä"),
        (b"x = 'a'\r\n", "a"),
    ],
)
def test_as_python_reads_bytes(source: bytes, wanted: str) -> None:
    (statement,) = parse(source).body
    assert isinstance(statement, ast.Assign)
    assert isinstance(statement.value, ast.Constant)
    assert statement.value.value == wanted


def test_nothing_is_a_module() -> None:
    assert parse(b"").body == []


@pytest.mark.parametrize("source", [b"def", b"x = '\xff'", b"# coding: nonsense\n"])
def test_no_python(source: bytes) -> None:
    with pytest.raises(SyntaxError):
        parse(source)
