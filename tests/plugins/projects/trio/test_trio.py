import pytest
import trio
import trio.testing


async def test_sleeps(autojump_clock):
    began = trio.current_time()
    await trio.sleep(100)
    assert trio.current_time() - began == 100


@pytest.mark.parametrize("text", [b"a", b"bc", b"def"])
async def test_echo(echo, text):
    connect, listener = echo
    stream = await connect(listener)
    async with stream:
        await stream.send_all(text)
        assert await stream.receive_some() == text.upper()


async def test_fails(autojump_clock):
    with trio.fail_after(1):
        await trio.sleep(5)


@pytest.mark.xfail
async def test_xfails():
    await trio.sleep(0)
    assert False


@pytest.mark.parametrize("i", range(8))
def test_plain(i):
    assert i != 3
