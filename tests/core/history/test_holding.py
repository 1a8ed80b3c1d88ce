"""What a holding says."""

from __future__ import annotations

import math

from flom.core.history.holding import Holding, without_shares


def test_by_the_wall_clock_it_has_other_times() -> None:
    holding = Holding(1, "R", 10, 20, asked=9, released=21, wall=(1010, 1020, 1009, 1021))
    wall = holding.on_wall_clock()
    assert (wall.begin, wall.end, wall.asked, wall.released) == holding.wall
    assert (wall.who, wall.name) == (1, "R")


def test_who_shares_a_lock_is_part_of_it() -> None:
    outer, inner, deeper, other = (
        Holding(who, "R", begin, end, token=token, may_share=may_share, clock=clock)
        for who, begin, end, token, may_share, clock in [
            (1, 10, 20, 5, False, "a"),
            (2, 12, 30, 5, True, "a"),
            (3, 13, 90, 5, True, "b"),
            (4, 40, 50, 6, True, "a"),
        ]
    )
    assert without_shares([other, deeper, inner, outer]) == [
        outer.replace(end=30, wall=(0.0, math.inf, -math.inf, math.inf)),
        other,
    ]
    again = outer.replace(who=5)
    assert without_shares([outer, again]) == [outer, again]
