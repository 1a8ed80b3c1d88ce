"""
The client's end of a connection on Twisted: one resource is asked for, held and released, perhaps again
(docs/compatibility.md, "Protocol: client", "TLS").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.client.deferred.holders import SharedHolding
from flom.client.retry import CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT, unconfirmed, why_closed
from flom.codes import ReturnCode
from flom.core.protocol.connection import ClientConnection
from flom.core.protocol.events import Converted, Granted, Introduced, MoreWanted, NotConverted, Pong, Refused, Waiting
from flom.core.protocol.framing import Shown
from flom.core.protocol.messages import Contested, Lock, Note, Revoked, Terms, Unlocked, Wanted
from flom.errors import (
    DaemonLost,
    FlomError,
    LockContested,
    LockRevoked,
    RemoteProtocolError,
    TlsError,
    lock_refused,
    why_revoked,
)
from flom.net.holding import DaemonGone, files_for
from flom.net.keepalive import Keepalive
from flom.reactor.transports import (
    break_off,
    close_our_side,
    end_for_all,
    has_arrived,
    is_tcp,
    sender,
    tune,
    underlying,
)
from flom.trace import tracer

if TYPE_CHECKING:
    from collections.abc import Callable

    from flom.core.modes import LockMode
    from flom.tls.context import Tls

_CHECK_PART: Final = 5  # of the daemon's session-timeout is the time in which it should answer

_msg = tracer("msg")
_trace = tracer("client")


@implementer(IHandshakeListener)
class LockClient(Protocol):
    """
    Drives a L{ClientConnection}; over TLS, it also checks who is at the other end.

    @ivar peer: names the daemon in errors.
    @ivar lost: fires with the reason if the connection ends while the lock is held, or if the lock is contested; each
        lock has one of its own.
    @ivar revoked: why the lock was lost, if an administrator has ended it.
    @ivar is_wanted: true once the daemon has said that others wait because of the lock.
    @ivar on_wanted: called when it says so; each lock has one of its own.
    @ivar contest: the reason if the lock is contested: another daemon has granted it too. It is held still.
    @ivar closed: fires when the connection has ended.
    @ivar has_timed_out: true if we have ended it, because the daemon has not answered in time.
    @ivar is_broken: true once it has ended in another way than by being closed by the daemon, or if the daemon expects
        us back all the same.
    @ivar pongs: how many answers to L{ping} have come and were not counted yet.
    @ivar on_conversion: called with what has become of conversions of the lock.
    @ivar is_given_up: true once it is taken for broken, and about to end.
    @ivar holding: by which the next daemon at this address knows of us; C{None} if it does not.
    """

    transport: Any  # more than ITransport: UNIX and TCP transports have common methods that no interface names

    _log = Logger()

    def __init__(self, peer: str, clock: IReactorTime, keepalive: Keepalive, tls: Tls | None = None) -> None:
        """@param tls: our end of TLS, if the endpoint speaks it; C{None} for plain text."""
        self.peer = peer
        self.lost: Deferred[FlomError] = Deferred()
        self.contest: LockContested | None = None
        self.revoked: LockRevoked | None = None
        self.is_wanted = False
        self.on_wanted: Callable[[], None] = _ignore
        self.closed: Deferred[None] = Deferred()
        self.is_broken = False
        self.holding: SharedHolding | None = None
        self.pongs = 0
        self.is_given_up = False
        self.on_conversion: Callable[[Converted | NotConverted], object] = lambda event: None
        self._has_asked = False  # while we wait, and have not been answered
        self._is_probed = False
        self._clock = clock
        self._connection = ClientConnection()
        self._keepalive = keepalive
        self._tls = tls
        self._is_secured = False
        self.has_timed_out = False
        self._is_shared = False
        self._patience = CLOSE_TIMEOUT
        self._asked = Lock("")  # what was asked for last
        self._reclaims = False
        self._is_leaving = False
        self._decided: Deferred[Granted] | None = None
        self._unlocked: Deferred[Unlocked] | None = None
        self._checked: Deferred[None] | None = None
        self._deadline: IDelayedCall | None = None  # of the handshake, later of an unlock

    @property
    def has_answered(self) -> bool:
        """True if the daemon has said anything since the last request."""
        return self._connection.has_answered

    @property
    def session(self) -> str:
        """What says on another connection that we go on with what this one had; the empty string if nothing does."""
        return self._connection.session

    @property
    def is_awaited(self) -> bool:
        """True if the next daemon at this address waits for us, should this one have gone."""
        return self.holding is not None or (self._connection.terms.waits and not self.is_broken)

    @property
    def terms(self) -> Terms:
        """What the daemon has said of the L{session}."""
        return self._connection.terms

    @property
    def is_reusable(self) -> bool:
        """True if another lock of the same resource can be asked for."""
        return not self.closed.called and not self._is_shared and self._connection.is_reusable

    def connectionMade(self) -> None:
        _trace.debug("connected to %s", self.peer)
        tune(self.transport, self._keepalive)
        if self._tls is not None:
            self._deadline = self._clock.callLater(HANDSHAKE_TIMEOUT, self._time_out)

    def handshakeCompleted(self) -> None:
        assert self._tls is not None
        self._stop_timer()
        self._is_secured = True
        self._tls.note_handshake(self.transport)

    def lock(self, message: Lock) -> Deferred[Granted]:
        """
        Ask for a resource; cancelling withdraws the request by closing the connection.

        @return: fires with the grant, with L{flom.errors.LockRefused}, L{DaemonLost}, L{RemoteProtocolError} or
            L{TlsError}.
        @raise LocalProtocolError: C{message} is too long, or must not be sent now.
        """
        data = self._connection.lock(message)
        self._asked = message
        self._reclaims = message.regains
        self.lost = Deferred()
        self.contest = None
        self.is_wanted = False
        self.on_wanted = _ignore
        # what the daemon may have taken up on this connection can be asked for by another
        withdraw = self._leave_behind if message.regains and message.session else self.close
        decided: Deferred[Granted] = Deferred(canceller=lambda _: withdraw())
        self._decided = decided
        self._write(data)
        return decided

    def unlock(
        self, name: str, rollback: bool = False, patience: float = CLOSE_TIMEOUT, note: Note | None = None
    ) -> Deferred[Unlocked]:
        """
        Release the lock.

        A daemon that answers leaves the connection as it is, see L{is_reusable}; any other one shows that it has taken
        the unlock by closing the connection, as we do.

        @param patience: seconds that the daemon has for confirming it.
        @param note: what is to be kept with the resource.
        @return: fires when the daemon has confirmed it, with its word; with L{DaemonLost} if it does not in time.
        @raise LocalProtocolError: no lock is held any more.
        """
        self._write(self._connection.unlock(name, rollback, note))
        unlocked: Deferred[Unlocked] = Deferred()
        self._unlocked = unlocked
        self._patience = patience
        self._deadline = self._clock.callLater(patience, self._time_out)
        if self._connection.awaits_close:
            close_our_side(self.transport)
        return unlocked

    @property
    def converts(self) -> bool:
        """True if the daemon understands conversions."""
        return self._connection.converts

    def convert(self, name: str, mode: LockMode, *, wait: bool = True) -> int:
        """
        Change the mode of the lock; L{on_conversion} is called with the answer.

        @return: the number that the answer has.
        @raise LocalProtocolError: no lock is held any more, or the daemon does not understand it.
        """
        self._write(self._connection.convert(name, mode, wait=wait))
        return self._connection.conversion

    def ping(self) -> None:
        """Ask whether the daemon is there, unless the lock has just been released or lost."""
        if self._connection.holds and not self.closed.called:
            self._write(self._connection.ping())

    @property
    def is_confirmed(self) -> bool:
        """True if the kernel of the daemon's host has confirmed all that was sent; the daemon need not have read it."""
        return has_arrived(self.transport)

    def break_off(self) -> None:
        """End the connection, which is broken: nothing comes through it in time. The daemon keeps our lock for us."""
        if not self.is_given_up:
            _trace.debug("%s does not answer", self.peer)
            self.is_given_up = True
            break_off(self.transport)

    def check(self) -> Deferred[None]:
        """
        Check that the daemon is there, and still has our lock: the grant may be old, if this process was stopped.
        Cancelling it closes the connection.

        @return: fires when it has said so, with L{DaemonLost} if the connection ends before.
        """
        checked: Deferred[None] = Deferred(canceller=lambda _: self.close())
        self._checked = checked
        self.pongs = 0
        self.ping()
        self._deadline = self._clock.callLater(self.terms.timeout / _CHECK_PART, self._doubt)
        return checked

    def _doubt(self) -> None:
        """Break off, as no answer has come in time, or wait on, if the kernel there confirms what we send."""
        if self.is_confirmed and not self.terms.quorum:
            self._deadline = self._clock.callLater(self.terms.timeout / _CHECK_PART, self._doubt)
        else:
            self.break_off()

    def outlive_daemon(self) -> None:
        """
        Lock the daemon's holders file, as the lock was granted: if it goes, the next one at its address waits for us.

        That is done once for each connection; what other locks of it need, its end or L{give_up} ends. Nothing happens
        if the daemon has not said how, or its file is not to be found.

        @raise DaemonLost: it has gone already, and its lock with it; the conversation is ended.
        """
        if self.holding is not None or not self._connection.start:
            return
        address = underlying(self.transport).getHandle().getpeername()
        for file in files_for(address, self.peer, self._connection.start):
            try:
                self.holding = SharedHolding.take(file)
                return
            except DaemonGone:
                self.close()
                raise DaemonLost(f"{self.peer} closed the connection") from None
            except OSError as e:
                _trace.debug("%s: %s", file, e)

    def give_up(self) -> None:
        """End the lock of the holders file: no daemon need wait for us any more."""
        if self.holding is not None:
            self.holding.release()
            self.holding = None

    def close(self) -> None:
        """
        End the conversation, over TLS when the daemon has done so too; the daemon withdraws the request, or releases
        the lock. If that was to be reclaimed, it may keep it for us.
        """
        self._decided = self._checked = None
        if not self._is_leaving:
            self._is_leaving = True
            is_to_be_told = (is_tcp(self.transport) or self.session) and not self._reclaims
            self._leave(self._connection.goodbye() if is_to_be_told else b"")

    def _leave_behind(self) -> None:
        """End the conversation, as one whose connection is broken."""
        self._decided = None
        self.break_off()

    def _leave(self, goodbye: bytes) -> None:
        """Send C{goodbye}, if there is one, and end the connection."""
        if not goodbye:
            self._end()
            return
        _msg.debug("to %s: %s", self.peer, Shown(goodbye))
        sender(self.transport)(goodbye)
        if self._tls is None:
            self._end()
        else:
            self.transport.loseConnection()  # OpenSSL has yet to pass it on
            self._stop_timer()
            self._deadline = self._clock.callLater(CLOSE_TIMEOUT, self._end)

    def fileno(self) -> int:
        """
        Return the descriptor of the connection, for another process that the lock is to belong to as well.

        So the connection is not used for another lock, and L{close} ends it for all of them.
        """
        self._is_shared = True
        descriptor: int = self.transport.fileno()
        return descriptor

    def dataReceived(self, data: bytes) -> None:
        _msg.debug("from %s: %s", self.peer, Shown(data))
        try:
            for event in self._connection.receive(data):
                match event:
                    case Introduced():
                        if self._tls is not None:
                            self._tls.check_peer_id(self.transport, event.peer_id)
                    case Waiting():
                        self._probe_early()
                        self._ask_now_and_then()
                    case MoreWanted():
                        self._write(self._connection.more())
                    case Granted():
                        self._probe_early()
                        self._decide(event)
                    case Refused():
                        name = self._asked.name_of(event.part)
                        self._decide(lock_refused(event.outcome, name, self.peer, event.why))
                    case Unlocked():
                        self._note_unlock(event)
                    case Converted() | NotConverted():
                        self.on_conversion(event)
                    case Pong():
                        self._note_pong()
                    case Contested() if self.contest is None:
                        self.contest = LockContested(f"{self.peer}: another daemon of the group has granted it too")
                        self.lost.callback(self.contest)
                    case Wanted():
                        self.is_wanted = True
                        self.on_wanted()
                    case Revoked(by=by, limit=limit):
                        self.revoked = why_revoked(by, limit)
        except TlsError as e:
            self._decide(TlsError(e.code, f"{self.peer}: {e}"))
            self._end()
        except RemoteProtocolError as e:
            if self._connection.holds:  # to close would be to release the lock under those that rely on it
                self._log.warn("{peer} sent what it must not: {why}", peer=self.peer, why=str(e))
            else:
                self._decide(RemoteProtocolError(f"{self.peer}: {e}"))
                self._end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        lost = self._why_lost(reason)
        has_closed = self._has_closed(reason)
        self.is_broken = not has_closed or self._connection.terms.required
        end = self._connection.receive_end(in_order=has_closed)
        self._decide(lost)
        checked, self._checked = self._checked, None
        if isinstance(end, Unlocked):
            self._note_unlock(end)
            self.give_up()
        elif self._unlocked is not None:
            when = f"within {self._patience:g} s" if self.has_timed_out else "before the connection ended"
            self._unlocked.errback(unconfirmed(self.peer, when))  # who hears it gives up
        elif end.was_held and not self.lost.called:
            self.lost.callback(lost)  # likewise
        else:
            self.give_up()
        if checked is not None:
            checked.errback(lost)
        self.closed.callback(None)

    def _probe_early(self) -> None:
        """Set keepalive so that the kernel notices a break in half of the time for which what we have is kept."""
        timeout = self._connection.terms.timeout
        if timeout and not self._is_probed:
            self._is_probed = True
            tune(self.transport, self._keepalive.within(timeout / 2))

    def _write(self, data: bytes) -> None:
        _msg.debug("to %s: %s", self.peer, Shown(data))
        self.transport.write(data)

    def _end(self) -> None:
        end_for_all(self.transport)  # in good order: a reset would have the daemon wait for us to come back

    def _decide(self, decision: Granted | FlomError) -> None:
        """Fire with C{decision}, unless there is one already, or the request was withdrawn."""
        decided, self._decided = self._decided, None
        if self._connection.terms.quorum:
            self._stop_timer()
        if decided is not None:
            decided.callback(decision if isinstance(decision, Granted) else Failure(decision))

    def _ask_now_and_then(self) -> None:
        """Ask a daemon that leads by a quorum, at which we wait, whether it is there: if not, another one may lead."""
        if self.terms.quorum:
            self._stop_timer()
            self._deadline = self._clock.callLater(self.terms.timeout, self._ask)

    def _ask(self) -> None:
        if self._has_asked:
            self.break_off()
        else:
            self._has_asked = True
            self._write(self._connection.ping())
            self._ask_now_and_then()

    def _note_pong(self) -> None:
        if self._has_asked:  # by a question of before the grant
            self._has_asked = False
            return
        self.pongs += 1
        checked, self._checked = self._checked, None
        if checked is not None:
            self._stop_timer()
            self.pongs = 0
            checked.callback(None)

    def _note_unlock(self, word: Unlocked) -> None:
        """Note that the daemon has taken our unlock, if there was one, by C{word}."""
        self._stop_timer()
        unlocked, self._unlocked = self._unlocked, None
        if unlocked is not None:
            unlocked.callback(word)

    def _has_closed(self, reason: Failure) -> bool:
        """Return whether the daemon has closed the connection, instead of a reset or of us."""
        if self._tls is not None:
            return self._tls.has_closed(self.transport, reason)
        return reason.check(ConnectionDone) is not None

    def _why_lost(self, reason: Failure) -> FlomError:
        self._stop_timer()
        _trace.debug("connection to %s has ended: %s", self.peer, reason.value)
        if self.revoked is not None:
            return self.revoked
        if self._tls is not None:
            if self.has_timed_out and not self._is_secured:
                why = f"{self.peer}: no TLS handshake within {HANDSHAKE_TIMEOUT:g} s; it may not speak TLS"
                return TlsError(ReturnCode.SSL_CONNECT_ERROR, why)
            if error := self._tls.why_lost(self.transport, reason, is_secured=self._is_secured):
                return TlsError(error.code, f"{self.peer}: {error}")
        if self.is_given_up:
            return DaemonLost(f"the connection to {self.peer} is broken")
        return why_closed(self.peer, answered=self.has_answered, tls=self._tls, is_secured=self._is_secured)

    def _time_out(self) -> None:
        self.has_timed_out = True
        if self._unlocked is not None and self.session:
            self.break_off()
        else:
            self._end()

    def _stop_timer(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()


def _ignore() -> None:
    """Do nothing about a lock that is wanted."""
