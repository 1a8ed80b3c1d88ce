"""Connections to a lock factory without a network."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.codes import ReturnCode
from flom.core.protocol.framing import MAX_ANSWER_SIZE, MessageReader
from flom.core.protocol.messages import Answer, Message
from flom.errors import TlsError
from flom.net.machine_id import unique_id
from flom.server.arbiter import DeferredArbiter
from flom.server.connection import LockFactory, LockProtocol
from flom.server.options import DEFAULT_OPTIONS, ServerOptions
from flom.server.proofs import Proofs


class Transport(StringTransport):
    """
    A transport that also knows how to close one side, and at once.

    @ivar half_closed: whether our side is closed.
    @ivar aborted: whether the connection was thrown away.
    @ivar dataBuffer: what is to be sent to a peer that reads nothing.
    @ivar offset: how much of that has been sent.
    """

    half_closed = False
    aborted = False
    dataBuffer = b""
    offset = 0

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()


class _Handle:
    """Stands in for a TCP socket, which has options."""

    def setsockopt(self, *option: Any) -> None:
        pass


@implementer(ITCPTransport)
class TcpTransport(Transport):  # type: ignore[misc]  # it has what we use
    """Stands in for a TCP connection."""

    def getHandle(self) -> Any:
        return _Handle()


def wrap(transport: Any) -> Any:
    """Return a transport that sends its bytes by C{transport}, as TLS has one."""
    wrapper = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
    wrapper.transport = transport
    return wrapper


class FakeTls:
    """Stands in for a L{flom.tls.context.Tls} where it does not matter how a connection is secured."""

    own_name = "our own"

    def __init__(self, peer_id: str | None = None) -> None:
        """
        @param peer_id: the only one to be content with; C{None} if they are not checked.
        """
        self._peer_id = peer_id

    def secure_client(self, endpoint: Any) -> Any:
        return endpoint

    def note_handshake(self, transport: Any) -> None:
        pass

    def check_peer_id(self, transport: Any, peer_id: str | None) -> None:
        if self._peer_id not in (None, peer_id):
            raise TlsError(ReturnCode.UNIQUE_ID_DOES_NOT_MATCH, f"its unique id '{peer_id}' is not '{self._peer_id}'")

    def why_lost(self, transport: Any, reason: Any, *, is_secured: bool) -> None:
        pass

    def has_closed(self, transport: Any, reason: Any) -> bool:
        return True


class MemoryDaemon:
    """
    A lock factory and its clients.

    @ivar shutdowns: the shutdowns carried out so far; true for immediate ones.
    """

    def __init__(self, options: ServerOptions = DEFAULT_OPTIONS, proofs: Proofs | None = None) -> None:
        self.clock = Clock()
        self.shutdowns: list[bool] = []
        self.arbiter = DeferredArbiter(self.clock, limits=options.limits)
        self.options = replace(options, on_shutdown=lambda order: self.shutdowns.append(order.immediate))
        self.factory = LockFactory(self.arbiter, self.clock, self.options, proofs=proofs)

    def connect(self, host: str = "127.0.0.1", kind: type[Transport] = Transport) -> MemoryClient:
        """Return a client that connects from C{host}."""
        return MemoryClient(self.factory, host, kind)


class MemoryClient:
    """A connection, seen from the client."""

    def __init__(self, factory: LockFactory, host: str, kind: type[Transport] = Transport) -> None:
        self.transport = kind(IPv4Address("TCP", "127.0.0.1", 28015), IPv4Address("TCP", host, 40000))
        protocol = factory.buildProtocol(None)
        assert isinstance(protocol, LockProtocol)
        self.protocol = protocol
        protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> MemoryClient:
        self.protocol.dataReceived(data)
        return self

    def received(self) -> list[Message]:
        """Return the messages that came since the last call."""
        data = self.transport.value()
        self.transport.clear()
        return list(MessageReader(MAX_ANSWER_SIZE).feed(data))

    def leave(self, why: Exception | None = None) -> None:
        """Lose the connection, in good order unless C{why} says otherwise."""
        self.protocol.connectionLost(Failure(why or ConnectionDone()))


def xml(verb: int, step: int, body: str = "", level: int = 3) -> bytes:
    return f'<msg level="{level}" verb="{verb}" step="{step}">{body}</msg>'.encode()


def lock(name: str = "R1", **attributes: Any) -> bytes:
    """Write a lock message: exclusive, waiting and creating unless C{attributes} say something else."""
    attributes = {"mode": 5, "wait": 1, "create": 1, "lifespan": 0} | attributes
    rest = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return xml(1, 8, f'<session peerid="0123"/><resource name="{b64encode(name.encode()).decode()}"{rest}/>')


def unlock(name: str = "R1", rollback: int = 0) -> bytes:
    return xml(2, 8, f'<resource name="{b64encode(name.encode()).decode()}" rollback="{rollback}" />')


def first(code: int, element: str | None = None) -> Answer:
    """The first answer to a request."""
    return Answer(16, code, element, unique_id())


def later(code: int, element: str | None = None) -> Answer:
    """A later answer to a request."""
    return Answer(24, code, element)
