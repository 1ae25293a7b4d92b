"""What `pip install` puts where, and `python -m rpytest`."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import rpytest
from rpytest.program import ProgramNotFound, find_program
from support.harness import Project


@pytest.fixture
def root(request: pytest.FixtureRequest) -> Path:
    """The project's own sources."""
    return request.config.rootpath


def test_one_version_everywhere(root: Path, project: Project) -> None:
    cargo = re.search(r'^version = "(.+)"$', (root / "Cargo.toml").read_text(), re.M)
    assert cargo and cargo[1] == rpytest.__version__
    assert importlib.metadata.version("rpytest") == rpytest.__version__
    printed = project.rpytest("--version", junit=False)
    assert printed.status == 0
    assert rpytest.__version__ in printed.stdout + printed.stderr


def test_no_plugin_is_registered() -> None:
    """Plain `pytest` must be the same with and without rpytest installed."""
    assert list(importlib.metadata.distribution("rpytest").entry_points) == []


def test_package_is_typed_and_has_its_extension() -> None:
    package = Path(rpytest.__file__).parent
    assert (package / "py.typed").is_file()
    # The stable ABI: one build serves every CPython from 3.10 on.
    assert (package / "_native.abi3.so").is_file()


def test_wheel_serves_every_python() -> None:
    distribution = importlib.metadata.distribution("rpytest")
    wheel = distribution.read_text("WHEEL") or ""
    editable = '"editable": true' in (distribution.read_text("direct_url.json") or "")
    # An editable install is for one interpreter only, whatever its extension could do.
    assert re.search(r"^Tag: cp310-abi3-", wheel, re.M) or editable


def test_program_is_native() -> None:
    """No Python entry point: starting one costs more than a warm run."""
    with Path(find_program()).open("rb") as program:
        assert program.read(4) == b"\x7fELF"


def test_python_m_runs_the_program(project: Project) -> None:
    direct = project.rpytest("--version", junit=False)
    running = project.spawn("-m", "rpytest", "--version", program=Path(sys.executable).name)
    assert running.wait() == direct.status
    assert running.stdout == direct.stdout


def test_python_m_has_the_current_directory_on_the_path(project: Project) -> None:
    """As `python -m pytest`, and unlike the program itself."""
    project.write(
        {
            "helper.py": "VALUE = 7",
            "tests/test_helper.py": "import helper\ndef test_value(): assert helper.VALUE == 7",
        }
    )
    python = Path(sys.executable).name
    assert project.spawn("-m", "pytest", "-p", "no:xdist", program=python).wait() == 0
    assert project.spawn("-m", "rpytest", "-n", "2", program=python).wait() == 0
    assert project.compare().status == 2


def test_python_m_finds_the_program_of_its_own_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "rpytest"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(find_program()).parent == Path(sys.executable).parent


def test_without_a_program_every_place_is_listed(tmp_path: Path, project: Project) -> None:
    """A copy of the package alone, run by an environment that has no program."""
    shutil.copytree(Path(rpytest.__file__).parent, tmp_path / "rpytest")
    venv = project.scratch / "v"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    env = dict(project.env, PATH="/first:/second", PYTHONPATH=str(tmp_path))
    env["PYTHONUSERBASE"] = str(tmp_path / "user")
    command = [str(venv / "bin" / "python"), "-m", "rpytest"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=project.scratch)
    assert done.returncode == 3
    assert done.stderr.startswith("error: the `rpytest` program was not found; looked for\n")
    looked = [line.split("  (")[0].strip() for line in done.stderr.splitlines()[1:-1]]
    assert looked == [
        str(venv / "bin" / "rpytest"),
        str(tmp_path / "user" / "bin" / "rpytest"),
        str(tmp_path / "bin" / "rpytest"),
        "/first/rpytest",
        "/second/rpytest",
    ]
    assert done.stderr.splitlines()[-1].startswith("hint: ")


def test_not_found_names_places_in_order() -> None:
    error = ProgramNotFound([("PATH", "/a/rpytest"), ("PATH", "/b/rpytest")])
    assert error.looked_at == [("PATH", "/a/rpytest"), ("PATH", "/b/rpytest")]
    assert str(error).index("/a/rpytest") < str(error).index("/b/rpytest")


def test_source_distribution_has_what_a_build_needs(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns(
        "target", ".*", "build", "dist", "*.egg-info", "__pycache__", "*.so"
    )
    shutil.copytree(root, copy, ignore=ignored)
    code = f"from setuptools import build_meta; print(build_meta.build_sdist({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    archive = tmp_path / done.stdout.splitlines()[-1]
    with tarfile.open(archive) as tar:
        files = {name.partition("/")[2] for name in tar.getnames()}
    needed = {"Cargo.toml", "Cargo.lock", "pyproject.toml", "LICENSE", "README.md"}
    assert (copy / "src" / "main.rs").is_file()
    for folder in ("src", "pyext", "python", "benches", "examples", "scripts", "tests"):
        needed |= {
            str(path.relative_to(copy)) for path in (copy / folder).rglob("*") if path.is_file()
        }
    assert needed - files == set()
    assert [name for name in files if name.endswith((".so", ".pyc"))] == []


def test_scripts_install_what_the_build_backend_needs(root: Path) -> None:
    """scripts/test builds without isolation, so it must have what pyproject.toml asks for."""
    requires = re.search(r"^requires = \[(.+)\]$", (root / "pyproject.toml").read_text(), re.M)
    assert requires
    installed = (root / "scripts" / "requirements-test.txt").read_text().splitlines()
    for requirement in re.findall(r'"(.+?)"', requires[1]):
        assert requirement in installed
