"""Sequences: each holder gets the next number (docs/compatibility.md, "Sequences")."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flom.core.effects import Instant
from flom.core.locks.resources.base import Holding
from flom.core.locks.resources.sequence import SequenceResource
from flom.core.names import parse_name
from flom.core.requests import LockRequest, SessionId
from tests.fakes.script import check

NOW: Final = Instant(0.0, 0.0)

SCRIPTS: Final = {
    "the next number, so many at a time": """
        1 lock _s_a[2]      -> granted 1
        2 lock _s_a[2]      -> granted 2
        3 lock _s_a[2]      -> queued
        4 lock _s_a[2] nowait -> busy
        2 unlock _s_a[2]    -> 3 granted 3
        3 unlock _s_a[2]    -> nothing
        4 lock _s_a[2]      -> granted 4
    """,
    "a plain one never repeats a number": """
        1 lock _s_a[1]              -> granted 1
        1 unlock _s_a[1] rollback   -> nothing
        1 lock _s_a[1]              -> granted 2
        1 drop                      -> nothing
        1 lock _s_a[1]              -> granted 3
    """,
    "rolled back numbers come again in the order of their rollback, before any new one": """
        1 lock _S_a[4]              -> granted 1
        2 lock _S_a[4]              -> granted 2
        3 lock _S_a[4]              -> granted 3
        4 lock _S_a[4]              -> granted 4
        5 lock _S_a[4]              -> queued
        3 unlock _S_a[4] rollback   -> 5 granted 3
        2 drop                      -> nothing
        4 unlock _S_a[4]            -> nothing
        1 unlock _S_a[4] rollback   -> nothing
        6 lock _S_a[4]              -> granted 2
        7 lock _S_a[4]              -> granted 1
        8 lock _S_a[4]              -> granted 5
    """,
    "an unlock without a holding breaks the protocol": """
        1 lock _s_a[1]      -> granted 1
        2 lock _s_a[1]      -> queued
        2 unlock _s_a[1]    -> protocol error
        1 unlock _s_a[1]    -> 2 granted 2
        1 unlock _s_a[1]    -> protocol error
    """,
    "a reclaimed value is held again, and the next one is higher than all that were": """
        2 lock _s_a[3] had=7    -> granted 7
        1 lock _s_a[3] had=5    -> granted 5
        3 lock _s_a[3]          -> granted 8
        4 lock _s_a[3]          -> queued
        1 unlock _s_a[3]        -> 4 granted 9
    """,
    "what is held is not reclaimed, nor what no sequence gives": """
        1 lock _s_a[9] had=7    -> granted 7
        2 lock _s_a[9] had=7    -> busy
        2 lock _s_a[9] had      -> busy
        2 lock _s_a[9] had=x    -> busy
        2 lock _s_a[9] had=07   -> busy
        2 lock _s_a[9] had=0    -> busy
        2 lock _s_a[9] had=4294967296   -> busy
        2 lock _s_a[9] had=99999999999  -> busy
        2 lock _s_a[9]          -> granted 8
    """,
    "no more is reclaimed than there are slots": """
        1 lock _s_a[1] had=7    -> granted 7
        2 lock _s_a[1] had=6    -> busy
        1 unlock _s_a[1]        -> nothing
        2 lock _s_a[1]          -> granted 8
    """,
    "a reclaimed value can be rolled back, and what was rolled back can be reclaimed": """
        1 lock _S_a[3] had=7    -> granted 7
        2 lock _S_a[3] had=5    -> granted 5
        2 drop                  -> nothing
        1 drop                  -> nothing
        2 lock _S_a[3] had=5    -> granted 5
        3 lock _S_a[3]          -> granted 7
        3 lock _S_a[3]          -> granted 8
    """,
    "after the last value, a reclaim of a low one is of a later one": """
        1 lock _s_a[9] had=4294967290   -> granted 4294967290
        2 lock _s_a[9] had=3            -> granted 3
        3 lock _s_a[9] had=4294967295   -> granted 4294967295
        4 lock _s_a[9]                  -> granted 4
    """,
    "after the last value comes 1": """
        1 lock _s_a[9] had=4294967295   -> granted 4294967295
        2 lock _s_a[9]                  -> granted 1
    """,
    "without slots none is ever granted": """
        1 lock _s_a[0]          -> queued
        2 lock _s_a[0] nowait   -> busy
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(script: str) -> None:
    check(script)


def request(element: int | None = None) -> LockRequest:
    had = None if element is None else str(element)
    return LockRequest(SessionId(1), parse_name("_S_a[9]"), regains=had is not None, element=had)


@given(
    st.sampled_from([0, 1, 50, 2**31, 2**32 - 10, 2**32 - 2]),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(["take", "release", "roll back"]), st.integers(0, 8)), max_size=60),
    st.data(),
)
def test_no_value_is_given_twice_unless_it_is_rolled_back(
    last: int, transactional: bool, steps: list[tuple[str, int]], data: st.DataObject
) -> None:
    """Some slots are held when the daemon goes, some of their holders reclaim in any order, and then all goes on."""
    before = SequenceResource(9, transactional)
    if last:
        held = before.reclaim(request(last), NOW)
        assert held is not None
        before.release(held, rollback=False)
    holdings = [before.take(request(), NOW) for _ in range(9)]
    had = [holding.slot for holding in holdings]
    coming = data.draw(st.permutations(had))
    resource = SequenceResource(9, transactional)
    holdings = [holding for value in coming if (holding := resource.reclaim(request(value), NOW)) is not None]
    assert [holding.slot for holding in holdings] == coming
    given = Counter(coming)
    for step, which in steps:
        if step == "take" and len(holdings) < 9:
            holdings.append(resource.take(request(), NOW))
            given[holdings[-1].slot] += 1
        elif step != "take" and holdings:
            ended: Holding = holdings.pop(which % len(holdings))
            resource.release(ended, rollback=step == "roll back")
            given[ended.slot] -= transactional and step == "roll back"
    assert set(given.values()) <= {0, 1}
    assert 0 not in given
