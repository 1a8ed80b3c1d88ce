"""Where the daemon is: a UNIX socket or a TCP port (spec 6.1, 6.4)."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from flom.config import Config
from flom.errors import DaemonUnreachable, ReturnCode, spell
from flom.multicast import check_interface, has_ipv6_address, is_link_local, stream_endpoint


class Location(NamedTuple):
    """
    A place where a daemon may be.

    @ivar endpoint: leads there.
    @ivar peer: names it to a user.
    """

    endpoint: IStreamClientEndpoint
    peer: str


def locate(config: Config, reactor: Any) -> Location:
    """
    Tell where C{config} wants the daemon.

    @raise ConfigError: there is no such network interface.
    @raise DaemonUnreachable: the default socket is somebody else's.
    """
    if not config.unicast_address:
        path = config.socket_path
        if not config.socket_name:
            _check_owner(path)
        return Location(UNIXClientEndpoint(reactor, path), path)
    interface = config.network_interface
    if interface:
        check_interface(interface)
    host, port = daemon_host(config), config.unicast_port
    peer = spell(host, port)
    if not interface or not has_ipv6_address(interface):  # without, FLoM does not heed it either (spec 1.2)
        return Location(stream_endpoint(reactor, host, port), peer)
    return Location(_InterfaceEndpoint(reactor, host, port, interface), f"{peer} by {interface}")


def daemon_host(config: Config) -> str:
    """Give the TCP host of the daemon, with the interface that leads there if it is a link-local address (D-18)."""
    host, interface = config.unicast_address, config.network_interface
    return f"{host}%{interface}" if interface and is_link_local(host) else host


def why_unreachable(error: Exception, config: Config) -> DaemonUnreachable | None:
    """
    Tell what C{error}, the outcome of an attempt to connect, means.

    @return: C{None} if there is just no daemon there, so that starting one may help (spec 7.1), or if it L{is_crowded}.
    """
    if isinstance(error, DNSLookupError | socket.gaierror | ValueError):  # the last: what cannot be a name
        return DaemonUnreachable(ReturnCode.GETADDRINFO_ERROR, f"{config.unicast_address}: no such host")
    code = getattr(error, "osError", None)
    if config.unicast_address or is_crowded(error, config) or code in (errno.ENOENT, errno.ECONNREFUSED):
        return None
    why = os.strerror(code).lower() if code else str(error)
    return DaemonUnreachable(ReturnCode.CONNECT_ERROR, f"{config.socket_path}: {why}")


def is_crowded(error: Exception, config: Config) -> bool:
    """
    Tell whether C{error} means that a daemon is there, with more connections waiting than the kernel keeps for it.

    For a UNIX socket the kernel says so at once (EAGAIN), which Twisted takes for a connection on its way, until it
    fails without a reason.
    """
    if config.unicast_address or not isinstance(error, ConnectError):
        return False
    return getattr(error, "osError", None) in (None, errno.EAGAIN)


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


def _check_owner(path: str) -> None:
    """Refuse the default socket, whose name anybody can guess, if somebody else has put it there (D-37)."""
    try:
        found = os.lstat(path)
    except OSError:
        return
    if found.st_uid not in (0, os.getuid()) or stat.S_ISLNK(found.st_mode):
        raise DaemonUnreachable(
            ReturnCode.CONNECT_ERROR, f"{path}: it belongs to uid {found.st_uid}; choose another with --socket-name"
        )
