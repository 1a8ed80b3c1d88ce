"""
A small process that keeps a reclaimed lock for its command, if C{flom-run} is killed: a command that runs already
cannot inherit a new connection.
"""

from __future__ import annotations

import os
from select import POLLIN, poll

from flom.lean import signal
from flom.trace import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_trace = tracer("exec")


class StandIn:
    """Lives as long as the command, or until it is replaced."""

    def __init__(self, open_end_watch: Callable[[], int], descriptors: Sequence[int]) -> None:
        """
        Fork the process; nothing happens where that, or to watch the command, is not possible.

        @param open_end_watch: returns a new descriptor that can be read from, or is at its end, when the command has
            ended; it may raise OSError.
        @param descriptors: of the connection, and so on, which are the lock.
        """
        self._pid = 0
        kept: list[int] = []
        try:
            kept = [open_end_watch(), *map(os.dup, descriptors)]  # a fork closes the others
            self._pid = os.fork()
            if not self._pid:
                _live(kept)
        except OSError as e:
            _trace.debug("no process keeps the lock if this one is killed: %s", e)
        finally:
            for descriptor in kept:
                os.close(descriptor)

    def end(self) -> None:
        """End the process."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            try:
                os.waitpid(self._pid, 0)
            except ChildProcessError:
                pass
            self._pid = 0


def _live(kept: Sequence[int]) -> None:
    """Wait for the end of the command with nothing open but C{kept}, and exit."""
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        os.setpgid(0, 0)
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            if descriptor not in kept:
                try:
                    os.close(descriptor)
                except OSError:
                    pass  # it was for the list itself
        waiting = poll()
        waiting.register(kept[0], POLLIN)
        waiting.poll()
    finally:
        os._exit(0)
