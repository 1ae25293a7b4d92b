import pytest

from shop.cart import Cart
from shop.catalog import UnknownArticle
from shop.money import Money


class TestEmptyCart:
    def test_has_no_articles(self, cart):
        assert len(cart) == 0

    def test_costs_nothing(self, cart):
        assert cart.total() == Money(0)

    def test_nothing_to_remove(self, cart):
        with pytest.raises(KeyError):
            cart.remove("tea")


@pytest.fixture(scope="class")
def party(catalog):
    """One cart for all tests of a class."""
    cart = Cart(catalog)
    for article, count in {"tea": 2, "teapot": 1, "cup": 6}.items():
        cart.add(article, count)
    return cart


class TestTeaParty:
    def test_count(self, party):
        assert len(party) == 9

    def test_total(self, party):
        assert party.total() == Money.parse("70.50")

    @pytest.mark.parametrize(
        ("article", "price"), [("tea", "9"), ("teapot", "24"), ("cup", "37.50")]
    )
    def test_line(self, party, article, price):
        assert (article, Money.parse(price)) in [(name, cost) for name, _, cost in party.lines()]


def test_adding_twice_adds_up(cart):
    cart.add("cup")
    cart.add("cup", 5)
    assert cart.lines() == [("cup", 6, Money.parse("37.50"))]


@pytest.mark.parametrize("count", [0, -1])
def test_count_must_be_positive(cart, count):
    with pytest.raises(ValueError, match="can't add"):
        cart.add("tea", count)


def test_unknown_article_is_noticed_at_once(cart):
    with pytest.raises(UnknownArticle):
        cart.add("coffee")
