"""A connection over TLS, without a reactor (docs/compatibility.md, "TLS")."""

from __future__ import annotations

import socket
from contextlib import suppress
from time import monotonic
from typing import NoReturn

from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.python.failure import Failure

from flom.client.blocking.stream import Stream
from flom.client.retry import HANDSHAKE_TIMEOUT, why_closed
from flom.codes import ReturnCode
from flom.errors import FlomError, LockTimeout, TlsError
from flom.tls.context import Tls

_CHUNK = 65_536  # bytes


class SecureStream(Stream):
    """TLS over a connection; what L{Tls} wants to know of Twisted's transports, it can be asked too."""

    def __init__(self, connected: socket.socket, tls: Tls, peer: str) -> None:
        """
        @param connected: one that does not block.
        @param tls: our end.
        @param peer: names the other end in errors.
        """
        super().__init__(connected)
        self._tls = tls
        self._peer = peer
        self._connection = tls.new_connection()
        self._connection.set_connect_state()
        self._is_secured = False

    def shake_hands(self, deadline: float) -> None:
        """
        Agree with the other end on TLS; it is to say something before anything else.

        @raise TlsError: it does not want to talk to us, or we not to it, or it does not speak TLS.
        @raise DaemonLost: it has gone.
        @raise LockTimeout: it is C{deadline}.
        """
        limit = monotonic() + HANDSHAKE_TIMEOUT
        try:
            self._shake_hands(min(deadline, limit))
        except LockTimeout:
            if deadline < limit:
                raise
            why = f"{self._peer}: no TLS handshake within {HANDSHAKE_TIMEOUT:g} s; it may not speak TLS"
            raise TlsError(ReturnCode.SSL_CONNECT_ERROR, why) from None
        self._is_secured = True
        self._tls.note_handshake(self)

    def send(self, data: bytes, deadline: float) -> None:
        try:
            self._connection.sendall(data)
        except SSL.Error as e:
            self._fail(e, deadline)
        self._flush(deadline)

    def receive(self, deadline: float, signals: socket.socket | None = None) -> bytes:
        """
        See L{Stream.receive}.

        @raise TlsError: the other end does not accept our certificate, or breaks TLS.
        """
        while True:
            try:
                return self._connection.recv(_CHUNK)
            except SSL.WantReadError:
                pass
            except SSL.ZeroReturnError:
                return b""
            except SSL.Error as e:
                self._fail(e, deadline)
            with suppress(OSError):
                self._flush(deadline)
            data = super().receive(deadline, signals)
            if not data:
                return b""
            self._connection.bio_write(data)

    def shut_down(self, deadline: float) -> None:
        with suppress(SSL.Error):
            self._connection.shutdown()
        self._flush(deadline)
        super().shut_down(deadline)

    def why_ended(self, peer: str, *, answered: bool) -> FlomError:
        return why_closed(peer, answered=answered, tls=self._tls, is_secured=self._is_secured)

    def check_peer_id(self, peer_id: str | None) -> None:
        try:
            self._tls.check_peer_id(self, peer_id)
        except TlsError as e:
            raise TlsError(e.code, f"{self._peer}: {e}") from None

    def getHandle(self) -> SSL.Connection:
        """Give OpenSSL's part of it."""
        return self._connection

    def getPeerCertificate(self) -> X509 | None:
        """Give the certificate of the other end."""
        return self._connection.get_peer_certificate()

    def _shake_hands(self, deadline: float) -> None:
        while True:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error as e:
                self._fail(e, deadline)
            else:
                self._flush(deadline)
                return
            with suppress(OSError):  # it may have said why before it went
                self._flush(deadline)
            data = super().receive(deadline)
            if not data:
                raise self.why_ended(self._peer, answered=False)
            self._connection.bio_write(data)

    def _flush(self, deadline: float) -> None:
        """Send what OpenSSL has to send."""
        while True:
            try:
                data = self._connection.bio_read(_CHUNK)
            except SSL.WantReadError:
                return
            super().send(data, deadline)

    def _fail(self, error: SSL.Error, deadline: float) -> NoReturn:
        """
        Tell the other end what OpenSSL does not like of it, and our caller too.

        @raise TlsError: always.
        """
        with suppress(OSError):
            self._flush(deadline)
        told = self._tls.why_lost(self, Failure(error), is_secured=self._is_secured)
        assert told is not None
        raise TlsError(told.code, f"{self._peer}: {told}") from error
