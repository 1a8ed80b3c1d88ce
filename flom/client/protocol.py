"""The client's end of a connection: one resource is asked for, held and given back (spec 5.5)."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.core.messages import Answer, Lock, Unlock
from flom.core.session import ClientSession
from flom.core.wire import MAX_ANSWER_SIZE, MessageReader, encode
from flom.errors import DaemonLost, FlomError, Outcome, RemoteProtocolError
from flom.keepalive import Keepalive, tune

CLOSE_TIMEOUT: Final = 5.0
"""Seconds that the daemon has for closing a connection after an unlock."""


class LockClient(Protocol):
    """
    One conversation.

    @ivar lost: fires with L{DaemonLost} if the connection ends while the lock is held; otherwise never.
    @ivar answered: whether the daemon has said anything.
    """

    _log = Logger()

    transport: Any  # more than ITransport: UNIX and TCP transports have common methods that no interface names

    def __init__(self, peer: str, clock: IReactorTime, keepalive: Keepalive) -> None:
        """
        @param peer: names the daemon in errors.
        """
        self.lost: Deferred[FlomError] = Deferred()
        self.answered = False
        self._peer = peer
        self._clock = clock
        self._keepalive = keepalive
        self._reader = MessageReader(MAX_ANSWER_SIZE)
        self._session = ClientSession()
        self._decided: Deferred[Answer] | None = None
        self._closed: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        tune(self.transport, self._keepalive)

    def keep_alive(self, keepalive: Keepalive) -> None:
        """Change when the daemon is probed."""
        tune(self.transport, keepalive)

    def lock(self, message: Lock) -> Deferred[Answer]:
        """
        Ask for a resource; cancelling gives up waiting by closing the connection.

        @return: fires with the answer that grants or refuses, with L{DaemonLost} or with L{RemoteProtocolError}.
        @raise LocalProtocolError: C{message} is too long, or must not be sent now.
        """
        data = encode(message)
        self._session.send(message)
        decided: Deferred[Answer] = Deferred(canceller=lambda _: self.close())
        self._decided = decided
        self.transport.write(data)
        return decided

    def unlock(self, message: Unlock) -> Deferred[None]:
        """
        Give the lock back and close.

        @return: fires when the daemon has closed its side too, or has not for L{CLOSE_TIMEOUT}; with L{DaemonLost} if
            it was gone before.
        """
        if self.lost.called:
            return fail(DaemonLost(f"{self._peer} closed the connection"))
        self._session.send(message)
        self.transport.write(encode(message))
        self.transport.loseWriteConnection()
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
        try:
            for message in self._reader.feed(data):
                self._take(self._session.receive(message))
        except RemoteProtocolError as e:
            if self._session.holds:
                # to close would be to give up the lock under whoever relies on it
                self._log.warn("{peer} sent what it must not: {why}", peer=self._peer, why=str(e))
                self._reader = MessageReader(MAX_ANSWER_SIZE)
            else:
                self._fail(RemoteProtocolError(f"{self._peer}: {e}"))
                self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        lost = DaemonLost(f"{self._peer} closed the connection")
        self._fail(lost)
        if self._session.holds:
            self.lost.callback(lost)
        self._closed.callback(None)

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
