"""The arrows between the packages of `python/rpytest` point downwards only.

Every import counts: those for type checkers and those inside functions, too. A new package, or an
arrow that is against the table, is a decision: it is made here and in `CONTRIBUTING.md`, not by the
way. ``python tests/python/test_architecture.py`` checks without pytest, as `scripts/lint` does.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "python" / "rpytest"

#: A package may import those in lower rows, and none beside it. What stands in no folder is a file
#: of `rpytest` itself.
ROWS = (
    ("__main__",),
    ("daemon",),
    ("session", "bare"),
    ("selection", "host"),
    ("role",),
    ("worker", "controller", "preload"),
    ("fixtures",),
    ("collection",),
    ("reports", "options", "staleness", "import_effects"),
    ("pytest_compat",),
    ("xdist_compat",),
    ("project", "process", "ipc"),
    ("program", "stdlib", "_native"),
    ("__init__",),
)

#: Lines of a file.
MOST_LINES = 600


def modules(root: Path) -> dict[str, Path]:
    """The files of the package by their names below `rpytest`: `process.lifecycle`, `ipc`,
    `stdlib`.
    """
    found = {}
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.pyi")]):
        parts = list(path.relative_to(root).with_suffix("").parts)
        if len(parts) > 1 and parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


@functools.cache
def imported_names(source: str) -> tuple[tuple[int, str], ...]:
    """Lines with an import of something of `rpytest`, and its full name, wherever in the file they
    are.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = ["rpytest.relative import"]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found += [(node.lineno, name) for name in names if name.partition(".")[0] == "rpytest"]  # type: ignore[attr-defined]
    return tuple(found)


