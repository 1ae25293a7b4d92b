"""What may differ between two command lines that use one collected session.

This is the written list. An option that is not in it belongs to the session: another value means
another session. So does one that a plugin or conftest has read (``options/option_reads.py``), or
changed, before the tests were known.
"""

from __future__ import annotations

import argparse
import inspect
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _pytest.main
import pytest
from _pytest.config.findpaths import determine_setup

from rpytest import stdlib
from rpytest.options import early_readers, option_reads
from rpytest.stdlib import os

__builtins__ = stdlib.BUILTINS


#: Options that choose or order tests, by the names of their values in ``config.option``. pytest
#: reads them when it selects tests, or the selection is made anew (:data:`COLLECTING`).
SELECTING = frozenset(
    {
        "file_or_dir",
        "keyword",
        "markexpr",
        "deselect",
        "ignore",
        "ignore_glob",
        "lf",
        "failedfirst",
        "newfirst",
        "last_failed_no_failures",
        "stepwise",
        "stepwise_skip",
        "stepwise_reset",
        "keepduplicates",
    }
)

#: Options that say what is collected; all others only say what is done with it.
COLLECTING = frozenset({"file_or_dir", "ignore", "ignore_glob", "lf", "keepduplicates"})

#: Options about the course of a run and its report, which pytest reads while it runs or at the end.
REPORTING = frozenset(
    {
        "basetemp",
        "code_highlight",
        "continue_on_collection_errors",
        "disable_warnings",
        "durations",
        "durations_min",
        "fold_skipped",
        "force_short_summary",
        "fulltrace",
        "junitprefix",
        "max_warnings",
        "maxfail",
        "no_header",
        "no_summary",
        "quiet",
        "reportchars",
        "showcapture",
        "showlocals",
        "tbstyle",
        "verbose",
        "xfail_tb",
        "xmlpath",
    }
)

#: Our own, and pytest-xdist's.
RUNNING = frozenset(
    {
        "dist",
        "distload",
        "loadscopereorder",
        "maxprocesses",
        "maxschedchunk",
        "maxworkerrestart",
        "numprocesses",
        "rpytest_order",
        "rpytest_record_plan",
        "rpytest_replay",
        "rpytest_stats",
        "shard",
        "shard_history",
        "start_method",
        "testrunuid",
        "total_shards",
        "tx",
    }
)

FREE = SELECTING | REPORTING | RUNNING

#: Options whose value is another one in a worker, or is completed by pytest: that is no plugin's
#: doing.
_COMPLETED = frozenset({"dist", "distload", "numprocesses", "maxprocesses", "stepwise"})

#: How many workers there are, in one way or the other.
_COUNTING = frozenset({"numprocesses", "maxprocesses", "tx", "rpytest_replay"})


#: What `determine_setup` of this pytest wants to know.
_SETUP = tuple(inspect.signature(determine_setup).parameters)


class Declined(Exception):
    """This session can't serve that command line; the text says why."""


def option_count(config: pytest.Config) -> int:
    """How many options are registered: conftests of sub-folders may add some that another command
    line would not have.
    """
    parser: Any = config._parser
    groups = {id(group): group for group in (*parser._groups, parser._anonymous)}
    return sum(len(group.options) for group in groups.values())


