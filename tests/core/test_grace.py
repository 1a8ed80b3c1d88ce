"""What waits for the end of a grace period, and what may be reclaimed when (L{flom.core.grace})."""

from __future__ import annotations

from typing import Any

import pytest

from flom.core.grace import FOUND, GRACE, LOOKING, MAX_GRACE, MOST_LOOKING, RECLAIM_TIME, Grace, Looking
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.requests import LockRequest, SessionId

R1 = parse_name("R1")


def request(session: int = 1, **wanted: Any) -> LockRequest:
    """A request for R1, as clients make one."""
    asked: dict[str, Any] = {"mode": LockMode.EX, "quantity": 1, "wait": True, "create": True, "lifespan": 0.0}
    return LockRequest(SessionId(session), R1, **asked | wanted)


def test_what_reclaims_nothing_is_kept_until_the_end_in_its_order() -> None:
    grace = Grace(GRACE, now=100.0)
    first, second, gone = request(1), request(2), request(3)
    assert [grace.defer(each, 100.0) for each in (first, second, gone)] == [True, True, True]
    assert not grace.defer(request(4, regains=True), 100.0)
    assert grace.withdraw(gone.session, R1)
    assert not grace.withdraw(gone.session, R1)
    assert [each.session for each in grace.end(100.5)] == [first.session, second.session]
    assert grace.is_over
    assert not grace.defer(request(5), 101.0)


def test_without_a_grace_period_nothing_is_deferred() -> None:
    grace = Grace(0.0, now=100.0)
    assert grace.is_over
    assert not grace.defer(request(), 100.0)
    assert grace.may_reclaim(R1, 100.0)


@pytest.mark.parametrize(
    ("questions", "end"),
    [
        ([], GRACE),
        ([(0, 0.2)], 0.2 + GRACE),
        ([(7, 0.2)], 0.2 + LOOKING),
        ([(7, 0.2), (7, 0.4)], 0.4 + LOOKING),
        ([(7, 3.0), (8, 6.0)], MAX_GRACE),
    ],
    ids=repr,
)
def test_it_ends_later_if_former_holders_look_for_the_daemon(questions: list[tuple[int, float]], end: float) -> None:
    grace = Grace(GRACE, now=100.0)
    for holder, when in questions:
        grace.prolong(holder, 100.0 + when)
    assert grace.ends_at == pytest.approx(100.0 + end)


def test_it_can_last_for_those_that_do_not_look_yet() -> None:
    grace = Grace(GRACE, now=100.0, least=1.4)
    assert grace.ends_at == pytest.approx(101.4)
    grace.prolong(0, 101.3)
    assert grace.ends_at == pytest.approx(101.3 + GRACE)


def test_one_that_has_come_is_waited_for_no_more() -> None:
    grace = Grace(GRACE, now=100.0)
    grace.prolong(7, 100.1)
    assert grace.still_looking(100.2) == 1
    grace.note_arrival(7)
    assert grace.still_looking(100.2) == 0
    assert grace.ends_at == pytest.approx(100.1 + GRACE)


def test_what_was_granted_to_another_session_cannot_be_reclaimed() -> None:
    grace = Grace(GRACE, now=100.0)
    grace.note_granted(request(regains=True), 100.1)
    assert grace.may_reclaim(R1, 100.2)
    grace.note_granted(request(), 101.0)
    assert not grace.may_reclaim(R1, 101.1)
    assert grace.may_reclaim(parse_name("R2"), 101.1)
    assert not grace.may_reclaim(parse_name("R2"), 100.0 + RECLAIM_TIME)


def test_who_asks_no_more_while_another_daemon_leads_has_found_it() -> None:
    """So the grace period after that one's end does not wait for it."""
    looking = Looking()
    looking.note_question(7, 0.0)
    looking.note_question(8, FOUND / 2)
    looking.note_leader(FOUND)
    assert len(looking) == 1
    looking.note_leader(LOOKING)
    assert len(looking) == 0


def test_a_leader_that_goes_a_moment_later_was_found_too() -> None:
    """It may not announce itself again after the time for which a holder has to be silent."""
    looking = Looking()
    looking.note_question(7, 0.0)
    looking.note_leader(0.1)
    looking.note_question(8, 0.2)  # the leader has gone
    looking.forget_silent(FOUND)
    assert len(looking) == 1
    looking.forget_silent(0.2 + LOOKING - 0.1)
    assert len(looking) == 1
    looking.forget_silent(0.2 + LOOKING)
    assert len(looking) == 0


def test_not_all_numbers_of_a_flood_are_kept() -> None:
    looking = Looking()
    for number in range(1, MOST_LOOKING + 10):
        looking.note_question(number, 0.0)
    assert len(looking) == MOST_LOOKING
    looking.forget_silent(LOOKING)
    assert len(looking) == 0


def test_a_resource_of_which_a_lock_was_ended_is_not_reclaimed() -> None:
    grace = Grace(0.0, 100.0)
    names = [parse_name(name) for name in ("/a/b", "/a/c", "R")]
    assert [grace.may_reclaim(name, 101.0) for name in names] == [True, True, True]
    grace.end_reclaims(names[0])
    assert [grace.may_reclaim(name, 101.0) for name in names] == [False, False, True]
