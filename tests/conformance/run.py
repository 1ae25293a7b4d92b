"""Run pytest-xdist's acceptance tests against ``rpytest``.

``python tests/conformance/run.py`` downloads pytest-xdist's source distribution (into a cache;
nothing of it is part of this project), makes an environment with pytest 8.4, and runs those of its
tests that start whole commands, with each command routed through the ``rpytest`` program. Then the
same with pytest-xdist itself, as the reference. `reasons.py` says why a test does not pass; the
command fails when a test without a reason fails, or one with a reason passes. ``--write`` puts the
result into docs/conformance.md.

``--suite pytest`` does the same with some of pytest's own tests: what they start in the process
they run in is started as a command, first pytest, then ``rpytest`` with one worker; it says which
tests pass with the first and not with the second (docs/conformance-pytest.md).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import environments  # noqa: E402
import page  # noqa: E402
from reasons import PYTEST_REASONS, REASONS, SOMETIMES  # noqa: E402

REQUIREMENTS = ["pytest==8.4.*", "pytest-xdist==3.8.*", "pexpect", "filelock", "py"]
SOURCE = "pytest-xdist==3.8.*"
FILES = [
    "testing/acceptance_test.py",
    "testing/test_newhooks.py",
    "testing/test_plugin.py::test_dist_incompatibility_messages",
]
#: They start no command: pytest-xdist's own functions are called.
NOT_ROUTED = "testing/acceptance_test.py::TestAPI"
PYTEST_REQUIREMENTS = [*REQUIREMENTS, "attrs", "hypothesis", "xmlschema", "requests", "mock"]
PYTEST_SOURCE = "pytest==8.4.*"
PYTEST_FILES = [
    "testing/acceptance_test.py",
    "testing/test_cacheprovider.py",
    "testing/test_junitxml.py",
]
DIALECTS = ("as-is", "labels", "statuses")


def main() -> int:
    """Run and compare; 0 when everything is as `reasons.py` has it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--suite", choices=("xdist", "pytest"), default="xdist", help="whose tests (default: xdist)"
    )
    parser.add_argument("-k", dest="expression", help="only tests that match, as in pytest")
    parser.add_argument("--jobs", default="2", help="tests at a time (default: 2)")
    parser.add_argument("--release", action="store_true", help="the release build")
    parser.add_argument(
        "--dialect",
        choices=DIALECTS,
        default="labels",
        help="how much is translated (default: labels)",
    )
    parser.add_argument(
        "--no-reference", action="store_true", help="do not run pytest-xdist itself"
    )
    parser.add_argument("--log", type=Path, help="write what failed, with all output, to this file")
    parser.add_argument("--write", action="store_true", help="write docs/conformance.md")
    options = parser.parse_args()

    if options.suite == "pytest":
        return _pytest_suite(options)
    venv = environments.make("conformance", REQUIREMENTS)
    environments.Build("release" if options.release else "debug").link(venv)
    source = environments.download_source(venv, SOURCE)
    select = ["-k", options.expression] if options.expression else []
    results: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="rp-", dir="/tmp") as scratch:
        for name in DIALECTS if options.write else [options.dialect]:
            log = options.log if name == options.dialect else None
            results[name] = _tests(
                venv, source, Path(scratch), name, [*select, "-n", options.jobs], log
            )
            print(f"rpytest, {name}: {_counts(results[name])}", flush=True)
        if not options.no_reference:
            results["xdist"] = _tests(
                venv, source, Path(scratch), None, [*select, "-n", options.jobs], None
            )
            print(f"pytest-xdist: {_counts(results['xdist'])}", flush=True)
            print(
                *(
                    f"fails with pytest-xdist, too: {test}"
                    for test, outcome in results["xdist"].items()
                    if outcome == "failed"
                )
            )
    surprises = _surprises(results[options.dialect])
    print(*surprises, sep="\n")
    if options.write:
        page.write(
            results,
            environments.version(venv, "pytest"),
            environments.version(venv, "pytest-xdist"),
        )
    return 1 if surprises else 0


