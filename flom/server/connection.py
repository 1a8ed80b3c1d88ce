"""The daemon's end of a connection: bytes come in, the arbiter decides, bytes go out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from sys import intern
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall, IHandshakeListener, IPushProducer, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import assert_never
from zope.interface import implementer

from flom.codes import Outcome, ReturnCode
from flom.core.effects import (
    Contested,
    Converted,
    Converting,
    Delivered,
    Dismissed,
    Ended,
    Granted,
    Incubated,
    NotConverted,
    Overdue,
    Queued,
    Refused,
    Revoked,
    Wanted,
    Withdrawn,
)
from flom.core.locks.statistics import Loss
from flom.core.names import parse_name
from flom.core.protocol.connection import ServerConnection
from flom.core.protocol.encode import encode
from flom.core.protocol.events import (
    Convert,
    Incomplete,
    Introduced,
    InvalidLock,
    Order,
    Release,
    ReleaseAll,
    Withdraw,
    WithdrawAll,
)
from flom.core.protocol.framing import Shown
from flom.core.protocol.messages import (
    HAS_SESSIONS,
    Challenge,
    HoldOrder,
    HoldTold,
    Lock,
    Note,
    Offer,
    Ping,
    Proof,
    Revoke,
    Shutdown,
    StatusRequest,
    Terms,
    is_probe,
)
from flom.core.requests import LockRequest, SessionId, SetRequest
from flom.core.sessions import Owner, Session
from flom.errors import InvalidName, RemoteProtocolError, TlsError
from flom.net.machine_id import unique_id
from flom.reactor.transports import (
    close_our_side,
    is_tcp,
    sender,
    sends_at_once,
    tune,
    underlying,
    unsent,
)
from flom.server.admission import Admission
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.deadlines import Deadlines
from flom.server.log_throttle import LogThrottle
from flom.server.options import DEFAULT_OPTIONS, ServerOptions
from flom.server.peer import Peer, describe, is_of_this_host, is_trusted, peer_of
from flom.server.proofs import Proofs
from flom.server.sessions import Sessions
from flom.text import one_line, truncate
from flom.trace import tracer

if TYPE_CHECKING:
    from flom.core.modes import LockMode
    from flom.core.proofs import Prover
    from flom.server.holding import HoldClient, Holding
    from flom.server.holds import Adopter
    from flom.server.snapshot import Statuses

_conns = tracer("conns")
_locker = tracer("locker")
_msg = tracer("msg")


POSTPONED: Final = 0.001
"""
Seconds for which a client may be left without the answer that it has to wait: where locks go from hand to hand, it is
granted the lock meanwhile, and gets both answers at once.
"""

SHORT_QUEUE: Final = 20
"""So many can be granted a lock one after another within that time; who waits behind more of them is told at once."""

_BEGINS_SESSION: Final = frozenset({Outcome.GRANTED, Outcome.QUEUED, Outcome.AWAITING_CREATION})
"""After these the client has something that can outlive its connection."""

Send = Callable[[bytes], None]

MOST_TO_SHOW: Final = 100
"""Requests for the status of one connection that wait to be answered."""


class _Also(NamedTuple):
    """What few answers say besides, to clients that are not FLoM's; see L{ServerConnection.answer}."""

    why: str = ""
    hold: HoldTold | None = None
    part: int = 0


