"""What an import does with the streams and the command line, and what a session gets of it."""

from __future__ import annotations

import contextlib
import io
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from rpytest.preload.stand_ins import StandIns, Use


class Refused(BaseException):
    """As `NotPreloadable`: not an `Exception`."""


def imported(code: str) -> tuple[types.ModuleType, Use]:
    """A module that was made of ``code`` while there were stand-ins."""
    module, use = types.ModuleType("made"), Use()
    with StandIns(Refused).in_place(use):
        exec(code, vars(module))
    return module, use


@contextlib.contextmanager
def output() -> Iterator[io.StringIO]:
    """A session's standard output. No fixture, as pytest puts its own there for each phase."""
    before, sys.stdout = sys.stdout, io.StringIO()
    try:
        yield sys.stdout
    finally:
        sys.stdout = before


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("from sys import stdout as kept", "made.kept"),
        ("import sys\ndef f(file=sys.stdout): pass", "made.f.__defaults__[0]"),
        ("import sys\ndef f(a=1, b=sys.stdout, c=2): pass", "made.f.__defaults__[1]"),
        ("import sys\ndef f(*, file=sys.stdout): pass", "made.f.__kwdefaults__['file']"),
        ("import sys\nclass C:\n    file = sys.stdout\nC().file", "made.C().file"),
        ("import sys\nclass C:\n    def m(self, file=sys.stdout): return file", "made.C().m()"),
        ("import logging, sys\nh = logging.StreamHandler(sys.stdout)", "made.h.stream"),
        ("import sys\nl = [0, sys.stdout]", "made.l[1]"),
        ("import sys\nd = {'a': {'b': sys.stdout}}", "made.d['a']['b']"),
        ("import sys\ndef f():\n    x = sys.stdout\n    return lambda: x\ng = f()", "made.g()"),
        ("import sys\na = sys.stdout\nb = [a]\nc = a", "made.b[0] if made.a is made.c else 0"),
    ],
)
def test_what_is_kept_is_the_session_s(code: str, kept: str) -> None:
    made, use = imported(code)
    with output() as stream:
        assert (eval(kept, {"made": made}) is stream) is False
        use.put()
        assert (eval(kept, {"made": made}) is stream) is True


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys\nt = (sys.stdout,)", "keeps `sys.stdout`"),
        ("import sys\nwrite = [sys.stdout.write]", "uses `sys.stdout`"),
        ("print('hello')", "uses `sys.stdout`"),
        ("import sys\nsys.stderr.encoding = 'ascii'", "uses `sys.stderr`"),
        ("import sys\nsys.stdout = open", "replaces `sys.stdout`"),
        ("import sys\ndel sys.__stdin__", "replaces `sys.__stdin__`"),
        ("import sys\nset([sys.stdout])", "uses `sys.stdout`"),
        ("import sys, weakref\nweakref.ref(sys.stdout)", "cannot create weak reference"),
        ("import sys\nfor word in sys.argv: pass", "uses `sys.argv`"),
        ("import sys\n'-c' in sys.argv", "uses `sys.argv`"),
        ("import sys\nlen(sys.argv)", "uses `sys.argv`"),
        ("import sys\nsys.argv[0]", "uses `sys.argv`"),
        ("import sys\nsys.argv.copy()", "uses `sys.argv`"),
        ("import sys\nsys.argv == []", "uses `sys.argv`"),
        ("import sys\nf'{sys.argv}'", "uses `sys.argv`"),
        ("import sys\nbool(sys.argv)", "uses `sys.argv`"),
    ],
)
def test_what_is_refused(code: str, reason: str) -> None:
    with pytest.raises((Refused, TypeError), match=reason):
        imported(code)


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nsys.stdin is None",
        "import sys\ndef f():\n    return sys.stdout",
        "import sys\nx = sys.stdout\ndel x",
        "import sys\nclass C: pass\nc = C()\nc.me = c\nc.file = sys.stdout\ndel c",
    ],
)
def test_what_leaves_nothing(code: str) -> None:
    _, use = imported(code)
    assert use.kept == []
    assert use.asked == {}


def test_a_question_is_noted() -> None:
    made, use = imported("import sys\nname = sys.stdout.encoding, sys.stdout.isatty()")
    assert vars(made)["name"] == ("utf-8", False)
    assert use.asked == {
        ("stdout", "encoding"): ("value", "utf-8"),
        ("stdout", "isatty"): ("value", False),
    }
    with output():
        assert use.first_difference() == "sys.stdout.encoding"


def test_a_question_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    _, use = imported("import sys\ntry: sys.stdout.fileno()\nexcept OSError: pass")
    assert use.asked == {("stdout", "fileno"): ("raises", "UnsupportedOperation")}
    with output() as stream:
        assert use.first_difference() is None
        monkeypatch.setattr(stream, "fileno", lambda: 1)
        assert use.first_difference() == "sys.stdout.fileno"


def test_a_terminal_answers_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `-s`."""
    _, use = imported("import sys\nsys.stdout.isatty()")
    with output() as stream:
        assert use.first_difference() is None
        monkeypatch.setattr(stream, "isatty", lambda: True)
        assert use.first_difference() == "sys.stdout.isatty"


def test_a_step_within_a_step() -> None:
    """What the inner one keeps is the outer one's while that is made, then the session's."""
    stand_ins, inner, outer = StandIns(Refused), Use(), Use()
    one, two = types.ModuleType("one"), types.ModuleType("two")
    with stand_ins.in_place(outer):
        with stand_ins.in_place(inner):
            exec("from sys import stdout", vars(one))
        inner.put()
        vars(two)["one"] = one
        exec("import sys\nsame = one.stdout is sys.stdout\nmine = one.stdout", vars(two))
    assert vars(two)["same"] is True
    with output() as stream:
        inner.put()
        outer.put()
        assert (vars(one)["stdout"] is vars(two)["mine"] is stream) is True


def test_what_was_replaced_since_is_left_alone() -> None:
    """By the project or a test, before another step is shown that was made in view of it."""
    stand_ins, inner, outer = StandIns(Refused), Use(), Use()
    made = types.ModuleType("made")
    with stand_ins.in_place(outer), stand_ins.in_place(inner):
        exec(
            "import sys\nout = sys.stdout\nboth = [sys.stdout, sys.stderr]\n"
            "def f(file=sys.stdout): pass",
            vars(made),
        )
    values: dict[str, Any] = vars(made)
    with output() as stream:
        inner.put()
        values["out"] = "replaced"
        values["both"].pop(0)
        values["f"].__defaults__ = None
    with output() as other:
        inner.put()
        outer.put()
        assert values["out"] == "replaced"
        assert len(values["both"]) == 1
        assert values["both"][0] is sys.stderr
        assert values["f"].__defaults__ is None
    assert (stream is other) is False


def test_what_a_session_has_stays_when_another_step_comes() -> None:
    """Shown by a test that captures, for example."""
    stand_ins, inner, outer = StandIns(Refused), Use(), Use()
    made = types.ModuleType("made")
    with stand_ins.in_place(outer):
        with stand_ins.in_place(inner):
            exec("from sys import stdout", vars(made))
        inner.put()
    assert outer.kept
    with output() as stream:
        inner.put()
    with output():
        outer.put()
    assert (vars(made)["stdout"] is stream) is True
