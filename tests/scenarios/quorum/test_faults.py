"""
Each fault alone, under commands on all hosts: none holds beside another one, and all goes on when it is over.

Without C{FLOM_QUORUM_MINUTES}, some of them, and shorter.
"""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.fakes.programs import Running, eventually
from tests.scenarios.quorum import faults
from tests.scenarios.quorum.crowd import crowd_of
from tests.scenarios.quorum.members import GROUP, Node, Quorum, needs_etcd
from tests.scenarios.quorum.nemesis import DEEDS, RECOVERY
from tests.scenarios.quorum.store import TokenStore

pytestmark = [needs_network_namespaces, needs_nft, needs_etcd]

slow = pytest.mark.slow

FAST: Final = {"options": ["--fast"]}

LASTING: Final = 12.0
"""Seconds after which what goes wrong is undone: longer than a takeover takes."""


def hold(quorum: Quorum, node: Node, words: list[str], *options: str) -> Running:
    """Start C{flom-run} on C{node} with a command that writes to the store; return it when it holds."""
    running = node.host.start_flom(*quorum.place, "-r", "R1", *options, "--", *words, environment=node.environment)
    assert running.line() == "held"
    return running


@pytest.mark.parametrize("quorum", [FAST], ids=["fast"], indirect=True)
def test_who_is_cut_off_with_the_leader_has_ended_before_others_get_it(quorum: Quorum, disk: Path) -> None:
    """Two hosts go on without them; the holder does not end by SIGTERM, and those that wait beside it get nothing."""
    quorum.start_etcd()
    leader = quorum.start_daemons()
    other, client = quorum.others(leader)
    with TokenStore(disk) as store:
        holder = hold(quorum, leader, store.command(1, "R1", seconds=None, is_stubborn=True))
        waiters = [
            node.host.start_flom(*quorum.place, "-r", "R1", "--", *store.command(who, "R1", seconds=0.2))
            for who, node in ((2, leader), (3, other), (4, client))
        ]
        heal = faults.cut_off(leader)
        for waiter in waiters[1:]:
            assert waiter.finish(30.0).returncode == 0
        assert holder.process.poll() == 95
        assert waiters[0].process.poll() is None
        heal()
        assert waiters[0].finish().returncode == 0
        assert "lost" in holder.finish().stderr
    assert store.history.problems() == {}


@pytest.mark.parametrize("quorum", [FAST], ids=["fast"], indirect=True)
def test_a_leader_frozen_with_its_clients_lets_nothing_late_through(quorum: Quorum, disk: Path) -> None:
    """Its clients wake before it: what they write is refused, and they are ended."""
    quorum.start_etcd()
    leader = quorum.start_daemons()
    other, _ = quorum.others(leader)
    with TokenStore(disk) as store:
        holder = hold(quorum, leader, store.command(1, "R1", seconds=None))
        heal = faults.freeze(leader)
        next_one = other.host.start_flom(*quorum.place, "-r", "R1", "--", *store.command(2, "R1", seconds=None))
        eventually(lambda: 2 in store.history.beats() and store.history.beats()[2], "a write", 30.0)
        heal()
        assert holder.finish().returncode == 95
        next_one.process.terminate()
        assert next_one.finish().returncode in (143, -15)
        assert store.history.problems({1: leader.frozen}) == {}
        quorum.await_leader()


@slow
@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("quorum", [{}, {"group": GROUP}], ids=["addresses", "group"], indirect=True)
def test_none_holds_beside_another_one(deed: str, quorum: Quorum, disk: Path) -> None:
    quorum.start_etcd()
    quorum.start_daemons()
    with TokenStore(disk) as store, crowd_of(quorum, store, seed=1) as crowd:
        for node in quorum.nodes:
            crowd.await_progress(node, RECOVERY)
        heal = DEEDS[deed](quorum, Random(deed))
        time.sleep(LASTING)
        heal()
        quorum.await_etcd()
        for node in quorum.nodes:
            crowd.await_progress(node, RECOVERY)
        quorum.await_leader()
    print(dict(crowd.outcomes()))


@slow
@pytest.mark.parametrize("seconds", [1.0, 3.0, 6.0, 20.0, 60.0])
@pytest.mark.parametrize("what", ["the daemon", "the host"])
def test_a_leader_that_was_stopped_grants_nothing_late(what: str, seconds: float, quorum: Quorum, disk: Path) -> None:
    quorum.start_etcd()
    leader = quorum.start_daemons()
    with TokenStore(disk) as store, crowd_of(quorum, store, seed=2) as crowd:
        for node in quorum.nodes:
            crowd.await_progress(node, RECOVERY)
        heal = faults.stop_daemon(leader) if what == "the daemon" else faults.freeze(leader)
        time.sleep(seconds)
        heal()
        for node in quorum.nodes:
            crowd.await_progress(node, RECOVERY)
        quorum.await_leader()
