import threading
import time

import pytest


@pytest.mark.parametrize("i", range(6))
def test_quick(i):
    time.sleep(0.01)


@pytest.mark.timeout(0.5)
def test_hangs():
    print("before the hang")
    time.sleep(60)


@pytest.mark.timeout(5)
def test_in_time():
    time.sleep(0.01)


def test_fails():
    assert 1 == 2
