"""TLS without a network: both ends and everything between them are in the hands of the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import (
    IConsumer,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump
from zope.interface import implementer, implementer_only

from flom.acquisition import Held
from flom.client.deferred.arbiter import RemoteArbiter
from flom.core.protocol.messages import Shutdown
from flom.errors import FlomError
from flom.server.arbiter import DeferredArbiter
from flom.server.connection import LockFactory
from flom.server.options import ServerOptions
from flom.tls.context import Tls
from tests.fakes.authority import Files

PEER: Final = "the daemon"
"""What our clients call it."""

_HERE: Final = IPv4Address("TCP", "192.0.2.1", 28015)
_THERE: Final = IPv4Address("TCP", "192.0.2.2", 40000)


@implementer_only(ITransport, IConsumer)
class NetworkTransport(FakeTransport):
    """One end of a connection; other than iosim's, it does not look like TCP, whose socket would be wanted."""

    def loseWriteConnection(self) -> None:
        self.loseConnection()


class MemoryNetwork:
    """
    Connections in memory.

    @ivar clock: the time at all their ends.
    @ivar pumps: what carries the bytes, one for each connection.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.pumps: list[IOPump] = []

    def link(self, client: IProtocol, server: IProtocol) -> None:
        """Connect the two."""
        ends = NetworkTransport(client, False, _THERE, _HERE), NetworkTransport(server, True, _HERE, _THERE)
        self.pumps.append(IOPump(client, server, *ends, False, self.clock))
        server.makeConnection(ends[1])
        client.makeConnection(ends[0])

    def settle(self) -> None:
        """Deliver everything that is on its way, and what follows from it."""
        while sum(bool(pump.pump()) for pump in self.pumps):  # all of them have their turn
            pass

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle()


@implementer(IStreamClientEndpoint)
class Endpoint:
    """
    Leads to what C{factory} makes.

    @ivar connections: how many there were.
    @ivar is_open: whether there may be more.
    """

    def __init__(self, network: MemoryNetwork, factory: IProtocolFactory) -> None:
        self._network = network
        self._factory = factory
        self.connections = 0
        self.is_open = True

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        if not self.is_open:
            return fail(ConnectionRefusedError())
        self.connections += 1
        client, server = protocolFactory.buildProtocol(_HERE), self._factory.buildProtocol(_THERE)
        assert client is not None
        assert server is not None
        self._network.link(client, server)
        return succeed(client)


class NetworkDaemon:
    """
    A daemon of ours.

    @ivar arbiter: decides who holds what.
    @ivar endpoint: leads there.
    @ivar shutdowns: those ordered so far; true for an immediate one, by which it ends.
    """

    def __init__(self, network: MemoryNetwork, tls: Tls | None) -> None:
        self.shutdowns: list[bool] = []
        clock = network.clock
        self.arbiter = DeferredArbiter(clock)
        self._factory = LockFactory(self.arbiter, clock, ServerOptions(tls=tls, on_shutdown=self._shut_down))
        self.endpoint = Endpoint(network, self._factory if tls is None else tls.secure_server(self._factory, clock))

    def end(self) -> None:
        self.endpoint.is_open = False
        self._factory.disconnect_all()

    def _shut_down(self, order: Shutdown) -> None:
        self.shutdowns.append(order.immediate)
        if order.immediate:
            self.end()


def ask(
    network: MemoryNetwork, endpoint: IStreamClientEndpoint, tls: Tls | None, *, wait: bool = False
) -> list[Held | FlomError]:
    """Ask for a lock by a client of ours; return the outcome as soon as there is one."""
    outcome: list[Held | FlomError] = []

    def note(failure: Failure) -> None:
        assert isinstance(failure.value, FlomError), failure.getTraceback()
        outcome.append(failure.value)

    RemoteArbiter(endpoint, PEER, network.clock, tls=tls).acquire("R1", wait=wait).addCallbacks(outcome.append, note)
    network.settle()
    return outcome


def is_served(network: MemoryNetwork, daemon: NetworkDaemon, tls: Tls | None) -> bool:
    """Return whether a client of ours can take a lock and release it."""
    [held] = ask(network, daemon.endpoint, tls)
    if isinstance(held, FlomError):
        return False
    released = held.release()
    network.settle()
    return released.called


class Bare(Protocol):
    """
    One end of a connection that knows nothing of locks.

    @ivar received: what has come.
    @ivar lost: why the connection has ended, once it has.
    """

    transport: Any

    def __init__(self, *first: bytes, hangs_up: bool = False) -> None:
        """
        @param first: what to say first, each in a TLS record of its own if there is TLS.
        @param hangs_up: whether to close the connection as soon as anything comes.
        """
        self._first = first
        self._hangs_up = hangs_up
        self.received = b""
        self.lost: Exception | None = None

    def connectionMade(self) -> None:
        for data in self._first:
            self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self._hangs_up:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        assert isinstance(reason.value, Exception)
        self.lost = reason.value


def bare_context(files: Files | None, *, newest: int = 0) -> SSL.Context:
    """
    Make what OpenSSL needs for an end of TLS that trusts every peer.

    @param files: its own certificate; C{None} for none.
    @param newest: the newest version of TLS that it speaks, by OpenSSL's number; 0 for whatever there is.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    if newest:
        context.set_max_proto_version(newest)
    if newest in (SSL.TLS1_VERSION, SSL.TLS1_1_VERSION):
        context.set_min_proto_version(newest)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
    if files is not None:
        context.use_certificate_file(files.certificate)
        context.use_privatekey_file(files.key)
    return context


