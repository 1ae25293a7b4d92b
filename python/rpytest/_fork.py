"""Parts of pytest that a forked worker must not share with its siblings are made anew here."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
from typing import Any

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key


def stop_capture(config: pytest.Config) -> None:
    """End global capture before forking: its temporary files have one offset for all forks, and it holds the run's descriptors."""
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    if manager is not None:
        manager.stop_global_capturing()


def restart_capture(config: pytest.Config) -> None:
    """Start global capture with files of this process; it is suspended, as it is between two tests."""
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    if manager is not None:
        manager.start_global_capturing()
        manager.suspend_global_capture(in_=False)


def restart_faulthandler(config: pytest.Config, crash: int) -> None:
    """Let faulthandler write to this worker's crash file, which the host reads when the worker is dead."""
    if fault_handler_stderr_fd_key not in config.stash:
        return
    inherited = config.stash[fault_handler_stderr_fd_key]
    config.stash[fault_handler_stderr_fd_key] = os.dup(crash)
    faulthandler.enable(file=config.stash[fault_handler_stderr_fd_key])
    with contextlib.suppress(OSError):
        os.close(inherited)


def restart_log_file(config: pytest.Config) -> None:
    """Reopen ``--log-file`` for appending: inherited, all workers would write at one shared offset."""
    plugin: Any = config.pluginmanager.getplugin("logging-plugin")
    handler: logging.FileHandler | None = getattr(plugin, "log_file_handler", None)
    if handler is None or handler.baseFilename == os.devnull or handler.stream is None:
        return
    handler.flush()
    # The inherited stream has nothing pending; closing it closes this process's copy only.
    handler.stream.close()
    handler.stream = open(handler.baseFilename, "a", encoding=handler.encoding)  # noqa: SIM115
