"""
Which address a host is told by a leader that has several: one of the interface that joins the two.

Every host has a bridge of its own, as with Docker, and all of these have the same addresses.
"""

from __future__ import annotations

import re
import socket
import struct

import pytest

from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import PATIENCE
from tests.scenarios.lan.flom_peers import QUESTION
from tests.scenarios.lan.network import BRIDGE_ADDRESS, PORT, Lan, LanHost, await_leader

pytestmark = needs_network_namespaces

GROUPS = pytest.mark.parametrize("group", ["ff02::f10", "239.1.1.1"])


def add_bridged(lan: Lan) -> tuple[LanHost, LanHost]:
    """Add two hosts."""
    one, two = lan.add_hosts(2)
    for host in (one, two):
        host.add_bridge()
    return one, two


def listen_on(*addresses: str) -> list[str]:
    """Return the options by which a daemon listens on C{addresses}."""
    return [word for address in addresses for word in ("-a", address)]


def told(asker: LanHost, group: str) -> str:
    """Return the address that a client of FLoM on C{asker} is told."""
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    with asker.open_socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(PATIENCE)
        index = asker.interface()["ifindex"]
        if family == socket.AF_INET6:
            asking.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("8xi", index))
        asking.sendto(QUESTION, (group, PORT))
        answer = asking.recv(1000).decode()
    found = re.search('address="(.*?)"', answer)
    assert found
    return found[1]


@GROUPS
def test_the_address_of_the_interface_that_joins_the_hosts_is_told(group: str, lan: Lan) -> None:
    one, two = add_bridged(lan)
    await_leader([one.join_group(*listen_on(BRIDGE_ADDRESS, one.ipv4()), group=group)])
    assert two.ask(group=group)[0] == one.name
    assert told(two, group) == one.ipv4()


@GROUPS
@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_a_daemon_that_listens_everywhere_is_reached(everywhere: str, group: str, lan: Lan) -> None:
    """Even by IPv4 if it is sought by IPv6."""
    one, two = add_bridged(lan)
    await_leader([one.join_group("-a", everywhere, group=group)])
    assert two.ask(group=group)[0] == one.name


def test_each_of_two_networks_is_told_its_own_address(lan: Lan, other_lan: Lan) -> None:
    group = "239.1.1.1"
    between, one = lan.add_hosts(2)
    other_lan.plug(between, "eth1")
    other = other_lan.add_host()
    addresses = between.ipv4("eth0"), between.ipv4("eth1")
    await_leader([between.join_group(*listen_on(*addresses), group=group)])
    assert (told(one, group), told(other, group)) == addresses
    assert [host.ask(group=group)[0] for host in (one, other)] == [between.name] * 2


def test_the_link_local_address_of_the_same_link_is_told(lan: Lan) -> None:
    one, two = add_bridged(lan)
    addresses = [f"{one.link_local(name)}%{name}" for name in ("docker0", "eth0")]
    await_leader([one.join_group(*listen_on(*addresses))])
    assert two.ask()[0] == one.name


@GROUPS
def test_an_address_of_another_interface_is_told_if_there_is_no_better_one(group: str, lan: Lan) -> None:
    """Perhaps there is a way to it."""
    one, two = lan.add_hosts(2)
    one.ip("addr", "add", "192.0.2.1/32", "dev", "lo")
    two.ip("route", "add", "192.0.2.1/32", "via", one.ipv4())
    await_leader([one.join_group(*listen_on("127.0.0.1", "192.0.2.1"), group=group)])
    assert two.ask(group=group)[0] == one.name


def test_an_answer_comes_from_the_interface_that_was_asked_by(lan: Lan) -> None:
    """Whatever address the kernel prefers."""
    one, two = add_bridged(lan)
    one.ip("route", "replace", f"{one.ipv4()[:-1]}0/24", "dev", "eth0", "src", BRIDGE_ADDRESS)
    await_leader([one.join_group(group="239.1.1.1")])
    assert two.ask(group="239.1.1.1")[0] == one.name


def test_a_bridge_with_a_wide_ipv6_address_is_not_taken_for_the_link(lan: Lan) -> None:
    """The link has a prefix, of which the leader's C{eth0} has no address."""
    one, two = add_bridged(lan)
    for host in (one, two):
        host.ip("addr", "add", "fd00:d0c::1/64", "dev", "docker0", "nodad")
    two.ip("addr", "add", "fd77::2/64", "dev", "eth0", "nodad")
    one.ip("route", "add", "fd77::/64", "dev", "eth0")
    await_leader([one.join_group(group="ff05::f10")])
    assert two.ask(group="ff05::f10")[0] == one.name


@GROUPS
def test_rivals_reach_each_other_by_the_interface_that_joins_them(group: str, lan: Lan) -> None:
    hosts = add_bridged(lan)
    lan.cut_off(hosts[1])
    members = [host.join_group(*listen_on(BRIDGE_ADDRESS, host.ipv4()), group=group) for host in hosts]
    for member in members:
        await_leader([member])
    lan.let_through(hosts[1])
    await_leader(members)


def test_nothing_is_announced_by_an_interface_without_an_address(lan: Lan) -> None:
    """It would be announced by that of another interface."""
    one, two = lan.add_hosts(2)
    one.add_bridge()
    two.ip("route", "add", "default", "dev", "eth0")
    one.ip("addr", "flush", "dev", "eth0", "scope", "global")
    await_leader([one.join_group(group="239.1.1.1")])
    await_leader([two.join_group(group="239.1.1.1")])
    assert two.ask(group="239.1.1.1")[0] == two.name
