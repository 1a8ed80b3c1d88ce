"""
How a program that runs a command under a lock ends as the command did (docs/compatibility.md, "Exit statuses").

A status below 0, -N, means death by signal N, as in C{subprocess}.
"""

from __future__ import annotations

import os

from flom.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def status_after(status: int) -> int:
    """Return what to exit with in the place of C{status}: -N, death by signal N, is 128 + N, as in a shell."""
    return status if status >= 0 else 128 - status


def leave(status: int) -> NoReturn:
    """
    End this process at once, with C{status} or by the signal that it means.

    A shell ends its loop, systemd and xargs know how the command ended, only if we die as it did. The signal may be
    blocked; if its action is not the default one, this has to be called in the main thread.
    """
    if status < 0:
        _die_by(-status)
    os._exit(status_after(status))


def _die_by(number: int) -> None:
    """Die by signal C{number}; return if that is not possible, as in the first process of a PID namespace."""
    try:
        _forbid_core()
    except (ImportError, OSError, ValueError):
        pass  # where no file can be opened, for example
    try:
        if signal.getsignal(number) != signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    except (OSError, ValueError):
        pass  # SIGKILL, for example
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)


def _forbid_core() -> None:
    """Allow no core of ours, which would replace the command's; 1, unlike 0, starts no program that collects cores."""
    import resource  # hardly any command needs it

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard if hard == 0 else 1, hard))
