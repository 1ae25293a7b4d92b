"""``python -m rpytest``: run the native program with this interpreter."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rpytest.process import coverage_run
from rpytest.program import ProgramNotFound, find_program

# pytest's INTERNAL_ERROR: nothing that the user typed is wrong, the installation is.
BROKEN_INSTALLATION = 3


#: Options of the interpreter, one letter each, that say how it works (`python --help`): with and
#: without a value.
_OF_A_LETTER = frozenset("bBdEIOPqRsSuv")
_WITH_VALUE = frozenset("WX")
#: Options after which the options of the interpreter end, and those of a program follow.
_LAST = frozenset("cm")
_LONG_WITH_VALUE = "--check-hash-based-pycs"

#: Separates options in the environment: a character that none of them has.
SEPARATOR = "\x1f"


def interpreter_options(given: Sequence[str]) -> list[str]:
    """The options in an interpreter's command line that say how it works, as it was given
    (`sys.orig_argv`, without the program).

    They end where the program's name, `-m` or `-c` begins. `-i`, `-x`, `-h` and the like concern
    the one process that they were given to. The rules are those of CPython's `_PyOS_GetOpt`.
    """
    found: list[str] = []
    tokens = iter(given)
    for token in tokens:
        if token == _LONG_WITH_VALUE:
            found += [token, next(tokens, "default")]
        elif not token.startswith("-") or token in ("-", "--"):
            break
        elif token.startswith("--"):
            continue
        else:
            letters = token[1:]
            for place, letter in enumerate(letters):
                if letter in _LAST:
                    return found
                if letter in _WITH_VALUE:
                    found += [f"-{letter}", letters[place + 1 :] or next(tokens, "")]
                    break
                if letter in _OF_A_LETTER:
                    found.append(f"-{letter}")
    return found


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
    options = interpreter_options(sys.orig_argv[1:])
    environment.pop("RPYTEST_PYTHON_OPTIONS", None)
    if options:
        # The tests are to run in an interpreter like this one.
        environment["RPYTEST_PYTHON_OPTIONS"] = SEPARATOR.join(options)
    coverage_run.hand_over(environment)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(program, [program, *sys.argv[1:]], environment)


if __name__ == "__main__":
    sys.exit(main())
