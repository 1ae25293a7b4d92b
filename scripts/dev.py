"""What scripts/demo, scripts/test and scripts/lint do. Standard library only."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from _venv import SetupError, Venv

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"
EXAMPLE = ROOT / "examples" / "shop"
# The one test of the example suite that is meant to fail.
INTENDED_FAILURE = "tests.test_shipping::test_exactly_fifty_ships_free"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/dev.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="build, install, run the example suite", prog="scripts/demo")
    test = commands.add_parser("test", help="build, install, run all tests", prog="scripts/test")
    test.add_argument(
        "only", nargs="?", choices=["rust", "python"], help="run only this half of the tests"
    )
    test.add_argument(
        "rest", nargs=argparse.REMAINDER, help="passed on to that half's `cargo test` or `pytest`"
    )
    commands.add_parser("lint", help="check formatting, lints and types", prog="scripts/lint")
    arguments = parser.parse_args()

    find_toolchain()
    venv = Venv(Path(os.environ.get("RPYTEST_DEV_VENV") or ROOT / ".venv").absolute())
    venv.ensure()
    if arguments.command == "demo":
        return demo(venv)
    if arguments.command == "test":
        return test_all(venv, arguments.only, arguments.rest)
    return lint(venv)


def demo(venv: Venv) -> int:
    """Install, run the example suite cold and warm, check that it ended as it should."""
    install(venv)
    env = venv.environment()
    env["PATH"] = f"{venv.bin}{os.pathsep}{env['PATH']}"
    rpytest = str(venv.bin / "rpytest")
    junit = ROOT / "target" / "demo.xml"
    junit.unlink(missing_ok=True)
    try:
        # A daemon of an earlier build may still be there.
        subprocess.run(
            [rpytest, "--daemon-stop"], cwd=EXAMPLE, env=env, stdout=subprocess.DEVNULL, check=False
        )
        print("\n== first run: the daemon starts and collects", flush=True)
        first = run([rpytest, "-n", "auto", f"--junitxml={junit}"], cwd=EXAMPLE, env=env)
        print("\n== second run: the collected session is warm; -q shows dots", flush=True)
        second = run([rpytest, "-n", "auto", "-q"], cwd=EXAMPLE, env=env)
    finally:
        run([rpytest, "--daemon-stop"], cwd=EXAMPLE, env=env)

    problems = [
        f"the {name} run ended with exit status {status}, not 1"
        for name, status in (("first", first), ("second", second))
        if status != 1
    ]
    failed = failures(junit)
    if failed != [INTENDED_FAILURE]:
        problems.append(f"failed tests: {failed or 'none'}, not just {INTENDED_FAILURE}")
    if problems:
        print("\nerror: the example suite did not end as intended")
        print("\n".join(f"  {problem}" for problem in problems))
        return 1
    print(f"\nAll as intended: one test fails on purpose ({INTENDED_FAILURE}), the rest is green.")
    print(f"To go on from here: . {os.path.relpath(venv.bin / 'activate')}; rpytest --help")
    return 0


def failures(junit: Path) -> list[str]:
    """Tests that failed or had an error, by the junit file; a missing file has its own entry."""
    try:
        cases = ElementTree.parse(junit).getroot().iter("testcase")
    except (OSError, ElementTree.ParseError) as error:
        return [f"<no junit file: {error}>"]
    return [
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]


def test_all(venv: Venv, only: str | None, rest: list[str]) -> int:
    """Run cargo's tests, then the Python ones; both, even when the first fail."""
    results: list[tuple[str, int]] = []
    if only != "rust":
        install(venv)
    env = venv.environment()
    if only != "python":
        # Not the whole workspace: the extension's symbols are resolved by an interpreter only.
        command = ["cargo", "test", "--locked", "--package", "rpytest", *rest]
        print("\n== Rust tests", flush=True)
        results.append(("cargo test", run(command, cwd=ROOT, env=env)))
    if only != "rust":
        print("\n== Python tests", flush=True)
        command = [str(venv.python), "-m", "pytest", *processes(rest), *rest]
        results.append(("pytest", run(command, cwd=ROOT, env=env)))

    print()
    for name, status in results:
        print(f"{name}: {'ok' if status == 0 else f'FAILED, exit status {status}'}")
    return 1 if any(status for _, status in results) else 0


