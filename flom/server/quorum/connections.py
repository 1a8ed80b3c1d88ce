"""Connections to etcd's members: plain or with TLS, their answers read to an end that comes, or cut off."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool, ResponseDone
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from flom.server.quorum.tls import QuorumTls

CONNECT_LIMIT: Final = 10.0
"""Seconds to connect at most; what asks has a shorter limit of its own."""


class TooLong(Exception):
    """An answer is longer than is read."""


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """
    Connects to members.

    @ivar connected: the protocol of the last connection, which may be aborted; C{None} if there is none yet.
    """

    def __init__(self, reactor: Any, tls: QuorumTls | None) -> None:
        self._reactor = reactor
        self._tls = tls
        self.connected: Any = None

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """See L{IAgentEndpointFactory.endpointForURI}."""
        host = uri.host.decode("ascii").strip("[]")
        endpoint: IStreamClientEndpoint = HostnameEndpoint(self._reactor, host, uri.port, timeout=CONNECT_LIMIT)
        if self._tls is not None:
            endpoint = wrapClientTLS(self._tls.creator(host), endpoint)
        return _Noting(endpoint, self)

    def abort(self) -> None:
        """Abort the last connection, whatever its other end does: nothing waits for an answer to that."""
        if self.connected is not None and self.connected.transport is not None:
            self.connected.transport.abortConnection()


@implementer(IStreamClientEndpoint)
class _Noting:
    """Notes which connection another endpoint has made."""

    def __init__(self, endpoint: IStreamClientEndpoint, factory: _Endpoints) -> None:
        self._endpoint = endpoint
        self._factory = factory

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """See L{IStreamClientEndpoint.connect}."""

        def note(protocol: Any) -> Any:
            self._factory.connected = protocol
            return protocol

        protocolFactory.noisy = False  # or the log had two lines for each connection
        connecting: Deferred[Any] = self._endpoint.connect(protocolFactory)
        return connecting.addCallback(note)


def agent_for(reactor: Any, tls: QuorumTls | None, pool: HTTPConnectionPool) -> Agent:
    """Return an agent whose connections are kept in C{pool}."""
    agent: Agent = Agent.usingEndpointFactory(reactor, _Endpoints(reactor, tls), pool)
    return agent


class OneConnection:
    """
    An agent for one request, whose connection can be aborted at any time: Twisted offers no way to that once the answer
    has begun.
    """

    def __init__(self, reactor: Any, tls: QuorumTls | None) -> None:
        self._endpoints = _Endpoints(reactor, tls)
        pool = HTTPConnectionPool(reactor, persistent=False)
        self.agent = Agent.usingEndpointFactory(reactor, self._endpoints, pool)

    def abort(self) -> None:
        """Abort it."""
        self._endpoints.abort()


class BodyReader(Protocol):
    """Reads the body of one answer."""

    def __init__(self, most: int) -> None:
        """@param most: bytes that are read."""
        self._most = most
        self._body = bytearray()
        self._read: Deferred[bytes] = Deferred(lambda _: self._hang_up())

    def read(self, response: Any) -> Deferred[bytes]:
        """
        Return what fires with the whole body; cancelling it closes the connection, unlike that of C{treq.content}.

        It fails with L{TooLong}, or with the reason why the connection has ended before.
        """
        response.deliverBody(self)
        return self._read

    def dataReceived(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > self._most and not self._read.called:
            self._hang_up()
            self._read.errback(TooLong(f"an answer of more than {self._most} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._read.called:
            return
        if reason.check(ResponseDone):
            self._read.callback(bytes(self._body))
        else:
            self._read.errback(reason)

    def _hang_up(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
