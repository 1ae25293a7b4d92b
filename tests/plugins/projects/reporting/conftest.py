import pytest


@pytest.fixture
def broken_teardown():
    yield
    raise OSError("while cleaning up")
