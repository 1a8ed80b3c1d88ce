"""Ordering a daemon to end (spec 7.6)."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import connectProtocol
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from flom.core.messages import Shutdown, ShutdownRefused
from flom.core.wire import MAX_ANSWER_SIZE, MessageReader, encode
from flom.errors import RemoteProtocolError, ShutdownNotAllowed
from flom.identity import unique_id

_REFUSAL_TIMEOUT: Final = 1.0
"""Seconds in which a refusal comes, if one does; a daemon that obeys need not say anything."""


class _Order(Protocol):
    """Sends the order and waits for what the daemon has to say."""

    transport: Any

    def __init__(self, message: Shutdown) -> None:
        self._message = message
        self._reader = MessageReader(MAX_ANSWER_SIZE)
        self.over: Deferred[bool] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(encode(self._message))

    def dataReceived(self, data: bytes) -> None:
        try:
            is_refused = any(isinstance(message, ShutdownRefused) for message in self._reader.feed(data))
        except RemoteProtocolError:
            is_refused = False
        if is_refused and not self.over.called:
            self.over.callback(False)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.over.called:
            self.over.callback(True)


async def shut_down(reactor: Any, endpoint: IStreamClientEndpoint, peer: str, immediate: bool) -> None:
    """
    Order the daemon that C{endpoint} leads to to end.

    @param immediate: at once, whoever holds locks; otherwise as soon as nobody needs it any more.
    @raise ShutdownNotAllowed: it refuses. A daemon of FLoM never does.
    @raise flom.errors.DaemonUnreachable: there is none.
    """
    order = await connectProtocol(endpoint, _Order(Shutdown(immediate, unique_id())))
    try:
        is_obeyed = await order.over.addTimeout(_REFUSAL_TIMEOUT, reactor)
    except TimeoutError:
        is_obeyed = True
    order.transport.abortConnection()
    if not is_obeyed:
        raise ShutdownNotAllowed(f"{peer} refuses to end: over TCP only its own host may order that")
