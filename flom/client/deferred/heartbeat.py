"""The heartbeats of the locks that one client holds: one timer for all of them."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from flom.core.heartbeat import LATE, Heartbeat, heartbeat_on
from flom.core.lease import NEVER, Lease, Times, time_kept, times_on
from flom.core.protocol.messages import Terms
from flom.core.schedule import Schedule
from flom.reactor.clock import boottime_of


class Beating(Protocol):
    """What has a heartbeat."""

    def look_after(self, now: float) -> float:
        """Do what is due at C{now}; return when to call this again."""


class LossPolicy:
    """
    When a lock that is not heard of any more counts as lost.

    @ivar is_strict: true if its holder has to be gone before the leader of a group can have a successor.
    @ivar is_by_quorum: true once a daemon has said that it leads by a quorum.
    """

    def __init__(self, *, is_in_group: bool = False, is_strict: bool = False, time_to_end: float | None = 0.0) -> None:
        """
        @param time_to_end: seconds that the holder needs to end then, see L{flom.core.lease.times_within}; only if it
            C{is_strict}.
        """
        self.is_strict = is_strict
        self.is_by_quorum = False
        self._is_in_group = is_in_group
        self._time_to_end = time_to_end
        self._terms = Terms()  # those that were asked about last, as most daemons always say the same
        self._times: Times | None = None
        self._age_of_doubt = NEVER

    def times_on(self, terms: Terms) -> Times | None:
        """
        Return the times of a lock that a daemon grants on C{terms}; C{None} if it does not say for how long it keeps
        what a client has.

        @raise ConfigError: there is no room for the time to end.
        """
        if terms is not self._terms:
            self._note(terms)
        return self._times

    def age_of_doubt(self, terms: Terms) -> float:
        """Return the seconds after which a grant is old, so that the daemon has to be asked whether it still holds."""
        if terms is not self._terms:
            self._note(terms)
        return self._age_of_doubt

    def begin(self, terms: Terms, times: Times, asked_at: float) -> Heartbeat:
        """
        Return the heartbeat of a lock that was granted on C{terms}, as it was asked for at C{asked_at}, and that has
        counted on being tended since.
        """
        lease = Lease(times.patience, times.interval, times.kill_after)
        lease.sent(asked_at)
        lease.answered()
        heartbeat = heartbeat_on(terms, lease, is_strict=self.is_strict, is_in_group=self._is_in_group)
        heartbeat.due()
        return heartbeat

    def _note(self, terms: Terms) -> None:
        time_to_end = self._time_to_end if self.is_strict else None if terms.quorum else 0.0
        self._times = times_on(terms, time_to_end, is_strict=self.is_strict) if terms.timeout else None
        self._age_of_doubt = time_kept(terms, NEVER, is_strict=True)[0] / 3
        self._terms = terms
        self.is_by_quorum = terms.quorum


class Heartbeats:
    """
    Looks after all that is L{Beating}, when it is due.

    @ivar now: returns the time, which goes on while the machine sleeps.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.now = boottime_of(clock)
        self._clock = clock
        self._schedule = Schedule()
        self._timer: IDelayedCall | None = None
        self._timer_due = NEVER
        self._has_read = False
        self._is_closed = False

    def watch(self, beating: Beating, due: float) -> None:
        """Look after C{beating} at C{due}, and from then on as it says, until L{leave}."""
        self._schedule.put(beating, due)
        if due < self._timer_due:
            self._set_timer(due)

    def leave(self, beating: Beating) -> None:
        """Look no more after C{beating}, if it is watched."""
        self._schedule.discard(beating)
        if self._is_closed and not self._schedule:
            self._stop_timer()

    def close(self) -> None:
        """Leave no timer behind when nothing is watched any more."""
        self._is_closed = True
        if not self._schedule:
            self._stop_timer()

    def _look(self) -> None:
        """Look after what is due; if we did not run for a while, after what has come meanwhile was read."""
        now, is_late = self.now(), self.now() > self._timer_due + LATE
        self._timer, self._timer_due = None, NEVER
        if is_late and not self._has_read:
            self._has_read = True
            self._set_timer(now)
            return
        self._has_read = False
        for beating in self._schedule.take_due(now):
            due = beating.look_after(now)
            if due < NEVER:
                self._schedule.put(beating, due)
        if (due := self._schedule.next_due) < self._timer_due:
            self._set_timer(due)

    def _set_timer(self, due: float) -> None:
        self._stop_timer()
        self._timer_due = due
        self._timer = self._clock.callLater(max(0.0, due - self.now()), self._look)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_due = None, NEVER