def imports(source: str, known: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """Lines with imports, and the files that they are of."""
    for line, name in imported_names(source):
        target = name.partition(".")[2] or "__init__"
        # A name in a file, and a file in a package.
        while target not in known and "." in target:
            target = target.rpartition(".")[0]
        # `from rpytest import __version__`
        yield line, "__init__" if target not in known and target.startswith("__") else target


@functools.cache
def replaceable(root: Path) -> frozenset[str]:
    """The modules that `rpytest.stdlib` has as they were at the start."""
    tree = ast.parse((root / "stdlib.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MODULES":
            return frozenset(ast.literal_eval(node.value))
    raise AssertionError("stdlib.py has no MODULES")


@functools.cache
def plain_imports(source: str) -> frozenset[str]:
    """Modules that stand by their names at the top of a file; a name that is taken out of one is
    bound before anybody replaces it.
    """
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.Import)]
    return frozenset(alias.name for node in nodes for alias in node.names)


def problems(root: Path) -> list[str]:
    """Everything that is against the rules, in words."""
    known = modules(root)
    row = {name: number for number, names in enumerate(ROWS) for name in names}
    found = []
    packages = {name.partition(".")[0] for name in known}
    found += [f"`{name}` is in no row" for name in sorted(packages - row.keys())]
    found += [f"`{name}` is in a row and is not there" for name in sorted(row.keys() - packages)]
    inside: dict[str, dict[str, set[str]]] = {}
    for name, path in known.items():
        source = path.read_text(encoding="utf-8")
        here = path.relative_to(root)
        package = name.partition(".")[0]
        if not (path.parent / "__init__.py").exists():
            found.append(
                f"{path.parent.relative_to(root)} has no __init__.py: it would not be installed"
            )
        lines = source.count("\n")
        if lines > MOST_LINES:
            found.append(f"{here} has {lines} lines, more than {MOST_LINES}")
        if path.name.startswith("_") and path.parent != root and path.name != "__init__.py":
            found.append(f"{here} begins with an underscore: all of `rpytest` is private")
        if path.name == "__init__.py" and path.parent != root:
            body = ast.parse(source).body
            if len(body) != 1 or not ast.get_docstring(ast.parse(source)):
                found.append(f"{here} has something else than a docstring")
        if "\n__builtins__ = stdlib.BUILTINS\n" in source:
            taken = plain_imports(source) & replaceable(root)
            found += [
                f"{here} imports `{each}` itself, and not from `rpytest.stdlib`"
                for each in sorted(taken)
            ]
        for line, target in imports(source, known):
            other = target.partition(".")[0]
            if target not in known:
                found.append(f"{here}:{line} imports `{target}`, which is not there")
            elif other == package:
                inside.setdefault(package, {}).setdefault(name, set()).add(target)
            elif row.get(other, -1) <= row.get(package, -1):
                found.append(
                    f"{here}:{line} imports `{target}`: `{package}` may not name `{other}`"
                )
    for package, graph in sorted(inside.items()):
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            found.append(f"files of `{package}` import each other: {' → '.join(error.args[1])}")
    return found


def test_every_arrow_points_downwards() -> None:
    assert problems(PACKAGE) == []


def test_turned_arrows_are_found(tmp_path: Path) -> None:
    """Each way of importing something, in a copy."""
    root = tmp_path / "rpytest"
    shutil.copytree(PACKAGE, root, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for place, line, said in (
        ("ipc/channel.py", "from rpytest.process import lifecycle", "`ipc` may not name `process`"),
        ("process/heap.py", "import rpytest.daemon.daemon", "`process` may not name `daemon`"),
        (
            "fixtures/sharing.py",
            "def f():\n    from rpytest.host.host import Host",
            "`fixtures` may not name `host`",
        ),
        (
            "preload/process.py",
            "if TYPE_CHECKING:\n    from rpytest.session import session",
            "`preload` may not name `session`",
        ),
        ("stdlib.py", "from rpytest.project import locations", "`stdlib` may not name `project`"),
        (
            "controller/client.py",
            "from rpytest.controller import base",
            "files of `controller` import each other: ",
        ),
        ("worker/spec.py", "from . import worker", "`relative import`, which is not there"),
        ("worker/spec.py", "import os", "imports `os` itself"),
        ("role/role.py", "#\n" * MOST_LINES, f"more than {MOST_LINES}"),
        ("host/__init__.py", "from rpytest.host.host import Host", "than a docstring"),
        ("host/_more.py", "", "begins with an underscore"),
        ("more/__init__.py", '"""More."""', "`more` is in no row"),
        ("more/file.py", "", "more has no __init__.py"),
    ):
        path = root / place
        before = path.read_text(encoding="utf-8") if path.exists() else None
        path.parent.mkdir(exist_ok=True)
        path.write_text((before or "") + f"\n{line}\n", encoding="utf-8")
        assert any(said in problem for problem in problems(root)), (place, line, problems(root))
        if before is None:
            path.unlink()
        else:
            path.write_text(before, encoding="utf-8")
    shutil.rmtree(root / "more")
    assert problems(root) == []


def test_one_function_returns_in_two_processes() -> None:
    """`lifecycle._fork`, which `fork_into` calls, and nobody else; it alone calls `os.fork`."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text())
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                text = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
                if text in ("_fork", "lifecycle._fork", "os.fork", "os.forkpty"):
                    found.append((str(file.relative_to(PACKAGE)), function.name, text))
    lifecycle = "process/lifecycle.py"
    assert found == [(lifecycle, "fork_into", "_fork"), (lifecycle, "_fork", "os.fork")]


def test_contributing_has_the_same_table() -> None:
    text = (PACKAGE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows: dict[int, set[str]] = {}
    for number, names in re.findall(r"^\| (\d+) \| ([^|]+) \|", text, re.M):
        rows.setdefault(int(number), set()).update(re.findall(r"`(\w+)(?:/|\.py)?`", names))
    # But for what is above and below all: the entry point and the package itself.
    assert [rows[number] for number in sorted(rows)] == [set(names) for names in ROWS[1:-1]]


def test_contributing_names_each_folder_of_tests() -> None:
    """And of each package of `rpytest` the folder of its tests."""
    root = PACKAGE.parents[1]
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("### What to run after a change")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]*) \|[^|]*\| ([^|]*) ?\|$", table, re.M)
    named = {name for first, _ in rows for name in re.findall(r"`(\w+)/`", first)}
    assert named == {
        path.name
        for path in (root / "tests/python").iterdir()
        if path.is_dir() and path.name != "__pycache__"
    }
    changed = {name for _, last in rows for name in re.findall(r"`(\w+)/`", last)}
    assert changed == {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}


def test_contributing_names_files_that_are_there() -> None:
    root = PACKAGE.parents[1]
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("### What lies in several files")[2].partition("### What to run")[0]
    names = set(re.findall(r"`([\w/]+\.(?:py|rs|md))`", table))
    assert len(names) > 20
    assert not [name for name in names if not ((PACKAGE / name).exists() or (root / name).exists())]


def main() -> int:
    """Check and say what is wrong."""
    found = problems(PACKAGE)
    for problem in found:
        print(f"python/rpytest: {problem}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
