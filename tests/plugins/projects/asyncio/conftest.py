import asyncio

import pytest
import pytest_asyncio


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server():
    async def answer(reader, writer):
        writer.write(b"hello " + await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest_asyncio.fixture
async def task():
    task = asyncio.create_task(asyncio.sleep(60))
    yield task
    task.cancel()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def loop_of_module():
    return asyncio.get_running_loop()
