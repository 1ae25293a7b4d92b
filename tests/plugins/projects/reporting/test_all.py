import sys
import warnings

import pytest


@pytest.mark.parametrize("name", ["ann", "bob", "ünï", "a[b]", "<i>"])
def test_passes(name):
    print(f"hello {name}")


def test_fails():
    print("on the way")
    print("to the error", file=sys.stderr)
    numbers = {"one": 1, "two": [2]}
    assert numbers == {"one": 1, "two": [3]}


def test_raises():
    def inner(value):
        return 1 // value

    inner(0)


def test_error(nothing_such):
    pass


def test_teardown(broken_teardown):
    print("the call is fine")


@pytest.mark.skip(reason="not today")
def test_skips():
    pass


@pytest.mark.xfail(reason="known")
def test_xfails():
    assert False


@pytest.mark.xfail
def test_xpasses():
    pass


def test_warns():
    warnings.warn(UserWarning("be careful"))


@pytest.mark.nightly
def test_property(record_property):
    record_property("price", 3)


class TestClass:
    """Documented."""

    @pytest.mark.parametrize("i", range(4))
    def test_method(self, i, caplog):
        import logging

        logging.getLogger("shop").warning("number %d", i)
