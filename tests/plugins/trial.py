"""A row's trial: its project is run by the reference and by rpytest, cold and again, and what they
leave is compared.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import environments
from row import Row, Run
from support import junit_files as junit
from support.harness import Project, Result, comparable
from support.running import WATCHDOG_SECONDS


@dataclass
class Verdict:
    """What a trial found."""

    plugin: str
    version: str = ""
    method: str = "collected"
    reused: bool = True
    """Each second run found the session of the first."""
    problems: list[str] = field(default_factory=list)


def run(row: Row, venv: environments.Venv, keep: Path | None = None) -> Verdict:
    """Run everything of a row; `keep`: leave the outputs in this folder."""
    verdict = Verdict(row.plugin, environments.version(venv, row.plugin))
    with tempfile.TemporaryDirectory(prefix="rp-", dir="/tmp") as scratch:
        references: list[Run] = []
        for workers in (0, *row.workers):
            folder = Path(scratch) / f"{workers}" / row.project.name
            shutil.copytree(row.project, folder, ignore=shutil.ignore_patterns("__pycache__"))
            row.prepare(folder)
            project = Project(folder, venv.bin)
            try:
                for index in range(2):
                    one = _run(row, project, workers, index)
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        name = f"{row.title}-{one.kind}.txt".replace(" ", "")
                        (keep / name).write_text(str(one.result))
                    if workers == 0:
                        references.append(one)
                        continue
                    verdict.problems += [
                        f"{one.kind}: {text}" for text in _differences(row, one, references[index])
                    ]
                    method = re.search(r"^start method: (\w+)", one.stdout, re.M)
                    verdict.method = method[1] if method else verdict.method
                if workers and verdict.method == "collected":
                    status = project.rpytest("--daemon-status", junit=False).stdout
                    verdict.reused &= bool(re.search(r"\b2 runs\b", status))
                    if keep is not None:
                        (keep / f"{row.title}-{workers}-daemon.txt").write_text(status)
            finally:
                try:
                    project.close()
                except AssertionError as error:
                    verdict.problems.append(f"{workers} workers: {error}")
    return verdict


def _run(row: Row, project: Project, workers: int, index: int) -> Run:
    # The same file each time: another argument would be another session.
    file = project.scratch / "junit.xml"
    args = [*row.args, "-v", f"--junitxml={file}"]
    if workers:
        program, kind = "rpytest", f"rpytest -n {workers}"
        args = ["-n", str(workers), *args, *row.rpytest_args]
    elif row.reference == "xdist":
        program, kind = "pytest", "pytest -n 2"
        args = ["-n", "2", *args]
    else:
        program, kind = "pytest", "pytest"
        args = ["-p", "no:xdist", *args]
    running = project.spawn(*args, program=program, tty=row.tty)
    status = running.wait(WATCHDOG_SECONDS)
    cases = junit.read(file) if file.exists() else None
    file.unlink(missing_ok=True)
    result = Result(tuple(running.command), status, running.stdout, running.stderr, cases)
    run = Run(kind + (" again" if index else ""), workers, project.path, result)
    if cases is not None:
        # Now: the next run in this folder may change it.
        run.product.update(row.product(run))
    return run


def _differences(row: Row, run: Run, reference: Run) -> Iterator[str]:
    if run.result.status != reference.result.status:
        yield f"exit status {run.result.status}, {reference.kind} {reference.result.status}"
    seen, expected = comparable(run.result), comparable(reference.result)
    if not seen:
        yield f"no results: {(run.result.stderr or run.stdout).strip()[-300:]}"
        return
    for id in sorted(seen.keys() | expected.keys()):
        if id in row.otherwise:
            if seen[id][0] != row.otherwise[id]:
                yield f"{id}: {seen[id]}, not {row.otherwise[id]}"
        elif seen.get(id) != expected.get(id):
            yield f"{id}: {seen.get(id, 'missing')}, {reference.kind} {expected.get(id, 'missing')}"
    for name, wanted in reference.product.items():
        made = run.product[name]
        if isinstance(made, dict) and isinstance(wanted, dict):
            for key in sorted(made.keys() | wanted.keys(), key=str):
                if made.get(key) != wanted.get(key):
                    yield f"{name}: {key}: {made.get(key)!r}, {reference.kind} {wanted.get(key)!r}"
        elif made != wanted:
            yield f"{name}: {made!r}, {reference.kind} {wanted!r}"
    yield from row.check(run)
