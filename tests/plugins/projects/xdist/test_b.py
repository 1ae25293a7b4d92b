import os

import pytest


@pytest.mark.parametrize("i", range(6))
def test_identity(i, seen, worker_id, account):
    assert seen == worker_id == os.environ["PYTEST_XDIST_WORKER"]
    assert account == f"account-{worker_id}"


@pytest.mark.xdist_group("one")
def test_group(worker_id):
    assert worker_id != "master"


class TestClass:
    worker = None

    def test_first(self, worker_id):
        TestClass.worker = worker_id

    def test_second(self, worker_id):
        assert TestClass.worker == worker_id


def test_fails():
    assert False
