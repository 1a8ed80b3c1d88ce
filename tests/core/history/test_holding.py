"""What a holding says."""

from __future__ import annotations

from flom.core.history.holding import Holding


def test_by_the_wall_clock_it_has_other_times() -> None:
    holding = Holding(1, "R", 10, 20, asked=9, released=21, wall=(1010, 1020, 1009, 1021))
    wall = holding.on_wall_clock()
    assert (wall.begin, wall.end, wall.asked, wall.released) == holding.wall
    assert (wall.who, wall.name) == (1, "R")
