"""A little shop: prices, a cart, shipping, stock and receipts."""
