"""The daemon, put together: endpoints, discovery and the end of it all, around one arbiter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import MultiService, Service
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger

from flom.keepalive import DEFAULT_KEEPALIVE, Keepalive
from flom.server.arbiter import DeferredArbiter
from flom.server.discovery import DiscoveryProtocol
from flom.server.lifespan import LifespanService
from flom.server.protocol import LockFactory


@dataclass(frozen=True, slots=True)
class Discoverable:
    """
    How clients may find the daemon (spec 6.3).

    @ivar group: a multicast address; its family is that of the socket.
    @ivar port: the UDP port that questions come to.
    @ivar told_address: where clients are sent, or the empty string for where the answer comes from.
    @ivar told_port: the TCP port that they are sent to.
    """

    group: str
    port: int
    told_address: str
    told_port: int


def make_daemon(
    reactor: Any,
    arbiter: DeferredArbiter,
    endpoints: Iterable[IStreamServerEndpoint],
    *,
    lifespan: float | None = None,
    keepalive: Keepalive = DEFAULT_KEEPALIVE,
    discoverable: Discoverable | None = None,
    end: Callable[[], None] | None = None,
) -> MultiService:
    """
    Put a daemon together.

    @param endpoints: where to listen; a start fails with C{CannotListenError} if one of them cannot.
    @param lifespan: seconds without a client or a resource after which the daemon ends; C{None} for never.
    @param end: what it is for the daemon to end, because of its lifespan or because a client orders it; by default,
        the reactor stops. It should at least stop the service.
    """
    daemon = MultiService()
    lifespan_service = LifespanService(arbiter, reactor, lifespan, end or reactor.stop)

    def shut_down(immediate: bool) -> None:
        if immediate:
            (end or reactor.stop)()
        else:
            lifespan_service.quiesce()

    factory = LockFactory(arbiter, reactor, keepalive, shut_down)
    for endpoint in endpoints:
        _EndpointService(endpoint, factory).setServiceParent(daemon)
    if discoverable is not None:
        _DiscoveryService(reactor, discoverable).setServiceParent(daemon)
    lifespan_service.setServiceParent(daemon)
    _ClientsService(arbiter, factory).setServiceParent(daemon)
    return daemon


class _ClientsService(Service):
    """Sends the clients away when the daemon stops."""

    def __init__(self, arbiter: DeferredArbiter, factory: LockFactory) -> None:
        self._arbiter = arbiter
        self._factory = factory

    def stopService(self) -> None:
        super().stopService()
        self._arbiter.close()  # first: the locks of those who are sent away must not go to those who still wait
        self._factory.disconnect_all()


class _EndpointService(StreamServerEndpointService):
    """Listens, or fails to start: no daemon is better than a deaf one."""

    _log = Logger()
    _raiseSynchronously = True  # as strports.service sets it

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        assert self._waitingForPort is not None
        self._waitingForPort.addCallback(self._tell)

    def _tell(self, port: IListeningPort) -> IListeningPort:
        self._log.info("listening on {address}", address=port.getHost())
        return port


class _DiscoveryService(Service):
    """Answers in the multicast group for as long as it runs."""

    def __init__(self, reactor: Any, discoverable: Discoverable) -> None:
        self._reactor = reactor
        self._discoverable = discoverable
        self._port: IListeningPort | None = None

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        told = self._discoverable
        self._port = self._reactor.listenMulticast(
            told.port,
            DiscoveryProtocol(told.group, told.told_address, told.told_port),
            interface="::" if ":" in told.group else "",
            listenMultiple=True,
        )

    def stopService(self) -> Any:
        super().stopService()
        return self._port.stopListening() if self._port is not None else None
