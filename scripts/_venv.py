"""A virtual environment for development that is made once and kept up to date.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

STAMP = ".rpytest-dev.json"


class SetupError(Exception):
    """The environment can't be made; the text says why, and what to do."""


class Venv:
    """The environment in `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bin = path / "bin"
        self.python = self.bin / "python"
        self._stamp = path / STAMP

    def ensure(self) -> None:
        """Make the environment, unless a working one of the running Python's version is there.

        A folder that these scripts did not make is never touched.
        """
        version = platform.python_version()
        if self.path.exists():
            if not self._stamp.exists():
                raise SetupError(
                    f"`{self.path}` exists and was not made by these scripts\n"
                    "hint: move it away, or choose another folder: "
                    "RPYTEST_DEV_VENV=/some/folder scripts/test"
                )
            if self._read_stamp().get("python") == version and self._works():
                return
            if Path(sys.prefix).resolve() == self.path.resolve():
                raise SetupError(
                    f"`{self.path}` must be made anew, but it is what runs this script\n"
                    "hint: `deactivate` first"
                )
            shutil.rmtree(self.path)
        print(f"== making a virtual environment: {self.path}", flush=True)
        try:
            _create(self)
        except BaseException:
            shutil.rmtree(self.path, ignore_errors=True)
            raise
        self._write_stamp({"python": version})

    def install_requirements(self, file: Path) -> None:
        """Install what `file` lists, if it has changed since the last time."""
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        stamp = self._read_stamp()
        if stamp.get(file.name) == digest:
            return
        print(f"== installing {file.name}", flush=True)
        self.pip("install", "--quiet", "--requirement", str(file))
        stamp[file.name] = digest
        self._write_stamp(stamp)

    def pip(self, *args: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
        """Run pip; raises `SetupError` when it fails (it has printed why)."""
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", *args]
        if subprocess.run(command, cwd=cwd, env=env or self.environment()).returncode:
            raise SetupError(f"`pip {' '.join(args)}` failed (see above)")

    def environment(self) -> dict[str, str]:
        """The caller's environment without what would lead Python, pip or the tests elsewhere."""
        strip = {"VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"}
        env = {
            name: value
            for name, value in os.environ.items()
            if name not in strip and not name.startswith(("PYTEST_", "RPYTEST_"))
        }
        env["PYO3_PYTHON"] = str(self.python)
        return env

    def _works(self) -> bool:
        done = subprocess.run(
            [self.python, "-m", "pip", "--version"], capture_output=True, check=False
        )
        return done.returncode == 0

    def _read_stamp(self) -> dict[str, str]:
        try:
            stamp = json.loads(self._stamp.read_text())
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def _write_stamp(self, stamp: dict[str, str]) -> None:
        self._stamp.write_text(json.dumps(stamp, indent=1) + "\n")


def _create(venv: Venv) -> None:
    """Create an environment with pip in it, by whatever this machine has for that."""
    tried: list[str] = []

    def attempt(*command: str) -> bool:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode == 0:
            return True
        last = (done.stdout.strip() or f"exit status {done.returncode}").splitlines()[-1]
        tried.append(f"  {' '.join(command)}: {last}")
        return False

    python, path = sys.executable, str(venv.path)
    if attempt(python, "-m", "venv", path):
        return
    shutil.rmtree(venv.path, ignore_errors=True)
    # Debian splits ensurepip off into python3-venv; a pip of the system can stand in for it.
    if attempt(python, "-m", "venv", "--without-pip", path) and attempt(
        python, "-m", "pip", "--python", str(venv.python), "install", "--quiet", "pip"
    ):
        return
    shutil.rmtree(venv.path, ignore_errors=True)
    if attempt(python, "-m", "virtualenv", "--quiet", path):
        return
    if shutil.which("uv") and attempt("uv", "venv", "--quiet", "--seed", "--python", python, path):
        return
    raise SetupError(
        f"no way to make a virtual environment with {python}:\n"
        + "\n".join(tried)
        + f"\nhint: install Python's `venv` module: {_venv_package()}"
    )


def _venv_package() -> str:
    """How to install `venv` on this system."""
    try:
        release = Path("/etc/os-release").read_text()
    except OSError:
        release = ""
    if "debian" in release or "ubuntu" in release:
        major, minor = sys.version_info[:2]
        return f"`apt-get install python3-venv` (or python{major}.{minor}-venv)"
    return "it is part of Python, some systems package it separately"
