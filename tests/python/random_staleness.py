"""Random edits to a generated project, and random selections of its tests; a warm ``rpytest`` must
say each time what a cold ``pytest`` says.

    python tests/python/random_staleness.py --rounds 500 --seed 1 --jobs 2

The same seed gives the same project, the same edits and the same commands. A difference is shown
with its seed and the round's edits, and then with the smallest project and the fewest commands that
were found to show it (``--shrink 0`` looks for none).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from support.harness import Project
from support.random_projects import WAYS, Tree, lay
from support.staleness import Scenario, Scene, agree


@dataclass(frozen=True)
class Command:
    """What is run, in which files; all that it takes to do it again."""

    files: dict[str, str]
    way: str
    variable: str | None
    args: str
    what: str = field(compare=False)


class Difference(Exception):
    """rpytest said something else than pytest after these commands."""

    def __init__(self, text: str, history: list[Command]) -> None:
        super().__init__(text)
        self.history = history


def play(
    project: Project,
    folder: Path,
    seed: int,
    rounds: int,
    report: Callable[[int, str], None] | None = None,
) -> None:
    """Generate a project, edit it and select from it at random; fails at the first difference."""
    tree = Tree(seed)
    scene = Scene(project, folder, Scenario(f"seed {seed}", {}, []))
    history: list[Command] = []
    for number in range(rounds + 1):
        edits = tree.round() if number else ["the beginning"]
        way = tree.random.choices(WAYS, weights=[5, 3, 2, 1, 1])[0]
        commands = [tree.selection() for _ in range(tree.random.choice([0, 1, 1, 2, 3]))]
        # Parts come before the whole, after it, or without it.
        if not commands or tree.random.random() < 0.75:
            commands.insert(tree.random.choice([0, 0, len(commands)]), "")
        what = f"seed {seed}, round {number} ({'; '.join(edits) or 'no edit'}; written {way})"
        if report is not None:
            report(number, what)
        for args in commands:
            history.append(
                Command(dict(tree.files), way, tree.variable, args, f"{what}, `rpytest {args}`")
            )
            run(scene, history, history[-2] if history[1:] else None)


def run(scene: Scene, history: list[Command], before: Command | None) -> None:
    """The last command of these; `before` is what the folder holds."""
    command = history[-1]
    if before is None or before.files != command.files:
        lay(scene.folder, command.files, command.way)
    scene.env["RANDOM_VARIABLE"] = command.variable
    try:
        agree(scene, command.what, command.args)
    except pytest.fail.Exception as error:
        raise Difference(str(error), list(history)) from None


def replay(history: list[Command]) -> Difference | None:
    """Do the same in a new project; returns the first difference."""
    path = Path(tempfile.mkdtemp(prefix="staleness-"))
    project = Project(path)
    scene = Scene(project, path, Scenario("again", {}, []))
    try:
        for count in range(1, len(history) + 1):
            run(scene, history[:count], history[count - 2] if count > 1 else None)
    except Difference as difference:
        return difference
    finally:
        project.close()
        shutil.rmtree(path, ignore_errors=True)
    return None


def shrink(
    history: list[Command], seconds: float, fails: Callable[[list[Command]], bool]
) -> list[Command]:
    """Fewer commands, files and lines that still make a difference; what has been found when the
    time is over.
    """
    end = time.monotonic() + seconds

    def attempt(smaller: list[Command]) -> bool:
        nonlocal history
        if time.monotonic() > end or smaller == history or not smaller or not fails(smaller):
            return False
        history = smaller
        return True

    for count in (1, 2, 3, 4, 6, 8, 12, 16):
        if count < len(history) and attempt(history[-count:]):
            break
    for at in reversed(range(len(history) - 1)):
        attempt(history[:at] + history[at + 1 :])
    for name in sorted({name for command in history for name in command.files}, reverse=True):
        attempt([replace(command, files=_without(command.files, name)) for command in history])
    for name in sorted({name for command in history for name in command.files}):
        for lines in (8, 3, 1):
            at = 0
            while time.monotonic() < end:
                texts = [
                    command.files[name].splitlines(keepends=True)
                    for command in history
                    if name in command.files
                ]
                longest = max(texts, key=len, default=[])
                block = "".join(longest[at : at + lines])
                if not block:
                    break
                cut = [
                    replace(command, files=_cut(command.files, name, block)) for command in history
                ]
                if not attempt(cut):
                    at += lines
    return history


def _without(files: dict[str, str], name: str) -> dict[str, str]:
    return {other: text for other, text in files.items() if other != name}


def _cut(files: dict[str, str], name: str, block: str) -> dict[str, str]:
    return {**files, name: files[name].replace(block, "", 1)} if name in files else files


def show(history: list[Command]) -> str:
    """The commands, and what is written before each of them."""
    lines = []
    before: dict[str, str] = {}
    for command in history:
        lines += [
            f"---- {name} is deleted" for name in sorted(before.keys() - command.files.keys())
        ]
        for name, text in command.files.items():
            if before.get(name) != text:
                lines += [f"---- {name}, written {command.way}", text.rstrip("\n")]
        variable = "" if command.variable is None else f"RANDOM_VARIABLE={command.variable} "
        lines.append(f"$ {variable}rpytest -n2 -rA {command.args}")
        before = command.files
    return "\n".join(lines)


def one_project(seed: int, rounds: int, seconds: float) -> str | None:
    """Play a seed; returns a report on the difference, if there is one."""
    project = Project(Path(tempfile.mkdtemp(prefix="staleness-")))
    try:
        play(project, project.path, seed, rounds)
    except Difference as difference:
        report = [f"seed {seed} differs\n{difference}"]
        if seconds:
            smallest = shrink(
                difference.history, seconds, lambda history: replay(history) is not None
            )
            again = replay(smallest)
            shown = (
                f"{show(smallest)}\n\n{again}"
                if again
                else "it could not be repeated in a new folder"
            )
            report.append(f"the smallest that was found:\n{shown}")
        report.append(f"again: random_staleness.py --seed {seed} --rounds {rounds} --each {rounds}")
        return "\n\n".join(report)
    finally:
        project.close()
        shutil.rmtree(project.path, ignore_errors=True)
    return None


def main() -> int:
    """Many rounds, as many projects as it takes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=300, help="in all (default: 300)")
    parser.add_argument(
        "--each", type=int, default=12, help="rounds of a project before the next one (default: 12)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=int(time.time()),
        help="of the first project (default: the time)",
    )
    parser.add_argument("--jobs", type=int, default=1, help="projects at a time (default: 1)")
    parser.add_argument(
        "--shrink",
        type=float,
        default=120,
        metavar="SECONDS",
        help="look for a smaller one (default: 120)",
    )
    parser.add_argument(
        "--go-on", action="store_true", help="do not stop at the first project that differs"
    )
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + -(-options.rounds // options.each))
    done = bad = 0
    stop = False

    def judge(seed: int) -> tuple[int, int, float, str | None]:
        began = time.monotonic()
        rounds = min(options.each, options.rounds - (seed - options.seed) * options.each)
        report = None if stop else one_project(seed, rounds, options.shrink)
        return seed, 0 if stop else rounds, time.monotonic() - began, report

    with ThreadPoolExecutor(options.jobs) as pool:
        for seed, rounds, seconds, report in pool.map(judge, seeds):
            if report is not None:
                bad += 1
                print(report, flush=True)
                stop = not options.go_on
            elif rounds:
                done += rounds
                print(
                    (
                        f"seed {seed}: {rounds} rounds without a difference, {seconds:.0f} s; "
                        f"{done} in all"
                    ),
                    flush=True,
                )
    if bad:
        print(f"{bad} of {len(seeds)} projects differ")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
