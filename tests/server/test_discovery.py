"""What the daemon answers to those who look for it, and what it ignores (spec 6.3, D-24)."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, succeed

from flom.core.messages import Discover, Discovered
from flom.core.wire import decode, encode
from flom.server.discovery import DiscoveryProtocol
from tests.server.connections import lock, xml

ASKER = ("192.0.2.7", 40000)


class Transport:
    """A UDP port that sends nowhere."""

    def __init__(self) -> None:
        self.joined: list[str] = []
        self.sent: list[tuple[bytes, tuple[str, int]]] = []

    def joinGroup(self, group: str) -> Deferred[None]:
        self.joined.append(group)
        return succeed(None)

    def write(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self.sent.append((datagram, addr))


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
def discovery(transport: Transport) -> DiscoveryProtocol:
    discovery = DiscoveryProtocol("239.1.1.1", "", 28015)
    discovery.transport = transport
    discovery.startProtocol()
    return discovery


def test_the_asker_is_told_where_the_daemon_is(discovery: DiscoveryProtocol, transport: Transport) -> None:
    discovery.datagramReceived(encode(Discover()), ASKER)
    [(reply, addressee)] = transport.sent
    assert (decode(reply), addressee) == (Discovered("", 28015), ASKER)


def test_it_is_a_member_of_the_group(discovery: DiscoveryProtocol, transport: Transport) -> None:
    assert transport.joined == ["239.1.1.1"]


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"hello",
        encode(Discover())[:-1],
        encode(Discover()) + b" " * 500,
        encode(Discovered("", 1)),
        xml(3, 8),
        xml(4, 8, level=2),
        xml(4, 8, '<foo a="1"/>'),
        xml(5, 8, '<shutdown immediate="1"/>'),
        lock(),
        b"\xff" * 60000,
    ],
)
def test_anything_else_is_ignored(datagram: bytes, discovery: DiscoveryProtocol, transport: Transport) -> None:
    discovery.datagramReceived(datagram, ASKER)
    assert transport.sent == []


def test_a_reply_is_not_much_longer_than_the_question(discovery: DiscoveryProtocol, transport: Transport) -> None:
    discovery.datagramReceived(encode(Discover()), ASKER)
    assert len(transport.sent[0][0]) < 2 * len(encode(Discover()))
