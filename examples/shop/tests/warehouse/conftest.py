"""Fixtures of the warehouse's tests."""

import sqlite3

import pytest

from shop.stock import Stock


@pytest.fixture(scope="package")
def database(tmp_path_factory):
    """One database for this package (in each worker that runs tests of it)."""
    connection = sqlite3.connect(tmp_path_factory.mktemp("warehouse") / "stock.db")
    connection.isolation_level = None  # the tests' fixture says where transactions begin
    yield connection
    connection.close()


@pytest.fixture
def stock(database):
    """The stock in a transaction that is rolled back: no test sees another's changes."""
    database.execute("begin")
    stock = Stock(database)
    stock.put("tea", 10)
    yield stock
    database.execute("rollback")
