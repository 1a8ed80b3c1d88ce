"""Daemons that do not hear their group by one of their interfaces, from the start or later."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.fakes.programs import eventually
from tests.scenarios.lan.network import Lan, LanHost, await_leader

pytestmark = [needs_network_namespaces, needs_nft]

GROUPS = pytest.mark.parametrize("group", ["ff02::f10", "239.1.1.1"])


@GROUPS
def test_a_deaf_interface_does_not_hide_behind_another(group: str, lan: Lan) -> None:
    hosts = lan.add_hosts(2)
    for host in hosts:
        host.add_bridge()
        host.deafen()
    for host in hosts:
        ran = host.flom("-A", group, "-d", "-1", "--", "true")
        assert ran.returncode == 99
        [line] = ran.stderr.splitlines()
        assert " by eth0 does not come back" in line
        assert "-n chooses" in line


@GROUPS
def test_a_leader_leaves_out_a_deaf_interface_that_comes_later(group: str, lan: Lan, other_lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    leader = one.join_group(group=group)
    await_leader([leader])
    one.deafen("eth1")
    other_lan.plug(one, "eth1")
    leader.await_log("is left out")
    assert leader.leads
    assert two.ask(group=group)[0] == one.name


@GROUPS
def test_a_leader_that_goes_deaf_says_goodbye(group: str, lan: Lan) -> None:
    """Its holders reclaim from the next one."""
    one, two, three = lan.add_hosts(3)
    leader = one.join_group(group=group)
    await_leader([leader])
    other = two.join_group(group=group)
    await_leader([leader, other])
    holder = three.hold("R", group=group)
    one.deafen()
    eventually(lambda: other.leads, "the other one leads", 15)
    assert not leader.leads
    waiter = two.run_job("-A", group, "-d", "0", "-r", "R", "-o", "4000")
    assert waiter.returncode not in (0, 99)
    assert holder.finish().returncode == 0


def shrink(lan: Lan, host: LanHost) -> None:
    """Switch IPv6 off, which drops all memberships, and on again."""
    host.ip("link", "set", "eth0", "mtu", "1279")
    host.ip("link", "set", "eth0", "mtu", "1500")


def replace(lan: Lan, host: LanHost) -> None:
    """Delete C{eth0}, and make it again with the same index."""
    index = host.interface()["ifindex"]
    host.ip("link", "delete", "eth0")
    lan.plug(host, "eth0", index)


def move(lan: Lan, host: LanHost) -> None:
    """Move C{eth0} to another namespace, and back."""
    [address] = [info["local"] for info in host.interface()["addr_info"] if info["family"] == "inet"]
    host.ip("link", "set", "eth0", "netns", lan.switch.name)
    lan.switch.ip("link", "set", "eth0", "netns", host.name)
    host.ip("link", "set", "eth0", "up")
    host.ip("addr", "add", f"{address}/24", "dev", "eth0")


@pytest.mark.parametrize(
    ("disturb", "group"),
    [
        (shrink, "ff02::f10"),
        *((disturb, group) for disturb in (replace, move) for group in ("ff02::f10", "239.1.1.1")),
    ],
)
def test_a_leader_whose_membership_the_kernel_drops_hears_again(
    disturb: Callable[[Lan, LanHost], None], group: str, lan: Lan
) -> None:
    one, two = lan.add_hosts(2)
    leader = one.join_group(group=group)
    await_leader([leader])
    disturb(lan, one)
    eventually(lambda: leader.log.count(f"joined [{group}]" if ":" in group else f"joined {group}") > 1, "rejoined")
    assert two.ask(group=group)[0] == one.name
    assert leader.leads


@GROUPS
def test_on_loopback_a_daemon_leads_without_an_election(group: str, lan: Lan) -> None:
    host = lan.add_host()
    words = ["-A", group, "-n", "lo", "-r", "R"]
    holder = host.start_job(*words, "-d", "5000")
    assert holder.line() == "held"
    refused = host.run_job(*words, "-d", "0", "-o", "0")
    assert refused.returncode not in (0, 99)


@GROUPS
def test_a_deaf_host_uses_a_leader_that_answers_it(group: str, lan: Lan) -> None:
    """Its answers come to another port than the group's."""
    one, two = lan.add_hosts(2)
    await_leader([one.join_group(group=group)])
    two.add_bridge()
    two.deafen()
    ran = two.flom("-A", group, "--", "true")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert two.ask(group=group)[0] == one.name
