"""Listening on an endpoint, as a service."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.python.failure import Failure

from flom.interfaces import Listenable


class ListeningService(Service):
    """Listens, or fails to start, unlike C{StreamServerEndpointService}; may be started again."""

    def __init__(
        self,
        endpoint: IStreamServerEndpoint | Listenable,
        factory: IProtocolFactory,
        on_open: Callable[[IListeningPort], None],
        on_close: Callable[[IListeningPort], None],
    ) -> None:
        """
        @param on_open: called with the port when it listens.
        @param on_close: called before it stops.
        """
        self._endpoint = endpoint
        self._factory = factory
        self._on_open = on_open
        self._on_close = on_close
        self._listening: Deferred[IListeningPort | None] | None = None

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        failures: list[Failure] = []
        self._listening = self._endpoint.listen(self._factory).addCallback(self._open).addErrback(failures.append)
        for failure in failures:  # an endpoint of ours fails at once or not at all
            failure.raiseException()

    def startService(self) -> None:
        super().startService()
        if self._listening is None:
            self.privilegedStartService()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        assert self._listening is not None
        listening, self._listening = self._listening, None
        listening.cancel()
        return listening.addCallback(self._close)

    def _open(self, port: IListeningPort) -> IListeningPort:
        self._on_open(port)
        return port

    def _close(self, port: IListeningPort | None) -> Deferred[None] | None:
        if port is None:
            return None  # it was cancelled
        self._on_close(port)
        stopped: Deferred[None] | None = port.stopListening()
        return stopped
