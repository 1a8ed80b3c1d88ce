"""
HTTP, as little of it as it takes.

Not L{twisted.web.server.Site}: it says which Twisted it is, logs every request and keeps the bodies of uploads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from ipaddress import ip_address
from socket import gethostname
from typing import Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolNegotiationFactory, IReactorTime
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request, datetimeToString
from zope.interface import implementer

from flom.core.group.addresses import is_loopback
from flom.server.admission import reserve
from flom.server.web.answers import Answer, Answers, in_words

MAX_CONNECTIONS: Final = 32
"""How many there may be, but no more than half of the descriptors that are kept; more are closed at once."""

IDLE_TIME: Final = 30
"""Seconds after which a connection that says nothing is closed."""

_METHODS: Final = (b"GET", b"HEAD")

_HEADERS: Final = {
    # Trusted types make the browser refuse whatever would turn a text into markup, so that no name can become any.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class _Request(Request):
    """One request."""

    _log = Logger()
    channel: _Channel
    _is_abandoned = False

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()  # for the bodies of requests, which nobody wants

    def handleContentChunk(self, data: bytes) -> None:
        """Forget C{data}."""

    def process(self) -> None:
        maybeDeferred(self._answer).addErrback(self._explain).addCallback(self._send)

    def connectionLost(self, reason: Failure) -> None:
        self._is_abandoned = True
        super().connectionLost(reason)

    def _answer(self) -> Deferred[Answer]:
        answers = self.channel.factory.answers
        path = self.path.decode("latin-1")
        if not self._is_meant_for_us():
            return succeed(in_words(HTTPStatus.MISDIRECTED_REQUEST, "no such host here"))
        if path in answers and self.method not in _METHODS:
            self.setHeader("Allow", b", ".join(_METHODS))
            return succeed(in_words(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed"))
        return answers.get(path)

    def _is_meant_for_us(self) -> bool:
        """
        Tell whether no web page of a stranger has had its own name resolved to our address, to read us.

        That is how to reach what listens on loopback only. On other addresses we cannot know by which names we go.
        """
        if not isinstance(self.host, IPv4Address | IPv6Address) or not is_loopback(self.host.host):
            return True
        return all(map(_is_our_name, self.requestHeaders.getRawHeaders("Host", [])))

    def _explain(self, failure: Failure) -> Answer:
        self._log.failure("answering {request}", failure, request=self)
        return in_words(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")

    def _send(self, answer: Answer) -> None:
        if self._is_abandoned:
            return
        self.setResponseCode(answer.code, answer.code.phrase.encode())
        for name, value in _HEADERS.items():
            self.setHeader(name, value)
        self.setHeader("Date", datetimeToString())
        self.setHeader("Content-Type", answer.content_type)
        self.setHeader("Content-Length", str(len(answer.body)))
        self.write(answer.body)  # all of it: the channel reads no more requests until it is on its way
        self.finish()


@lru_cache(maxsize=100)
def _is_our_name(host: str) -> bool:
    """Tell whether a client on this machine may call us C{host}, perhaps with a port."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    name = name.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost") or name == gethostname().lower():
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class _Channel(HTTPChannel):
    """One connection."""

    requestFactory = _Request
    timeOut = IDLE_TIME
    factory: WebFactory

    def connectionMade(self) -> None:
        self.factory.connections.add(self)
        super().connectionMade()

    def requestDone(self, request: _Request) -> None:
        super().requestDone(request)
        if not self.persistent:
            self.setTimeout(IDLE_TIME)  # Twisted would wait for ever until the client has read its last answer

    def callLater(self, period: float, func: Callable[[], None]) -> IDelayedCall:
        """Have timers where the factory has them: Twisted would take the global reactor."""
        timer: IDelayedCall = self.factory.clock.callLater(period, func)
        return timer

    def timeoutConnection(self) -> None:
        if self.persistent:
            super().timeoutConnection()
        else:
            self.forceAbortClient()  # it was closed after its last answer, and could not be

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.connections.discard(self)
        super().connectionLost(reason)


@implementer(IProtocolNegotiationFactory)
class WebFactory(ServerFactory[_Channel]):
    """
    What connections share.

    @ivar clock: has their timers.
    @ivar connections: those that there are.
    """

    def __init__(self, clock: IReactorTime, answers: Answers) -> None:
        self.clock = clock
        self.answers = answers
        self.connections: set[_Channel] = set()

    def buildProtocol(self, addr: IAddress | None) -> _Channel | None:
        if len(self.connections) >= min(MAX_CONNECTIONS, reserve() // 2):
            return None
        channel = _Channel()
        channel.factory = self
        return channel

    def acceptableProtocols(self) -> list[bytes]:
        """See L{IProtocolNegotiationFactory}: with TLS, clients want to be told, or they do not talk."""
        return [b"http/1.1"]

    def log(self, request: Request) -> None:
        """Twisted calls this at the end of each; there would be one a second for every browser."""

    def disconnect_all(self) -> None:
        """Send everybody away."""
        for channel in list(self.connections):
            channel.loseConnection()
