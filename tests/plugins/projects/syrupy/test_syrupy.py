import pytest


@pytest.mark.parametrize("name", ["ann", "bob", "eve"])
def test_known(snapshot, name):
    assert {"name": name, "length": len(name)} == snapshot


def test_two(snapshot):
    assert [1, 2, 3] == snapshot
    assert "text" == snapshot(name="second")


def test_changed(snapshot):
    assert "new" == snapshot


def test_missing(snapshot):
    assert "never written" == snapshot


def test_inexact(snapshot):
    assert object != snapshot


def test_plain():
    pass
