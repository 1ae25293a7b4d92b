"""With one worker the tests run in this order."""

import pytest

SEEN = []


@pytest.mark.order(12)
def test_three():
    SEEN.append(3)


@pytest.mark.order(11)
def test_two():
    SEEN.append(2)


@pytest.mark.order(10)
def test_one():
    SEEN.append(1)
