"""Options that say how tests run, what is printed instead, where settings come from."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from support import fidelity
from support.fidelity import Case
from support.harness import Project, Result

FIXTURES = {
    "conftest.py": """
        import pytest
        @pytest.fixture(scope="session", autouse=True)
        def everywhere():
            "For all."
            yield
        """,
    "test_a.py": '''
        import pytest
        @pytest.fixture(scope="module", params=["x", "y"])
        def letter(request):
            """A letter.

            And more about it."""
            return request.param
        @pytest.fixture
        def _hidden(letter): "Not shown without -v."
        def test_1(letter): "What it is."
        def test_2(_hidden): assert _hidden
        ''',
}
MARKS = {
    "pytest.ini": "[pytest]\nmarkers =\n    mine: of this project\n",
    "test_a.py": (
        "import pytest\n@pytest.mark.mine\ndef test_1(): pass\n@pytest.mark.theirs\n"
        "def test_2(): assert 0"
    ),
}
XFAIL = {
    "test_a.py": """
        import pytest
        @pytest.mark.xfail
        def test_1(): assert 0
        @pytest.mark.xfail(run=False)
        def test_2(): assert 0
        @pytest.mark.xfail(strict=True)
        def test_3(): pass
        @pytest.mark.xfail(raises=OSError)
        def test_4(): raise ValueError
        def test_5(): pytest.xfail("inside")
        @pytest.mark.xfail
        def test_6(): pass
        """
}
PLACES = {
    "pytest.ini": "[pytest]\naddopts = -v\n",
    "other.ini": "[pytest]\naddopts = -rA\npython_functions = check_*\n",
    "other.toml": "[tool.pytest.ini_options]\naddopts = '-k two'\n",
    "sub/test_a.py": "def test_one(): assert 0\ndef test_two(): pass\ndef check_three(): assert 0",
}
PLUGIN = {
    "plug.py": (
        "def pytest_report_header(): return 'plug is here'\n"
        "def pytest_collection_modifyitems(items): items.reverse()"
    ),
    "test_a.py": "def test_1(): pass\ndef test_2(): assert 0",
}
TEMP = {
    "test_a.py": """
        def test_1(tmp_path, tmp_path_factory, record_property):
            (tmp_path / "file").write_text("x")
            assert tmp_path.parent == tmp_path_factory.getbasetemp()
        """
}
ASSERTS = {
    "conftest.py": "def pytest_assertion_pass(item, lineno, orig, expl): print('asserted', orig)",
    "test_a.py": (
        "def test_1():\n    a = 1\n    assert a == 2\ndef test_2():\n    b = 1\n    assert b == 1"
    ),
}
STRICT = {
    "pytest.ini": "[pytest]\nno_such_setting = 1\n",
    "test_a.py": (
        "import pytest\n@pytest.mark.theirs\ndef test_1(): pass\n@pytest.mark.xfail\n"
        "def test_2(): pass"
    ),
}
IDS = {"test_a.py": "import pytest\n@pytest.mark.parametrize('a', [1, 1])\ndef test_1(a): pass"}
LONG_ID = {
    "test_a.py": (
        "import pytest\n@pytest.mark.parametrize('a', ['x' * 300, 'y'])\ndef test_1(a): pass"
    )
}

#: Modules beside the tests can be plugins.
BESIDE = {"PYTHONPATH": "."}
#: An installed pytest-xdist adds nothing.
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

CASES = [
    # Fixtures
    Case(
        "--setup-show --setupshow",
        FIXTURES,
        ["= --setup-show", "= --setupshow -v", "= --setup-show -q"],
        junit=False,
    ),
    Case("--setup-only --setuponly", FIXTURES, ["= --setup-only", "= --setuponly -q"], junit=False),
    Case("--setup-plan --setupplan", FIXTURES, ["= --setup-plan", "= --setupplan -v"], junit=False),
    Case(
        "--fixtures --funcargs",
        FIXTURES,
        ["= --fixtures test_a.py", "= --funcargs -v"],
        junit=False,
    ),
    Case(
        "--fixtures-per-test",
        FIXTURES,
        ["= --fixtures-per-test", "= --fixtures-per-test -v"],
        junit=False,
    ),
    Case("--markers", MARKS, ["= --markers"], junit=False),
    Case("markers", MARKS, ["", "-o markers=theirs:␠yes", "-m mine -v"]),
    # Strictness
    Case(
        "--strict-markers", MARKS, ["--strict-markers", "--strict-markers -o markers=theirs␠mine"]
    ),
    Case("--strict-config", STRICT, ["", "--strict-config"]),
    Case("--strict", STRICT, ["--strict"]),
    Case(
        "strict strict_config strict_markers",
        STRICT,
        ["-o strict=true", "-o strict_config=true", "-o strict_markers=true"],
        since=(9, 0),
    ),
    Case("strict_xfail xfail_strict", XFAIL, ["-o xfail_strict=true -v"]),
    Case("strict_xfail", XFAIL, ["-o strict_xfail=true -v"], since=(9, 0)),
    Case(
        "strict_parametrization_ids",
        IDS,
        ["-v", "-v -o strict_parametrization_ids=true"],
        since=(9, 0),
    ),
    Case(
        "parametrize_long_str_id_strategy",
        LONG_ID,
        [
            "-v",
            "-v -o parametrize_long_str_id_strategy=disallow",
            "-v -o parametrize_long_str_id_strategy=hash",
        ],
        since=(9, 2),
    ),
    # How tests run
    Case("--runxfail", XFAIL, ["-rA --tb=short", "-rA --tb=short --runxfail"]),
    Case(
        "--assert",
        ASSERTS,
        ["--tb=short", "--assert=plain --tb=short", "--assert=rewrite", "--assert=nope"],
    ),
    Case("enable_assertion_pass_hook", ASSERTS, ["-rP", "-rP -o enable_assertion_pass_hook=true"]),
    Case(
        "faulthandler_timeout", {"test_a.py": "def test_1(): pass"}, ["-o faulthandler_timeout=600"]
    ),
    Case(
        "faulthandler_exit_on_timeout",
        {"test_a.py": "def test_1(): pass"},
        ["-o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true"],
        since=(9, 0),
    ),
    # Places
    Case("--basetemp", TEMP, ["--basetemp=base", "--basetemp=base/deep -v", "--basetemp=."]),
    Case(
        "tmp_path_retention_count tmp_path_retention_policy",
        TEMP,
        [
            "-o tmp_path_retention_count=0",
            "-o tmp_path_retention_policy=failed",
            "-o tmp_path_retention_policy=nope",
            "-o tmp_path_retention_count=-1",
        ],
    ),
    Case("--rootdir", PLACES, ["--rootdir=sub sub", "-v --rootdir=. sub", "--rootdir=nope"]),
    Case(
        "-c --config-file",
        PLACES,
        ["-c other.ini", "--config-file=other.toml -v", "-c nope.ini", "-c pytest.ini"],
    ),
    Case(
        "-o --override-ini",
        PLACES,
        ["-o python_functions=check_*", "--override-ini=addopts=-q", "-o nonsense", "-o no_such=1"],
    ),
    Case("addopts", PLACES, ["", "-q"], env={"PYTEST_ADDOPTS": "-k two"}),
    Case("minversion", PLACES, ["-o minversion=99", "-o minversion=7"]),
    Case(
        "required_plugins",
        PLACES,
        ["-o required_plugins=no-such-plugin", "-o required_plugins=pluggy"],
    ),
    Case(
        "-p",
        PLUGIN,
        [
            "-p plug -v",
            "-p no:plug",
            "-p no_such_plug",
            "-p no:logging -p no:doctest -v",
            "-p pytester",
        ],
        n=1,
        env=BESIDE,
    ),
    Case(
        "-p",
        PLUGIN,
        [
            "-p no:terminal",
            "-p no:capture",
            "-p no:junitxml",
            "-p no:python",
            "-p no:assertion",
            "-p no:tmpdir",
            "-p no:faulthandler",
        ],
        junit=False,
    ),
    Case(
        "--disable-plugin-autoload",
        PLUGIN,
        ["--disable-plugin-autoload", "-v"],
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": None},
    ),
    Case("PYTEST_PLUGINS", PLUGIN, ["-v"], env={**BESIDE, "PYTEST_PLUGINS": "plug"}, n=1),
    # The debugger has pytest itself run, in one process
    Case("--pdb", PLUGIN, ["= --pdb", "= --pdb -x -q"], junit=False),
    Case(
        "--pdbcls",
        PLUGIN,
        ["= --pdb --pdbcls=pdb:Pdb", "--pdbcls=nonsense", "= --pdb --pdbcls=nothing:Such"],
        junit=False,
    ),
    Case("--trace", PLUGIN, ["= --trace"], junit=False),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytest(shared_project: Project, folder: Path, case: Case) -> None:
    fidelity.check(shared_project, folder, case)


@pytest.mark.parametrize(
    "args",
    [("--version",), ("-V",), ("-VV",), ("--version", "--version"), ("-VV", "-p", "no:python")],
    ids=" ".join,
)
def test_version(shared_project: Project, folder: Path, args: tuple[str, ...]) -> None:
    """Ours, then pytest's own text."""
    expected = shared_project.pytest(*args, junit=False, cwd=folder)
    actual = shared_project.rpytest("-n2", *args, junit=False, cwd=folder)
    assert actual.status == expected.status == 0
    first, _, rest = actual.stdout.partition("\n")
    assert re.fullmatch(r"rpytest \d+\.\d+\.\d+\S*", first)
    assert _without_xdist(rest) == _without_xdist(expected.stdout)