def _pytest_suite(options: argparse.Namespace) -> int:
    venv = environments.make("conformance-pytest", PYTEST_REQUIREMENTS)
    environments.Build("release" if options.release else "debug").link(venv)
    source = environments.download_source(venv, PYTEST_SOURCE)
    args = ["-p", "pytester", "-o", "addopts=", "-n", options.jobs]
    args += ["-k", options.expression] if options.expression else []
    results = {}
    with tempfile.TemporaryDirectory(prefix="rp-", dir="/tmp") as scratch:
        for program in ("pytest", "rpytest"):
            log = options.log if program == "rpytest" else None
            results[program] = _tests(
                venv, source, Path(scratch), "as-is", args, log, program, PYTEST_FILES
            )
            print(f"{program}: {_counts(results[program])}", flush=True)
    differing = page.differing(results)
    print(*differing, sep="\n")
    if options.write:
        page.write_pytest(results, PYTEST_FILES, environments.version(venv, "pytest"))
    return 1 if set(differing) - PYTEST_REASONS.keys() else 0


def _tests(
    venv: environments.Venv,
    source: Path,
    scratch: Path,
    dialect: str | None,
    args: list[str],
    log: Path | None,
    program: str = "rpytest",
    files: Sequence[str] = FILES,
) -> dict[str, str]:
    """Outcome by test; `dialect` None: of pytest-xdist itself."""
    file = scratch / f"{program}-{dialect}.xml"
    runtime = scratch / "run"
    runtime.mkdir(mode=0o700, exist_ok=True)
    env = venv.environment()
    env["PATH"] = f"{venv.bin}{os.pathsep}{env['PATH']}"
    command = [
        str(venv.python),
        "-m",
        "pytest",
        "-q",
        "--no-header",
        "--tb=short",
        f"--junitxml={file}",
        *args,
    ]
    command += [
        "-o",
        "junit_family=xunit1",
        f"--deselect={NOT_ROUTED}",
        f"--basetemp={scratch / 'tmp'}",
    ]
    if dialect is not None:
        command += ["-p", "route"]
        env.update(
            CONFORMANCE_RPYTEST=str(venv.bin / program),
            CONFORMANCE_DIALECT=dialect,
            PYTHONPATH=str(HERE),
            # A daemon would be of no use: each test has a PYTHONPATH of its own.
            RPYTEST_NO_DAEMON="1",
            RPYTEST_RUNTIME_DIR=str(runtime),
        )
    done = subprocess.run([*command, *files], cwd=source, env=env, capture_output=True, text=True)
    if log is not None:
        log.write_text(done.stdout + done.stderr)
    if not file.exists():
        sys.exit(f"pytest wrote no results:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return {_id(case): _outcome(case) for case in ET.parse(file).getroot().iter("testcase")}


def _id(case: ET.Element) -> str:
    path, _, rest = case.get("classname", "").removeprefix("testing.").partition(".")
    return "::".join(part for part in (f"{path}.py", rest, case.get("name", "")) if part)


def _outcome(case: ET.Element) -> str:
    for child in case:
        if child.tag in ("failure", "error"):
            return "failed"
        if child.tag == "skipped":
            return "xfailed" if "xfail" in child.get("type", "") else "skipped"
    return "passed"


def _counts(outcomes: dict[str, str]) -> str:
    words = ("passed", "xfailed", "failed", "skipped")
    counts = {word: list(outcomes.values()).count(word) for word in words}
    return (
        ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        + f" of {len(outcomes)}"
    )


def _surprises(outcomes: dict[str, str]) -> list[str]:
    found = [
        f"fails without a reason: {test}"
        for test, outcome in outcomes.items()
        if outcome == "failed" and test not in REASONS and test not in SOMETIMES
    ]
    return found + [
        f"passes, but there is a reason why not: {test}"
        for test, outcome in outcomes.items()
        if outcome in ("passed", "xfailed") and test in REASONS
    ]


if __name__ == "__main__":
    sys.exit(main())
