"""``--shard``: a suite divided between machines that don't talk to each other, and put together
again.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from support import junit_files as junit
from support.harness import Project, Result

SHARDS = 3


def write_suite(project: Project) -> None:
    """Nine modules, so that each shard has some whatever the hash."""
    for module in range(9):
        project.write(
            {
                f"tests/test_{module}.py": f"""
                import pytest

                @pytest.mark.parametrize("n", [1, 2, 3])
                def test_function(n):
                    assert n != {module}

                class TestClass:
                    def test_method(self): pass
                """
            }
        )


def shards(project: Project, *args: str, total: int = SHARDS) -> list[Result]:
    return [
        project.rpytest(*args, f"--shard={index}", f"--total-shards={total}")
        for index in range(total)
    ]


def ids(result: Result) -> set[str]:
    return set(result.outcomes)


def is_partition(parts: list[Result], whole: Result) -> bool:
    return sum(len(ids(part)) for part in parts) == len(ids(whole)) and set().union(
        *map(ids, parts)
    ) == ids(whole)


@pytest.mark.parametrize(
    "args",
    [
        ("-n", "2"),
        ("-n", "1"),
        ("-n", "0"),
        ("-n", "2", "--start-method", "bare"),
        ("-n", "2", "--reverse"),
    ],
)
def test_shards_are_a_partition_with_whole_modules(project: Project, args: tuple[str, ...]) -> None:
    write_suite(project)
    project.write(
        conftest="""
        def pytest_addoption(parser):
            parser.addoption("--reverse", action="store_true")

        def pytest_collection_modifyitems(config, items):
            if config.option.reverse:
                items.reverse()
        """
    )
    whole = project.pytest()
    parts = shards(project, *args)
    assert is_partition(parts, whole)
    for part in parts:
        assert part.counts.get("deselected", 0) + len(ids(part)) == len(ids(whole)), str(part)
        assert part.status == (1 if "failed" in part.counts else 0)
        modules = {id.split("::")[0].split(".")[:2][1] for id in ids(part)}
        assert len(ids(part)) == 4 * len(modules)
    # However they run, they are the same shards.
    assert [ids(part) for part in parts] == [ids(part) for part in shards(project, "-n", "2")]


def test_the_share_is_said(project: Project) -> None:
    write_suite(project)
    first, *_ = shards(project, "-n", "2")
    assert "shard 0 of 3: 8 of 36 tests, by hash" in first.lines, str(first)
    again = project.rpytest("-n", "2", "--shard=0", "--total-shards=3")
    line = next(line for line in again.lines if line.startswith("shard 0 of 3"))
    assert "8 of 36 tests, predicted " in line
    quiet = project.rpytest("-n", "2", "-q", "--shard=0", "--total-shards=3")
    assert not any(line.startswith("shard") for line in quiet.lines)
    plain = project.rpytest("-n", "0", "--shard=0", "--total-shards=3")
    assert any(line.startswith("shard 0 of 3: 8 of 36 tests, ") for line in plain.lines), str(plain)


def test_collect_only_lists_the_shard(project: Project) -> None:
    write_suite(project)
    run = project.rpytest("-n", "2", "--shard=1", "--total-shards=3")
    listed = project.rpytest("--collect-only", "-q", "--shard=1", "--total-shards=3", junit=False)
    assert len([line for line in listed.lines if "::" in line]) == len(ids(run))


@pytest.mark.parametrize("args", [("-n", "2"), ("-n", "0")])
def test_an_empty_shard_passes(project: Project, args: tuple[str, ...]) -> None:
    project.write(test_only="def test_1(): pass")
    parts = shards(project, *args)
    assert sorted(len(ids(part)) for part in parts) == [0, 0, 1]
    for part in parts:
        assert part.status == 0, str(part)
        assert "0 of 1 tests" in part.stdout or "1 of 1 test" in part.stdout
    empty = next(part for part in parts if not ids(part))
    assert empty.counts == {"deselected": 1}


def test_without_any_test_the_status_stays_pytests(project: Project) -> None:
    project.write(test_empty="")
    assert project.rpytest("-n", "2", "--shard=0", "--total-shards=2").status == 5


def test_addopts_may_have_it(project: Project) -> None:
    write_suite(project)
    project.write({"pytest.ini": "[pytest]\naddopts = -n 2 --shard=1 --total-shards=3\n"})
    assert "shard 1 of 3" in project.rpytest().stdout


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "3"}, "shard 1 of 3"),
        ({"CI_NODE_TOTAL": "1"}, "shard 0 of 1"),
        ({"CIRCLE_NODE_INDEX": "2", "CIRCLE_NODE_TOTAL": "3"}, "shard 2 of 3"),
        ({"BUILDKITE_PARALLEL_JOB": "0", "BUILDKITE_PARALLEL_JOB_COUNT": "2"}, "shard 0 of 2"),
    ],
)
def test_auto_takes_what_ci_says(
    project: Project, variables: dict[str, str], expected: str
) -> None:
    write_suite(project)
    result = project.rpytest("-n", "2", "--shard=auto", env=variables)
    assert expected in result.stdout, str(result)


@pytest.mark.parametrize(
    ("args", "variables", "expected"),
    [
        (["--shard=0"], {}, "`--shard=0` needs the number of shards"),
        (["--total-shards=2"], {}, "`--total-shards` needs to know which one to run"),
        (["--shard=2", "--total-shards=2"], {}, "there is no shard 2 of 2"),
        (["--shard=-1", "--total-shards=2"], {}, "`--shard=-1` is no number"),
        (["--shard=0", "--total-shards=0"], {}, "0 shards are not possible"),
        (["--shard=one", "--total-shards=2"], {}, "`--shard=one` is no number"),
        (["--shard=auto"], {}, "`--shard=auto` finds no parallel CI job"),
        (
            ["--shard=auto"],
            {"CI_NODE_INDEX": "0", "CI_NODE_TOTAL": "2"},
            "GitLab's `CI_NODE_INDEX=0` is none of its 2 jobs, which are counted from 1",
        ),
        (
            ["--shard=auto"],
            {"CIRCLE_NODE_INDEX": "3", "CIRCLE_NODE_TOTAL": "3"},
            "CircleCI's `CIRCLE_NODE_INDEX=3` is none of its 3 jobs",
        ),
        (["--shard=auto"], {"CI_NODE_TOTAL": "2"}, "without `CI_NODE_INDEX`"),
        (
            ["--shard=auto", "--total-shards=4"],
            {"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "2"},
            "is not GitLab's `CI_NODE_TOTAL=2`",
        ),
        (
            ["--shard=0", "--total-shards=2", "--shard-history=missing.jsonl"],
            {},
            "missing.jsonl`: No such file",
        ),
        (
            ["--shard=0", "--total-shards=2", "--shard-history=test_a.py"],
            {},
            "line 1: it does not begin as an exported history",
        ),
    ],
)
@pytest.mark.parametrize("n", [0, 2])
def test_what_makes_no_sense_is_a_usage_error(
    project: Project, n: int, args: list[str], variables: dict[str, str], expected: str
) -> None:
    project.write(test_a="def test_1(): pass")
    result = project.rpytest("-n", str(n), *args, env=variables, junit=False)
    assert result.status == 4, str(result)
    assert expected in result.stderr, str(result)
    assert "hint: " in result.stderr


class TestHistory:
    """Shards balanced by a file that all of them have."""

    @staticmethod
    def history(project: Project, seconds: dict[str, float]) -> Path:
        lines = [json.dumps({"rpytest_history": 1, "runs": 1})]
        lines += [
            json.dumps({"id": id, "us": [0, value * 1e6, 0, 0], "runs": 1})
            for id, value in seconds.items()
        ]
        return project.write({"ci/history.jsonl": "\n".join(lines) + "\n"})

    def suite(self, project: Project) -> Path:
        """One module as long as the five others together."""
        for module in range(6):
            project.write({f"test_{module}.py": "def test_1(): pass\ndef test_2(): pass"})
        return self.history(
            project,
            {
                f"test_{module}.py::test_{n}": 5.0 if module == 3 else 1.0
                for module in range(6)
                for n in (1, 2)
            },
        )

    @pytest.mark.parametrize("n", [2, 0])
    def test_balances(self, project: Project, n: int) -> None:
        file = self.suite(project)
        whole = project.pytest()
        parts = shards(
            project, "-n", str(n), f"--shard-history={file.relative_to(project.path)}", total=2
        )
        assert is_partition(parts, whole)
        assert sorted(map(len, map(ids, parts))) == [2, 10]
        assert all("predicted 10.00s of 20.00s, by history " in part.stdout for part in parts), str(
            parts[0]
        )

    def test_the_projects_settings_may_name_it(self, project: Project) -> None:
        self.suite(project)
        project.write({"pyproject.toml": "[tool.rpytest]\nshard_history = 'ci/history.jsonl'\n"})
        below = project.path / "below"
        below.mkdir()
        for n in ("2", "0"):
            result = project.rpytest("-n", n, "--shard=0", "--total-shards=2", "..", cwd=below)
            assert "by history " in result.stdout, str(result)

    def test_different_files_are_noticed_by_the_merge(self, project: Project) -> None:
        file = self.suite(project)
        run = ("-n", "2", "--total-shards=2")
        project.rpytest(
            *run, "--shard=0", f"--shard-history={file}", "--junitxml=0.xml", junit=False
        )
        self.history(project, {"test_0.py::test_1": 2.0})
        project.rpytest(
            *run, "--shard=1", f"--shard-history={file}", "--junitxml=1.xml", junit=False
        )
        merged = project.rpytest("--merge-reports", "all.xml", "0.xml", "1.xml", junit=False)
        assert merged.status == 4
        assert "don't belong together" in merged.stderr
        assert not (project.path / "all.xml").exists()


class TestMerge:
    """``--merge-reports`` on files that rpytest and pytest have written."""

    def run(self, project: Project, n: int = 2) -> list[str]:
        write_suite(project)
        project.write(
            {
                "tests/test_skipped.py": (
                    "import pytest\npytest.skip('not here', allow_module_level=True)"
                ),
                "tests/test_more.py": """
                import pytest

                @pytest.fixture
                def broken():
                    yield
                    raise ValueError("<torn> & down")

                def test_double(broken, record_property):
                    record_property("own", "<&>")
                    assert 0

                @pytest.fixture(scope="session", autouse=True)
                def build(record_testsuite_property):
                    record_testsuite_property("build", "1 < 2")
                """,
            }
        )
        files = [f"shard-{index}.xml" for index in range(SHARDS)]
        for index, file in enumerate(files):
            project.rpytest(
                "-n",
                str(n),
                f"--shard={index}",
                f"--total-shards={SHARDS}",
                f"--junitxml={file}",
                junit=False,
            )
        return files

    @pytest.mark.parametrize("n", [2, 0])
    def test_the_merged_file_is_that_of_one_run(self, project: Project, n: int) -> None:
        files = self.run(project, n)
        merged = project.rpytest("--merge-reports", "all.xml", *reversed(files), junit=False)
        assert merged.status == 0, str(merged)
        project.pytest("--junitxml=expected.xml", junit=False)
        read = [junit.read(project.path / name) for name in ("all.xml", "expected.xml")]
        actual, expected = (
            {case.id: (case.outcome, case.properties) for case in cases} for cases in read
        )
        assert actual == expected
        suites = [
            next(ElementTree.parse(project.path / name).getroot().iter("testsuite"))
            for name in ("all.xml", "expected.xml")
        ]
        for name in ("tests", "failures", "errors", "skipped", "name"):
            assert suites[0].get(name) == suites[1].get(name), name
        properties = [
            (item.get("name"), item.get("value"))
            for item in suites[0].findall("./properties/property")
        ]
        assert properties == [("rpytest.shards", "3"), ("build", "1 < 2")]

    def test_a_missing_shard_is_told(self, project: Project) -> None:
        files = self.run(project)
        merged = project.rpytest("--merge-reports", "all.xml", files[2], files[0], junit=False)
        assert merged.status == 1
        assert "of 3 shards there is no report of 1" in merged.stderr
        assert len(junit.read(project.path / "all.xml")) > 0

    def test_a_file_that_is_not_there_is_refused(self, project: Project) -> None:
        files = self.run(project)
        merged = project.rpytest("--merge-reports", "all.xml", *files, "absent-*.xml", junit=False)
        assert merged.status == 4
        assert "cannot read the report `absent-*.xml`" in merged.stderr
        assert "hint: name files that `--junitxml` has written" in merged.stderr

    def test_a_shard_twice_is_refused(self, project: Project) -> None:
        files = self.run(project)
        merged = project.rpytest("--merge-reports", "all.xml", *files, files[1], junit=False)
        assert merged.status == 4
        assert "are both of shard 1" in merged.stderr

    def test_histories_of_shards_are_merged_with_their_reports(self, project: Project) -> None:
        write_suite(project)
        reports, histories = (
            [f"{index}.xml" for index in range(2)],
            [f"{index}.jsonl" for index in range(2)],
        )
        for index in range(2):
            # Each shard on a machine of its own.
            machine = {"RPYTEST_CACHE_DIR": str(project.scratch / f"machine-{index}")}
            shard = [f"--shard={index}", "--total-shards=2", f"--junitxml={reports[index]}"]
            project.rpytest("-n", "2", *shard, env=machine, junit=False)
            exported = project.rpytest(
                "--history-export", histories[index], env=machine, junit=False
            )
            assert exported.status == 0, str(exported)
        merged = project.rpytest("--merge-reports", "all.xml", *reports, *histories, junit=False)
        assert merged.status == 0 and merged.stderr == "", str(merged)
        known = [
            json.loads(line)["id"]
            for line in (project.path / "all.jsonl").read_text().splitlines()[1:]
        ]
        assert f"merged 2 histories into all.jsonl: {len(known)} tests" in merged.stdout
        assert sorted(known) == sorted(
            project.pytest("--collect-only", "-q").stdout.split("\n\n")[0].split()
        )
        # The rest of what one machine knows is missed.
        lacking = project.rpytest("--merge-reports", "all.xml", *reports, histories[0], junit=False)
        assert (
            lacking.status == 0 and "2 reports and only 1 of their histories" in lacking.stderr
        ), str(lacking)
        alone = project.rpytest("--merge-reports", "all.xml", *histories, junit=False)
        assert alone.status == 4 and "--history-merge" in alone.stderr, str(alone)
        (project.path / "torn.jsonl").write_text((project.path / histories[0]).read_text()[:-20])
        torn = project.rpytest("--merge-reports", "new.xml", *reports, "torn.jsonl", junit=False)
        assert torn.status == 4 and "torn.jsonl" in torn.stderr, str(torn)
        assert not (project.path / "new.xml").exists()

    @pytest.mark.parametrize("n", [2, 0])
    def test_a_shard_that_could_not_be_collected_has_its_place(
        self, project: Project, n: int
    ) -> None:
        project.write(test_a="def test_1(): pass", test_b="import nothing_of_that_name")
        files = [f"{index}.xml" for index in range(2)]
        for index, file in enumerate(files):
            result = project.rpytest(
                "-n",
                str(n),
                f"--shard={index}",
                "--total-shards=2",
                f"--junitxml={file}",
                junit=False,
            )
            assert result.status == 2
        merged = project.rpytest("--merge-reports", "all.xml", *files, junit=False)
        assert merged.status == 0, str(merged)
        (case,) = junit.read(project.path / "all.xml")
        assert case.outcome == "error"


def test_histories_travel(project: Project) -> None:
    project.write(test_a="import time\ndef test_slow(): time.sleep(0.2)\ndef test_2(): pass")
    assert project.rpytest("-n", "2").status == 0
    exported = project.rpytest("--history-export", "h.jsonl", junit=False)
    assert exported.status == 0 and "exported 2 tests" in exported.stdout, str(exported)
    head, *lines = (project.path / "h.jsonl").read_text().splitlines()
    assert json.loads(head) == {"rpytest_history": 1, "runs": 1}
    assert [json.loads(line)["id"] for line in lines] == [
        "test_a.py::test_slow",
        "test_a.py::test_2",
    ]
    # Another machine: it knows nothing, then everything.
    elsewhere = {"RPYTEST_CACHE_DIR": str(project.scratch / "other")}
    nothing = project.rpytest("--inventory-status", env=elsewhere, junit=False)
    assert "no durations are known" in nothing.stdout
    streamed = project.rpytest("--history-export", "-", junit=False)
    assert streamed.status == 0 and streamed.stdout == (project.path / "h.jsonl").read_text(), str(
        streamed
    )
    merged = project.rpytest("--history-merge", "all.jsonl", "h.jsonl", "h.jsonl", junit=False)
    assert (
        merged.status == 0
        and (project.path / "all.jsonl").read_text() == (project.path / "h.jsonl").read_text()
    )
    imported = project.rpytest(
        "--history-import", "all.jsonl", "h.jsonl", env=elsewhere, junit=False
    )
    assert imported.status == 0 and "2 tests of" in imported.stdout, str(imported)
    status = json.loads(
        project.rpytest(
            "--inventory-status", "--inventory-format=json", env=elsewhere, junit=False
        ).stdout
    )
    assert status["tests"] == 2 and status["flaky"] == 0
    assert status["longest"]["nodeid"] == "test_a.py::test_slow" and status["total"] >= 0.2
    assert [entry["workers"] for entry in status["predicted"]] == [1, 2, 4, 8, 16]


def test_a_flaky_test_is_counted(project: Project) -> None:
    project.write(
        test_a="""
        import pathlib

        def test_turns():
            file = pathlib.Path(__file__).with_name("runs.txt")
            runs = len(file.read_text()) if file.exists() else 0
            file.write_text("x" * (runs + 1))
            assert runs % 2 == 0
        """
    )
    for _ in range(4):
        project.rpytest("-n", "1")
    status = project.rpytest("--inventory-status", junit=False)
    assert "1 known, measured 4 times, 1 flaky, 1 failed the last time" in status.stdout, str(
        status
    )


@pytest.mark.parametrize("mode", ["loadfile", "loadscope", "loadgroup"])
def test_groups_stay_in_one_shard(project: Project, mode: str) -> None:
    """One heavy module, which would be divided, and marks across modules."""
    project.write(
        test_heavy="""
        import pytest

        class TestA:
            @pytest.mark.parametrize("n", range(20))
            def test_a(self, n): pass

        class TestB:
            @pytest.mark.parametrize("n", range(20))
            def test_b(self, n): pass

        @pytest.mark.xdist_group("g")
        @pytest.mark.parametrize("n", range(20))
        def test_c(n): pass
        """,
        test_other="""
        import pytest

        @pytest.mark.xdist_group("g")
        def test_g(): pass

        def test_other(): pass
        """,
    )

    def group(id: str) -> str | None:
        module, _, name = id.partition("::")
        match mode:
            case "loadfile":
                return module.split(".")[0]
            case "loadscope":
                return module
            case _:
                return "g" if name[:6] in ("test_c", "test_g") else None

    whole = project.pytest()
    for n in ("2", "0"):
        parts = shards(project, "-n", n, "--dist", mode)
        assert is_partition(parts, whole)
        homes: dict[str, set[int]] = {}
        for index, part in enumerate(parts):
            for id in ids(part):
                name = group(id)
                if name is not None:
                    homes.setdefault(name, set()).add(index)
        assert all(len(home) == 1 for home in homes.values()), homes


@pytest.mark.parametrize("args", [("--dist", "each"), ("--replay", "plan.json")])
def test_what_else_says_which_tests_run_is_a_usage_error(
    project: Project, args: tuple[str, ...]
) -> None:
    project.write(test_a="def test_1(): pass")
    result = project.rpytest("-n", "2", "--shard=0", "--total-shards=2", *args, junit=False)
    assert result.status == 4
    assert "both say which tests run" in result.stderr
