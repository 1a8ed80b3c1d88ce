"""The time after a takeover, in which former holders reclaim their locks (docs/groups.md, "When the leader goes")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from flom.core.names import ResourceName
from flom.core.requests import LockRequest, SessionId

GRACE: Final = 0.5
"""Seconds of the grace period after a takeover: only holders of the former daemon's locks are served in it."""

MAX_GRACE: Final = 3.0
"""Seconds after which a grace period ends at the latest, however often it was prolonged."""

RECLAIM_TIME: Final = 30.0
"""Seconds after a takeover for which a former holder may reclaim its lock, unless it was granted to another session."""


class Takeover:
    """When an arbiter began to grant locks in the place of another one, and what former holders may reclaim since."""

    def __init__(self, clock: IReactorTime, grace: float, on_end: Callable[[], None]) -> None:
        """
        @param grace: seconds of the grace period; 0 for none.
        @param on_end: called at its end, and should call L{end_grace}.
        """
        self._clock = clock
        self._at = clock.seconds()
        self._grace = grace
        self._timer: IDelayedCall | None = clock.callLater(grace, on_end) if grace else None
        self._deferred: list[LockRequest] = []
        self._granted_since: set[str] = set()

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

    def prolong_grace(self) -> None:
        """Start the grace period anew: a former holder still looks for this daemon. L{MAX_GRACE} ends it."""
        if self._timer is not None and self._clock.seconds() + self._grace < self._at + MAX_GRACE:
            self._timer.reset(self._grace)

    def end_grace(self) -> list[LockRequest]:
        """End the grace period; return the requests that were deferred, in their order."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        deferred, self._deferred = self._deferred, []
        return deferred

    def may_reclaim(self, name: ResourceName) -> bool:
        """Return whether C{name} cannot have been granted to another session since its former holder lost it."""
        return self._is_reclaim_time() and name.key not in self._granted_since

    def note_granted(self, request: LockRequest) -> None:
        """Note that C{request} was granted; if it reclaims nothing, the resource cannot be reclaimed any more."""
        if not request.regains and self._is_reclaim_time():
            self._granted_since.add(request.name.key)

    def _is_reclaim_time(self) -> bool:
        return self._clock.seconds() - self._at < RECLAIM_TIME
