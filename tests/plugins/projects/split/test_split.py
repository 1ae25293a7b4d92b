import time

import pytest


@pytest.mark.parametrize("i", range(20))
def test_number(i):
    time.sleep(0.001 * i)


@pytest.mark.parametrize("i", range(4))
def test_fails(i):
    assert i % 2
