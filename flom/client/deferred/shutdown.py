"""Ordering a daemon to end (docs/compatibility.md, "Shutdown")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from flom.client.deferred.connection import DaemonConnection
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_ANSWER_SIZE, MessageReader
from flom.core.protocol.messages import ManagementRefused, Shutdown
from flom.errors import DaemonUnreachable, RemoteProtocolError, ShutdownNotAllowed, TlsError
from flom.net.machine_id import unique_id
from flom.reactor.endpoints import stream_endpoint

if TYPE_CHECKING:
    from flom.tls.context import Tls

_REFUSAL_TIMEOUT: Final = 1.0
"""Seconds in which a refusal comes, if one does; a daemon that obeys need not say anything."""


_END_CHECKS: Final = 10
_END_CHECK_INTERVAL: Final = 0.1  # seconds


class _Order(DaemonConnection):
    """
    Sends the order and waits for what the daemon has to say.

    @ivar sent: fires when the order is on its way, or with the reason why it never will be.
    @ivar over: fires when the daemon has closed the connection, with whether it obeys; or with L{TlsError}.
    """

    def __init__(self, message: Shutdown, peer: str, clock: IReactorTime, tls: Tls | None) -> None:
        super().__init__(peer, clock, tls)
        self._message = message
        self._reader = MessageReader(MAX_ANSWER_SIZE)
        self.sent: Deferred[None] = Deferred()
        self.over: Deferred[bool] = Deferred()

    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.write(encode(self._message))
        if self._tls is None:
            self.sent.callback(None)

    def handshakeCompleted(self) -> None:
        super().handshakeCompleted()
        self.sent.callback(None)

    def dataReceived(self, data: bytes) -> None:
        try:
            is_refused = any(isinstance(message, ManagementRefused) for message in self._reader.feed(data))
        except RemoteProtocolError:
            is_refused = False
        if is_refused and not self.over.called:
            self.over.callback(False)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        why = self.why_lost(reason)
        if not self.sent.called:
            self.sent.errback(why)
        elif self.over.called:
            pass
        elif isinstance(why, TlsError):
            self.over.errback(why)
        else:
            self.over.callback(True)


async def shut_down(
    reactor: Any,
    endpoint: IStreamClientEndpoint,
    peer: str,
    immediate: bool,
    *,
    tls: Tls | None = None,
    is_in_pool: bool = False,
) -> None:
    """
    Order the daemon that C{endpoint} leads to to end.

    @param immediate: at once, whoever holds locks; otherwise as soon as nobody needs it any more.
    @param tls: our end of TLS; C{None} for plain text.
    @param is_in_pool: whether C{endpoint} leads to another daemon when that one has gone.
    @raise ShutdownNotAllowed: it refuses, or is still there although it has closed the connection.
    @raise flom.errors.DaemonUnreachable: there is none.
    @raise TlsError: it does not want to talk to us, or we not to it.
    """
    secured = endpoint if tls is None else tls.secure_client(endpoint)
    order = await connectProtocol(secured, _Order(Shutdown(immediate, unique_id()), peer, reactor, tls))
    await order.sent
    try:
        is_obeyed = await order.over.addTimeout(_REFUSAL_TIMEOUT, reactor)
    except TimeoutError:
        return  # it ends when nobody needs it any more
    finally:
        order.transport.abortConnection()
    if not is_obeyed:
        raise ShutdownNotAllowed(
            f"{peer} refuses to end: that is for its own user, its own host or a peer that TLS makes it trust to "
            "order; if it is part of another program, for that alone"
        )
    if is_in_pool:  # there may be another daemon by now
        address = order.transport.getPeer()
        endpoint = stream_endpoint(reactor, address.host, address.port)
    if await _is_still_there(reactor, endpoint):
        raise ShutdownNotAllowed(
            f"{peer} has closed the connection, but has not ended: it may want TLS, or stand by for another daemon"
        )


async def _is_still_there(reactor: Any, endpoint: IStreamClientEndpoint) -> bool:
    """Tell whether somebody still listens where the daemon was, which may need a moment to end."""
    for _ in range(_END_CHECKS):
        try:
            probe = await connectProtocol(endpoint, Protocol())
        except (DaemonUnreachable, ConnectError):
            return False
        probe.transport.abortConnection()
        await deferLater(reactor, _END_CHECK_INTERVAL)
    return True
