"""Fencing tokens: epochs that grow with the clock, with what is known, and never beyond what a number has room for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flom.core.tokens import COUNTER, MAX_CLAIMED, MAX_EPOCH, MAX_TOKEN, begin_epoch, believable, epoch_of

Y2020 = 1_577_836_800.0
Y2026 = 1_790_000_000.0


def test_an_epoch_and_a_counter_are_one_number() -> None:
    assert epoch_of(12884901895) == 3
    assert 12884901895 & COUNTER == 7


def test_the_first_epoch_of_all_has_the_seconds_since_2020() -> None:
    assert epoch_of(begin_epoch(-1, Y2026)) == Y2026 - Y2020


def test_an_epoch_is_higher_than_those_that_are_known() -> None:
    """A clock that was set back does not matter."""
    assert begin_epoch(300_000_000, Y2026) == (300_000_001 << 32) + 1
    assert begin_epoch(7, 0.0) == (8 << 32) + 1


@given(st.floats(Y2020, 3e9), st.floats(1e-5, 10.0), st.integers(0, 10_000))
def test_tokens_grow_with_the_clock_even_if_nothing_is_known(wall: float, later: float, granted: int) -> None:
    """A daemon that is started within the same second, after one that has granted 1,000 locks a millisecond."""
    last = begin_epoch(-1, wall) + min(granted, int(later * 1_000_000))
    assert begin_epoch(-1, wall + later) > last


@given(st.integers(-1, MAX_EPOCH), st.floats(-1e12, 1e12))
def test_a_token_is_a_number_below_2_to_the_63(seen: int, wall: float) -> None:
    token = begin_epoch(seen, wall)
    assert 0 < token <= MAX_TOKEN
    assert token & COUNTER
    assert epoch_of(token) > seen or epoch_of(token) == MAX_EPOCH


@pytest.mark.parametrize(
    ("claimed", "is_believed"),
    [(1, True), ((MAX_CLAIMED << 32) + 1, True), (0, False), (-1, False), (7 << 32, False)]
    + [((MAX_CLAIMED + 1 << 32) + 1, False), (2**63, False), (2**64 + 1, False)],
)
def test_a_claim_leaves_epochs_for_others(claimed: int, is_believed: bool) -> None:
    assert believable(claimed) == (claimed if is_believed else 0)
