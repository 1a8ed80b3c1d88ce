"""
How long a lock may be held, and how long what its holder has lost is granted to no client
(docs/howto/limit-holds.md).

A lock that is held for longer than its limit ends, as does all that its session holds. What a holder has lost, because
its connection has ended without a release, is kept for the lock delay, as if it was held still: a command that has not
noticed may use it for so long. The resource's own rule knows what goes with it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from flom.core.locks.resources.base import Holding, Resource
from flom.core.locks.resources.queues import NEVER, Earliest
from flom.core.locks.wanted import Watch
from flom.core.requests import LockRequest


class ByName:
    """
    Seconds by the names of resources: of all patterns that fit a name, the first one counts.

    It is false if it says 0 for every name.
    """

    __slots__ = ("_default", "_patterns")

    def __init__(self, seconds: tuple[tuple[str, float], ...] = ()) -> None:
        """@param seconds: pairs of a pattern, as those of the shell, and seconds; an empty pattern fits all names."""
        from fnmatch import translate  # which few daemons need

        self._patterns = [(re.compile(translate(pattern or "*")).match, value) for pattern, value in seconds]

    def __bool__(self) -> bool:
        return any(value for _, value in self._patterns)

    def of(self, name: str) -> float:
        """Return the seconds for C{name}; 0 if no pattern fits."""
        return next((value for fits, value in self._patterns if fits(name)), 0.0)


class HoldPolicy(NamedTuple):
    """
    What a daemon decides for all locks.

    @ivar max_hold: seconds for which a lock is held at most; 0 for no limit.
    @ivar lock_delay: seconds of the lock delay of those that do not wish another one.
    """

    max_hold: ByName
    lock_delay: ByName

    def __bool__(self) -> bool:
        return bool(self.max_hold) or bool(self.lock_delay)


def limit_of(request: LockRequest, policy: HoldPolicy | None) -> float:
    """Return for how many seconds C{request} may be held when it is granted; 0 for no limit."""
    wishes = request.wishes
    wished = 0.0 if wishes is None else wishes.max_hold
    most = 0.0 if policy is None else policy.max_hold.of(request.name.text)
    return min(wished, most) if wished and most else wished or most


def delay_of(request: LockRequest, policy: HoldPolicy | None) -> float:
    """Return for how many seconds what was granted by C{request} is kept if its holder is lost."""
    wishes = request.wishes
    if wishes is not None and wishes.lock_delay is not None:
        return wishes.lock_delay
    return 0.0 if policy is None else policy.lock_delay.of(request.name.text)


class HolderWishes:
    """
    What some holders of one resource wish, or the daemon for them: limits, lock delays, and to know when they stand in
    the way. It is false if there is nothing of the kind.

    @ivar watch: those that want to know.
    @ivar lost: what holders have lost and no client is granted yet, each with the second of the monotonic clock at
        which it is free.
    """

    __slots__ = ("_deadlines", "_free", "_limits", "lost", "watch")

    def __init__(self, resource: Resource) -> None:
        self.watch = Watch(resource)
        self.lost: dict[Holding, float] = {}
        self._free: Earliest[Holding] = Earliest()  # the same in order
        self._limits: dict[Holding, tuple[float, float]] = {}  # seconds in all, and the second at which they are over
        self._deadlines: Earliest[Holding] = Earliest()  # the latter in order

    def __bool__(self) -> bool:
        return bool(self.watch or self._limits or self.lost)

    @property
    def next_deadline(self) -> float:
        """The first second at which L{overdue} or L{end_lost} has something; L{NEVER} if there is none."""
        firsts = self._deadlines.first(), self._free.first()
        return min((first[0] for first in firsts if first is not None), default=NEVER)

    def limit(self, holding: Holding, seconds: float, left: float) -> None:
        """Note that C{holding}, which may be held for C{seconds} in all, may be for C{left} from its grant on."""
        self._limits[holding] = seconds, holding.since + left
        self._deadlines.set(holding, holding.since + left)

    def ends_at(self, holding: Holding) -> float | None:
        """Return the second at which C{holding} has been held for too long; C{None} if it has no limit."""
        limit = self._limits.get(holding)
        return None if limit is None else limit[1]

    def overdue(self, now: float) -> tuple[Holding, float] | None:
        """Return the first holding that has been held for too long, and its limit in seconds; it is not ended."""
        first = self._deadlines.first()
        if first is None or first[0] > now:
            return None
        return first[1], self._limits[first[1]][0]

    def end(self, holding: Holding) -> None:
        """Note that C{holding} has ended."""
        self.watch.end(holding)
        if self._limits.pop(holding, None) is not None:
            self._deadlines.set(holding, NEVER)

    def lose(self, holding: Holding, until: float) -> None:
        """Note that the holder of C{holding} has lost it, and that it stays as it is until C{until}."""
        self.lost[holding] = until
        self._free.set(holding, until)

    def end_lost(self, now: float) -> tuple[Holding, float] | None:
        """Remove what was lost first, if it is free at C{now}, and return it with the second since which it is."""
        first = self._free.first()
        if first is None or first[0] > now:
            return None
        del self.lost[first[1]]
        self._free.set(first[1], NEVER)
        return first[1], first[0]
