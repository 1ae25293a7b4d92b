#!/usr/bin/env python3
"""Kill rpytest's processes with SIGKILL, at random moments of real runs, and check that nothing is
lost.

    python tests/kill/kill.py --kills 1000               # workers
    python tests/kill/kill.py --what all --kills 1000    # and a tenth of that of each other process

Exit status 0 when every check of every run held, 1 when one did not.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "project"), str(HERE.parent / "python")]

import common  # noqa: E402
import others  # noqa: E402
import truth  # noqa: E402
from report import Report  # noqa: E402
from support.harness import Project  # noqa: E402
from support.running import Hang  # noqa: E402
from truth import References  # noqa: E402
from witness import Folder  # noqa: E402
from workers import Round  # noqa: E402


def references(project: Project) -> References:
    """pytest's own results: of a run as it is, and of a fat one."""
    found = {}
    for fat in (False, True):
        file = project.scratch / "reference.xml"
        env = {common.FAT: "1"} if fat else {}
        running = project.spawn("-p", "no:xdist", f"--junitxml={file}", program="pytest", env=env)
        if running.wait() != 1:
            raise SystemExit(f"pytest itself can't run the project\n{running}")
        found[fat] = truth.read(file)
        if problems := truth.check_reference(found[fat], fat):
            raise SystemExit("\n".join(problems))
    return found


def make_project(path: Path, rpytest: Path | None) -> Project:
    """A project with a copy of the tests."""
    shutil.copytree(truth.PROJECT, path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return Project(path / "project", bin=rpytest.parent if rpytest else None)


def kill_workers(
    project: Project, folder: Folder, references: References, kills: int, seed: int, report: Report
) -> None:
    """Rounds until so many workers were killed."""
    number = 0
    while report.total("worker") < kills and not report.problems:
        number += 1
        chance = random.Random(f"{seed} {number}")
        left = kills - report.total("worker")
        round_ = Round(
            project=project,
            folder=folder,
            workers=chance.choice((2, 3, 4, 8)),
            kills=min(chance.choice((20, 40, 60)), left + 4),
            bare=number % 6 == 5,
            fat=number % 4 == 2,
            random=chance,
        )
        print(round_.run(references, report, f"round {number}"), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kills",
        type=int,
        default=1000,
        metavar="N",
        help="how many workers to kill (default: 1000)",
    )
    parser.add_argument(
        "--other-kills",
        type=int,
        metavar="N",
        help="how many of each other process (default: a tenth)",
    )
    parser.add_argument(
        "--what",
        choices=("worker", *others.TARGETS, "all"),
        default="worker",
        help="what to kill (default: worker)",
    )
    parser.add_argument(
        "--seed", type=int, help="for the random choices; the moments depend on the machine, too"
    )
    parser.add_argument(
        "--rpytest",
        type=Path,
        metavar="PATH",
        help="the installed program (default: beside this Python)",
    )
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int(time.time())
    other_kills = (
        options.other_kills if options.other_kills is not None else max(1, options.kills // 10)
    )
    print(f"seed {seed}", flush=True)
    report = Report()
    path = Path(tempfile.mkdtemp(prefix="rpytest-kill-"))
    project = make_project(path, options.rpytest)
    try:
        truths = references(project)
        folder = Folder(project.scratch / "kill")
        if options.what in ("worker", "all"):
            kill_workers(project, folder, truths, options.kills, seed, report)
        for target in others.TARGETS:
            if options.what in (target, "all"):
                others.kill(project, folder, truths, target, other_kills, seed, report)
    except Hang as hang:
        report.add("hang", [str(hang)])
    finally:
        try:
            project.close()
        except AssertionError as error:
            report.add("at the end", [str(error)])
        shutil.rmtree(path, ignore_errors=True)
    print("\n".join(report.problems))
    print(report.table())
    print("FAILED" if report.problems else "all well")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
