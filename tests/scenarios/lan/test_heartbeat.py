"""A command that is not to run without its lock is gone before another one gets that, and is left alone otherwise."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.fakes.daemon import FLOM_RUN
from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.fakes.programs import Running, eventually
from tests.scenarios.lan.network import GROUP, PORT, Lan, LanHost, await_leader, in_group
from tests.scenarios.lan.test_broken_connections import KEEPALIVE, Scene, each_program, silent_end

pytestmark = [needs_network_namespaces, needs_nft]

TERMINATE = ["--on-lost", "terminate"]
STUBBORN = ["sh", "-c", "trap '' TERM; echo held; while :; do sleep 0.05; done"]
"""A command that SIGKILL alone ends."""

TIMEOUT = ["--session-timeout", "2s"]
LONGER = 2.5  # seconds: after that, what is not heard would be lost

slow = pytest.mark.slow  # takes 4 s, and others are much like it
"""Marks what runs with FLOM_LAN_ROUNDS only, as in C{make test-lan}."""


def assert_ended(holder: Running) -> None:
    """Check that C{flom-run} has ended its command, and has said why."""
    assert holder.process.poll() == 95
    assert "the lock was lost" in holder.finish().stderr


@pytest.mark.parametrize("lost", ["what its host sends", pytest.param("what the daemon sends", marks=slow)])
def test_a_command_is_gone_in_time_if_one_direction_is_lost(lost: str, lan: Lan) -> None:
    """If the daemon cannot tell of it, it has noticed at once."""
    scene = Scene(lan, *TIMEOUT)
    holder = scene.ours.start_flom(*scene.place, *TERMINATE, "-r", "R", "--", *STUBBORN)
    assert holder.line() == "held"
    waiter = scene.wait([FLOM_RUN])
    if lost == "what its host sends":
        scene.cut("drop")
    else:
        rule = f"ip daddr {scene.ours.ipv4()} drop"
        scene.server.run("nft", f"table inet t {{ chain c {{ type filter hook output priority 0; {rule}; }}; }}")
        scene.server.run("ss", "-K", "dst", scene.ours.ipv4(), "sport", "=", f":{PORT}")
    assert scene.next_line(waiter, "held")
    assert_ended(holder)
    assert waiter.finish().returncode == 0


@pytest.mark.parametrize("what", [pytest.param("the host", marks=slow), "the host, and the leader dies"])
def test_a_command_is_gone_in_time_if_its_host_is_cut_off(what: str, lan: Lan) -> None:
    """From the leader of its group, or from its successor."""
    leader_host, ours, other = lan.add_hosts(3)
    leader = leader_host.join_group(*TIMEOUT)
    await_leader([leader])
    successor = other.join_group(*TIMEOUT)
    await_leader([leader, successor])
    holder = ours.start_flom(*in_group(GROUP, "-r", "R"), *TERMINATE, "--", *STUBBORN)
    assert holder.line() == "held"
    waiter = other.wait_for("R", leader)
    lan.cut_off(ours)
    if what != "the host":
        leader.signal(signal.SIGKILL)
    while waiter.line() != "held":
        pass
    assert_ended(holder)
    assert waiter.finish().returncode == 0


@slow
def test_a_grant_that_is_old_by_now_is_asked_about(lan: Lan) -> None:
    """It came while C{flom-run}, which had waited, was stopped; then its connection broke, and its time was over."""
    scene = Scene(lan, *TIMEOUT)
    first = scene.hold([FLOM_RUN], scene.server)
    stopped = scene.wait([FLOM_RUN], scene.ours)
    last = scene.wait([FLOM_RUN])
    sleep(1.0)  # a third of the daemon's time, less than which is no reason to ask
    stopped.signal(signal.SIGSTOP)
    assert silent_end(first) == 0
    scene.cut("drop")
    assert scene.next_line(last, "held")
    scene.heal()
    stopped.signal(signal.SIGCONT)
    sleep(0.5)
    assert len(scene.ours.marks.holdings()) == 2
    assert silent_end(last) == 0
    assert scene.next_line(stopped, "held")
    assert silent_end(stopped) == 0


LOOK = """
import sys
from select import select
from flom import lock
with lock(sys.argv[1]) as held:
    print("held", flush=True)
    while not held.is_lost and not select([sys.stdin], [], [], 0.02)[0]:
        pass
    if held.is_lost:
        print("lost", flush=True)
        sys.stdin.read()
"""
HEAR = """
import sys
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread
from flom.client import connect
async def hold(reactor):
    locks = await connect(reactor)
    async with locks.acquire(sys.argv[1]) as held:
        print("held", flush=True)
        held.lost.addCallback(lambda why: print("lost", flush=True))
        await deferToThread(sys.stdin.read)
