import os
import sys

import pytest
import xdist


def pytest_xdist_auto_num_workers(config):
    return 2


@pytest.fixture(scope="session")
def account(worker_id, tmp_path_factory):
    """The recipe of pytest-xdist's manual: one name a worker."""
    assert tmp_path_factory.getbasetemp().name == f"popen-{worker_id}"
    return f"account-{worker_id}"


@pytest.fixture
def seen(request, testrun_uid):
    config = request.config
    assert xdist.is_xdist_worker(request) and not xdist.is_xdist_controller(request)
    assert config.pluginmanager.hasplugin("xdist")
    assert os.environ["PYTEST_XDIST_TESTRUNUID"] == testrun_uid == config.workerinput["testrunuid"]
    return xdist.get_xdist_worker_id(request)
