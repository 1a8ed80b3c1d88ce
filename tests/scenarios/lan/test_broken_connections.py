"""A connection over TCP that breaks harms no command, gives nobody else its lock, and costs no waiter its place."""

from __future__ import annotations

import signal
import sys
from time import sleep

import pytest

from tests.fakes.daemon import FLOM_RUN
from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.fakes.programs import Running, complaints, eventually
from tests.scenarios.lan.network import PORT, Lan, LanHost, Member, await_leader

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


PROGRAMS = {"flom-run": [FLOM_RUN], "Twisted": [sys.executable, "-m", "flom.client.deferred"]}

each_program = pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)


def silent_end(program: Running) -> int:
    """End C{program}, which has nothing to complain about; return its status."""
    ended = program.finish()
    assert complaints(ended) == ""
    return ended.returncode


class Scene:
    """
    A daemon, a host whose connections break, and another one whose do not.

    @ivar ours: the host whose connections break.
    @ivar place: options that say where the daemon is.
    """

    def __init__(self, lan: Lan, *options: str) -> None:
        self.server, self.ours, self._other = lan.add_hosts(3)
        self.daemon: Member = self.server.start_daemon(
            "-a", "0.0.0.0", "--unicast-port", str(PORT), *KEEPALIVE, *options
        )
        self.daemon.await_log("FLM003N")
        self.place = ["-a", self.server.ipv4(), "-p", str(PORT), "-d", "0", *KEEPALIVE]

    def hold(self, program: list[str], host: LanHost | None = None) -> Running:
        """Run a command by C{program} that holds R until its stdin is closed, by default on our host."""
        holder = self._start(host or self.ours, program)
        assert self.next_line(holder, "held")
        return holder

    def wait(self, program: list[str], host: LanHost | None = None) -> Running:
        """Run such a command on the other host, by default, and return when it waits."""
        host = host or self._other
        waiter = self._start(host, program)
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

    def move(self) -> str:
        """Change the address of our host; return the new one."""
        former = self.ours.ipv4()
        address = f"{former}9"
        self.ours.ip("addr", "del", f"{former}/24", "dev", "eth0")
        self.ours.ip("addr", "add", f"{address}/24", "dev", "eth0")
        return address

    def connections_from(self, address: str) -> str:
        """Return what C{ss} lists of the connections of our host from C{address}."""
        return self.ours.run("ss", "-OtnpH", "state", "established", "src", address).stdout

    def _nft(self, script: str) -> None:
        assert self.server.run("nft", script).returncode == 0

    def await_return(self, client: Running) -> None:
        """Wait until C{client}, on our host, has come back."""
        eventually(lambda: self.ours.has_heard(client, self.daemon), "back")

    def _start(self, host: LanHost, program: list[str]) -> Running:
        return host.start(*program, *host.marks.job(*self.place, "-r", "R"))


@each_program
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_holder_comes_back_when_the_way_is_clear_again(rule: str, program: list[str], lan: Lan) -> None:
    scene = Scene(lan)
    holder = scene.hold(program)
    waiter = scene.wait(program)
    scene.cut("meta l4proto tcp " + rule)
    scene.daemon.await_log(NOTICED)
    scene.heal()
    scene.await_return(holder)
    assert silent_end(holder) == 0
    assert scene.next_line(waiter, "held")
    assert silent_end(waiter) == 0


def test_a_twisted_program_comes_back_over_tls(lan: Lan, tls: list[str]) -> None:
    scene = Scene(lan, *tls)
    scene.place += tls
    holder = scene.hold(PROGRAMS["Twisted"])
    scene.cut("meta l4proto tcp reject with tcp reset")
    scene.daemon.await_log(NOTICED)
    scene.heal()
    scene.await_return(holder)
    assert silent_end(holder) == 0


@each_program
def test_what_has_come_back_ends_with_its_command(program: list[str], lan: Lan) -> None:
    """Even if the program that has started it is killed."""
    scene = Scene(lan)
    is_ours = program == [FLOM_RUN]
    holder = scene.hold([*program, "-V"] if is_ours else program)
    scene.cut("meta l4proto tcp reject with tcp reset")
    scene.daemon.await_log(NOTICED)
    scene.heal()
    if is_ours:
        assert scene.next_line(holder, "R reclaimed")
    else:
        eventually(lambda: any("stand_in.py" in line for line in lan.processes().values()), "the process beside it")
    holder.signal(signal.SIGKILL)
    waiter = scene.wait([FLOM_RUN])
    sleep(0.3)  # it must not be granted the lock
    assert waiter.process.poll() is None
    holder.say("end")
    assert scene.next_line(waiter, "held")
    assert silent_end(waiter) == 0


@each_program
def test_a_holder_whose_address_changes_comes_back_from_the_new_one(program: list[str], lan: Lan) -> None:
    scene = Scene(lan)
    holder = scene.hold(program)
    waiter = scene.wait(program)
    address = scene.move()
    eventually(lambda: f"pid={holder.pid}," in scene.connections_from(address), "back from there")
    assert silent_end(holder) == 0
    assert scene.next_line(waiter, "held")
    assert silent_end(waiter) == 0


