"""The check that fencing tokens have grown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flom.core.history.holding import Holding
from flom.core.history.tokens import late_tokens
from tests.core.history.held import are_within_the_rules, parse


@pytest.mark.parametrize(
    ("script", "late"),
    [
        ("10-20 R #1, 21-30 R #2, 31-40 S #1", ""),
        ("10-20 R #1, 21-30 R #1", "2 after 1"),
        ("10-20 R #2, 21-30 R #1, 31-40 R #3", "2 after 1"),
        ("10-20 R PR #2, 21-30 R PR #1", ""),  # the first may have been granted last
        ("10-20 R PR #2, 21-30 R #1", "2 after 1"),
        ("10-20 /t/a #2, 21-30 /t #1", "2 after 1"),
        ("10-20 /t/a #2, 21-30 /t/b #1", ""),
        ("10-20 /t/a #2, 21-30 /t/b #2", "2 after 1"),
        ("10-20 N[3] #2, 21-30 N[3] #1", ""),
        ("10-20 N[3] *2 #2, 21-30 N[3] *2 #1", "2 after 1"),
        ("10-20 a.b =a #2, 21-30 a.b =b #1", ""),
        ("10-20 a.b =a #2, 21-30 a.b =a #1", "2 after 1"),
        ("10-20 R, 21-30 R", ""),
    ],
)
def test_tokens_grow(script: str, late: str) -> None:
    found = late_tokens(parse(script))
    assert ", ".join(f"{each.holding.who} after {each.beside[0].who}" for each in found) == late


def test_within_the_skew_no_order_is_known() -> None:
    holdings = parse("10-11 R #2, 14-15 R #1")
    assert [len(late_tokens(holdings, skew)) for skew in (0, 4, 5)] == [1, 1, 0]
    assert len(late_tokens(parse("10-11 R #2, 14-15 R #2"), 5)) == 1


@st.composite
def some_tokens(draw: st.DrawFn) -> list[Holding]:
    name = draw(st.sampled_from(["R", "N[3]", "a.b"]))
    return [
        Holding(
            begin,
            name,
            begin,
            begin + 1,
            draw(st.sampled_from(["PR", "CW", "EX"])),
            draw(st.integers(1, 3)),
            draw(st.sampled_from(["a", "b"])),
            draw(st.integers(1, 9)),
        )
        for begin in range(draw(st.integers(2, 6)))
    ]


@settings(max_examples=200)
@given(some_tokens(), st.integers(0, 3))
def test_it_finds_what_a_look_at_each_two_finds(holdings: list[Holding], skew: int) -> None:
    late = {
        later.who
        for later in holdings
        for before in holdings
        if (before.begin < later.begin and before.token == later.token)
        or (
            max(before.begin + skew, before.begin + 1) <= later.begin
            and before.token > later.token
            and not are_within_the_rules([before, later])
        )
    }
    assert {each.holding.who for each in late_tokens(holdings, skew)} == late
