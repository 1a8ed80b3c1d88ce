"""
TLS: files become what OpenSSL needs, peers get names, and what goes wrong gets words (docs/compatibility.md, "TLS").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import (
    IAddress,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.codes import ReturnCode
from flom.errors import TlsError
from flom.text import one_line, reason
from flom.trace import tracer

_VERIFY_DEPTH: Final = 4  # certificates between the peer's and ours (docs/compatibility.md, "TLS parameters")

_trace = tracer("tls")


class Tls:
    """
    Our end of TLS connections: TLS 1.2 or 1.3, with certificates on both sides.

    Certificates are verified during the handshake, so that whoever is refused hears why from OpenSSL's alert. FLoM
    verifies them afterwards, and closes.

    @ivar checks_peer_id: whether a peer's unique id must be the common name of its certificate
        (docs/compatibility.md, "Peer id check").
    @ivar own_name: the common name of our own certificate, if it has one.
    """

    def __init__(
        self, certificate: str, private_key: str, ca_certificate: str, *, checks_peer_id: bool = False
    ) -> None:
        """
        @param certificate: a PEM file; certificates that follow the first are sent too.
        @param private_key: a PEM file without a passphrase.
        @param ca_certificate: a PEM file with the authorities that a peer's certificate may come from.
        @raise TlsError: one of them cannot be used.
        """
        self.checks_peer_id = checks_peer_id
        self.own_name: str | None = None
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)

        def use_key(path: str) -> None:
            key: Any = load_pem_private_key(Path(path).read_bytes(), None)
            context.use_privatekey(key)
            context.check_privatekey()

        def note_name(path: str) -> None:
            self.own_name = _common_name(x509.load_pem_x509_certificate(Path(path).read_bytes()))

        use_certificate, use_ca = context.use_certificate_chain_file, context.load_verify_locations
        for option, path, use, code in (
            ("tls-certificate", certificate, use_certificate, ReturnCode.SSL_CTX_USE_CERTIFICATE_FILE_ERROR),
            ("tls-certificate", certificate, note_name, ReturnCode.SSL_CTX_USE_CERTIFICATE_FILE_ERROR),
            ("tls-private-key", private_key, use_key, ReturnCode.SSL_CTX_USE_PRIVATEKEY_FILE_ERROR),
            ("tls-ca-certificate", ca_certificate, use_ca, ReturnCode.SSL_CTX_LOAD_VERIFY_LOCATIONS_ERROR),
        ):
            _use(option, path, use, code)
        context.set_verify_depth(_VERIFY_DEPTH)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._take_verdict)
        self._problems: WeakKeyDictionary[SSL.Connection, str] = WeakKeyDictionary()
        self._connections = _Connections(context)

    @property
    def own_naming(self) -> str:
        """Tells the common name of our own certificate in words."""
        return f"our certificate {_naming(self.own_name)}"

    def new_connection(self) -> SSL.Connection:
        """Give OpenSSL's part of one more connection, with bytes going in and out of memory."""
        return self._connections.make()

    def secure_client(self, endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
        """Give an endpoint that speaks TLS over what C{endpoint} leads to."""
        secured: IStreamClientEndpoint = wrapClientTLS(self._connections, endpoint)
        return secured

    def secure_server(self, factory: IProtocolFactory, clock: Any) -> IProtocolFactory:
        """Give a factory that speaks TLS with the clients of C{factory}."""
        return _ServerFactory(self._connections, False, factory, clock)

    def check_peer_id(self, transport: Any, peer_id: str | None) -> None:
        """
        Check the unique id that the other end has sent, if that is to be done.

        @raise TlsError: it is not the common name of the other end's certificate.
        """
        if not self.checks_peer_id:
            return
        try:
            name = _common_name(transport.getPeerCertificate().to_cryptography())
        except _UNREADABLE as e:
            raise TlsError(ReturnCode.UNIQUE_ID_DOES_NOT_MATCH, f"its certificate cannot be read: {e}") from e
        if peer_id is None or peer_id != name:
            said = "it has sent no unique id" if peer_id is None else f"its unique id is '{peer_id}'"
            why = one_line(f"{said}, and its certificate {_naming(name)}")[:_MAX_NAMES]
            raise TlsError(ReturnCode.UNIQUE_ID_DOES_NOT_MATCH, why)

    def note_handshake(self, transport: Any) -> None:
        """Trace who the other end is, now that it is known."""
        if not _trace.is_on:
            return
        connection = transport.getHandle()
        _trace.debug(
            "%s, %s, certificate %s",
            connection.get_protocol_version_name(),
            connection.get_cipher_name(),
            _names(connection.get_peer_certificate()),
        )

    def why_lost(self, transport: Any, reason: Failure, *, is_secured: bool) -> TlsError | None:
        """
        Tell what C{reason}, by which a connection has ended, means; C{None} if TLS has nothing to do with it.

        @param is_secured: whether the handshake was over.
        """
        if not isinstance(reason.value, SSL.Error):
            return None
        problem = self._problems.get(transport.getHandle())
        if problem is not None:
            return TlsError(ReturnCode.SSL_GET_VERIFY_RESULT_ERROR, problem)
        code = ReturnCode.SSL_READ_ERROR if is_secured else ReturnCode.SSL_CONNECT_ERROR
        return TlsError(code, f"TLS failed: {_in_words(reason.value)}")

    def _take_verdict(self, connection: SSL.Connection, certificate: Any, error: int, depth: int, is_good: int) -> bool:
        """Take OpenSSL's verdict on one certificate of the other end, and keep what is wrong with it."""
        if not is_good:
            whose = "its certificate" if depth == 0 else "a certificate that its own depends on"
            what = _PROBLEMS.get(error, f"has X.509 problem {error}")
            self._problems[connection] = f"{whose} ({_names(certificate)}) {what}"
        return bool(is_good)


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class _Connections:
    """Makes OpenSSL's part of each connection; no host name is checked (docs/compatibility.md, "TLS parameters")."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """See L{IOpenSSLClientConnectionCreator}."""
        return self.make()

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """See L{IOpenSSLServerConnectionCreator}."""
        return self.make()

    def make(self) -> SSL.Connection:
        """Make one, for either end."""
        return SSL.Connection(self._context, None)


class _ServerFactory(TLSMemoryBIOFactory):
    """Refuses whom the wrapped factory refuses, which Twisted's does not."""

    def buildProtocol(self, addr: IAddress | None) -> TLSMemoryBIOProtocol | None:  # type: ignore[override]
        protocol = super().buildProtocol(addr)
        return None if protocol.wrappedProtocol is None else protocol


def _use(option: str, path: str, use: Callable[[str], object], code: ReturnCode) -> None:
    try:
        open(path, "rb").close()  # OpenSSL would not say why it cannot
        use(path)
    except OSError as e:
        why = reason(e)
    except SSL.Error as e:
        why = _in_words(e)
    except TypeError as e:
        why = "it has a passphrase" if "encrypted" in str(e) else _NOT_THERE
    except _UNREADABLE:
        why = _NOT_THERE
    else:
        return
    raise TlsError(code, f"{option}: '{path}' cannot be used: {why}")


# what the cryptography package raises for what is no certificate or key, or none that it knows
_UNREADABLE: Final = (ValueError, x509.InvalidVersion, UnsupportedAlgorithm)
_MAX_NAMES: Final = 300  # characters of names that a stranger has chosen, and that end up in our log
_STRANGE: Final = "does not come from the authority in tls-ca-certificate"
_PROBLEMS: Final = {  # the numbers are OpenSSL's, X509_V_ERR_...
    2: _STRANGE,
    7: _STRANGE,
    9: "is not valid yet",
    10: "has expired",
    18: _STRANGE,
    19: _STRANGE,
    20: _STRANGE,
    21: _STRANGE,
    22: f"is more than {_VERIFY_DEPTH} certificates away from the authority in tls-ca-certificate",
    24: "is of no authority",
    26: "is not made for this purpose",
}


def _in_words(error: SSL.Error) -> str:
    """Tell what OpenSSL complains of."""
    complaints: Sequence[tuple[str, str, str]] = error.args[0] if error.args else ()
    for *_, complaint in complaints:
        for part, words in _COMPLAINTS:
            if part in complaint:
                return words
    return ", ".join(complaint for *_, complaint in complaints)


_NOT_THERE: Final = "there is no such thing in it, in PEM form, or none of a known kind"
_NOT_TLS: Final = "it does not speak TLS"
_COMPLAINTS: Final = (  # parts of the texts of OpenSSL, most of which tell of an alert that the other end has sent
    ("alert unknown ca", "it does not trust the authority that our certificate comes from"),
    ("alert decrypt error", "it does not trust the authority that our certificate comes from"),
    ("alert certificate expired", "it says that our certificate has expired"),
    ("alert bad certificate", "it does not accept our certificate"),
    ("alert certificate unknown", "it does not accept our certificate"),
    ("alert unsupported certificate", "it says that our certificate is not made for this purpose"),
    ("certificate required", "it wants a certificate, and we have sent none"),
    ("peer did not return a certificate", "it has no certificate"),
    ("alert protocol version", "it wants another version of TLS than 1.2 or 1.3"),
    ("unsupported protocol", "it wants another version of TLS than 1.2 or 1.3"),
    ("wrong version number", _NOT_TLS),
    ("http request", _NOT_TLS),
    ("packet length too long", _NOT_TLS),
    ("record layer failure", _NOT_TLS),
    ("unexpected message", _NOT_TLS),
    ("no start line", _NOT_THERE),
    ("no certificate or crl found", _NOT_THERE),
    ("key values mismatch", "it is not the key of the certificate"),
    ("key type mismatch", "it is not the key of the certificate"),
    ("no certificate assigned", "it is not the key of the certificate"),
)


def _names(certificate: X509) -> str:
    """Tell whose certificate it is and who has signed it; anybody can have written anything there."""
    try:
        parsed = certificate.to_cryptography()
        text = f"{parsed.subject.rfc4514_string()}, issued by {parsed.issuer.rfc4514_string()}"
    except _UNREADABLE:
        return "malformed"
    return one_line(text)[:_MAX_NAMES]


def _naming(common_name: str | None) -> str:
    return "has no common name" if common_name is None else f"has the common name '{common_name}'"


def _common_name(certificate: x509.Certificate) -> str | None:
    """
    Give the last common name of C{certificate}'s subject, as FLoM takes it (docs/compatibility.md, "Peer id check").
    """
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[-1].value) if names else None
