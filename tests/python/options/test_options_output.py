"""Options that say what is shown, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import fidelity
from support.fidelity import Case
from support.harness import Project

ALL = {
    "test_a.py": """
        import logging, sys, warnings
        import pytest

        @pytest.fixture
        def broken():
            print("in setup")
            raise LookupError("no fixture today")

        @pytest.fixture
        def unfinished():
            yield
            print("in teardown")
            raise OSError("left open")

        def test_passes():
            print("printed by a pass")
            print("and to stderr", file=sys.stderr)

        def helper(number):
            local = number * 2
            raise ValueError(f"bad {local}")

        def test_fails():
            word = "long " * 20
            print("printed by a failure")
            print("error output", file=sys.stderr)
            logging.getLogger("mine").warning("logged")
            helper(21)

        def test_compares():
            assert {"a": [1, 2, 3], "b": "x" * 90} == {"a": [1, 2, 4], "b": "x" * 89 + "y"}

        def test_chained():
            try:
                helper(1)
            except ValueError as error:
                raise RuntimeError("outer") from error

        def test_error(broken): pass
        def test_teardown(unfinished): pass
        def test_skips(): pytest.skip("not today")

        @pytest.mark.skipif(True, reason="never")
        def test_skipped(): pass

        @pytest.mark.parametrize("i", range(3))
        def test_skips_alike(i): pytest.skip("not today")

        @pytest.mark.xfail(reason="known")
        def test_xfails():
            print("printed by an xfail")
            helper(3)

        @pytest.mark.xfail(reason="thought to be")
        def test_xpasses(): print("printed by an xpass")

        @pytest.mark.xfail(strict=True, reason="strictly")
        def test_strict(): pass

        @pytest.mark.parametrize("word", ["one", "two"])
        def test_warns(word):
            warnings.warn(f"beware of {word}")
            warnings.warn("old", DeprecationWarning)
        """,
    "test_b.py": "def test_last(): print('last')",
}
PASSING = {"test_a.py": "def test_1(): pass\ndef test_2(): pass", "test_b.py": "def test_3(): pass"}
WARNING = {
    "test_a.py": """
        import warnings
        def test_1(): warnings.warn("one")
        def test_2(): warnings.warn("two", RuntimeWarning)
        """,
    "test_b.py": "import warnings\nwarnings.warn('while collecting')\ndef test_3(): pass",
}
SUBTESTS = {
    "test_a.py": """
        def test_subtests(subtests):
            for i in range(4):
                with subtests.test("number", i=i):
                    assert i != 2
        """
}
UNITTEST = {
    "test_a.py": """
        import unittest
        class Case(unittest.TestCase):
            @classmethod
            def setUpClass(cls): cls.x = 1
            def setUp(self): self.y = 2
            def test_1(self): self.assertEqual(self.x, self.y)
            @unittest.skip("why not")
            def test_2(self): pass
            @unittest.expectedFailure
            def test_3(self): self.fail("known")
            @unittest.expectedFailure
            def test_4(self): pass
            def test_5(self): self.assertIn(1, [1])
        class Broken(unittest.TestCase):
            @classmethod
            def setUpClass(cls): raise OSError("no class")
            def test_6(self): pass
            def test_7(self): pass
        def setUpModule(): pass
        """
}
LONG = {
    "test_a.py": (
        "def test_1(): assert list(range(200)) == list(range(199)) + [0]\n"
        "def test_2(): assert 'a\\n' * 50 == 'b\\n' * 50"
    )
}


def quiet(option: str, *steps: str, files: dict[str, str] = ALL) -> Case:
    """A case whose last lines are not a junit file's."""
    return Case(option, files, steps, junit=False)


