"""Times in which an arbiter does not grant what it could: the grace period, by a clock (L{flom.core.grace})."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from flom.core.grace import Grace, Looking
from flom.core.names import ResourceName
from flom.core.requests import LockRequest, SessionId, SetRequest


class Takeover:
    """Drives a L{Grace}, with the time and a timer."""

    is_frozen = False
    """True if releases are to be postponed, too."""

    conversions: dict[tuple[SessionId, str], Callable[[], object]]
    """What was deferred to the end of the grace period: conversions, by the sessions and the names of their locks."""

    def __init__(
        self,
        clock: IReactorTime,
        grace: float,
        on_end: Callable[[], None],
        looking: Looking | None = None,
        least: float = 0.0,
    ) -> None:
        """
        @param grace: see L{Grace}.
        @param on_end: called at the end of the grace period, and should call L{end_grace}.
        @param looking: see L{Grace}.
        @param least: see L{Grace}.
        """
        self._clock = clock
        self.conversions = {}
        self._grace = Grace(grace, clock.seconds(), looking, least)
        self._timer: IDelayedCall | None = None if self._grace.is_over else clock.callLater(grace, on_end)
        self._set_timer()

    def defer(self, request: LockRequest | SetRequest) -> bool:
        """See L{Grace.defer}."""
        return self._grace.defer(request, self._clock.seconds())

    def defers(self, session: SessionId) -> bool:
        """See L{Grace.defers}."""
        return self._grace.defers(session)

    def forget(self, request: LockRequest | SetRequest) -> bool:
        """See L{Grace.forget}."""
        return self._grace.forget(request)

    def withdraw(self, session: SessionId, name: ResourceName) -> bool:
        """See L{Grace.withdraw}."""
        return self._grace.withdraw(session, name)

    def withdraw_all(self, session: SessionId) -> bool:
        """See L{Grace.withdraw_all}."""
        return self._grace.withdraw_all(session)

    def prolong_grace(self, holder: int = 0) -> None:
        """See L{Grace.prolong}."""
        self._grace.prolong(holder, self._clock.seconds())
        self._set_timer()

    def note_arrival(self, holder: int) -> None:
        """See L{Grace.note_arrival}."""
        self._grace.note_arrival(holder)
        self._set_timer()

    def end_grace(self) -> list[LockRequest | SetRequest]:
        """See L{Grace.end}."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        return self._grace.end(self._clock.seconds())

    @property
    def still_looking(self) -> int:
        """How many former holders are known to look for this daemon at this moment."""
        return self._grace.still_looking(self._clock.seconds())

    @property
    def is_in_grace(self) -> bool:
        """True until the grace period has ended; false if there was none."""
        return not self._grace.is_over

    @property
    def left(self) -> float | None:
        """Seconds until the grace period ends if nothing more happens; C{None} if there is none."""
        return None if self._grace.is_over else max(0.0, self._grace.ends_at - self._clock.seconds())

    def may_reclaim(self, name: ResourceName) -> bool:
        """See L{Grace.may_reclaim}."""
        return self._grace.may_reclaim(name, self._clock.seconds())

    def note_granted(self, request: LockRequest) -> None:
        """See L{Grace.note_granted}."""
        self._grace.note_granted(request, self._clock.seconds())

    def end_reclaims(self, name: ResourceName) -> None:
        """See L{Grace.end_reclaims}."""
        self._grace.end_reclaims(name)

    def _set_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.reset(max(0.0, self._grace.ends_at - self._clock.seconds()))


class Freeze(Takeover):
    """
    A moment in which nothing is granted or released, because another daemon is about to take over: all waits for its
    end, or comes to nothing if that daemon leads then.

    @ivar before: what it interrupts.
    @ivar calls: what is to be done at its end, in this order: requests, ends of sessions, and calls.
    @ivar gone: sessions that have ended meanwhile.
    """

    is_frozen = True

    def __init__(self, clock: IReactorTime, before: Takeover | None) -> None:
        super().__init__(clock, 0.0, lambda: None)
        self.before = before
        self.gone: list[SessionId] = []
        self.calls: list[LockRequest | SetRequest | SessionId | Callable[[], None]] = []

    def defer(self, request: LockRequest | SetRequest) -> bool:
        self.calls.append(request)
        return True

    def forget(self, request: LockRequest | SetRequest) -> bool:
        calls = [call for call in self.calls if call is not request]
        was_deferred = len(calls) < len(self.calls)
        self.calls = calls
        return was_deferred

    def drop(self, session: SessionId) -> None:
        """Note that C{session} has ended."""
        self.calls.append(session)
        self.gone.append(session)

    def may_reclaim(self, name: ResourceName) -> bool:
        return True  # that is decided later
