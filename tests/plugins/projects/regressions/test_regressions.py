import pytest


@pytest.mark.parametrize("name", ["ann", "bob"])
def test_data(data_regression, name):
    data_regression.check({"name": name, "letters": sorted(set(name))})


def test_file(file_regression):
    file_regression.check("made anew in the first run, compared in the second\n")


def test_known(file_regression):
    file_regression.check("as it was\n")


def test_changed(file_regression):
    file_regression.check("as it is\n")


@pytest.mark.parametrize("i", range(5))
def test_plain(i):
    pass
