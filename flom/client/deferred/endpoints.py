"""
The ways to the daemon: a UNIX socket, a TCP port, or the daemon that leads a group
(docs/compatibility.md, "Ways to the daemon", "TCP connections", "Discovery by the client").
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import CannotListenError, ConnectError, DNSLookupError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from zope.interface import implementer

from flom.client.addresses import CROWD_RETRY, check_owner, daemon_host, is_private
from flom.client.deferred.discovery import Asker
from flom.codes import ReturnCode
from flom.config import Config, private_sockets
from flom.core.group.addresses import is_link_local
from flom.core.group.discovery import ASK_AGAIN, CONNECT_TIMEOUT, MOST_TRIED, FoundDaemon, choice_warning, takeover_time
from flom.errors import DaemonUnreachable
from flom.interfaces import IReactor
from flom.net.multicast import NoMulticast, check_interface, group_of, has_ipv6_address
from flom.net.tentative import LOOK_AGAIN, AddressWait, describe_wait
from flom.reactor.endpoints import connect_within, stream_endpoint
from flom.reactor.transports import underlying
from flom.text import host_port, one_line, reason
from flom.trace import tracer

_log = Logger()
_trace = tracer("client")

FAILURES = (ConnectError, DNSLookupError, OSError, OverflowError, ValueError)
"""What an attempt to connect fails with; ValueError is for what cannot be the name of a host."""


def daemon_endpoint(reactor: IReactor, config: Config) -> DaemonEndpoint:
    """
    Return the way to the UNIX socket or TCP port that C{config} means.

    @raise ConfigError: there is no such network interface.
    """
    if not config.unicast_address:
        path = config.socket_path
        dial = UNIXClientEndpoint(reactor, path).connect if config.socket_name else partial(_connect_private, reactor)
        return DaemonEndpoint(reactor, dial, path)
    interface = config.network_interface
    if interface:
        check_interface(interface)
    host, port = daemon_host(config), config.unicast_port
    peer = host_port(host, port)
    # without, FLoM does not heed it either (docs/compatibility.md, "Options")
    if not interface or not has_ipv6_address(interface):
        return DaemonEndpoint(reactor, stream_endpoint(reactor, host, port).connect, peer, config.unicast_address)
    dial = partial(_connect_by_interface, reactor, host, port, interface)
    return DaemonEndpoint(reactor, dial, f"{peer} by {interface}", config.unicast_address)


@implementer(IStreamClientEndpoint)
class DaemonEndpoint:
    """
    The way to the daemon at one place.

    @ivar peer: names the daemon to a user.
    """

    def __init__(
        self, reactor: IReactor, dial: Callable[[IProtocolFactory], Awaitable[IProtocol]], peer: str, host: str = ""
    ) -> None:
        """
        @param dial: connects to it once, as L{IStreamClientEndpoint.connect} does.
        @param host: its name on the network; the empty string for a UNIX socket.
        """
        self.peer = peer
        self._reactor = reactor
        self._dial = dial
        self._host = host

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See L{IStreamClientEndpoint.connect}; fires with L{DaemonUnreachable} if no daemon is there."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        while True:
            try:
                return await self._dial(factory)
            except FAILURES as e:
                if self._host or not _is_crowd(e):
                    raise self._unreachable(e) from e
            await deferLater(self._reactor, CROWD_RETRY)

    def _unreachable(self, error: Exception) -> DaemonUnreachable:
        if isinstance(error, DNSLookupError | socket.gaierror | ValueError):
            return DaemonUnreachable(ReturnCode.GETADDRINFO_ERROR, f"{self._host}: no such host")
        number = getattr(error, "osError", None)
        if number in (errno.ENOENT, errno.ECONNREFUSED):
            why = "no daemon is listening"
        else:
            why = os.strerror(number).lower() if number else one_line(str(error))
        unreachable = DaemonUnreachable(ReturnCode.CONNECT_ERROR, f"{self.peer}: {why}")
        unreachable.is_refused = number == errno.ECONNREFUSED
        return unreachable


async def _connect_private(reactor: IReactor, factory: IProtocolFactory) -> IProtocol:
    """
    Connect to the user's daemon by the first way that leads to it.

    @raise DaemonUnreachable: the last one, which is FLoM's too, belongs to another user.
    """
    *addresses, path = private_sockets()
    crowd: Exception | None = None
    for address in addresses:
        try:
            connected: Any = await UNIXClientEndpoint(reactor, address).connect(factory)
        except FAILURES as e:
            crowd = e if _is_crowd(e) else crowd
            continue
        if is_private(underlying(connected.transport).getHandle()):
            return cast(IProtocol, connected)
        connected.transport.abortConnection()  # another user has taken the name
    check_owner(path)
    try:
        return cast(IProtocol, await UNIXClientEndpoint(reactor, path).connect(factory))
    except FAILURES as e:
        raise crowd or e from e


def _is_crowd(error: Exception) -> bool:
    """
    Return whether more connections wait for a UNIX socket than the kernel keeps.

    It says so at once, by EAGAIN, which Twisted takes for a connection on its way, until that fails without a reason.
    """
    return isinstance(error, ConnectError) and getattr(error, "osError", None) in (None, errno.EAGAIN)


async def _connect_by_interface(
    reactor: IReactor, host: str, port: int, interface: str, factory: IProtocolFactory
) -> IProtocol:
    """Connect over IPv6 alone, to link-local addresses by C{interface}."""
    lookup = partial(socket.getaddrinfo, host, port, socket.AF_INET6, socket.SOCK_STREAM)
    problem: Exception = ConnectError()
    for *_, address in await deferToThreadPool(reactor, reactor.getThreadPool(), lookup):
        found = str(address[0])
        if is_link_local(found):
            found = f"{found}%{interface}"
        try:
            connected: IProtocol = await TCP6ClientEndpoint(reactor, found, port).connect(factory)
        except ConnectError as e:
            problem = e
        else:
            return connected
    raise problem


@implementer(IStreamClientEndpoint)
class GroupEndpoint:
    """
    The way to the daemon that leads a group; the daemon of the unicast address comes first, if one is configured
    (docs/compatibility.md, "Who starts a daemon").

    The daemon that was connected to last is connected to again, without asking who leads, until L{forget}.
    """

    def __init__(self, reactor: IReactor, config: Config) -> None:
        self._reactor = reactor
        self._config = config
        self._group = group_of(config)
        self.peer = f"the daemon of {self._group}"
        self._leader: FoundDaemon | None = None
        self._was_connected = False

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See L{IStreamClientEndpoint.connect}; fires with L{DaemonUnreachable} or L{NoMulticast} if none is found."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    def forget(self) -> None:
        """Ask who leads the next time: the daemon has gone, or does not lead any more."""
        self._leader = None

    def successor(self, holder: int) -> IStreamClientEndpoint:
        """Return the way to the daemon that takes over from a leader that has gone, for the holder of this number."""
        return _SuccessorEndpoint(lambda factory: self._connect_to_leader(factory, holder))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        if self._leader is not None:
            try:
                return await connect_to_first(self._reactor, [self._leader], factory, _trace.debug)
            except DaemonUnreachable:
                self.forget()
        config = self._config
        if config.unicast_address and not self._was_connected:  # what has sent us away may be standing by
            try:
                connected = await stream_endpoint(self._reactor, daemon_host(config), config.unicast_port).connect(
                    factory
                )
            except FAILURES as e:
                why = f"{config.unicast_address}: no daemon is listening: {e}"
                raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, why) from e
        else:
            connected = await self._connect_to_leader(factory)
        self._was_connected = True
        return connected

    async def _connect_to_leader(self, factory: IProtocolFactory, holder: int = 0) -> IProtocol:
        give_up = self._reactor.seconds() + takeover_time(self._config.timing)
        while True:
            leaders = await self._find_patiently(holder)
            if warning := choice_warning(leaders, self._group):
                _log.warn("{warning}", warning=warning)
            _trace.debug("%s is led by %s", self._group, leaders[0])
            try:
                connected = await connect_to_first(self._reactor, leaders, factory, _trace.debug)
            except DaemonUnreachable:
                if self._reactor.seconds() > give_up:
                    raise
            else:
                self._leader = leaders[0]
                return connected
            await deferLater(self._reactor, ASK_AGAIN)  # it has ended since it answered

    async def _find_patiently(self, holder: int) -> list[FoundDaemon]:
        """Return what L{_find} does, but wait for an address of this host without which nothing can be sent."""
        wait = None
        while True:
            try:
                return await self._find(holder)
            except NoMulticast as e:
                wait = wait or AddressWait(self._group, self._reactor.seconds())
                if self._seeks_successor(holder) or not wait.may_try_again(self._reactor.seconds()):
                    raise
                _trace.debug("%s", describe_wait(e))
                while wait.goes_on(self._reactor.seconds()):
                    await deferLater(self._reactor, LOOK_AGAIN)

    def _seeks_successor(self, holder: int) -> bool:
        return self._was_connected or holder != 0

    async def _find(self, holder: int) -> list[FoundDaemon]:
        """Return the daemons that lead, the one to choose first; C{holder} as for L{Asker}."""
        config = self._config
        try:
            with Asker(self._group, self._reactor, _trace.debug, holder) as asker:
                if self._seeks_successor(holder):
                    asker.search.ask_successor(config.timing)
                else:
                    asker.search.ask_often(config.discovery_attempts, config.discovery_timeout_ms / 1000)
                leaders = await asker.finish()
        except CannotListenError as e:
            raise NoMulticast(f"{self._group}: {reason(e.socketError)}") from e
        if not leaders:
            if asker.problem is not None:
                raise asker.problem
            _trace.debug("no reply from %s/%d", self._group.address, self._group.port)
            raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, f"no daemon answers in {self._group}")
        return leaders


@implementer(IStreamClientEndpoint)
class _SuccessorEndpoint:
    """The way to the daemon that takes over, for one holder."""

    def __init__(self, dial: Callable[[IProtocolFactory], Coroutine[Any, Any, IProtocol]]) -> None:
        self._dial = dial

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See L{GroupEndpoint.connect}."""
        return Deferred.fromCoroutine(self._dial(protocolFactory))


async def connect_to_first(
    reactor: IReactor, leaders: Sequence[FoundDaemon], factory: IProtocolFactory, say: Callable[[str], None]
) -> IProtocol:
    """
    Connect to the first of C{leaders} that can be connected to.

    @param say: called with a line about each that cannot.
    @raise DaemonUnreachable: there is none.
    """
    problems = []
    for daemon in leaders[:MOST_TRIED]:
        try:
            return await connect_within(CONNECT_TIMEOUT, reactor, daemon.host, daemon.port, factory)
        except FAILURES as e:
            problems.append(f"{daemon.peer} answers, but cannot be connected to: {e}")
            say(problems[-1])
    raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, problems[0])
