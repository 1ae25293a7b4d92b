import pytest

from shop.catalog import Catalog, UnknownArticle
from shop.money import Money


@pytest.fixture(scope="module")
def written_catalog(tmp_path_factory):
    """A file that is written once for this module (in each worker that runs tests of it)."""
    path = tmp_path_factory.mktemp("catalog") / "catalog.txt"
    path.write_text("# nothing but\npen = 1.20\n\nink=3  # blue\n")
    return Catalog.load(path)


def test_comments_and_blank_lines_do_not_count(written_catalog):
    assert len(written_catalog) == 2


@pytest.mark.parametrize(("article", "price"), [("pen", "1.20"), ("ink", "3")])
def test_prices(written_catalog, article, price):
    assert written_catalog.price(article) == Money.parse(price)


def test_unknown_article(written_catalog):
    with pytest.raises(UnknownArticle, match="tea"):
        written_catalog.price("tea")


def test_empty_file(tmp_path):
    path = tmp_path / "catalog.txt"
    path.touch()
    assert len(Catalog.load(path)) == 0


def test_a_bad_price_is_an_error(tmp_path):
    path = tmp_path / "catalog.txt"
    path.write_text("pen = cheap\n")
    with pytest.raises(ValueError, match="cheap"):
        Catalog.load(path)


def test_the_real_catalog_has_tea(catalog):
    assert "tea" in catalog and catalog.price("tea") == Money.parse("4.50")


@pytest.mark.skip(reason="the supplier's catalog needs a network")
def test_supplier_catalog():
    raise AssertionError("never runs")