@each_program
def test_an_unlock_from_a_new_address_is_one(program: list[str], lan: Lan) -> None:
    """The connection seems to be alive: the client has yet to find out that nothing comes through."""
    scene = Scene(lan)
    holder = scene.hold(program)
    scene.move()
    assert silent_end(holder) == 0
    assert silent_end(scene.hold(program)) == 0


@each_program
def test_a_waiter_keeps_its_place(program: list[str], lan: Lan) -> None:
    scene = Scene(lan)
    holder = scene.hold(program, scene.server)
    first = scene.wait(program, scene.ours)
    second = scene.wait(program)
    scene.cut("meta l4proto tcp reject with tcp reset")
    scene.daemon.await_log(NOTICED)
    scene.heal()
    scene.await_return(first)
    assert silent_end(holder) == 0
    assert scene.next_line(first, "held")
    assert silent_end(first) == 0
    assert scene.next_line(second, "held")
    assert silent_end(second) == 0


@each_program
def test_what_breaks_again_and_again_is_held_all_the_same(program: list[str], lan: Lan) -> None:
    scene = Scene(lan)
    holder = scene.hold(program)
    waiter = scene.wait(program)
    for _ in range(3):
        scene.cut("meta l4proto tcp reject with tcp reset")
        eventually(lambda: not scene.ours.has_heard(holder, scene.daemon), "the connection broken")
        scene.heal()
        scene.await_return(holder)
    assert silent_end(holder) == 0
    assert scene.next_line(waiter, "held")
    assert silent_end(waiter) == 0


@each_program
def test_who_does_not_come_back_in_time_is_told_that_the_lock_is_lost(program: list[str], lan: Lan) -> None:
    scene = Scene(lan, "--session-timeout", "1000")
    holder = scene.hold(program)
    scene.cut("meta l4proto tcp drop")
    scene.daemon.await_log("has not come back")
    scene.heal()
    assert "the lock was lost" in holder.error_line()
    assert holder.finish().returncode == 95


@pytest.mark.parametrize("way", ["reset", "cut off"])
def test_a_command_is_gone_before_another_one_gets_its_lock(way: str, lan: Lan) -> None:
    """Although it ignores SIGTERM. Its host hears nothing more of the daemon either."""
    kept = ["--session-timeout", "5s"]
    scene = Scene(lan, *kept)
    ending = ["--on-lost", "terminate", "--kill-after", "1", *kept]
    stubborn = ["sh", "-c", "trap '' TERM; echo held; while :; do sleep 0.05; done"]
    holder = scene.ours.start_flom(*scene.place, *ending, "-r", "R", "--", *stubborn)
    assert holder.line() == "held"
    waiter = scene.wait([FLOM_RUN])
    if way == "reset":
        scene.cut("meta l4proto tcp " + RULES["reset"])
    else:
        lan.cut_off(scene.ours)
    assert scene.next_line(waiter, "held")
    assert holder.process.poll() == 95
    assert waiter.finish().returncode == 0


def test_in_a_group_a_holder_comes_back_to_its_leader(lan: Lan) -> None:
    """The leader is well, and knows of no takeover: only the connection is broken."""
    leader, ours, other = lan.add_hosts(3)
    member = leader.join_group(*KEEPALIVE)
    await_leader([member])
    holder = ours.hold("R", *KEEPALIVE)
    waiter = other.wait_for("R", member)
    leader.run("nft", "table inet t { chain c { type filter hook input priority 0; meta l4proto tcp drop; }; }")
    member.await_log(NOTICED)
    leader.run("nft", "flush ruleset")
    eventually(lambda: ours.has_heard(holder, member), "back")
    assert silent_end(holder) == 0
    assert waiter.finish().returncode == 0


def test_commands_go_on_although_all_connections_break_again_and_again(lan: Lan) -> None:
    """Locks of all types, and commands that follow one another: the marks say whether two held what excludes."""
    scene = Scene(lan)
    names = ["R", "N[1]", "red.green", "/a/b", "_s_seq[1]", "_S_seq[1]"]
    holders = [scene.server.start_job(*scene.place, "-r", name) for name in [*names, "red.green"]]
    assert [holder.line() for holder in holders] == ["held"] * len(holders)
    running = [
        scene.ours.start(*program, *scene.ours.marks.job(*scene.place, "-r", name, seconds=1.0))
        for program in PROGRAMS.values()
        for name in names
        for _ in range(3)
    ]
    address = scene.ours.ipv4()
    eventually(lambda: len(scene.connections_from(address).splitlines()) == len(running), "all are waiting")
    for holder in holders:
        holder.finish()
    for rule in [RULES["reset"], RULES["silence"]] * 2:
        scene.cut("meta l4proto tcp " + rule)
        sleep(3.5)  # until what was idle has found out
        scene.heal()
        sleep(1.5)  # the kernel asks for a connection once a second
    ended = [program.finish(60.0) for program in running]
    assert [one.stderr for one in ended if one.returncode] == []
    assert [line for one in ended for line in one.stderr.splitlines() if "is a set" not in line] == []
