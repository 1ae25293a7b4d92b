from pytest_bdd import scenarios

scenarios("features")


def test_plain():
    pass
