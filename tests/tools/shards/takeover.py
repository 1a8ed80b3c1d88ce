"""How long it takes until all shards of hosts that have died have a leader that grants, and what that costs etcd."""

from __future__ import annotations

from heapq import heappop, heappush
from random import Random
from typing import Final, NamedTuple

from tests.tools.shards.placement import ranked

EXPIRY: Final = (0.0, 0.5)
"""Seconds after its TTL in which etcd ends a lease, seen by running (docs/explanation/quorum.md)."""

WATCH: Final = (0.001, 0.02)
"""Seconds until a watcher hears of it."""


class Times(NamedTuple):
    """Seconds: of the lease, of sessions, and between the tries of two candidates of one shard."""

    lease: float = 3.0
    wait: float = 6.0  # session time-out and margin
    stagger: float = 0.1


class Takeover(NamedTuple):
    """
    @ivar first: seconds from the death to the first election.
    @ivar last: to the last one.
    @ivar granting: until the last shard grants again.
    @ivar transactions: what etcd was asked for that.
    @ivar events: what watchers were told.
    """

    first: float
    last: float
    granting: float
    transactions: int
    events: int


def take_over(
    hosts: int, leaders: list[int], dead: set[int], rate: float, random: Random, times: Times, *, ordered: bool
) -> Takeover:
    """
    Simulate the death of some hosts at one moment.

    @param leaders: of each shard.
    @param rate: transactions that etcd can do a second.
    @param ordered: whether the candidates of a shard try in the order of their rank, L{Times.stagger} apart, and only
        while it has no leader; or all of them at once.
    """
    living = [host for host in range(hosts) if host not in dead]
    ends = {host: times.lease - random.uniform(0, times.lease / 5) + random.uniform(*EXPIRY) for host in dead}
    tries: list[tuple[float, int]] = []
    lost = [shard for shard, leader in enumerate(leaders) if leader in dead]
    for shard in lost:
        gone = ends[leaders[shard]]
        candidates = len(ranked(shard, living, 8)) if ordered else len(living)
        for rank in range(candidates):
            heappush(tries, (gone + random.uniform(*WATCH) + rank * times.stagger * ordered, shard))
    won: dict[int, float] = {}
    known: dict[int, float] = {}
    free, transactions = 0.0, 0
    while tries:
        at, shard = heappop(tries)
        if at >= known.get(shard, at + 1):
            continue  # this candidate has heard of the new leader before it would have tried
        begin = max(at, free)
        free = begin + 1 / rate
        transactions += 1
        if shard not in won:
            won[shard] = free
            known[shard] = free + WATCH[1]
    elections = sorted(won.values())
    events = 2 * len(lost) * len(living)  # the key that goes, and the one that comes
    return Takeover(elections[0], elections[-1], elections[-1] + times.wait, transactions, events)
