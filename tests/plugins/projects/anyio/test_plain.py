import pytest


@pytest.mark.parametrize("i", range(8))
def test_plain(i):
    assert i < 7
