"""Serving, with Twisted, an address that was claimed before (L{flom.net.claim})."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.python import log
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.net.claim import BACKLOG, Claim


@implementer(IStreamServerEndpoint)
class ClaimedEndpoint:
    """Serves a claim, once."""

    def __init__(self, reactor: Any, claim: Claim) -> None:
        self._reactor = reactor
        self._claim = claim

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See L{IStreamServerEndpoint.listen}."""
        listening = self._claim.socket
        listening.setblocking(False)
        if listening.family == socket.AF_UNIX:
            return execute(_listen_unix, self._claim, factory, self._reactor)

        from twisted.internet.endpoints import AdoptedStreamServerEndpoint  # UNIX sockets need not wait for its import

        endpoint = AdoptedStreamServerEndpoint(self._reactor, listening.detach(), listening.family)
        port: Deferred[IListeningPort] = endpoint.listen(factory)
        return port


class _Connection(unix.Server):
    """A connection over a UNIX socket by which nobody passes descriptors: we need not look for any."""

    doRead = tcp.Server.doRead  # type: ignore[assignment]


class _ClaimedUNIXPort(unix.Port):
    """
    A port on a UNIX socket that is bound already, and has the permissions that it is to have.

    C{reactor.adoptStreamPort} would do, but for a moment it would open the socket to everybody.
    """

    transport = _Connection

    def __init__(self, claim: Claim, factory: IProtocolFactory, reactor: Any) -> None:
        path = claim.socket.getsockname()
        super().__init__(path, factory, backlog=BACKLOG, reactor=reactor)
        self._claimed = claim.socket
        self._made = None if claim.is_borrowed else _identity(path)

    def startListening(self) -> None:
        """Do what Twisted does, but for changing the permissions of whatever may be at the path by now."""
        tcp._reservedFD.reserve()
        log.msg(f"{self._getLogPrefix(self.factory)} starting on {os.fsdecode(self._bindPath)!r}")
        factory: Any = self.factory
        factory.doStart()
        self._claimed.listen(self.backlog)
        self.connected = True
        self.socket = self._claimed
        self.fileno = self.socket.fileno  # type: ignore[method-assign]  # as Twisted does
        self.numberAccepts = 100
        self.startReading()

    def connectionLost(self, reason: Failure) -> None:
        if self._made is not None and self._made == _identity(self._bindPath):
            super().connectionLost(reason)  # removes the socket
        else:
            tcp.Port.connectionLost(self, reason)


def _identity(path: str | bytes) -> tuple[int, int] | None:
    """Tell the file at C{path} from another one that may be there later; C{None} if none is there."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _listen_unix(claim: Claim, factory: IProtocolFactory, reactor: Any) -> IListeningPort:
    port = _ClaimedUNIXPort(claim, factory, reactor)
    port.startListening()
    return port
