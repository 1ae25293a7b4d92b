import random

import pytest


@pytest.fixture(scope="module")
def number():
    return random.random()


@pytest.mark.parametrize("i", range(6))
def test_seeded(i, record_property):
    record_property("drawn", random.random())


class TestOne:
    def test_x(self, record_property):
        record_property("drawn", random.randrange(1000))

    def test_y(self, number, record_property):
        record_property("shuffled", random.sample(range(10), 10))


def test_fails():
    assert False