react(lambda reactor: Deferred.fromCoroutine(hold(reactor)))
"""
AWAIT = """
import asyncio, sys
import flom.aio
async def hold():
    async with flom.aio.lock(sys.argv[1]) as held:
        print("held", flush=True)
        reading = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        lost = asyncio.create_task(held.until_lost())
        await asyncio.wait({reading, lost}, return_when=asyncio.FIRST_COMPLETED)
        if held.is_lost:
            print("lost", flush=True)
        await reading
asyncio.run(hold())
"""
PROGRAMS = {"L": LOOK, "T": HEAR, "A": AWAIT}
"""Programs, by the names of the locks that they hold until their stdin is closed; they say if the lock is lost."""


def start_programs(host: LanHost, home: Path, place: str) -> list[Running]:
    """Start L{PROGRAMS}, whose daemon is at C{place}, lines of a file; return them when they hold their locks."""
    (home / ".flom").write_text(f"[Daemon]\nLifespan=0\n{place}")
    started = [
        host.start(sys.executable, "-c", script, name, environment={"HOME": str(home)})
        for name, script in PROGRAMS.items()
    ]
    assert [holder.line() for holder in started] == ["held"] * len(started)
    return started


def assert_told(*holders: Running) -> None:
    """Check that C{holders}, which are L{PROGRAMS}, have said before that their locks are lost."""
    began = monotonic()
    assert [holder.line() for holder in holders] == ["lost"] * len(holders)
    assert monotonic() - began < 0.1


@pytest.mark.parametrize("lost", ["what its host sends", pytest.param("what the daemon sends", marks=slow)])
def test_programs_know_that_their_lock_is_lost_before_another_gets_it(lost: str, lan: Lan, tmp_path: Path) -> None:
    """Their connections are broken, as the daemon has noticed at once, and one end is not heard by the other."""
    scene = Scene(lan, *TIMEOUT)
    ours, server = scene.ours, scene.server
    place = f"UnicastAddress={server.ipv4()}\nUnicastPort={PORT}\n"
    holders = start_programs(ours, tmp_path, place)
    if lost == "what its host sends":
        scene.cut("drop")
    else:
        rule = f"ip daddr {ours.ipv4()} drop"
        server.run("nft", f"table inet t {{ chain c {{ type filter hook output priority 0; {rule}; }}; }}")
    server.run("ss", "-K", "dst", ours.ipv4(), "sport", "=", f":{PORT}")
    waiters = [server.start_job(*scene.place, "-r", name, seconds=0) for name in PROGRAMS]
    assert [scene.next_line(waiter, "held") for waiter in waiters]
    assert_told(*holders)
    assert [silent_end(waiter) for waiter in waiters] == [0] * len(waiters)


def test_programs_of_a_group_can_know_before_a_successor_grants_their_lock(lan: Lan, tmp_path: Path) -> None:
    """Their host is cut off as the leader dies; without C{OnLost}, they would hope to reclaim their locks."""
    leader_host, ours, other = lan.add_hosts(3)
    leader = leader_host.join_group()
    await_leader([leader])
    successor = other.join_group()
    await_leader([leader, successor])
    holders = start_programs(ours, tmp_path, f"MulticastAddress={GROUP}\n[Command]\nOnLost=terminate\n")
    waiters = [other.wait_for(name, leader) for name in PROGRAMS]
    lan.cut_off(ours)
    leader.signal(signal.SIGKILL)
    for waiter in waiters:
        while waiter.line() != "held":
            pass
    assert_told(*holders)
    assert [waiter.finish().returncode for waiter in waiters] == [0] * len(PROGRAMS)


@slow
def test_programs_that_were_stopped_ask_before_they_believe_a_loss(lan: Lan, tmp_path: Path) -> None:
    """Their locks are their own all the same, as both hosts are well; nor does it matter that the daemon is stopped."""
    scene = Scene(lan, *TIMEOUT)
    holders = start_programs(scene.ours, tmp_path, f"UnicastAddress={scene.server.ipv4()}\nUnicastPort={PORT}\n")
    for holder in holders:
        holder.signal(signal.SIGSTOP)
    sleep(LONGER)
    for holder in holders:
        holder.signal(signal.SIGCONT)
    scene.daemon.signal(signal.SIGSTOP)
    sleep(LONGER)
    scene.daemon.signal(signal.SIGCONT)
    ended = [holder.finish() for holder in holders]
    assert [(one.returncode, one.stdout, one.stderr) for one in ended] == [(0, "", "")] * len(holders)


def test_nothing_is_lost_while_both_hosts_are_well(lan: Lan, tls: list[str]) -> None:
    """
    However long that takes: one C{flom-run} is stopped, and asks first when it goes on; one is killed, so that nobody
    asks for its command, whose lock is kept all the same; then the daemon is stopped.
    """
    scene = Scene(lan, *TIMEOUT, *tls)
    words = [*scene.place, *tls, *TERMINATE]
    holders = stopped, killed, asking = [scene.ours.start_job(*words, "-r", name) for name in ("S", "K", "A")]
    assert [holder.line() for holder in holders] == ["held"] * 3
    waiter = scene.ours.start_job(*scene.place, *tls, "-r", "K", seconds=0)
    eventually(lambda: scene.ours.has_heard(waiter, scene.daemon), "waiting")
    stopped.signal(signal.SIGSTOP)
    killed.signal(signal.SIGKILL)
    sleep(LONGER)
    assert waiter.process.poll() is None
    scene.daemon.signal(signal.SIGSTOP)
    sleep(LONGER)
    scene.daemon.signal(signal.SIGCONT)
    stopped.signal(signal.SIGCONT)
    killed.say("end")
    sleep(0.5)
    assert [silent_end(one) for one in (waiter, stopped, asking)] == [0, 0, 0]


@pytest.mark.parametrize("where", [pytest.param("on its host", marks=slow), "on another one"])
def test_a_command_goes_on_while_there_is_no_daemon(where: str, lan: Lan, tmp_path: Path) -> None:
    """Its host says so: nobody can have been granted the lock."""
    options = [*TIMEOUT, "--state", str(tmp_path / "state")]
    scene = Scene(lan, *options)
    holder = scene.hold([FLOM_RUN, *TERMINATE], scene.ours if where == "on another one" else scene.server)
    scene.daemon.signal(signal.SIGKILL)
    sleep(LONGER)
    scene.server.start_daemon("-a", "0.0.0.0", "--unicast-port", str(PORT), *KEEPALIVE, *options)
    assert silent_end(holder) == 0


@slow
@each_program
def test_a_holder_notices_a_new_address_before_its_daemon_does(program: list[str], lan: Lan) -> None:
    """By default: the keepalive time of 60 s does not matter."""
    scene = Scene(lan, "--session-timeout", "4s")
    scene.place = scene.place[: -len(KEEPALIVE)]
    holder = scene.hold(program)
    address = scene.move()
    eventually(lambda: f"pid={holder.pid}," in scene.connections_from(address), "back from there")
    assert silent_end(holder) == 0


def test_a_kill_after_that_does_not_fit_is_an_error(lan: Lan) -> None:
    """Known when the daemon has told its times, and before the command starts; the lock is free then."""
    scene = Scene(lan, *TIMEOUT)
    tried = scene.ours.flom(*scene.place, *TERMINATE, "--kill-after", "1.5", "-r", "R", "--", "echo", "ran")
    assert (tried.returncode, tried.stdout) == (99, "")
    assert tried.stderr == (
        "flom-run: kill-after: 1.5 s are too long: another client may get the lock after 2 s (the daemon's "
        "session-timeout), so there is room for 1.1 s at most\n"
    )
    assert silent_end(scene.hold([FLOM_RUN, *TERMINATE])) == 0


@slow
def test_in_a_group_a_command_that_had_to_wait_goes_on(lan: Lan) -> None:
    """Its request is older than its patience when it is granted."""
    leader_host, ours = lan.add_hosts(2)
    member = leader_host.join_group()
    await_leader([member])
    first = leader_host.hold("R")
    waiter = ours.start_job(*in_group(GROUP, "-r", "R"), *TERMINATE, seconds=2.0)
    eventually(lambda: ours.has_heard(waiter, member), "waiting")
    sleep(2.0)
    assert silent_end(first) == 0
    assert silent_end(waiter) == 0


def test_in_a_group_a_kill_after_has_to_fit_before_a_successor(lan: Lan) -> None:
    leader_host, ours = lan.add_hosts(2)
    await_leader([leader_host.join_group()])
    tried = ours.flom(*in_group(GROUP, "-r", "R"), *TERMINATE, "--kill-after", "2", "--", "echo", "ran")
    assert (tried.returncode, tried.stdout) == (99, "")
    assert tried.stderr == (
        "flom-run: kill-after: 2 s are too long: another client may get the lock after 2.35 s (if the leader of the "
        "group goes), so there is room for 1.29 s at most\n"
    )
