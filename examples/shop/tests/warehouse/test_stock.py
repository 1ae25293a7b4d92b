import pytest

from shop.stock import OutOfStock


def test_put_adds(stock):
    stock.put("tea", 5)
    assert stock.count("tea") == 15


@pytest.mark.parametrize("count", [1, 9, 10])
def test_take(stock, count):
    stock.take("tea", count)
    assert stock.count("tea") == 10 - count


def test_unknown_articles_count_as_none(stock):
    assert stock.count("coffee") == 0


def test_out_of_stock_changes_nothing(stock):
    with pytest.raises(OutOfStock, match="10 left, 11 wanted"):
        stock.take("tea", 11)
    assert stock.count("tea") == 10


def test_every_test_starts_with_ten(stock):
    assert stock.count("tea") == 10


@pytest.mark.xfail(reason="no reservations yet", raises=AttributeError, strict=True)
def test_reservation(stock):
    stock.reserve("tea", 2)
