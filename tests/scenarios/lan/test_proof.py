"""What makes a leader give way, and what does not: forged datagrams, and rivals that prove that they lead."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from time import monotonic

import pytest

from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Discover, Discovered, Role, Standing
from tests.fakes.exclusion import Marks
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
    refused = two.run_job("-A", GROUP, "-d", "0", "-o", "300", "-r", "R")
    assert (refused.returncode, refused.stdout) == (98, "")
    assert "two leaders" not in leader.log
    finished = holder.finish()
    assert (finished.returncode, finished.stderr) == (0, "")


def test_holders_of_the_same_lock_are_told_when_the_network_heals(lan: Lan, tmp_path: Path) -> None:
    """Those of locks that do not exclude each other are not, by the marks of them all."""
    split = Marks(tmp_path / "split")
    members = [host.join_group() for host in lan.add_hosts(3)]
    first = await_leader(members)
    lan.cut_off(first.host)
    rest = [member for member in members if member is not first]
    second = await_leader(rest)
    leaders = [first.host, second.host]
    both = [host.hold("R", marks=split) for host in leaders]
    alone = [host.hold(name, marks=split) for host, name in zip(leaders, "AB", strict=True)]
    shared = [host.hold("S", "-l", "PR", marks=split) for host in leaders]
    assert [found.holding.name for found in split.violations()] == ["R"]

    lan.let_through(first.host)
    for holder in both:  # also if the other one has been told and has ended before
        assert CONTESTED in holder.error_line()  # while the command runs
        finished = holder.finish()
        assert (finished.returncode, finished.stderr) == (95, "")
    for holder in alone + shared:
        finished = holder.finish()
        assert (finished.returncode, finished.stderr) == (0, "")
    assert await_leader(members, 5) is first


def test_daemons_and_clients_with_a_key_trust_no_others(lan: Lan, forger: Forger, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a secret of the group, of some bytes\n")
    key.chmod(0o600)
    options = ["--group-key", str(key)]
    one, two = lan.add_hosts(2)
    leader = await_leader([one.join_group(*options)])
    holder = two.hold("R", *options)
    forger.tell(encode(Discover(GROUP, standing=FORGED, port=forger.port)), leader)
    assert "ignoring a datagram" in leader.await_log("it does not have the key of the group", 5)
    assert forger.reached == 0
    key.chmod(0o644)
    open_to_all = two.flom("-A", GROUP, *options, "--", "true")
    assert open_to_all.returncode == 99
    assert open_to_all.stderr.startswith(f"flom-run: group-key: '{key}' cannot be used: others may read or change it")
    assert open_to_all.stderr.count("\n") == 1
    finished = holder.finish()
    assert (finished.returncode, finished.stderr) == (0, "")


def test_a_started_daemon_has_the_key_too(lan: Lan, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a secret of the group, of some bytes\n")
    key.chmod(0o600)
    one, two = lan.add_hosts(2)
    options = ["-A", GROUP, "--group-key", str(key), "--group-key-required"]
    first = one.start_job(*options, "-r", "R")
    assert first.line() == "held"
    busy = two.run_job(*options, "-d", "0", "-o", "200", "-r", "R")
    assert (busy.returncode, busy.stdout) == (98, "")
    without = two.flom("-A", GROUP, "-d", "0", "-r", "R2", "--", "true")
    assert without.returncode == 99  # no daemon answers it
    assert first.finish().returncode == 0


@pytest.mark.parametrize("kind", ["IPv6", "IPv4"])
def test_what_may_have_passed_a_router_is_no_announcement(lan: Lan, forger: Forger, kind: str) -> None:
    """For a group of the link: it was sent to a routable address, from one, with the hop limit of anything."""
    one = lan.add_host()
    group = GROUP if kind == "IPv6" else "224.0.0.77"
    one.ip("addr", "add", "fd00:77::1/64", "dev", "eth0", "nodad")
    forger.host.ip("addr", "add", "fd00:77::9/64", "dev", "eth0", "nodad")
    one.ip("addr", "add", "10.78.1.1/32", "dev", "eth0")
    forger.host.ip("addr", "add", "10.78.1.9/32", "dev", "eth0")
    for host, other in (one, "10.78.1.9"), (forger.host, "10.78.1.1"):
        [own] = [address["local"] for address in host.interface()["addr_info"] if address["local"].startswith("10.77")]
        router = "10.77.1.1" if own != "10.77.1.1" else "10.77.1.2"
        host.ip("route", "add", other, "via", router, "dev", "eth0", "onlink")  # as if there were a router
    leader = await_leader([one.join_group(group=group)])
    datagram = encode(Discover(group, standing=FORGED, port=forger.port))
    family = socket.AF_INET6 if kind == "IPv6" else socket.AF_INET
    source, address = ("fd00:77::9", "fd00:77::1") if kind == "IPv6" else ("10.78.1.9", "10.78.1.1")
    with closing(forger.host.open_socket(family, socket.SOCK_DGRAM)) as sender:
        sender.bind((source, 0))
        began = monotonic()
        while monotonic() < began + 1.0:
            sender.sendto(datagram, (address, PORT))
    assert forger.reached == 0
    assert "says that it leads" not in leader.log
    assert one.flom("-A", group, "-d", "0", "-r", "R", "--", "true").returncode == 0


def test_rivals_prove_themselves_over_tls_too(lan: Lan, tls: list[str], tmp_path: Path) -> None:
    members = [host.join_group(*tls) for host in lan.add_hosts(2)]
    first = await_leader(members)
    [second] = [member for member in members if member is not first]
    lan.cut_off(first.host)
    eventually(lambda: second.leads, "a second leader")
    split = Marks(tmp_path / "split")
    both = [member.host.hold("R", *tls, marks=split) for member in (first, second)]
    lan.let_through(first.host)
    assert await_leader(members, 5) is first
    for member, holder in zip((first, second), both, strict=True):
        member.await_log("both leaders have granted it", 5)
        finished = holder.finish()
        assert finished.returncode == 95
        assert CONTESTED in finished.stderr
