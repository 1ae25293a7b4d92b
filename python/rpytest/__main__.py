"""``python -m rpytest``: run the native program with this interpreter."""

from __future__ import annotations

import os
import sys

from rpytest._find import ProgramNotFound, find_program

# pytest's INTERNAL_ERROR: nothing that the user typed is wrong, the installation is.
BROKEN_INSTALLATION = 3


def main() -> int:
    """Become the native program; returns an exit status only when there is none."""
    try:
        program = find_program()
    except ProgramNotFound as error:
        sys.stderr.write(f"error: {error}\n")
        sys.stderr.write("hint: reinstall it: `python -m pip install --force-reinstall rpytest`\n")
        return BROKEN_INSTALLATION
    environment = dict(os.environ, RPYTEST_PYTHON=sys.executable)
    # `python -m pytest` has the current directory on sys.path, unless -P or -I say otherwise.
    if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
        environment.pop("RPYTEST_CWD_ON_PATH", None)
    else:
        environment["RPYTEST_CWD_ON_PATH"] = "1"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(program, [program, *sys.argv[1:]], environment)


if __name__ == "__main__":
    sys.exit(main())
