"""
Timestamps at the edges: what floating point makes of a boundary, and texts that no answer can carry
(docs/compatibility.md, "Timestamps").
"""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flom.codes import Outcome
from flom.core.effects import Effect, Granted, Instant, Queued, Refused
from flom.core.locks.resources.timestamp import TimestampResource
from flom.core.locks.table import LockTable
from flom.core.names import MAX_TEXT, TimestampName, parse_name
from flom.core.requests import LockRequest, SessionId

FORMATS = ["#ffffff", "#fffff", "#ffff", "#fff", "#ff", "#f", "%S", "%M", "%H"]


def strftime(format: str, wall: float) -> str:
    return time.strftime(format, time.gmtime(wall))


def request(name: str) -> LockRequest:
    return LockRequest(SessionId(1), parse_name(name))


def ask(table: LockTable, name: str) -> Effect:
    return table.request(request(name), Instant(0.0, 0.0))[-1]


@given(st.sampled_from(FORMATS), st.integers(0, 2**32 * 1_000_000), st.integers(0, 3_600_000_000))
@example("#f", 4_000_000, 100_000)
@example("#ffffff", 2_147_500_000_000_249, 1)
def test_a_waiter_that_cannot_be_served_yet_has_a_chance_later_than_now(format: str, first: int, wait: int) -> None:
    resource = TimestampResource(TimestampName("", format, 2), strftime)
    resource.take(request("_t_%S[2]"), Instant(0.0, first / 1e6))
    waiter, now = request("_t_%S[2]"), Instant(0.0, (first + wait) / 1e6)
    resource.enqueue(waiter)
    chance = resource.next_chance(now)
    assert resource.next_waiter(now) is waiter or (chance is not None and now.wall + chance > now.wall)


@given(st.integers(1, 6), st.integers(0, 2**31 * 64))
def test_the_fraction_is_cut_and_not_rounded(digits: int, sixty_fourths: int) -> None:
    resource = TimestampResource(TimestampName("", "%s#" + "f" * digits, 1), lambda text, wall: text)
    holding = resource.take(request("_t_%S[1]"), Instant(0.0, sixty_fourths / 64))
    assert holding.element == "%s." + f"{sixty_fourths % 64 * 15_625:06d}"[:digits]


def test_a_clock_set_back_makes_waiters_wait_for_a_time_not_yet_given() -> None:
    table = LockTable(strftime)
    first, second = request("_t_%S[2]"), request("_t_%S[2]")
    assert isinstance(table.request(first, Instant(0.0, 100.0))[0], Granted)
    assert table.request(second, Instant(1.0, 50.0)) == [Queued(second)]
    assert table.expire(Instant(2.0, 51.0)) == []
    assert table.expire(Instant(51.0, 100.0)) == []
    assert table.expire(Instant(52.0, 101.0)) == [Granted(second, 2, "41", delayed=True)]


@pytest.mark.parametrize("conversions", [1, 10, 13])
def test_a_text_that_an_answer_can_carry_is_given(conversions: int) -> None:
    answer = ask(LockTable(strftime), f"_t_{'%c' * conversions}[1]")
    assert isinstance(answer, Granted)
    assert answer.element == "Thu Jan  1 00:00:00 1970" * conversions


@pytest.mark.parametrize("format", ["%c" * 15, "%S" + "%c" * 14, "x" * MAX_TEXT + "%S"])
def test_a_longer_text_is_an_invalid_format(format: str) -> None:
    refusal = ask(LockTable(strftime), f"_t_{format}[1]")
    assert isinstance(refusal, Refused)
    assert refusal.outcome is Outcome.INVALID_TIMESTAMP_FORMAT
