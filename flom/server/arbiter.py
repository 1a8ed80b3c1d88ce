"""
The arbiter: a lock table with a clock.

It carries the effects of each call to the sessions they concern and wakes the table when time alone changes something.
Connections use it through L{DeferredArbiter.open}; code in the same process through L{DeferredArbiter.acquire}.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from flom.acquisition import Acquisition, Held, limit
from flom.codes import Outcome
from flom.core.asking import ask
from flom.core.locks.snapshot import TableView
from flom.core.locks.statistics import Tally
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import ResourceName, parse_name
from flom.core.requests import Effect, Ended, Granted, Instant, Limit, LockRequest, Refused, SessionId
from flom.errors import Closed, DaemonLost, FlomError, Misuse, StandingBy, lock_refused
from flom.interfaces import IArbiter, IHeld
from flom.net.clock import local_strftime
from flom.server.limits import DEFAULT_LIMITS, Limits
from flom.server.log_throttle import LogThrottle
from flom.server.peer import Peer
from flom.text import one_line, truncate

Tell = Callable[[Effect | None], None]
"""Takes the effects that concern one session, or C{None} if it is dismissed; it may call the arbiter again."""


REGAIN_TIME: Final = 30.0
"""Seconds after it has begun to grant locks in which an arbiter lets those regain theirs who come late."""

MAX_GRACE: Final = 3.0
"""Seconds that a grace period may take in all."""

_HERE: Final = "this process"  # who refuses, in errors
_HERE_PEER: Final = Peer(_HERE, pid=os.getpid(), uid=os.geteuid())


@implementer(IArbiter)
class DeferredArbiter:
    """
    Decides who holds what, for connections and for code in the same process.

    @ivar on_change: called when a session has begun or ended and when resources may have been forgotten.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        instant: Callable[[], Instant] | None = None,
        *,
        log_grants: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """
        @param log_grants: whether to log every grant and release; refusals are logged in any case.
        @param clock: has the timers; the reactor, or a C{task.Clock} in tests.
        @param instant: tells the time; by default, C{clock} does. A daemon passes
            L{flom.net.clock.system_instant}: a reactor's clock goes wherever the administrator sets it.
        @param limits: of which those of waiters, resources and locks are minded here.
        """
        self._clock = clock
        self._log_grants = log_grants
        self._instant = instant or (lambda: Instant(clock.seconds(), clock.seconds()))
        self._limits = limits
        self._throttle = LogThrottle(clock)
        self._table = self._make_table()
        self._sessions: dict[SessionId, Tell] = {}
        self._peers: dict[SessionId, Callable[[], Peer]] = {}
        self._ids = count(1)
        self._effects: deque[Effect] = deque()
        self._telling = False
        self._alarm: IDelayedCall | None = None
        self._alarm_at = 0.0
        self._is_retired = False
        self._is_closed = False
        self._is_served = False
        self._local: dict[SessionId, _LocalClient] = {}
        self._grace: IDelayedCall | None = None
        self._grace_length = self._grace_limit = 0.0
        self._deferred: list[LockRequest] = []  # until the grace period ends
        self._resumed_at: float | None = None
        self._taken_since: set[str] = set()  # what others were granted in the time for regaining
        self.on_change: Callable[[], None] = lambda: None

    @property
    def is_idle(self) -> bool:
        """Whether nobody is connected and no resource is remembered."""
        return not self._sessions and not self._table

    @property
    def is_retired(self) -> bool:
        """Whether nothing is granted, see L{retire}."""
        return self._is_retired

    @property
    def is_closed(self) -> bool:
        """Whether nothing is granted, see L{close}."""
        return self._is_closed

    @property
    def is_deserted(self) -> bool:
        """Whether nobody is connected."""
        return not self._sessions

    @property
    def tally(self) -> Tally:
        """What was granted and refused so far."""
        return self._table.tally

    @property
    def sessions(self) -> int:
        """How many there are."""
        return len(self._sessions)

    def serve(self) -> None:
        """
        Note that a daemon serves this.

        @raise ValueError: one does.
        """
        if self._is_served:
            raise ValueError("this arbiter has a daemon already; give that all the endpoints")
        self._is_served = True

    def now(self) -> Instant:
        """Read the clocks."""
        return self._instant()

    def view(self, key: str | None = None) -> TableView:
        """Show who holds what; see L{LockTable.view}."""
        return self._table.view(key)

    def peer(self, session: SessionId) -> Peer | None:
        """Tell who C{session} is; C{None} if it has gone."""
        tell = self._peers.get(session)
        return None if tell is None else tell()

    def open(self, tell: Tell, peer: Callable[[], Peer] = lambda: _HERE_PEER) -> SessionId:
        """
        Begin a session.

        @param tell: given what becomes of its requests, in order.
        @param peer: tells who it is.
        """
        session = SessionId(next(self._ids))
        self._sessions[session] = tell
        self._peers[session] = peer
        self.on_change()
        return session

    def request(self, request: LockRequest) -> None:
        """
        Decide C{request}; the session is told before this returns, or right after the effect being told now. In a grace
        period, see L{resume}, the decision may wait for its end.
        """
        if self._is_retired or self._is_closed:
            self._carry_out([Refused(request, Outcome.BUSY)])
        elif self._grace is not None and not request.regains:
            self._deferred.append(request)
        elif request.regains and not self._can_be_regained(request.name):
            self._carry_out([Refused(request, Outcome.BUSY)])
        else:
            self._carry_out(self._table.request(request, self._instant()))

    def release(self, session: SessionId, name: ResourceName, rollback: bool = False) -> None:
        """
        End a holding, or give up waiting.

        @raise flom.errors.RemoteProtocolError: see L{LockTable.release}.
        """
        for request in reversed(self._deferred) if self._deferred else ():
            if request.session == session and request.name == name:
                self._deferred.remove(request)  # given up before it was decided
                return
        self._carry_out(self._table.release(session, name, self._instant(), rollback=rollback))
        if self._is_retired:
            self._dismiss_idle()

    def drop(self, session: SessionId) -> None:
        """End C{session}: free what it holds and forget what it waits for. It is told nothing more."""
        self._sessions.pop(session, None)
        self._local.pop(session, None)
        self._carry_out(self._table.drop(session, self._instant()))
        self._peers.pop(session, None)
        self.on_change()

    def close(self) -> None:
        """
        Grant nothing more, because the daemon ends.

        Holders lose their connections one after another; nobody must be granted what another's command still uses. Code
        in this process that waits is told; what it holds, it keeps.
        """
        self._is_closed = True
        self._sessions.clear()
        self._effects.clear()
        self._stop_grace()
        self._set_alarm()
        self._throttle.stop()
        for client in list(self._local.values()):
            client.dismiss()

    def reopen(self) -> None:
        """Grant locks again after L{close}; what code in this process holds, it still holds."""
        self._is_closed = False
        self._set_alarm()

    def retire(self) -> None:
        """
        Grant nothing more, because another daemon does.

        Sessions that hold something may go on until they have given it back, and are refused whatever else they wait
        for; all others are dismissed.
        """
        self._is_retired = True
        refused = self._stop_grace()
        for session in self._sessions:
            if self._table.holds(session):
                for request in self._table.waiting(session):
                    self._table.withdraw(request)
                    refused.append(request)
        self._dismiss_idle()
        self._carry_out([Refused(request, Outcome.BUSY, delayed=True) for request in refused])

    def resume(self, grace: float = 0.0) -> None:
        """
        Grant locks (again), from a clean slate: what was locked meanwhile was locked elsewhere. Code in this process
        that still holds a lock has lost it.

        @param grace: seconds in which only those are decided on who regain what they held there.
        """
        self._table = self._make_table(self._table.tally)
        self._is_retired = False
        self._set_alarm()
        local, self._local = self._local, {}
        for client in local.values():
            client.lose()
        self._resumed_at = now = self._clock.seconds()
        self._taken_since.clear()
        if grace:
            self._grace_length = grace
            self._grace_limit = now + MAX_GRACE
            self._grace = self._clock.callLater(grace, self._end_grace)

    def acquire(
        self,
        name: str,
        mode: LockMode | str | int = LockMode.EX,
        *,
        quantity: int = 1,
        wait: bool = True,
        create: bool = True,
        lifespan: float = 0.0,
        timeout: float | None = None,
    ) -> Acquisition:
        """See L{IArbiter.acquire}; once this is closed, it fires with L{Closed}."""
        what = f"{name} at {_HERE}"
        try:
            asked = ask(name, mode, quantity=quantity, wait=wait, create=create, lifespan=lifespan, timeout=timeout)
            if self._is_closed or self._is_retired:
                raise self.why_dismissed(what)
        except FlomError:
            return Acquisition(fail(), what)
        client = _LocalClient(self, what)
        self._local[client.session] = client
        said = asked.message
        self.request(
            LockRequest(
                client.session, parse_name(name), said.mode, said.quantity, said.wait, said.create, said.lifespan
            )
        )
        return Acquisition(limit(client.granted, asked.timeout, self._clock, what), what)

    def prolong_grace(self) -> None:
        """Let the grace period, if there is one, begin anew: somebody still looks for us. There is a limit to that."""
        if self._grace is not None and self._clock.seconds() + self._grace_length < self._grace_limit:
            self._grace.reset(self._grace_length)

    def why_dismissed(self, what: str) -> FlomError:
        """Tell why C{what} is not granted, while this L{is_closed} or L{is_retired}."""
        if self._is_closed:
            return Closed(f"{what}: the arbiter was closed")
        return StandingBy(f"{what}: this process stands by, another one grants locks")

    def _make_table(self, tally: Tally | None = None) -> LockTable:
        limits = self._limits
        return LockTable(
            local_strftime,
            tally,
            max_waiters=limits.waiters,
            max_resources=limits.resources,
            max_locks=limits.locks_per_connection,
        )

    def _end_grace(self) -> None:
        """Decide on those who have waited for the grace period to end, in their order."""
        for request in self._stop_grace():
            if request.session in self._sessions:
                self.request(request)

    def _stop_grace(self) -> list[LockRequest]:
        """End the grace period; give those who have waited for that."""
        if self._grace is not None and self._grace.active():
            self._grace.cancel()
        self._grace = None
        deferred, self._deferred = self._deferred, []
        return deferred

    def _can_be_regained(self, name: ResourceName) -> bool:
        """Tell whether C{name} cannot have been anybody else's since it was lost."""
        return self._is_regaining_time() and name.key not in self._taken_since

    def _is_regaining_time(self) -> bool:
        return self._resumed_at is not None and self._clock.seconds() - self._resumed_at < REGAIN_TIME

    def _dismiss_idle(self) -> None:
        """Dismiss the sessions that hold nothing."""
        idle = {session: tell for session, tell in self._sessions.items() if not self._table.holds(session)}
        for session in idle:
            del self._sessions[session]  # all of them first: nobody is to be granted what another one waited for
        for session, tell in idle.items():
            self._table.drop(session, self._instant())
            tell(None)
        if idle:
            self.on_change()

    def _carry_out(self, effects: list[Effect]) -> None:
        if self._telling:
            self._effects.extend(effects)  # called by somebody who is being told: these come after the others
            return
        self._telling = True
        for effect in effects:
            if self._log_grants or not isinstance(effect, Ended):
                self._tell(effect)
        while self._effects:
            self._tell(self._effects.popleft())
        self._telling = False
        if self._alarm is not None or self._table.next_deadline() is not None:
            self._set_alarm()

    def _tell(self, effect: Effect) -> None:
        """Tell the session that C{effect} concerns, if it is still there."""
        if self._log_grants or isinstance(effect, Refused):
            self._log_effect(effect)
        if isinstance(effect, Ended):
            return
        request = effect.request
        if self._resumed_at is not None and isinstance(effect, Granted) and not request.regains:
            self._note_taken(request.name.key)
        tell = self._sessions.get(request.session)  # it may have been dropped meanwhile
        if tell is None:
            return
        try:
            tell(effect)
        except Exception:
            self._log.failure("telling a session of {effect}", effect=effect)

    def _note_taken(self, key: str) -> None:
        """Note that C{key} cannot be regained any more by whoever comes late."""
        if self._is_regaining_time():
            self._taken_since.add(key)

    def _log_effect(self, effect: Effect) -> None:
        """Log a grant, a release or a refusal, each in one line."""
        request = effect.request
        if isinstance(effect, Refused) and effect.limit is None and not self._throttle.allows("refusals"):
            return
        tell_peer = self._peers.get(request.session)
        about = {
            "resource": truncate(one_line(request.name.text)),  # it need not be text, but the log must
            "mode": request.mode.name,
            "peer": "somebody" if tell_peer is None else tell_peer().name,
        }
        match effect:
            case Granted(waited=waited):
                self._log.debug("{resource} ({mode}) granted to {peer} after {waited:.3f} s", waited=waited, **about)
            case Ended(held=held):
                self._log.debug("{resource} ({mode}) given back by {peer} after {held:.3f} s", held=held, **about)
            case Refused(limit=Limit() as limit):
                self._throttle.warn(limit.value, "{resource} ({mode}) refused to {peer}", **about)
            case Refused(outcome=outcome):
                why = outcome.name.lower().replace("_", " ")
                self._log.info("{resource} ({mode}) refused to {peer}: {why}", why=why, **about)

    def _set_alarm(self) -> None:
        """Have one timer, for the earliest of the table's deadlines."""
        deadline = None if self._is_closed else self._table.next_deadline()
        if self._alarm is not None:
            if deadline is not None and self._alarm_at <= deadline:
                return
            self._alarm.cancel()
            self._alarm = None
        if deadline is not None:
            self._alarm_at = deadline
            self._alarm = self._clock.callLater(max(0.0, deadline - self._instant().monotonic), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._carry_out(self._table.expire(self._instant()))
        self.on_change()


class _LocalClient:
    """
    Code in this process, as a session.

    @ivar granted: fires with what it holds; cancelling leaves the queue.
    """

    def __init__(self, arbiter: DeferredArbiter, what: str) -> None:
        """
        @param what: names the lock in errors.
        """
        self._arbiter = arbiter
        self._what = what
        self._held: _LocalHeld | None = None
        self.session = arbiter.open(self.tell)
        self.granted: Deferred[Held] = Deferred(canceller=lambda _: arbiter.drop(self.session))

    def tell(self, effect: Effect | None) -> None:
        """See L{Tell}."""
        match effect:
            case Granted():
                self._held = _LocalHeld(self._arbiter, effect, self._what)
                self.granted.callback(self._held)
            case Refused(request=request, outcome=outcome):
                self._arbiter.drop(self.session)
                self.granted.errback(lock_refused(outcome, request.name.text, _HERE))
            case None:
                self.dismiss()

    def dismiss(self) -> None:
        """Learn that nothing is granted any more; what was granted may be kept and given back."""
        if not self.granted.called:
            self._arbiter.drop(self.session)
            self.granted.errback(self._arbiter.why_dismissed(self._what))

    def lose(self) -> None:
        """Learn that what was granted may be somebody else's by now."""
        if self._held is not None:
            self._held.lose()


@implementer(IHeld)
class _LocalHeld:
    """A lock held by code in this process; it is lost only if another daemon of the group has led meanwhile."""

    def __init__(self, arbiter: DeferredArbiter, granted: Granted, what: str) -> None:
        self._arbiter = arbiter
        self._request = granted.request
        self._what = what
        self.is_released = False
        self.is_lost = False
        self.element: str | None = granted.element
        self.lost: Deferred[FlomError] = Deferred()

    def lose(self) -> None:
        """Learn that somebody else may have it by now."""
        self.is_lost = True
        if not self.lost.called:
            self.lost.callback(self._why_lost())

    def release(self, rollback: bool = False) -> Deferred[None]:
        """See L{IHeld.release}."""
        if self.is_released:
            return fail(Misuse(f"{self._what}: not held any more"))
        self.is_released = True
        if self.is_lost:
            return fail(self._why_lost())
        self._arbiter.release(self._request.session, self._request.name, rollback)
        self._arbiter.drop(self._request.session)
        return succeed(None)

    def _why_lost(self) -> DaemonLost:
        return DaemonLost(f"{self._what}: another daemon has led the group meanwhile")
