"""A port of a group on real interfaces: what it hears, and by which it sends."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import pytest
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol

from flom.core.group.addresses import Group, Sender
from flom.net import multicast
from flom.net.multicast import NoMulticast
from flom.reactor.multicast_port import GroupPort
from tests.fakes.netns import Host, needs_network_namespaces
from tests.fakes.reactors import MemoryReactor

_IP_RECVTTL: Final = 12  # ip(7); missing in Python's socket module

PATIENCE = 5.0  # seconds until a datagram that does not come fails the test

GROUP4, GROUP6 = Group("239.1.1.1", 28015), Group("ff02::1", 28015)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A host with the two ends of a cable, C{eth0} and C{eth1}; only C{eth0} has an IPv4 address."""
    with Host("flomgroup") as host:
        host.add_interface("192.0.2.10/24")
        yield host


@pytest.fixture
def here(host: Host) -> Iterator[Host]:
    """The same host; the test is on it."""
    with host.inside():
        yield host


class Listener(DatagramProtocol):
    """
    A port of a group and its protocol.

    @ivar heard: the datagrams so far, each with its sender.
    @ivar takes: seconds that each takes.
    """

    def __init__(self, group: Group, *, is_member: bool) -> None:
        self.heard: list[tuple[bytes, Sender]] = []
        self.takes = 0.0
        self.reactor = MemoryReactor()
        self.port = GroupPort(group, self, self.reactor, is_member=is_member)

    def __enter__(self) -> Listener:
        self.port.startListening()
        return self

    def __exit__(self, *_: object) -> None:
        self.port.stopListening()
        self.reactor.advance(0)

    @property
    def number(self) -> int:
        """The port's number."""
        number: int = self.port.getHost().port
        return number

    def datagramReceived(self, datagram: bytes, addr: Sender) -> None:
        time.sleep(self.takes)
        self.heard.append((datagram, addr))

    def wait_for(self, is_there: Callable[[list[tuple[bytes, Sender]]], object]) -> list[tuple[bytes, Sender]]:
        """Receive datagrams until C{is_there} is true of them; return all."""
        while not is_there(self.heard):
            readable, _, _ = select.select([self.port], [], [], PATIENCE)
            assert readable, f"that did not come, but {self.heard}"
            self.port.doRead()
        return self.heard

    def is_silent(self) -> bool:
        """Return whether nothing was received."""
        self.port.doRead()
        return not self.heard


def member(group: Group) -> Listener:
    """Return a member of C{group} on all its interfaces."""
    listener = Listener(group, is_member=True)
    listener.startProtocol = listener.port.join  # type: ignore[method-assign]
    return listener


@contextmanager
def another_program(group: Group, *, shares: bool = True, interface: str = "eth0") -> Iterator[socket.socket]:
    """Yield the socket of a program such as FLoM: with C{SO_REUSEADDR} alone, a member by one interface."""
    family = socket.AF_INET6 if group.is_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as other:
        other.settimeout(PATIENCE)
        if shares:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("", group.port))
        packed = socket.inet_pton(family, group.address)
        index = socket.if_nametoindex(interface)
        if group.is_ipv6:
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, packed + struct.pack("I", index))
        else:
            other.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, packed + struct.pack("4xi", index))
        yield other


@contextmanager
def a_second_cable(host: Host) -> Iterator[None]:
    """Add two interfaces to C{host}, C{eth2} and C{eth3}."""
    host.ip("link", "add", "eth2", "type", "veth", "peer", "name", "eth3")
    host.ip("link", "set", "eth2", "up")
    host.ip("link", "set", "eth3", "up")
    try:
        yield
    finally:
        host.ip("link", "delete", "eth2")


each_family = pytest.mark.parametrize("group", [GROUP4, GROUP6], ids=["IPv4", "IPv6"])


@needs_network_namespaces
@each_family
def test_a_member_hears_what_is_told_to_the_group_on_its_own_host_too(here: Host, group: Group) -> None:
    with member(group) as listener, Listener(group, is_member=False) as asker:
        asker.port.tell(b"hello")
        [(datagram, sender), *_] = listener.wait_for(len)
        assert datagram == b"hello"
        assert sender[1] == asker.number
        listener.port.write(b"hello yourself", sender)
        assert asker.wait_for(len)[0][0] == b"hello yourself"


