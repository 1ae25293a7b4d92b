"""Every outcome, with fixtures of every scope."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from common import number, work

Record = Callable[[str, object], None]


@pytest.mark.parametrize("i", range(60))
def test_passes(
    i: int,
    request: pytest.FixtureRequest,
    record_property: Record,
    module_value: str,
    session_value: str,
) -> None:
    assert module_value == f"module {__name__} {os.getpid()}" and session_value.startswith(
        "session "
    )
    assert work(request.node.nodeid, record_property)


@pytest.mark.parametrize("i", range(14))
def test_fails(i: int, request: pytest.FixtureRequest, record_property: Record) -> None:
    pytest.fail(f"on purpose: {work(request.node.nodeid, record_property)}")


@pytest.mark.parametrize("i", range(10))
def test_skips(i: int, request: pytest.FixtureRequest, record_property: Record) -> None:
    pytest.skip(f"on purpose: {work(request.node.nodeid, record_property)}")


@pytest.mark.parametrize("i", range(8))
@pytest.mark.xfail(reason="on purpose", strict=True)
def test_xfails(i: int, request: pytest.FixtureRequest, record_property: Record) -> None:
    pytest.fail(work(request.node.nodeid, record_property))


@pytest.fixture
def bad_setup(request: pytest.FixtureRequest, record_property: Record) -> None:
    raise LookupError(f"on purpose: {work(request.node.nodeid, record_property)}")


@pytest.fixture
def bad_teardown(request: pytest.FixtureRequest) -> object:
    yield
    raise OSError(f"on purpose: {number(request.node.nodeid)}")


@pytest.mark.parametrize("i", range(8))
def test_errors_in_setup(i: int, bad_setup: None) -> None:
    raise AssertionError("never reached")


@pytest.mark.parametrize("i", range(8))
def test_errors_in_teardown(
    i: int, bad_teardown: object, request: pytest.FixtureRequest, record_property: Record
) -> None:
    work(request.node.nodeid, record_property)


@pytest.mark.parametrize("i", range(6))
def test_fails_twice(
    i: int, bad_teardown: object, request: pytest.FixtureRequest, record_property: Record
) -> None:
    pytest.fail(f"on purpose: {work(request.node.nodeid, record_property)}")
