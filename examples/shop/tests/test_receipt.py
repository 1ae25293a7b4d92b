import logging
import sys

import pytest

from shop.receipt import WIDTH, receipt


@pytest.fixture
def tea(cart):
    cart.add("tea", 2)
    cart.add("sieve")
    return cart


def test_lines(tea):
    assert receipt(tea).splitlines() == [
        "  1 x sieve                 3.10",
        "  2 x tea                   9.00",
        "--------------------------------",
        "total                      12.10",
        "VAT                         1.94",
    ]


def test_no_line_is_too_wide(tea):
    assert {len(line) for line in receipt(tea).splitlines()} == {WIDTH}


def test_printing(tea, capsys):
    print(receipt(tea), end="")
    assert capsys.readouterr().out.count("\n") == 5


def test_is_logged(tea, caplog):
    caplog.set_level(logging.INFO)
    receipt(tea)
    assert caplog.messages == ["receipt for 3 articles"]


def test_saved_to_a_file(tea, tmp_path):
    path = tmp_path / "receipt.txt"
    path.write_text(receipt(tea))
    assert path.read_text() == receipt(tea)


@pytest.mark.skipif(sys.platform != "win32", reason="prints to a Windows printer")
def test_printer():
    raise AssertionError("never runs here")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 10, 100, 999])
def test_columns_hold_any_count(cart, count):
    cart.add("honey", count)
    assert all(len(line) == WIDTH for line in receipt(cart).splitlines())