@needs_network_namespaces
def test_a_flood_leaves_time_for_what_else_is_due(here: Host) -> None:
    """Such as the next announcement of a candidate, while hundreds of clients ask for the leader."""
    with member(GROUP6) as listener, Listener(GROUP6, is_member=False) as asker:
        for _ in range(40):
            asker.port.write(b"hello", ("::1", listener.number))
        listener.takes = 0.01
        listener.port.doRead()
        assert 0 < len(listener.heard) < 10


@needs_network_namespaces
def test_the_addresses_of_a_host_are_not_listed_for_each_question(here: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[None] = []

    def list_none() -> dict[str, list[object]]:
        listed.append(None)
        return {}

    monkeypatch.setattr(multicast, "local_addresses", list_none)
    with member(GROUP6) as listener, Listener(GROUP6, is_member=False) as asker:
        asker.port.write(b"hello", ("::1", listener.number))
        listener.wait_for(len)
        listed.clear()
        for _ in range(20):
            assert listener.port.asked_addresses == []
    assert len(listed) <= 2


@needs_network_namespaces
def test_an_answer_comes_from_the_address_that_was_asked(here: Host) -> None:
    """Or else, from one of the interface that the question came by."""
    for group, own_host in (GROUP4, "127.0.0.2"), (GROUP6, "::1"):
        with member(group) as listener, Listener(group, is_member=False) as asker:
            asker.port.write(b"hello", (own_host, listener.number))
            [(_, sender)] = listener.wait_for(len)
            listener.port.answer(b"hello yourself", sender)
            assert asker.wait_for(len) == [(b"hello yourself", (own_host, listener.number))]
    by_eth0 = GROUP4.replace(interface="eth0")
    with member(by_eth0) as listener, Listener(by_eth0, is_member=False) as asker:
        asker.port.tell(b"hello")
        listener.wait_for(len)
        assert "192.0.2.10" in map(str, listener.port.asked_addresses)
        listener.port.answer(b"hello yourself", ("127.0.0.2", asker.number))  # to which the kernel prefers another
        assert asker.wait_for(len) == [(b"hello yourself", ("192.0.2.10", listener.number))]


@needs_network_namespaces
@pytest.mark.parametrize("address", ["ff01::1", "ff02::1", "ff02::1234", "ff05::1234", "ff08::1", "224.0.0.251"])
def test_groups_of_every_scope_will_do(here: Host, address: str) -> None:
    with member(GROUP6.replace(address=address)) as listener:
        listener.port.tell(b"hello")
        listener.wait_for(len)


@needs_network_namespaces
def test_a_link_local_sender_comes_with_its_interface(here: Host) -> None:
    with member(GROUP6) as listener:
        listener.port.tell(b"hello")
        senders = {f"{here.link_local(name)}%{name}" for name in ("eth0", "eth1")}
        listener.wait_for(lambda heard: {sender[0] for _, sender in heard} >= senders)


@needs_network_namespaces
@each_family
def test_without_a_name_every_interface_is_used(here: Host, group: Group) -> None:
    with member(group) as listener:
        assert listener.port.join() == []  # it is a member already
        with another_program(group, interface="eth1") as on_eth1, Listener(group, is_member=False) as asker:
            asker.port.tell(b"hello")
            assert on_eth1.recv(100) == b"hello"
        listener.wait_for(len)


@needs_network_namespaces
def test_with_a_name_only_that_interface_is_told(here: Host) -> None:
    with member(GROUP6) as listener, Listener(GROUP6.replace(interface="eth0"), is_member=False) as asker:
        asker.port.tell(b"hello")
        heard = listener.wait_for(lambda heard: len(heard) == 2)  # on both ends of the cable
        assert {sender[0] for _, sender in heard} == {f"{here.link_local('eth0')}%{name}" for name in ("eth0", "eth1")}


@needs_network_namespaces
@each_family
def test_with_a_name_only_that_interface_is_listened_on(here: Host, group: Group) -> None:
    by_eth0, by_eth2 = group.replace(interface="eth0"), group.replace(interface="eth2")
    with a_second_cable(here), member(by_eth0) as listener, member(by_eth2) as elsewhere:
        listener.port.tell(b"hello")
        listener.wait_for(len)
        assert elsewhere.is_silent()


@needs_network_namespaces
@each_family
def test_other_groups_on_the_same_port_are_not_heard(here: Host, group: Group) -> None:
    other = group.replace(address="ff02::2" if group.is_ipv6 else "239.2.2.2")
    with member(group) as listener, member(other) as stranger:
        stranger.port.tell(b"not for you")
        stranger.wait_for(len)
        assert listener.is_silent()


@needs_network_namespaces
@each_family
def test_the_port_is_shared_with_another_program(here: Host, group: Group) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(another_program(group))
        listeners = [stack.enter_context(member(group)) for _ in range(2)]
        stack.enter_context(Listener(group, is_member=False)).port.tell(b"hello")
        assert other.recv(100) == b"hello"
        for listener in listeners:
            listener.wait_for(len)


@needs_network_namespaces
@each_family
def test_a_port_that_another_program_does_not_share_is_taken(here: Host, group: Group) -> None:
    with another_program(group, shares=False), pytest.raises(CannotListenError, match=r"28015.*in use"):
        member(group).port.startListening()


@needs_network_namespaces
@each_family
@pytest.mark.parametrize("ttl", [1, 7, 255])
def test_a_datagram_has_as_many_hops_as_it_is_given(here: Host, group: Group, ttl: int) -> None:
    asker = Listener(group.replace(ttl=ttl), is_member=False)
    with another_program(group) as other, asker:
        if group.is_ipv6:
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        else:
            other.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
        asker.port.tell(b"hello")
        _, [(_, _, hops)], *_ = other.recvmsg(100, 100)
        assert struct.unpack("i", hops) == (ttl,)


@needs_network_namespaces
@each_family
def test_an_interface_that_was_down_is_joined_again(here: Host, group: Group) -> None:
    with member(group) as listener:
        here.ip("link", "set", "eth1", "down")
        assert listener.port.join() == []
        here.ip("link", "set", "eth1", "up")
        assert listener.port.join() == ["eth1"]


@needs_network_namespaces
def test_new_interfaces_are_joined(here: Host) -> None:
    with member(GROUP6) as listener:
        with a_second_cable(here):
            assert sorted(listener.port.join()) == ["eth2", "eth3"]
        assert listener.port.join() == []


@needs_network_namespaces
@each_family
def test_without_an_interface_nothing_can_be_joined_or_told(host: Host, group: Group) -> None:
    with Host("flomalone") as alone, alone.inside(), Listener(group, is_member=True) as listener:
        for attempt in (listener.port.join, lambda: listener.port.tell(b"hello")):
            with pytest.raises(NoMulticast, match=f"{group.address}: no network interface"):
                attempt()


@needs_network_namespaces
def test_where_ipv6_is_switched_off_that_is_said() -> None:
    with Host("flomsix") as host, host.inside():
        host.add_interface()
        host.run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1", check=True)
        with Listener(GROUP6, is_member=True) as listener, pytest.raises(NoMulticast, match="no IPv6 address"):
            listener.port.tell(b"hello")


@needs_network_namespaces
@pytest.mark.parametrize("datagram", [b"", b"noise"], ids=["empty", "short"])
def test_a_flood_leaves_others_their_turn(here: Host, datagram: bytes) -> None:
    with member(GROUP4) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        for _ in range(150):
            flood.sendto(datagram, ("127.0.0.1", GROUP4.port))
        listener.port.doRead()
        assert 0 < len(listener.heard) < 100
        listener.wait_for(lambda heard: len(heard) == 150)


@needs_network_namespaces
def test_an_answer_to_a_closed_port_does_not_deafen(here: Host) -> None:
    with member(GROUP4) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            address = gone.getsockname()
        listener.port.write(b"are you there", address)
        asker.sendto(b"hello", ("127.0.0.1", GROUP4.port))
        assert listener.wait_for(len)[0][0] == b"hello"


@needs_network_namespaces
def test_a_datagram_longer_than_any_of_ours_does_not_seem_to_be_one(here: Host) -> None:
    with member(GROUP4) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.sendto(b"x" * 60000, ("127.0.0.1", GROUP4.port))
        [(datagram, _)] = listener.wait_for(len)
        assert len(datagram) == 1024


class TestFault:
    """A fault of our own."""

    @pytest.fixture(autouse=True)
    def no_logged_failures(self) -> None:
        """It may be logged."""

    @needs_network_namespaces
    def test_it_costs_a_datagram_and_not_the_port(self, here: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        with member(GROUP4) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            take = listener.datagramReceived

            def stumble(datagram: bytes, sender: Sender) -> None:
                if datagram == b"stumble":
                    raise ZeroDivisionError
                take(datagram, sender)

            monkeypatch.setattr(listener, "datagramReceived", stumble)
            for datagram in (b"stumble", b"hello"):
                asker.sendto(datagram, ("127.0.0.1", GROUP4.port))
            assert listener.wait_for(len)[0][0] == b"hello"
