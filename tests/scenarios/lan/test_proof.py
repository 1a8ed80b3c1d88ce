"""What makes a leader give way, and what does not: forged datagrams, and rivals that prove that they lead."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from threading import Thread
from time import monotonic

import pytest

from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Discover, Discovered, Role, Standing
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import eventually
from tests.scenarios.lan.network import GROUP, PORT, Lan, LanHost, Member, await_leader

pytestmark = needs_network_namespaces

FORGED = Standing("0123456789abcdef", Role.LEADER, 1)
CONTESTED = "another daemon of the group has granted the lock too"


class Forger:
    """A host that sends what it likes, and accepts connections on a port, but is no daemon."""

    def __init__(self, host: LanHost) -> None:
        self.host = host
        self.sender = host.open_socket(socket.AF_INET6, socket.SOCK_DGRAM)
        index = host.interface()["ifindex"]
        self.sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        self.listener = host.open_socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.listener.bind(("::", 0))
        self.listener.listen(100)
        self.reached = 0  # connections that were accepted
        Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        port = self.listener.getsockname()[1]
        assert isinstance(port, int)
        return port

    def tell(self, datagram: bytes, member: Member) -> None:
        """Send a datagram to the group, and to the daemon alone."""
        index = self.host.interface()["ifindex"]
        self.sender.sendto(datagram, (GROUP, PORT, 0, index))
        self.sender.sendto(datagram, (member.host.link_local(), PORT, 0, index))

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.reached += 1
            connection.close()


@pytest.fixture
def forger(lan: Lan) -> Iterator[Forger]:
    forger = Forger(lan.add_host())
    with closing(forger.sender), closing(forger.listener):
        yield forger


@pytest.mark.parametrize("kind", ["announcement", "answer", "answer of FLoM"])
def test_a_forged_leader_is_not_yielded_to(lan: Lan, forger: Forger, kind: str) -> None:
    """It names a port that accepts connections, and has led for longer; but it does not prove that it leads."""
    one, two = lan.add_hosts(2)
    member = one.join_group()
    leader = await_leader([member])
    holder = two.hold("R")
    datagram = {
        "announcement": encode(Discover(GROUP, standing=FORGED, port=forger.port)),
        "answer": encode(Discovered("", forger.port, FORGED, "h", "1")),
        "answer of FLoM": encode(Discovered("", forger.port)),
    }[kind]
    began = monotonic()
    while monotonic() < began + 1.0:
        forger.tell(datagram, leader)
    eventually(lambda: forger.reached > 0, "a check of the forged leader")
    assert "does not prove it" in leader.await_log("says that it leads")
    refused = two.flom("-A", GROUP, "-d", "0", "-o", "300", "-r", "R", "--", "echo", "ran twice")
    assert (refused.returncode, refused.stdout) == (98, "")
    assert "two leaders" not in leader.log
    finished = holder.finish()
    assert (finished.returncode, finished.stderr) == (0, "")


def test_holders_of_the_same_lock_are_told_when_the_network_heals(lan: Lan) -> None:
    """Those of locks that do not exclude each other are not."""
    members = [host.join_group() for host in lan.add_hosts(3)]
    first = await_leader(members)
    lan.cut_off(first.host)
    rest = [member for member in members if member is not first]
    second = await_leader(rest)
    both = [first.host.hold("R"), second.host.hold("R")]
    alone = [first.host.hold("A"), second.host.hold("B")]
    shared = [first.host.hold("S", "-l", "PR"), second.host.hold("S", "-l", "PR")]

    lan.let_through(first.host)
    for holder in both:
        stderr = holder.process.stderr
        assert stderr is not None
        assert CONTESTED in stderr.readline().decode()  # while the command runs
        finished = holder.finish()
        assert (finished.returncode, finished.stderr) == (99, "")
    for holder in alone + shared:
        finished = holder.finish()
        assert (finished.returncode, finished.stderr) == (0, "")
    assert await_leader(members, 5) is first
