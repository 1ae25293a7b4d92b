import hypothesis.strategies as st
import pytest
from hypothesis import event, example, given, note, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule


@given(st.lists(st.integers()))
def test_sorted(numbers):
    event("empty" if not numbers else "some")
    assert sorted(sorted(numbers, reverse=True)) == sorted(numbers)


@given(st.integers())
def test_fails(number):
    note("looked at a number")
    assert number < 1000


@given(st.text())
@example("")
@settings(max_examples=20)
def test_text(text):
    assert text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass") == text


@pytest.mark.parametrize("base", [2, 3, 10])
@given(st.integers(min_value=0, max_value=10_000))
def test_digits(base, number):
    digits = []
    rest = number
    while rest:
        rest, digit = divmod(rest, base)
        digits.append(digit)
    assert sum(digit * base**i for i, digit in enumerate(digits)) == number


class Stack(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.items = []

    @rule(item=st.integers())
    def push(self, item):
        self.items.append(item)

    @rule()
    def pop(self):
        if self.items:
            self.items.pop()

    @invariant()
    def counted(self):
        assert len(self.items) >= 0


TestStack = Stack.TestCase


def test_plain():
    pass
