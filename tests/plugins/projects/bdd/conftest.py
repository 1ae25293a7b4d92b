import pytest
from pytest_bdd import given, parsers, then, when


def pytest_configure(config):
    config.addinivalue_line("markers", "wip: being worked on")


def pytest_bdd_step_error(request, feature, scenario, step, step_func, step_func_args, exception):
    print(f"step failed: {step.name}")


@given("an empty cart", target_fixture="cart")
def empty():
    return []


@when(parsers.re(r"I add (?P<count>\d+) things?"), converters={"count": int})
def add(cart, count):
    cart.extend(range(count))


@then(parsers.re(r"there (is|are) (?P<total>\d+) things?"), converters={"total": int})
def check(cart, total):
    assert len(cart) == total
