"""Deadlines for many, which cost less than a timer for each: all of them have the same time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """Those who have some time from when they were set; whoever was set last comes last."""

    def __init__(self, clock: IReactorTime, seconds: float, missed: Callable[[T], None]) -> None:
        """
        @param seconds: that everybody has.
        @param missed: called with each who was not cleared in time.
        """
        self._clock = clock
        self._seconds = seconds
        self._missed = missed
        self._due: dict[T, float] = {}  # the earliest first
        self._timer: IDelayedCall | None = None
        self._is_looking = False

    def __contains__(self, who: T) -> bool:
        """Tell whether C{who} was set and not cleared."""
        return who in self._due

    def set(self, who: T) -> None:
        """Give C{who} its time, from now on, whatever it had before."""
        self._due.pop(who, None)
        self._due[who] = self._clock.seconds() + self._seconds
        if self._timer is None and not self._is_looking:
            self._timer = self._clock.callLater(self._seconds, self._look)

    def clear(self, who: T) -> None:
        """Give C{who} all the time in the world."""
        self._due.pop(who, None)
        if not self._due and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        self._is_looking = True
        now = self._clock.seconds()
        try:
            while self._due:
                who, when = next(iter(self._due.items()))
                if when > now:
                    break
                del self._due[who]
                self._missed(who)
        finally:
            self._is_looking = False
            if self._due:
                self._timer = self._clock.callLater(max(0.0, next(iter(self._due.values())) - now), self._look)
