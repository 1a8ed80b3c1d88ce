"""A tenure: from when a leader grants, and until when it answers. The lease has 3 s, a session has 5 s."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flom.core.quorum.tenure import Tenure
from flom.core.quorum.times import DEFAULT


def tenure(*, won_at: float = 100.0, sent_at: float = 99.9, has_no_holders: bool = False) -> Tenure:
    return Tenure(DEFAULT, won_at=won_at, sent_at=sent_at, ttl=3.0, has_no_holders=has_no_holders)


def play(tenure: Tenure, script: str) -> None:
    """
    Check a script against C{tenure}: lines of a time, what is done then, and what it may do after that.

    It does C{grant}, or C{answer} but not grant, or C{nothing}.
    """
    for line in script.strip().splitlines():
        when, done, expected = (part.strip() for part in line.split("|"))
        match done.split():
            case ["kept", "sent", sent, "ttl", ttl]:
                tenure.kept(float(sent), float(ttl))
            case ["resign"]:
                tenure.resign()
            case []:
                pass
            case _:
                raise AssertionError(done)
        now = float(when)
        does = "grant" if tenure.may_grant(now) else "answer" if tenure.may_answer(now) else "nothing"
        assert does == expected, line


def test_a_leader_that_loses_etcd_stops_before_its_lease_ends() -> None:
    play(
        tenure(has_no_holders=True),
        """
        100.0 |                      | grant
        100.6 | kept sent 100.5 ttl 3 | grant
        102.8 |                      | grant
        102.9 |                      | nothing
        """,
    )


def test_a_leader_grants_when_all_sessions_before_it_have_ended() -> None:
    play(
        tenure(),
        """
        100.0 |                       | answer
        102.0 | kept sent 101.9 ttl 3 | answer
        104.0 | kept sent 103.9 ttl 3 | answer
        105.9 | kept sent 105.8 ttl 3 | answer
        106.0 |                       | grant
        """,
    )


def test_an_answer_that_comes_late_is_counted_from_when_it_was_asked_for() -> None:
    play(
        tenure(has_no_holders=True),
        """
        102.2 | kept sent 100.0 ttl 3 | grant
        102.4 |                       | nothing
        """,
    )


def test_a_lease_that_was_renewed_all_the_same_goes_on() -> None:
    """When etcd's leader changes, leases are renewed, and the answer comes late."""
    play(
        tenure(has_no_holders=True),
        """
        102.4 |                       | nothing
        105.0 | kept sent 103.0 ttl 3 | grant
        105.4 |                       | nothing
        """,
    )


def test_answers_may_come_in_any_order() -> None:
    play(
        tenure(has_no_holders=True),
        """
        101.1 | kept sent 101.0 ttl 3 | grant
        101.2 | kept sent 100.5 ttl 3 | grant
        103.3 |                       | grant
        103.4 |                       | nothing
        """,
    )


def test_the_time_that_etcd_answers_counts() -> None:
    play(
        tenure(has_no_holders=True),
        """
        100.1 | kept sent 100.0 ttl 10 | grant
        107.9 |                        | grant
        108.0 |                        | nothing
        """,
    )


def test_a_leader_that_was_stopped_does_nothing_more() -> None:
    play(tenure(has_no_holders=True), "160.0 | | nothing")


def test_who_resigns_does_nothing_more_whatever_etcd_answers() -> None:
    play(
        tenure(has_no_holders=True),
        """
        100.5 | resign                | nothing
        100.6 | kept sent 100.4 ttl 3 | nothing
        """,
    )


def test_a_lease_runs_from_when_the_candidate_has_asked_for_it() -> None:
    """A candidate that learns late that it has won may lead no more."""
    play(tenure(won_at=103.0, sent_at=100.0, has_no_holders=True), "103.0 | | nothing")


@pytest.mark.parametrize(("has_no_holders", "knows_at"), [(False, 106.0), (True, 100.0)])
def test_who_may_leave_word_of_what_is_held(has_no_holders: bool, knows_at: float) -> None:
    """In the wait, holders of the leader before may still run that have not reclaimed."""
    led = tenure(has_no_holders=has_no_holders)
    assert not led.knows_holders(knows_at - 0.1)
    assert led.knows_holders(knows_at)


@given(
    st.floats(0.9, 1.1),
    st.floats(0.9, 1.1),
    st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 3.0), st.floats(0.0, 3.0))),
)
def test_no_leader_answers_after_etcd_has_ended_its_lease(
    rate: float, etcd_rate: float, keepalives: list[tuple[float, float, float]]
) -> None:
    """
    @param rate: seconds that the clock of the leader counts in a true one; C{etcd_rate} likewise.
    @param keepalives: of each the true seconds until it is sent, received by etcd, and answered.
    """
    led = Tenure(DEFAULT, won_at=0.0, sent_at=0.0, ttl=3.0, has_no_holders=True)
    now = 0.0
    lease_ends = 3.0 / etcd_rate
    for pause, there, back in keepalives:
        sent = now + pause
        received = sent + there
        now = received + back
        if received < lease_ends:
            lease_ends = received + 3.0 / etcd_rate
            led.kept(sent * rate, 3.0)
        assert not led.may_answer(lease_ends * rate)
