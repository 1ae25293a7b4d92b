"""Whether a selection's conftests are those that it would have alone, and at the same moment."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rpytest.selection.conftests import Conftests
from support import inner_session

PLAIN = "import pytest\n@pytest.fixture\ndef something(): pass"
HOOKS = """
import pytest
def pytest_configure(): pass
@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(): pass
"""


def write(folder: Path, **conftests: str) -> None:
    """Tests in `one`, `two` and `two/deep`, and conftests."""
    tests = ("one__test_one", "two__test_two", "two__deep__test_deep")
    inner_session.write(folder, **dict.fromkeys(tests, "def test_1(): pass"), **conftests)


@contextlib.contextmanager
def conftests(folder: Path, *args: str, **files: str) -> Iterator[Conftests]:
    """Those of a session that was collected with these arguments."""
    write(folder, **files)
    with inner_session.collected(folder, *args) as session:
        yield Conftests(session.config, args, has_controller=False)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """All was collected; there are two conftests without a hook."""
    folder = tmp_path_factory.mktemp("conftests")
    write(folder, conftest=PLAIN, two__conftest=PLAIN)
    with inner_session.collected(folder) as session:
        yield session


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The same, and its folders were named: both conftests were loaded before."""
    folder = tmp_path_factory.mktemp("named")
    write(folder, conftest=PLAIN, two__conftest=PLAIN)
    with inner_session.collected(folder, "two", "one") as session:
        yield session


def with_hooks(session: Any, hooks: Sequence[str], has_controller: bool = False) -> Conftests:
    """The conftests of a session, as if that in `two` had these hooks."""
    args = session.config.args if session.config.args_source.name == "ARGS" else ()
    found = Conftests(session.config, args, has_controller)

    def callers(module: Any) -> list[Any] | None:
        is_meant = Path(module.__file__).parent.name == "two"
        return [SimpleNamespace(name=name) for name in hooks] if is_meant else None

    vars(found)["_callers"] = callers
    return found


def test_all_that_were_loaded(tmp_path: Path) -> None:
    """Before and during collection, with their hooks."""
    with conftests(tmp_path, conftest=PLAIN, two__deep__conftest=HOOKS) as found:
        path = tmp_path / "two/deep/conftest.py"
        assert found.paths == {tmp_path / "conftest.py", path}
        assert found.obstacle(["one"], [tmp_path / "one"]) == (
            f"{path} would not be loaded, and has the hook `pytest_configure`"
        )


@pytest.mark.parametrize(
    ("hooks", "obstacle"),
    [
        ([], None),
        # Called for what lies in its folder only.
        (["pytest_runtest_setup", "pytest_generate_tests", "pytest_collect_file"], None),
        (["pytest_collection_modifyitems"], "pytest_collection_modifyitems"),
        (["pytest_terminal_summary"], "pytest_terminal_summary"),
        (["pytest_runtest_protocol"], "pytest_runtest_protocol"),
        (["pytest_sessionfinish"], "pytest_sessionfinish"),
        (["pytest_of_a_plugin"], "pytest_of_a_plugin"),
        # The first of them.
        (["pytest_unconfigure", "pytest_runtest_setup", "pytest_configure"], "pytest_configure"),
    ],
)
def test_a_conftest_that_is_left_out(session: Any, hooks: list[str], obstacle: str | None) -> None:
    root = session.path
    found = with_hooks(session, hooks)
    path = root / "two/conftest.py"
    assert found.obstacle(["one"], [root / "one"]) == (
        None if obstacle is None else f"{path} would not be loaded, and has the hook `{obstacle}`"
    )
    assert found.difference() is None
    (outer,) = (module for _, module in found.imported())
    assert outer.__file__ == str(root / "conftest.py")


@pytest.mark.parametrize(
    ("hooks", "has_controller", "obstacle"),
    [
        ([], False, None),
        (["pytest_runtest_setup"], False, None),
        (["pytest_collection_modifyitems", "pytest_runtest_protocol"], True, None),
        (["pytest_terminal_summary"], False, None),
        # Of a controller, which is another process.
        (["pytest_terminal_summary"], True, "pytest_terminal_summary"),
        (["pytest_configure"], False, "pytest_configure"),
        (["pytest_addoption"], False, "pytest_addoption"),
        (["pytest_of_a_plugin"], False, "pytest_of_a_plugin"),
    ],
)
def test_a_conftest_that_comes_earlier(
    session: Any, hooks: list[str], has_controller: bool, obstacle: str | None
) -> None:
    """Its folder is named, and pytest loads it before it collects."""
    root = session.path
    found = with_hooks(session, hooks, has_controller)
    path = root / "two/conftest.py"
    assert found.obstacle(["two"], [root / "two"]) == (
        None
        if obstacle is None
        else f"{path} would be loaded at another moment, and has the hook `{obstacle}`"
    )
    assert [module.__file__ for module in found.earlier] == [str(path)]


