"""Of the daemons of one group on one host one has the seat, whatever happens to datagrams."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

import flom.net.host_seat
from flom.core.group.addresses import Group
from flom.net.host_seat import Seat, SeatTaken, inherit_seat, take_seat
from flom.net.multicast import NetworkInterface, NoMulticast
from tests.fakes.netns import Host, needs_network_namespaces

GROUP = Group("ff02::1", os.getpid())  # no other test's; no datagram is sent, so any number is a port
ETH0 = NetworkInterface(2, "eth0", 0x1003)
ETH1 = NetworkInterface(3, "eth1", 0x1003)


class Interfaces:
    """
    The interfaces of this host.

    @ivar usable: those that lead to any group.
    """

    def __init__(self) -> None:
        self.usable = [ETH0]

    def for_group(self, group: Group) -> list[NetworkInterface]:
        usable = [interface for interface in self.usable if group.interface in ("", interface.name)]
        if not usable:
            raise NoMulticast("there is none")
        return usable


@pytest.fixture(autouse=True)
def interfaces(monkeypatch: pytest.MonkeyPatch) -> Interfaces:
    interfaces = Interfaces()
    monkeypatch.setattr(flom.net.host_seat, "usable_interfaces", interfaces.for_group)
    return interfaces


@pytest.fixture
def seat() -> Iterator[Seat]:
    """The seat, taken."""
    with closing(take_seat(GROUP)) as seat:
        yield seat


def is_free(group: Group = GROUP) -> bool:
    """Return whether the seat is free."""
    try:
        take_seat(group).close()
    except SeatTaken:
        return False
    return True


def test_one_has_it_until_it_leaves(seat: Seat) -> None:
    with pytest.raises(SeatTaken, match=rf"another daemon on this host is in \[ff02::1\]:{GROUP.port} already"):
        take_seat(GROUP)
    seat.close()
    assert is_free()


@pytest.mark.parametrize(
    "other", [GROUP.replace(address="ff02::2"), GROUP.replace(port=GROUP.port + 1)], ids=["address", "port"]
)
def test_another_group_has_another_one(seat: Seat, other: Group) -> None:
    assert is_free(other)


def test_the_number_of_routers_makes_no_other_group(seat: Seat) -> None:
    assert not is_free(GROUP.replace(ttl=5))


def test_the_process_that_inherits_it_has_it(seat: Seat) -> None:
    with closing(inherit_seat(GROUP, map(os.dup, seat.descriptors()))) as heir:
        seat.close()
        assert not is_free()
        heir.extend()  # what it has inherited is not in its way
    assert is_free()


def test_what_is_no_socket_cannot_be_inherited() -> None:
    with open(os.devnull) as nothing, pytest.raises(OSError, match="socket"):
        inherit_seat(GROUP, [os.dup(nothing.fileno())])


def test_by_one_interface_or_by_all_it_is_the_same_one(seat: Seat, interfaces: Interfaces) -> None:
    interfaces.usable = [ETH0, ETH1]
    assert not is_free(GROUP.replace(interface="eth0"))
    assert is_free(GROUP.replace(interface="eth1"))


def test_it_is_taken_for_every_interface_or_for_none(seat: Seat, interfaces: Interfaces) -> None:
    interfaces.usable = [ETH1, ETH0]
    with pytest.raises(SeatTaken):
        take_seat(GROUP)
    assert is_free(GROUP.replace(interface="eth1"))


def test_it_is_extended_to_interfaces_that_have_come(seat: Seat, interfaces: Interfaces) -> None:
    interfaces.usable = [ETH0, ETH1]
    seat.extend()
    assert len(seat.descriptors()) == 2
    assert not is_free(GROUP.replace(interface="eth1"))


def test_what_cannot_be_extended_stays_as_it_is(seat: Seat, interfaces: Interfaces) -> None:
    interfaces.usable = [ETH0, ETH1]
    with closing(take_seat(GROUP.replace(interface="eth1"))):
        with pytest.raises(SeatTaken):
            seat.extend()
        assert len(seat.descriptors()) == 1
    assert not is_free()
    assert is_free(GROUP.replace(interface="eth1"))


def test_without_an_interface_there_is_none(interfaces: Interfaces) -> None:
    interfaces.usable = []
    with pytest.raises(NoMulticast):
        take_seat(GROUP)


@needs_network_namespaces
def test_every_host_has_its_own(seat: Seat) -> None:
    with ExitStack() as stack:
        with stack.enter_context(Host("flomseat")).inside():
            stack.enter_context(closing(take_seat(GROUP)))
            assert not is_free()
        assert not is_free()
        seat.close()
        assert is_free()
