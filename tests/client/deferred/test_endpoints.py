"""
Connecting to the daemon of a group: which of its leaders, and what if one does not let us in
(docs/compatibility.md, "Discovery by the client").
"""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from flom.client.deferred.endpoints import GroupEndpoint, connect_to_first
from flom.config import Config
from flom.core.group.addresses import Sender
from flom.core.group.discovery import CONNECT_TIMEOUT, FoundDaemon
from flom.core.protocol.messages import Discovered, Role, Standing
from flom.errors import DaemonUnreachable
from flom.net.multicast import NoMulticast
from tests.fakes.group import GROUP, STEP, FakePort, fake_ports, pass_time
from tests.fakes.reactors import MemoryReactor

ALPHA: Sender = ("fe80::a%eth0", 28015)
BETA: Sender = ("fe80::b%eth0", 28015)
GAMMA: Sender = ("fe80::c%eth0", 28015)

OF_FLOM = Discovered("", 40001)
OLDER = Discovered("", 40002, Standing("b" * 16, Role.LEADER, 1_700_000_000_000), "beta", "1")
YOUNGER = Discovered("", 40003, Standing("a" * 16, Role.LEADER, 1_800_000_000_000), "gamma", "1")


class Connecting:
    """
    An attempt to connect to the first of some leaders.

    @ivar outcome: what has become of it.
    """

    def __init__(self, *replies: Discovered) -> None:
        self.reactor = MemoryReactor()
        self.said: list[str] = []
        self.outcome: list[object] = []
        leaders = [
            FoundDaemon(sender[0], reply.port, reply, sender)
            for reply, sender in zip(replies, (ALPHA, BETA, GAMMA), strict=False)
        ]
        factory = Factory.forProtocol(Protocol)
        connecting = Deferred.fromCoroutine(connect_to_first(self.reactor, leaders, factory, self.said.append))
        connecting.addBoth(self.outcome.append)

    def tried(self) -> list[str]:
        return [host for host, *_ in self.reactor.tcpClients]

    def refuse(self) -> None:
        factory = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(self.reactor.connectors[-1], Failure(ConnectionRefusedError()))

    def succeed(self) -> None:
        host, port, factory, *_ = self.reactor.tcpClients[-1]
        connection = factory.buildProtocol(IPv6Address("TCP", host, port))
        assert connection is not None
        connection.makeConnection(StringTransport())

    def error(self) -> BaseException | None:
        [failure] = self.outcome
        assert isinstance(failure, Failure)
        return failure.value


def test_the_first_is_connected_to() -> None:
    connecting = Connecting(OLDER, YOUNGER)
    connecting.succeed()
    assert connecting.tried() == ["fe80::a%eth0"]
    assert isinstance(connecting.outcome[0], Protocol)
    assert connecting.said == []


def test_if_it_refuses_the_next_one_is() -> None:
    connecting = Connecting(OLDER, YOUNGER)
    connecting.refuse()
    connecting.succeed()
    assert connecting.tried() == ["fe80::a%eth0", "fe80::b%eth0"]
    assert isinstance(connecting.outcome[0], Protocol)
    [line] = connecting.said
    assert "[fe80::a%eth0]:40002 answers, but cannot be connected to" in line


def test_if_it_does_not_let_us_in_the_next_one_is() -> None:
    connecting = Connecting(OLDER, YOUNGER)
    pass_time(connecting.reactor, CONNECT_TIMEOUT + STEP)
    assert connecting.tried() == ["fe80::a%eth0", "fe80::b%eth0"]
    connecting.succeed()
    assert isinstance(connecting.outcome[0], Protocol)


@pytest.mark.parametrize("many", [1, 3])
def test_if_all_refuse_the_daemon_is_unreachable(many: int) -> None:
    connecting = Connecting(*[OLDER, YOUNGER, OF_FLOM][:many])
    for _ in range(many):
        connecting.refuse()
    error = connecting.error()
    assert isinstance(error, DaemonUnreachable)
    assert "[fe80::a%eth0]:40002" in str(error)
    assert "refused" in str(error)


def test_if_none_lets_us_in_the_daemon_is_unreachable() -> None:
    connecting = Connecting(OLDER)
    pass_time(connecting.reactor, CONNECT_TIMEOUT + STEP)
    assert isinstance(connecting.error(), DaemonUnreachable)


@pytest.mark.parametrize(
    "host", ["no..such", "no.such.invalid", "a b", "x" * 300, "", "%", "fe80::1", "fe80::1%nosuch0", "127.0.0.1"]
)
@pytest_twisted.ensureDeferred
async def test_an_answer_may_name_any_host(host: str) -> None:
    daemon = FoundDaemon(host, 1, OF_FLOM, ALPHA)
    loop: Any = reactor
    with pytest.raises(DaemonUnreachable, match="answers, but cannot be connected to"):
        await connect_to_first(loop, [daemon], Factory.forProtocol(Protocol), lambda text: None)


class Tentative:
    """
    A client of a group on a host whose IPv6 address cannot be used yet.

    @ivar is_tentative: whether the kernel still looks for another host that has it.
    @ivar outcome: what has become of the attempt to connect.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_tentative: bool = True
        self.ports = fake_ports(monkeypatch, "flom.client.deferred.discovery")
        monkeypatch.setattr(FakePort, "has_interfaces", False)
        monkeypatch.setattr("flom.net.tentative.has_tentative_address", lambda interface: self.is_tentative)
        monkeypatch.setattr("flom.net.tentative.lacks_address", lambda interface: False)
        self.reactor = MemoryReactor()
        self.outcome: list[object] = []
        config = Config(multicast_address=GROUP.address, discovery_attempts=1, discovery_timeout_ms=100)
        connecting = GroupEndpoint(self.reactor, config).connect(Factory.forProtocol(Protocol))
        connecting.addBoth(self.outcome.append)


def test_an_address_that_is_not_usable_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Tentative(monkeypatch)
    pass_time(client.reactor, 1.0)
    assert (client.outcome, len(client.ports)) == ([], 1)
    monkeypatch.setattr(FakePort, "has_interfaces", True)
    client.is_tentative = False
    pass_time(client.reactor, 0.06)
    assert [len(port.told) for port in client.ports] == [0, 1]


def test_it_is_waited_for_three_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Tentative(monkeypatch)
    pass_time(client.reactor, 3.05)
    assert client.outcome == []
    pass_time(client.reactor, 0.4)
    [failure] = client.outcome
    assert isinstance(failure, Failure)
    assert isinstance(failure.value, NoMulticast)
