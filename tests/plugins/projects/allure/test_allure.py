import allure
import pytest


@allure.feature("cart")
@allure.story("adding")
@allure.severity(allure.severity_level.CRITICAL)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_steps(count):
    with allure.step(f"add {count}"):
        items = list(range(count))
    with allure.step("count"):
        allure.attach(str(items), name="items", attachment_type=allure.attachment_type.TEXT)
        assert len(items) == count


@allure.title("a title of its own")
@allure.link("https://example.org/1")
def test_titled():
    pass


@pytest.fixture
def prepared():
    with allure.step("inside of a fixture"):
        yield 1


def test_fails(prepared):
    allure.dynamic.description("told at run time")
    assert prepared == 2


@pytest.mark.skip(reason="not today")
def test_skips():
    pass


@pytest.mark.xfail(reason="known")
def test_xfails():
    assert False


class TestClass:
    @pytest.mark.parametrize("i", range(4))
    def test_method(self, i):
        pass
