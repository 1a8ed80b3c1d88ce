"""What a daemon holds, for browsers, Prometheus and load balancers."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger

from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.listening import ListeningService
from flom.server.web.answers import Answers
from flom.server.web.serving import WebFactory
from flom.server.web.snapshots import Snapshots

_log = Logger()


def web_service(
    reactor: Any, endpoint: IStreamServerEndpoint, arbiter: DeferredArbiter, counters: Counters
) -> IService:
    """
    Return a service that shows what C{arbiter} holds on C{endpoint}.

    A start fails with C{CannotListenError} if it cannot listen.
    """
    factory = WebFactory(reactor, Answers(arbiter, counters, Snapshots(reactor, arbiter, counters)))

    def note_open(port: IListeningPort) -> None:
        _log.info("showing what is locked on {address}", address=port.getHost())

    return ListeningService(endpoint, factory, note_open, lambda port: factory.disconnect_all())
