"""What every connection to a daemon does about TLS, if it is to be used (docs/compatibility.md, "TLS")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall, IHandshakeListener, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.client.retry import HANDSHAKE_TIMEOUT, why_closed
from flom.codes import ReturnCode
from flom.errors import FlomError, TlsError
from flom.trace import tracer

if TYPE_CHECKING:
    from flom.tls.context import Tls

_trace = tracer("client")


@implementer(IHandshakeListener)
class DaemonConnection(Protocol):
    """
    The client's end of a connection.

    @ivar peer: names the daemon in errors.
    @ivar answered: whether the daemon has said anything.
    """

    transport: Any  # more than ITransport: UNIX and TCP transports have common methods that no interface names

    def __init__(self, peer: str, clock: IReactorTime, tls: Tls | None) -> None:
        """
        @param tls: our end of TLS, if the endpoint speaks it; C{None} for plain text.
        """
        self.peer = peer
        self.answered = False
        self._tls = tls
        self._clock = clock
        self._handshake: IDelayedCall | None = None
        self._is_secured = False
        self._has_timed_out = False

    def connectionMade(self) -> None:
        _trace.debug("connected to %s", self.peer)
        if self._tls is not None:
            self._handshake = self._clock.callLater(HANDSHAKE_TIMEOUT, self._time_out)

    def handshakeCompleted(self) -> None:
        """See L{IHandshakeListener.handshakeCompleted}."""
        assert self._tls is not None
        self._stop_timer()
        self._is_secured = True
        self._tls.note_handshake(self.transport)

    def check_peer_id(self, peer_id: str | None) -> None:
        """
        Check that the daemon is who its certificate says, as far as that is wanted.

        @raise TlsError: it is not.
        """
        if self._tls is not None:
            try:
                self._tls.check_peer_id(self.transport, peer_id)
            except TlsError as e:
                raise TlsError(e.code, f"{self.peer}: {e}") from None

    def why_lost(self, reason: Failure) -> FlomError:
        """Tell what C{reason}, by which the connection has ended, means."""
        self._stop_timer()
        _trace.debug("connection to %s has ended: %s", self.peer, reason.value)
        if self._tls is not None:
            if self._has_timed_out:
                why = f"{self.peer}: no TLS handshake within {HANDSHAKE_TIMEOUT:g} s; it may not speak TLS"
                return TlsError(ReturnCode.SSL_CONNECT_ERROR, why)
            if error := self._tls.why_lost(self.transport, reason, is_secured=self._is_secured):
                return TlsError(error.code, f"{self.peer}: {error}")
        return why_closed(self.peer, answered=self.answered, tls=self._tls, is_secured=self._is_secured)

    def _time_out(self) -> None:
        self._handshake = None
        self._has_timed_out = True
        self.transport.abortConnection()

    def _stop_timer(self) -> None:
        if self._handshake is not None:
            self._handshake.cancel()
            self._handshake = None
