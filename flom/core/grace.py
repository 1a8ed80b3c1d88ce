"""
The time after a takeover, in which former holders reclaim their locks (docs/explanation/groups.md, "When the leader
goes").
"""

from __future__ import annotations

from typing import Final

from flom.core.names import ResourceName
from flom.core.requests import LockRequest, SessionId, SetRequest

GRACE: Final = 0.5
"""Seconds of the grace period after a takeover: only holders of the former daemon's locks are served in it."""

LOOKING: Final = 5.0
"""Seconds for which a former holder counts as looking for this daemon after a question; it asks 6 times a second."""

FOUND: Final = 1.0
"""Seconds after its last question after which a former holder has found the leader that was heard since, if one was."""

MAX_GRACE: Final = 10.0
"""Seconds after which a grace period ends at the latest, however many former holders still look for this daemon."""

MOST_LOOKING: Final = 10_000
"""Former holders that are told apart; anybody in the network can claim to be some."""

NO_WAIT: Final = 1.0
"""Seconds after which a request that is not to wait is refused in a grace period: the lock may be held."""

REJOIN_TIME: Final = 30.0
"""Seconds after its start or a takeover for which a daemon believes clients that have waited at another one."""

REJOIN_BATCH: Final = 0.05
"""Seconds for which such clients are collected, before they are put in their order."""

RECLAIM_TIME: Final = 30.0
"""
Seconds after a takeover for which a former holder may reclaim its lock, unless it was granted to another session. After
the grace period, it has to prove that it has held it (L{flom.server.proofs}).
"""


class Looking:
    """
    The former holders that are known to look for this daemon, by the numbers that they chose
    (L{flom.core.protocol.messages.Discover.holder}).
    """

    def __init__(self) -> None:
        self._asked: dict[int, float] = {}  # when each has asked last; the one that did so last stands at the end
        self._came: set[int] = set()
        self._led_at = float("-inf")  # when another daemon that leads was heard last

    def __len__(self) -> int:
        return len(self._asked)

    def note_question(self, holder: int, now: float) -> bool:
        """
        Note that C{holder} asks for a daemon at C{now}; return whether that is news: it was neither known to look, nor
        has it come already, as it may have when a datagram is late.

        @param holder: 0 for one that does not say who it is, which is always news.
        """
        self.forget_silent(now)
        if not holder:
            return True
        if holder in self._came or (holder not in self._asked and len(self._asked) >= MOST_LOOKING):
            return False
        is_news = self._asked.pop(holder, None) is None
        self._asked[holder] = now
        return is_news

    def note_arrival(self, holder: int) -> None:
        """Note that C{holder} has found this daemon."""
        if self._asked.pop(holder, None) is not None:
            self._came.add(holder)

    def note_leader(self, now: float) -> None:
        """Note that another daemon leads: those that ask no more have found it, even if it goes a moment later."""
        self._led_at = now
        self.forget_silent(now)

    def forget_silent(self, now: float) -> None:
        """Forget those that have not asked for L{LOOKING} seconds, or for L{FOUND} if a leader was heard since."""
        while self._asked and self._until(next(iter(self._asked.values()))) <= now:
            del self._asked[next(iter(self._asked))]

    def last(self) -> float:
        """Return when the last one will be forgotten if none asks again; 0.0 if there is none."""
        return self._until(next(reversed(self._asked.values()))) if self._asked else 0.0

    def _until(self, asked: float) -> float:
        return asked + (FOUND if asked < self._led_at else LOOKING)