CASES = [
    # How much
    quiet("-v --verbose", "-v", "-vv", "-vvv", "--verbose"),
    quiet("-v", "-v", "-vv", "-vvv", files=PASSING),
    quiet("-q --quiet", "-q", "-qq", "-qqq", "--quiet", "-v -q", "-q -vv"),
    quiet("-q", "", "-q", "-qq", "-qqq", files=PASSING),
    quiet(
        "--verbosity",
        "--verbosity=2",
        "--verbosity=1",
        "--verbosity=0 -v",
        "--verbosity=-1",
        "--verbosity=-2",
    ),
    quiet("--no-header", "--no-header", "--no-header -v", "--no-header -q", files=PASSING),
    quiet("--no-summary", "--no-summary", "--no-summary -v", "--no-summary -q"),
    quiet("--no-fold-skipped", "-rs", "-rs --no-fold-skipped", "-ra --no-fold-skipped -v"),
    quiet("--force-short-summary", "--force-short-summary", "--force-short-summary -vv"),
    quiet("--force-short-summary", "-vv", "-vv --force-short-summary", files=LONG),
    *[
        quiet("-r", f"-r{letters} --tb=line")
        for letters in (
            "f",
            "E",
            "s",
            "x",
            "X",
            "p",
            "P",
            "w",
            "a",
            "A",
            "N",
            "fEsxX",
            "xXs",
            "Nf",
            "Z",
        )
    ],
    quiet("-r", "-rA", "-rp", "-rP", "-rp -q", files=PASSING),
    Case("--report-chars", ALL, ["--report-chars=sx", "--report-chars=A"], since=(9, 0)),
    quiet(
        "--disable-warnings --disable-pytest-warnings",
        "--disable-warnings",
        "--disable-pytest-warnings -v",
        files=WARNING,
    ),
    # Failures
    *[
        quiet("--tb", f"--tb={style}")
        for style in ("auto", "long", "short", "line", "native", "no", "nope")
    ],
    quiet(
        "-l --showlocals --no-showlocals",
        "-l",
        "--showlocals --tb=short",
        "--showlocals --no-showlocals",
    ),
    quiet("--xfail-tb", "-rx --xfail-tb", "--xfail-tb -rA", "--xfail-tb --tb=short -rxX"),
    *[
        quiet("--show-capture", f"--show-capture={kind}")
        for kind in ("no", "stdout", "stderr", "log", "all")
    ],
    Case(
        "--full-trace --fulltrace",
        {"test_a.py": "def test_1(): assert 0"},
        ["--full-trace", "--fulltrace -v"],
        n=1,
    ),
    quiet(
        "--color",
        "--color=yes",
        "--color=no",
        "--color=auto",
        "--color=yes -v",
        "--color=yes -q",
        "--color=yes --tb=short -rA",
    ),
    quiet("--color", "--color=yes", "--color=yes -v", "--color=yes -q", files=PASSING),
    quiet(
        "--code-highlight", "--color=yes --code-highlight=no", "--color=yes --code-highlight=yes"
    ),
    quiet(
        "truncation_limit_lines truncation_limit_chars",
        "-o truncation_limit_lines=3",
        "-o truncation_limit_chars=90",
        "-o truncation_limit_lines=0 -o truncation_limit_chars=0",
        files=LONG,
    ),
    quiet(
        "verbosity_assertions",
        "-o verbosity_assertions=2",
        "-v -o verbosity_assertions=0",
        files=LONG,
    ),
    quiet(
        "verbosity_test_cases",
        "-o verbosity_test_cases=1",
        "-v -o verbosity_test_cases=0",
        "-o verbosity_test_cases=-1 -v",
        "-q -o verbosity_test_cases=2",
    ),
    Case(
        "verbosity_subtests",
        SUBTESTS,
        ["-o verbosity_subtests=0 -v", "-o verbosity_subtests=1"],
        since=(9, 0),
    ),
    Case(
        "assertion_text_diff_style",
        LONG,
        ["-o assertion_text_diff_style=block", "-o assertion_text_diff_style=ndiff"],
        since=(9, 2),
    ),
    *[
        quiet(
            "console_output_style",
            f"-o console_output_style={style}",
            f"-v -o console_output_style={style}",
            f"-q -o console_output_style={style}",
        )
        for style in ("classic", "progress", "count", "times", "progress-even-when-capture-no")
    ],
    # Output of tests
    Case("-s", ALL, ["-s", "-s -q", "-s -v"], body=False, n=1),
    *[
        Case(
            "--capture",
            ALL,
            [f"--capture={how} --tb=short", f"--capture={how} -rA"],
            body=False,
            n=1,
        )
        for how in ("fd", "sys", "no", "tee-sys", "nope")
    ],
    # Durations
    quiet(
        "--durations",
        "--durations=0 -vv",
        "--durations=0 -v --durations-min=100",
        "--durations=2 --durations-min=100",
        "--durations=0 --durations-min=0 -q",
    ),
    quiet(
        "--durations-min",
        "--durations=3 --durations-min=50 -vv",
        "--durations-min=0",
        files=PASSING,
    ),
    # Warnings
    *[
        quiet("-W", f"-W {rule} --tb=short", files=WARNING)
        for rule in (
            "error",
            "ignore",
            "error::RuntimeWarning",
            "ignore:one",
            "always",
            "default",
            "nonsense:::::",
        )
    ],
    quiet(
        "--pythonwarnings",
        "--pythonwarnings=error::RuntimeWarning",
        "--pythonwarnings ignore::UserWarning -v",
        files=WARNING,
    ),
    quiet(
        "filterwarnings",
        "-o filterwarnings=error --tb=short",
        "-o filterwarnings=ignore:two:RuntimeWarning",
        files=WARNING,
    ),
    Case(
        "--max-warnings",
        WARNING,
        [
            "--max-warnings=10",
            "--max-warnings=2",
            "--max-warnings=0 -v",
            "--max-warnings=0 -q",
            "--max-warnings=0 -p no:terminal",
        ],
        since=(9, 2),
    ),
    Case(
        "max_warnings",
        WARNING,
        ["-o max_warnings=1", "-o max_warnings=3", "-o max_warnings=1 --max-warnings=9"],
        since=(9, 2),
    ),
    # Kinds of tests
    quiet("unittest", "", "-v", "-rA --tb=short", "-q", files=UNITTEST),
    Case("unittest", UNITTEST, ["", "-x"], n=1),
    Case("subtests", SUBTESTS, ["-v", "-q", "-rA --tb=short", "", "-x"], since=(9, 0)),
    Case("--tb", UNITTEST, ["--tb=long -l", "--tb=native", "--tb=line"], n=1),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytest(shared_project: Project, folder: Path, case: Case) -> None:
    fidelity.check(shared_project, folder, case)