def _without_xdist(text: str) -> list[str]:
    """An installed pytest-xdist is no plugin here."""
    lines = [line for line in text.splitlines() if "xdist" not in line]
    return [line for line in lines if line != "registered third-party plugins:"]


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(shared_project: Project, folder: Path, option: str) -> None:
    """pytest's own, with our options among them."""
    shared_project.fill(
        folder,
        {
            "conftest.py": (
                "def pytest_addoption(parser): parser.addoption('--mine', help='of the project')"
            )
        },
    )
    expected = shared_project.pytest(option, junit=False, env=ALONE, cwd=folder)
    actual = shared_project.rpytest("-n2", option, junit=False, env=ALONE, cwd=folder)
    assert actual.status == expected.status == 0
    lines = {line.strip() for line in actual.stdout.splitlines()}
    # pytest gives the first column the width of the longest option.
    missing = [
        line
        for line in expected.stdout.splitlines()
        if line.strip() not in lines and not line.startswith("usage: ")
    ]
    assert missing == []
    assert (
        "usage: rpytest " in actual.stdout
        and "--numprocesses" in actual.stdout
        and "--mine" in actual.stdout
    )


@pytest.mark.parametrize("option", ["--trace-config", "--traceconfig"])
def test_trace_config(shared_project: Project, folder: Path, option: str) -> None:
    """The same plugins in the same order, beside ours."""
    shared_project.fill(folder, PLUGIN)
    env = {**BESIDE, **ALONE}
    expected = _plugins(shared_project.pytest(option, "-pplug", junit=False, env=env, cwd=folder))
    assert len(expected) > 30
    for _ in range(2):
        actual = _plugins(
            shared_project.rpytest("-n2", option, "-pplug", junit=False, env=env, cwd=folder)
        )
        assert [name for name in actual if "rpytest" not in name] == expected


def _plugins(result: Result) -> list[str]:
    """Names of the active plugins in the header."""
    _, found, listed = result.stdout.partition("active plugins:\n")
    assert found and result.status == 1, result
    lines = itertools.takewhile(lambda line: line.startswith("    "), listed.splitlines())
    return [
        name
        for name in (line.split(":")[0].strip() for line in lines)
        if not name.isdecimal() and "xdist" not in name
    ]
