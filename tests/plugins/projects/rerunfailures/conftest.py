import pytest


@pytest.fixture
def attempt(request, tmp_path_factory):
    """How often this test has begun, this time included; counted in a file, since a new worker may
    run it.
    """
    file = request.config.rootpath / ".made" / f"{request.node.name}.count"
    count = int(file.read_text()) + 1 if file.exists() else 1
    file.write_text(str(count))
    return count
