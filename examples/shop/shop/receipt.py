"""The slip of paper at the end."""

from __future__ import annotations

import logging

from shop.cart import Cart

log = logging.getLogger(__name__)
WIDTH = 32


def receipt(cart: Cart, vat_percent: int = 19) -> str:
    """A printable receipt with the value added tax that is included in the total."""
    log.info("receipt for %d articles", len(cart))
    lines = [
        f"{count:>3} x {article}".ljust(WIDTH - 9) + f"{price!s:>9}"
        for article, count, price in cart.lines()
    ]
    total = cart.total()
    net = total.cents * 100 // (100 + vat_percent)
    vat = type(total)(total.cents - net)
    lines += ["-" * WIDTH, f"{'total':<{WIDTH - 9}}{total!s:>9}", f"{'VAT':<{WIDTH - 9}}{vat!s:>9}"]
    return "\n".join(lines) + "\n"
