"""
How long no lock is granted when the leader goes: planned, and not; how much of that is the design, the bounds say.

With C{make test-quorum} or C{-s}, what was measured is printed.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable
from typing import Final

import pytest

from tests.fakes.daemon import BIN
from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.fakes.programs import Running
from tests.scenarios.lan import grants
from tests.scenarios.quorum import faults
from tests.scenarios.quorum.members import GROUP, Node, Quorum, needs_etcd

pytestmark = [needs_network_namespaces, needs_nft, needs_etcd]

slow = pytest.mark.slow

FAST: Final = {"options": ["--fast"]}
IN_GROUP: Final = {"group": GROUP}

PLANNED: Final = 0.5
"""Seconds until the next grant, at most."""

BUSY: Final = 2.0
"""Seconds more that a machine with other things to do may need."""


def take(quorum: Quorum, node: Node) -> Running:
    """Start a program on C{node} that takes a lock again and again; return it once it has had it."""
    where = ["group", quorum.group] if quorum.group else ["address", quorum.place[1]]
    running = node.host.start(sys.executable, grants.__file__, *where, "own")
    assert running.line() == "granted"
    return running


def longest_of(running: Running) -> float:
    """Wait until such a program has been granted its lock anew; return the longest time from one grant to the next."""
    running.say("end")
    done = running.finish(40.0)
    assert (done.returncode, done.stderr) == (0, "")
    return float(done.stdout.split()[0])


@pytest.mark.parametrize("quorum", [{}, pytest.param(IN_GROUP, marks=slow)], ids=["addresses", "group"], indirect=True)
def test_a_leader_that_ends_in_good_order_is_followed_at_once(quorum: Quorum) -> None:
    quorum.start_etcd()
    leader = quorum.start_daemons()
    repeating = take(quorum, quorum.others(leader)[0])
    faults.end_daemon(quorum, leader)
    quorum.await_leader()
    longest = longest_of(repeating)
    print(f"planned: {longest:.2f} s")
    assert longest < PLANNED + BUSY


@slow
@pytest.mark.parametrize("quorum", [IN_GROUP | {"options": ["--allow-local-shutdown"]}], indirect=True)
def test_a_handover_is_noticed_by_no_client(quorum: Quorum) -> None:
    quorum.start_etcd()
    leader = quorum.start_daemons()
    repeating = take(quorum, quorum.others(leader)[0])
    done = leader.host.start(str(BIN / "flomctl"), "handover", "-A", GROUP).finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(rf"{GROUP} is led by ", done.stdout)
    longest = longest_of(repeating)
    print(f"handover: {longest:.2f} s")
    assert longest < PLANNED + BUSY


def killed(quorum: Quorum, node: Node) -> None:
    faults.kill_daemon(quorum, node)


def stopped(quorum: Quorum, node: Node) -> None:
    assert node.daemon is not None
    node.daemon.signal(signal.SIGSTOP)


def cut_off(quorum: Quorum, node: Node) -> None:
    faults.cut_off(node)


@slow
@pytest.mark.parametrize("way", [killed, stopped, cut_off])
@pytest.mark.parametrize(
    ("quorum", "seconds"),
    [({}, 10.0), (FAST, 6.0), (IN_GROUP, 10.0)],
    ids=["usual", "fast", "group"],
    indirect=["quorum"],
)
def test_a_leader_that_fails_is_followed_in_time(
    way: Callable[[Quorum, Node], None], seconds: float, quorum: Quorum
) -> None:
    """Etcd's leader is on another host, and stays. A host that does not answer costs a client 2 s now and then."""
    quorum.start_etcd()
    leader = quorum.start_daemons()
    etcd = quorum.await_etcd()
    if etcd is leader.etcd:
        leave_etcd_lead(quorum, leader)
    repeating = take(quorum, quorum.others(leader)[0])
    way(quorum, leader)
    longest = longest_of(repeating)
    print(f"{way.__name__}: {longest:.2f} s of {seconds:g}")
    assert longest < seconds + BUSY + (2.0 if way is cut_off else 0.0)


@slow
@pytest.mark.parametrize(("quorum", "seconds"), [({}, 20.0), (FAST, 15.0)], ids=["usual", "fast"], indirect=["quorum"])
def test_a_host_that_had_both_leaders_is_followed_later(seconds: float, quorum: Quorum) -> None:
    """A new leader of etcd renews all leases."""
    quorum.start_etcd()
    leader = quorum.start_daemons()
    if quorum.await_etcd() is not leader.etcd:
        move_etcd_lead(quorum, leader)
    repeating = take(quorum, quorum.others(leader)[0])
    faults.cut_off(leader)
    longest = longest_of(repeating)
    print(f"both leaders: {longest:.2f} s")
    assert longest < seconds


@slow
def test_a_new_leader_of_etcd_ends_no_leadership(quorum: Quorum) -> None:
    quorum.start_etcd()
    leader = quorum.start_daemons()
    repeating = take(quorum, quorum.others(leader)[0])
    etcd = quorum.await_etcd()
    heal = faults.kill_etcd(quorum, [etcd])
    quorum.await_etcd([member for member in quorum.members if member is not etcd])
    heal()
    quorum.await_etcd()
    longest = longest_of(repeating)
    print(f"etcd's leader killed: {longest:.2f} s")


def leave_etcd_lead(quorum: Quorum, node: Node) -> None:
    """Make the etcd member of another host than C{node} lead."""
    move_etcd_lead(quorum, quorum.others(node)[0])


def move_etcd_lead(quorum: Quorum, node: Node) -> None:
    """Make the etcd member of C{node} lead."""
    target = node.etcd.ask("maintenance/status")["header"]["member_id"]
    leading = quorum.await_etcd()
    leading.ask("maintenance/transfer-leadership", {"targetID": target}, 5.0)
    assert quorum.await_etcd() is node.etcd


@slow
@pytest.mark.parametrize("quorum", [{"options": ["--allow-local-shutdown"]}], indirect=True)
def test_a_lock_that_an_administrator_ends_is_lost(quorum: Quorum) -> None:
    quorum.start_etcd()
    leader = quorum.start_daemons()
    client = quorum.others(leader)[0].host
    holder = client.start_job(*quorum.place, "-r", "R", "--on-lost", "terminate", seconds=60)
    assert holder.line() == "held"
    done = leader.host.start(str(BIN / "flomctl"), "release", *quorum.place[:4], "R").finish()
    assert (done.returncode, done.stderr) == (0, "")
    ended = holder.finish()
    assert ended.returncode == 95
    assert "an administrator has released it (root, " in ended.stderr
