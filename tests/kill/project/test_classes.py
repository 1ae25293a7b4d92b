"""Tests in classes, with class-scoped fixtures."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from common import work

Record = Callable[[str, object], None]


class Base:
    @pytest.mark.parametrize("i", range(16))
    def test_method(
        self, i: int, request: pytest.FixtureRequest, record_property: Record, class_value: str
    ) -> None:
        assert class_value == f"class {type(self).__name__} {os.getpid()}"
        assert work(request.node.nodeid, record_property)


class TestOne(Base):
    pass


class TestTwo(Base):
    pass


class TestThree(Base):
    pass


class TestFour(Base):
    pass


class TestFive(Base):
    pass
