"""
The way to the one of several daemons that leads by a quorum, as L{flom.client.blocking.leaders} goes it without a
reactor.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from flom.client.addresses import daemon_host
from flom.client.deferred.endpoints import FAILURES
from flom.client.retry import CONNECT_TRY
from flom.codes import ReturnCode
from flom.config import Config
from flom.errors import ConfigError, DaemonUnreachable
from flom.interfaces import IReactor
from flom.reactor.endpoints import connect_within
from flom.text import host_port


@implementer(IStreamClientEndpoint)
class LeadersEndpoint:
    """
    Connects to one host after another; which daemon leads, its answers say.

    @ivar peer: names the daemons to a user.
    """

    def __init__(self, reactor: IReactor, config: Config) -> None:
        """
        @param config: has the hosts.
        @raise ConfigError: there is a network interface, which is for one host.
        """
        if config.network_interface:
            raise ConfigError(f"network-interface: '{config.network_interface}' is for one host, and there are several")
        self._reactor = reactor
        self._port = config.unicast_port
        self._hosts = [daemon_host(config.replace(unicast_address=host)) for host in config.unicast_addresses]
        self._at = 0  # the index of the next one
        self.peer = ", ".join(host_port(host, self._port) for host in self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See L{IStreamClientEndpoint.connect}; fires with L{DaemonUnreachable} if no host can be connected to."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    def forget(self) -> None:
        """Connect to the next host the next time: the daemon has gone, or does not lead."""
        self._at = (self._at + 1) % len(self._hosts)

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        problems = []
        for _ in self._hosts:
            host = self._hosts[self._at]
            try:
                return await connect_within(CONNECT_TRY, self._reactor, host, self._port, factory)
            except FAILURES as e:
                problems.append(f"{host_port(host, self._port)}: {e}")
                self.forget()
        raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, f"no daemon is listening: {'; '.join(problems)}")
