"""A client whose host has gone without a word is noticed, and one that is only stopped keeps what it has."""

from __future__ import annotations

import signal

import pytest

from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import Running, eventually
from tests.scenarios.lan.network import PORT, Lan, LanHost, Member

pytestmark = needs_network_namespaces

KEEPALIVE = ["--tcp-keepalive-time", "1", "--tcp-keepalive-intvl", "1", "--tcp-keepalive-probes", "1"]

SILENCE = 4.0
"""Seconds that are enough for that to take a host for dead."""

GONE = 10.0
"""Seconds after which a client must have been noticed to have gone."""

each_family = pytest.mark.parametrize("family", ["IPv4", "IPv6"])


class Place:
    """A daemon on a host of its own, and how others reach it by C{family}."""

    def __init__(self, host: LanHost, family: str) -> None:
        self.host = host
        address = ["-a", "0.0.0.0", "-a", "::", "--unicast-port", str(PORT)]
        self.member: Member = host.start_daemon(*address, *KEEPALIVE, "--session-timeout", "500", "--log-grants")
        self.member.await_log("FLM003N")
        if family == "IPv4":
            self._there = next(
                address["local"] for address in host.interface()["addr_info"] if address["family"] == "inet"
            )
        else:
            self._there = f"{host.link_local()}%eth0"

    def start(self, client: LanHost, *words: str) -> Running:
        """Run a command on C{client} that holds R until its stdin is closed."""
        where = ["-a", self._there, "-p", str(PORT), "-d", "0", "-r", "R"]
        return client.start_job(*where, *words)

    def hold(self, client: LanHost) -> Running:
        holder = self.start(client)
        assert holder.line() == "held"
        return holder

    def wait(self, client: LanHost) -> Running:
        waiter = self.start(client)
        eventually(lambda: client.has_heard(waiter, self.member), f"{client.name} waiting")
        return waiter


@each_family
def test_the_lock_of_a_holder_whose_host_has_gone_is_freed(family: str, lan: Lan) -> None:
    server, one, two = lan.add_hosts(3)
    place = Place(server, family)
    place.hold(one)
    waiter = place.wait(two)
    lan.crash(one)
    place.member.await_log("released by", GONE)
    assert waiter.line() == "held"


@each_family
def test_so_is_a_lock_that_is_granted_to_a_waiter_whose_host_has_gone(family: str, lan: Lan) -> None:
    server, one, two = lan.add_hosts(3)
    place = Place(server, family)
    holder = place.hold(one)
    waiter = place.wait(two)
    lan.crash(two)
    holder.finish()
    last = place.start(one)
    eventually(lambda: place.member.log.count("released by") == 2, "the end of the waiter", GONE)
    assert last.line() == "held"
    assert waiter.wait() == -signal.SIGKILL


@each_family
def test_a_holder_that_is_stopped_keeps_its_lock(family: str, lan: Lan) -> None:
    server, one, two = lan.add_hosts(3)
    place = Place(server, family)
    holder = place.hold(one)
    holder.signal(signal.SIGSTOP)
    waiter = place.wait(two)
    with pytest.raises(AssertionError):
        place.member.await_log("released by", SILENCE)
    holder.signal(signal.SIGCONT)
    assert holder.finish().returncode == 0
    assert waiter.line() == "held"
