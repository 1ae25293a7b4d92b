import multiprocessing

import pytest

from shop import pay


@pytest.mark.parametrize("value", [0.5, 1.5, 7])
def test_rounded(value):
    assert pay.in_thread(lambda: pay.rounded(value)) == max(1, round(value))
