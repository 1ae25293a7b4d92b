import anyio
import pytest
import sniffio

pytestmark = pytest.mark.anyio


async def test_backend(anyio_backend_name):
    assert sniffio.current_async_library() == anyio_backend_name


async def test_group(group):
    done = anyio.Event()

    async def work():
        done.set()

    group.start_soon(work)
    with anyio.fail_after(5):
        await done.wait()


@pytest.mark.parametrize("size", [0, 1, 5])
async def test_stream(size):
    send, receive = anyio.create_memory_object_stream(max_buffer_size=10)
    async with send, receive:
        for number in range(size):
            await send.send(number)
        assert [await receive.receive() for _ in range(size)] == list(range(size))


async def test_fails():
    await anyio.sleep(0)
    assert False


async def test_thread():
    assert await anyio.to_thread.run_sync(sum, range(5)) == 10
