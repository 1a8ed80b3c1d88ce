"""Keys that are not cleared in time are reported, by one timer for all."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from flom.server.deadlines import Deadlines


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def missed() -> list[str]:
    """Those whose time is over."""
    return []


@pytest.fixture
def deadlines(clock: Clock, missed: list[str]) -> Deadlines[str]:
    """Deadlines of ten seconds."""
    return Deadlines(clock, 10.0, missed.append)


def test_those_who_were_set_first_come_first(clock: Clock, deadlines: Deadlines[str], missed: list[str]) -> None:
    for who in "abc":
        deadlines.set(who)
        clock.advance(1)
    clock.advance(6.5)
    assert missed == []
    clock.advance(1)
    assert missed == ["a"]
    clock.advance(2)
    assert missed == ["a", "b", "c"]


def test_those_who_were_set_at_once_come_in_their_order(
    clock: Clock, deadlines: Deadlines[str], missed: list[str]
) -> None:
    for who in "cab":
        deadlines.set(who)
    clock.advance(10)
    assert missed == ["c", "a", "b"]


def test_who_is_set_again_has_all_the_time_again(clock: Clock, deadlines: Deadlines[str], missed: list[str]) -> None:
    deadlines.set("a")
    deadlines.set("b")
    clock.advance(5)
    deadlines.set("a")
    clock.advance(5)
    assert missed == ["b"]
    clock.advance(4)
    assert missed == ["b"]
    clock.advance(1)
    assert missed == ["b", "a"]


def test_who_is_cleared_is_not_told_of(clock: Clock, deadlines: Deadlines[str], missed: list[str]) -> None:
    deadlines.set("a")
    deadlines.set("b")
    deadlines.clear("a")
    deadlines.clear("never set")
    clock.advance(10)
    assert missed == ["b"]


def test_who_is_set_is_in_them_until_cleared_or_missed(clock: Clock, deadlines: Deadlines[str]) -> None:
    assert "a" not in deadlines
    deadlines.set("a")
    deadlines.set("b")
    assert "a" in deadlines
    deadlines.clear("a")
    assert "a" not in deadlines
    clock.advance(10)
    assert "b" not in deadlines


def test_there_is_one_timer_for_all(clock: Clock, deadlines: Deadlines[str]) -> None:
    for number in range(100):
        deadlines.set(str(number))
        clock.advance(0.05)
        assert len(clock.getDelayedCalls()) == 1
    clock.advance(6)
    assert "19" not in deadlines
    assert "99" in deadlines
    assert len(clock.getDelayedCalls()) == 1


def test_there_is_none_when_nobody_is_left(clock: Clock, deadlines: Deadlines[str], missed: list[str]) -> None:
    deadlines.set("a")
    deadlines.clear("a")
    assert clock.getDelayedCalls() == []
    deadlines.set("b")
    clock.advance(10)
    assert missed == ["b"]
    assert clock.getDelayedCalls() == []


def test_who_was_missed_may_be_set_again_meanwhile(clock: Clock) -> None:
    told: list[str] = []

    def tell(who: str) -> None:
        told.append(who)
        if told == ["a"]:
            some.set("a")

    some = Deadlines(clock, 10.0, tell)
    for who in "abc":
        some.set(who)
    clock.advance(10)
    assert told == ["a", "b", "c"]
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(10)
    assert told == ["a", "b", "c", "a"]


@pytest.mark.parametrize("together", [True, False])
def test_the_last_one_may_be_set_again_while_it_is_told_of(clock: Clock, together: bool) -> None:
    told: list[str] = []

    def tell(who: str) -> None:
        told.append(who)
        some.clear(who)  # as a connection does that is closed for it
        if len(told) == 1:
            some.set("b")

    some = Deadlines(clock, 10.0, tell)
    some.set("a")
    clock.advance(10)
    assert len(clock.getDelayedCalls()) == 1
    if together:
        some.set("c")
    clock.advance(10)
    assert told == ["a", "b", "c"][: 2 + together]
    assert clock.getDelayedCalls() == []


def test_one_timer_serves_those_that_are_due_within_the_slack(clock: Clock, missed: list[str]) -> None:
    deadlines = Deadlines(clock, 10.0, missed.append, slack=2.0)
    for who in "abc":
        deadlines.set(who)
        clock.advance(1)
    clock.advance(7)
    assert missed == ["a"]
    clock.advance(2)
    assert missed == ["a", "b", "c"]


def test_what_is_forgotten_is_not_missed_and_leaves_the_timer(
    clock: Clock, deadlines: Deadlines[str], missed: list[str]
) -> None:
    deadlines.set("a")
    [timer] = clock.getDelayedCalls()
    clock.advance(5)
    deadlines.forget("a")
    deadlines.set("b")
    assert clock.getDelayedCalls() == [timer]
    clock.advance(5)
    assert missed == []
    clock.advance(5)
    assert missed == ["b"]
    assert clock.getDelayedCalls() == []
