"""
The web site of a daemon: L{twisted.web.server.Site} with limits and strict headers.

Twisted's own would say which Twisted it is, log every request (one a second for each browser) and keep the bodies of
uploads.
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from ipaddress import ip_address
from socket import gethostname
from typing import Any, Final

from twisted.application.service import IService
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource

from flom.core.group.addresses import is_loopback
from flom.interfaces import IReactor
from flom.server.admission import reserve
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.listening import ListeningService
from flom.server.peer import address_text
from flom.server.web.resources import Line, make_root

MAX_CONNECTIONS: Final = 32
"""How many there may be, but no more than half of the descriptors that are kept; more are closed at once."""

IDLE_TIME: Final = 30
"""Seconds after which a connection that says nothing is closed, and one aborted that does not read its last answer."""

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

_log: Final = Logger()


def web_service(
    reactor: IReactor, endpoint: IStreamServerEndpoint, arbiter: DeferredArbiter, counters: Counters
) -> IService:
    """Return a service that shows what C{arbiter} holds; C{CannotListenError} fails its start."""
    site = Site(make_root(reactor, arbiter, counters), reactor)

    def note_open(port: IListeningPort) -> None:
        _log.info("showing what is locked on {address}", address=address_text(port.getHost()))

    return ListeningService(endpoint, site, note_open, lambda port: site.disconnect_all())


class _Request(server.Request):
    def handleContentChunk(self, data: bytes) -> None:
        """Forget C{data}, a part of the body."""

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        self.requestHeaders.removeHeader(b"content-type")  # Twisted would parse a form, of which nothing was kept
        super().requestReceived(command, path, version)

    def process(self) -> None:
        if self.path == b"*":
            self.path = b"/*"  # Twisted would answer it by itself, without our headers
        super().process()

    def processingFailed(self, reason: Failure) -> Failure:
        _log.failure("answering {request}", reason, request=self)
        self.render(Line(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error"))
        return reason


class _Channel(HTTPChannel):
    factory: Site

    def connectionMade(self) -> None:
        self.factory.connections.add(self)
        super().connectionMade()

    def requestDone(self, request: server.Request) -> None:
        super().requestDone(request)
        if not self.persistent:
            self.setTimeout(IDLE_TIME)  # Twisted would wait for ever until the client has read its last answer

    def timeoutConnection(self) -> None:
        if self.persistent:
            super().timeoutConnection()
        else:
            self.forceAbortClient()  # it was closed after its last answer, and could not be

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.connections.discard(self)
        super().connectionLost(reason)


class Site(server.Site):
    """The site, and those of its connections that are open."""

    protocol = _Channel  # type: ignore[assignment]  # Twisted's own, for HTTP/2 too, is no subclass either
    requestFactory = _Request

    def __init__(self, root: Resource, reactor: IReactor) -> None:
        super().__init__(root, timeout=IDLE_TIME, reactor=reactor)
        self.connections: set[_Channel] = set()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        if len(self.connections) >= min(MAX_CONNECTIONS, reserve() // 2):
            return None
        return super().buildProtocol(addr)

    def getContentFile(self, length: int | None) -> BytesIO:
        """Return where Twisted would keep a body; see L{_Request.handleContentChunk}."""
        return BytesIO()

    def getResourceFor(self, request: server.Request) -> Resource:
        """Return what is at the path of C{request}, and set the headers that all answers have."""
        request.responseHeaders.removeHeader("Server")
        for name, value in _HEADERS.items():
            request.setHeader(name, value)
        if not _is_meant_for_us(request):
            return Line(HTTPStatus.MISDIRECTED_REQUEST, "no such host here")
        found: Resource = super().getResourceFor(request)
        return found

    def acceptableProtocols(self) -> list[bytes]:
        """Return what clients are offered over TLS."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Start nothing: Twisted's would open a log of all requests, with a timer for its times."""

    def disconnect_all(self) -> None:
        """Close all connections."""
        for channel in list(self.connections):
            channel.loseConnection()


def _is_meant_for_us(request: server.Request) -> bool:
    """
    Return false if a foreign web page may have had its own name resolved to our address, to read ours.

    That is how to reach what listens on loopback only. On other addresses we cannot know by which names we go.
    """
    here = request.getHost()
    if not isinstance(here, IPv4Address | IPv6Address) or not is_loopback(here.host):
        return True
    return all(map(_is_our_name, request.requestHeaders.getRawHeaders("Host", [])))


@lru_cache(maxsize=100)
def _is_our_name(host: str) -> bool:
    """Return whether a client on this machine may call us C{host}, perhaps with a port."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    name = name.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost") or name == gethostname().lower():
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
