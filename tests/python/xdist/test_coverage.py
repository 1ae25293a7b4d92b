"""coverage.py around a run, without pytest-cov: what was executed is what pytest would have
executed, in whatever process it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from support.harness import Project, Result

FILES = {
    "shop/__init__.py": "",
    "shop/prices.py": (
        "def gross(net):\n    if net < 0:\n        raise ValueError\n    return net * 2\n\n\n"
        "def never():\n    return 1\n"
    ),
    "shop/stock.py": (
        "def count(items):\n    total = 0\n    for item in items:\n        total += item\n"
        "    return total\n"
    ),
    "shop/setup.py": "def value():\n    return 7\n",
    "shop/child.py": (
        "def main():\n    print('child')\n\n\nif __name__ == '__main__':\n    main()\n"
    ),
    "conftest.py": """
        import pytest
        from shop import setup
        @pytest.fixture(scope="session")
        def value():
            yield setup.value()
        def pytest_sessionfinish(session):
            session.done = True
        """,
    "test_prices.py": """
        import os, pytest
        from shop.prices import gross
        def test_gross(value): assert gross(value) == 14
        def test_negative():
            with pytest.raises(ValueError): gross(-1)
        """,
    "test_stock.py": """
        from shop.stock import count
        def test_count(): assert count([1, 2]) == 3
        def test_none(): assert count([]) == 0
        """,
}
CONFIG = "[run]\nsource = .\nbranch = true\n"


def lines(
    project: Project, *, combine: bool = False
) -> dict[str, tuple[list[int], list[list[int]]]]:
    """The lines and branches that were executed, by file; forgets them."""
    if combine:
        run(project, "combine", "-q")
    run(project, "json", "-q", "-o", "result.json")
    report = json.loads((project.path / "result.json").read_text())
    for path in [project.path / "result.json", *project.path.glob(".coverage*")]:
        if path.name != ".coveragerc":
            path.unlink()
    return {
        name: (file["executed_lines"], file.get("executed_branches", []))
        for name, file in sorted(report["files"].items())
    }


def run(project: Project, *args: str, program: str = "coverage") -> Result:
    running = project.spawn(*args, program=program)
    status = running.wait()
    result = Result(tuple(running.command), status, running.stdout, running.stderr, None)
    assert status == 0, result
    assert "Warning" not in result.stderr and "warning" not in result.stderr, result
    return result


WAYS = [["-n2"], ["-n1"], ["-n0"], ["-n2", "--start-method=bare"], ["-n2", "-k", "gross or none"]]


def of_pytest(args: list[str]) -> list[str]:
    return [argument for argument in args if not argument.startswith(("-n", "--start"))]


@pytest.mark.parametrize("args", WAYS, ids=" ".join)
def test_coverage_run(project: Project, args: list[str]) -> None:
    """`coverage run -m`, after a run that leaves a warm session behind; its data are those of the
    run alone.
    """
    project.write({**FILES, ".coveragerc": CONFIG})
    run(project, "run", "-m", "pytest", "-p", "no:xdist", *of_pytest(args))
    expected = lines(project)
    assert project.rpytest("-n2").status == 0
    for _ in range(2):
        run(project, "run", "-m", "rpytest", *args)
        assert lines(project) == expected
    # What is there is replaced.
    run(project, "run", "-m", "rpytest", *args)
    run(project, "run", "-m", "rpytest", "test_stock.py")
    assert lines(project)["test_prices.py"][0] == []


def test_coverage_run_that_adds_or_keeps_apart(project: Project) -> None:
    """`--append`, `--parallel-mode`."""
    project.write({**FILES, ".coveragerc": CONFIG})
    run(project, "run", "-m", "pytest", "-p", "no:xdist")
    expected = lines(project)
    run(project, "run", "-m", "rpytest", "-n2", "test_stock.py")
    run(project, "run", "--append", "-m", "rpytest", "-n2", "test_prices.py")
    assert lines(project) == expected
    run(project, "run", "-p", "-m", "rpytest", "-n2", "test_stock.py")
    run(project, "run", "-p", "-m", "rpytest", "-n2", "test_prices.py")
    assert lines(project, combine=True) == expected


def configured(project: Project, text: str) -> None:
    project.write({**FILES, ".coveragerc": CONFIG + text})


def by_variable(project: Project) -> None:
    configured(project, "parallel = true\n")
    site = project.scratch / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import coverage\ncoverage.process_startup()\n")
    project.env["PYTHONPATH"] = str(site)
    project.env["COVERAGE_PROCESS_START"] = ".coveragerc"


def by_patch(project: Project) -> None:
    configured(project, "patch = subprocess\nparallel = true\n")


def by_patches(project: Project) -> None:
    configured(
        project, "patch =\n    subprocess\n    fork\n    _exit\n    execv\nparallel = true\n"
    )


def by_multiprocessing(project: Project) -> None:
    configured(project, "concurrency = multiprocessing\nparallel = true\n")


@pytest.mark.parametrize("args", [["-n2"], ["-n0"], ["-n2", "--start-method=bare"]], ids=" ".join)
@pytest.mark.parametrize("prepare", [by_variable, by_patch, by_patches, by_multiprocessing])
def test_every_process(
    project: Project, prepare: Callable[[Project], None], args: list[str]
) -> None:
    """Those that tests start, too; then `coverage combine`."""
    prepare(project)
    multiprocessing = prepare is by_multiprocessing
    start = (
        "import multiprocessing\nfrom shop import child\ndef test_child():\n"
        "    process = multiprocessing.get_context('spawn').Process(target=child.main)\n"
        "    process.start()\n    process.join()\n    assert process.exitcode == 0\n"
        if multiprocessing
        else (
            "import subprocess, sys\ndef test_child():\n"
            "    subprocess.run([sys.executable, '-m', 'shop.child'], check=True)\n"
        )
    )
    project.write({"test_child.py": start})
    assert project.rpytest("-n2", env={"COVERAGE_PROCESS_START": None}).status == 0
    begin = [] if prepare is by_variable else ["run"]
    program = "coverage" if begin else "python"
    run(project, *begin, "-m", "pytest", "-p", "no:xdist", program=program)
    expected = lines(project, combine=True)
    assert expected["shop/child.py"][0]
    for _ in range(2):
        run(project, *begin, "-m", "rpytest", *args, program=program)
        assert lines(project, combine=True) == expected


def test_nothing_is_measured_for_others(project: Project) -> None:
    """The run after it, and the daemon, know nothing of coverage."""
    project.write({**FILES, ".coveragerc": CONFIG})
    run(project, "run", "-m", "rpytest", "-n2")
    project.write(
        {
            "test_free.py": (
                "import sys\ndef test_free(): assert sys.gettrace() is None and 'coverage' not "
                "in sys.modules\n"
            )
        }
    )
    project.write(
        {
            "test_variables.py": (
                "import os\ndef test_variables(): assert not any('RPYTEST_COV' in name for "
                "name in os.environ)\n"
            )
        }
    )
    for _ in range(2):
        assert project.rpytest("-n2").counts == {"passed": 6}
