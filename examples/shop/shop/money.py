"""Amounts of money in whole cents."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Money:
    """An amount; arithmetic stays exact because there are no fractions of a cent."""

    cents: int

    @classmethod
    def parse(cls, text: str) -> Money:
        """Read `12`, `12.5` or `12.50`."""
        units, _, fraction = text.strip().partition(".")
        if not units.isdigit() or not (fraction.isdigit() or not fraction) or len(fraction) > 2:
            raise ValueError(f"not an amount: {text!r}")
        return cls(int(units) * 100 + int(fraction.ljust(2, "0")))

    def __add__(self, other: Money) -> Money:
        return Money(self.cents + other.cents)

    def __mul__(self, count: int) -> Money:
        return Money(self.cents * count)

    def percent(self, rate: int) -> Money:
        """`rate` percent of it, half cents rounded up."""
        return Money((self.cents * rate + 50) // 100)

    def __str__(self) -> str:
        return f"{self.cents // 100}.{self.cents % 100:02}"
