import os

import pytest

import shop


@pytest.fixture(scope="module")
def frozen(module_mocker):
    return module_mocker.patch("shop.time.time", return_value=42)


@pytest.fixture(scope="session")
def name(session_mocker):
    session_mocker.patch("os.getlogin", return_value="nobody")
    return "nobody"


@pytest.mark.parametrize("i", range(5))
def test_patch(mocker, i):
    mocker.patch.object(shop.Cart, "total", return_value=i)
    assert shop.Cart().add("tea") == i


def test_unpatched():
    assert shop.Cart().add("tea", 3) == 3


def test_spy(mocker):
    spy = mocker.spy(shop.Cart, "add")
    cart = shop.Cart()
    cart.add("tea", price=2)
    spy.assert_called_once_with(cart, "tea", price=2)
    assert spy.spy_return == 2


def test_frozen(frozen):
    assert shop.clock() == 42


def test_login(name):
    assert os.getlogin() == name


def test_fails(mocker):
    stub = mocker.stub(name="callback")
    stub(1, key=[2])
    stub.assert_called_once_with(1, key=[3])


def test_resource(mocker):
    mocker.patch.dict(os.environ, {"SHOP": "open"})
    assert os.environ["SHOP"] == "open"


def test_gone():
    assert "SHOP" not in os.environ
