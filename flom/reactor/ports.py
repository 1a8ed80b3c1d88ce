"""Listening on an address that was claimed before (L{flom.net.claim}), and limits to what a port accepts."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, TypeGuard

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.interfaces import IReactor
from flom.net.claim import BACKLOG, Claim, identity, peer_uid


def has_descriptor(port: IListeningPort) -> TypeGuard[tcp.Port]:
    """Return whether C{port} is one of the operating system, for TCP or a UNIX socket; others are for tests."""
    return isinstance(port, tcp.Port)


def control_accepting(port: tcp.Port, control: Callable[[Callable[[int], None]], None]) -> None:
    """Call C{control} when clients have connected to C{port}, with a function that accepts so many of them at most."""
    do_read = port.doRead

    def accept(most: int) -> None:
        port.numberAccepts = most
        do_read()

    port.doRead = partial(control, accept)  # type: ignore[method-assign]  # the ports are of several classes


@implementer(IStreamServerEndpoint)
class ClaimedEndpoint:
    """An address that was claimed, to listen on once."""

    def __init__(self, reactor: IReactor, claim: Claim) -> None:
        self._reactor = reactor
        self._claim = claim

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See L{IStreamServerEndpoint.listen}."""
        self._claim.socket.setblocking(False)
        listen = _listen_unix if self._claim.socket.family == socket.AF_UNIX else _listen_tcp
        return execute(listen, self._claim, factory, self._reactor)


class _Connection(unix.Server):
    """A connection over a UNIX socket that takes no descriptors, and so need not look for any."""

    doRead = tcp.Server.doRead  # type: ignore[assignment]


class _OwnUsersSocket(socket.socket):
    """A listening UNIX socket that every user of the host can connect to, and that accepts its own and root."""

    def accept(self) -> tuple[socket.socket, Any]:
        connected, address = super().accept()
        if peer_uid(connected) in (0, os.geteuid()):
            return connected, address
        connected.close()
        raise PermissionError(errno.EPERM, "it belongs to another user")  # so that Twisted accepts the next one


class ClaimedUNIXPort(unix.Port):
    """A port on a bound UNIX socket, which C{reactor.adoptStreamPort} would open to every user for a moment."""

    transport = _Connection

    def __init__(self, claim: Claim, factory: IProtocolFactory, reactor: IReactor) -> None:
        path = claim.socket.getsockname()
        if path[:1] == b"\0":  # an abstract one, which has no permissions
            claim.socket = _OwnUsersSocket(fileno=claim.socket.detach())
        super().__init__(path, factory, backlog=BACKLOG, reactor=reactor)
        self._claim = claim
        self._address = path
        self._shouldShutdown = not claim.is_borrowed  # or else nobody could connect to it any more
        if claim.made is None and not claim.is_borrowed:
            claim.made = identity(path)

    def startListening(self) -> None:
        """Listen as Twisted does, without changing the permissions of a file that may be at the path by now."""
        tcp._reservedFD.reserve()
        factory: Any = self.factory
        factory.doStart()
        self._claim.socket.listen(self.backlog)
        self.connected = True
        self.socket = self._claim.accepting()
        self.fileno = self.socket.fileno  # type: ignore[method-assign]  # as Twisted does
        self.numberAccepts = 100
        self.startReading()

    def renew(self) -> bool:
        """
        Make anew what was removed of the socket and its lock file; connections that wait are accepted first.

        @return: whether anything was missing.
        @raise flom.net.claim.CannotClaim: see L{Claim.renew}.
        """
        former, lock = self.socket, self._claim.lock
        if self._claim.renew() is None:
            return self._claim.lock != lock
        renewed = self._claim.accepting()
        was_reading = self in self.reactor.getReaders()
        for _ in range(BACKLOG):
            if not was_reading or not select.select([former], [], [], 0)[0]:
                break
            self.doRead()
        self.stopReading()
        former.close()
        renewed.setblocking(False)
        self.socket = renewed
        self.fileno = renewed.fileno  # type: ignore[method-assign]
        if was_reading:
            self.startReading()
        return True

    def connectionLost(self, reason: Failure) -> None:
        if self._claim.made is not None and self._claim.made == identity(self._address):
            super().connectionLost(reason)  # removes the socket
        else:
            tcp.Port.connectionLost(self, reason)
        self._claim.release()


def _listen_unix(claim: Claim, factory: IProtocolFactory, reactor: IReactor) -> IListeningPort:
    port = ClaimedUNIXPort(claim, factory, reactor)
    port.startListening()
    return port


def _listen_tcp(claim: Claim, factory: IProtocolFactory, reactor: IReactor) -> IListeningPort:
    serving: Any = factory
    port: IListeningPort = reactor.adoptStreamPort(claim.socket.fileno(), claim.socket.family, serving)
    claim.close()  # the port has a copy
    return port
