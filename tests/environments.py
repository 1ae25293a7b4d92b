"""Virtual environments with packages of today and the rpytest of this tree: made once, kept, and
brought up to date when asked for.

They are below ``$RPYTEST_TEST_ENVIRONMENTS``, by default ``~/.cache/rpytest-environments``.
Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent

sys.path.insert(0, str(TREE / "scripts"))

from _venv import Venv as Venv  # noqa: E402


def folder() -> Path:
    """Where environments and downloads are kept."""
    chosen = os.environ.get("RPYTEST_TEST_ENVIRONMENTS")
    return Path(chosen) if chosen else Path.home() / ".cache" / "rpytest-environments"


class Build:
    """The programs of this tree, built when first needed."""

    def __init__(self, profile: str = "debug") -> None:
        self.profile = profile
        self._target: Path | None = None

    def link(self, venv: Venv) -> None:
        """Put rpytest into an environment: what ``pip install`` does, without building a wheel for
        each.
        """
        target = self._built(venv)
        site = Path(
            _output(venv.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        )
        package = site / "rpytest"
        shutil.rmtree(package, ignore_errors=True)
        shutil.copytree(
            TREE / "python" / "rpytest",
            package,
            ignore=shutil.ignore_patterns("__pycache__", "*.so"),
        )
        _replace(target / "lib_native.so", package / "_native.abi3.so")
        _replace(target / "rpytest", venv.bin / "rpytest")

    def _built(self, venv: Venv) -> Path:
        if self._target is None:
            target = Path(os.environ.get("CARGO_TARGET_DIR") or TREE / "target")
            flags = ["--release"] if self.profile == "release" else []
            for package in ("rpytest", "rpytest-native"):
                command = ["cargo", "build", "--quiet", "--locked", "--package", package, *flags]
                subprocess.run(command, cwd=TREE, env=venv.environment(), check=True)
            self._target = target / self.profile
        return self._target


def make(name: str, requirements: Sequence[str], upgrade: bool = False) -> Venv:
    """The environment `name` with these packages; `upgrade`: with their newest releases."""
    folder().mkdir(parents=True, exist_ok=True)
    venv = Venv(folder() / name)
    venv.ensure()
    if upgrade:
        venv.pip("install", "--quiet", "--upgrade", *requirements)
        return venv
    named = venv.path / "requirements.txt"
    named.write_text("\n".join([*sorted(requirements), ""]))
    venv.install_requirements(named)
    return venv


def version(venv: Venv, package: str) -> str:
    """The installed release of a package."""
    return _output(
        venv.python, "-c", f"import importlib.metadata as m; print(m.version({package!r}))"
    )


def download_source(venv: Venv, requirement: str) -> Path:
    """The source distribution of a release, unpacked; downloaded once."""
    place = folder() / "sources" / requirement.replace("*", "x")
    found = _unpacked(place)
    if found is None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        venv.pip("download", "--quiet", "--no-binary", ":all:", "--no-deps", requirement, cwd=place)
        (archive,) = place.iterdir()
        shutil.unpack_archive(archive, place, filter="data")
        found = _unpacked(place)
    assert found is not None, f"nothing was unpacked in {place}"
    return found


def _unpacked(place: Path) -> Path | None:
    return next((path for path in place.glob("*") if path.is_dir()), None)


def _replace(source: Path, target: Path) -> None:
    # Not written over: a daemon may run it.
    target.unlink(missing_ok=True)
    shutil.copy2(source, target)


def _output(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
