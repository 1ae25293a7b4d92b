import unittest

import pytest


def test_some(subtests):
    for i in range(4):
        with subtests.test(msg="number", i=i):
            assert i % 2 == 0


def test_all_pass(subtests):
    for i in range(3):
        with subtests.test(i=i):
            pass


def test_skip_inside(subtests):
    with subtests.test("skipped"):
        pytest.skip("not this one")
    with subtests.test("fails"):
        raise ValueError("this one")


def test_fails_after(subtests):
    with subtests.test("ok"):
        pass
    assert False


class TestCase(unittest.TestCase):
    def test_sub(self):
        for i in range(3):
            with self.subTest(i=i):
                self.assertNotEqual(i, 1)


@pytest.mark.parametrize("i", range(4))
def test_plain(i):
    pass
