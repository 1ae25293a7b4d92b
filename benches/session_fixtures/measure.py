"""What session fixtures cost when workers share them: time, memory, a database server. Fails where
it is not as it should be.

    .venv/bin/python benches/session_fixtures/measure.py                # everything
    .venv/bin/python benches/session_fixtures/measure.py memory -n 8

`time` runs a suite whose session fixture computes for a second, under pytest, pytest-xdist and
rpytest in turn: wall time, processor time of all processes, set-ups. `memory` runs tests that walk
200 MB of data of a session fixture, and looks at the memory of all processes (PSS). `postgres`
starts a server in a session fixture and gives each worker a connection and a schema; it wants
Debian's package `postgresql`. They need the network once, for an environment with pytest-xdist and
psycopg.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pwd
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(TREE / "tests"), str(TREE / "benches" / "compare")]

import environments  # noqa: E402
import fixture_suites  # noqa: E402
from environments import Venv  # noqa: E402
from memory import peak_pss  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36


class Failed(Exception):
    """Something is not as it should be; its text says what."""


class Ground:
    """A suite in a folder of its own, with a daemon of its own."""

    def __init__(self, venv: Venv, files: Mapping[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rp-", dir="/tmp"))
        self.venv = venv
        self.notes = self.folder / "notes"
        self.project = self.folder / "project"
        self.project.mkdir()
        for name, text in files.items():
            (self.project / name).write_text(text)
        self.env = {
            name: value
            for name, value in venv.environment().items()
            if name != "CI" and not name.startswith("PYTEST_")
        }
        self.env |= {
            "NOTES": str(self.notes),
            "PATH": f"{venv.bin}{os.pathsep}{self.env['PATH']}",
            "RPYTEST_RUNTIME_DIR": str(self.folder / "run"),
            "RPYTEST_CACHE_DIR": str(self.folder / "cache"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        (self.folder / "run").mkdir(mode=0o700)

    def command(self, program: str, *args: str) -> list[str]:
        """A program of the environment with arguments."""
        return [str(self.venv.bin / program), "-p", "no:cacheprovider", *args]

    def run(
        self, program: str, *args: str, env: Mapping[str, str] | None = None, status: int = 0
    ) -> str:
        """Run it to its end; returns its output. Another exit status is a failure."""
        self.notes.unlink(missing_ok=True)
        done = subprocess.run(
            self.command(program, *args),
            cwd=self.project,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != status:
            raise Failed(
                f"{program} {' '.join(args)}: exit status {done.returncode}, not {status}\n"
                f"{done.stdout}{done.stderr}"
            )
        return done.stdout

    def noted(self, start: str) -> list[str]:
        """What was written down in the last run and begins so."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [line for line in lines if line.startswith(start)]

    def stop_daemon(self) -> None:
        """End what earlier runs have left."""
        subprocess.run(
            [str(self.venv.bin / "rpytest"), "--daemon-stop"],
            env=self.env,
            capture_output=True,
            check=False,
        )

    def close(self) -> None:
        """Stop the daemon and remove the folder."""
        self.stop_daemon()
        shutil.rmtree(self.folder, ignore_errors=True)


# -- time


def measure_time(venv: Venv, n: int, turns: int) -> None:
    """Wall time, processor time and set-ups of a suite with a session fixture that computes for a
    second.
    """
    ground = Ground(venv, fixture_suites.SECOND)
    programs: dict[str, list[str]] = {
        "pytest": ground.command("pytest", "-q"),
        f"pytest-xdist -n {n}": ground.command("pytest", "-q", "-n", str(n)),
        f"rpytest -n {n}, cold": ground.command("rpytest", "-q", "--no-daemon", "-n", str(n)),
        f"rpytest -n {n}, warm": ground.command("rpytest", "-q", "-n", str(n)),
    }
    walls: dict[str, list[float]] = {name: [] for name in programs}
    processors: dict[str, list[float]] = {name: [] for name in programs}
    ups: dict[str, set[int]] = {name: set() for name in programs}
    try:
        ground.run("rpytest", "-n", str(n))
        for _ in range(turns):
            for name, command in programs.items():
                ground.notes.unlink(missing_ok=True)
                wall, processor = timed(command, cwd=ground.project, env=ground.env)
                walls[name].append(wall)
                processors[name].append(processor)
                ups[name].add(len(ground.noted("up model")))
    finally:
        ground.close()
    print(
        f"A session fixture that computes for 1 s, 200 tests, {os.cpu_count()} processors, "
        f"medians of {turns} turns:"
    )
    print("| | wall s | processor s | set-ups |\n|---|---|---|---|")
    for name in programs:
        all_processors = (
            "–" if name.endswith("warm") else f"{statistics.median(processors[name]):.2f}"
        )
        print(
            f"| {name} | {statistics.median(walls[name]):.2f} | {all_processors} | "
            f"{', '.join(map(str, sorted(ups[name])))} |"
        )
    if any(ups[name] != {1} for name in programs if name.startswith("rpytest")):
        raise Failed("rpytest has set the fixture up more than once in a run")


