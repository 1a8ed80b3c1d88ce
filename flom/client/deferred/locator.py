"""Where the daemon is: a UNIX socket or a TCP port (docs/compatibility.md, "Ways to the daemon", "TCP connections")."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from flom.client.addresses import CROWD_RETRY, check_owner, daemon_host
from flom.codes import ReturnCode
from flom.config import Config
from flom.core.group.addresses import is_link_local
from flom.errors import DaemonUnreachable
from flom.net.multicast import check_interface, has_ipv6_address
from flom.reactor.endpoints import stream_endpoint
from flom.text import host_port, one_line


class Location(NamedTuple):
    """
    A place where a daemon may be.

    @ivar endpoint: leads there.
    @ivar peer: names it to a user.
    @ivar host: where it is to be found on the network; the empty string for a UNIX socket.
    """

    endpoint: IStreamClientEndpoint
    peer: str
    host: str = ""


def locate(config: Config, reactor: Any) -> Location:
    """
    Tell where C{config} wants the daemon.

    @raise ConfigError: there is no such network interface.
    @raise DaemonUnreachable: the default socket is somebody else's.
    """
    if not config.unicast_address:
        path = config.socket_path
        if not config.socket_name:
            check_owner(path)
        return Location(UNIXClientEndpoint(reactor, path), path)
    interface = config.network_interface
    if interface:
        check_interface(interface)
    host, port = daemon_host(config), config.unicast_port
    peer = host_port(host, port)
    # without, FLoM does not heed it either (docs/compatibility.md, "Options")
    if not interface or not has_ipv6_address(interface):
        return Location(stream_endpoint(reactor, host, port), peer, config.unicast_address)
    endpoint = _InterfaceEndpoint(reactor, host, port, interface)
    return Location(endpoint, f"{peer} by {interface}", config.unicast_address)


def why_unreachable(error: Exception, location: Location) -> DaemonUnreachable | None:
    """
    Tell what C{error}, the outcome of an attempt to connect, means.

    @return: C{None} if there is just no daemon there, so that starting one may help
        (docs/compatibility.md, "Who starts a daemon"), or if it L{is_crowded}.
    """
    if isinstance(error, DNSLookupError | socket.gaierror | ValueError):  # the last: what cannot be a name
        return DaemonUnreachable(ReturnCode.GETADDRINFO_ERROR, f"{location.host}: no such host")
    code = getattr(error, "osError", None)
    if location.host or is_crowded(error, location) or code in (errno.ENOENT, errno.ECONNREFUSED):
        return None
    why = os.strerror(code).lower() if code else str(error)
    return DaemonUnreachable(ReturnCode.CONNECT_ERROR, f"{location.peer}: {why}")


def is_crowded(error: Exception, location: Location) -> bool:
    """
    Tell whether C{error} means that a daemon is there, with more connections waiting than the kernel keeps for it.

    For a UNIX socket the kernel says so at once (EAGAIN), which Twisted takes for a connection on its way, until it
    fails without a reason.
    """
    if location.host or not isinstance(error, ConnectError):
        return False
    return getattr(error, "osError", None) in (None, errno.EAGAIN)


@implementer(IStreamClientEndpoint)
class DaemonEndpoint:
    """Leads to the daemon at one place, which may have a crowd before it."""

    def __init__(self, reactor: Any, location: Location) -> None:
        self._reactor = reactor
        self._location = location

    @property
    def peer(self) -> str:
        """Names the daemon to a user."""
        return self._location.peer

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See L{IStreamClientEndpoint.connect}.

        @return: may fire with L{DaemonUnreachable}.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        began = self._reactor.seconds()
        while True:
            try:
                return await self._location.endpoint.connect(factory)
            except (ConnectError, DNSLookupError, OSError, OverflowError, ValueError) as e:
                problem = e
                if unreachable := why_unreachable(e, self._location):
                    raise unreachable from e
                if is_crowded(e, self._location):
                    await deferLater(self._reactor, CROWD_RETRY)
                    continue
            await self._do_about_absence(began, problem)

    async def _do_about_absence(self, began: float, problem: Exception) -> None:
        """
        Do what there is to be done if nobody listens; afterwards, we try again.

        @param began: when this search began, in seconds of the reactor's clock.
        @param problem: what came of the last attempt to connect.
        @raise DaemonUnreachable: there is nothing to be done.
        """
        number = getattr(problem, "osError", None)
        why = "no daemon is listening"
        if number not in (errno.ENOENT, errno.ECONNREFUSED):
            why = os.strerror(number).lower() if number else one_line(str(problem))
        raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, f"{self.peer}: {why}")


@implementer(IStreamClientEndpoint)
class _InterfaceEndpoint:
    """Connects over IPv6 alone, to link-local addresses by one interface."""

    def __init__(self, reactor: Any, host: str, port: int, interface: str) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._interface = interface

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See L{IStreamClientEndpoint.connect}."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        found = await deferToThreadPool(
            self._reactor,
            self._reactor.getThreadPool(),
            lambda: socket.getaddrinfo(self._host, self._port, socket.AF_INET6, socket.SOCK_STREAM),
        )
        problem: Exception = ConnectError()
        for *_, address in found:
            host = str(address[0])
            if is_link_local(host):
                host = f"{host}%{self._interface}"
            try:
                connected: IProtocol = await TCP6ClientEndpoint(self._reactor, host, self._port).connect(factory)
            except ConnectError as e:
                problem = e
            else:
                return connected
        raise problem
