"""A project that has everything a report can be about, for comparisons with plain pytest.

Nothing in it depends on which worker runs a test, on time, or on addresses; what does (temporary
paths, durations) is evened out by `normalised`.
"""

from __future__ import annotations

import re

import pytest

from support.harness import Project

_CONFTEST = '''
import logging

import pytest

def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes long")
    config.addinivalue_line("markers", "fast: does not")

# Workers have fixtures of these names, which would make the list of "available fixtures" longer than pytest's.
@pytest.fixture
def worker_id(): return "mine"

@pytest.fixture
def testrun_uid(): return "mine"

@pytest.fixture
def broken():
    """Its setup fails."""
    print("printed by the setup")
    logging.getLogger("setup").warning("logged by the setup")
    raise LookupError("no such thing")

@pytest.fixture
def leaky():
    yield "value"
    print("printed by the teardown")
    raise OSError("can't clean up")

@pytest.fixture
def needs_broken(broken):
    return broken
'''  # noqa: E501

_OUTCOMES = """
import inspect
import logging
import sys
import warnings

import pytest

def test_passes(): pass

def test_passes_with_output():
    print("printed and passed")
    print("to stderr", file=sys.stderr)

def test_fails_plainly():
    assert [1, 2, 3] == [1, 2, 4]

def test_fails_with_output():
    print("printed before the failure")
    print("error output", file=sys.stderr)
    logging.getLogger("app").warning("logged %s", "before the failure")
    local_variable = {"key": "value" * 3}
    assert local_variable == {"key": "other"}, "with a message"

def helper(depth):
    if depth:
        return helper(depth - 1)
    raise ValueError("deep\\nin two lines")

def test_fails_deep():
    helper(2)

def test_fails_chained():
    try:
        {}["missing"]
    except KeyError as error:
        raise RuntimeError("while handling") from error

def test_fails_in_context():
    try:
        1 / 0
    except ZeroDivisionError:
        raise TypeError("another")

def test_fails_by_call():
    pytest.fail("said so")

def test_fails_without_trace():
    pytest.fail("only this line", pytrace=False)

def test_fails_raises():
    with pytest.raises(ValueError):
        pass

def test_fails_recursion():
    def again(n):
        return again(n + 1)
    sys.setrecursionlimit(len(inspect.stack()) + 150)
    try:
        again(0)
    finally:
        sys.setrecursionlimit(1000)

def test_fails_unicode():
    assert "grün ✓" == "gr\\u00fcn ✗"

def test_setup_error(broken): pass
def test_setup_error_below(needs_broken): pass
def test_teardown_error(leaky): pass
def test_fails_twice(leaky): assert leaky == "other"
def test_missing_fixture(no_such_fixture): pass

@pytest.mark.skip(reason="not today")
def test_skip_mark(): pass

@pytest.mark.skipif(sys.version_info > (3,), reason="a long reason that does not fit into one line of the terminal at all, so it is cut")
def test_skipif(): pass

def test_skips_itself(): pytest.skip("changed my mind")

@pytest.mark.xfail(reason="known bug")
def test_xfail(): assert False

@pytest.mark.xfail(raises=ValueError)
def test_xfail_other_error(): raise KeyError("unexpected")

@pytest.mark.xfail
def test_xpass(): print("printed by an xpass")

@pytest.mark.xfail(strict=True, reason="must fail")
def test_xpass_strict(): pass

def test_xfail_call(): pytest.xfail("gave up")

def test_warns():
    warnings.warn("careful", UserWarning, stacklevel=1)
    warnings.warn(DeprecationWarning("old"), stacklevel=1)

@pytest.mark.parametrize("n", [1, 2])
def test_warns_alike(n):
    warnings.warn("the same for all", UserWarning)

@pytest.mark.slow
def test_marked_slow(): pass

@pytest.mark.fast
def test_marked_fast(tmp_path): assert (tmp_path / "x").exists()

def test_prints_odd_things():
    print("a\\ttab, \\x1b[31mred\\x1b[0m, bell \\x07")
    print("no line end", end="")
    assert 0
"""  # noqa: E501

