"""The client's end of a connection: one resource is asked for, held and given back (spec 5.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.client.connection import DaemonConnection
from flom.core.messages import Answer, Lock, Unlock
from flom.core.session import ClientSession
from flom.core.wire import MAX_ANSWER_SIZE, MessageReader, encode
from flom.errors import DaemonLost, FlomError, Outcome, RemoteProtocolError, TlsError
from flom.keepalive import Keepalive
from flom.trace import tracer
from flom.transports import close_our_side, tune

if TYPE_CHECKING:
    from flom.tls import Tls

CLOSE_TIMEOUT: Final = 5.0
"""Seconds that the daemon has for closing a connection after an unlock."""


_msg = tracer("msg")


class LockClient(DaemonConnection):
    """
    One conversation.

    @ivar lost: fires with the reason if the connection ends while the lock is held; otherwise never.
    """

    _log = Logger()

    def __init__(self, peer: str, clock: IReactorTime, keepalive: Keepalive, tls: Tls | None = None) -> None:
        """
        @param tls: see L{DaemonConnection}.
        """
        super().__init__(peer, clock, tls)
        self.lost: Deferred[FlomError] = Deferred()
        self._keepalive = keepalive
        self._reader = MessageReader(MAX_ANSWER_SIZE)
        self._session = ClientSession()
        self._decided: Deferred[Answer] | None = None
        self._closed: Deferred[None] = Deferred()

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
        decided: Deferred[Answer] = Deferred(canceller=lambda _: self.close())
        self._decided = decided
        self._write(data)
        return decided

    def unlock(self, message: Unlock) -> Deferred[None]:
        """
        Give the lock back and close.

        @return: fires when the daemon has closed its side too, or has not for L{CLOSE_TIMEOUT}; with L{DaemonLost} if
            it was gone before.
        """
        if self.lost.called:
            return fail(DaemonLost(f"{self.peer} closed the connection"))
        self._session.send(message)
        self._write(encode(message))
        close_our_side(self.transport)
        timer = self._clock.callLater(CLOSE_TIMEOUT, self.transport.abortConnection)
        return self._closed.addCallback(lambda _: timer.cancel() if timer.active() else None)

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
                answer = self._session.receive(message)
                if answer.step == 16:
                    self.check_peer_id(answer.peer_id)
                self._take(answer)
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
            self.lost.callback(lost)
        self._closed.callback(None)

    def _write(self, data: bytes) -> None:
        _msg.debug("to %s: %r", self.peer, data)
        self.transport.write(data)

    def _take(self, answer: Answer) -> None:
        if answer.code in (Outcome.QUEUED, Outcome.AWAITING_CREATION):
            return
        decided, self._decided = self._decided, None
        if decided is not None:
            decided.callback(answer)

    def _fail(self, error: Exception) -> None:
        decided, self._decided = self._decided, None
        if decided is not None:
            decided.errback(error)
