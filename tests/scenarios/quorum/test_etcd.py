"""Three hosts with an etcd member on each: the faults do to it what they say, and undo it."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.fakes.netns import Host, needs_network_namespaces, needs_nft
from tests.fakes.programs import eventually
from tests.scenarios.lan.network import PORT
from tests.scenarios.quorum import faults
from tests.scenarios.quorum.members import GATEWAY, NoAnswer, Node, Quorum, needs_etcd

pytestmark = [needs_network_namespaces, needs_nft, needs_etcd]

slow = pytest.mark.slow


def reaches(client: Host, server: Host, address: str, port: int) -> bool:
    """Return whether a connection comes about within half a second."""
    with server.open_socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("0.0.0.0", port))
        listening.listen()
        with client.open_socket(socket.AF_INET, socket.SOCK_STREAM) as connecting:
            connecting.settimeout(0.5)
            return connecting.connect_ex((address, port)) == 0


def test_the_members_elect_a_leader_and_outlive_its_end(quorum: Quorum) -> None:
    quorum.start_etcd()
    leader = quorum.await_etcd()
    heal = faults.kill_etcd(quorum, [leader])
    others = [member for member in quorum.members if member is not leader]
    new = quorum.await_etcd(others)
    assert new is not leader
    heal()
    quorum.await_etcd()


@slow
@pytest.mark.parametrize("fault", [faults.cut_off, faults.cut_from_etcd, faults.lose_what_it_sends, faults.freeze])
def test_a_part_without_majority_writes_nothing(fault: Callable[[Node], faults.Heal], quorum: Quorum) -> None:
    quorum.start_etcd()
    leader = quorum.await_etcd()
    [node] = [node for node in quorum.nodes if node.etcd is leader]
    heal = fault(node)
    quorum.await_etcd([other.etcd for other in quorum.others(node)])
    with pytest.raises(NoAnswer):
        leader.put("k", "v")
    heal()
    quorum.await_etcd()


@slow
def test_without_a_majority_there_is_no_write(quorum: Quorum) -> None:
    quorum.start_etcd()
    for fault in (lambda some: faults.kill_etcd(quorum, some), faults.stop_etcd):
        heal = fault(quorum.members[:2])
        eventually(lambda: not quorum.members[2].can_write(), "no write")
        heal()
        quorum.await_etcd()


@slow
def test_etcd_writes_while_packets_are_lost(quorum: Quorum) -> None:
    heal = faults.lose_packets(quorum, 20)
    quorum.start_etcd()
    heal()
    quorum.await_etcd()


def test_each_cut_is_of_what_it_says(quorum: Quorum) -> None:
    """Clients reach the port of the daemon, members that of etcd."""
    node, other, _ = quorum.nodes
    one, two = node.host, other.host

    def reached() -> list[bool]:
        ways = [(two, one, port) for port in (PORT, GATEWAY)] + [(one, two, port) for port in (PORT, GATEWAY)]
        return [reaches(client, server, server.ipv4(), port) for client, server, port in ways]

    assert reached() == [True] * 4
    for fault, expected in (
        (faults.cut_from_clients, [False, True, False, True]),
        (faults.cut_from_etcd, [True, False, True, False]),
        (faults.cut_off, [False] * 4),
    ):
        heal = fault(node)
        assert reached() == expected
        assert reaches(one, one, one.ipv4(), PORT)
        heal()
        assert reached() == [True] * 4
