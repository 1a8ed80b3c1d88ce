"""
What a command needs of the standard library's C{signal}, C{socket} and C{threading}, without the import of these.

They wrap modules in C, and make enumerations of their constants for that, which would take a quarter of the time that
C{flom-run} needs to start. Here are the modules in C, under the names of those that wrap them: constants are plain
numbers, and a socket is no context manager. What is imported by slower programs alone, or by programs that have these
modules anyway, need not care.
"""

from __future__ import annotations

from _thread import start_new_thread
from time import CLOCK_BOOTTIME, clock_gettime

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signal
    import socket as socket
    from collections.abc import Callable
    from threading import Lock as Lock
    from threading import RLock as RLock
else:
    import _signal as signal  # noqa: F401
    import _socket as socket  # noqa: F401
    from _thread import RLock  # noqa: F401
    from _thread import allocate_lock as Lock  # noqa: F401


def boottime() -> float:
    """Return the seconds since the machine was started, those included in which it slept, unlike C{monotonic}."""
    return clock_gettime(CLOCK_BOOTTIME)


def start_thread(run: Callable[..., None], *arguments: object) -> None:
    """
    Call C{run} with C{arguments} in a thread for which the end of the program does not wait.

    @raise flom.errors.NoProcess: there can be no more threads.
    """
    try:
        start_new_thread(run, arguments)
    except RuntimeError:
        from flom.errors import NoProcess  # which is not for this module's other users

        raise NoProcess("there can be no more threads (ulimit -u; pids.max of the cgroup)") from None
