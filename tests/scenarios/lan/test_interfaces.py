"""Which interfaces lead to a group, and which groups there are."""

from __future__ import annotations

import socket
import struct
import sys

import pytest

from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import complaints
from tests.scenarios.lan.network import GROUP, PORT, Lan, LanHost, await_leader, leaders_in

pytestmark = needs_network_namespaces


def share(host: LanHost, group: str) -> socket.socket:
    """Return a socket of another program on C{host} that listens to C{group} too."""
    interface = host.interface()["ifindex"]
    if ":" in group:
        shared = host.open_socket(socket.AF_INET6, socket.SOCK_DGRAM)
        membership = socket.inet_pton(socket.AF_INET6, group) + struct.pack("I", interface)
        shared.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
    else:
        shared = host.open_socket(socket.AF_INET, socket.SOCK_DGRAM)
        membership = socket.inet_aton(group) + struct.pack("4xi", interface)
        shared.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    shared.bind(("", PORT))
    return shared


@pytest.fixture
def between(lan: Lan, other_lan: Lan) -> LanHost:
    """A host that is in one network by C{eth0} and in another by C{eth1}."""
    between = lan.add_host()
    other_lan.plug(between, "eth1")
    return between


@pytest.mark.parametrize("group", ["ff02::f10%eth0", "ff05::1"])
def test_groups_of_other_kinds(group: str, lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    assert one.flom("-A", group, "-d", "-1", "--", "true").returncode == 0
    assert two.ask(group=group)[0] == one.name


def test_daemons_of_an_ipv4_group_take_over_from_each_other(lan: Lan) -> None:
    members = [host.join_group(group="239.1.1.1") for host in lan.add_hosts(2)]
    leader = await_leader(members)
    leader.stop()
    members.remove(leader)
    assert await_leader(members, 1.5) is members[0]
    assert leader.host.ask(group="239.1.1.1")[0] == members[0].host.name


@pytest.mark.parametrize("groups", [["ff02::1", "ff02::2"], ["239.1.1.1", "239.1.1.2"]], ids=" and ".join)
def test_groups_on_one_port_are_separate(groups: list[str], lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    leaders = [host.join_group(group=group) for host, group in zip([one, two], groups, strict=True)]
    for leader in leaders:
        await_leader([leader])
    bystanders = [host.join_group(group=group) for host, group in zip([two, one], groups, strict=True)]
    for leader, bystander in zip(leaders, bystanders, strict=True):
        assert await_leader([leader, bystander]) is leader
    client = lan.add_host()
    for _ in range(2):
        assert [client.ask(group=group)[0] for group in groups] == [one.name, two.name]
    leaders[0].stop()
    assert await_leader([bystanders[0]], 1.5) is bystanders[0]
    assert [client.ask(group=group)[0] for group in groups] == [two.name] * 2
    assert "two leaders" not in lan.logs()


@pytest.mark.parametrize("group", ["ff02::1", "239.1.1.1"])
def test_other_programs_may_use_the_group_too(group: str, lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    with share(one, group), share(two, group):
        members = [host.join_group(group=group) for host in (one, two)]
        leader = await_leader(members)
        with share(one, group), share(two, group):
            assert [host.ask(group=group)[0] for host in (one, two)] == [leader.host.name] * 2
        leader.stop()
        members.remove(leader)
        assert await_leader(members, 1.5) is members[0]


@pytest.mark.parametrize("group", ["ff02::1", "239.1.1.1"])
def test_of_two_leaders_every_client_chooses_the_same_and_warns(
    group: str, lan: Lan, other_lan: Lan, between: LanHost
) -> None:
    """
    Unless an interface is chosen. The leaders cannot hear each other; the one that has led for longer would go on if
    they could.
    """
    one, other = lan.add_host(), other_lan.add_host()
    for host in (other, one):
        await_leader([host.join_group(group=group)])
    for _ in range(2):
        ran = between.flom("-V", "-A", group, "-d", "0", "--", "true")
        assert (ran.returncode, leaders_in(ran.stdout)[0][0]) == (0, other.name)
        [warning] = complaints(ran).splitlines()
        for part in ("2 daemons lead", one.name, other.name):
            assert part in warning
    assert between.ask("-n", "eth0", group=group)[0] == one.name
    assert between.ask("-n", "eth1", group=group)[0] == other.name


@pytest.mark.parametrize("group", ["ff02::1", "239.1.1.1"])
def test_two_pools_on_two_interfaces_of_one_host_are_separate(
    group: str, lan: Lan, other_lan: Lan, between: LanHost
) -> None:
    one, other = lan.add_host(), other_lan.add_host()
    pools = [between.join_group("--interface", name, group=group) for name in ("eth0", "eth1")]
    for member in pools:
        await_leader([member])
    nodes = [between.ask("-n", name, group=group)[1] for name in ("eth0", "eth1")]
    assert len(set(nodes)) == 2
    assert [host.ask(group=group) for host in (one, other)] == [(between.name, node) for node in nodes]

    for host, member in zip([one, other], pools, strict=True):  # each has its own one that stands by
        await_leader([member, host.join_group(group=group)])
    for host, member in zip([one, other], pools, strict=True):
        member.stop()
        await_leader(host.members, 1.5)
    assert [between.ask("-n", name, group=group)[0] for name in ("eth0", "eth1")] == [one.name, other.name]
    assert "two leaders" not in lan.logs() + other_lan.logs()


@pytest.mark.parametrize("group", ["ff02::1", "239.1.1.1"])
def test_a_host_in_two_networks_leads_both(group: str, lan: Lan, other_lan: Lan, between: LanHost) -> None:
    leader = between.join_group(group=group)
    await_leader([leader])
    one, other = lan.add_host(), other_lan.add_host()
    others = [host.join_group(group=group) for host in (one, other)]
    assert await_leader([leader, *others]) is leader
    assert {host.ask(group=group)[0] for host in (between, one, other)} == {between.name}


def test_an_interface_that_is_down_does_no_harm(lan: Lan, between: LanHost) -> None:
    one = lan.add_host()
    await_leader([one.join_group()])
    between.ip("link", "set", "eth1", "down")
    assert between.ask()[0] == one.name


def test_an_interface_that_comes_up_later_is_joined(lan: Lan, between: LanHost) -> None:
    one = lan.add_host()
    between.ip("link", "set", "eth0", "down")
    leader = between.join_group()
    await_leader([leader])
    between.ip("link", "set", "eth0", "up")
    assert await_leader([leader, one.join_group()]) is leader
    assert one.ask()[0] == between.name


def make_address_tentative(host: LanHost) -> None:
    """Set the interface up anew: the kernel asks for a second or two whether another host has its address."""
    host.ip("link", "set", "eth0", "down")
    host.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_dad", check=True)
    host.ip("link", "set", "eth0", "up")


@pytest.mark.parametrize("starts", [True, False])
def test_an_address_that_is_not_usable_yet_is_waited_for(lan: Lan, starts: bool) -> None:
    one, two = lan.add_hosts(2)
    if not starts:
        assert two.flom("-A", GROUP, "-d", "-1", "--", "true").returncode == 0
    make_address_tentative(one)
    done = one.flom("-V", "-A", GROUP, "-d", "-1" if starts else "0", "--", "echo", "ran")
    assert (done.returncode, complaints(done)) == (0, "")
    assert "it has no IPv6 address; waiting until the kernel knows" in done.stdout
    assert done.stdout.endswith("\nran\n")


TASKS = f"""\
import asyncio, flom.aio
async def main():
    async with flom.aio.lock("R", group="{GROUP}", start=False):
        print("ran")
asyncio.run(main())
"""
TWISTED = ["-m", "flom.client.deferred", "-A", GROUP, "-D", "1", "-I", "100", "-d", "0", "--", "echo", "ran"]


@pytest.mark.parametrize("words", [TWISTED, ["-c", TASKS]], ids=["Twisted", "tasks"])
def test_other_clients_wait_for_such_an_address_too(lan: Lan, words: list[str]) -> None:
    one, two = lan.add_hosts(2)
    assert two.flom("-A", GROUP, "-d", "-1", "--", "true").returncode == 0
    make_address_tentative(one)
    done = one.start(sys.executable, *words).finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")
