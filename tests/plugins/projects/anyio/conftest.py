import pytest


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.fixture(scope="module")
async def group(anyio_backend_name):
    import anyio

    async with anyio.create_task_group() as group:
        yield group
        group.cancel_scope.cancel()
