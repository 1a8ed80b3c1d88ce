"""A multicast group without a network: ports that a test can look into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure

from flom.core.effects import Instant
from flom.core.group.addresses import Group, Sender
from flom.core.group.listening import Address
from flom.core.protocol.decode import decode
from flom.core.protocol.messages import Challenge, Discover, Message, Standing
from flom.net.multicast import NoMulticast
from flom.server.group.rival import answer
from tests.fakes.connections import Transport

GROUP = Group("ff02::1", 28015)
OWN: Sender = ("fe80::1%eth0", 28015)  # as the others see us
ASKER: Sender = ("fe80::7%eth0", 40000)
RIVAL: Sender = ("fe80::9%eth0", 28015)

HELD_NOTHING = b"[]"  # see flom.core.locks.overlap.list_held

STEP = 0.01  # seconds; no timer of an election is as short


class FakePort:
    """
    Stands in for a L{flom.net.multicast.GroupPort}; what is told to the group comes back, as the kernel sees to.

    @ivar told: the messages to the group.
    @ivar sent: the datagrams to one address alone.
    @cvar has_interfaces: whether there are any in the beginning.
    @ivar interfaces: that lead to the group.
    @ivar joined: the interfaces on which it has become a member, in order.
    @ivar is_deaf: whether what it says does not come back.
    @ivar deaf: the interfaces by which it does not.
    @ivar came_by: the interface by which the last datagram came.
    @ivar networks: by how many interfaces that was sent.
    @ivar expected: the interfaces by which the last datagram to the group has to come back.
    @ivar addresses: of each interface.
    """

    has_interfaces = True

    def __init__(self, group: Group, protocol: DatagramProtocol, reactor: Any, *, is_member: bool) -> None:
        self.group = group
        self.is_member = is_member
        self.told: list[Message] = []
        self.sent: list[tuple[bytes, Sender]] = []
        self.interfaces = ["eth0"] if self.has_interfaces else []
        self.joined: list[str] = []
        self.is_deaf = False
        self.deaf: set[str] = set()
        self.came_by = ""
        self.expected: list[str] = []
        self.networks = 0
        self.addresses: dict[str, list[Address]] = {}
        self._protocol: Any = protocol  # it takes us for a real port
        self._reactor = reactor
        self._coming: list[IDelayedCall] = []

    def startListening(self) -> None:
        self._protocol.makeConnection(self)

    def stopListening(self) -> Deferred[None]:
        for call in self._coming:
            if call.active():
                call.cancel()
        if self._protocol.transport is not None:
            self._protocol.doStop()
        return succeed(None)

    def join(self) -> list[str]:
        self._check()
        joined = [name for name in self.interfaces if name not in self.joined]
        self.joined += joined
        return joined

    def forget(self, names: list[str]) -> None:
        self.joined = [name for name in self.joined if name not in names]

    def tell(self, datagram: bytes) -> list[str]:
        return self.tell_each(lambda name, addresses: datagram)

    def tell_each(self, write: Callable[[str, list[Address]], bytes | None]) -> list[str]:
        self._check()
        written = {name: write(name, self.addresses.get(name, [])) for name in self.interfaces}
        told = {name: datagram for name, datagram in written.items() if datagram is not None}
        self.told += map(decode, dict.fromkeys(told.values()))
        self.expected = list(told)
        self.networks = len(told)
        if self.is_member:
            self._coming = [call for call in self._coming if call.active()]
            for name, datagram in told.items():
                self._coming.append(self._reactor.callLater(0, self._come_back, datagram, name))
        return self.expected

    @property
    def asked_addresses(self) -> list[Address]:
        return self.addresses.get(self.came_by, [])

    @property
    def arrival(self) -> str:
        return self.came_by

    @arrival.setter
    def arrival(self, arrival: str) -> None:
        self.came_by = arrival

    def answer(self, datagram: bytes, asker: Sender) -> None:
        self.write(datagram, asker)

    def write(self, datagram: bytes, addressee: Sender) -> None:
        self.sent.append((datagram, addressee))

    def hear(self, datagram: bytes, sender: Sender) -> None:
        """Receive a datagram."""
        self._protocol.datagramReceived(datagram, sender)

    def hear_again(self, arrivals: list[tuple[bytes, Sender, str]]) -> None:
        for datagram, sender, self.came_by in arrivals:
            self.hear(datagram, sender)

    def answers(self) -> list[tuple[Message, Sender]]:
        """Return what was sent to one address alone since the last call."""
        sent, self.sent = self.sent, []
        return [(decode(datagram), addressee) for datagram, addressee in sent]

    def announced(self) -> list[Standing]:
        """Return what was announced to the group since the last call."""
        told, self.told = self.told, []
        return [message.standing for message in told if isinstance(message, Discover) and message.standing is not None]

    def _come_back(self, datagram: bytes, name: str) -> None:
        if not self.is_deaf and name not in self.deaf:
            self.came_by = name
            self.hear(datagram, OWN)

    def _check(self) -> None:
        if not self.interfaces:
            raise NoMulticast(f"{self.group.address}: no network interface")


def fake_ports(monkeypatch: pytest.MonkeyPatch, module: str) -> list[FakePort]:
    """Replace the ports that C{module} makes by fakes; return those that it has made."""
    made: list[FakePort] = []

    def make(*arguments: Any, is_member: bool, opened: Any = None) -> FakePort:
        made.append(FakePort(*arguments, is_member=is_member))
        if opened is not None:
            made[-1].expected = opened.expected
        return made[-1]

    monkeypatch.setattr(f"{module}.GroupPort", make)
    return made


def instant(clock: Any) -> Instant:
    """Return the time of both clocks by C{clock}, whose second 0 is in 2027."""
    return Instant(clock.seconds(), 1_800_000_000 + clock.seconds())


def pass_time(clock: Any, seconds: float) -> None:
    """Advance C{clock} in small steps, so that no timer is late."""
    clock.pump([STEP] * round(seconds / STEP))


class ReachedRival:
    """
    Another leader to which the daemon of the test has begun to connect; the connection is completed.

    @ivar question: the message that it gets.
    @ivar transport: the daemon's end.
    """

    def __init__(self, reactor: Any) -> None:
        [(host, port, factory, *_), *rest] = reactor.tcpClients
        reactor.tcpClients[:] = rest
        self._protocol = factory.buildProtocol(IPv6Address("TCP", host, port))
        assert self._protocol is not None
        self.transport = Transport()
        self._protocol.makeConnection(self.transport)
        self.question = decode(self.transport.value())

    def prove(
        self,
        standing: Standing | None,
        held: Callable[[Any], bytes] | None = lambda digests: HELD_NOTHING,
        group: Group = GROUP,
    ) -> None:
        """Answer as a daemon of C{standing}."""
        assert isinstance(self.question, Challenge)
        self.say(answer(self.question, group, standing, held))
        self.close()

    def say(self, data: bytes) -> None:
        """Answer with C{data}."""
        self._protocol.dataReceived(data)

    def close(self) -> None:
        """Close the connection."""
        self._protocol.connectionLost(Failure(ConnectionDone()))
