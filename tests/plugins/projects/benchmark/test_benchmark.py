import pytest


@pytest.mark.parametrize("size", [1, 10, 100])
def test_sum(benchmark, size):
    assert benchmark(sum, range(size)) == size * (size - 1) // 2


def test_pedantic(benchmark):
    calls = []
    benchmark.pedantic(lambda: calls.append(1), rounds=5, iterations=2)
    assert calls


def test_fails(benchmark):
    assert benchmark(lambda: 1) == 2


def test_plain():
    pass
