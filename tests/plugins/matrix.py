"""Try plugins of pytest with rpytest: ``python tests/plugins/matrix.py [--only NAME] [--pytest
9.2]``.

Each row has a small project that uses its plugin (`projects/`) and an environment of its own, with
the plugin's current release and the rpytest of this tree (kept in a cache; ``--upgrade`` looks for
newer releases). The project is run by pytest, then by rpytest with 2 and 4 workers, each twice in
the same folder; outcomes, exit status and what the plugin makes (reports, coverage, snapshots …)
must be the same. ``--write`` puts the table into docs/plugins.md; rows that were not run stay as
they are.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parent), str(HERE.parent / "python")]

import environments  # noqa: E402

PYTESTS = {"8.4": "pytest==8.4.*", "9.2": "pytest==9.2.*"}


def main() -> int:
    """0 when all rows that were run are green, or red for a known reason."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="only this plugin; may be repeated"
    )
    parser.add_argument(
        "--pytest", choices=PYTESTS, default="9.2", help="the pytest to use (default: 9.2)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time (default: 1)")
    parser.add_argument("--release", action="store_true", help="the release build")
    parser.add_argument("--upgrade", action="store_true", help="install the newest releases")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave all output in this folder")
    parser.add_argument("--write", action="store_true", help="write docs/plugins.md")
    options = parser.parse_args()
    _need_pytest()

    import table
    import trial
    from row import Row
    from rows import ROWS

    rows = [row for row in ROWS if not options.only or {row.plugin, row.title} & set(options.only)]
    unknown = set(options.only or ()) - {name for row in rows for name in (row.plugin, row.title)}
    if unknown:
        parser.error(
            f"no such row: {', '.join(sorted(unknown))}; there are "
            f"{', '.join(row.title for row in ROWS)}"
        )
    build = environments.Build("release" if options.release else "debug")

    def judge(row: Row) -> trial.Verdict:
        began = time.monotonic()
        requirements = [PYTESTS[options.pytest], row.plugin, *row.packages]
        venv = environments.make(
            f"plugin-{row.plugin}-{options.pytest}", requirements, options.upgrade
        )
        build.link(venv)
        verdict = trial.run(row, venv, options.keep)
        print(table.line(row, verdict, time.monotonic() - began), flush=True)
        return verdict

    # Once, before several need it.
    build.link(environments.make("plugin-build", ["pytest"]))
    with ThreadPoolExecutor(options.jobs) as pool:
        verdicts = list(pool.map(judge, rows))
    red = [verdict for verdict in verdicts if verdict.problems]
    print(f"{len(verdicts) - len(red)} of {len(verdicts)} rows are green")
    if options.write:
        table.write(rows, verdicts, options.pytest)
    return (
        1
        if any(
            verdict.problems and not row.known for row, verdict in zip(rows, verdicts, strict=True)
        )
        else 0
    )


def _need_pytest() -> None:
    """The harness of the other tests is made of pytest's parts: go on in an environment that has
    it.
    """
    try:
        import pytest  # noqa: F401
    except ImportError:
        venv = environments.make("plugin-build", ["pytest"])
        os.execv(venv.python, [str(venv.python), *sys.argv])


if __name__ == "__main__":
    sys.exit(main())
