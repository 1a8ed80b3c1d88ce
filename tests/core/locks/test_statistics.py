"""What a lock table has done so far, counted."""

from __future__ import annotations

from flom.core.locks.statistics import BOUNDS, MEMORY, Second, Tally


def test_a_time_is_counted_in_the_first_bucket_that_it_does_not_exceed() -> None:
    tally = Tally()
    for waited in (0.0, BOUNDS[0], BOUNDS[0] * 1.01, BOUNDS[-1] * 2):
        tally.grant(0.0, waited)
    assert tally.waited.buckets == [2, 1, *[0] * (len(BOUNDS) - 2), 1]


def test_the_last_minutes_are_remembered_second_by_second() -> None:
    tally = Tally()
    for now in (0.5, 1.1, 1.9, 4.0):
        tally.grant(now, 0.25)
    assert tally.recent(5.5) == [Second(5, 1, 0.25), Second(4, 2, 0.5), Second(1, 1, 0.25)]
    assert tally.grants_per_second(5.5) == 0.4
    assert tally.recent(4.0 + MEMORY) == []
    for second in range(10, 10 + 2 * MEMORY):
        tally.grant(float(second), 0.0)
    assert len(tally.recent(9.0 + 2 * MEMORY)) == MEMORY
