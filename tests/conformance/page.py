"""docs/conformance.md, from the results of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reasons import PYTEST_REASONS, REASONS, SOMETIMES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
PYTEST_PAGE = PAGE.with_name("conformance-pytest.md")

_HEAD = """# pytest-xdist's tests, run by rpytest

pytest-xdist {xdist} has {count} acceptance tests that start whole commands with `pytester`
(`acceptance_test.py`, `test_newhooks.py`, and one of `test_plugin.py`). This page is what they say
when each of their commands is run by `rpytest` instead, under pytest {pytest}; it is written by

```console
$ python tests/conformance/run.py --write
```

which downloads them, since nothing of them is part of this project. Their labels are not ours, so
what `rpytest` prints is translated before they read it (`tests/conformance/dialect.py`): *labels*,
`[worker 0] id PASSED` for `[gw0] PASSED id`. Counted apart are two *exit statuses* in which rpytest
does as pytest does, on purpose: 2 for errors while collecting (pytest-xdist: 1), 1 for `-x` after a
failure (pytest-xdist: 2).

| | passed | failed as they should | failed | skipped |
|---|---|---|---|---|
{table}

*Failed as they should*: marked so by their authors (`xfail`). The skipped test is about pytest
before 8.

## Tests that do not pass

{reasons}

## Tests that pass sometimes

{sometimes}

## Tests that pass

{passing}
"""

_PYTEST_HEAD = """# pytest's tests, run by rpytest

Some files of pytest {pytest}'s own tests ({files}; {count} tests), with everything that they run in
their own process started as a command instead: first `pytest`, then `rpytest` with its one worker.
Tests that need to look into the process that runs pytest fail with both.

```console
$ python tests/conformance/run.py --suite pytest --write
```

Of {count} tests {reference} pass when the command is `pytest`, {ours} when it is `rpytest`. These
pass with the first only:

{lines}
"""

_ROWS = (
    ("xdist", "pytest-xdist itself"),
    ("labels", "rpytest"),
    ("statuses", "… with two exit statuses translated, too"),
    ("as-is", "… with nothing translated"),
)


def write(
    results: Mapping[str, Mapping[str, str]], pytest_version: str, xdist_version: str
) -> None:
    """Write the page; `results` has the outcomes by kind of run and test."""
    table = []
    for kind, name in _ROWS:
        if kind in results:
            outcomes = list(results[kind].values())
            counts = [
                str(outcomes.count(word)) for word in ("passed", "xfailed", "failed", "skipped")
            ]
            table.append(f"| {name} | {' | '.join(counts)} |")
    ours = results["labels"]
    sure = [
        test
        for test in sorted(ours)
        if ours[test] in ("passed", "xfailed") and test not in SOMETIMES
    ]
    passing = [f"- `{test}`" + _how(test, results) for test in sure]
    text = _HEAD.format(
        xdist=xdist_version,
        pytest=pytest_version,
        count=len(ours),
        table="\n".join(table),
        reasons="\n".join(f"- `{test}`: {why}" for test, why in REASONS.items() if test in ours),
        sometimes="\n".join(
            f"- `{test}`: {why}" for test, why in SOMETIMES.items() if test in ours
        ),
        passing="\n".join(passing),
    )
    PAGE.write_text(text)


def differing(results: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The tests that pass with pytest and not with rpytest."""
    good = ("passed", "xfailed", "skipped")
    ours = results["rpytest"]
    return sorted(
        test
        for test, outcome in results["pytest"].items()
        if outcome in good and ours.get(test) not in good
    )


def write_pytest(
    results: Mapping[str, Mapping[str, str]], files: Sequence[str], pytest_version: str
) -> None:
    """Write the page about pytest's own tests."""
    lines = [
        f"- `{test}`: {PYTEST_REASONS.get(test, 'not looked into yet')}"
        for test in differing(results)
    ]
    counts = [list(results[program].values()).count("passed") for program in ("pytest", "rpytest")]
    text = _PYTEST_HEAD.format(
        pytest=pytest_version,
        files=", ".join(f"`{file.partition('/')[2]}`" for file in files),
        count=len(results["pytest"]),
        reference=counts[0],
        ours=counts[1],
        lines="\n".join(lines),
    )
    PYTEST_PAGE.write_text(text)


def _how(test: str, results: Mapping[str, Mapping[str, str]]) -> str:
    if results["labels"][test] == "xfailed":
        return " (xfail)"
    needed = next(kind for kind in ("as-is", "labels") if results[kind].get(test) == "passed")
    return "" if needed == "as-is" else f" ({needed})"
