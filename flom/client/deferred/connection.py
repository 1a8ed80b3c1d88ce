"""
The client's end of a connection: one resource is asked for, held and given back, perhaps again
(docs/compatibility.md, "Protocol: client").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.client.deferred.secured import DaemonConnection
from flom.client.retry import CLOSE_TIMEOUT
from flom.codes import Outcome
from flom.core.protocol.messages import Answer, Lock, Unlock, Unlocked
from flom.core.protocol.session import ClientSession
from flom.core.protocol.wire import MAX_ANSWER_SIZE, MessageReader, encode
from flom.errors import DaemonLost, FlomError, RemoteProtocolError, TlsError
from flom.net.keepalive import Keepalive
from flom.reactor.transports import close_our_side, tune
from flom.trace import tracer

if TYPE_CHECKING:
    from flom.tls.context import Tls

_msg = tracer("msg")


class LockClient(DaemonConnection):
    """
    One conversation.

    @ivar lost: fires with the reason if the connection ends while the lock is held; otherwise never. Each lock has one
        of its own.
    @ivar is_lost: whether that has happened.
    @ivar closed: fires when the connection has ended.
    """

    _log = Logger()

    def __init__(self, peer: str, clock: IReactorTime, keepalive: Keepalive, tls: Tls | None = None) -> None:
        """
        @param tls: see L{DaemonConnection}.
        """
        super().__init__(peer, clock, tls)
        self.lost: Deferred[FlomError] = Deferred()
        self.is_lost = False
        self._keepalive = keepalive
        self._reader = MessageReader(MAX_ANSWER_SIZE)
        self._session = ClientSession()
        self._decided: Deferred[Answer] | None = None
        self._unlocked: Deferred[None] | None = None
        self._deadline: IDelayedCall | None = None
        self.closed: Deferred[None] = Deferred()

    @property
    def is_reusable(self) -> bool:
        """Whether another lock of the same resource can be asked for."""
        return not self.closed.called and self._session.is_idle and (self._session.is_extended or not self.answered)

    def connectionMade(self) -> None:
        super().connectionMade()
        tune(self.transport, self._keepalive)

    def keep_alive(self, keepalive: Keepalive) -> None:
        """Change when the daemon is probed."""
        tune(self.transport, keepalive)

    def lock(self, message: Lock) -> Deferred[Answer]:
        """
        Ask for a resource; cancelling gives up waiting by closing the connection.

        @return: fires with the answer that grants or refuses, with L{DaemonLost}, L{RemoteProtocolError} or
            L{TlsError}.
        @raise LocalProtocolError: C{message} is too long, or must not be sent now.
        """
        data = encode(message)
        self._session.send(message)
        self.answered = False
        self.lost = Deferred()
        decided: Deferred[Answer] = Deferred(canceller=lambda _: self.close())
        self._decided = decided
        self._write(data)
        return decided

    def unlock(self, message: Unlock) -> Deferred[None]:
        """
        Give the lock back.

        A daemon that says when it has taken it leaves the connection as it is, see L{is_reusable}; any other one shows
        that by closing it, as we do.

        @return: fires when the daemon has taken it, or has not for L{CLOSE_TIMEOUT}; with L{DaemonLost} if it was gone
            before.
        """
        if self.is_lost:
            return fail(DaemonLost(f"{self.peer} closed the connection"))
        self._session.send(message)
        self._write(encode(message))
        unlocked: Deferred[None] = Deferred()
        self._unlocked = unlocked
        self._deadline = self._clock.callLater(CLOSE_TIMEOUT, self.transport.abortConnection)
        if self._session.is_idle:
            close_our_side(self.transport)
        return unlocked

    def close(self) -> None:
        """End the conversation at once; the daemon forgets whatever was asked or held."""
        self._decided = None
        self.transport.abortConnection()

    def fileno(self) -> int:
        """Give the descriptor of the connection."""
        descriptor: int = self.transport.fileno()
        return descriptor

    def dataReceived(self, data: bytes) -> None:
        self.answered = True
        _msg.debug("from %s: %r", self.peer, data)
        try:
            for message in self._reader.feed(data):
                match self._session.receive(message):
                    case Answer() as answer:
                        if answer.step == 16:
                            self.check_peer_id(answer.peer_id)
                        self._take(answer)
                    case Unlocked():
                        self._note_unlock()
        except TlsError as e:
            self._fail(e)
            self.transport.abortConnection()
        except RemoteProtocolError as e:
            if self._session.holds:
                # to close would be to give up the lock under whoever relies on it
                self._log.warn("{peer} sent what it must not: {why}", peer=self.peer, why=str(e))
                self._reader = MessageReader(MAX_ANSWER_SIZE)
            else:
                self._fail(RemoteProtocolError(f"{self.peer}: {e}"))
                self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        lost = self.why_lost(reason)
        self._fail(lost)
        if self._session.holds:
            self.is_lost = True
            if not self.lost.called:  # whoever does not want to hear of it any more has cancelled it
                self.lost.callback(lost)
        self._note_unlock()
        self.closed.callback(None)

    def _write(self, data: bytes) -> None:
        _msg.debug("to %s: %r", self.peer, data)
        self.transport.write(data)

    def _take(self, answer: Answer) -> None:
        if answer.code in (Outcome.QUEUED, Outcome.AWAITING_CREATION):
            return
        decided, self._decided = self._decided, None
        if decided is not None:
            decided.callback(answer)

    def _note_unlock(self) -> None:
        """Note that the daemon has taken what we have given back, if we have."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        unlocked, self._unlocked = self._unlocked, None
        if unlocked is not None:
            unlocked.callback(None)

    def _fail(self, error: Exception) -> None:
        decided, self._decided = self._decided, None
        if decided is not None:
            decided.errback(error)
