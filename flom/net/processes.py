"""What this host knows of its processes."""

from __future__ import annotations

import os
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

LONGEST_KNOWN: Final = 10.0
"""Seconds from one round to the next for which what was known is remembered."""


class OuterProcesses:
    """
    Which C{flom-run} waits for the end of which process.

    Each process that is new costs some 20 us; one that was asked for in the last round is remembered.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, ...]] = {}
        self._known_before: dict[int, tuple[int, ...]] = {}
        self._chains: dict[int, tuple[int, ...]] = {}  # a process that is a parent, and those that wait for its end
        self._began = monotonic()

    def begin(self) -> None:
        """Begin a round; what was known long before may be about another process by now."""
        now = monotonic()
        self._known_before = self._known if now - self._began < LONGEST_KNOWN else {}
        self._known = {}
        self._chains = {}
        self._began = now

    def __call__(self, pid: int) -> tuple[int, ...]:
        """Return each C{flom-run} that waits for the end of the process C{pid}, the innermost first."""
        found = self._known.get(pid)
        if found is None:
            found = self._known_before.get(pid)
            if found is None:
                found = self._look_up(pid)
            self._known[pid] = found
        return found

    def _look_up(self, pid: int) -> tuple[int, ...]:
        above = parent(pid)
        if above <= 1:
            return ()
        if above not in self._chains:
            self._chains[above] = (above, *self(above)) if runs_a_command(above) else self(above)
        return self._chains[above]


def parent(pid: int) -> int:
    """Return the parent of the process C{pid}; 0 if there is none, or it must not be seen."""
    try:
        return int(read_about(pid, "stat").rpartition(b")")[2].split()[1])
    except (ValueError, IndexError):
        return 0


def runs_a_command(pid: int) -> bool:
    """Return whether the process C{pid} is a C{flom-run}, which holds its lock until its command ends."""
    return read_about(pid, "comm").startswith(b"flom")


def read_about(pid: int, name: str) -> bytes:
    """Return the beginning of a file about the process C{pid}; nothing if it is not there."""
    try:
        file = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, 512)
    except OSError:  # it has ended in the meantime
        return b""
    finally:
        os.close(file)
