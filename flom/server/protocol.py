"""The daemon's end of a connection: bytes come in and go out, the arbiter decides between (spec 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from flom.core.messages import Message, Shutdown, ShutdownRefused
from flom.core.requests import Effect, Granted, Incubated, LockRequest, Queued, Refused
from flom.core.session import InvalidLock, Release, ServerSession
from flom.core.wire import MessageReader, encode
from flom.errors import Outcome, RemoteProtocolError
from flom.identity import unique_id
from flom.keepalive import DEFAULT_KEEPALIVE, Keepalive, tune
from flom.server.arbiter import DeferredArbiter
from flom.server.peer import describe, may_end_daemon

MESSAGE_TIMEOUT: Final = 30.0
"""Seconds that a peer has for its first message, to end a message that it has begun, and to close when refused."""


class LockProtocol(Protocol, TimeoutMixin):
    """
    One client.

    While it does not read its answers, nothing more is read from it, so that they cannot pile up here.
    """

    _log = Logger()

    transport: Any  # more than ITransport: UNIX and TCP transports have common methods that no interface names

    def __init__(
        self,
        arbiter: DeferredArbiter,
        clock: IReactorTime,
        keepalive: Keepalive,
        on_shutdown: Callable[[bool], None],
        connected: set[LockProtocol],
    ) -> None:
        """
        @param connected: holds this protocol for as long as it is connected.
        """
        self._clock = clock
        self._arbiter = arbiter
        self._keepalive = keepalive
        self._on_shutdown = on_shutdown
        self._connected = connected
        self._reader = MessageReader()

    def connectionMade(self) -> None:
        self._connected.add(self)
        self._id = self._arbiter.open(self._tell)
        self._session = ServerSession(self._id)
        tune(self.transport, self._keepalive)
        self.transport.registerProducer(self.transport, True)
        self.setTimeout(MESSAGE_TIMEOUT)

    def dataReceived(self, data: bytes) -> None:
        if self._session.is_over:
            return
        completed = False
        try:
            for message in self._reader.feed(data):
                self._serve(message)
                completed = True
        except RemoteProtocolError as e:
            self._close(str(e))
        if self._session.is_over:
            self.setTimeout(MESSAGE_TIMEOUT)
        elif not self._reader:
            self.setTimeout(None)
        elif completed or self.timeOut is None:
            self.setTimeout(MESSAGE_TIMEOUT)

    def callLater(self, period: float, func: Callable[[], None]) -> IDelayedCall:
        return self._clock.callLater(period, func)  # TimeoutMixin would take the global reactor's

    def timeoutConnection(self) -> None:
        if not self._session.is_over:
            self._log_breach(f"no whole message within {MESSAGE_TIMEOUT:g} s")
        self.transport.abortConnection()

    def hang_up(self) -> None:
        """Close the connection as soon as everything that was said is sent."""
        self.transport.unregisterProducer()  # a paused one would keep it open
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._connected.discard(self)
        self.setTimeout(None)
        self._arbiter.drop(self._id)  # one way out, whatever the cause

    def _serve(self, message: Message) -> None:
        match self._session.receive(message):
            case LockRequest() as request:
                self._arbiter.request(request)
            case Release(name, rollback):
                self._arbiter.release(self._id, name, rollback)
            case InvalidLock(name):
                self._log.info("{peer} asked for {name!r}: no name", peer=describe(self.transport), name=name)
                self._answer(Outcome.INVALID_NAME)
            case Shutdown(immediate):
                self._shut_down(immediate)
            case None:
                pass  # it comes after our last word

    def _tell(self, effect: Effect | None) -> None:
        match effect:
            case None:
                self._session.end()
                self.hang_up()
            case Granted(element=element, delayed=delayed):
                self._answer(Outcome.GRANTED, element, delayed=delayed)
            case Queued(delayed=delayed):
                self._answer(Outcome.QUEUED, delayed=delayed)
            case Incubated():
                self._answer(Outcome.AWAITING_CREATION)
            case Refused(outcome=outcome, delayed=delayed):
                self._answer(outcome, delayed=delayed)

    def _answer(self, outcome: Outcome, element: str | None = None, *, delayed: bool = False) -> None:
        answer = self._session.answer(outcome, unique_id(), element, delayed=delayed)
        if answer is None:
            self._close(f"a timestamp format that cannot be used: {self._session.resource}")
            return
        self.transport.write(encode(answer))
        if self._session.is_over:
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()

    def _shut_down(self, immediate: bool) -> None:
        kind = "immediate" if immediate else "quiesce"
        if may_end_daemon(self.transport):
            self._log.info("{kind} shutdown ordered by {peer}", kind=kind, peer=describe(self.transport))
            self._on_shutdown(immediate)
        else:
            self._log.warn("{kind} shutdown refused to {peer}", kind=kind, peer=describe(self.transport))
            self.transport.write(encode(ShutdownRefused()))
            self.hang_up()

    def _close(self, why: str) -> None:
        self._log_breach(why)
        self._session.end()
        self.hang_up()

    def _log_breach(self, why: str) -> None:
        self._log.warn("closing {peer}: {why}", peer=describe(self.transport), why=why)


class LockFactory(Factory):
    """Makes the daemon's end of every connection, be it TCP or UNIX; all share one arbiter."""

    noisy = False

    def __init__(
        self,
        arbiter: DeferredArbiter,
        clock: IReactorTime,
        keepalive: Keepalive = DEFAULT_KEEPALIVE,
        on_shutdown: Callable[[bool], None] = lambda immediate: None,
    ) -> None:
        """
        @param clock: times out silent peers.
        @param on_shutdown: called when a client that may do so orders the daemon to end; true: at once.
        """
        self._arbiter = arbiter
        self._clock = clock
        self._keepalive = keepalive
        self._on_shutdown = on_shutdown
        self._connected: set[LockProtocol] = set()

    def disconnect_all(self) -> None:
        """Close every connection."""
        for protocol in list(self._connected):
            protocol.hang_up()

    def buildProtocol(self, addr: IAddress | None) -> LockProtocol | None:
        if self._arbiter.is_retired:
            return None  # which closes the connection
        protocol = LockProtocol(self._arbiter, self._clock, self._keepalive, self._on_shutdown, self._connected)
        protocol.factory = self
        return protocol
