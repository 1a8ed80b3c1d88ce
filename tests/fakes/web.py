"""The web site of a daemon without a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.address import IPv4Address

from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.web.resources import make_root
from flom.server.web.site import Site
from tests.fakes.connections import Transport
from tests.fakes.reactors import MemoryReactor


@dataclass
class Reply:
    """An answer as it came over the connection."""

    code: int
    phrase: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Web:
    """
    An arbiter and its site.

    @ivar clock: what time it is, for everything.
    """

    clock: MemoryReactor = field(default_factory=MemoryReactor)
    counters: Counters = field(default_factory=lambda: Counters(started=1000.5))

    def __post_init__(self) -> None:
        self.arbiter = DeferredArbiter(self.clock)
        self.site = Site(make_root(self.clock, self.arbiter, self.counters), self.clock)

    def connect(self, address: Any = None) -> tuple[Any, Transport]:
        """Return a connection to C{address} of ours, and what is written to it."""
        transport = Transport(address or IPv4Address("TCP", "127.0.0.1", 9180), IPv4Address("TCP", "127.0.0.1", 40000))
        channel = self.site.buildProtocol(None)
        assert channel is not None
        channel.makeConnection(transport)
        return channel, transport

    def ask(
        self,
        path: str,
        method: str = "GET",
        host: str | None = "localhost:9180",
        address: Any = None,
        accept: str | None = None,
    ) -> Reply:
        """Send a request of its own connection."""
        channel, transport = self.connect(address)
        named = "" if host is None else f"Host: {host}\r\n"
        wanted = "" if accept is None else f"Accept: {accept}\r\n"
        channel.dataReceived(f"{method} {path} HTTP/1.1\r\n{named}{wanted}\r\n".encode())
        self.settle()
        reply = read_reply(transport.value())
        channel.connectionLost()
        return reply

    def settle(self) -> None:
        """Carry out all that is due now."""
        for _ in range(100):
            self.clock.advance(0)

    def metrics(self) -> dict[str, float]:
        """Return each metric, as Prometheus would read them."""
        families = text_string_to_metric_families(self.ask("/metrics").body.decode())
        samples = [sample for family in families for sample in family.samples]
        found = {sample.name + _spell(sample.labels): sample.value for sample in samples}
        assert len(found) == len(samples)
        return found


def read_reply(data: bytes) -> Reply:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    _, code, phrase = first.split(" ", 2)
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Reply(int(code), phrase, headers, body)


def lock_some(web: Web) -> None:
    """Request locks, of which some are held, waited for, refused and released."""
    backup = web.arbiter.acquire("backup")
    for _ in range(3):
        web.arbiter.acquire("backup")
    web.arbiter.acquire("seats[5]", quantity=2)
    web.arbiter.acquire("later", create=False)
    web.arbiter.acquire("seats[5]", quantity=9, wait=False).addErrback(lambda _: None)
    web.arbiter.acquire("backup", wait=False).addErrback(lambda _: None)
    web.clock.advance(0.7)
    backup.addCallback(lambda held: held.release())
    web.clock.advance(3)


def _spell(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{name}={value}" for name, value in labels.items()) + "}" if labels else ""
