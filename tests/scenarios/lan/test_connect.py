"""Programs of Twisted, whose daemon is that of a multicast group."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import Running, eventually
from tests.scenarios.lan import flom_daemon
from tests.scenarios.lan.network import GROUP, PORT, Lan, LanHost, await_leader

pytestmark = needs_network_namespaces

SCRIPT = f"""\
import subprocess, sys
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread
from flom.client import connect
from flom.errors import FlomError

async def main(reactor):
    locks = None
    for _ in range(int(sys.argv[1])):
        try:
            locks = locks or await connect(reactor, group="{GROUP}")
            async with locks.acquire("R", timeout=30) as held:
                held.lost.addCallback(lambda why: print("lost", flush=True))
                await deferToThread(subprocess.run, sys.argv[2:], check=True)
        except FlomError as e:
            print(type(e).__name__, e, flush=True)

react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
"""

SPAWN = f"""\
import sys
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from flom.client import connect

async def main(reactor):
    locks = await connect(reactor, group="{GROUP}")
    child = await locks.spawn("R", sys.argv[1:], timeout=30)
    child.held.lost.addCallback(lambda why: print("lost", flush=True))
    print("ended", await child.exited, flush=True)

react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
"""


def start(host: LanHost, times: int = 1) -> Running:
    """Start a program on C{host} that holds the lock C{R} so often, each time until it is given a line."""
    return host.start(sys.executable, "-c", SCRIPT, str(times), *host.marks.command("-r", "R"))


def test_hosts_exclude_each_other(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    leader = await_leader([one.join_group()])
    holder = start(one)
    assert holder.line() == "held"
    waiter = start(two)
    eventually(lambda: two.has_heard(waiter, leader), "a waiter")
    assert holder.finish().stderr == ""
    assert waiter.line() == "held"
    assert waiter.finish().stderr == ""


def test_none_is_elected_for_a_program(lan: Lan) -> None:
    said = start(lan.add_host()).finish()
    assert said.stdout == f"DaemonUnreachable no daemon answers in [{GROUP}]:{PORT}\n"
    assert not lan.processes()


def test_a_program_that_waits_goes_on_waiting_at_the_next_leader(lan: Lan) -> None:
    members = [host.join_group() for host in lan.add_hosts(3)]
    leader = await_leader(members)
    others = [member for member in members if member is not leader]
    holder = others[0].host.hold("R")
    waiter = start(others[1].host)
    eventually(lambda: others[1].host.has_heard(waiter, leader), "a waiter")
    leader.signal(signal.SIGKILL)
    await_leader(others)
    holder.finish()
    assert waiter.line() == "held"
    waiter.finish()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_holder_reclaims_from_the_next_leader(lan: Lan, how: int) -> None:
    members = [host.join_group() for host in lan.add_hosts(2)]
    leader = await_leader(members)
    [other] = [member for member in members if member is not leader]
    program = start(lan.add_host(), times=2)
    assert program.line() == "held"
    waiter = start(other.host)
    eventually(lambda: other.host.has_heard(waiter, leader), "a waiter")
    leader.signal(how)
    await_leader([other])
    eventually(lambda: other.host.has_heard(waiter, other), "the waiter at the next leader")
    program.say("")
    assert waiter.line() == "held"  # only now: the marks say so
    assert waiter.finish().stdout == ""
    assert program.finish().stdout == "held\n"


def test_a_command_of_spawn_keeps_its_lock_through_a_takeover(lan: Lan) -> None:
    members = [host.join_group() for host in lan.add_hosts(2)]
    leader = await_leader(members)
    [other] = [member for member in members if member is not leader]
    program = lan.add_host().start(sys.executable, "-c", SPAWN, *lan.marks.command("-r", "R"))
    assert program.line() == "held"
    waiter = start(other.host)
    eventually(lambda: other.host.has_heard(waiter, leader), "a waiter")
    leader.signal(signal.SIGKILL)
    await_leader([other])
    eventually(lambda: other.host.has_heard(waiter, other), "the waiter at the next leader")
    assert program.finish().stdout == "ended 0\n"
    assert waiter.line() == "held"
    waiter.finish()


def test_a_holder_without_a_next_leader_is_told(lan: Lan) -> None:
    leader = await_leader([lan.add_host().join_group()])
    program = start(lan.add_host())
    assert program.line() == "held"
    leader.signal(signal.SIGKILL)
    assert program.line() == "lost"
    program.say("")
    assert program.line().startswith("DaemonLost R")


def test_a_daemon_of_flom_is_used(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    daemon = one.start(sys.executable, "-I", flom_daemon.__file__, GROUP, str(PORT))
    assert daemon.line().startswith("ready ")
    program = start(two, times=2)
    assert program.line() == "held"
    assert program.finish().stdout == "held\n"
    assert [daemon.line(), daemon.line()] == ["granted R", "granted R"]
