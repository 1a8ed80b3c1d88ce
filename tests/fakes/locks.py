"""A client that keeps its connections, and its daemon, in one process without sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from flom.acquisition import Acquisition, Held
from flom.client.deferred.arbiter import RemoteArbiter
from tests.fakes.tls_network import MemoryNetwork, NetworkDaemon

KEEP = 2.0
"""Seconds that connections are kept."""


class Locks:
    """
    A client that keeps its connections for a while, and its daemon.

    @ivar daemon: to be connected to, and asked by code in its own process.
    """

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.daemon = NetworkDaemon(self.network, None)
        self.client = RemoteArbiter(self.daemon.endpoint, "the daemon", self.network.clock, keep=KEEP)

    def acquire(self, name: str = "R1", **asked: Any) -> Acquisition:
        acquisition = self.client.acquire(name, **asked)
        self.network.settle()
        return acquisition

    def hold(self, name: str = "R1", **asked: Any) -> Held:
        held: list[Held] = []
        self.acquire(name, **asked).addCallback(held.append)
        return held[0]

    def release(self, held: Held, rollback: bool = False) -> None:
        done = held.release(rollback)
        self.network.settle()
        assert done.called

    @property
    def connections(self) -> int:
        """How many there were."""
        return self.daemon.endpoint.connections

    @property
    def is_deserted(self) -> bool:
        """Whether the daemon has no client."""
        self.network.settle()
        return self.daemon.arbiter.is_deserted


def error(deferred: Deferred[Any]) -> BaseException | None:
    """Return the error that C{deferred} has."""
    errors: list[BaseException | None] = []
    deferred.addErrback(lambda failure: errors.append(failure.value))
    return errors[0]
