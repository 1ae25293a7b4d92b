"""Plugins that change how tests are run, selected or ordered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import ClassVar

from row import Row, Run


class Xdist(Row):
    """Installed, but unused."""

    plugin = "pytest-xdist"
    reference = "xdist"
    compared = "identity of workers, `import xdist`, its options, mark and hook"

    def check(self, run: Run) -> Iterator[str]:
        if f"{run.workers} workers [" not in run.stdout:
            yield f"not {run.workers} workers"


class Asyncio(Row):
    plugin = "pytest-asyncio"
    compared = "fixtures and loops of all scopes"


class Anyio(Row):
    plugin = "anyio"
    packages = ("trio", "sniffio")
    compared = "both backends, asynchronous fixtures"


class Trio(Row):
    plugin = "pytest-trio"
    compared = "nurseries, clocks"


class Mock(Row):
    plugin = "pytest-mock"
    compared = "mockers of all scopes"


class Timeout(Row):
    plugin = "pytest-timeout"
    compared = "method `signal`: the message of each timeout"

    def product(self, run: Run) -> dict[str, object]:
        return {"timeouts": sorted(re.findall(r"^E +Failed: (Timeout .*)$", run.stdout, re.M))}


class TimeoutThread(Row):
    """This method ends the process: pytest's is the whole run, here a worker crashes and is
    replaced.
    """

    plugin = "pytest-timeout"
    name = "pytest-timeout (thread)"
    folder = "timeout-thread"
    packages = ("pytest-xdist",)
    reference = "xdist"
    compared = "method `thread`: the stack that it printed, all other tests run"
    # pytest-xdist's report of a crash belongs to no phase, which junit files call an error.
    otherwise: ClassVar = {"test_timeout::test_hangs": "failed"}

    def check(self, run: Run) -> Iterator[str]:
        for text in (
            "crashed while running 'test_timeout.py::test_hangs'",
            "+ Timeout +",
            "before the hang",
            "time.sleep(60)",
        ):
            if text not in run.stdout + run.result.stderr:
                yield f"not told: {text}"


class Rerunfailures(Row):
    plugin = "pytest-rerunfailures"
    args = ("--reruns", "2", "-rR")
    compared = "number of reruns, their summary"

    def product(self, run: Run) -> dict[str, object]:
        return {
            "reruns": run.result.counts.get("rerun", 0),
            "summary": sorted(re.findall(r"^RERUN (\S+)", run.stdout, re.M)),
            "attempts": run.files(".made/*.count"),
        }


class Randomly(Row):
    plugin = "pytest-randomly"
    args = ("-p", "randomly", "-p", "no:cacheprovider", "--randomly-seed=1234")
    compared = "order of tests, numbers drawn, with a seed"

    def product(self, run: Run) -> dict[str, object]:
        return {"order": set(run.files(".made/*.txt").values())}


class Order(Row):
    plugin = "pytest-order"
    compared = "order of tests"

    def product(self, run: Run) -> dict[str, object]:
        return {"order": set(run.files(".made/*.txt").values())}


class Split(Row):
    plugin = "pytest-split"
    args = ("--splits", "2", "--group", "1", "--splitting-algorithm", "least_duration")
    compared = "the group's tests"


class SplitStore(Row):
    plugin = "pytest-split"
    name = "pytest-split (--store-durations)"
    folder = "split"
    args = ("--store-durations", "--durations-path=stored")
    compared = "the tests whose durations are stored"

    def product(self, run: Run) -> dict[str, object]:
        return {"stored": sorted(json.loads(run.read("stored") or "{}"))}


class Subtests(Row):
    plugin = "pytest-subtests"
    compared = "lines of subtests, counts"

    def product(self, run: Run) -> dict[str, object]:
        words = ("failed", "passed", "skipped", "subtests passed", "subtests failed")
        return {
            "counts": {word: count for word, count in run.result.counts.items() if word in words},
            "summary": sorted(
                re.findall(
                    r"^(?:SUBFAIL\w*|FAILED|\S+ SUBFAIL).*$",
                    run.stdout.partition("short test summary")[2],
                    re.M,
                )
            ),
        }


class Socket(Row):
    plugin = "pytest-socket"
    compared = "blocked and allowed sockets"
