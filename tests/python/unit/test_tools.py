"""What the programs that look for differences do with one."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path[1:1] = [str(Path(__file__).resolve().parents[2] / "suites")]

from comparing import Ran, Reference, way  # noqa: E402
from random_staleness import Command, show, shrink  # noqa: E402
from support.effects import KINDS  # noqa: E402
from support.random_projects import Tree  # noqa: E402


def command(args: str, **files: str) -> Command:
    return Command({f"{name}.py": text for name, text in files.items()}, "in place", None, args, "")


def test_a_history_is_shrunk_to_what_makes_the_difference() -> None:
    text = "".join(f"line {number}\n" for number in range(20))
    files = {"a": f"{text}bad\n{text}", "b": text, "c": "needed\n"}
    history = [command(f"{number}", **files) for number in range(9)]

    def fails(commands: list[Command]) -> bool:
        last = commands[-1]
        both = "bad\n" in last.files.get("a.py", "") and "needed\n" in last.files.get("c.py", "")
        return (
            both
            and [one.args for one in commands][-1] == "8"
            and "5" in {one.args for one in commands}
        )

    smallest = shrink(history, 60, fails)
    assert [one.args for one in smallest] == ["5", "8"]
    assert all(one.files == {"a.py": "bad\n", "c.py": "needed\n"} for one in smallest)
    assert show(smallest).count("$ rpytest") == 2


def test_what_can_not_be_repeated_is_left_as_it_is() -> None:
    history = [command("", a="1\n"), command("x", a="2\n")]
    assert shrink(history, 60, lambda _: False) == history


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_makes_one_project(seed: int) -> None:
    drawn: list[Any] = []
    for _ in range(2):
        random.seed()
        tree = Tree(seed)
        steps = [(tree.round(), tree.selection(), dict(tree.files)) for _ in range(15)]
        drawn.append(steps)
    assert drawn[0] == drawn[1]
    for _, _, files in drawn[0]:
        for name, text in files.items():
            if name.endswith(".py"):
                compile(text, name, "exec")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.runs_here], ids=str)
def test_an_effect_can_be_taken_away(kind: Any) -> None:
    with_it, without, edited = kind.project(), kind.project(effect=False), kind.project(comment="x")
    assert with_it != without
    assert edited != with_it
    assert with_it.keys() == without.keys()
    for name, text in (with_it | {f"2{name}": text for name, text in without.items()}).items():
        if name.endswith(".py"):
            compile(text, name, "exec")


def ran(status: int = 0, **outcomes: str) -> Ran:
    return Ran(status, Counter(dict.fromkeys(outcomes.items(), 1)), 1.0, "")


def of_time(time: int) -> Ran:
    outcomes: dict[str, Any] = {f"t[{time}]": "passed"}
    return ran(**outcomes)


class Scripted:
    """A place where pytest says these things, one after the other."""

    def __init__(self, *said: Ran) -> None:
        self.said = list(said)

    def run(self, *_: str) -> Ran:
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]


SAME = ran(a="passed", b="skipped")


@pytest.mark.parametrize(
    ("said", "ours", "wrong", "unstable"),
    [
        ([SAME], SAME, 0, []),
        ([SAME], ran(a="failed", b="skipped"), 1, []),
        ([SAME], ran(a="passed"), 1, []),
        ([SAME], ran(a="passed", b="skipped", c="passed"), 1, []),
        ([SAME], ran(1, a="passed", b="skipped"), 1, []),
        ([SAME], ran(3), 2, []),
        # pytest says it, too, when it is asked again.
        ([SAME, SAME, ran(a="failed", b="skipped"), SAME], ran(a="failed", b="skipped"), 0, ["a"]),
        # It never says that, but this and that.
        ([SAME, ran(a="failed", b="skipped"), SAME], ran(a="error", b="skipped"), 0, ["a"]),
        ([SAME, ran(a="failed", b="skipped"), SAME], ran(a="error", b="passed"), 1, ["a"]),
        # A name with the time in it is another one in each run.
        ([of_time(1), of_time(2)], of_time(3), 0, ["t[1]", "t[3]"]),
    ],
)  # fmt: skip
def test_a_difference_is_one_if_pytest_never_says_it(
    said: list[Ran], ours: Ran, wrong: int, unstable: list[str]
) -> None:
    place: Any = Scripted(*said)
    found, excused = Reference(place, [], again=4).differences(ours, 2)
    assert (len(found), excused) == (wrong, unstable), found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 passed", "?"),
        ("collection: kept from an earlier run", "fast"),
        ("collection: afresh, as test_a.py calls `helper.f`", "slow"),
        ("test_a.py::test_fresh_session PASSED", "?"),
    ],
)
def test_way(text: str, wanted: str) -> None:
    assert way(text) == wanted
