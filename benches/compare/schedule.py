"""What scheduling gains on two suites: a long test that comes last, and modules with expensive
fixtures.

    .venv/bin/python benches/compare/schedule.py --repeat 5

Runs of rpytest (which has seen the suite once) and of pytest-xdist take turns; the least and the
median of wall times are printed, and how often the modules' fixtures were set up. Sleeping tests
need no processor, but starting workers does: on a busy machine the least counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LATE = """
import time, pytest

@pytest.mark.parametrize("i", range(40))
def test_short(i):
    time.sleep(0.05)

def test_long():
    time.sleep(1)
"""

MODULE = """
import os, time, pytest

@pytest.fixture(scope="module", autouse=True)
def expensive():
    time.sleep(0.2)
    with open(os.environ["SETUPS"], "a") as file:
        file.write("x")

@pytest.mark.parametrize("i", range(10))
def test_it(i):
    time.sleep(0.01)
"""

SUITES = {
    "40 tests of 50 ms, then one of 1 s": {"test_late.py": LATE},
    "8 modules of 10 tests of 10 ms, fixtures of 0.2 s": {
        f"test_{number}.py": MODULE for number in range(8)
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=4, help="workers (default: 4)")
    parser.add_argument("--repeat", type=int, default=5, help="turns (default: 5)")
    options = parser.parse_args()
    beside = Path(sys.executable).parent
    xdist = [
        str(beside / "python"),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"-n{options.n}",
    ]
    commands = {
        "rpytest": [str(beside / "rpytest"), "-q", f"-n{options.n}"],
        "pytest-xdist, load": xdist,
        "pytest-xdist, worksteal": [*xdist, "--dist=worksteal"],
    }
    for title, files in SUITES.items():
        print(title)
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), files, commands, options.repeat)


def measure(
    folder: Path, files: dict[str, str], commands: dict[str, list[str]], repeat: int
) -> None:
    """Run the commands by turns in a suite of its own, and print what they took."""
    suite = folder / "suite"
    suite.mkdir()
    for name, text in files.items():
        (suite / name).write_text(text)
    setups = folder / "setups"
    env = {name: value for name, value in os.environ.items() if name != "CI"}
    env.update(
        RPYTEST_RUNTIME_DIR=str(folder / "run"),
        RPYTEST_CACHE_DIR=str(folder / "cache"),
        SETUPS=str(setups),
    )

    def run(command: list[str]) -> tuple[float, int]:
        setups.write_text("")
        began = time.perf_counter()
        subprocess.run(command, cwd=suite, env=env, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began, len(setups.read_text())

    try:
        first, counted = run(commands["rpytest"])
        print(f"  {'rpytest, first run':<24} {first:5.2f} s{_counted([counted])}")
        times: dict[str, list[tuple[float, int]]] = {name: [] for name in commands}
        for _ in range(repeat):
            for name, command in commands.items():
                times[name].append(run(command))
        for name, taken in times.items():
            seconds = [one for one, _ in taken]
            least, median = min(seconds), statistics.median(seconds)
            print(
                f"  {name:<24} least {least:5.2f} s, median {median:5.2f} "
                f"s{_counted([count for _, count in taken])}"
            )
    finally:
        subprocess.run(
            [commands["rpytest"][0], "--daemon-stop"], cwd=suite, env=env, stdout=subprocess.DEVNULL
        )


def _counted(counts: list[int]) -> str:
    return f", set-ups {', '.join(map(str, counts))}" if any(counts) else ""


if __name__ == "__main__":
    main()
