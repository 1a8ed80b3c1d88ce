"""Having a daemon started, without a reactor: a helper does it, which has one (L{flom.run.starting})."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from select import POLLIN, poll
from typing import Any, Final

from flom.codes import ReturnCode
from flom.config import RUNNER, SETTINGS, Config
from flom.errors import DaemonUnreachable
from flom.text import reason

_PATIENCE: Final = 150.0  # seconds, more than the helper gives the daemon to start and the group to elect it

_OURS: Final = str(Path(__file__).parents[3])  # from where this package is imported

_GROUPS: Final = frozenset({"Daemon", "Network", "TLS"})
_TRACE: Final = frozenset({"daemon_trace_file", "append_trace_file"})
_PATHS: Final = ("daemon_trace_file", "mount_point", "tls_certificate", "tls_private_key", "tls_ca_certificate")


@contextmanager
def daemon_started(config: Config, warn: Callable[[str], None]) -> Iterator[None]:
    """
    Have a daemon started as C{flom-run} does it, and wait until it can be connected to.

    It may have been somebody else who has started it, at the same time. Inside, it does not end for lack of clients.
    Whatever ends the wait, KeyboardInterrupt for example, ends the helper.

    @param warn: told what the user should know.
    @raise DaemonUnreachable: it does not start.
    """
    helper = None
    try:
        with _undisturbed():
            helper = _start_helper(options(config))
        _await_word(helper, warn)
        yield
    finally:
        if helper is not None:
            with helper:
                helper.kill()
                helper.wait()  # after an interrupt, subprocess does not do so by itself


def options(config: Config) -> list[str]:
    """Give what of C{config} a daemon and whoever starts it want to know, as options of C{flom-run}."""
    absolute: dict[str, Any] = {field: os.path.abspath(path) for field in _PATHS if (path := getattr(config, field))}
    if config.socket_name:
        absolute["socket_name"] = config.socket_path
    config = config.replace(**absolute)
    words = []
    for setting in SETTINGS:
        if RUNNER in setting.programs and (setting.place[0] in _GROUPS or setting.field in _TRACE):
            words += setting.as_option(config)
    return words


def _start_helper(words: list[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "flom.run.starting", *words],
            stdin=subprocess.PIPE,  # by the end of which it notices ours
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",  # where it imports nothing from where we happen to be, but for ourselves
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [_OURS, os.environ.get("PYTHONPATH")]))},
        )
    except (OSError, TypeError) as e:  # the latter: nobody knows where Python is
        why = reason(e) if isinstance(e, OSError) else "no such program"

        why = f"cannot start a daemon: '{sys.executable}' cannot be run: {why}"
        raise DaemonUnreachable(ReturnCode.DAEMON_NOT_STARTED, why) from e


def _await_word(helper: subprocess.Popen[bytes], warn: Callable[[str], None]) -> None:
    """Wait until C{helper} says that the daemon is ready, or why it is not."""
    assert helper.stdout is not None
    assert helper.stderr is not None
    waiting = poll()
    waiting.register(helper.stdout, POLLIN)
    if not waiting.poll(_PATIENCE * 1000):
        why = f"cannot start a daemon: nothing has come of it within {_PATIENCE:g} s"
        raise DaemonUnreachable(ReturnCode.DAEMON_NOT_STARTED, why)
    is_ready = bool(helper.stdout.readline())
    if is_ready:
        os.set_blocking(helper.stderr.fileno(), False)  # it goes on, but has said what it had to say
    lines = (helper.stderr.read() or b"").decode("utf-8", "replace").splitlines()
    if not is_ready:
        why = lines[-1] if lines else f"cannot start a daemon: the helper ended with status {helper.wait()}"
        raise DaemonUnreachable(ReturnCode.DAEMON_NOT_STARTED, why)
    for line in lines:
        warn(line)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """
    Have signals wait, so that none ends C{Popen} when there is a process already of which nobody else knows.

    The helper inherits that, and undoes it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