@pytest.mark.parametrize(
    ("hooks", "obstacle"),
    [
        ([], None),
        (["pytest_runtest_setup"], None),
        # Its hook would be called before those of others that come later now.
        (["pytest_collection_modifyitems"], "pytest_collection_modifyitems"),
    ],
)
def test_a_conftest_that_comes_later(named: Any, hooks: list[str], obstacle: str | None) -> None:
    root = named.path
    found = with_hooks(named, hooks)
    reason = found.obstacle(["."], [root, root / "one", root / "two"])
    assert reason == (
        None
        if obstacle is None
        else f"{root}/two/conftest.py would be loaded at another moment, "
        f"and has the hook `{obstacle}`"
    )
    assert found.earlier == []


@pytest.mark.parametrize("args", [["two", "one"], ["one/test_one.py::test_1", "two/test_two.py"]])
def test_named_again(named: Any, args: list[str]) -> None:
    """Whatever hooks there are."""
    found = with_hooks(named, ["pytest_configure"])
    folders = [named.path / "one", named.path / "two"]
    assert found.obstacle(args, folders) is None
    assert found.earlier == []
    assert found.difference() is None


def test_one_that_was_there_before_everything_else(named: Any) -> None:
    """Modules that were imported after it have seen what it does."""
    found = with_hooks(named, [])
    assert found.obstacle(["one"], [named.path / "one"]) is None
    path = named.path / "two/conftest.py"
    assert found.difference() == (
        f"{path} was imported before everything else, and would not be loaded"
    )


def test_a_conftest_that_was_not_loaded(tmp_path: Path) -> None:
    with conftests(tmp_path, "one", two__conftest=PLAIN) as found:
        path = tmp_path / "two/conftest.py"
        assert found.obstacle(["two"], [tmp_path / "two"]) == f"{path} was not loaded"
        # It is one of a folder above.
        assert found.obstacle(["two/deep"], []) == f"{path} was not loaded"
        assert found.obstacle(["one"], [tmp_path / "one"]) is None


def test_a_conftest_above_the_project(tmp_path: Path) -> None:
    """pytest does not look there."""
    (tmp_path / "conftest.py").write_text("raise AssertionError")
    root = tmp_path / "project"
    root.mkdir()
    with conftests(root, "one") as found:
        assert found.obstacle(["two"], [root / "two"]) is None


def test_what_was_asked_last_counts(tmp_path: Path) -> None:
    texts = {"one__conftest": PLAIN, "two__conftest": PLAIN}
    with conftests(tmp_path, **texts) as found:
        for name in ("one", "two"):
            assert found.obstacle([name], [tmp_path / name]) is None
            assert [Path(module.__file__).parent.name for module in found.earlier] == [name]
            names = [Path(module.__file__).parent.name for _, module in found.imported()]
            assert names == [name]
            assert tmp_path / name in found.loaded


@pytest.mark.parametrize(
    ("names", "differs"),
    [
        # Each within the other: there is one order only.
        (["conftest", "two__conftest", "two__deep__conftest"], False),
        (["one__conftest", "two__conftest"], True),
        (["conftest", "one__conftest", "two__deep__conftest"], True),
    ],
)
def test_conftests_of_one_name(tmp_path: Path, names: list[str], differs: bool) -> None:
    with conftests(tmp_path, **dict.fromkeys(names, PLAIN)) as found:
        folders = [tmp_path / "one", tmp_path / "two/deep"]
        assert found.obstacle([], folders) is None
        assert found.difference() == (
            "conftests of one name would be imported in another order" if differs else None
        )


def test_a_package_gives_them_names_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/__init__.py").touch()
    with conftests(tmp_path, one__conftest=PLAIN, two__conftest=PLAIN) as found:
        assert found.obstacle([], [tmp_path / "one", tmp_path / "two"]) is None
        assert found.difference() is None
        assert [name for name, _ in found.imported()] == ["one.conftest", "conftest"]


def test_outer_folders_come_first(tmp_path: Path) -> None:
    names = ("one__conftest", "two__deep__conftest", "two__conftest", "conftest")
    with conftests(tmp_path, **dict.fromkeys(names, PLAIN)) as found:
        assert list(found.imported()) == []
        folders = [tmp_path / "two/deep", tmp_path / "one"]
        assert found.obstacle(["."], folders) is None
        modules: list[Any] = [module for _, module in found.imported()]
        assert [str(Path(module.__file__).parent.relative_to(tmp_path)) for module in modules] == [
            ".",
            "one",
            "two",
            "two/deep",
        ]
        assert {name for name, _ in found.imported()} == {"conftest"}
