"""Which host leads which shard, and what that makes of the load."""

from __future__ import annotations

from random import Random
from typing import Final

_MASK: Final = 2**64 - 1


def mix(number: int) -> int:
    """Return 64 bits that look random, always the same for C{number} (splitmix64)."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


def ranked(shard: int, hosts: list[int], most: int) -> list[int]:
    """
    Return the hosts that would lead C{shard}, best first, at most C{most} of them (rendezvous hashing): without one of
    them, the order of the others is the same.
    """
    seed = mix(shard)
    scores = sorted(((mix(seed ^ host * 0x2545F4914F6CDD1D & _MASK), host) for host in hosts), reverse=True)
    return [host for _, host in scores[:most]]


def zipf(count: int, exponent: float) -> list[float]:
    """Return the shares of C{count} resources in all that is locked: the n-th has 1 / n ** exponent of the first."""
    weights = [1 / rank**exponent for rank in range(1, count + 1)]
    total = sum(weights)
    return [weight / total for weight in weights]


class Placement:
    """
    Who leads what.

    @ivar leaders: the leader of each shard.
    @ivar shares: the share of each host in all that is locked.
    @ivar resources: how many resources each host leads.
    """

    def __init__(self, hosts: int, shards: int, popularity: list[float], random: Random) -> None:
        self.leaders = [ranked(shard, list(range(hosts)), 1)[0] for shard in range(shards)]
        self.shares = [0.0] * hosts
        self.resources = [0] * hosts
        self._shards = [random.randrange(shards) for _ in popularity]
        for shard, share in zip(self._shards, popularity, strict=True):
            self.shares[self.leaders[shard]] += share
            self.resources[self.leaders[shard]] += 1

    def leaders_of(self, resources: int, random: Random) -> int:
        """Return at how many daemons a program is that has so many resources, any ones."""
        return len({self.leaders[shard] for shard in random.choices(self._shards, k=resources)})