class ParsedCommandLine:
    """A configuration's command line, taken apart again, so that others can be compared with it."""

    def __init__(self, config: pytest.Config, argv: Sequence[str]) -> None:
        self.config = config
        self.argv = list(argv)
        parser: Any = config._parser
        # pytest before 9 makes a parser each time.
        self._parser: Any = (
            parser._getparser() if hasattr(parser, "_getparser") else parser.optparser
        )
        self.own = self._parse(argv)
        #: Options that were changed after they had been parsed.
        live = vars(config.option)
        self._changed = {name for name in FREE - _COMPLETED if live.get(name) != self.own.get(name)}

    def _parse(self, argv: Sequence[str]) -> dict[str, Any]:
        extra = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
        arguments = [*self.config.getini("addopts"), *extra, *argv]
        # Version 9 allows positional arguments between options by this, version 8 by a parser of
        # its own.
        parse = (
            self._parser.parse_args
            if hasattr(self._parser, "_parser")
            else self._parser.parse_intermixed_args
        )
        namespace = argparse.Namespace(**self._defaults())
        parse(arguments, namespace=namespace)
        return vars(namespace)

    def _defaults(self) -> dict[str, Any]:
        """Where several options set one value, version 8 begins with the first default that was
        *given*: `-x` has none, `--maxfail` has 0.
        """
        parser: Any = self.config._parser
        found: dict[str, Any] = {}
        if hasattr(self._parser, "_parser"):
            for group in (*parser._groups, parser._anonymous):
                for option in group.options:
                    if hasattr(option, "default"):
                        found.setdefault(option.dest, option.default)
        return found

    def compare(self, argv: Sequence[str], counted: bool) -> dict[str, Any]:
        """The options that have another value in ``argv``, with that value; raises
        :class:`Declined`.

        ``counted``: somebody has asked how many workers there are.
        """
        if list(argv) == self.argv:
            return {}
        try:
            new = self._parse(argv)
        except Exception as error:
            # pytest itself is to say it, with everything that it knows.
            raise Declined(
                f"the arguments can't be parsed: {str(error).splitlines()[-1:]}"
            ) from None
        nothing = object()
        different = {
            name: new.get(name)
            for name in self.own.keys() | new
            if self.own.get(name, nothing) != new.get(name, nothing)
        }
        if option_reads.COMMAND_LINE in option_reads.reads.read:
            # Whoever reads the arguments themselves can tell `-k a` from `-ka`.
            raise Declined(
                "the arguments are others, and were read by "
                f"{option_reads.where(option_reads.COMMAND_LINE)}"
            )
        if (reader := early_readers.who_minds(self.config, self.argv, argv)) is not None:
            raise Declined(f"the arguments are others, and were read by {reader}")
        for name in sorted(different):
            if name not in FREE:
                raise Declined(f"the option `{name}` has another value")
            if name in self._changed:
                raise Declined(
                    f"the option `{name}` has another value, and a plugin or conftest has "
                    "changed it"
                )
            place = option_reads.where(name)
            if place is not None:
                raise Declined(f"the option `{name}` has another value, and was read by {place}")
            if counted and name in _COUNTING:
                raise Declined("a plugin or conftest has asked for the number of workers")
        return different

    def resolve(self, different: dict[str, Any]) -> tuple[list[str], Any]:
        """Paths and node ids to collect, and where they come from; raises :class:`Declined` if they
        mean another configuration.
        """
        config: Any = self.config
        given = different.get("file_or_dir", self.own["file_or_dir"])
        if "file_or_dir" not in different:
            self._refuse_overlaps(config.args)
            return list(config.args), config.args_source
        known = {
            "inifile": self.own["inifilename"],
            "override_ini": self.own.get("override_ini"),
            # pytest looks for ini files above each of them, and of node ids takes the files.
            "args": list(dict.fromkeys(str(arg).split("::")[0] for arg in given)),
            "rootdir_cmd_arg": self.own["rootdir"] or None,
            "invocation_dir": config.invocation_params.dir,
        }
        try:
            root, inifile, *_ = determine_setup(**{name: known[name] for name in _SETUP})
        except Exception as error:
            raise Declined(f"the configuration is another one: {error}") from None
        if root != config.rootpath or inifile != config.inipath:
            raise Declined("the paths mean another rootdir or another ini file")
        args, source = config._decide_args(
            args=list(given),
            pyargs=config.option.pyargs,
            testpaths=config.getini("testpaths"),
            invocation_dir=config.invocation_params.dir,
            rootpath=config.rootpath,
            warn=False,
        )
        if not given and config.getini("testpaths") and source.name != "TESTPATHS":
            # pytest warns of it.
            raise Declined("no file was found in `testpaths`")
        self._refuse_overlaps(args)
        return list(args), source

    def _refuse_overlaps(self, args: Sequence[str]) -> None:
        """Before version 9 a file that is given, and is part of another argument, is collected
        again, as another object.
        """
        if hasattr(_pytest.main, "normalize_collection_arguments"):
            return
        here = self.config.invocation_params.dir
        paths = [os.path.normpath(here / str(arg).split("::")[0]) for arg in args]
        given = Counter(paths)
        for arg, path in zip(args, paths, strict=True):
            if "::" in str(arg) or os.path.isdir(path):
                continue
            if given[path] > 1 or any(str(folder) in given for folder in Path(path).parents):
                raise Declined(f"{arg} is given twice")


def apply(
    config: pytest.Config,
    argv: Sequence[str],
    different: dict[str, Any],
    args: list[str],
    source: Any,
) -> None:
    """Give ``config`` the values of another command line."""
    for name, value in different.items():
        for options in (config.option, config.known_args_namespace):
            setattr(options, name, value)
    held: Any = config
    held.args, held.args_source = args, source
    params = config.invocation_params
    held.invocation_params = pytest.Config.InvocationParams(
        args=tuple(argv), plugins=params.plugins, dir=params.dir
    )
    option_reads.reads.find_kept_parts()
    sys.argv = [sys.argv[0], *argv]
    option_reads.reads.replace(sys.argv)


def anchors(config: pytest.Config, args: Sequence[str]) -> set[Path]:
    """The folders in which pytest looks for conftests before it collects, for these arguments."""
    here = config.invocation_params.dir
    found: list[Path] = []
    for arg in args:
        path = Path(os.path.normpath(here / str(arg).split("::")[0]))
        try:
            exists = path.exists()
        except OSError:
            # A very long option that looks like an argument.
            exists = False
        if exists:
            found += _with_tests(path) if path.is_dir() else [path.parent]
    if not found:
        found = _with_tests(here)
    return {folder for path in found for folder in (path, *path.parents)}


def _with_tests(folder: Path) -> list[Path]:
    return [folder, *(path for path in folder.glob("test*") if path.is_dir())]