@implementer(IHandshakeListener, IPushProducer)
class LockProtocol(Protocol):
    """
    One client.

    While it does not read its answers, nothing more is read from it, so that they cannot pile up here; this is the
    producer that the transport pauses for that.
    """

    _log = Logger()

    transport: Any  # more than ITransport: UNIX and TCP transports have common methods that no interface names

    # what each message needs; Python is slower with all attributes of an object that has more than 30 others
    __slots__ = (
        "_arbiter",
        "_can_outlive",
        "_can_postpone",
        "_connection",
        "_deadlines",
        "_id",
        "_is_too_late",
        "_is_traced",
        "_postponed",
        "_send_now",
        "_shared",
    )

    def __init__(self, shared: LockFactory) -> None:
        self._shared = shared
        self._arbiter = shared.arbiter
        self._deadlines = shared.deadlines
        self._unread: IDelayedCall | None = None
        self._is_secured = False
        self._name: str | None = None
        self._peer_id: str | None = None
        self._sender: tuple[str | None, str | None] = None, None  # user and command, as it tells them
        self._to_show: list[str | None] = []
        self._showing: Deferred[bytes] | None = None
        self._known: Peer | None = None
        self._is_releasing = False  # what it has said to that effect is postponed
        self._session: Session | None = None  # if it outlives a connection that breaks
        self._prover: Prover | None = None  # of what is granted on this connection, once something is
        self._postponed = b""  # what is sent before anything else is
        self._heir: Callable[[bytes], None] | None = None  # takes what comes after an offer to take over

    @property
    def is_extended(self) -> bool:
        """True if the client understands what those of FLoM do not."""
        return self._connection.is_extended

    def connectionMade(self) -> None:
        self._is_too_late = self._arbiter.is_retired
        self._origin = self._shared.admission.enter(self.transport)
        if self._origin is None:
            underlying(self.transport).loseConnection()  # a reset might look as if no daemon listened
            return
        self._shared.connected.add(self)
        self._shared.counters.connections += 1
        is_near = is_of_this_host(self.transport)
        self._mark = None if is_near else self._arbiter.mark
        self._id = self._arbiter.open(self._tell if self._mark is None else self._tell_far, self._who)
        start = self._shared.start if is_near else ""
        self._connection = ServerConnection(self._id, unique_id(), self._shared.options.limits.message_size, start)
        self._send_now = sender(self.transport)
        self._can_postpone = sends_at_once(self.transport)
        self._is_tcp = is_tcp(self.transport)
        can_come_back = self._is_tcp or self._shared.outlives_unix
        self._can_outlive = can_come_back and self._shared.sessions.are_kept
        self._has_to_outlive = self._can_outlive and self._shared.options.sessions_are_required
        self._is_traced = _msg.is_on or _locker.is_on
        tune(self.transport, self._shared.keepalive)
        self.transport.registerProducer(self, True)
        self._deadlines.set(self)
        if self._shared.options.tls is not None:
            self._name = describe(self.transport)  # when TLS has failed, the transport does not know it any more
        if _conns.is_on:
            _conns.debug("%s connected as %s", self._peer, self._id)

    def handshakeCompleted(self) -> None:
        """See L{IHandshakeListener.handshakeCompleted}."""
        assert self._shared.options.tls is not None
        self._is_secured = True
        self._shared.options.tls.note_handshake(self.transport)

    def dataReceived(self, data: bytes) -> None:
        connection = self._connection
        if connection.is_over:
            if self._heir is not None:
                self._heir(data)
            return
        if self._is_traced:
            _msg.debug("from %s: %s", self._id, Shown(data))
        completed = False
        try:
            for order in connection.receive(data):
                self._carry_out(order)
                completed = True
        except RemoteProtocolError as e:
            self._close(str(e), e.log_id)
        if connection.is_over:
            self._deadlines.set(self)
        elif not connection.is_amid_message:
            self._deadlines.clear(self)
        elif completed or self not in self._deadlines:
            self._deadlines.set(self)

    def pauseProducing(self) -> None:
        """See L{IPushProducer.pauseProducing}: too many answers are unread."""
        self.transport.pauseProducing()
        if not self._connection.is_over:
            self._deadlines.clear(self)  # it is we who do not read
        if self._unread is None:
            self._watch_unread()

    def resumeProducing(self) -> None:
        """See L{IPushProducer.resumeProducing}: the answers are on their way."""
        self._forget_unread()
        if self._connection.is_amid_message and not self._connection.is_over:
            self._deadlines.set(self)
        self.transport.resumeProducing()
        self._show_next()

    def stopProducing(self) -> None:
        """See L{IPushProducer.stopProducing}: the connection is closed."""
        self._forget_unread()

    def time_out(self) -> None:
        """End the connection, because a message did not come in time, or because it does not end by itself."""
        if not self._connection.is_over:
            limit = self._shared.options.limits.message_timeout
            self._exceed("message-timeout", f"no whole message within {limit:g} s")
        self.transport.abortConnection()

    def send_postponed(self) -> None:
        """Send what was postponed, if there is anything."""
        if self._postponed:
            self._send(b"")

    def hang_up(self) -> None:
        """Close the connection as soon as everything that was said is sent, or the other end has had its time."""
        self.send_postponed()
        self._connection.end()
        self._to_show.clear()
        self._end_producing()  # a paused producer would keep it open
        self.transport.loseConnection()
        self._deadlines.set(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._shared.admission.leave(self._origin)
        if self._origin is None:
            return  # it was not let in
        tls = self._shared.options.tls
        if tls is not None and (problem := tls.why_lost(self.transport, reason, is_secured=self._is_secured)):
            is_verdict = problem.code is ReturnCode.SSL_GET_VERIFY_RESULT_ERROR
            self._log_breach(str(problem), "FLM017E" if is_verdict else "")
        _conns.debug("%s has gone: %s", self._id, reason.value)
        self._shared.connected.discard(self)
        if self._shared.adopting:
            self._shared.holding.release(self)
        if self._showing is not None:
            self._showing.cancel()
        self._deadlines.clear(self)
        if self._postponed:
            self._shared.postponed.clear(self)
        self._forget_unread()
        session = self._session
        if session is None or not (self._is_expected_back(reason) and self._shared.sessions.suspend(session)):
            if self._is_tcp and not self._connection.is_over and self._has_broken(reason):
                self._arbiter.note_loss(self._id, Loss.CONNECTION_BROKEN)
            self._end_session()  # the other way out, whatever the cause

    def _carry_out(self, order: Introduced | Order) -> None:
        match order:
            case _ if self._is_too_late and not self._is_always_served(order):
                self.hang_up()
            case Release():
                if self._shared.adopting and self._shared.holding.release(self):
                    self._send(self._connection.unlocked() or b"")
                    return
                if order.note is not None and self._keep(order, order.note):
                    return
                try:
                    is_done = self._arbiter.release(self._id, order.name, order.rollback)
                except RemoteProtocolError:
                    if not self._connection.is_extended:
                        raise
                    self._arbiter.withdraw(self._id, order.name)
                    is_done = True
                if not is_done:
                    self._is_releasing = True
                    self._arbiter.postpone(partial(self._carry_out_late, order))
                elif (unlocked := self._connection.unlocked()) is not None:
                    self._send(unlocked)
            case LockRequest():
                if not (order.wait or order.create) and is_probe(order.name.text, order):
                    self._answer(Outcome.CANNOT_WAIT)  # and nothing is counted or logged
                elif order.wishes is not None and (order.wishes.ttl or order.wishes.adopts):
                    self._shared.holding.ask(self, order)
                elif order.secret and self._go_on(order):
                    pass
                elif order.regains and not self._may_reclaim(order):
                    self._arbiter.statistics.lost[Loss.RECLAIM_REFUSED] += 1
                    self._answer(Outcome.BUSY)
                elif order.wishes is not None and order.wishes.concerns_kept and (why := self._why_unfulfilled(order)):
                    self._answer(Outcome.IMPOSSIBLE, also=_Also(why))
                else:
                    self._arbiter.request(order)
            case Introduced():
                self._peer_id = order.peer_id and intern(order.peer_id)  # most have the same
                if isinstance(order.message, Lock):
                    self._sender = intern(order.message.user) or None, intern(order.message.command) or None
                self._known = None
                self._check_id(order)
                if self._has_to_outlive and isinstance(order.message, Lock):
                    self._check_session(order.message)
            case Convert():
                if not self._arbiter.convert(self._id, order.name, order.mode, wait=order.wait, number=order.number):
                    self._arbiter.postpone(partial(self._carry_out_late, order))
            case Ping():
                self._answer_ping()
            case Incomplete():
                self._send(self._connection.more_wanted())
            case InvalidLock(name=name):
                if self._shared.throttle.allows("invalid names"):
                    self._log.info("{peer} asked for {name!r}: no name", peer=self._peer, name=truncate(name))
                self._answer(Outcome.INVALID_NAME)
            case Shutdown():
                self._shut_down(order)
            case StatusRequest():
                self._show(order.name)
            case Revoke():
                self._revoke(order)
            case HoldOrder():
                self._shared.holding.obey(self, order)
            case Challenge():
                self._send(self._shared.answer_challenge(order))
                self.hang_up()
            case Withdraw():
                if not self._arbiter.withdraw(self._id, order.name, order.reason):
                    self._carry_out(Release(order.name, True))  # it was granted meanwhile, or is not decided yet
            case SetRequest() | ReleaseAll() | WithdrawAll():
                self._carry_out_all(order)
            case Offer():
                self._heir = self._shared.answer_offer(order, self._send, self.hang_up)
            case _:
                assert_never(order)

    def _why_unfulfilled(self, request: LockRequest) -> str:
        """Return why the lock is not to be granted as C{request} wishes; the empty string if it can be."""
        why = "" if request.regains else self._arbiter.values.why_not(request)
        if why and self._shared.throttle.allows("wishes"):
            self._log.info(
                "{name} refused to {peer}: {why}", name=truncate(request.name.text), peer=self._peer, why=why
            )
        return why

    def _keep(self, order: Release, note: Note) -> bool:
        """Keep C{note} before C{order} is carried out; return false if it is to be carried out as if it had none."""
        standing = self._arbiter.standing(self._id, order.name)
        if not (self._connection.is_extended and isinstance(standing, Granted)):
            return False
        self._is_releasing = True
        kept = self._arbiter.values.note(order.name, standing.request.mode, note)
        kept.addCallback(self._release_kept, order)
        return True

    def _release_kept(self, why: str, order: Release) -> None:
        """Release what was to be released when a note is kept, or not, because of C{why}; and say so."""
        if self not in self._shared.connected or self._connection.is_over:
            return  # a client that comes back says it again
        try:
            if not self._arbiter.release(self._id, order.name, order.rollback):
                self._arbiter.postpone(partial(self._release_kept, why, order))
                return
        except RemoteProtocolError:
            pass  # it has been ended meanwhile
        self._is_releasing = False
        if (unlocked := self._connection.unlocked_with_note(why)) is not None:
            self._send(unlocked)

    def _carry_out_all(self, order: SetRequest | ReleaseAll | WithdrawAll) -> None:
        """Carry out what is said of several locks at once."""
        match order:
            case SetRequest():
                if order.secret and self._go_on(order):
                    pass
                elif order.regains and not all(map(self._may_reclaim, order.parts)):
                    self._arbiter.statistics.lost[Loss.RECLAIM_REFUSED] += len(order.parts)
                    self._answer(Outcome.BUSY)
                elif order.wishes is not None and order.wishes.is_of_one_lock:
                    why = "what is kept of a lock, or with it, is for one lock alone"
                    self._answer(Outcome.IMPOSSIBLE, also=_Also(why))
                else:
                    self._arbiter.request_all(order)
            case ReleaseAll():
                if not self._arbiter.release_all(self._id, rollback=order.rollback):
                    self._is_releasing = True
                    self._arbiter.postpone(partial(self._carry_out_late, order))
                elif (unlocked := self._connection.unlocked()) is not None:
                    self._send(unlocked)
            case WithdrawAll():
                if not self._arbiter.withdraw_all(self._id, order.reason):
                    self._carry_out(ReleaseAll(True))  # they were granted meanwhile, or it is not decided yet

    def _answer_ping(self) -> None:
        self._send(self._connection.pong())

    def _is_always_served(self, order: Introduced | Order) -> bool:
        """Return whether C{order} is carried out by a daemon that stands by, too."""
        return isinstance(order, (Challenge, Offer))

    def _go_on(self, request: LockRequest | SetRequest) -> bool:
        """Go on with the session that C{request} names, if it is this client's; return whether that is decided."""
        sessions = self._shared.sessions
        try:
            can_come_back = self._is_tcp or self._shared.outlives_unix
            session = sessions.find(request.secret, self._owner()) if can_come_back else None
        except PermissionError:
            self._shared.throttle.warn("session-timeout", "{peer} names the session of another client", peer=self._peer)
            self._answer(Outcome.BUSY)
            return True
        if session is None or self._session is not None:
            if not request.regains and self._shared.throttle.allows("sessions that are over", 1):
                self._log.info("{peer} wants to go on with what is over, or never was", peer=self._peer)
            return False
        standing = self._standing(session.id, request)
        former = session.connection
        if not standing:
            if request.regains:
                self._answer(Outcome.CANNOT_WAIT)  # it was released
            return request.regains
        self._arbiter.exchange(session.id, self._id)
        if former is None:
            self._arbiter.drop(self._id)
        else:
            former.give_way(self._id)
        _conns.debug("%s goes on as %s", self._id, session.id)
        self._id = self._connection.id = session.id
        self._session = session
        sessions.go_on(session, self)
        for effect in standing:
            self._tell_far(effect)
        if session.is_contested:
            session.is_contested = False
            self._tell(Contested())
        return True

    def _standing(
        self, session: SessionId, request: LockRequest | SetRequest
    ) -> Sequence[Granted | Queued | Incubated]:
        """Return what C{session} has of what C{request} names; nothing if it has not all of it."""
        if isinstance(request, LockRequest):
            one = self._arbiter.standing(session, request.name)
            return [] if one is None else [one]
        several = self._arbiter.standing_of_all(session)
        if isinstance(several, list):
            return several if [each.request.name for each in several] == [part.name for part in request.parts] else []
        return [] if several is None or not self._connection.number_of(several.request.name) else [several]

    def _may_reclaim(self, request: LockRequest) -> bool:
        """Return whether to believe that the client has held what C{request} reclaims."""
        proofs, throttle, is_in_grace = self._shared.proofs, self._shared.throttle, self._arbiter.is_in_grace
        return proofs.may_reclaim(request, self._client(), self._peer, throttle, is_in_grace=is_in_grace)

    def _prove(self, grant: Granted | Converted) -> str:
        """Return the proof of C{grant}; the empty string without a key."""
        if self._prover is None:
            secret = "" if self._session is None else self._session.secret
            self._prover = self._shared.proofs.prover(self._client(), secret)
        return self._prover.prove(grant)

    def _client(self) -> str:
        """Return who the client is, for proofs: the digest of its certificate, or its user over a UNIX socket."""
        if self._shared.options.tls is not None:
            return self._certificate().hex()
        return "" if self._is_tcp else self._origin or ""

    def _carry_out_late(self, order: Release | ReleaseAll | Convert) -> None:
        """Carry out C{order}, which was postponed."""
        if not isinstance(order, Convert):
            self._is_releasing = False
        if self not in self._shared.connected:
            return
        try:
            self._carry_out(order)
        except RemoteProtocolError as e:
            self._close(str(e), e.log_id)

    def give_way(self, id: SessionId) -> None:
        """Be the session C{id}, and end: the client goes on by another connection, because this one is broken."""
        self._id = id
        self._session = None
        self._connection.end()
        self.transport.abortConnection()

    def _end_session(self) -> None:
        if self._session is not None:
            self._shared.sessions.end(self._session)
            self._session = None
        if self._mark is not None:
            self._mark.forget(self._id)
        self._arbiter.drop(self._id)

    def _check_session(self, lock: Lock) -> None:
        """Refuse a client whose C{lock} would end with its connection, by the answer that ends a client of FLoM."""
        if lock.extended < HAS_SESSIONS and not is_probe(lock.name, lock) and not self._connection.is_over:
            text = "{peer} refused: it has no session, as clients of FLoM have none"
            self._shared.throttle.warn("sessions", text, peer=self._peer)
            self._answer(Outcome.IMPOSSIBLE)
            self.hang_up()

    def _is_expected_back(self, reason: Failure) -> bool:
        """
        Return whether the client may come back to what it holds or waits for, as its connection has ended by C{reason}.
        """
        if self._connection.is_over:
            return False
        if self._has_broken(reason):
            return True
        return self._has_to_outlive and not self._is_releasing and self._arbiter.has_locks(self._id)

    def _has_broken(self, reason: Failure) -> bool:
        """Return whether neither end has closed the connection, which has ended by C{reason}."""
        tls = self._shared.options.tls
        if tls is not None:
            return tls.has_broken(self.transport, reason)
        return not isinstance(reason.value, (ConnectionDone, ConnectionAborted))

    def _owner(self) -> Owner:
        """Return the client as one that may go on with a session of its own."""
        return Owner(self._certificate(), self._peer_id)

    def _certificate(self) -> bytes:
        tls = self._shared.options.tls
        return b"" if tls is None else tls.peer_certificate(self.transport)

    def _send(self, data: bytes) -> None:
        if self._postponed:
            data = self._postponed + data
            self._postponed = b""
            self._shared.postponed.forget(self)
        self._send_now(data)

    def _who(self) -> Peer:
        if self._known is None:
            # kept, because at the end of the connection the transport does not know it any more
            user, command = self._sender
            self._known = peer_of(self.transport, self._peer_id)._replace(user=user, command=command)
        return self._known

    @property
    def _peer(self) -> str:
        """Names the other end for a log."""
        return self._name or describe(self.transport)

    def _check_id(self, introduced: Introduced) -> None:
        """Close the connection if the client is not who its certificate says, as far as that is wanted."""
        try:
            if self._shared.options.tls is not None:
                self._shared.options.tls.check_peer_id(self.transport, introduced.peer_id)
        except TlsError as e:
            if not isinstance(introduced.message, Lock):
                self._send(self._connection.refuse_management())
            is_shutdown = isinstance(introduced.message, Shutdown)
            self._close(f"shutdown refused, {e}" if is_shutdown else str(e), "FLM013E")

    def _tell_far(self, effect: Delivered) -> None:
        """Do as L{_tell}, for a client that may be on another host."""
        if self._mark is not None and isinstance(effect, Granted) and self._connection.is_extended:
            self._mark.note_grant(self._id)
        self._tell(effect)

    def _tell(self, effect: Delivered) -> None:
        if self._is_traced:
            _locker.debug("to %s: %s", self._id, effect)
        match effect:
            case Granted(request=request):
                if request.wishes is not None and request.wishes.ttl:
                    self._shared.holding.begin(self, effect)
                else:
                    self._answer(Outcome.GRANTED, effect, delayed=effect.delayed)
            case Queued():
                self._answer(Outcome.QUEUED, delayed=effect.delayed, is_urgent=effect.ahead > SHORT_QUEUE)
            case Incubated():
                self._answer(Outcome.AWAITING_CREATION)
            case Refused(outcome=outcome, delayed=delayed):
                number = self._connection.number_of(effect.request.name)
                self._answer(outcome, delayed=delayed, also=_Also(effect.why, part=number))
            case Converted(request=request, number=number):
                proof = self._prove(effect)
                self._answer_conversion(Outcome.GRANTED, request.mode, number, effect.token, proof, effect.delayed)
            case Converting(mode=mode, number=number):
                self._answer_conversion(Outcome.QUEUED, mode, number)
            case NotConverted(mode=mode, number=number, outcome=outcome):
                self._send(self._connection.converted(outcome, mode, number, why=effect.why, delayed=effect.delayed))
            case Dismissed() if self._connection.is_fresh:
                self._is_too_late = True  # it may be the new leader, whose challenge is on its way
            case Dismissed():
                self.hang_up()
            case Contested():
                if (contested := self._connection.contested()) is not None:
                    self._send(contested)
            case Wanted():
                self._send(self._connection.wanted())
            case Revoked(by=by, limit=limit):
                if (revoked := self._connection.revoked(by, limit)) is not None:
                    self._send(revoked)
                self.hang_up()
                self._end_session()
            case Ended() | Withdrawn() | Overdue():
                pass
            case _:
                assert_never(effect)

    def _answer_conversion(
        self,
        outcome: Outcome,
        mode: LockMode,
        number: int,
        token: int = 0,
        proof: str = "",
        delayed: bool = False,
    ) -> None:
        self._send(self._connection.converted(outcome, mode, number, token, proof, delayed=delayed))

    def _answer(
        self,
        outcome: Outcome,
        grant: Granted | None = None,
        *,
        delayed: bool = False,
        is_urgent: bool = False,
        also: _Also | None = None,
    ) -> None:
        connection = self._connection
        if connection.is_extended:
            data = self._answer_to_extended(outcome, grant, delayed, also)
        else:
            data = connection.plain_answer(outcome, None if grant is None else grant.element, delayed=delayed)
        if data is None:
            self._close(f"a timestamp format that cannot be used: {self._connection.resource}")
            return
        if self._is_traced:
            _msg.debug("to %s: %s", self._id, Shown(data))
        if outcome is Outcome.QUEUED and not is_urgent and self._can_postpone and not self._postponed:
            self._postponed = data
            self._shared.postponed.set(self)
            return
        self._send(data)
        if connection.is_over:
            self._end_producing()
            close_our_side(self.transport)
            self._end_session()  # with all its locks and requests: no answer can reach it any more

    def _answer_to_extended(
        self, outcome: Outcome, grant: Granted | None, delayed: bool, also: _Also | None
    ) -> bytes | None:
        """Return the answer to a client that understands what those of FLoM do not."""
        tells_secret = self._can_outlive and not delayed and outcome in _BEGINS_SESSION
        secret = self._secret_to_tell() if tells_secret else ""
        terms = self._shared.terms
        if secret and self._mark is not None and not self._mark.problem:
            terms = terms.replace(waits=True)
        connection = self._connection
        if grant is None:
            why, part = ("", 0) if also is None else (also.why, also.part)
            return connection.answer(outcome, delayed=delayed, session=secret, terms=terms, why=why, part=part)
        proof, wishes = self._prove(grant), grant.request.wishes
        if wishes is None and also is None and connection.several is None:  # mostly
            return connection.answer(
                outcome, grant.element, grant.token, delayed=delayed, session=secret, terms=terms, proof=proof
            )
        part = connection.number_of(grant.request.name)
        told = None if wishes is None or not wishes.concerns_kept else self._arbiter.values.told(grant.request)
        return connection.answer(
            outcome,
            grant.element,
            grant.token,
            delayed=delayed,
            session=secret,
            terms=terms,
            proof=proof,
            told=told,
            hold=None if also is None else also.hold,
            part=part,
            left=grant.left,
        )

    def _secret_to_tell(self) -> str:
        """Return what names the session to the client, which is told once."""
        self._can_outlive = False
        if self._is_tcp:
            self._shared.keepalive_of_sessions.retune(underlying(self.transport).getHandle())
        if self._session is None:
            self._session = self._shared.sessions.begin(self._id, self._owner(), self)
        return self._session.secret

    def _shut_down(self, order: Shutdown) -> None:
        kind = "immediate" if order.immediate else "drain" if order.drain else "quiesce"
        kind = "handover" if order.handover else f"{kind} shutdown"
        options = self._shared.options
        end = options.on_shutdown
        if end and (options.allow_remote_shutdown or self._is_trusted(options.allow_local_shutdown)):
            log_id = "FLM007N" if order.immediate else "FLM008N"
            self._log.info("{log_id} {kind} ordered by {peer}", log_id=log_id, kind=kind, peer=self._peer)
            if order.handover:
                self._shared.hand_over(self._tell_handed_over)
                return
            end(order)
            if order.drain:
                self.hang_up()  # which says that it has begun
        else:
            if self._shared.throttle.allows("shutdowns refused"):
                self._log.warn("{kind} refused to {peer}", kind=kind, peer=self._peer)
            self._send(self._connection.refuse_management())
            self.hang_up()

    def _revoke(self, order: Revoke) -> None:
        """End another client's lock, if this one may give such orders."""
        options = self._shared.options
        if options.on_shutdown and (options.allow_remote_shutdown or self._is_trusted(options.allow_local_shutdown)):
            try:
                by = ", ".join(filter(None, (order.user, self._who().name)))
                why = self._arbiter.revoke(order.number, parse_name(order.name), one_line(by))
            except InvalidName as e:
                why = str(e)
            self._arbiter.settled().addCallback(lambda _: self._answer_revoke(truncate(why)))
        else:
            if self._shared.throttle.allows("releases refused"):
                self._log.warn("release of {name} refused to {peer}", name=truncate(order.name), peer=self._peer)
            self._send(self._connection.refuse_management())
            self.hang_up()

    def _answer_revoke(self, why: str) -> None:
        if self in self._shared.connected:
            self._send(self._connection.answer_revoke(why))
            self.hang_up()

    def _tell_handed_over(self, leader: str, why: str) -> None:
        """Say who leads now, or, if it is still this daemon, why."""
        if self in self._shared.connected:
            self._send(self._connection.handed_over(leader, why))
            self.hang_up()

    # what follows is for holds without a process (L{flom.server.holding.HoldClient})

    @property
    def arbiter(self) -> DeferredArbiter:
        """What decides for this client."""
        return self._arbiter

    @property
    def connection(self) -> ServerConnection:
        """This end of the conversation."""
        return self._connection

    @property
    def id(self) -> SessionId:
        """The session of this client."""
        return self._id

    @property
    def is_listening(self) -> bool:
        """True as long as the client can be told anything."""
        return self in self._shared.connected and not self._connection.is_over

    @property
    def name(self) -> str:
        """Names the client for a log."""
        return self._peer

    @property
    def host(self) -> str:
        """The address of the client's host; the empty string if that is this one."""
        return "" if is_of_this_host(self.transport) else str(self.transport.getPeer().host)

    def who(self) -> Peer:
        """Return the client."""
        return self._who()

    def is_same_client(self, other: LockProtocol, secret: str) -> bool:
        """Return whether C{other}, which says C{secret}, is the client of this connection."""
        return self._session is not None and self._session.secret == secret and self._owner() == other._owner()

    def leave_session(self) -> SessionId:
        """Go on as another session, and leave the one that this was, with all that it holds: return that."""
        left, self._id = self._id, self._arbiter.open(self._tell if self._mark is None else self._tell_far, self._who)
        self._connection.id = self._id
        if self._session is not None:
            self._session.id = self._id
        if self._mark is not None:
            self._mark.forget(left)
        return left

    def tell(self, effect: Delivered) -> None:
        """Send the client what C{effect} says."""
        self._tell(effect)

    def answer(
        self,
        outcome: Outcome,
        grant: Granted | None = None,
        *,
        delayed: bool = False,
        why: str = "",
        hold: HoldTold | None = None,
    ) -> None:
        """Answer the client, see L{ServerConnection.answer}."""
        self._answer(outcome, grant, delayed=delayed, also=_Also(why, hold))

    def send(self, data: bytes) -> None:
        """Send C{data} to the client."""
        self._send(data)

    def abort(self) -> None:
        """End the connection, which is broken."""
        self._connection.end()
        self.transport.abortConnection()

    def _is_trusted(self, trusts_host: bool) -> bool:
        return is_trusted(self.transport, is_verified=self._is_secured, trusts_host=trusts_host)

    def _show(self, name: str | None) -> None:
        """Send what is held, or C{name} alone, if the client may see it."""
        if not (self._shared.options.status_for_all or self._is_trusted(trusts_host=True)):
            if self._shared.throttle.allows("statuses refused"):
                self._log.info("status refused to {peer}", peer=self._peer)
            self._send(self._connection.refuse_management())
            return
        try:
            self._to_show.append(None if name is None else parse_name(name).key)
        except InvalidName as e:
            raise RemoteProtocolError(str(e)) from e
        if len(self._to_show) > MOST_TO_SHOW:
            raise RemoteProtocolError(f"more than {MOST_TO_SHOW} requests for the status before they are answered")
        self._show_next()

    def _show_next(self) -> None:
        """Answer a request for the status when the answer to the one before is on its way: it may be large."""
        if self._to_show and self._showing is None and self._unread is None:
            self._showing = self._shared.statuses.write(self._to_show.pop(0))
            self._showing.addCallback(self._send_status).addErrback(Failure.trap, CancelledError)

    def _send_status(self, data: bytes) -> None:
        self._showing = None
        self._send(self._connection.status(data))
        self._show_next()

    def _watch_unread(self) -> None:
        """End the connection if the peer has not taken more of its answers after a while."""
        unread_timeout = self._shared.options.limits.unread_timeout
        self._unread = self._shared.clock.callLater(unread_timeout, self._see_whether_read, unsent(self.transport))

    def _see_whether_read(self, unsent_before: tuple[object, int]) -> None:
        buffer, offset = unsent_before
        buffer_now, offset_now = unsent(self.transport)
        if buffer is not buffer_now or offset != offset_now:
            self._watch_unread()
            return
        self._unread = None
        self._exceed("unread-timeout", f"it has read no answer within {self._shared.options.limits.unread_timeout:g} s")
        self._connection.end()
        self.transport.abortConnection()

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _end_producing(self) -> None:
        self._forget_unread()
        self.transport.unregisterProducer()

    def _exceed(self, limit: str, why: str) -> None:
        self._shared.counters.protocol_errors += 1
        self._shared.throttle.warn(limit, "closing {peer}: {why}", peer=self._peer, why=why)

    def _close(self, why: str, log_id: str = "") -> None:
        self._log_breach(why, log_id)
        self.hang_up()

    def _log_breach(self, why: str, log_id: str = "") -> None:
        self._shared.counters.protocol_errors += 1
        if self._shared.throttle.allows("breaches of the protocol"):
            format = "{log_id} closing {peer}: {why}" if log_id else "closing {peer}: {why}"
            self._log.warn(format, log_id=log_id, peer=self._peer, why=truncate(why))


class LockFactory(Factory):
    """
    Makes the daemon's end of every connection, be it TCP or UNIX; all share one arbiter.

    @ivar keepalive: of all connections over TCP.
    @ivar keepalive_of_sessions: of those that may break, and are noticed within the session-timeout.
    @ivar connected: holds each for as long as it is connected.
    @ivar admission: decides which are let in; it should know the ports.
    @ivar deadlines: for messages, and for the other end to close the connection.
    @ivar postponed: until when answers are L{POSTPONED}.
    @ivar adopting: the clients that have adopted a hold without a process, or are about to, see L{Holding}.
    @ivar start: what clients of this host are told by L{flom.core.protocol.messages.Answer.start}.
    @ivar throttle: of log lines that clients can cause.
    @ivar sessions: those that outlive a connection that breaks.
    @ivar outlives_unix: whether clients over UNIX sockets have them too.
    @ivar terms: what clients are told of these.
    @ivar proofs: of what is granted.
    @ivar answer_challenge: returns the answer to another leader of the group; a daemon that is in none says so.
    @ivar is_promised: returns whether the leader of the group is about to offer that this daemon takes over.
    @ivar answer_offer: answers that, by calls to send and to hang up; returns what takes all that comes after it.
    @ivar hand_over: hands over to a standby of the group, and calls with the name of the new leader, or with the empty
        string and the reason why this daemon still leads.
    """

    noisy = False
    outlives_unix = False

    def __init__(
        self,
        arbiter: DeferredArbiter,
        clock: IReactorTime,
        options: ServerOptions = DEFAULT_OPTIONS,
        counters: Counters | None = None,
        proofs: Proofs | None = None,
    ) -> None:
        """
        @param clock: times out silent peers.
        @param counters: what is shown of the daemon beside its locks; by default, one of its own.
        @param proofs: of what is granted; by default, there are none.
        """
        self.counters = counters or Counters()
        self.arbiter = arbiter
        self.clock = clock
        self.options = options
        self.keepalive = options.keepalive.of_daemon
        self.proofs = proofs or Proofs()
        self.keepalive_of_sessions = self.keepalive.within(options.limits.session_timeout)
        self.connected: set[LockProtocol] = set()
        self.start = ""
        self.adopting: dict[HoldClient, Adopter] = {}
        self.answer_challenge: Callable[[Challenge], bytes] = lambda challenge: encode(Proof(None))
        self.is_promised: Callable[[], bool] = lambda: False
        self.answer_offer: Callable[[Offer, Send, Callable[[], None]], Callable[[bytes], None]] = _refuse_offer
        self.hand_over: Callable[[Callable[[str, str], None]], None] = _hand_over_to_none
        self.throttle = LogThrottle(clock)
        self.deadlines = Deadlines(clock, options.limits.message_timeout, LockProtocol.time_out)
        self.postponed = Deadlines(clock, POSTPONED, LockProtocol.send_postponed, slack=POSTPONED)
        self.admission = Admission(clock, options.limits, self.throttle)
        self.sessions = Sessions(arbiter, clock, options.limits.session_timeout, self.throttle)
        self.terms = Terms(timeout=options.limits.session_timeout, required=options.sessions_are_required)

    @cached_property
    def holding(self) -> Holding:
        """What clients have to do with holds without a process."""
        from flom.server.holding import Holding  # most clients have nothing

        return Holding(self.adopting)

    @cached_property
    def statuses(self) -> Statuses:
        """The answers to requests for the status."""
        from flom.server.snapshot import Statuses  # most clients never ask

        return Statuses(self.arbiter, self.counters, self.clock)

    def disconnect_all(self) -> None:
        """Close every connection."""
        for protocol in list(self.connected):
            protocol.hang_up()
        self.sessions.stop()
        self.throttle.stop()

    def buildProtocol(self, addr: IAddress | None) -> LockProtocol | None:
        arbiter = self.arbiter
        if arbiter.is_closed or (arbiter.is_retired and arbiter.is_deserted and not self.is_promised()):
            return None  # which closes the connection
        protocol = LockProtocol(self)
        protocol.factory = self
        return protocol


def _refuse_offer(offer: Offer, send: Send, hang_up: Callable[[], None]) -> Callable[[bytes], None]:
    """Close the connection: no leader can mean a daemon that is in no group."""
    hang_up()
    return lambda data: None


def _hand_over_to_none(tell: Callable[[str, str], None]) -> None:
    tell("", "it is in no group")
