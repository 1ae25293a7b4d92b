import pytest

from shop import Cart


@pytest.fixture
def full():
    cart = Cart()
    cart.add("tea", 10)
    return cart


@pytest.mark.parametrize("price", range(5))
def test_add(price):
    assert Cart().add("tea", price) is (price > 0)


def test_negative():
    with pytest.raises(ValueError, match="tea"):
        Cart().add("tea", -1)


@pytest.mark.parametrize("discount", [None, 10, 50])
def test_total(full, discount):
    assert full.total(discount) == 10 - (discount or 0) // 10


def test_fails():
    assert Cart().add("gift", 0) is False
