import asyncio
import subprocess
import sys

import pytest


@pytest.mark.parametrize("i", range(10))
async def test_gather(i):
    assert await asyncio.gather(*(asyncio.sleep(0.001, n) for n in range(i))) == list(range(i))


async def test_subprocess():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(42)", stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    assert output == b"42\n"


async def test_thread():
    assert await asyncio.to_thread(sum, range(10)) == 45


async def test_error(request):
    request.addfinalizer(lambda: 1 / 0)
