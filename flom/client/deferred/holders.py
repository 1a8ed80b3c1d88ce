"""The lock on a holders file (L{flom.net.holding}) that all connections of this process to a daemon have in common."""

from __future__ import annotations

from typing import ClassVar

from flom.net.holding import Holding


class SharedHolding:
    """
    A shared lock on a holders file, which takes one descriptor, however many connections to the daemon there are.

    Get one by L{take}, and L{release} it once.
    """

    _by_file: ClassVar[dict[str, SharedHolding]] = {}

    def __init__(self, file: str) -> None:
        """Lock C{file}; see L{take}."""
        self._file = file
        self._holding = Holding(file)
        self._users = 0

    @classmethod
    def take(cls, file: str) -> SharedHolding:
        """
        Lock C{file}, unless another connection has it locked already.

        @raise flom.net.holding.DaemonGone: it is too late for that.
        @raise OSError: it cannot be opened.
        """
        shared = cls._by_file.get(file) or cls(file)
        cls._by_file[file] = shared
        shared._users += 1
        return shared

    def fileno(self) -> int:
        """Return the descriptor, -1 once all have released it."""
        return self._holding.fileno()

    def release(self) -> None:
        """End the lock, also for the processes that have inherited it, if no other connection needs it."""
        self._users -= 1
        if not self._users:
            del self._by_file[self._file]
            self._holding.release()
