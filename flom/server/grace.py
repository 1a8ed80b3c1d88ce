"""The time after a takeover, in which former holders reclaim their locks (docs/groups.md, "When the leader goes")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from flom.core.names import ResourceName
from flom.core.requests import LockRequest, SessionId

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

RECLAIM_TIME: Final = 30.0
"""Seconds after a takeover for which a former holder may reclaim its lock, unless it was granted to another session."""


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


class Takeover:
    """When an arbiter began to grant locks in the place of another one, and what former holders may reclaim since."""

    def __init__(
        self, clock: IReactorTime, grace: float, on_end: Callable[[], None], looking: Looking | None = None
    ) -> None:
        """
        @param grace: seconds of the grace period if no former holder looks for this daemon; 0 for none at all.
        @param on_end: called at its end, and should call L{end_grace}.
        @param looking: those that are known already.
        """
        self._clock = clock
        self._at = self._asked_at = clock.seconds()
        self._grace = grace
        self._timer: IDelayedCall | None = clock.callLater(grace, on_end) if grace else None
        self._looking = looking or Looking()
        self._deferred: list[LockRequest] = []
        self._granted_since: set[str] = set()
        self._set_timer()

    def defer(self, request: LockRequest) -> bool:
        """Keep C{request} until the grace period ends, if there is one and this reclaims nothing; return whether."""
        if self._timer is None or request.regains:
            return False
        self._deferred.append(request)
        return True

    def withdraw(self, session: SessionId, name: ResourceName) -> bool:
        """Forget the last request of C{session} for C{name} that was deferred; return whether there was one."""
        for request in reversed(self._deferred):
            if request.session == session and request.name == name:
                self._deferred.remove(request)
                return True
        return False

    def prolong_grace(self, holder: int = 0) -> None:
        """
        Start the grace period anew if another former holder looks for this daemon than was known to: more may come.

        @param holder: which one; the grace period lasts until it has come, or L{LOOKING} seconds after its last
            question, but no longer than L{MAX_GRACE}. 0 for one that does not say.
        """
        if self._timer is not None:
            now = self._clock.seconds()
            if self._looking.note_question(holder, now):
                self._asked_at = now
            self._set_timer()

    def note_arrival(self, holder: int) -> None:
        """Note that the former holder C{holder} has found this daemon, and reclaims its lock."""
        if self._timer is not None:
            self._looking.note_arrival(holder)
            self._set_timer()

    def end_grace(self) -> list[LockRequest]:
        """End the grace period; return the requests that were deferred, in their order."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        deferred, self._deferred = self._deferred, []
        return deferred

    @property
    def still_looking(self) -> int:
        """How many former holders are known to look for this daemon at this moment."""
        self._looking.forget_silent(self._clock.seconds())
        return len(self._looking)

    @property
    def is_in_grace(self) -> bool:
        """True until the grace period has ended; false if there was none."""
        return self._timer is not None

    def may_reclaim(self, name: ResourceName) -> bool:
        """Return whether C{name} cannot have been granted to another session since its former holder lost it."""
        return self._is_reclaim_time() and name.key not in self._granted_since

    def note_granted(self, request: LockRequest) -> None:
        """Note that C{request} was granted; if it reclaims nothing, the resource cannot be reclaimed any more."""
        if not request.regains and self._is_reclaim_time():
            self._granted_since.add(request.name.key)

    def _set_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            end = min(max(self._asked_at + self._grace, self._looking.last()), self._at + max(MAX_GRACE, self._grace))
            self._timer.reset(max(0.0, end - self._clock.seconds()))

    def _is_reclaim_time(self) -> bool:
        return self._clock.seconds() - self._at < RECLAIM_TIME
