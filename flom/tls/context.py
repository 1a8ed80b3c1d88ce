"""TLS for Twisted: endpoints and factories over pyOpenSSL (docs/compatibility.md, "TLS")."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_ASN1, X509, dump_certificate
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.codes import ReturnCode
from flom.errors import TlsError
from flom.tls import verdicts
from flom.tls.files import complaints_of, make_context, own_common_name
from flom.trace import tracer

_trace = tracer("tls")


class Tls:
    """
    Our end of TLS connections: TLS 1.2 or 1.3, with certificates on both sides.

    Certificates are verified during the handshake, so that a refused peer learns why from OpenSSL's alert. FLoM
    verifies them afterwards, and closes.

    @ivar checks_peer_id: whether a peer's unique id must be the common name of its certificate
        (docs/compatibility.md, "Peer id check").
    @ivar own_name: the common name of our own certificate, if it has one.
    """

    def __init__(
        self, certificate: str, private_key: str, ca_certificate: str, *, checks_peer_id: bool = False
    ) -> None:
        """L{make_context} says what the files are; L{TlsError} is raised if one of them cannot be used."""
        self.checks_peer_id = checks_peer_id
        self._files = certificate, private_key, ca_certificate
        self._problems: WeakKeyDictionary[SSL.Connection, str] = WeakKeyDictionary()
        self._connections = _Connections(self._read())

    def reload(self) -> None:
        """
        Read the files again, for connections to come; those that are open go on.

        L{TlsError} is raised if one of them cannot be used; nothing has changed then.
        """
        self._connections.context = self._read()

    def _read(self) -> SSL.Context:
        context = make_context(*self._files)
        self.own_name = own_common_name(self._files[0])
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._take_verdict)
        return context

    def secure_client(self, endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
        """Return an endpoint that speaks TLS over the connections of C{endpoint}."""
        return _ClientEndpoint(self._connections, endpoint)

    def secure_server(self, factory: IProtocolFactory, clock: Any) -> IProtocolFactory:
        """Return a factory that speaks TLS with the clients of C{factory}."""
        return _ServerFactory(self._connections, False, factory, clock)

    def check_peer_id(self, transport: Any, peer_id: str | None) -> None:
        """Check, if that is to be done, that the other end's unique id is the common name of its certificate."""
        if not self.checks_peer_id:
            return
        name = verdicts.peer_common_name(_der(transport.getPeerCertificate()))
        if peer_id is None or peer_id != name:
            raise verdicts.peer_id_problem(peer_id, name)

    def note_handshake(self, transport: Any) -> None:
        """Trace who the other end is, now that it is known."""
        if not _trace.is_on:
            return
        connection = transport.getHandle()
        _trace.debug(
            "%s, %s, certificate %s",
            connection.get_protocol_version_name(),
            connection.get_cipher_name(),
            verdicts.describe_certificate(_der(connection.get_peer_certificate())),
        )

    def why_lost(self, transport: Any, reason: Failure, *, is_secured: bool) -> TlsError | None:
        """
        Return what C{reason}, by which a connection has ended, means; C{None} if TLS has nothing to do with it.

        @param is_secured: whether the handshake was over.
        """
        if not isinstance(reason.value, SSL.Error):
            return None
        problem = self._problems.get(transport.getHandle())
        if problem is not None:
            return TlsError(ReturnCode.SSL_GET_VERIFY_RESULT_ERROR, problem)
        return verdicts.connection_failed(complaints_of(reason.value), is_secured=is_secured)

    def has_closed(self, transport: Any, reason: Failure) -> bool:
        """
        Return whether the other end has closed the connection, which has ended by C{reason}; false after a reset or an
        alert, or if we gave it up (docs/compatibility.md, "End of a TLS connection").
        """
        if isinstance(reason.value, SSL.Error):
            return False  # also an alert sets the sign below
        has_said_so = bool(transport.getHandle().get_shutdown() & SSL.RECEIVED_SHUTDOWN)
        return has_said_so or transport.ended.check(ConnectionDone) is not None

    def has_broken(self, transport: Any, reason: Failure) -> bool:
        """
        Return whether the connection, which has ended by C{reason}, was closed by neither end; an end of the stream
        below TLS counts as closed.
        """
        is_ours = isinstance(reason.value, SSL.Error) or transport.ended.check(ConnectionAborted) is not None
        return not is_ours and not self.has_closed(transport, reason)

    def peer_certificate(self, transport: Any) -> bytes:
        """Return a digest of the other end's certificate."""
        certificate: X509 = transport.getPeerCertificate()
        return certificate.digest("sha256")

    def _take_verdict(self, connection: SSL.Connection, certificate: Any, error: int, depth: int, is_good: int) -> bool:
        """Keep what is wrong with one certificate of the other end, by OpenSSL's verdict."""
        if not is_good:
            self._problems[connection] = verdicts.certificate_problem(error, depth, _der(certificate))
        return bool(is_good)


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class _Connections:
    """Makes OpenSSL's part of each connection; no host name is checked (docs/compatibility.md, "TLS parameters")."""

    def __init__(self, context: SSL.Context) -> None:
        self.context = context

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """See L{IOpenSSLClientConnectionCreator}; the other method, for a server, does the same."""
        return SSL.Connection(self.context, None)

    serverConnectionForTLS = clientConnectionForTLS


@implementer(IStreamClientEndpoint)
class _ClientEndpoint:
    """Speaks TLS over the connections of another endpoint, as Twisted's C{wrapClientTLS} does."""

    def __init__(self, connections: _Connections, endpoint: IStreamClientEndpoint) -> None:
        self._connections = connections
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See L{IStreamClientEndpoint.connect}."""
        connecting: Deferred[Any] = self._endpoint.connect(_ClientFactory(self._connections, True, protocolFactory))
        return connecting.addCallback(lambda transport: transport.wrappedProtocol)


class _Transport(BufferingTLSTransport):
    """
    Keeps how the connection below TLS has ended: without a close_notify, Twisted reports its end as it does a reset.

    @ivar ended: the reason by which it has.
    """

    ended: Failure

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended = reason
        super().connectionLost(reason)


class _ClientFactory(TLSMemoryBIOFactory):
    protocol = _Transport


class _ServerFactory(TLSMemoryBIOFactory):
    """Refuses the clients that the wrapped factory refuses; Twisted's class does not."""

    protocol = _Transport

    def buildProtocol(self, addr: IAddress | None) -> TLSMemoryBIOProtocol | None:  # type: ignore[override]
        protocol = super().buildProtocol(addr)
        return None if protocol.wrappedProtocol is None else protocol


def _der(certificate: X509 | None) -> bytes:
    assert certificate is not None
    return dump_certificate(FILETYPE_ASN1, certificate)
