"""Faults of all kinds, at random, one after the other and over each other, under commands that go on all the time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from tests.scenarios.quorum import faults
from tests.scenarios.quorum.crowd import Crowd
from tests.scenarios.quorum.faults import Heal
from tests.scenarios.quorum.members import Node, Quorum

Deed = Callable[[Quorum, Random], Heal]
"""Does what goes wrong, and returns what undoes it."""

RECOVERY: Final = 60.0
"""Seconds after which commands run on all hosts again once all is undone."""


def leader(quorum: Quorum, random: Random) -> Node:
    """Return the host whose daemon leads; any one if none does, or if several believe that they do."""
    return random.choice(quorum.leading() or quorum.nodes)


def standby(quorum: Quorum, random: Random) -> Node:
    """Return a host whose daemon does not lead."""
    return random.choice([node for node in quorum.nodes if node not in quorum.leading()] or quorum.nodes)


def leader_of_etcd(quorum: Quorum, random: Random) -> Node:
    """Return the host whose etcd member leads; any one if none does."""
    return random.choice([node for node in quorum.nodes if node.etcd.leads] or quorum.nodes)


def majority(quorum: Quorum, random: Random) -> list[Node]:
    return random.sample(quorum.nodes, 2)


DEEDS: Final[Mapping[str, Deed]] = {
    "leader killed": lambda q, r: faults.kill_daemon(q, leader(q, r)),
    "leader ended": lambda q, r: faults.end_daemon(q, leader(q, r)),
    "leader stopped": lambda q, r: faults.stop_daemon(leader(q, r)),
    "leader cut from clients": lambda q, r: faults.cut_from_clients(leader(q, r)),
    "leader cut from etcd": lambda q, r: faults.cut_from_etcd(leader(q, r)),
    "leader cut off": lambda q, r: faults.cut_off(leader(q, r)),
    "leader sends in vain": lambda q, r: faults.lose_what_it_sends(leader(q, r)),
    "leader hears nothing": lambda q, r: faults.lose_what_it_is_sent(leader(q, r)),
    "leader frozen with its host": lambda q, r: faults.freeze(leader(q, r)),
    "standby killed": lambda q, r: faults.kill_daemon(q, standby(q, r)),
    "standby cut off": lambda q, r: faults.cut_off(standby(q, r)),
    "standby frozen with its host": lambda q, r: faults.freeze(standby(q, r)),
    "all daemons killed": lambda q, r: faults.together([faults.kill_daemon(q, node) for node in q.nodes]),
    "etcd leader killed": lambda q, r: faults.kill_etcd(q, [leader_of_etcd(q, r).etcd]),
    "etcd leader stopped": lambda q, r: faults.stop_etcd([leader_of_etcd(q, r).etcd]),
    "etcd majority killed": lambda q, r: faults.kill_etcd(q, [node.etcd for node in majority(q, r)]),
    "etcd majority stopped": lambda q, r: faults.stop_etcd(node.etcd for node in majority(q, r)),
    "all of etcd killed": lambda q, r: faults.kill_etcd(q, q.members),
    "packets lost": lambda q, r: faults.lose_packets(q, 20),
    "all hosts apart": lambda q, r: faults.together(faults.cut_off(node) for node in q.nodes),
}
"""What goes wrong, by its name."""

ALONE: Final = {"leader killed", "leader ended", "standby killed", "all daemons killed"}
"""What needs that the daemons run as they should, so that nothing else goes wrong before it."""


class Nemesis:
    """
    Does them harm.

    @ivar did: how often each deed was done.
    @ivar recoveries: seconds from when all was undone until commands had run on all hosts.
    """

    def __init__(self, quorum: Quorum, crowd: Crowd, random: Random, say: Callable[[str], None] = print) -> None:
        self.did: Counter[str] = Counter()
        self.recoveries: list[float] = []
        self._quorum = quorum
        self._crowd = crowd
        self._random = random
        self._say = say
        self._began = time.monotonic()

    def work(self, seconds: float) -> None:
        """Do harm, again and again, for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.strike()

    def strike(self) -> None:
        """Do one thing or two, undo them after a while, and check that all goes on."""
        names = self._choose()
        lasting = self._random.choice([0.3, 1.0, 2.5, 5.0, 8.0, 12.0, 20.0])
        if self._random.random() < 0.05:
            lasting = 60.0
        self._say(f"{time.monotonic() - self._began:7.1f} s: {' and '.join(names)} for {lasting:g} s")
        heals = []
        for name in names:
            heals.append(DEEDS[name](self._quorum, self._random))
            self.did[name] += 1
            time.sleep(self._random.uniform(0, 1.0))
        self._kill_some()
        time.sleep(lasting)
        faults.together(heals)()
        self._quorum.await_etcd(patience=RECOVERY)
        began = time.monotonic()
        for node in self._quorum.nodes:
            self._crowd.await_progress(node, RECOVERY)
        self.recoveries.append(time.monotonic() - began)
        time.sleep(self._random.uniform(0, 3.0))

    def _choose(self) -> list[str]:
        first = self._random.choice(sorted(DEEDS))
        if self._random.random() < 0.6:
            return [first]
        return [first, self._random.choice(sorted(DEEDS.keys() - ALONE - {first}))]

    def _kill_some(self) -> None:
        """Kill one C{flom-run} out of some; its command goes on."""
        if self._random.random() < 0.3 and self._crowd.kill_one(self._random):
            self.did["flom-run killed"] += 1
