"""
The arbiter: a lock table with a clock.

It carries the effects of each call to the sessions they concern and wakes the table when time alone changes something.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from itertools import count, groupby
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from typing_extensions import assert_never
from zope.interface import implementer

from flom.acquisition import Acquiring, Held
from flom.codes import Outcome
from flom.core.effects import (
    Contested,
    Converted,
    Converting,
    Delivered,
    Dismissed,
    Effect,
    Ended,
    Granted,
    Incubated,
    Instant,
    Limit,
    NotConverted,
    Overdue,
    Queued,
    Refused,
    Revoked,
    Wanted,
    Withdrawn,
)
from flom.core.grace import MAX_GRACE, NO_WAIT, REJOIN_BATCH, REJOIN_TIME, Looking
from flom.core.locks.snapshot import TableView
from flom.core.locks.statistics import Loss, Statistics
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode, excludes_no_more
from flom.core.names import ResourceName, parse_name
from flom.core.protocol.messages import WhyWithdrawn, Wishes
from flom.core.requests import Asked, LockRequest, SessionId, SetRequest
from flom.errors import (
    Closed,
    FlomError,
    StandingBy,
)
from flom.interfaces import IArbiter
from flom.net.clock import local_strftime
from flom.reactor.clock import instant_of
from flom.server.grace import Freeze, Takeover
from flom.server.limits import DEFAULT_LIMITS, Limits
from flom.server.local import HERE, LocalLock
from flom.server.log_throttle import LogThrottle
from flom.server.peer import Peer
from flom.server.positions import Positions
from flom.server.state import Epochs
from flom.server.store import Store
from flom.text import duration, one_line, truncate

if TYPE_CHECKING:
    from flom.core.locks.handover import Claim, Estate
    from flom.core.locks.positions import Kept
    from flom.core.several import AskedAll
    from flom.server.holds import Holds
    from flom.server.mark import Mark
    from flom.server.values import KeptValues

Deliver = Callable[[Delivered], None]
"""Takes the effects that concern one session, in order; it may call the arbiter again."""

_WHY_WITHDRAWN: Final = {
    WhyWithdrawn.TIMEOUT: "its time was over",
    WhyWithdrawn.SIGNAL: "interrupted by a signal",
    WhyWithdrawn.GONE: "the client has gone",
}

_HERE_PEER: Final = Peer(HERE, pid=os.getpid(), uid=os.geteuid())


@implementer(IArbiter)
class DeferredArbiter(Acquiring):
    """
    Decides who holds what, for connections (L{open}) and for code in the same process (L{acquire}).

    @ivar now: reads the clocks.
    @ivar began: when it was made, in seconds of the monotonic clock.
    @ivar epochs: of its fencing tokens.
    @ivar positions: of its sequences with a lifespan; C{None} if they are not remembered.
    @ivar store: of what is kept durably beside the locks; what is there is read before the first grant.
    @ivar mark: by which the next daemon knows of holders on other hosts; C{None} if it does not.
    @ivar is_retired: true while nothing is granted because another daemon leads, see L{retire}.
    @ivar is_draining: true once nothing more is granted because the daemon ends when nothing is held, see L{drain}.
    @ivar is_closed: true while nothing is granted because the daemon ends, see L{close}.
    @ivar on_change: called when a session has begun or ended and when resources may have been forgotten.
    """

    _log = Logger()
    _place = HERE

    # what each request needs; Python is slower with all attributes of an object that has more than 30 others
    __slots__ = (
        "_alarm",
        "_effects",
        "_holds",
        "_is_delivering",
        "_log_grants",
        "_sessions",
        "_table",
        "_takeover",
        "is_closed",
        "is_draining",
        "is_retired",
        "now",
        "store",
    )

    def __init__(
        self,
        clock: IReactorTime,
        instant: Callable[[], Instant] | None = None,
        *,
        log_grants: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        epochs: Epochs | None = None,
        positions: Positions | None = None,
        store: Store | None = None,
    ) -> None:
        """
        @param clock: has the timers; a reactor that is monotonic (L{flom.reactor.clock}), or a C{task.Clock} in tests.
        @param instant: reads the clocks; by default, see L{flom.reactor.clock.instant_of}.
        @param log_grants: whether to log every grant and release; refusals are logged in any case.
        @param limits: of which those of waiters, resources and locks are enforced here.
        @param epochs: of the fencing tokens; by default, the clock alone decides them.
        @param positions: of sequences with a lifespan; C{None} if they are not remembered.
        @param store: of what is kept durably beside the locks; by default, nothing is.
        """
        self._clock = clock
        self.epochs = epochs or Epochs()
        self.positions = positions
        self.store = store or Store()
        self.mark: Mark | None = None
        self._log_grants = log_grants
        self.now = instant or instant_of(clock)
        self.began = self.now().monotonic
        self._limits = limits
        self._throttle = LogThrottle(clock)
        self.is_draining = False
        self._table = self._make_table()
        self._sessions: dict[SessionId, Deliver] = {}
        self._peers: dict[SessionId, Callable[[], Peer]] = {}
        self._suspended: set[SessionId] = set()
        self._kept_since = 0  # the first session that was begun after the last resume
        self._rejoined: set[str] = set()  # resources of which waiters have come from another daemon
        self._ordering: IDelayedCall | None = None
        self._granting_since = clock.seconds()
        self._ids = count(1)
        self._effects: deque[Effect] = deque()
        self._is_delivering = False
        self._alarm: IDelayedCall | None = None
        self._alarm_at = 0.0
        self.is_retired = False
        self._on_drained: Callable[[], None] = lambda: None
        self.is_closed = False
        self._is_served = False
        self._local: dict[SessionId, LocalLock] = {}
        self._takeover: Takeover | None = None
        self._freeze: Freeze | None = None  # the same, while there is one
        self._holds: Holds | None = None  # made when there is the first one
        self.on_change: Callable[[], None] = lambda: None
        self._set_alarm()

    @cached_property
    def values(self) -> KeptValues:
        """What is kept of resources beyond their holders."""
        from flom.server.values import KeptValues  # most daemons are never asked

        return KeptValues(self)

    @property
    def clock(self) -> IReactorTime:
        """What has the timers."""
        return self._clock

    @property
    def is_idle(self) -> bool:
        """True if there is no session and no resource is remembered."""
        return not self._sessions and not self._table

    @property
    def is_deserted(self) -> bool:
        """True if there is no session."""
        return not self._sessions

    @property
    def statistics(self) -> Statistics:
        """What was granted and refused so far."""
        return self._table.statistics

    @property
    def epoch(self) -> int:
        """The epoch of the next fencing token; 0 before the first one."""
        return self._table.epoch

    def outrank(self) -> None:
        """Begin an epoch that is higher than all others that were heard of, unless the present one is."""
        self._table.outrank(self.epochs.heard)

    @property
    def state_problem(self) -> str:
        """Why not all is remembered in the state directory that should be; the empty string if it is."""
        places = (self.epochs, self.positions, self.mark, self.store)
        return next((kept.problem for kept in places if kept and kept.problem), "")

    @property
    def sessions(self) -> int:
        """How many there are, without those that have no connection."""
        holds = 0 if self._holds is None else self._holds.count
        return len(self._sessions) - len(self._suspended) - holds

    @property
    def held(self) -> int:
        """How many locks are held."""
        return self._table.held

    def serve(self) -> None:
        """Note that a daemon serves this; if one does already, raise C{ValueError}."""
        if self._is_served:
            raise ValueError("this arbiter has a daemon already; give that all the endpoints")
        self._is_served = True
        self.restore()

    def restore(self) -> None:
        """Go on with what is kept in the store; call this before the first grant."""
        if any(key.startswith("hold ") for key in self.store.load()):
            self.kept_holds.restore()

    @property
    def kept_holds(self) -> Holds:
        """The holds without a process."""
        if self._holds is None:
            from flom.server.holds import Holds  # most daemons have none

            self._holds = Holds(self, self._clock)
        return self._holds

    def is_hold(self, session: SessionId) -> bool:
        """Return whether C{session} holds without a process."""
        return self._holds is not None and self._holds.owns(session)

    def reinstate(self, request: LockRequest) -> bool:
        """Grant C{request}, of a hold that is kept, whatever is deferred at this moment; return whether that can be."""
        effects = self._table.request(request, self.now())
        self._carry_out(effects)
        return any(isinstance(effect, Granted) and effect.request is request for effect in effects)

    def relate(self, session: SessionId, lineage: tuple[str, ...], nested: str = "") -> None:
        """Make what C{session} holds be of C{lineage}; see L{LockTable.relate}."""
        if self._table.holds(session):
            self._table.relate(session, lineage, nested)

    def hand_on(self, session: SessionId, deliver: Deliver, peer: Callable[[], Peer]) -> None:
        """Make C{session}, with all that it holds, that of another client; see L{open}."""
        self._sessions[session], self._peers[session] = deliver, peer
        self._suspended.discard(session)

    def settled(self) -> Deferred[None]:
        """Return what fires when the ends of holds that have ended are kept durably, or cannot be."""
        return succeed(None) if self._holds is None else self._holds.settled()

    def note_idle_hold(self) -> None:
        """Note that a hold is not adopted any more: it does not keep a daemon that drains from ending."""
        if self.is_draining:
            self._see_whether_drained()

    def view(self, key: str | None = None) -> TableView:
        """Return what is held and waited for; see L{LockTable.view}."""
        return self._table.view(key)

    def peer(self, session: SessionId) -> Peer | None:
        """Return the client of C{session}; C{None} if it has gone."""
        find_peer = self._peers.get(session)
        if find_peer is None:
            return None
        return find_peer()._replace(is_in_grace=True) if session in self._suspended else find_peer()

    def open(self, deliver: Deliver, peer: Callable[[], Peer] = lambda: _HERE_PEER) -> SessionId:
        """
        Begin a session.

        @param deliver: called with what becomes of its requests.
        @param peer: returns the client, for logs and the status.
        """
        session = SessionId(next(self._ids))
        self._sessions[session] = deliver
        self._peers[session] = peer
        self.on_change()
        return session

    def suspend(self, session: SessionId, deliver: Deliver) -> bool:
        """
        Keep what C{session} holds and waits for while it has no connection; return whether there is such a session.

        @param deliver: called from now on with what becomes of its requests.
        """
        if session not in self._sessions:
            return False
        self._sessions[session] = deliver
        self._suspended.add(session)
        return True

    def exchange(self, session: SessionId, other: SessionId) -> None:
        """Make each of these sessions that of the other one's client."""
        sessions, peers = self._sessions, self._peers
        sessions[session], sessions[other] = sessions[other], sessions[session]
        peers[session], peers[other] = peers[other], peers[session]
        self._suspended -= {session, other}

    def knows(self, session: SessionId) -> bool:
        """Return whether C{session} goes on, and has what it has been granted here."""
        return session in self._sessions and session >= self._kept_since

    def holds(self, session: SessionId) -> bool:
        """Return whether C{session} holds anything, with or without a connection."""
        return self._table.holds(session)

    def last_grant(self, session: SessionId) -> float | None:
        """Return when C{session} was granted last what it holds; C{None} if it holds nothing."""
        return self._table.last_grant(session)

    def note_loss(self, session: SessionId, loss: Loss) -> None:
        """Count what C{session} holds as lost, because of C{loss}."""
        self.statistics.lost[loss] += self._table.count_held(session)

    def has_locks(self, session: SessionId) -> bool:
        """Return whether C{session} holds or waits for anything."""
        takeover = self._takeover
        return self._table.has_locks(session) or (takeover is not None and takeover.defers(session))

    def standing(self, session: SessionId, name: ResourceName) -> Granted | Queued | Incubated | None:
        """Return what has become of the last request of C{session} for C{name}; see L{LockTable.standing}."""
        return self._table.standing(session, name)

    def standing_of_all(self, session: SessionId) -> list[Granted] | Queued | None:
        """Return what has become of a set of C{session}; see L{LockTable.standing_of_all}."""
        return self._table.standing_of_all(session)

    def request(self, request: LockRequest) -> None:
        """
        Decide C{request}. Effects are delivered before this returns, or right after the one being delivered now; in a
        grace period, see L{resume}, perhaps at its end.
        """
        takeover = self._takeover
        if takeover is not None and request.regains:
            takeover.note_arrival(request.holder)
        is_late = request.regains and (takeover is None or not takeover.may_reclaim(request.name))
        is_holder = self.is_draining and not request.regains and self._table.holds(request.session)
        if is_late or is_holder or self.is_retired or self.is_closed:
            self._carry_out([Refused(request, Outcome.BUSY)])
        elif takeover is None or not takeover.defer(request):
            effects = self._table.request(request, self.now())
            if request.waited and isinstance(effects[-1], Queued):
                self._note_rejoined(request)
            self._carry_out(effects)
        elif not request.wait:
            self._clock.callLater(NO_WAIT, self._refuse_deferred, request)

    def request_all(self, request: SetRequest) -> None:
        """Decide C{request}, as L{request} does."""
        takeover = self._takeover
        if takeover is not None and request.regains:
            takeover.note_arrival(request.holder)
        is_late = request.regains and (takeover is None or not all(map(takeover.may_reclaim, request.names)))
        is_holder = self.is_draining and not request.regains and self._table.holds(request.session)
        if is_late or is_holder or self.is_retired or self.is_closed:
            self._carry_out([Refused(request.parts[0], Outcome.BUSY)])
        elif takeover is None or not takeover.defer(request):
            effects = self._table.request_all(request, self.now())
            if request.waited and isinstance(effects[-1], Queued):
                for part in request.parts:
                    self._note_rejoined(part)
            self._carry_out(effects)
        elif not request.wait:
            self._clock.callLater(NO_WAIT, self._refuse_deferred, request)

    def _request_again(self, request: LockRequest | SetRequest) -> None:
        """Decide C{request}, which was deferred."""
        if isinstance(request, SetRequest):
            self.request_all(request)
        else:
            self.request(request)

    def _refuse_deferred(self, request: LockRequest | SetRequest) -> None:
        """Refuse C{request}, which is not to wait, if it still waits for the end of the grace period."""
        if self._takeover is not None and self._takeover.forget(request):
            self._carry_out([Refused(_first(request), Outcome.BUSY)])

    def _note_rejoined(self, request: LockRequest) -> None:
        """Put C{request}, which has waited at another daemon, where it belongs in the queue, soon."""
        if self._clock.seconds() - self._granting_since < REJOIN_TIME:
            if self._ordering is None:
                self._ordering = self._clock.callLater(REJOIN_BATCH, self._put_in_order)
            self._rejoined.add(request.name.key)

    def _put_in_order(self) -> None:
        self._ordering = None
        rejoined, self._rejoined = self._rejoined, set()
        for key in rejoined:
            self._table.put_in_order(key)
        self._set_alarm()

    def release(self, session: SessionId, name: ResourceName, rollback: bool = False) -> bool:
        """
        End a holding, or leave the queue.

        @return: whether that is done; if not, it is to be tried again, see L{postpone}.
        @raise flom.errors.RemoteProtocolError: see L{LockTable.release}.
        """
        takeover = self._takeover
        if takeover is not None and (takeover.is_frozen or takeover.withdraw(session, name)):
            return not takeover.is_frozen
        self._carry_out(self._table.release(session, name, self.now(), rollback=rollback))
        if self.is_retired:
            self._dismiss_idle()
        if self.is_draining:
            self._see_whether_drained()
        return True

    def release_all(self, session: SessionId, rollback: bool = False) -> bool:
        """
        End all that C{session} holds, in one step, or give up all that it waits for.

        @return: see L{release}.
        """
        takeover = self._takeover
        if takeover is not None and (takeover.is_frozen or takeover.withdraw_all(session)):
            return not takeover.is_frozen
        self._carry_out(self._table.release_all(session, self.now(), rollback=rollback))
        if self.is_retired:
            self._dismiss_idle()
        if self.is_draining:
            self._see_whether_drained()
        return True

    def withdraw_all(self, session: SessionId, reason: WhyWithdrawn = WhyWithdrawn.GONE) -> bool:
        """Forget all that C{session} waits for, because of C{reason}; return whether there was anything."""
        effects = [] if self._freeze is not None else self._table.give_up_all(session, self.now(), reason)
        self._carry_out(effects)
        return bool(effects)

    def convert(
        self, session: SessionId, name: ResourceName, mode: LockMode, *, wait: bool = True, number: int = 0
    ) -> bool:
        """
        Change the mode of a lock that is held; see L{LockTable.convert}. While nothing is granted, it can change to one
        that excludes no more; in a grace period, others wait for the end of that.

        @return: whether that is decided, or waits; if not, it is to be tried again, see L{postpone}.
        @raise flom.errors.RemoteProtocolError: see L{LockTable.convert}.
        """
        takeover = self._takeover
        if takeover is not None:
            if takeover.is_frozen:
                return False
            takeover.conversions.pop((session, name.text), None)
        standing = self._table.standing(session, name)
        is_in_grace = takeover is not None and takeover.is_in_grace
        is_to_wait = is_in_grace or self.is_retired or self.is_closed
        if is_to_wait and isinstance(standing, Granted) and not excludes_no_more(mode, standing.request.mode):
            if takeover is None or not (is_in_grace and wait):
                self._carry_out([NotConverted(standing.request, mode, Outcome.BUSY, number)])
            else:
                again = partial(self.convert, session, name, mode, number=number)
                takeover.conversions[session, name.text] = again
                self._carry_out([Converting(standing.request, mode, number)])
        else:
            self._carry_out(self._table.convert(session, name, mode, self.now(), wait=wait, number=number))
        return True

    def postpone(self, call: Callable[[], None]) -> None:
        """Call C{call} in its turn after L{freeze}, if this goes on then."""
        assert self._freeze is not None
        self._freeze.calls.append(call)

    def withdraw(self, session: SessionId, name: ResourceName, reason: WhyWithdrawn = WhyWithdrawn.GONE) -> bool:
        """Forget the last request of C{session} for C{name} if it waits, because of C{reason}; return whether."""
        effects = [] if self._freeze is not None else self._table.give_up(session, name, self.now(), reason)
        self._carry_out(effects)
        return bool(effects)

    def drop(self, session: SessionId) -> None:
        """End C{session}: free what it holds and forget what it waits for. Nothing more is delivered to it."""
        if self._freeze is not None and session in self._sessions:
            self._sessions[session] = lambda effect: None
            self._freeze.drop(session)
            return
        self._sessions.pop(session, None)
        self._suspended.discard(session)
        self._local.pop(session, None)
        self._carry_out(self._table.drop(session, self.now(), by_client=not self.is_closed))
        self._peers.pop(session, None)
        self.on_change()
        if self.is_draining:
            self._see_whether_drained()

    def close(self) -> None:
        """
        Grant nothing more, because the daemon ends: a holder's command may still use what its lost connection frees.

        Waiters in this process get an error; holders in this process keep their locks.
        """
        self._settle()
        self.is_closed = True
        self._sessions.clear()
        self._suspended.clear()
        self._effects.clear()
        self._end_grace()
        if self._ordering is not None:
            self._ordering.cancel()
            self._ordering = None
        self._set_alarm()
        self._throttle.stop()
        if self._holds is not None:
            self._holds.stop()
        for lock in list(self._local.values()):
            lock.dismiss()

    def reopen(self) -> None:
        """Grant locks again after L{close}; holders in this process still have theirs."""
        self.is_closed = self.is_draining = self._table.is_draining = False
        if self._holds is not None:
            self._holds.go_on()
        self._set_alarm()

    def drain(self, on_drained: Callable[[], None]) -> None:
        """
        Grant nothing more, because the daemon ends when nothing is held: requests wait, for the next daemon.

        What sessions that hold something wait for besides is refused, as they might wait for each other.

        @param on_drained: called once nothing is held, in a later turn of the reactor.
        """
        if self.is_draining:
            return
        self.is_draining = self._table.is_draining = True
        self._on_drained = on_drained
        self._refuse(self._withdraw_of_holders())
        self._carry_out(self._table.refuse_conversions())
        self._see_whether_drained()

    def retire(self) -> None:
        """
        Grant nothing more, because another daemon does.

        Sessions that hold something may go on until they have released it, and what else they wait for is refused; all
        others are dismissed.
        """
        self._settle()
        self.is_retired = True
        refused = [*self._end_grace(), *self._withdraw_of_holders()]
        self._convert_deferred()
        self._dismiss_idle()
        self._refuse(refused)
        self._carry_out(self._table.refuse_conversions())

    def _withdraw_of_holders(self) -> list[LockRequest | SetRequest]:
        """Withdraw, and return, what sessions that hold something wait for besides."""
        withdrawn: list[LockRequest | SetRequest] = []
        for session in filter(self._table.holds, self._sessions):
            for request in self._table.waiting(session):
                self._table.withdraw(request)
                withdrawn.append(request)
        return withdrawn

    def _refuse(self, waiting: list[LockRequest | SetRequest]) -> None:
        self._carry_out([Refused(_first(request), Outcome.BUSY, delayed=True) for request in waiting])

    def _see_whether_drained(self) -> None:
        """Call L{_on_drained}, once, if nothing is held, nor can be reclaimed in a grace period."""
        idle = 0 if self._holds is None else self._holds.idle  # which the next daemon goes on with
        if self._table.held <= idle and not self._table.lost and not self.is_in_grace:
            on_drained, self._on_drained = self._on_drained, lambda: None
            self._clock.callLater(0, on_drained)

    def freeze(self) -> Freeze:
        """Grant and release nothing until L{thaw} or L{hand_over}; what is asked for meanwhile is not decided."""
        assert self._freeze is None
        self._takeover = self._freeze = Freeze(self._clock, self._takeover)
        self._table.is_draining = True
        return self._freeze

    def thaw(self) -> None:
        """Go on after L{freeze}, with what was asked for meanwhile."""
        freeze, self._freeze = self._freeze, None
        if freeze is None:
            return
        self._takeover = freeze.before
        self._table.is_draining = self.is_draining
        for call in freeze.calls:
            if isinstance(call, LockRequest | SetRequest):
                if call.session in self._sessions:
                    self._request_again(call)
            elif isinstance(call, int):
                self.drop(call)
            else:
                call()
        self._carry_out(self._table.expire(self.now()))  # grants what only the time had to come for
        self._set_alarm()

    def hand_over(self) -> None:
        """After L{freeze}, end all sessions, and grant nothing more: another daemon has what they hold by now."""
        self._takeover = self._freeze = None
        self._settle()
        self.is_retired = True
        self.dismiss()

    def check(self, estate: Estate) -> None:
        """Raise C{ValueError} if L{take_over} cannot go on with C{estate}."""
        LockTable(local_strftime).recall(estate.resources, self.now())

    def take_over(self, estate: Estate, sessions: list[SessionId]) -> None:
        """
        Go on, after L{resume}, with all that another daemon has handed over; nothing can be reclaimed besides.

        @param sessions: of its clients, in their order.
        """
        self._table.outrank(estate.epoch)
        self._table.recall(estate.resources, self.now())
        self.restore()
        for claim in estate.claims:
            if claim.token:
                self._carry_out(self._table.request(_request_of(claim, sessions[claim.client]), self.now()))
        for lost in estate.lost:
            none, has, which = SessionId(next(self._ids)), lost.token, lost.element
            request = LockRequest(none, lost.name, lost.mode, lost.quantity, regains=True, element=which, token=has)
            self._table.recall_lost(request, lost.left, self.now())
        waiting = [claim for claim in estate.claims if not claim.token]
        for joint, claims in groupby(waiting, key=lambda claim: claim.joint):
            requests = [_request_of(claim, sessions[claim.client]) for claim in claims]
            if joint:
                self._carry_out(self._table.request_all(SetRequest(tuple(requests)), self.now()))
                continue
            for request in requests:
                self._carry_out(self._table.request(request, self.now()))
        self._takeover = None
        self._set_alarm()

    def keep(self) -> list[Kept]:
        """Return what there is to know of all resources; see L{LockTable.keep}."""
        return self._table.keep(self.now())

    def abandon(self) -> None:
        """Grant nothing more and end all sessions, because another daemon may grant what they hold."""
        self.retire()
        local, self._local = self._local, {}
        for lock in local.values():
            lock.lose("another daemon is listening at the address of this one")
        self.dismiss()

    def resume(self, grace: float = 0.0, looking: Looking | None = None, least: float = 0.0) -> None:
        """
        Grant locks (again), from a clean slate: what was locked meanwhile was locked elsewhere. Holders in this process
        have lost their locks.

        @param grace: seconds in which only holders of the former daemon's locks are served, who reclaim them.
        @param looking: those of them that are known to look for this daemon.
        @param least: seconds for which they are waited for in any case.
        """
        self._kept_since = next(self._ids)
        self._table = self._make_table(self._table.statistics)
        self.outrank()  # now, because a leader announces its epoch
        self.is_retired = False
        self._set_alarm()
        local, self._local = self._local, {}
        for lock in local.values():
            lock.lose()
        self._takeover = Takeover(self._clock, grace, self.end_grace, looking, least)
        self._granting_since = self._clock.seconds()

    def begin_grace(self, seconds: float) -> None:
        """Serve only holders of a former daemon, who reclaim their locks, for C{seconds} or until L{end_grace}."""
        self._takeover = Takeover(self._clock, seconds, self.end_grace)

    @property
    def is_in_grace(self) -> bool:
        """True during a grace period."""
        return self._takeover is not None and self._takeover.is_in_grace

    @property
    def grace_left(self) -> float | None:
        """Seconds until the grace period ends, at the latest that is known now; C{None} if there is none."""
        return None if self._takeover is None else self._takeover.left

    @property
    def sessions_in_grace(self) -> int:
        """How many sessions have no connection, because theirs is broken, and may come back."""
        return len(self._suspended)

    def contest(self, sessions: Iterable[SessionId]) -> None:
        """Deliver L{Contested} to C{sessions}: another daemon has granted what they hold; they hold it still."""
        for session in sessions:
            deliver = self._sessions.get(session)
            if deliver is not None:
                self.note_loss(session, Loss.CONTESTED)
                deliver(Contested())

    def revoke(self, number: int, name: ResourceName, by: str) -> str:
        """
        End the session that holds the lock C{number} on C{name}, and all that it holds with it: the order of an
        administrator, C{by} name.

        @return: why that cannot be; the empty string if it is done.
        """
        takeover = self._takeover
        if takeover is not None and (takeover.is_in_grace or takeover.is_frozen):
            return "the daemon serves only former holders for now, or hands over: try again in a moment"
        resources = self._table.view(name.key).resources
        for held in (lock for resource in resources for lock in resource.holders):
            if held.number == number and held.request.name == name:
                session = held.request.session
                text = "{resource} held by {peer} is released, as {by} has ordered"
                peer = self.peer(session)
                self._log.warn(text, resource=truncate(name.text), peer=peer and peer.name, by=by)
                if takeover is not None:
                    takeover.end_reclaims(name)
                self.note_loss(session, Loss.REVOKED)
                self._sessions[session](Revoked(by))
                if session in self._sessions:
                    self.drop(session)
                return ""
        return f"{name.text} has no holder with number {number}"

    def _end_overdue(self, overdue: Overdue) -> None:
        """End the session of C{overdue}, and say so to its client; the table has freed what it held."""
        request, session = overdue.request, overdue.request.session
        peer, limit = self.peer(session), duration(overdue.limit)
        text = "{resource} is lost by {peer}: it was held for longer than {limit}"
        self._log.warn(text, resource=truncate(one_line(request.name.text)), peer=peer and peer.name, limit=limit)
        if self._takeover is not None and not self._takeover.is_in_grace:
            self._takeover.end_reclaims(request.name)
        deliver = self._sessions.get(session)
        if deliver is not None:
            deliver(Revoked(f"held for longer than {limit}", overdue.limit))
        if session in self._sessions:
            self.drop(session)

    def _begin(self, asked: Asked | AskedAll, what: str) -> Deferred[Held]:
        if self.is_closed or self.is_retired:
            raise self._why_dismissed(what)
        if isinstance(asked, Asked):
            lock = LocalLock(self, asked, what)
        else:
            from flom.server.local_locks import LocalLocks  # which few programs need

            lock = LocalLocks(self, asked, what)
        self._local[lock.session] = lock
        lock.ask()
        return lock.granted

    def prolong_grace(self, holder: int = 0) -> None:
        """Start the grace period, if there is one, anew: see L{Takeover.prolong_grace}."""
        if self._takeover is not None:
            self._takeover.prolong_grace(holder)

    def _why_dismissed(self, what: str) -> FlomError:
        """Return the reason why C{what} is not granted while this L{is_closed} or L{is_retired}."""
        if self.is_closed:
            return Closed(f"{what}: the arbiter was closed")
        return StandingBy(f"{what}: this process stands by, another one grants locks")

    def _make_table(self, statistics: Statistics | None = None) -> LockTable:
        limits = self._limits
        table = LockTable(
            local_strftime,
            statistics,
            max_waiters=limits.waiters,
            max_resources=limits.resources,
            max_locks=limits.locks_per_connection,
            max_overtaking=limits.overtaking,
            policy=limits.hold,
            begin_epoch=lambda seen: self.epochs.begin(seen, self.now().wall),
        )
        table.is_draining = self.is_draining
        if self.positions is not None:
            table.remember(self.positions.load(), self.now())
        return table

    def _settle(self) -> None:
        """Remember exactly where sequences are, because nothing more is granted; what ends from now on is not."""
        self._table.settle()
        self._save()

    def _save(self) -> None:
        """Remember where sequences are, before a session is told."""
        changes, self._table.unsaved = self._table.unsaved, {}
        if changes and self.positions is not None and not (self.is_retired or self.is_closed):
            self.positions.save(changes)
            if self.positions.problem:
                self._table.note_unsaved(changes)

    def end_grace(self) -> None:
        """End the grace period, if there is one, and decide the requests that were deferred to its end."""
        if self._takeover is not None and (missing := self._takeover.still_looking):
            text = "{missing} holders of the former daemon have not come within {seconds:g} s: others are served now"
            self._log.warn(text, missing=missing, seconds=MAX_GRACE)
            self.statistics.lost[Loss.GRACE_ENDED] += missing
        requests = self._end_grace()
        self._convert_deferred()  # which come before all requests
        for request in requests:
            if request.session in self._sessions:
                self._request_again(request)
        if self.is_draining:
            self._see_whether_drained()

    def _convert_deferred(self) -> None:
        """Decide the conversions that were deferred to the end of the grace period, of what is held still."""
        conversions = {} if self._takeover is None else self._takeover.conversions
        while conversions:
            (session, name), convert = next(iter(conversions.items()))
            del conversions[session, name]
            if isinstance(self._table.standing(session, parse_name(name)), Granted):
                convert()

    def _end_grace(self) -> list[LockRequest | SetRequest]:
        return [] if self._takeover is None else self._takeover.end_grace()

    def dismiss(self) -> None:
        """Dismiss all sessions of a retired arbiter: the holders reclaim from the daemon that leads next."""
        self._dismiss(dict(self._sessions))

    def _dismiss_idle(self) -> None:
        idle = {session: deliver for session, deliver in self._sessions.items() if not self._table.holds(session)}
        self._dismiss(idle)

    def _dismiss(self, idle: dict[SessionId, Deliver]) -> None:
        for session in idle:
            del self._sessions[session]  # all of them first: none may be granted what another one waited for
            self._suspended.discard(session)
        for session, deliver in idle.items():
            self._table.drop(session, self.now(), by_client=False)
            deliver(Dismissed())
        if idle:
            self.on_change()

    def _carry_out(self, effects: list[Effect]) -> None:
        if self._table.unsaved:
            self._save()
        if self._is_delivering:
            self._effects.extend(effects)  # a receiver of effects has called: these come after the others
            return
        self._is_delivering = True
        for effect in effects:
            if type(effect) is not Ended or self._log_grants:
                self._deliver(effect)
        while self._effects:
            self._deliver(self._effects.popleft())
        self._is_delivering = False
        if self._alarm is not None or self._table.next_deadline() is not None:
            self._set_alarm()

    def _deliver(self, effect: Effect) -> None:
        """Deliver C{effect} to the session that it concerns, if that is still there."""
        kind = type(effect)
        if self._log_grants or kind is Refused or kind is Withdrawn or kind is NotConverted:
            self._note_effect(effect)
        if kind is Ended or kind is Withdrawn:
            return
        if type(effect) is Overdue:
            self._end_overdue(effect)
            return
        if self._takeover is not None and (kind is Granted or (isinstance(effect, Converted) and effect.excludes_more)):
            self._takeover.note_granted(effect.request)
        deliver = self._sessions.get(effect.request.session)  # it may have been dropped meanwhile
        if deliver is None:
            return
        try:
            deliver(effect)
        except Exception:
            self._log.failure("delivering {effect} to a session", effect=effect)

    def _note_effect(self, effect: Effect) -> None:
        """Log C{effect}, unless there were many of its kind; count it, if it is the loss of a lock."""
        request = effect.request
        if isinstance(effect, (Refused, NotConverted)) and effect.circle:
            from flom.server.circles import spell_circle  # which few daemons need

            effect.why = spell_circle(effect, self.peer)
        if isinstance(effect, Refused):
            self.statistics.lost[Loss.RECLAIM_REFUSED] += request.regains
            if effect.limit is None and not self._throttle.allows("refusals"):
                return
        elif isinstance(effect, Withdrawn) and not self._throttle.allows("withdrawals"):
            return
        peer = self.peer(request.session)
        about = {
            "resource": truncate(one_line(request.name.text)),  # it need not be text, but the log must
            "mode": request.mode.name,
            "peer": "a former client" if peer is None else peer.name,
        }
        match effect:
            case Granted(waited=waited, token=token):
                text = "{resource} ({mode}) granted to {peer} after {waited:.3f} s, token {token}"
                self._log.debug(text, waited=waited, token=token, **about)
            case Ended(held=held):
                self._log.debug("{resource} ({mode}) released by {peer} after {held:.3f} s", held=held, **about)
            case Withdrawn(waited=waited, reason=reason):
                text = "{resource} ({mode}) withdrawn by {peer}{details} after {waited:.3f} s: {why}"
                details, why = "" if peer is None else peer.details, _WHY_WITHDRAWN[reason]
                self._log.info(text, waited=waited, reason=reason.value, why=why, details=details, **about)
            case Refused(limit=Limit() as limit):
                self._throttle.warn(limit.value, "{resource} ({mode}) refused to {peer}", **about)
            case Refused(outcome=outcome):
                why = effect.why or outcome.name.lower().replace("_", " ")
                self._log.info("{resource} ({mode}) refused to {peer}: {why}", why=why, **about)
            case Converted(waited=waited, token=token):
                text = "{resource} converted to {mode} by {peer} after {waited:.3f} s, token {token}"
                self._log.debug(text, waited=waited, token=token, **about)
            case NotConverted(mode=mode, outcome=outcome):
                about |= {"asked": mode.name, "why": effect.why or outcome.name.lower().replace("_", " ")}
                self._log.info("{resource} ({mode}) not converted to {asked} by {peer}: {why}", **about)
            case Queued() | Incubated() | Converting() | Wanted() | Overdue():
                pass
            case _:
                assert_never(effect)

    def _set_alarm(self) -> None:
        """Set one timer for the earliest of the table's deadlines."""
        deadline = None if self.is_closed else self._table.next_deadline()
        if self._alarm is not None:
            if deadline is not None and self._alarm_at <= deadline:
                return
            self._alarm.cancel()
            self._alarm = None
        if deadline is not None:
            self._alarm_at = deadline
            self._alarm = self._clock.callLater(max(0.0, deadline - self.now().monotonic), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._freeze is not None:
            return  # it is made up for when this goes on
        self._carry_out(self._table.expire(self.now()))
        self.on_change()
        if self.is_draining:
            self._see_whether_drained()


def _first(request: LockRequest | SetRequest) -> LockRequest:
    """Return C{request}, or its first part, which stands for all of it."""
    return request.parts[0] if isinstance(request, SetRequest) else request


def _request_of(claim: Claim, session: SessionId) -> LockRequest:
    """Return the request of C{session} for what C{claim} says that it holds or waits for."""
    return LockRequest(
        session,
        claim.name,
        claim.mode,
        claim.quantity,
        create=claim.create or bool(claim.token),
        lifespan=claim.lifespan,
        regains=bool(claim.token),
        element=claim.element,
        token=claim.token,
        waited=claim.waited,
        wishes=_wishes_of(claim),
    )


def _wishes_of(claim: Claim) -> Wishes | None:
    key = claim.keys[0] if claim.keys else None
    wishes = Wishes(
        claim.lineage,
        claim.nested,
        claim.max_hold,
        claim.value,
        key,
        lock_delay=claim.delays[0] if claim.delays else None,
        wanted=claim.wanted,
        left=claim.left,
    )
    return wishes if claim.lineage or wishes.is_binding or wishes.left else None