class Grace:
    """
    When an arbiter began to grant locks in the place of another one, what waits for the end of its grace period, and
    what former holders may reclaim since. All times are in seconds of one monotonic clock.

    @ivar is_over: true once the grace period has ended, or if there was none.
    """

    def __init__(self, seconds: float, now: float, looking: Looking | None = None, least: float = 0.0) -> None:
        """
        @param seconds: of the grace period if no former holder looks for this daemon; 0 for none at all.
        @param looking: those that are known already.
        @param least: seconds for which it lasts at least: some may not know yet that they have to look.
        """
        self._at = self._asked_at = now
        self._seconds = seconds
        self._least = least
        self._looking = looking or Looking()
        self._deferred: list[tuple[float, LockRequest | SetRequest]] = []  # when each came
        self._granted_since: set[str] = set()
        self.is_over = not seconds

    def defer(self, request: LockRequest | SetRequest, now: float) -> bool:
        """Keep C{request} until the grace period ends, if there is one and this reclaims nothing; return whether."""
        if self.is_over or request.regains:
            return False
        self._deferred.append((now, request))
        return True

    def defers(self, session: SessionId) -> bool:
        """Return whether a request of C{session} was deferred."""
        return any(request.session == session for _, request in self._deferred)

    def withdraw(self, session: SessionId, name: ResourceName) -> bool:
        """
        Forget the last request of C{session} for C{name}, or for that and others, that was deferred; return whether
        there was one.
        """
        for deferred in reversed(self._deferred):
            request = deferred[1]
            names = request.names if isinstance(request, SetRequest) else (request.name,)
            if request.session == session and name in names:
                self._deferred.remove(deferred)
                return True
        return False

    def withdraw_all(self, session: SessionId) -> bool:
        """Forget all requests of C{session} that were deferred; return whether there was one."""
        kept = [deferred for deferred in self._deferred if deferred[1].session != session]
        was_deferred = len(kept) < len(self._deferred)
        self._deferred = kept
        return was_deferred

    def forget(self, request: LockRequest | SetRequest) -> bool:
        """Forget C{request}, if it was deferred and still is; return whether."""
        kept = [deferred for deferred in self._deferred if deferred[1] is not request]
        was_deferred = len(kept) < len(self._deferred)
        self._deferred = kept
        return was_deferred

    def prolong(self, holder: int, now: float) -> None:
        """
        Start the grace period anew if another former holder looks for this daemon than was known to: more may come.

        @param holder: which one; the grace period lasts until it has come, or L{LOOKING} seconds after its last
            question, but no longer than L{MAX_GRACE}. 0 for one that does not say.
        """
        if not self.is_over and self._looking.note_question(holder, now):
            self._asked_at = now

    def note_arrival(self, holder: int) -> None:
        """Note that the former holder C{holder} has found this daemon, and reclaims its lock."""
        if not self.is_over:
            self._looking.note_arrival(holder)

    def end(self, now: float) -> list[LockRequest | SetRequest]:
        """End the grace period; return the requests that were deferred, in the order in which they were made first."""
        self.is_over = True
        deferred, self._deferred = self._deferred, []
        requests: list[LockRequest | SetRequest] = [request.made_later(now - came) for came, request in deferred]
        return sorted(requests, key=lambda request: -request.waited)

    @property
    def ends_at(self) -> float:
        """When the grace period ends if nothing more happens."""
        end = max(self._asked_at + self._seconds, self._looking.last(), self._at + self._least)
        return min(end, self._at + max(MAX_GRACE, self._seconds))

    def still_looking(self, now: float) -> int:
        """Return how many former holders are known to look for this daemon."""
        self._looking.forget_silent(now)
        return len(self._looking)

    def may_reclaim(self, name: ResourceName, now: float) -> bool:
        """Return whether C{name} cannot have been granted to another session since its former holder lost it."""
        return self._is_reclaim_time(now) and name.key not in self._granted_since

    def note_granted(self, request: LockRequest, now: float) -> None:
        """Note that C{request} was granted; if it reclaims nothing, the resource cannot be reclaimed any more."""
        if not request.regains and self._is_reclaim_time(now):
            self._granted_since.add(request.name.key)

    def end_reclaims(self, name: ResourceName) -> None:
        """Note that the resource C{name} cannot be reclaimed any more: an administrator has ended a lock of it."""
        self._granted_since.add(name.key)

    def _is_reclaim_time(self, now: float) -> bool:
        return now - self._at < RECLAIM_TIME
