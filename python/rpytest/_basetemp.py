"""Where the temporary directories of a worker, and of shared fixtures, lie: below the run's, which the host makes when somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _pytest.tmpdir import TempPathFactory

from rpytest import _real, _wire

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from rpytest._answers import LocalAnswers
    from rpytest._birth import Birth

__builtins__ = _real.BUILTINS


class _WorkerTemp(TempPathFactory):  # type: ignore[misc]
    """A temp path factory that asks the host for the run's base directory when it is first needed."""

    _birth: Birth

    def getbasetemp(self) -> Path:
        """The worker's own directory, `popen-gwN`, in the run's base directory.

        Who follows it in its place has another one: what the tests before have left is there for people to look at, and names are free.
        """
        if self._basetemp is None and self._given_basetemp is None:
            from pathlib import Path

            _wire.send(self._birth.host, {"op": "basetemp"})
            answer, _ = _wire.receive(self._birth.host)
            if "error" in answer:
                raise OSError(answer["error"])
            birth = self._birth
            follower = f"-{birth.incarnation}" if birth.incarnation else ""
            self._given_basetemp = Path(answer["path"]) / f"popen-{birth.name}{follower}"
        return super().getbasetemp()


def use_host_basetemp(config: pytest.Config, birth: Birth) -> None:
    """Make the configuration's temp path factory ask the host."""
    _use(config, _WorkerTemp, _birth=birth)


class _SharedTemp(TempPathFactory):  # type: ignore[misc]
    """The temp path factory of shared fixtures: a directory beside those of the workers."""

    _answers: LocalAnswers

    def getbasetemp(self) -> Any:
        """`popen-shared` in the run's base directory."""
        if self._basetemp is None and self._given_basetemp is None:
            self._given_basetemp = self._answers.base_temp() / "popen-shared"
        return super().getbasetemp()


def use_shared_temp(config: pytest.Config, answers: LocalAnswers) -> None:
    """Make the configuration's temp path factory that of shared fixtures."""
    _use(config, _SharedTemp, _answers=answers)


def _use(config: pytest.Config, cls: type[TempPathFactory], **attributes: object) -> None:
    """Turn the configuration's factory, which fixtures and plugins may hold already, into one of another class that has made nothing yet."""
    factory: Any = getattr(config, "_tmp_path_factory", None)
    if factory is not None:
        factory.__class__ = cls
        vars(factory).update(attributes, _given_basetemp=None, _basetemp=None)
