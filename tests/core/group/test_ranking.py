"""Of those that lead or want to, which one comes first (docs/explanation/groups.md)."""

from __future__ import annotations

from itertools import permutations

from flom.core.group.ranking import FLOM, rank
from flom.core.protocol.messages import Role, Standing


def test_leaders_come_first_and_of_two_alike_the_one_that_began_earlier() -> None:
    order = [
        FLOM,
        Standing("b", Role.LEADER, 1000),
        Standing("a", Role.LEADER, 2000),
        Standing("c", Role.LEADER, 2000),
        Standing("b", Role.CANDIDATE, 500),
        Standing("a", Role.CANDIDATE, 1000),
    ]
    for shuffled in permutations(order):
        assert sorted(shuffled, key=rank) == order
