import asyncio

import pytest


async def test_sleeps():
    await asyncio.sleep(0.01)


async def test_task(task):
    await asyncio.sleep(0)
    assert not task.done()


@pytest.mark.parametrize("name", ["ann", "bob", "eve"])
@pytest.mark.asyncio(loop_scope="session")
async def test_server(server, name):
    reader, writer = await asyncio.open_connection("127.0.0.1", server)
    writer.write(f"{name}\n".encode())
    assert await reader.read() == f"hello {name}\n".encode()
    writer.close()


async def test_fails():
    await asyncio.sleep(0)
    raise ValueError("in a coroutine")


@pytest.mark.xfail(strict=True)
async def test_xfails():
    assert False


@pytest.mark.skip(reason="not now")
async def test_skips():
    pass


def test_not_async():
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


class TestLoop:
    @pytest.mark.asyncio(loop_scope="module")
    async def test_one(self, loop_of_module):
        assert asyncio.get_running_loop() is loop_of_module

    @pytest.mark.asyncio(loop_scope="module")
    async def test_two(self, loop_of_module):
        assert asyncio.get_running_loop() is loop_of_module
