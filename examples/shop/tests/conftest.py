"""Fixtures for the whole suite."""

from pathlib import Path

import pytest

from shop.cart import Cart
from shop.catalog import Catalog


@pytest.fixture(scope="session")
def catalog():
    """Read once; under rpytest all workers share it."""
    return Catalog.load(Path(__file__).parent.parent / "catalog.txt")


@pytest.fixture
def cart(catalog):
    """An empty cart for each test."""
    return Cart(catalog)
