"""The same tests, outcomes and exit status as pytest, whatever the number of workers."""

from __future__ import annotations

import pytest

from support.harness import Project

WORKERS = pytest.mark.parametrize("n", [1, 2, 4])


@WORKERS
def test_passing(project: Project, n: int) -> None:
    project.write(test_a="def test_1(): pass\ndef test_2(): pass", test_b="def test_3(): pass")
    result = project.compare(n=n)
    assert result.status == 0
    assert result.outcomes == {
        "test_a::test_1": "passed",
        "test_a::test_2": "passed",
        "test_b::test_3": "passed",
    }
    assert result.counts == {"passed": 3}


@WORKERS
def test_every_outcome(project: Project, n: int) -> None:
    project.write(
        test_all="""
        import pytest

        @pytest.fixture
        def bad_setup():
            raise LookupError("no such thing")

        @pytest.fixture
        def bad_teardown():
            yield
            raise OSError("can't clean up")

        def test_passes(): pass

        def test_fails():
            print("printed before the failure")
            assert [1, 2] == [1, 3]

        def test_setup_error(bad_setup): pass
        def test_teardown_error(bad_teardown): pass
        def test_fails_twice(bad_teardown): assert False

        @pytest.mark.skip(reason="not today")
        def test_skip_mark(): pass

        def test_skips_itself(): pytest.skip("changed my mind")

        @pytest.mark.xfail(reason="known bug")
        def test_xfail(): assert False

        @pytest.mark.xfail
        def test_xpass(): pass

        @pytest.mark.xfail(strict=True)
        def test_xpass_strict(): pass
        """
    )
    result = project.compare(n=n)
    assert result.status == 1
    assert {id.rpartition("::")[2]: outcome for id, outcome in result.outcomes.items()} == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_setup_error": "error",
        "test_teardown_error": "error",
        "test_fails_twice": "error+failed",
        "test_skip_mark": "skipped",
        "test_skips_itself": "skipped",
        "test_xfail": "xfailed",
        "test_xpass": "passed",
        "test_xpass_strict": "failed",
    }
    assert result.case("test_skip_mark").message == "not today"
    assert "printed before the failure" in result.stdout
    assert result.counts == {
        "failed": 3,
        "passed": 2,
        "skipped": 2,
        "xfailed": 1,
        "xpassed": 1,
        "errors": 3,
    }


@WORKERS
def test_fixtures_of_every_scope(project: Project, n: int) -> None:
    project.write(
        {
            "pkg/__init__.py": "",
            "pkg/conftest.py": """
                import pytest

                def counter(scope):
                    @pytest.fixture(scope=scope, name=scope + "_value")
                    def fixture(request):
                        assert request.scope == scope
                        value = [scope]
                        yield value
                        value.clear()
                    return fixture

                a = counter("session")
                b = counter("package")
                c = counter("module")
                d = counter("class")
                e = counter("function")
                """,
            "pkg/test_scopes.py": """
                class TestScopes:
                    def test_wide(self, session_value, package_value, module_value):
                        assert session_value + package_value == ["session", "package"]
                        assert module_value == ["module"]

                    def test_narrow(self, class_value, function_value):
                        assert class_value == ["class"]
                        function_value.append("mine")

                    def test_function_value_is_new(self, function_value):
                        assert function_value == ["function"]
                """,
        }
    )
    assert project.compare(n=n).counts == {"passed": 3}


@WORKERS
def test_parametrization(project: Project, n: int) -> None:
    project.write(
        test_params="""
        import pytest

        @pytest.fixture(params=["a", "b"])
        def letter(request):
            return request.param

        @pytest.mark.parametrize("number", [1, 2, pytest.param(3, id="three")])
        def test_pair(letter, number):
            assert (letter, number) != ("b", 2)

        @pytest.mark.parametrize("text", ["ü", "a b", "a::b", "a/b", "[x]"])
        def test_odd_ids(text):
            assert text
        """
    )
    result = project.compare(n=n)
    assert result.outcome("test_pair[b-2]") == "failed"
    assert result.counts == {"failed": 1, "passed": 10}


@WORKERS
def test_unittest_and_classes(project: Project, n: int) -> None:
    project.write(
        test_classes="""
        import unittest

        class TestPlain:
            def test_1(self): pass
            class TestNested:
                def test_2(self): pass

        class Case(unittest.TestCase):
            def setUp(self): self.value = 1
            def test_3(self): self.assertEqual(self.value, 1)
            @unittest.skip("not now")
            def test_4(self): pass
            @unittest.expectedFailure
            def test_5(self): self.fail()
        """
    )
    assert project.compare(n=n).counts == {"passed": 3, "skipped": 1, "xfailed": 1}


@pytest.mark.parametrize("n", [1, 2])
class TestExitStatus:
    def test_0_all_passed(self, project: Project, n: int) -> None:
        project.write(test_a="def test_1(): pass")
        assert project.compare(n=n).status == 0

    def test_1_some_failed(self, project: Project, n: int) -> None:
        project.write(test_a="def test_1(): assert 0\ndef test_2(): pass")
        assert project.compare(n=n).status == 1

    def test_2_collection_error(self, project: Project, n: int) -> None:
        project.write(test_a="def test_1(): pass", test_b="import nothing_of_that_name")
        result = project.compare(n=n)
        assert result.status == 2
        assert "nothing_of_that_name" in result.stdout

    def test_2_syntax_error(self, project: Project, n: int) -> None:
        project.write(test_a="def test_1(: pass")
        assert project.compare(n=n).status == 2

    def test_4_unknown_option(self, project: Project, n: int) -> None:
        result = project.compare("--no-such-option", n=n)
        assert result.status == 4
        assert "--no-such-option" in result.stderr

    def test_4_missing_path(self, project: Project, n: int) -> None:
        result = project.compare("missing.py", n=n)
        assert result.status == 4
        assert "missing.py" in result.stdout + result.stderr

    def test_5_no_tests(self, project: Project, n: int) -> None:
        project.write(test_a="")
        assert project.compare(n=n).status == 5

    def test_5_all_deselected(self, project: Project, n: int) -> None:
        project.write(test_a="def test_1(): pass")
        assert project.compare("-k", "nothing", n=n).status == 5


def test_a_second_run_sees_an_edit(project: Project) -> None:
    project.write(test_a="def test_1(): pass")
    assert project.rpytest("-n", "2").status == 0
    assert project.rpytest("-n", "2").status == 0
    project.write(test_a="def test_1(): assert 'edited' == ''")
    assert project.compare().status == 1


def test_runs_of_the_example_suite(project: Project, request: pytest.FixtureRequest) -> None:
    example = request.config.rootpath / "examples" / "shop"
    result = project.compare("-p", "no:cacheprovider", cwd=example)
    assert result.counts == {"failed": 1, "passed": 61, "skipped": 2, "xfailed": 2}
