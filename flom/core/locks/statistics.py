"""What a lock table has done so far, counted."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Final, NamedTuple

from flom.codes import Enum, Outcome
from flom.core.protocol.messages import WhyWithdrawn

BOUNDS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 300.0, 1800.0)
"""Seconds up to which a time belongs to a bucket of a histogram, the last bucket excepted."""

MEMORY: Final = 300
"""Seconds that are remembered one by one."""


class Loss(str, Enum):
    """Why a lock ended although its holder may still have used it, as far as the daemon knows."""

    SESSION_TIMEOUT = "session_timeout"  # its connection was broken, and the holder did not come back in time
    CONNECTION_BROKEN = "connection_broken"  # likewise, and the holder could not come back, as FLoM's clients cannot
    GRACE_ENDED = "grace_ended"  # another daemon had granted it, and the holder did not come here in the grace period
    RECLAIM_REFUSED = "reclaim_refused"  # the holder came, and was told that the lock is lost
    CONTESTED = "contested"  # another daemon of the group has granted it too
    REVOKED = "revoked"  # an administrator has released it
    HOLD_OVER = "hold_over"  # it was held without a process, and its time was over
    MAX_HOLD = "max_hold"  # it was held for longer than its limit
    SUPERSEDED = "superseded"  # the holder is a part of the daemon's process, and another daemon leads


class Histogram:
    """
    How long something has taken, how often.

    @ivar buckets: one count for each of L{BOUNDS}, and one for what took longer.
    @ivar total: seconds in all.
    """

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one that took C{seconds}."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)


class Second(NamedTuple):
    """
    One second of the past.

    @ivar ago: how many seconds ago it began; the present one began less than one second ago.
    @ivar granted: how many grants there were.
    @ivar waited: seconds that they had waited, in all.
    """

    ago: int
    granted: int
    waited: float


class Statistics:
    """
    Counts of one table.

    @ivar refused: how often, by the reason.
    @ivar withdrawn: requests that were withdrawn while they waited, likewise.
    @ivar lost: locks that were lost, likewise.
    @ivar waited: the times from request to grant.
    @ivar held: the times from grant to release.
    """

    __slots__ = ("_last", "_seconds", "held", "lost", "refused", "waited", "withdrawn")

    def __init__(self) -> None:
        self.refused: dict[Outcome, int] = {}
        self.withdrawn = dict.fromkeys(WhyWithdrawn, 0)
        self.lost = dict.fromkeys(Loss, 0)
        self.waited = Histogram()
        self.held = Histogram()
        self._seconds: deque[list[float]] = deque(maxlen=MEMORY)  # which second, grants, time waited
        self._last = [-1.0, 0, 0.0]  # of these

    @property
    def granted(self) -> int:
        """How many grants there were."""
        return self.waited.count

    def grant(self, now: float, waited: float) -> None:
        """Count a grant at second C{now} of the monotonic clock, C{waited} seconds after the request."""
        self.waited.add(waited)
        second = now // 1
        last = self._last
        if last[0] != second:
            last = self._last = [second, 0, 0.0]
            self._seconds.append(last)
        last[1] += 1
        last[2] += waited

    def recent(self, now: float) -> list[Second]:
        """Return the seconds of the last L{MEMORY} in which there were grants, the earliest first."""
        present = now // 1
        ages = ((int(present - second), int(granted), waited) for second, granted, waited in self._seconds)
        return [Second(*age) for age in ages if age[0] < MEMORY]

    def grants_per_second(self, now: float) -> float:
        """Return the average over the last ten seconds, without the current one."""
        return sum(second.granted for second in self.recent(now) if 1 <= second.ago <= 10) / 10

    def refuse(self, outcome: Outcome) -> None:
        """Count a refusal."""
        self.refused[outcome] = self.refused.get(outcome, 0) + 1
