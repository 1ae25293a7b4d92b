import pytest

from shop.money import Money
from shop.shipping import FREE_FROM, STANDARD, shipping


@pytest.mark.parametrize("zone", sorted(STANDARD))
def test_small_orders_pay_for_their_zone(zone):
    assert shipping(Money.parse("10"), zone) == STANDARD[zone]


def test_large_orders_ship_free():
    assert shipping(Money.parse("50.01")) == Money(0)


def test_exactly_fifty_ships_free(cart):
    """Fails on purpose: the shop has a bug, so that you see what a failure looks like."""
    cart.add("kettle")
    total = cart.total()
    print(f"total {total}, free from {FREE_FROM}")
    assert shipping(total) == Money(0)


def test_free_only_within_the_country():
    assert shipping(Money.parse("500"), "world") == STANDARD["world"]


def test_unknown_zone():
    with pytest.raises(KeyError):
        shipping(Money.parse("10"), "moon")
