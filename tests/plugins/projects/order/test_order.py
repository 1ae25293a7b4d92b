import pytest


@pytest.mark.order(-1)
def test_last():
    pass


@pytest.mark.order(after="test_middle")
def test_after():
    pass


def test_middle():
    pass


@pytest.mark.order("first")
def test_first():
    pass


@pytest.mark.order(2)
def test_second():
    assert False


@pytest.mark.order(before="test_middle")
@pytest.mark.parametrize("i", range(3))
def test_before(i):
    pass
