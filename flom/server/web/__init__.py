"""What a daemon holds, for browsers, Prometheus and load balancers."""

from __future__ import annotations

from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger

from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.web.answers import Answers
from flom.server.web.serving import WebFactory
from flom.server.web.snapshots import Snapshots


def web_service(
    reactor: Any, endpoint: IStreamServerEndpoint, arbiter: DeferredArbiter, counters: Counters
) -> IService:
    """
    Make a service that shows what C{arbiter} holds to whoever connects to C{endpoint}.

    A start fails with C{CannotListenError} if it cannot listen.
    """
    answers = Answers(arbiter, counters, Snapshots(reactor, arbiter, counters))
    return _WebService(endpoint, WebFactory(reactor, answers))


class _WebService(StreamServerEndpointService):
    """Listens, or fails to start; sends its clients away when it stops."""

    _log = Logger()
    _raiseSynchronously = True  # as strports.service sets it

    def __init__(self, endpoint: IStreamServerEndpoint, factory: WebFactory) -> None:
        super().__init__(endpoint, factory)
        self._web = factory

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        assert self._waitingForPort is not None
        self._waitingForPort.addCallback(self._tell)

    def stopService(self) -> Deferred[None]:
        self._web.disconnect_all()
        stopped: Deferred[None] = super().stopService()
        return stopped

    def _tell(self, port: IListeningPort) -> IListeningPort:
        self._log.info("showing what is locked on {address}", address=port.getHost())
        return port
