"""Articles and their prices."""

from __future__ import annotations

from pathlib import Path

from shop.money import Money


class UnknownArticle(LookupError):
    """An article that the catalog does not have."""


class Catalog:
    """Prices by article name."""

    def __init__(self, prices: dict[str, Money]) -> None:
        self._prices = prices

    @classmethod
    def load(cls, path: Path) -> Catalog:
        """Read lines of `name = price`; `#` starts a comment."""
        prices = {}
        for line in path.read_text().splitlines():
            line = line.partition("#")[0].strip()
            if line:
                name, _, price = line.partition("=")
                prices[name.strip()] = Money.parse(price)
        return cls(prices)

    def price(self, article: str) -> Money:
        try:
            return self._prices[article]
        except KeyError:
            raise UnknownArticle(article) from None

    def __contains__(self, article: str) -> bool:
        return article in self._prices

    def __len__(self) -> int:
        return len(self._prices)