def timed(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> tuple[float, float]:
    """Seconds of wall time, and of the processors for all processes that have ended by then or soon
    after.

    This process adopts orphans, so that what is left behind by the command counts as well; a daemon
    that stays does not.
    """
    others = children()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    status = subprocess.call(
        command, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    wall = time.monotonic() - began
    if status != 0:
        raise Failed(f"{' '.join(command)}: exit status {status}")
    if "--no-daemon" in command:
        while orphans := children() - others:
            for orphan in orphans:
                os.waitpid(orphan, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def children() -> set[int]:
    """Processes of ours, adopted ones too."""
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


# -- memory


def measure_memory(venv: Venv, n: int, turns: int) -> None:
    """Peak PSS of the tree of processes while tests walk 200 MB of a session fixture."""
    print(
        "200 MB in a session fixture, walked by each of 16 tests: peak PSS of all "
        f"processes in MiB, medians of {turns} turns:"
    )
    print(
        f"| | pytest | pytest-xdist -n {n} | rpytest -n {n} | rpytest / pytest |\n"
        "|---|---|---|---|---|"
    )
    too_much = []
    for kind in ("bytes", "array", "objects"):
        ground = Ground(venv, fixture_suites.table(kind))
        peaks: dict[str, list[float]] = {"pytest": [], "xdist": [], "rpytest": []}
        try:
            for _ in range(turns):
                for name, command in {
                    "pytest": ground.command("pytest"),
                    "xdist": ground.command("pytest", "-n", str(n)),
                    "rpytest": ground.command("rpytest", "-n", str(n)),
                }.items():
                    if name != "rpytest":
                        ground.stop_daemon()
                    peak, _ = peak_pss(
                        command, cwd=ground.project, env=ground.env, variable="NOTES"
                    )
                    peaks[name].append(peak)
        finally:
            ground.close()
        pytest, xdist, ours = (
            statistics.median(peaks[name]) for name in ("pytest", "xdist", "rpytest")
        )
        print(
            f"| {kind} | {pytest:.0f} | {xdist:.0f} | {ours:.0f} | {ours / pytest:.2f} |",
            flush=True,
        )
        if kind != "objects" and ours / pytest >= 1.5:
            too_much.append(kind)
    if too_much:
        raise Failed(f"more than 1.5 times of what pytest takes: {', '.join(too_much)}")


# -- PostgreSQL


def postgres_programs() -> Path:
    """The folder of `initdb` and `postgres`."""
    found = shutil.which("initdb")
    places = (
        [Path(found).parent]
        if found
        else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    )
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise Failed(
        "PostgreSQL's `initdb` and `postgres` are not there\n"
        "hint: Debian, Ubuntu: `apt-get install postgresql`"
    )


def measure_postgres(venv: Venv, n: int, turns: int) -> None:
    """One server for all, a connection and a schema for each worker: with 1, `n` and 16 workers,
    cold and warm, twice, and with a crash.
    """
    ground = Ground(venv, fixture_suites.POSTGRES)
    ground.env["POSTGRES_BIN"] = str(postgres_programs())
    if os.geteuid() == 0:
        try:
            ground.env["POSTGRES_USER"] = pwd.getpwnam("postgres").pw_name
        except KeyError:
            raise Failed(
                "there is no user `postgres`, and the server does not run as root"
            ) from None
    try:
        ground.run("pytest")
        _see(ground, ["up postgres"], "up postgres")
        for workers in (1, n, 16):
            for turn in range(2 * turns):
                if turn % 2 == 0:
                    ground.stop_daemon()
                output = ground.run("rpytest", "-v", "-n", str(workers))
                _see(ground, ["up postgres"], "up postgres")
                _see(ground, ["down postgres 0"], "down postgres")
                if "shared session fixtures: postgres, done\n" not in output:
                    raise Failed(f"postgres is not shared\n{output}")
                if (
                    "session fixture of each worker: connection (requests worker_id)\n"
                    not in output
                ):
                    raise Failed(f"the connection is shared\n{output}")
                (line,) = ground.noted("done ")
                names = line.removeprefix("done ").split(",")
                connections = len(ground.noted("up connection"))
                if len(names) != 32 or not 1 <= len(set(names)) <= connections <= workers:
                    raise Failed(f"{connections} connections, {line}")
                print(
                    (
                        f"postgres, -n {workers}, {'warm' if turn % 2 else 'cold'}: 1 server, "
                        f"{connections} connections"
                    ),
                    flush=True,
                )
        output = ground.run("rpytest", "-n", str(n), env={"CRASH": "7"}, status=1)
        _see(ground, ["up postgres"], "up postgres")
        _see(ground, ["down postgres 0"], "down postgres")
        if "1 failed, 31 passed" not in output:
            raise Failed(f"a worker's crash cost more than its test\n{output}")
        print(
            f"postgres, -n {n}, a worker crashes: 1 server, "
            f"{len(ground.noted('up connection'))} connections, 31 of 32 tests pass"
        )
    finally:
        ground.close()


def _see(ground: Ground, expected: list[str], start: str) -> None:
    found = ground.noted(start)
    if found != expected:
        raise Failed(f"{found}, not {expected}")


PARTS = {"time": measure_time, "memory": measure_memory, "postgres": measure_postgres}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], help="which of them; without: all"
    )
    parser.add_argument("-n", type=int, default=4, help="workers (4)")
    parser.add_argument("--turns", type=int, default=3, help="how often (3)")
    arguments = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if "postgres" in (arguments.parts or PARTS):
            postgres_programs()
        venv = environments.make("session-fixtures", ["pytest", "pytest-xdist", "psycopg[binary]"])
        environments.Build("release").link(venv)
        for name in arguments.parts or PARTS:
            PARTS[name](venv, arguments.n, arguments.turns)
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
