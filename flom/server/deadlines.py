"""Deadlines that are all the same number of seconds away when they are set: one timer serves them all."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """The deadlines of any number of keys."""

    def __init__(self, clock: IReactorTime, seconds: float, missed: Callable[[T], None], slack: float = 0.0) -> None:
        """
        @param seconds: from L{set} to the deadline.
        @param missed: called with each key that was not cleared in time.
        @param slack: seconds by which that may be late, so that it is done for several at a time.
        """
        self._clock = clock
        self._seconds = seconds
        self._missed = missed
        self._slack = slack
        self._due: dict[T, float] = {}  # in the order of the deadlines
        self._timer: IDelayedCall | None = None
        self._is_looking = False

    def __contains__(self, key: T) -> bool:
        """Return whether C{key} has a deadline."""
        return key in self._due

    def __len__(self) -> int:
        return len(self._due)

    def set(self, key: T) -> None:
        """Set the deadline of C{key} anew, counted from now."""
        self._due.pop(key, None)
        self._due[key] = self._clock.seconds() + self._seconds
        if self._timer is None and not self._is_looking:
            self._timer = self._clock.callLater(self._seconds, self._look)

    def clear(self, key: T) -> None:
        """Remove the deadline of C{key}, if it has one."""
        if self._due.pop(key, None) is not None and not self._due and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def forget(self, key: T) -> None:
        """Remove the deadline of C{key}, if it has one, for which another will be set soon: the timer is kept."""
        self._due.pop(key, None)

    def _look(self) -> None:
        self._timer = None
        self._is_looking = True
        now = self._clock.seconds()
        try:
            while self._due:
                key, when = next(iter(self._due.items()))
                if when > now:
                    break
                del self._due[key]
                self._missed(key)
        finally:
            self._is_looking = False
            if self._due:
                self._timer = self._clock.callLater(max(self._slack, next(iter(self._due.values())) - now), self._look)