def processes(rest: list[str]) -> list[str]:
    """Options that spread the Python tests over processes, unless `rest` says how or needs a
    terminal.

    pytest-xdist does it: rpytest must not be the judge of itself. Most tests wait for the processes
    that they start: two for each processor.
    """
    mine = ("-n", "--numprocesses", "--dist", "--tx", "-s", "--capture=no", "--pdb", "--trace")
    if "no:xdist" in rest or any(argument.startswith(mine) for argument in rest):
        return []
    return [f"-n{2 * len(os.sched_getaffinity(0))}", "--dist=worksteal"]


def lint(venv: Venv) -> int:
    """Run every check, then say which failed."""
    venv.install_requirements(SCRIPTS / "requirements-test.txt")
    venv.install_requirements(SCRIPTS / "requirements-lint.txt")
    env = venv.environment()
    python = str(venv.python)
    clippy = ["cargo", "clippy", "--locked", "--workspace", "--all-targets"]
    checks = [
        ["cargo", "fmt", "--all", "--check"],
        [*clippy, "--", "--deny", "warnings"],
        [python, "-m", "ruff", "check"],
        [python, "-m", "ruff", "format", "--check"],
        [python, "-m", "mypy"],
        [python, "tests/python/test_architecture.py"],
    ]
    failed = [check for check in checks if run(check, cwd=ROOT, env=env)]
    for check in failed:
        print(f"failed: {' '.join(check).replace(python, 'python')}")
        if check[0] == "cargo" and not shutil.which(f"cargo-{check[1]}"):
            component = "rustfmt" if check[1] == "fmt" else check[1]
            print(f"hint: `rustup component add {component}`")
    print("some checks failed" if failed else "all checks passed")
    return 1 if failed else 0


def install(venv: Venv) -> None:
    """Build the program and the extension (release) and install them with their package."""
    venv.install_requirements(SCRIPTS / "requirements-test.txt")
    print("== building and installing rpytest (the first build takes minutes)", flush=True)
    # setuptools packages whatever lies in build/: also modules that have since been removed.
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    options = ["--quiet", "--no-build-isolation", "--no-deps", "--force-reinstall"]
    venv.pip("install", *options, ".", cwd=ROOT)


def find_toolchain() -> None:
    """Check that cargo (new enough) and a C compiler are there; put cargo on PATH if it is not."""
    if not shutil.which("cargo"):
        home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
        if not (home / "bin" / "cargo").exists():
            raise SetupError("`cargo` is not on PATH\nhint: install Rust, for example with rustup")
        os.environ["PATH"] = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    if not any(shutil.which(name) for name in ("cc", "gcc", "clang")):
        raise SetupError(
            "no C compiler on PATH, which cargo needs for linking\n"
            "hint: install gcc or clang (Debian, Ubuntu: `apt-get install gcc libc6-dev`)"
        )
    wanted = re.search(r'^rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text(), re.M)
    done = subprocess.run(["cargo", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"cargo ([\d.]+)", done.stdout)
    if done.returncode or not found:
        raise SetupError(f"`cargo --version` failed: {done.stderr.strip()}")
    if wanted and numbers(found[1]) < numbers(wanted[1]):
        raise SetupError(
            f"cargo {found[1]} is too old, rpytest needs {wanted[1]}\nhint: `rustup update stable`"
        )


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def run(command: list[str], *, cwd: Path, env: dict[str, str]) -> int:
    """Run `command` with its output where ours goes; returns its exit status."""
    shown = [os.path.relpath(part) if Path(part).is_absolute() else part for part in command]
    print(f"$ {' '.join(shown)}", flush=True)
    return subprocess.run(command, cwd=cwd, env=env, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SetupError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
