"""A connection over TCP that breaks harms no command, gives nobody else its lock, and costs no waiter its place."""

from __future__ import annotations

import pytest

from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.fakes.programs import Running, eventually
from tests.scenarios.lan.network import PORT, Lan, LanHost, Member

pytestmark = [needs_network_namespaces, needs_nft]

KEEPALIVE = ["--tcp-keepalive-time", "1", "--tcp-keepalive-intvl", "1", "--tcp-keepalive-probes", "1"]

NOTICED = "is broken: its locks are kept"
"""What the daemon logs when it has noticed."""

RULES = {
    "reset": "reject with tcp reset",
    "silence": "drop",
    "host unreachable": "reject with icmpx type host-unreachable",
}
"""What is done with all that comes from a client."""


class Scene:
    """
    A daemon, a host whose connections break, and another one whose do not.

    @ivar ours: the host whose connections break.
    """

    def __init__(self, lan: Lan, *options: str) -> None:
        self.server, self.ours, self._other = lan.add_hosts(3)
        self.daemon: Member = self.server.start_daemon(
            "-a", "0.0.0.0", "--unicast-port", str(PORT), *KEEPALIVE, *options
        )
        self.daemon.await_log("FLM003N")
        self._there = self.server.ipv4()

    def hold(self, host: LanHost | None = None) -> Running:
        """Run a command that holds R until its stdin is closed, by default on our host."""
        holder = self._start(host or self.ours)
        assert self.next_line(holder, "held")
        return holder

    def wait(self, host: LanHost | None = None) -> Running:
        """Run such a command on the other host, by default, and return when it waits."""
        host = host or self._other
        waiter = self._start(host)
        eventually(lambda: host.has_heard(waiter, self.daemon), f"{host.name} waiting")
        return waiter

    def next_line(self, running: Running, text: str) -> bool:
        """Read lines until one has C{text}."""
        while text not in running.line():
            pass
        return True

    def cut(self, rule: str) -> None:
        """Do with all that comes from our host to the daemon what C{rule} says."""
        self._nft(
            f"table inet t {{ chain c {{ type filter hook input priority 0; ip saddr {self.ours.ipv4()} {rule}; }}; }}"
        )

    def heal(self) -> None:
        """Undo L{cut}."""
        self._nft("flush ruleset")

    def move(self) -> None:
        """Change the address of our host."""
        address = self.ours.ipv4()
        self.ours.ip("addr", "del", f"{address}/24", "dev", "eth0")
        self.ours.ip("addr", "add", f"{address}9/24", "dev", "eth0")

    def _nft(self, script: str) -> None:
        assert self.server.run("nft", script).returncode == 0

    def _start(self, host: LanHost) -> Running:
        return host.start_job("-V", "-a", self._there, "-p", str(PORT), "-d", "0", *KEEPALIVE, "-r", "R")


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_holder_comes_back_when_the_way_is_clear_again(rule: str, lan: Lan) -> None:
    scene = Scene(lan)
    holder = scene.hold()
    waiter = scene.wait()
    scene.cut("meta l4proto tcp " + rule)
    scene.daemon.await_log(NOTICED)
    scene.heal()
    assert scene.next_line(holder, "reclaimed")
    ended = holder.finish()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert scene.next_line(waiter, "held")
    assert waiter.finish().returncode == 0


def test_a_holder_whose_address_changes_comes_back_from_the_new_one(lan: Lan) -> None:
    scene = Scene(lan)
    holder = scene.hold()
    waiter = scene.wait()
    scene.move()
    assert scene.next_line(holder, "reclaimed")
    ended = holder.finish()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert scene.next_line(waiter, "held")
    waiter.finish()


def test_a_waiter_keeps_its_place(lan: Lan) -> None:
    scene = Scene(lan)
    holder = scene.hold(scene.server)
    first = scene.wait(scene.ours)
    second = scene.wait()
    scene.cut("meta l4proto tcp reject with tcp reset")
    scene.daemon.await_log(NOTICED)
    scene.heal()
    eventually(lambda: scene.ours.has_heard(first, scene.daemon), "the first waiter back")
    holder.finish()
    assert scene.next_line(first, "held")
    first.finish()
    assert scene.next_line(second, "held")
    second.finish()


def test_what_breaks_again_and_again_is_held_all_the_same(lan: Lan) -> None:
    scene = Scene(lan)
    holder = scene.hold()
    waiter = scene.wait()
    for _ in range(3):
        scene.cut("meta l4proto tcp reject with tcp reset")
        eventually(lambda: not scene.ours.has_heard(holder, scene.daemon), "the connection broken")
        scene.heal()
        assert scene.next_line(holder, "reclaimed")
    assert holder.finish().returncode == 0
    assert scene.next_line(waiter, "held")
    waiter.finish()


def test_who_does_not_come_back_in_time_is_told_that_the_lock_is_lost(lan: Lan) -> None:
    scene = Scene(lan, "--session-timeout", "1000")
    holder = scene.hold()
    scene.cut("meta l4proto tcp drop")
    scene.daemon.await_log("has not come back")
    scene.heal()
    assert holder.process.stderr is not None
    assert b"the lock was lost" in holder.process.stderr.readline()
    assert holder.finish().returncode == 95
