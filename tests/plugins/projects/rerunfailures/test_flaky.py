import pytest


@pytest.fixture
def shaky(attempt):
    if attempt < 2:
        raise OSError("not yet")


@pytest.mark.parametrize("i", range(3))
def test_flaky(attempt, i):
    assert attempt % 3 == 0


def test_never():
    assert False


@pytest.mark.flaky(reruns=4, only_rerun=["OSError"])
def test_setup(shaky):
    pass


@pytest.mark.flaky(reruns=0)
def test_once():
    assert False


@pytest.mark.flaky(reruns=2, condition="False")
def test_condition():
    assert False


@pytest.mark.parametrize("i", range(5))
def test_solid(i):
    pass


class TestClass:
    @pytest.fixture(scope="class", autouse=True)
    def once(self):
        TestClass.number = 0
        yield

    def test_counts(self):
        TestClass.number += 1
        assert TestClass.number == 1
