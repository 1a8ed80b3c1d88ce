"""What a lock table has done so far, counted."""

from __future__ import annotations

from flom.core.locks.statistics import BOUNDS, MEMORY, Second, Statistics


def test_a_time_is_counted_in_the_first_bucket_that_it_does_not_exceed() -> None:
    statistics = Statistics()
    for waited in (0.0, BOUNDS[0], BOUNDS[0] * 1.01, BOUNDS[-1] * 2):
        statistics.grant(0.0, waited)
    assert statistics.waited.buckets == [2, 1, *[0] * (len(BOUNDS) - 2), 1]


def test_the_last_minutes_are_remembered_second_by_second() -> None:
    statistics = Statistics()
    for now in (0.5, 1.1, 1.9, 4.0):
        statistics.grant(now, 0.25)
    assert statistics.recent(5.5) == [Second(5, 1, 0.25), Second(4, 2, 0.5), Second(1, 1, 0.25)]
    assert statistics.grants_per_second(5.5) == 0.4
    assert statistics.recent(4.0 + MEMORY) == []
    for second in range(10, 10 + 2 * MEMORY):
        statistics.grant(float(second), 0.0)
    assert len(statistics.recent(9.0 + 2 * MEMORY)) == MEMORY
