"""The descriptors of a command under a lock (docs/compatibility.md, "Running the command")."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

_MOST_TRIED: Final = 65_536  # descriptors without /proc, where the limit of them may be billions


def inherited_descriptors() -> list[int]:
    """Return the open descriptors, 3 and above, that outlive an exec; to be called before anything else is opened."""
    found = []
    for number in _descriptors():
        try:
            if number > 2 and os.get_inheritable(number):
                found.append(number)
        except OSError:
            continue  # it is not open, as the one that listdir used
    return found


class EndWatch:
    """
    By which another process can watch for the end of a command: its pidfd; where there are none, a pipe.

    @ivar inherited: of the pipe, the descriptor that the command has to inherit; -1 where it need not.
    """

    def __init__(self) -> None:
        """@raise OSError: there are no more descriptors."""
        self._ending = self.inherited = -1
        if not _has_pidfds():
            self._ending, self.inherited = os.pipe()

    def note_start(self) -> None:
        """Note that the command has what it is to inherit, or will never run."""
        if self.inherited >= 0:
            os.close(self.inherited)
            self.inherited = -1

    def open(self, command: int) -> int:
        """
        Return a new descriptor that can be read from, or is at its end, once C{command} has ended.

        Without pidfds, that is when neither it nor what it has started has the pipe any more.

        @param command: its process id; it has not been reaped yet.
        @raise OSError: there are no more descriptors.
        """
        return os.pidfd_open(command) if self._ending < 0 else os.dup(self._ending)

    def close(self) -> None:
        """Close what is open here."""
        self.note_start()
        if self._ending >= 0:
            os.close(self._ending)
            self._ending = -1


def _has_pidfds() -> bool:
    """Return whether there are pidfds: not before Linux 5.3, and not where a seccomp filter forbids them."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError):  # the latter: of a Python that was built on such a system
        return False
    return True


def _descriptors() -> Iterable[int]:
    """Return the numbers of all open descriptors, and perhaps of others."""
    try:
        return map(int, os.listdir("/proc/self/fd"))
    except OSError:
        limit = os.sysconf("SC_OPEN_MAX")
        return range(limit if 0 < limit < _MOST_TRIED else _MOST_TRIED)


def open_standard_streams() -> None:
    """
    Open what is closed of stdin, stdout and stderr on /dev/null; to be called before anything else is opened.

    Otherwise a socket of ours would be what our command, or Python's own last words, are written to.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for good)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (for good)
