"""What a connection does alike whether TLS lies between its protocol and the socket or not."""

from __future__ import annotations

import socket
from collections.abc import Callable
from errno import EAGAIN, EINTR, ENOBUFS, EPIPE
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import ITCPTransport, IUNIXTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper

from flom.config import Config
from flom.errors import ConfigError
from flom.interfaces import IReactor
from flom.net.keepalive import Keepalive, is_confirmed
from flom.text import missing_extra

if TYPE_CHECKING:
    from flom.tls.context import Tls


def tls_of(config: Config) -> Tls | None:
    """
    Return our end of TLS as C{config} wants it; C{None} for plain text.

    @raise ConfigError: a package is missing. Other errors are those of L{Tls}.
    """
    if not config.is_tls:
        return None

    try:
        from flom.tls.context import Tls  # the others need not wait for its import
    except ImportError as e:
        raise ConfigError(f"TLS {missing_extra(e)}") from None

    files = config.tls_certificate, config.tls_private_key, config.tls_ca_certificate
    return Tls(*files, checks_peer_id=config.tls_check_peer_id)


def underlying(transport: Any) -> Any:
    """Return the transport that has the socket: under TLS, the one below that; otherwise C{transport} itself."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def adopt(reactor: IReactor, connected: socket.socket, protocol: Protocol) -> None:
    """Connect C{protocol} by a copy of C{connected}, one of a pair of UNIX sockets; the caller closes that."""
    factory: Any = Factory.forProtocol(lambda: protocol)
    connected.setblocking(False)
    reactor.adoptStreamConnection(connected.fileno(), socket.AF_UNIX, factory)


def tune(transport: Any, keepalive: Keepalive) -> None:
    """Set keepalive on C{transport} if it is a TCP connection."""
    if is_tcp(transport):
        keepalive.tune(underlying(transport).getHandle())


def is_tcp(transport: Any) -> bool:
    """Return whether C{transport} is a TCP connection, with TLS or without."""
    return _is_tcp(underlying(transport).__class__)


@cache
def _is_tcp(kind: type) -> bool:
    return ITCPTransport.implementedBy(kind) and not IUNIXTransport.implementedBy(kind)  # the latter are both


_NO_RESET: Final = frozenset({EAGAIN, EINTR, ENOBUFS, EPIPE})
"""Errors of sending that leave the connection as it is, or come after an end in good order."""


def sends_at_once(transport: Any) -> bool:
    """Return whether L{sender} can send by C{transport} at once: there is a socket, and no TLS."""
    return isinstance(transport, Connection)


def sender(transport: Any) -> Callable[[bytes], None]:
    """
    Return a function that sends bytes by C{transport}, at once if that is possible.

    C{transport.write} leaves that to the reactor's next turn, which costs more than the sending itself.
    """
    if not sends_at_once(transport):
        return transport.write  # type: ignore[no-any-return]  # TLS, for one, has to see them first

    def send(data: bytes) -> None:
        is_open = transport.connected and not (transport.disconnecting or transport._aborting)
        if is_open and not (transport.dataBuffer or transport._tempDataBuffer):
            try:
                sent = transport.socket.send(data)
            except OSError as e:
                sent = 0  # write will find an error, too
                if e.errno not in _NO_RESET:
                    transport.stopReading()  # or else the end of the stream might be found first
            if sent == len(data):
                return
            data = data[sent:]
        transport.write(data)

    return send


def close_our_side(transport: Any) -> None:
    """
    Send the end of our data, while the other end may go on sending; TLS cannot do that, and closes in order.

    If nothing waits to be sent, that is done at once: Twisted would wait until an empty text can be sent.
    """
    if isinstance(transport, ProtocolWrapper):
        transport.loseConnection()
    elif isinstance(transport, Connection) and not (transport.dataBuffer or transport._tempDataBuffer):
        transport._writeDisconnecting = transport._writeDisconnected = True
        transport._closeWriteConnection()
    else:
        transport.loseWriteConnection()


def unsent(transport: Any) -> tuple[object, int]:
    """Return a value that differs as soon as some of the bytes that wait to be sent by C{transport} have been."""
    transport = underlying(transport)
    return transport.dataBuffer, transport.offset


def has_arrived(transport: Any) -> bool:
    """Return whether the kernel at the other end has confirmed all that was sent by C{transport}."""
    below = underlying(transport)
    return not (below.dataBuffer or below._tempDataBuffer) and is_confirmed(below.fileno())


def break_off(transport: Any) -> None:
    """
    End the connection at once by a reset: what looked like an end in good order would say that we are done. If a child
    has inherited the connection, that end is all that is closed.
    """
    underlying(transport).abortConnection()


def end_for_all(transport: Any) -> None:
    """
    End the connection at once and in good order, also where a child inherited it; C{abortConnection} closes our
    descriptor only, and tells the other end by a reset.
    """
    below = underlying(transport)
    if isinstance(below, Connection):
        if not below.connected:
            return
        try:
            below.getHandle().shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other end was first
    transport.abortConnection()
