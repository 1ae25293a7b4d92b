#!/usr/bin/env python3
"""One trivial test of a large project, by plain pytest and by rpytest with a warm session, whatever
was run before; and the start of the command itself.

python benches/one_test.py --bin .venv/bin
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

MODULES, TESTS = 100, 50


def main() -> int:
    """Print median times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--bin", type=Path, default=Path(sys.executable).parent, help="where pytest and rpytest are"
    )
    parser.add_argument("--repeat", type=int, default=15, help="turns, default: 15")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="one-") as folder:
        root = Path(folder)
        project = root / "project"
        (project / "tests").mkdir(parents=True)
        for number in range(MODULES):
            text = "".join(f"def test_{test}(): pass\n" for test in range(TESTS))
            (project / "tests" / f"test_{number}.py").write_text(text)
        (root / "run").mkdir(mode=0o700)
        environment = {
            **os.environ,
            "RPYTEST_RUNTIME_DIR": str(root / "run"),
            "RPYTEST_CACHE_DIR": str(root / "cache"),
            "RPYTEST_NO_DAEMON": "0",
        }

        def run(program: str, *arguments: str) -> float:
            command = [str(options.bin.absolute() / program), *arguments]
            began = time.perf_counter()
            status = subprocess.run(
                command, cwd=project, env=environment, stdout=subprocess.DEVNULL, check=False
            ).returncode
            if status:
                raise SystemExit(f"{' '.join(command)} ended with {status}")
            return time.perf_counter() - began

        try:
            print(f"{MODULES * TESTS} tests; medians of {options.repeat} turns, in milliseconds")
            for before in ([], ["-k", "test_7"], ["tests/test_1.py::test_1"], ["-q", "-n", "2"]):
                run("rpytest", "--daemon-stop")
                run("rpytest")
                run("rpytest", *before)
                # It prepares for others when it is left alone for a moment.
                time.sleep(1.5)
                times: dict[str, list[float]] = {"pytest": [], "rpytest": []}
                for turn in range(options.repeat):
                    test = f"tests/test_{turn % MODULES}.py::test_3"
                    times["pytest"].append(run("pytest", "-p", "no:xdist", test))
                    times["rpytest"].append(run("rpytest", test))
                medians = {name: statistics.median(values) * 1000 for name, values in times.items()}
                least = min(times["rpytest"]) * 1000
                print(
                    f"after `rpytest {' '.join(before)}`: pytest {medians['pytest']:.0f}, "
                    f"rpytest {medians['rpytest']:.0f}"
                    f" (least {least:.0f}), ratio 1/{medians['pytest'] / medians['rpytest']:.1f}",
                    flush=True,
                )
            # Where there is no history it finds that out, and asks no daemon. What `true` takes is
            # the starting of a process.
            command = [str(options.bin.absolute() / "rpytest"), "--inventory-status"]
            own, nothing = (
                [_start(each, root) * 1000 for _ in range(options.repeat)]
                for each in (command, ["true"])
            )
            print(
                f"the command from start to end: {statistics.median(own):.1f} (least "
                f"{min(own):.1f}),"
                f" `true` {statistics.median(nothing):.1f} (least {min(nothing):.1f})"
            )
        finally:
            run("rpytest", "--daemon-stop")
    return 0


def _start(command: list[str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
