"""
A small process that keeps descriptors open, and so a lock, for a process that cannot be handed them: one that runs
already, or that runs no more.

It is started, not forked, because its starter may have threads. It is this file, which L{StandIn} starts by its path,
without what programs are installed with: so it imports nothing of ours.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from select import POLLIN, poll

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_UNTIL_END: Final = "end"
_UNTIL_FREE: Final = "free"

_AWAITED: Final = 3  # the process's number of the first descriptor that it waits for; those that it keeps come next


class StandIn:
    """The process, for its starter; it goes on if that ends."""

    def __init__(self, kept: Sequence[int], awaited: Sequence[int], *, are_files: bool = False) -> None:
        """
        Start it; its signals and its process group are its own.

        @param kept: descriptors that it has open until it ends.
        @param awaited: descriptors: it ends when each of them could once be read from, or was at its end.
        @param are_files: whether C{awaited} are of files instead: it ends when no other process has one of them locked
            (flock).
        @raise OSError: it cannot be started.
        """
        copies: list[int] = []
        try:
            end = _AWAITED + len(awaited) + len(kept)
            for descriptor in (*awaited, *kept):  # above the numbers that they get there
                copies.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, end))
            actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
                (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(_AWAITED)
            ]
            actions += [(os.POSIX_SPAWN_DUP2, copy, number) for number, copy in enumerate(copies, _AWAITED)]
            until = _UNTIL_FREE if are_files else _UNTIL_END
            words = ["-I", "-S", os.path.abspath(__file__), until, str(len(awaited)), str(end)]
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, *words],
                os.environ,
                file_actions=actions,
                setpgroup=0,
                setsigmask=signal.valid_signals(),
            )
        finally:
            for copy in copies:
                os.close(copy)

    def has_ended(self) -> bool:
        """Return whether it has ended; ask now and then, because an ended process stays in the system until then."""
        if self._pid:
            try:
                if os.waitpid(self._pid, os.WNOHANG) != (0, 0):
                    self._pid = 0
            except ChildProcessError:
                self._pid = 0  # the program that we are in ignores SIGCHLD
        return not self._pid

    def end(self) -> None:
        """End it."""
        if not self.has_ended():
            os.kill(self._pid, signal.SIGKILL)
            try:
                os.waitpid(self._pid, 0)
            except ChildProcessError:
                pass
            self._pid = 0


def main() -> None:
    """Be the process: keep the descriptors below the number that is the last argument, and close others."""
    _, until, count, end = sys.argv
    os.chdir("/")  # the directory of its starter may have to go
    for number in map(int, os.listdir("/proc/self/fd")):
        if number >= int(end):
            try:
                os.close(number)
            except OSError:
                pass  # it was for the list itself
    for awaited in range(_AWAITED, _AWAITED + int(count)):
        if until == _UNTIL_FREE:
            fcntl.flock(awaited, fcntl.LOCK_EX)
        else:
            waiting = poll()
            waiting.register(awaited, POLLIN)
            waiting.poll()


if __name__ == "__main__":
    main()
