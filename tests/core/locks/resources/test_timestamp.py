"""
Timestamps at the edges: what floating point makes of a boundary, and texts that no answer can carry
(docs/compatibility.md, "Timestamps").
"""

from __future__ import annotations

import time
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flom.codes import Outcome
from flom.core.effects import Effect, Granted, Instant, Queued, Refused
from flom.core.locks.resources.timestamp import TimestampResource
from flom.core.locks.table import LockTable
from flom.core.names import MAX_TEXT, TimestampName, parse_name
from flom.core.requests import LockRequest, SessionId
from tests.fakes.script import check

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


# rules, one script each

SCRIPTS: Final = {
    "a microsecond": """
        1 lock _t_%S#ffffff[9]          -> granted 00.000000
        1 lock _t_%S#ffffff[9] nowait   -> busy
        after 0.000001                  -> nothing
        1 lock _t_%S#ffffff[9] nowait   -> granted 00.000001
    """,
    "ten microseconds": """
        after 0.000019                  -> nothing
        1 lock _t_%S#fffff[9]           -> granted 00.00001
        1 lock _t_%S#fffff[9]           -> queued
        after 0.000001                  -> 1 granted 00.00002
    """,
    "a hundred microseconds": """
        1 lock _t_%S#ffff[9]            -> granted 00.0000
        1 lock _t_%S#ffff[9]            -> queued
        after 0.000099                  -> nothing
        after 0.000001                  -> 1 granted 00.0001
    """,
    "a millisecond": """
        1 lock _t_%S#fff[9]             -> granted 00.000
        1 lock _t_%S#fff[9]             -> queued
        after 0.000999                  -> nothing
        after 0.000001                  -> 1 granted 00.001
    """,
    "ten milliseconds": """
        1 lock _t_%S#ff[9]              -> granted 00.00
        1 lock _t_%S#ff[9]              -> queued
        after 0.009999                  -> nothing
        after 0.000001                  -> 1 granted 00.01
    """,
    "a hundred milliseconds": """
        1 lock _t_%S#f[9]               -> granted 00.0
        1 lock _t_%S#f[9]               -> queued
        after 0.099999                  -> nothing
        after 0.000001                  -> 1 granted 00.1
    """,
    "a second, by any of its names": """
        1 lock _t_%S[9]                 -> granted 00
        1 lock _t_%S[9]                 -> queued
        2 lock _t_%T[9]                 -> granted 12:00:00
        2 lock _t_%T[9]                 -> queued
        3 lock _t_%c[9]                 -> granted Tue Nov 14 12:00:00 2023
        3 lock _t_%c[9]                 -> queued
        4 lock _t_%X[9]                 -> granted 12:00:00
        4 lock _t_%X[9]                 -> queued
        5 lock _t_%r[9]                 -> granted 12:00:00 PM
        after 0.999999                  -> nothing
        after 0.000001                  -> 1 granted 01, 2 granted 12:00:01, 3 granted Tue Nov 14 12:00:01 2023, \
4 granted 12:00:01
    """,
    "a minute": """
        1 lock _t_%H:%M[9]              -> granted 12:00
        1 lock _t_%H:%M[9]              -> queued
        2 lock _t_%R[9]                 -> granted 12:00
        2 lock _t_%R[9] nowait          -> busy
        after 59.999999                 -> nothing
        after 0.000001                  -> 1 granted 12:01
        2 lock _t_%R[9] nowait          -> granted 12:01
    """,
    "an hour": """
        1 lock _t_%I%p[9]               -> granted 12PM
        1 lock _t_%I%p[9]               -> queued
        2 lock _t_%H[9]                 -> granted 12
        2 lock _t_%H[9] nowait          -> busy
        after 3599.999999               -> nothing
        after 0.000001                  -> 1 granted 01PM
        2 lock _t_%H[9] nowait          -> granted 13
    """,
    "the surplus of a long fraction stays as text": """
        after 0.123456                  -> nothing
        1 lock _t_%S#fffffff[1]         -> granted 00.123456f
    """,
    "one waiter a second, as long as there are slots": """
        1 lock _t_%S[3]     -> granted 00
        2 lock _t_%S[3]     -> queued
        3 lock _t_%S[3]     -> queued
        4 lock _t_%S[3]     -> queued
        after 1             -> 2 granted 01
        after 1             -> 3 granted 02
        after 1             -> nothing
        1 unlock _t_%S[3]   -> 4 granted 03
    """,
    "a release within the unit serves no waiter until it is over": """
        1 lock _t_%S[1]     -> granted 00
        2 lock _t_%S[1]     -> queued
        after 0.5           -> nothing
        1 unlock _t_%S[1]   -> nothing
        after 0.5           -> 2 granted 01
    """,
    "a format that changes less often than hourly is invalid": """
        1 lock _t_%Y[1]     -> invalid timestamp format
        1 lock _t_foo[1]    -> invalid timestamp format
        1 lock _t_%D[1]     -> invalid timestamp format
        1 lock _t_%k[1]     -> invalid timestamp format
        1 lock _t_%ES[1]    -> invalid timestamp format
        1 lock _t_%%S[1]    -> invalid timestamp format
        1 lock _t_%D%S[1]   -> granted 11/14/2300
    """,
    "a time that was given by the former daemon is reclaimed, and not given again": """
        1 lock _t_%T[3] had=12:00:00    -> granted 12:00:00
        2 lock _t_%T[3] had=12:00:00    -> busy
        2 lock _t_%T[3] had             -> busy
        1 unlock _t_%T[3]               -> nothing
        2 lock _t_%T[3]                 -> queued
        after 1                         -> 2 granted 12:00:01
    """,
    "nor is it if the clock of that daemon was ahead": """
        1 lock _t_%T[3] had=12:00:01    -> granted 12:00:01
        2 lock _t_%T[3]                 -> granted 12:00:00
        1 unlock _t_%T[3]               -> nothing
        3 lock _t_%T[3]                 -> queued
        after 1                         -> nothing
        after 1                         -> 3 granted 12:00:02
    """,
    "a text that comes again by itself is left out once": """
        1 lock _t_%S[3] had=59      -> granted 59
        after 59                    -> nothing
        2 lock _t_%S[3] nowait      -> busy
        after 60                    -> nothing
        2 lock _t_%S[3] nowait      -> granted 59
    """,
    "no more times are reclaimed than there are slots": """
        1 lock _t_%T[1] had=11:59:59    -> granted 11:59:59
        2 lock _t_%T[1] had=11:59:58    -> busy
        1 unlock _t_%T[1]               -> nothing
        2 lock _t_%T[1] nowait          -> granted 12:00:00
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(script: str) -> None:
    check(script)
