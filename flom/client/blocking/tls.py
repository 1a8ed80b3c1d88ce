"""
A connection over TLS, without a reactor, by the standard library's C{ssl} (docs/compatibility.md, "TLS").

OpenSSL reads and writes memory, and L{Stream} the socket: C{ssl.SSLSocket} sends without C{MSG_NOSIGNAL}, so that
SIGPIPE would end a script that has set it to its default.

What goes wrong is put into words by pyOpenSSL, as for Twisted's connections; it is imported for nothing else. Without
it, the words say what to install.
"""

from __future__ import annotations

import ssl
from time import monotonic

from flom.client.blocking.stream import Stream
from flom.client.retry import HANDSHAKE_TIMEOUT, why_closed
from flom.codes import ReturnCode
from flom.errors import FlomError, LockTimeout, TlsError
from flom.lean import RLock
from flom.text import missing_extra
from flom.tls import verdicts
from flom.trace import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any, Final, NoReturn

    from flom.config import Config

_CHUNK: Final = 65_536  # bytes
_DER: Final = 2  # what ssl's own objects call ENCODING_DER

_trace = tracer("tls")


class TlsEnd:
    """
    Our end of TLS connections: TLS 1.2 or 1.3, with certificates on both sides, verified during the handshake.

    @ivar checks_peer_id: whether a peer's unique id must be the common name of its certificate
        (docs/compatibility.md, "Peer id check").
    @ivar authorities: the PEM file with the authorities that a peer's certificate may come from.
    """

    def __init__(self, config: Config, *, is_server: bool = False) -> None:
        """
        @param config: has the three files. Certificates that follow our own in its file are sent too.
        @raise TlsError: one of the files cannot be used.
        """
        certificate, private_key = config.tls_certificate, config.tls_private_key
        self.checks_peer_id = config.tls_check_peer_id
        self.authorities = config.tls_ca_certificate
        self._certificate = certificate
        self._is_server = is_server
        self._context = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
        context.set_ciphers("DEFAULT")  # Python's own choice leaves out RSA key exchange, which an old FLoM may need
        try:
            # without a password, OpenSSL would ask for one on the terminal
            context.load_cert_chain(certificate, private_key, password=_refuse_passphrase)
            context.load_verify_locations(self.authorities)
        except (OSError, ValueError) as e:  # SSLError is an OSError
            why, code = verdicts.describe_complaints(_complaints(e)), ReturnCode.SSL_CTX_USE_CERTIFICATE_FILE_ERROR
            try:
                from flom.tls.files import make_context
            except ImportError as missing:
                files = f"'{certificate}', '{private_key}' or '{self.authorities}'"
                raise TlsError(code, f"{files} cannot be used: {why}; to say which {missing_extra(missing)}") from e
            make_context(certificate, private_key, self.authorities)  # which says what is wrong with which
            raise TlsError(code, f"tls-certificate: '{certificate}' cannot be used: {why}") from e

    @property
    def own_name(self) -> str | None:
        """The common name of our own certificate, if it has one; C{ImportError} is raised without the extra tls."""
        from flom.tls.files import own_common_name

        return own_common_name(self._certificate)

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> Any:
        """Return OpenSSL's part of one more connection."""
        return self._context.wrap_bio(incoming, outgoing, server_side=self._is_server)