_PARAMS = """
import pytest

@pytest.mark.parametrize("text", ["ü", "a b", "a::b", "a/b", "[x]", "", "line\\nbreak", "tab\\t", "back\\\\slash", "日本", "-k"])
def test_ids(text):
    assert text != "a::b"

@pytest.mark.parametrize("value", [None, 1.5, True, b"bytes", object, pytest.param(1, id="named"), pytest.param(2, marks=pytest.mark.skip)])
def test_values(value): pass

@pytest.fixture(params=["x", "y"], scope="module")
def letter(request): return request.param

@pytest.mark.parametrize("number", [1, 2])
def test_product(letter, number): assert (letter, number) != ("y", 2)

@pytest.mark.parametrize("nothing", [])
def test_no_params(nothing): pass
"""  # noqa: E501

_CLASSES = """
import unittest

import pytest

class TestOuter:
    @pytest.fixture(autouse=True)
    def prepare(self): self.value = 1

    def test_method(self): assert self.value == 1
    def test_method_fails(self): assert self.value == 2

    class TestInner:
        def test_inner(self): pass

class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls): cls.shared = []

    def setUp(self): self.value = 1
    def test_equal(self): self.assertEqual(self.value, 1)
    def test_not_equal(self): self.assertEqual(self.value, 2)
    @unittest.skip("not now")
    def test_skipped(self): pass
    @unittest.expectedFailure
    def test_expected(self): self.fail()
    @unittest.expectedFailure
    def test_unexpected(self): pass
    def test_sub(self):
        for i in range(3):
            with self.subTest(i=i):
                self.assertNotEqual(i, 1)

class BrokenClass(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise RuntimeError("no class")
    def test_one(self): pass
    def test_two(self): pass

class TestXunit:
    def setup_method(self, method): self.x = 1
    def teardown_method(self, method): assert method.__name__ != "test_bad_teardown"
    def test_good(self): pass
    def test_bad_teardown(self): pass
"""

_JUNIT = """
import logging
import sys

import pytest

def test_property(record_property):
    record_property("color", "blue & <green>")
    record_property("number", 3)

def test_property_of_a_failure(record_property):
    record_property("why", "it fails")
    assert 0

def test_attribute(record_xml_attribute):
    record_xml_attribute("assertions", "7")

def test_suite_property(record_testsuite_property):
    record_testsuite_property("ARCH", "x86 & others")

def test_control_characters():
    print("\\x00\\x01 and ü")
    assert "\\x02" == "]]>"

def test_logs():
    logging.getLogger("junit").error("logged in a passing test")
    print("printed in a passing test")
    print("stderr of a passing test", file=sys.stderr)
"""

_SUBTESTS = """
def test_subtests(subtests):
    for i in range(3):
        with subtests.test("even", i=i):
            print("in subtest", i)
            assert i % 2 == 0

def test_subtests_all_pass(subtests):
    with subtests.test(msg="fine"):
        pass

def test_subtests_and_failure(subtests):
    with subtests.test():
        assert "inner" == ""
    assert "outer" == ""

def test_subtest_skips(subtests):
    import pytest
    with subtests.test("skipping"):
        pytest.skip("this part")
"""

