import pytest
from inline_snapshot import snapshot


@pytest.mark.parametrize("i", range(4))
def test_right(i):
    assert i // 10 == snapshot(0)


def test_wrong():
    assert {"a": 1} == snapshot({"a": 2})


def test_new():
    assert [1, 2] == snapshot()


def test_contains():
    assert 3 in snapshot([1, 2, 3])


def test_plain():
    pass
