"""Options that say what is collected, selected and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import fidelity
from support.fidelity import Case
from support.harness import Project

TREE = {
    "pytest.ini": """
        [pytest]
        markers =
            slow: takes long
            level(n): how deep
        """,
    "test_a.py": """
        import pytest
        def test_one(): pass
        @pytest.mark.slow
        def test_two(): assert 0
        @pytest.mark.level(n=2)
        class TestGroup:
            def test_in(self): pass
            @pytest.mark.slow
            def test_out(self): pytest.skip("later")
        """,
    "sub/test_b.py": """
        import pytest
        @pytest.mark.parametrize("text", ["a b", "x/y", "p::q", "[z]", "ü", "tab\\t", "(1)", "", "'q'", "a-b", "@at"])
        def test_ids(text): assert text != "x/y"
        def test_one(): pass
        """,  # noqa: E501
    "sub/deep/test_c.py": "def test_c(): pass",
    "other/test_d.py": "def test_d(): pass",
}

LAST = {
    "test_a.py": "def test_1(): pass\ndef test_2(): assert 0\ndef test_3(): pass",
    "test_b.py": "def test_4(): pass\ndef test_5(): assert 0",
    "test_c.py": "def test_6(): pass",
}
# Of another size: pytest, too, takes byte code for current whose source has the same size and
# second.
MENDED = {"test_a.py": "def test_1(): pass\ndef test_2(): assert 1 == 1\ndef test_3(): pass"}
NEW = {
    "test_b.py": "def test_4(): pass\ndef test_5(): pass\ndef test_new(): pass",
    "test_0.py": "def test_0(): pass",
}
STEPS = {
    "test_a.py": """
        def test_1(): pass
        def test_2(): assert 0
        def test_3(): assert 0
        def test_4(): assert 0
        def test_5(): pass
        """
}
ONWARD = {"test_a.py": STEPS["test_a.py"].replace("test_2(): assert 0", "test_2(): assert 1 == 1")}

PACKAGE = {
    "src/pack/__init__.py": "",
    "src/pack/test_in.py": "def test_in(): pass\nclass TestIt:\n    def test_it(self): pass",
    "src/pack/sub/__init__.py": "",
    "src/pack/sub/test_sub.py": "def test_sub(): assert 0",
    "pytest.ini": "[pytest]\npythonpath = src",
}
VIRTUAL = {
    "env/pyvenv.cfg": "",
    "env/test_v.py": "def test_v(): assert 0",
    "env/bin/activate": "",
    "test_a.py": "def test_a(): pass",
}
DUPLICATES = {"test_a.py": "def test_1(): pass\ndef test_2(): assert 0"}
CONFTESTS = {
    "conftest.py": "import pytest\n@pytest.fixture\ndef top(): return 1",
    "sub/conftest.py": "import pytest\n@pytest.fixture\ndef mine(): return 2",
    "sub/test_a.py": "def test_top(top): assert top == 1\ndef test_mine(mine): assert mine == 2",
}
BROKEN = {
    "test_a.py": "import nothing_such",
    "test_b.py": "def test_1(): pass\ndef test_2(): assert 0",
    "test_c.py": "def test_x(:",
}
SAME_NAME = {
    "one/test_same.py": "def test_1(): assert __name__ in ('test_same', 'one.test_same')",
    "two/test_same.py": "def test_2(): assert __name__ in ('test_same', 'two.test_same')",
}
PATHS = {
    "one/test_a.py": (
        "import sys, os\ndef test_1(): assert os.path.dirname(__file__) == sys.path[0]"
    ),
    "two/test_b.py": (
        "import sys, os\ndef test_2(): assert os.path.dirname(__file__) == sys.path[-1]"
    ),
    "three/test_c.py": (
        "import sys, os\ndef test_3(): assert os.path.dirname(__file__) not in sys.path"
    ),
}

CASES = [
    *[
        Case("-k", TREE, [f"-v -k {text}"])
        for text in (
            "one",
            "not␠one",
            "test_ids␠and␠b",
            "TestGroup",
            "nothing_such",
            "one␠or␠(slow␠and␠not␠out)",
        )
    ],
    Case("-k", TREE, ["-k a␠(", "-k ∅", "-k ==1"], junit=False),
    *[
        Case("-m", TREE, [f"-v -m {text}"])
        for text in (
            "slow",
            "not␠slow",
            "level(n=2)",
            "level(n=3)",
            "slow␠and␠level",
            "nothing_such",
        )
    ],
    Case("-m", TREE, ["-m slow(", "-m slow␠-k␠x", "-m slow␠and"], junit=False),
    # Node ids, with any characters
    *[
        Case("arguments", TREE, [f"-v {ids}"])
        for ids in (
            "sub/test_b.py::test_ids[a␠b]",
            "sub/test_b.py::test_ids[x/y] test_a.py::TestGroup",
            "sub/test_b.py::test_ids[p::q] sub/test_b.py::test_ids[[z]]",
            "sub/test_b.py::test_ids[\\xfc] sub/test_b.py::test_ids[tab\\t]",
            "sub/test_b.py::test_ids[] sub/test_b.py::test_ids['q'] sub/test_b.py::test_ids[@at]",
            "test_a.py::TestGroup::test_in test_a.py test_a.py::test_one",
            "sub other",
            "sub sub/deep",
            "test_a.py::TestGroup::test_in test_a.py::test_one test_a.py::TestGroup::test_in",
            "other/../sub/./deep",
            "sub/test_b.py::test_ids test_a.py::test_two",
        )
    ],
    Case(
        "arguments",
        TREE,
        [
            "nope.py",
            "test_a.py::nope",
            "test_a.py::TestGroup::nope other",
            "sub/test_b.py::test_ids[no]",
        ],
    ),
    Case("arguments", TREE, ["test_d.py", "../test_a.py", ". --no-such-option"], cwd="other"),
    Case(
        "@file",
        {**TREE, "args.txt": "-v\ntest_a.py\n-k\none or in\n"},
        ["@args.txt", "@no_such_file"],
    ),
    Case(
        "--deselect",
        TREE,
        ["-v --deselect test_a.py::test_two --deselect=sub", "--deselect test_a.py::TestGroup -v"],
    ),
    Case(
        "--deselect",
        TREE,
        ["-v --deselect sub/test_b.py::test_ids[x/y]", "-v --deselect nope test_a.py"],
    ),
    Case(
        "--ignore",
        TREE,
        ["-v --ignore=sub", "-v --ignore sub/deep --ignore test_a.py", "--ignore=nope other"],
    ),
    Case("--ignore-glob", TREE, ["-v --ignore-glob=*/test_[bc].py", "-v --ignore-glob=*"]),
    Case(
        "--pyargs",
        PACKAGE,
        ["-v --pyargs pack", "-v --pyargs pack.sub.test_sub", "--pyargs pack.nope"],
    ),
    Case("--pyargs", PACKAGE, ["-v --pyargs pack.test_in::TestIt::test_it"]),
    # What the last run left
    Case("--lf --last-failed", LAST, ["", "--lf", MENDED, "--lf -v", "--last-failed", "--lf"]),
    Case("--lf", LAST, ["--lf", "test_a.py", "--lf test_b.py", "--lf", "-k test_5", "--lf -v"]),
    Case("--lf", LAST, ["", {"test_b.py": None}, "--lf", MENDED, "--lf", "--lf"]),
    Case("--lf", LAST, ["-q", "--lf -q", "--lf -qq", "--lf -vv", "--lf --co -q"], junit=False),
    Case("--ff --failed-first", LAST, ["", "--ff -v", "--failed-first", MENDED, "--ff"], n=1),
    Case("--nf --new-first", LAST, ["", NEW, "--nf -v", "--new-first --co", "--nf --ff"], n=1),
    Case(
        "--lfnf --last-failed-no-failures",
        LAST,
        [
            "test_c.py",
            "--lf --lfnf=none",
            "--lf --lfnf=all",
            "--lf --last-failed-no-failures=none -v",
        ],
    ),
    Case("--sw --stepwise", STEPS, ["", "--sw", "--sw", ONWARD, "--stepwise", "--sw -v"], n=1),
    Case(
        "--sw-skip --stepwise-skip", STEPS, ["--sw", "--sw-skip", "--stepwise-skip -v", "--sw"], n=1
    ),
    Case(
        "--sw-reset --stepwise-reset",
        STEPS,
        ["--sw", "--sw --sw-skip", "--sw-reset", "--stepwise-reset -v"],
        n=1,
    ),
    Case(
        "--cache-show",
        LAST,
        ["", "= --cache-show", "= --cache-show=cache/*", "= --cache-show nothing*"],
        junit=False,
        body=False,
    ),
    Case("--cache-clear", LAST, ["", "--cache-clear --lf", "--lf --cache-clear", "--lf"]),
    Case(
        "cache_dir",
        LAST,
        ["-o cache_dir=elsewhere", "-o cache_dir=elsewhere --lf", "--lf"],
        result_files=["elsewhere/v/cache/lastfailed"],
    ),
    Case(
        "--cache-show",
        LAST,
        ["", "--lf"],
        result_files=[".pytest_cache/v/cache/lastfailed", ".pytest_cache/v/cache/nodeids"],
    ),
    Case("-p", LAST, ["-p no:cacheprovider", "-p no:cacheprovider --lf", "-p no:stepwise --sw"]),
    # How it is collected
    Case(
        "--collect-only --collectonly --co",
        TREE,
        [
            "= --collect-only",
            "= --co -q",
            "= --collectonly -qq",
            "= --co -v",
            "= --co -k one",
            "= --co nope.py",
        ],
        junit=False,
    ),
    Case(
        "--collect-only",
        BROKEN,
        ["= --collect-only", "= --co -q", "= --co -qq --continue-on-collection-errors"],
        junit=False,
    ),
    Case(
        "--continue-on-collection-errors",
        BROKEN,
        [
            "",
            "--continue-on-collection-errors -v",
            "--continue-on-collection-errors -x",
            "--continue-on-collection-errors test_b.py",
        ],
    ),
    Case("--collect-in-virtualenv", VIRTUAL, ["-v", "-v --collect-in-virtualenv"]),
    Case(
        "--keep-duplicates --keepduplicates",
        DUPLICATES,
        ["-v test_a.py test_a.py", "-v --keep-duplicates test_a.py test_a.py"],
    ),
    Case("--noconftest", CONFTESTS, ["-v", "-v --noconftest"]),
    Case(
        "--confcutdir",
        CONFTESTS,
        ["-v --confcutdir=. sub", "-v --confcutdir=sub sub", "--confcutdir=nope"],
    ),
    Case(
        "--import-mode",
        SAME_NAME,
        ["-v", "-v --import-mode=importlib", "--import-mode=append", "--import-mode=nope"],
    ),
    Case(
        "--import-mode",
        PATHS,
        ["--import-mode=prepend one", "--import-mode=append two", "--import-mode=importlib three"],
    ),
    Case("-x --exitfirst", STEPS, ["-x", "--exitfirst -v", "-x -q"], n=1),
    Case(
        "--maxfail",
        STEPS,
        ["--maxfail=2", "--maxfail=3 -v", "--maxfail=0", "--maxfail=x", "--maxfail=2 --tb=no"],
        n=1,
    ),
    # ini options
    Case(
        "testpaths",
        {**TREE, "pytest.ini": "[pytest]\ntestpaths = sub/deep other nowhere\n"},
        ["-v", "-v test_a.py"],
    ),
    Case("norecursedirs", TREE, ["-v -o norecursedirs=deep␠other"]),
    Case(
        "python_files",
        {"check_a.py": "def test_1(): assert 0", "test_b.py": ""},
        ["-v", "-v -o python_files=check_*.py"],
    ),
    Case(
        "python_classes",
        {"test_a.py": "class Check:\n    def test_1(self): assert 0"},
        ["-v", "-v -o python_classes=Check"],
    ),
    Case(
        "python_functions",
        {"test_a.py": "def check_1(): assert 0"},
        ["-v", "-v -o python_functions=check_"],
    ),
    Case(
        "collect_imported_tests",
        {"one.py": "def test_1(): assert 0", "test_a.py": "from one import test_1"},
        ["-v", "-v -o collect_imported_tests=false"],
    ),
    Case(
        "consider_namespace_packages",
        {"name/space/test_a.py": "def test_1(): assert __name__ == 'name.space.test_a'"},
        ["", "-o consider_namespace_packages=true -o pythonpath=."],
    ),
    Case(
        "pythonpath",
        {"lib/helper.py": "X = 1", "test_a.py": "import helper\ndef test_1(): pass"},
        ["", "-o pythonpath=lib"],
    ),
    Case(
        "empty_parameter_set_mark",
        {"test_a.py": "import pytest\n@pytest.mark.parametrize('a', [])\ndef test_1(a): pass"},
        [
            "-rA",
            "-rA -o empty_parameter_set_mark=xfail",
            "-o empty_parameter_set_mark=fail_at_collect",
        ],
    ),
    Case(
        "disable_test_id_escaping_and_forfeit_all_rights_to_community_support",
        TREE,
        ["-v -o disable_test_id_escaping_and_forfeit_all_rights_to_community_support=true"],
    ),
    Case(
        "usefixtures",
        {
            "test_a.py": "import os\ndef test_1(): assert os.getenv('SEEN') == '1'",
            "conftest.py": (
                "import pytest\n@pytest.fixture\ndef seen(monkeypatch): "
                "monkeypatch.setenv('SEEN', '1')"
            ),
        },
        ["-v", "-v -o usefixtures=seen"],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytest(shared_project: Project, folder: Path, case: Case) -> None:
    fidelity.check(shared_project, folder, case)
