"""What a customer is about to buy."""

from __future__ import annotations

from shop.catalog import Catalog
from shop.money import Money


class Cart:
    """Articles and how many of each."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._counts: dict[str, int] = {}

    def add(self, article: str, count: int = 1) -> None:
        if count < 1:
            raise ValueError(f"can't add {count} of {article!r}")
        self._catalog.price(article)  # an unknown article is an error now, not at the till
        self._counts[article] = self._counts.get(article, 0) + count

    def remove(self, article: str) -> None:
        del self._counts[article]

    def lines(self) -> list[tuple[str, int, Money]]:
        """Article, count and price of all of them, by name."""
        return [
            (article, count, self._catalog.price(article) * count)
            for article, count in sorted(self._counts.items())
        ]

    def total(self) -> Money:
        return sum((price for _, _, price in self.lines()), Money(0))

    def __len__(self) -> int:
        return sum(self._counts.values())
