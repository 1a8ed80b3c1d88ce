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
