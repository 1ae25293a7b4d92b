import pytest
import trio


@pytest.fixture
async def echo(nursery):
    async def serve(stream):
        async with stream:
            async for data in stream:
                await stream.send_all(data.upper())

    listeners = await nursery.start(trio.serve_tcp, serve, 0)
    return trio.testing.open_stream_to_socket_listener, listeners[0]
