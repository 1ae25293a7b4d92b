"""What sending a parcel costs."""

from __future__ import annotations

from shop.money import Money

FREE_FROM = Money.parse("50")
STANDARD = {
    "domestic": Money.parse("4.90"),
    "europe": Money.parse("9.90"),
    "world": Money.parse("19.90"),
}


def shipping(total: Money, zone: str = "domestic") -> Money:
    """Orders of `FREE_FROM` and more ship free within the country."""
    # The bug that the example's failing test is about: `>` where the rule says "and more".
    if zone == "domestic" and total > FREE_FROM:
        return Money(0)
    return STANDARD[zone]