def bare_client(
    network: MemoryNetwork, endpoint: IStreamClientEndpoint, context: SSL.Context | None, end: Bare
) -> Bare:
    """Connect C{end}, by TLS if there is a C{context}; give it."""
    factory: IProtocolFactory = Factory.forProtocol(lambda: end)
    if context is not None:
        factory = _secured(factory, context, is_client=True)
    endpoint.connect(factory)
    network.settle()
    return end


class ByHand:
    """
    A client whose TLS is in the hands of the test, so that it may stop anywhere.

    @ivar end: what lies below TLS.
    """

    def __init__(self, network: MemoryNetwork, endpoint: IStreamClientEndpoint, context: SSL.Context) -> None:
        self.end = bare_client(network, endpoint, None, Bare())
        self._network = network
        self._tls = SSL.Connection(context, None)
        self._tls.set_connect_state()

    def next_of_handshake(self) -> bytes:
        """Return what is to be sent next; nothing if the handshake is over."""
        self._take()
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return self._tls.bio_read(2**15)
        return b""

    def shake_hands(self) -> None:
        while flight := self.next_of_handshake():
            self.end.transport.write(flight)
            self._network.settle()

    def say(self, data: bytes) -> None:
        """Send C{data} when the handshake is over."""
        self._tls.send(data)
        self.end.transport.write(self._tls.bio_read(2**15))
        self._network.settle()

    def hear(self) -> bytes:
        """Return what has come since the handshake."""
        self._take()
        return self._tls.recv(2**15)

    def _take(self) -> None:
        received, self.end.received = self.end.received, b""
        if received:
            self._tls.bio_write(received)


def bare_daemon(network: MemoryNetwork, context: SSL.Context | None, make_end: Callable[[], Bare]) -> Endpoint:
    """Lead to a daemon that speaks TLS if there is a C{context}."""
    factory: IProtocolFactory = Factory.forProtocol(make_end)
    if context is not None:
        factory = _secured(factory, context, is_client=False)
    return Endpoint(network, factory)


def _secured(factory: IProtocolFactory, context: SSL.Context, *, is_client: bool) -> IProtocolFactory:
    secured = TLSMemoryBIOFactory(_Connections(context), is_client, factory)
    secured.protocol = TLSMemoryBIOProtocol  # which makes a record of each write
    return secured


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class _Connections:
    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)
