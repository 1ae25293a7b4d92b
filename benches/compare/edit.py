"""After an edit to one file of a project that imports numpy and pandas: `pytest` and `rpytest`,
turn by turn.

.venv/bin/python -m pip install numpy pandas
.venv/bin/python benches/compare/edit.py --repeat 15
.venv/bin/python benches/compare/edit.py --repeat 15 --what source
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TEST = """\
import numpy as np
import pandas as pd
import pytest

from shop import prices


@pytest.mark.parametrize("number", range(5))
def test_sum(number):
    assert pd.Series(np.arange(number)).sum() == number * (number - 1) // 2
    assert prices.with_tax(pd.Series([1.0])).sum() > 1
"""
SOURCE = """\
import numpy as np
import pandas as pd

RATES = pd.Series(np.full(3, 0.2))


def with_tax(values):
    return values * (1 + RATES.iloc[0])
"""
#: What is edited.
FILES = {"test": "test_0.py", "source": "shop/prices.py"}


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=9, help="turns (default: 9)")
    parser.add_argument("--files", type=int, default=20, help="test files (default: 20)")
    parser.add_argument(
        "--what",
        choices=FILES,
        default="test",
        help="edit a test module, or a module that tests import (default: test)",
    )
    options = parser.parse_args()
    missing = [name for name in ("numpy", "pandas") if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"error: {' and '.join(missing)} can't be imported\n"
            f"hint: {sys.executable} -m pip install numpy pandas\n"
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="rpytest-edit-") as name:
        folder = Path(name)
        project = folder / "project"
        (project / "shop").mkdir(parents=True)
        (project / "shop" / "__init__.py").touch()
        (project / "shop" / "prices.py").write_text(SOURCE)
        for number in range(options.files):
            (project / f"test_{number}.py").write_text(TEST)
        environment = {
            **os.environ,
            "RPYTEST_RUNTIME_DIR": str(folder),
            "RPYTEST_CACHE_DIR": str(folder / "cache"),
        }
        environment = {
            name: value
            for name, value in environment.items()
            if not name.startswith(("PYTHON", "PYTEST_"))
        }
        environment["RPYTEST_NO_DAEMON"] = "0"
        programs = {program: _program(program) for program in ("pytest", "rpytest")}

        def run(program: str, *args: str) -> float:
            began = time.perf_counter()
            subprocess.run(
                [programs[program], *args],
                cwd=project,
                env=environment,
                stdout=subprocess.DEVNULL,
                check=True,
            )
            return time.perf_counter() - began

        def status() -> str:
            command = [programs["rpytest"], "--daemon-status"]
            return subprocess.run(
                command, cwd=project, env=environment, capture_output=True, text=True, check=True
            ).stdout

        try:
            run("pytest", "-q")
            run("rpytest", "-q")
            while "  preload " not in (text := status()) or "being made" in text:
                time.sleep(0.2)
            times: dict[str, list[float]] = {program: [] for program in programs}
            for turn in range(options.repeat):
                for program, measured in times.items():
                    with (project / FILES[options.what]).open("a") as file:
                        file.write(f"# {program} {turn}\n")
                    measured.append(run(program, "-q"))
        finally:
            subprocess.run(
                [programs["rpytest"], "--daemon-stop"],
                env=environment,
                stdout=subprocess.DEVNULL,
                check=False,
            )
    medians = {program: statistics.median(measured) for program, measured in times.items()}
    for program, measured in times.items():
        print(f"{program:8} median {medians[program]:.2f} s, least {min(measured):.2f} s")
    print(f"ratio    {medians['rpytest'] / medians['pytest']:.2f}")
    return 0


def _program(name: str) -> str:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name) or name


if __name__ == "__main__":
    sys.exit(main())
