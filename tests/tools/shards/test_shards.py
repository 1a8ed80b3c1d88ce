"""The simulation of shards does what it says."""

from __future__ import annotations

from random import Random

from tests.tools.shards.placement import Placement, ranked, zipf
from tests.tools.shards.takeover import Times, take_over


def test_without_a_host_only_its_shards_move() -> None:
    for shard in range(100):
        order = ranked(shard, list(range(10)), 10)
        gone = order[0]
        assert ranked(shard, [host for host in range(10) if host != gone], 10) == order[1:]


def test_shards_are_spread_over_all_hosts() -> None:
    placement = Placement(10, 1000, zipf(10_000, 0.0), Random(1))
    assert all(0.05 < share < 0.2 for share in placement.shares)
    assert abs(sum(placement.shares) - 1) < 1e-9
    assert sum(placement.resources) == 10_000


def test_one_shard_has_one_leader() -> None:
    placement = Placement(10, 1, zipf(100, 0.8), Random(1))
    assert sorted(placement.shares)[:9] == [0.0] * 9
    assert placement.leaders_of(50, Random(1)) == 1


def test_candidates_in_order_cost_fewer_transactions() -> None:
    leaders = [ranked(shard, list(range(50)), 1)[0] for shard in range(400)]
    crowd, orderly = (
        take_over(50, leaders, set(range(10)), 500.0, Random(1), Times(), ordered=ordered) for ordered in (False, True)
    )
    lost = sum(leader < 10 for leader in leaders)
    assert lost <= orderly.transactions < 2 * lost
    assert crowd.transactions > 10 * lost
    assert orderly.last + 1 < crowd.last
    assert 2.4 <= orderly.first <= orderly.last < 4.5
    assert orderly.granting == orderly.last + Times().wait
