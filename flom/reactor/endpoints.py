"""Connecting to a TCP port of a host whose address may have a zone."""

from __future__ import annotations

from typing import NoReturn

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint

from flom.interfaces import IReactor


def stream_endpoint(reactor: IReactor, host: str, port: int) -> IStreamClientEndpoint:
    """
    Return an endpoint for C{port} of C{host}, a name or an address, perhaps with a zone.

    An address is connected to without L{HostnameEndpoint}, which would lose the interface of fe80::1%eth0, look up the
    address in a thread, and fail only 0.3 s after a connection was refused.
    """
    endpoint: IStreamClientEndpoint
    if isIPAddress(host):
        endpoint = TCP4ClientEndpoint(reactor, host, port)
    elif "%" in host or isIPv6Address(host):
        endpoint = TCP6ClientEndpoint(reactor, host, port)
    else:
        endpoint = HostnameEndpoint(reactor, host, port)
    return endpoint


def connect_within(
    seconds: float, reactor: IReactor, host: str, port: int, factory: IProtocolFactory
) -> Deferred[IProtocol]:
    """Connect to L{stream_endpoint}; after C{seconds}, fail with L{ConnectError}, as for every other reason."""

    def give_up(result: object, timeout: float) -> NoReturn:
        raise ConnectError(string=f"no answer within {timeout:g} s")

    connecting: Deferred[IProtocol] = stream_endpoint(reactor, host, port).connect(factory)
    return connecting.addTimeout(seconds, reactor, give_up)


def has_impossible_port(endpoint: IStreamClientEndpoint) -> bool:
    """Return whether C{endpoint} has a TCP port above 65535, which older Twisted tries for ever."""
    return bool(getattr(endpoint, "_port", 0) > 65_535)


def path_of(endpoint: UNIXClientEndpoint) -> str:
    """Return the path of the socket that C{endpoint} connects to."""
    path: str = endpoint._path
    return path
