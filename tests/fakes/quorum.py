"""A daemon under a quorum without a network and without etcd."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IUNIXTransport
from twisted.internet.task import Clock
from zope.interface import implementer

from flom.core.quorum.times import DEFAULT
from flom.server.counters import Counters
from flom.server.lifespan import LifespanService
from flom.server.limits import Limits
from flom.server.options import ServerOptions
from flom.server.proofs import Proofs
from flom.server.quorum.arbiter import LeasedArbiter, LeasedEpochs
from flom.server.quorum.service import Quorum, QuorumService, parts_of
from tests.fakes.connections import MemoryClient, TcpTransport, Transport
from tests.fakes.elector import FakeElector

WAIT = DEFAULT.wait
"""Seconds for which a new leader grants nothing new."""

IDENTITY = "host-a"


@implementer(IUNIXTransport)
class UnixTransport(Transport):  # type: ignore[misc]  # it has what we use
    """Stands in for a connection over a UNIX socket."""

    def __init__(self, *addresses: Any) -> None:
        super().__init__(UNIXAddress("/run/flom"), UNIXAddress(""))


class QuorumDaemon:
    """
    A daemon under a quorum, and its clients.

    @ivar elector: says whether it leads.
    """

    def __init__(self, options: ServerOptions | None = None, *, is_started: bool = True) -> None:
        self.clock = Clock()
        limits = Limits(session_timeout=DEFAULT.session)
        options = options or ServerOptions(limits=limits, sessions_are_required=True)
        self.counters = Counters(started=0.0)
        self.epochs = LeasedEpochs()
        self.arbiter = LeasedArbiter(self.clock, limits=limits, epochs=self.epochs, boottime=self.now)
        self.electors: list[FakeElector] = []
        quorum = Quorum(DEFAULT, IDENTITY, self._make_elector, self.now)
        lifespan = LifespanService(self.arbiter, self.clock, None, lambda: None)
        self.service: QuorumService
        self.factory, self.service = parts_of(
            quorum, self.arbiter, self.clock, options, self.counters, Proofs(), lifespan
        )
        [self.elector] = self.electors
        if is_started:
            self.service.startService()

    def now(self) -> float:
        """Return the time of the clock that goes on while the machine sleeps."""
        return self.elector.now() if self.electors and hasattr(self, "elector") else self.clock.seconds()

    def lead(self, word: str = "") -> None:
        """Lead, and wait until new locks are granted."""
        self.elector.win(word)
        self.elector.keep_for(0.0 if word else WAIT + 0.25)

    def connect(self, kind: type[Transport] = TcpTransport, host: str = "192.0.2.1") -> MemoryClient:
        """Return a client that connects from C{host}."""
        return MemoryClient(self.factory, host, kind)

    def _make_elector(self, events: Any) -> FakeElector:
        self.electors.append(FakeElector(events, self.clock))
        return self.electors[-1]
