"""Parts of pytest that a forked worker must not share with its siblings are made anew here."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

from rpytest import stdlib
from rpytest.stdlib import contextlib, faulthandler, os, tempfile

__builtins__ = stdlib.BUILTINS


def stop_capture(config: pytest.Config) -> None:
    """End global capture before forking: its temporary files have one offset for all forks, and it
    holds the run's descriptors.
    """
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    if manager is not None:
        manager.stop_global_capturing()


def park_capture(config: pytest.Config) -> None:
    """Suspend global capture altogether, standard input too, before a session is forked."""
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    if manager is not None:
        manager.suspend_global_capture(in_=True)


def rebind_capture(config: pytest.Config) -> None:
    """After this process got other standard streams: what capture has put aside for later are
    these.
    """
    for capture in _captures(config):
        inner = getattr(capture, "syscapture", capture)
        if hasattr(inner, "_old"):
            inner._old = getattr(sys, inner.name)
        if hasattr(getattr(inner, "tmpfile", None), "_other"):
            # `--capture=tee-sys` writes there as well.
            inner.tmpfile._other = inner._old
        if getattr(capture, "targetfd_save", None) is not None:
            os.dup2(capture.targetfd, capture.targetfd_save, inheritable=False)


def restart_capture(config: pytest.Config) -> None:
    """Capture with files of this process; it is suspended, as it is between two tests.

    The objects stay the same: a logging handler made while a module was imported holds on to the
    `sys.stderr` of that moment.
    """
    rebind_capture(config)
    for capture in _captures(config):
        if getattr(capture, "targetfd_save", None) is not None and capture.targetfd != 0:
            with tempfile.TemporaryFile(buffering=0) as fresh:
                os.dup2(fresh.fileno(), capture.tmpfile.fileno(), inheritable=False)
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    if manager is not None:
        manager.resume_global_capture()
        manager.suspend_global_capture(in_=False)


def _captures(config: pytest.Config) -> list[Any]:
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    capturing = getattr(manager, "_global_capturing", None)
    if capturing is None:
        return []
    return [
        capture for capture in (capturing.in_, capturing.out, capturing.err) if capture is not None
    ]


def restart_faulthandler(config: pytest.Config, crash: int, stacks: int = -1) -> None:
    """Let faulthandler write to this worker's crash file, which the host reads when the worker is
    dead; in another process to ``crash``.

    What it dumps of a test that runs for longer than `faulthandler_timeout` goes into the pipe
    ``stacks``: the host passes it on at once. (pytest's plugin has one descriptor for both, but
    hands it to faulthandler anew for each test.)
    """
    # With a timeout that ends the process the dump is shown with the crash.
    passes_on = (
        stacks >= 0 and fault_handler_stderr_fd_key in config.stash and not _ends_at_timeout(config)
    )
    if stacks >= 0 and not passes_on:
        os.close(stacks)
    if fault_handler_stderr_fd_key not in config.stash:
        return
    inherited = config.stash[fault_handler_stderr_fd_key]
    file = os.dup(crash)
    faulthandler.enable(file=file)
    config.stash[fault_handler_stderr_fd_key] = stacks if passes_on else file
    with contextlib.suppress(OSError):
        os.close(inherited)


def _ends_at_timeout(config: pytest.Config) -> bool:
    # pytest before 9 does not have it.
    with contextlib.suppress(ValueError, KeyError):
        return bool(config.getini("faulthandler_exit_on_timeout"))
    return False


def restart_log_file(config: pytest.Config) -> None:
    """Reopen ``--log-file`` for appending: inherited, all workers would write at one shared
    offset.
    """
    plugin: Any = config.pluginmanager.getplugin("logging-plugin")
    handler: logging.FileHandler | None = getattr(plugin, "log_file_handler", None)
    if handler is None or handler.baseFilename == os.devnull or handler.stream is None:
        return
    handler.flush()
    # The inherited stream has nothing pending; closing it closes this process's copy only.
    handler.stream.close()
    handler.stream = open(handler.baseFilename, "a", encoding=handler.encoding)  # noqa: SIM115


def truncate_log_file(config: pytest.Config) -> None:
    """At the start of a run with a reused session: ``--log-file`` begins anew, as pytest opens
    it.
    """
    plugin: Any = config.pluginmanager.getplugin("logging-plugin")
    handler: logging.FileHandler | None = getattr(plugin, "log_file_handler", None)
    if (
        handler is not None
        and handler.baseFilename != os.devnull
        and getattr(plugin, "log_file_mode", "w") == "w"
    ):
        with contextlib.suppress(OSError):
            os.truncate(handler.baseFilename, 0)
