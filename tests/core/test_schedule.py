"""Many things, each of which is due at its own time."""

from __future__ import annotations

from flom.core.schedule import Schedule


def test_what_is_due_comes_in_its_order() -> None:
    schedule = Schedule()
    for name, due in ("c", 3.0), ("a", 1.0), ("b", 2.0), ("d", 4.0):
        schedule.put(name, due)
    assert schedule.next_due == 1.0
    assert schedule.take_due(3.0) == ["a", "b", "c"]
    assert (schedule.next_due, len(schedule)) == (4.0, 1)


def test_each_is_due_once_at_the_time_that_was_said_last() -> None:
    schedule = Schedule()
    schedule.put("a", 5.0)
    schedule.put("a", 1.0)
    assert schedule.take_due(9.0) == ["a"]
    schedule.put("a", 1.0)
    schedule.put("a", 5.0)
    assert schedule.take_due(4.0) == []
    assert schedule.next_due == 5.0


def test_what_is_discarded_is_due_no_more() -> None:
    schedule = Schedule()
    schedule.put("a", 1.0)
    schedule.put("b", 2.0)
    schedule.discard("a")
    schedule.discard("nothing")
    assert schedule.next_due == 2.0
    schedule.discard("b")
    assert schedule.next_due == float("inf")
    assert schedule.take_due(9.0) == []
