"""What a history of several hosts violates, if their clocks differ by no more than a skew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flom.core.history.holding import Holding
from flom.core.history.verdict import judge
from tests.core.history.held import parse

SKEW = 10


def on(holding: Holding, clock: str, lead: float = 0, boot: float = 0) -> Holding:
    """Return C{holding} on a host whose wall clock is ahead of the true time, and which was started at C{boot}."""
    times = holding.begin, holding.end, holding.asked, holding.released
    begin, end, asked, released = (time - boot for time in times)
    wall = (times[0] + lead, times[1] + lead, times[2] + lead, times[3] + lead)
    return holding.replace(clock=clock, wall=wall, begin=begin, end=end, asked=asked, released=released)


def test_on_one_clock_times_are_compared_as_they_are() -> None:
    one, other = parse("10-20 R, 19-30 R")
    [found] = judge([on(one, "a"), on(other, "a")], SKEW)
    assert (found.holding.who, found.beside[0].who) == (2, 1)


@pytest.mark.parametrize(("script", "count"), [("10-20 R, 19-30 R", 0), ("10-31 R, 19-60 R", 1), ("10- R, 21-60 R", 1)])
def test_of_two_clocks_what_overlaps_for_longer_than_the_skew_is_found(script: str, count: int) -> None:
    one, other = parse(script)
    assert len(judge([on(one, "a", boot=-500), on(other, "b")], SKEW)) == count


def test_a_clock_that_was_set_is_compared_with_no_other() -> None:
    one, other, third = (on(each, clock) for each, clock in zip(parse("10-60 R, 11-60 R, 12-60 R"), "abb", strict=True))
    assert len(judge([one, other, third], SKEW, unsure=["a"])) == 1


def test_tokens_and_numbers_are_compared_across_hosts() -> None:
    late = [on(each, clock) for each, clock in zip(parse("10-20 R #2, 40-50 R #1"), "ab", strict=True)]
    assert [each.why for each in judge(late, SKEW)] == ["token 1 after 2"]
    twice = [on(each, clock) for each, clock in zip(parse("10-20 _s_n[1] =1, 40-50 _s_n[1] =1"), "ab", strict=True)]
    assert [each.why for each in judge(twice, SKEW)] == ["number 1 a second time"]


def test_all_hosts_together_hold_no_more_than_there_is() -> None:
    holders = parse("10-60 N[3], 11-60 N[3], 12-60 N[3], 13-60 N[3]")
    [found] = judge([on(each, clock) for each, clock in zip(holders, "aabc", strict=True)], SKEW)
    assert found.why == "4 of 3 units"


def test_a_lock_whose_command_has_not_begun_excludes_none() -> None:
    granted, other = parse("10-20 R #2, 15-30 R #2")
    found = judge([granted.replace(has_begun=False), other], SKEW)
    assert [each.why for each in found] == ["token 2 a second time"]


@st.composite
def turns(draw: st.DrawFn) -> list[Holding]:
    """Commands that hold one after another, on hosts whose clocks differ by the skew at most."""
    leads = {clock: draw(st.floats(-SKEW / 2, SKEW / 2)) for clock in "abc"}
    boots = {clock: draw(st.integers(0, 1000)) for clock in "abc"}
    now, found = 1000, []
    for who in range(draw(st.integers(1, 8))):
        begin = now + draw(st.integers(1, 5))
        now = begin + draw(st.integers(1, 30))
        clock = draw(st.sampled_from("abc"))
        element = str(who + 1)
        holding = Holding(who, "_s_n[1]", begin, now, element=element, token=who + 1, asked=begin - 1, released=now)
        found.append(on(holding, clock, leads[clock], boots[clock]))
    return found


@given(turns())
def test_good_turns_are_good_whatever_the_clocks_show(holdings: list[Holding]) -> None:
    assert judge(holdings, SKEW) == []


@given(turns(), st.data())
def test_a_command_that_held_for_long_beside_others_is_found(holdings: list[Holding], data: st.DataObject) -> None:
    beside = data.draw(st.sampled_from(holdings))
    begin, end, *_ = beside.wall
    long = Holding(99, "_s_n[1]", 0, end + 40, element="999", token=999, clock="d", wall=(0, end + 40, 0, end + 41))
    found = [{each.holding.who, *(other.who for other in each.beside)} for each in judge([*holdings, long], SKEW)]
    assert end - begin <= SKEW or any({99, beside.who} <= parties for parties in found)