_FILES = {
    "conftest.py": _CONFTEST,
    "pytest.ini": "[pytest]\nmarkers =\n    other: of no use\n",
    "test_outcomes.py": _OUTCOMES,
    "test_params.py": _PARAMS,
    "test_classes.py": _CLASSES,
    "test_junit_things.py": _JUNIT,
    "test_async.py": (
        "async def test_async(): pass\n\nasync def test_async_fixture(tmp_path): pass\n"
    ),
    "test_skipped_module.py": (
        'import pytest\npytest.skip("whole module", allow_module_level=True)\n'
    ),
    "test_missing_import.py": 'import pytest\npytest.importorskip("no_such_module_anywhere")\n',
    "package/__init__.py": '"""\n>>> 1 + 1\n2\n"""\n',
    "package/code.py": (
        'def double(x):\n    """Twice.\n\n    >>> double(2)\n    4\n    >>> double(3)\n    7\n'
        '    """\n    return 2 * x\n'
    ),
    "package/deep/__init__.py": "",
    "package/deep/conftest.py": (
        "import pytest\n\n@pytest.fixture(scope='package')\ndef deep(): return 'deep'\n"
    ),
    "package/deep/test_deep.py": (
        "def test_deep(deep): assert deep == 'deep'\n"
        "def test_deep_fails(deep): assert deep == 'shallow'\n"
    ),
    "collect_warning/test_warned.py": (
        "class TestWithInit:\n    def __init__(self): pass\n    def test_never(self): pass\n\n"
        "def test_ok(): pass\n"
    ),
}

BROKEN_MODULES = {
    "broken/test_broken_import.py": "import nothing_of_that_name\n\ndef test_never(): pass\n",
    "broken/test_broken_syntax.py": "def test_never(: pass\n",
    "broken/test_whole.py": "def test_whole(): pass\n",
}


def write(project: Project) -> None:
    """Write the project."""
    files = dict(_FILES)
    if int(pytest.__version__.partition(".")[0]) >= 9:
        files["test_subtests.py"] = _SUBTESTS
    for name, text in {**files, **BROKEN_MODULES}.items():
        path = project.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"))


_SECTION = re.compile(r"^([=\-!_])\1* (?!test session starts).+ \1+$")


WORKER_LINE = re.compile(r"\[worker \d+\] \w+ -- Python \d")


def sections(output: str) -> str:
    """What stands below the results: from the first line with a title in a rule on; without one,
    the last line.

    Without the line that says under `-v` which worker a failure was in.
    """
    lines = [line for line in output.splitlines() if not WORKER_LINE.match(line)]
    plain = [uncolored(line) for line in lines]
    start = next((at for at, line in enumerate(plain) if _SECTION.match(line)), None)
    if start is None:
        start = max(
            (at for at, line in enumerate(plain) if re.search(r" in \d+(\.\d+)?s", line)),
            default=len(lines),
        )
    return "\n".join(lines[start:])


def header(output: str) -> list[str]:
    """What stands above the results, without the lines that are one runner's own."""
    # An installed pytest-xdist is left out by rpytest; the path of Python may be another name of
    # the same program.
    own = re.compile(
        r"plugins: |created: |bringing up nodes|\d+ workers? \[|[\w/]+\.py(::| [-.FEsxXu])|\[worker |start method: |scheduling tests: |collection: |[-.FEsxXu]+( +\[ *\d+%\])?$"  # noqa: E501
    )
    lines = []
    for line in output.splitlines():
        if own.match(line) or not line.strip():
            continue
        if _SECTION.match(line) or re.search(r" in \d+\.\d+s", line):
            break
        lines.append(re.sub(r" -- /\S+$", "", line.rstrip()))
    return lines


def uncolored(text: str) -> str:
    """Without the escape sequences of colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def normalised(text: str) -> str:
    """Without what differs between two runs of the same pytest; the fill of lines whose length
    depends on it goes too.
    """
    text = re.sub(r"\bpopen-gw\d+(-\d+)?/", "", text)
    text = re.sub(r"pytest-of-[^/\s]+/pytest-\d+", "TMP", text)
    # Descriptors are numbered differently.
    text = re.sub(r"<CaptureManager .*>$", "<CaptureManager>", text, flags=re.M)
    text = re.sub(r"0x[0-9a-f]{6,}", "0xADDRESS", text)
    text = re.sub(r"\bin \d+\.\d+s( \(\d+:\d\d:\d\d\))?", "in TIME", text)
    text = re.sub(r"^\d+\.\d+s (setup|call|teardown) ", r"TIME \1 ", text, flags=re.M)
    # The final line is filled up to the width.
    return re.sub(r"^(\x1b\[\d+m)?=+ (.*in TIME.*?) ?=+", r"\1= \2 =", text, flags=re.M)