class SecureStream(Stream):
    """TLS over a connection, whose other end is called C{peer} in errors."""

    can_be_inherited = False

    def __init__(self, connected: socket.socket, tls: TlsEnd, peer: str) -> None:
        super().__init__(connected)
        self._tls = tls
        self._peer = peer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._connection = tls.wrap(self._incoming, self._outgoing)
        self._is_secured = False
        self._guard = RLock()  # OpenSSL's part is used by one thread at a time: another one may say goodbye

    def shake_hands(self, deadline: float) -> None:
        """
        Agree with the other end on TLS; it must have finished within L{HANDSHAKE_TIMEOUT}.

        @raise TlsError: one of the two ends does not trust the other, or the other does not speak TLS.
        @raise DaemonLost: it has gone.
        @raise LockTimeout: it is C{deadline}.
        """
        limit = monotonic() + HANDSHAKE_TIMEOUT
        try:
            if self._finish(self._connection.do_handshake, min(deadline, limit)) == b"":
                raise self.why_ended(self._peer, answered=False)
            self._check_depth()
            self._flush(min(deadline, limit))
        except LockTimeout:
            if deadline < limit:
                raise
            why = f"{self._peer}: no TLS handshake within {HANDSHAKE_TIMEOUT:g} s; it may not speak TLS"
            raise TlsError(ReturnCode.SSL_CONNECT_ERROR, why) from None
        self._is_secured = True
        if _trace.is_on:
            named = verdicts.describe_certificate(self._connection.getpeercert(binary_form=True))
            _trace.debug("%s, %s, certificate %s", self._connection.version(), self._connection.cipher()[0], named)

    def send(self, data: bytes, deadline: float) -> None:
        left = memoryview(data)
        try:
            while left:
                with self._guard:
                    left = left[self._connection.write(left) :]  # it may take a part
        except ssl.SSLError as e:
            self._fail(e, deadline)
        self._flush(deadline)

    def receive(self, deadline: float, signals: socket.socket | None = None) -> bytes:
        """See L{Stream.receive}; L{TlsError} is raised if the other end does not accept us, or breaks TLS."""
        data: bytes = self._finish(lambda: self._connection.read(_CHUNK), deadline, signals)
        return data

    def shut_down(self, deadline: float) -> None:
        try:
            self._connection.unwrap()
        except ssl.SSLError:
            pass  # the other end has yet to answer, or is past that
        self._flush(deadline)
        super().shut_down(deadline)

    def why_ended(self, peer: str, *, answered: bool) -> FlomError:
        return why_closed(peer, answered=answered, tls=self._tls, is_secured=self._is_secured)

    def check_peer_id(self, peer_id: str | None) -> None:
        if not self._tls.checks_peer_id:
            return
        if peer_id is not None and peer_id.isascii() and peer_id == self._peer_name():
            return  # what is not ASCII may be read otherwise by the functions below, which decide
        try:
            try:
                name = verdicts.peer_common_name(self._connection.getpeercert(binary_form=True))
            except ImportError as e:
                why = f"its unique id is not the common name of its certificate; to read that {missing_extra(e)}"
                raise TlsError(ReturnCode.UNIQUE_ID_DOES_NOT_MATCH, why) from None
            if peer_id is None or peer_id != name:
                raise verdicts.peer_id_problem(peer_id, name)
        except TlsError as e:
            raise TlsError(e.code, f"{self._peer}: {e}") from None

    def _peer_name(self) -> str | None:
        """Return the last common name in the certificate of the other end, if it can be read."""
        try:
            subject = self._connection.getpeercert()["subject"]
        except (ssl.SSLError, ValueError):
            return None
        names = [value for attributes in subject for key, value in attributes if key == "commonName"]
        return names[-1] if names else None

    def _finish(self, step: Callable[[], Any], deadline: float, signals: socket.socket | None = None) -> Any:
        """Return what C{step} does once it has the bytes that it needs; none if the other end has gone."""
        while True:
            try:
                with self._guard:
                    return step()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as e:
                if self._is_secured and isinstance(e, ssl.SSLZeroReturnError):
                    return b""
                self._fail(e, deadline)
            self._try_to_flush(deadline)  # the other end may have said why before it went
            data = super().receive(deadline, signals)
            if not data:
                return b""
            self._incoming.write(data)

    def _check_depth(self) -> None:
        """Check how far the other end's certificate is from our authority, as C{ssl} has no setting for that."""
        chain = self._chain("get_verified_chain")
        if len(chain) > verdicts.VERIFY_DEPTH + 2:  # its own and the authority's come on top
            problem = verdicts.certificate_problem(
                verdicts.CHAIN_TOO_LONG, verdicts.VERIFY_DEPTH + 1, chain[verdicts.VERIFY_DEPTH + 1]
            )
            raise TlsError(ReturnCode.SSL_GET_VERIFY_RESULT_ERROR, f"{self._peer}: {problem}")

    def _chain(self, which: str) -> list[bytes]:
        """
        Return the other end's certificates in DER, its own first.

        @param which: C{get_verified_chain}, which goes on to our authority, or C{get_unverified_chain}, as it was sent;
            nothing comes of the latter if the handshake failed and OpenSSL is older than 3.0.
        """
        if hasattr(self._connection, which):  # since Python 3.13
            return getattr(self._connection, which)() or []
        found = getattr(self._connection._sslobj, which)() or []
        return [certificate.public_bytes(_DER) for certificate in found]

    def _flush(self, deadline: float) -> None:
        """Send what OpenSSL has to send."""
        while data := self._outgoing.read():
            super().send(data, deadline)

    def _try_to_flush(self, deadline: float) -> None:
        """Send what OpenSSL has to send, unless the other end has gone."""
        try:
            self._flush(deadline)
        except FlomError:
            raise
        except OSError:
            pass

    def _fail(self, error: ssl.SSLError, deadline: float) -> NoReturn:
        """Send the alert that tells the other end what OpenSSL objects to, and raise the error for our caller."""
        self._try_to_flush(deadline)
        if isinstance(error, ssl.SSLCertVerificationError):
            problem = verdicts.blame(error.verify_code, self._chain("get_unverified_chain"), self._tls.authorities)
            failure = TlsError(ReturnCode.SSL_GET_VERIFY_RESULT_ERROR, problem)
        else:
            failure = verdicts.connection_failed(_complaints(error), is_secured=self._is_secured)
        raise TlsError(failure.code, f"{self._peer}: {failure}") from error


def _complaints(error: Exception) -> list[str]:
    """Return OpenSSL's text, out of one like "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"."""
    text = getattr(error, "strerror", None) or str(error)
    return [text.rpartition("] ")[2].partition(" (_ssl.c")[0]]


def _refuse_passphrase() -> str:
    raise ValueError("it has a passphrase")
