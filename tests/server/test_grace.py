"""An arbiter in the place of a daemon that has gone: former holders reclaim their locks first."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent

from flom.core.effects import Dismissed, Granted, Queued, Refused
from flom.core.grace import GRACE, LOOKING, MAX_GRACE, NO_WAIT, REJOIN_BATCH, REJOIN_TIME, Looking
from flom.server.arbiter import DeferredArbiter
from tests.fakes.logs import warnings
from tests.fakes.sessions import Session


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def arbiter(clock: Clock) -> DeferredArbiter:
    return DeferredArbiter(clock)


@pytest.fixture
def successor(arbiter: DeferredArbiter) -> DeferredArbiter:
    """An arbiter in its grace period."""
    arbiter.retire()
    arbiter.resume(grace=0.5)
    return arbiter


def test_a_former_holder_is_served_first(successor: DeferredArbiter, clock: Clock) -> None:
    hasty, holder = Session(successor).ask("R1"), Session(successor)
    clock.advance(0.4)
    assert hasty.kinds() == []
    holder.ask("R1", regains=True)
    assert holder.kinds() == [Granted]
    clock.advance(0.1)
    assert hasty.kinds() == [Queued]


def test_one_that_drains_waits_for_former_holders(successor: DeferredArbiter, clock: Clock) -> None:
    drained: list[bool] = []
    successor.drain(lambda: drained.append(True))
    clock.advance(0.4)
    holder = Session(successor).ask("R1", regains=True)
    assert holder.kinds() == [Granted]
    clock.advance(1.0)
    assert drained == []
    holder.leave()
    clock.advance(0)
    assert drained == [True]


def test_one_that_drains_and_has_no_former_holder_ends_with_the_grace(successor: DeferredArbiter, clock: Clock) -> None:
    drained: list[bool] = []
    successor.drain(lambda: drained.append(True))
    clock.pump([0.4, 0.2, 0])
    assert drained == [True]


def test_deferred_requests_are_served_in_their_order(successor: DeferredArbiter, clock: Clock) -> None:
    sessions = [Session(successor).ask("R1") for _ in range(3)]
    clock.advance(0.5)
    assert [session.kinds() for session in sessions] == [[Granted], [Queued], [Queued]]
    assert Session(successor).ask("R2").kinds() == [Granted]


def test_a_withdrawn_request_is_not_served_after_the_grace_period(successor: DeferredArbiter, clock: Clock) -> None:
    gone, tired, patient = (Session(successor).ask("R1") for _ in range(3))
    gone.leave()
    tired.release("R1")
    clock.advance(0.5)
    assert [session.kinds() for session in (gone, tired, patient)] == [[], [], [Granted]]


def test_requests_deferred_until_it_yields_are_dismissed(successor: DeferredArbiter, clock: Clock) -> None:
    holder, waiter = Session(successor).ask("R1", regains=True), Session(successor).ask("R1")
    successor.retire()
    assert holder.kinds() == [Granted]
    assert waiter.kinds() == [Dismissed]  # and not refused: the other leader may let it wait
    clock.advance(0.5)
    assert waiter.kinds() == [Dismissed]


def test_nothing_deferred_is_left_after_an_early_end(successor: DeferredArbiter, clock: Clock) -> None:
    waiter = Session(successor).ask("R1")
    successor.close()
    assert waiter.kinds() == []
    assert clock.getDelayedCalls() == []


def look(arbiter: DeferredArbiter, clock: Clock, seconds: float, *holders: int) -> None:
    """Send the questions of C{holders}, as often as they ask, for some seconds."""
    for _ in range(round(seconds / 0.1)):
        for holder in holders:
            arbiter.prolong_grace(holder)
        clock.advance(0.1)


def test_holders_that_are_known_to_look_are_waited_for(successor: DeferredArbiter, clock: Clock) -> None:
    """Former holders whose machine is slow get their locks, even if one takes seconds from its question to its lock."""
    hasty = Session(successor).ask("R1")
    look(successor, clock, 4.0, *range(1, 41))
    for holder in range(1, 40):
        assert Session(successor).ask(f"H{holder}", regains=True, holder=holder).kinds() == [Granted]
        clock.advance(0.05)
    assert hasty.kinds() == []
    slow = Session(successor).ask("R1", regains=True, holder=40)
    assert slow.kinds() == [Granted]
    clock.advance(0.0)
    assert hasty.kinds() == [Queued], "the last one has come, and the grace period is over"


def test_a_holder_that_came_is_not_waited_for_again(successor: DeferredArbiter, clock: Clock) -> None:
    hasty = Session(successor).ask("R1")
    look(successor, clock, 0.3, 7)
    Session(successor).ask("R2", regains=True, holder=7)
    successor.prolong_grace(7)  # a datagram that was late
    clock.advance(GRACE)
    assert hasty.kinds() == [Granted]


def test_questions_of_a_holder_that_is_known_do_not_delay_others(arbiter: DeferredArbiter, clock: Clock) -> None:
    """The first new grant does not wait for the one who asks again after the takeover, once it has come."""
    looking = Looking()
    assert looking.note_question(7, clock.seconds())
    arbiter.retire()
    arbiter.resume(GRACE, looking)
    hasty = Session(arbiter).ask("R1")
    clock.advance(GRACE - 0.1)
    arbiter.prolong_grace(7)
    Session(arbiter).ask("R2", regains=True, holder=7)
    clock.advance(0.1)
    assert hasty.kinds() == [Granted]


def test_a_holder_that_was_not_known_delays_others(successor: DeferredArbiter, clock: Clock) -> None:
    """More holders may come behind one that begins to look only now: their machine is slow."""
    hasty = Session(successor).ask("R1")
    clock.advance(GRACE - 0.1)
    successor.prolong_grace(7)
    Session(successor).ask("R2", regains=True, holder=7)
    clock.advance(GRACE - 0.1)
    assert hasty.kinds() == []
    clock.advance(0.1)
    assert hasty.kinds() == [Granted]


def test_a_holder_that_is_refused_has_come_too(successor: DeferredArbiter, clock: Clock) -> None:
    Session(successor).ask("R1", regains=True)
    hasty = Session(successor).ask("R2")
    look(successor, clock, 0.3, 7)
    Session(successor).ask("R1", regains=True, holder=7)
    clock.advance(GRACE)
    assert hasty.kinds() == [Granted]


def test_a_holder_that_is_silent_is_given_up(successor: DeferredArbiter, clock: Clock) -> None:
    hasty = Session(successor).ask("R1")
    look(successor, clock, 0.2, 7)
    clock.advance(LOOKING - 0.2)
    assert hasty.kinds() == []
    clock.advance(0.2)
    assert hasty.kinds() == [Granted]


@pytest.mark.parametrize("holders", [(), (0,), (7,), (0, 7, 8)], ids=repr)
def test_a_grace_period_has_an_end_whatever_is_asked(
    successor: DeferredArbiter, clock: Clock, holders: tuple[int, ...]
) -> None:
    hasty = Session(successor).ask("R1")
    look(successor, clock, MAX_GRACE - 0.1, *holders)
    assert hasty.kinds() == ([] if holders else [Granted])
    look(successor, clock, 0.2, *holders)
    assert hasty.kinds() == [Granted]


def test_the_log_says_how_many_did_not_come(successor: DeferredArbiter, clock: Clock, log: list[LogEvent]) -> None:
    look(successor, clock, MAX_GRACE + 0.1, 7, 8)
    assert warnings(log) == ["2 holders of the former daemon have not come within 10 s: others are served now"]


def test_those_that_were_known_before_are_waited_for(arbiter: DeferredArbiter, clock: Clock) -> None:
    looking = Looking()
    looking.note_question(7, clock.seconds())
    arbiter.retire()
    arbiter.resume(GRACE, looking)
    hasty = Session(arbiter).ask("R1")
    clock.advance(2 * GRACE)
    assert hasty.kinds() == []
    Session(arbiter).ask("R1", regains=True, holder=7)
    clock.advance(0)
    assert hasty.kinds() == [Queued]


def order_of(arbiter: DeferredArbiter, clock: Clock, sessions: dict[str, Session]) -> list[str]:
    """Return in which order those who wait for R1 have it, one after another."""
    order: list[str] = []
    while len(order) < len(sessions):
        [holder] = [who for who, session in sessions.items() if who not in order and Granted in session.kinds()]
        order.append(holder)
        sessions[holder].leave()
    return order


def test_deferred_requests_are_served_oldest_first(successor: DeferredArbiter, clock: Clock) -> None:
    asked = {"new": Session(successor).ask("R1")}
    clock.advance(0.1)
    asked["late"] = Session(successor).ask("R1", waited=1.0)
    clock.advance(0.1)
    asked["first"] = Session(successor).ask("R1", waited=5.0)
    clock.advance(0.3)
    assert order_of(successor, clock, asked) == ["first", "late", "new"]


@pytest.mark.parametrize("name", ["R1", "R1[1]", "/R1", "_s_R1[1]"], ids=str)
def test_waiters_of_another_daemon_come_before_those_who_asked_later(arbiter: DeferredArbiter, name: str) -> None:
    clock = arbiter._clock
    assert isinstance(clock, Clock)
    clock.advance(10)
    holder = Session(arbiter).ask(name)
    asked = {who: Session(arbiter).ask(name, waited=waited) for who, waited in (("new", 0.0), ("b", 2.0), ("a", 3.0))}
    clock.advance(REJOIN_BATCH)
    holder.leave()
    assert order_of(arbiter, clock, asked) == ["a", "b", "new"]


def test_who_has_waited_through_a_grace_period_keeps_its_place(successor: DeferredArbiter, clock: Clock) -> None:
    holder = Session(successor).ask("R1", regains=True)
    asked = {"early": Session(successor).ask("R1", waited=1.0)}
    clock.advance(0.5)
    clock.advance(3)
    asked["late"] = Session(successor).ask("R1", waited=2.0)
    clock.advance(REJOIN_BATCH)
    holder.leave()
    assert order_of(successor, clock, asked) == ["early", "late"]


def test_a_daemon_that_has_long_been_there_believes_no_such_claim(arbiter: DeferredArbiter, clock: Clock) -> None:
    clock.advance(REJOIN_TIME)
    holder = Session(arbiter).ask("R1")
    asked = {who: Session(arbiter).ask("R1", waited=waited) for who, waited in (("honest", 0.0), ("pushy", 1000.0))}
    clock.advance(REJOIN_BATCH)
    holder.leave()
    assert order_of(arbiter, clock, asked) == ["honest", "pushy"]


def test_one_that_ends_puts_nothing_in_order(arbiter: DeferredArbiter, clock: Clock) -> None:
    Session(arbiter).ask("R1")
    Session(arbiter).ask("R1", waited=1.0)
    arbiter.close()
    assert clock.getDelayedCalls() == []


def test_who_is_not_to_wait_is_refused_before_a_long_grace_period_is_over(
    arbiter: DeferredArbiter, clock: Clock
) -> None:
    arbiter.begin_grace(10.0)
    hasty, patient = Session(arbiter).ask("R1", wait=False), Session(arbiter).ask("R1")
    clock.advance(NO_WAIT)
    assert hasty.kinds() == [Refused]
    clock.advance(10.0)
    assert [hasty.kinds(), patient.kinds()] == [[Refused], [Granted]]


def test_a_short_grace_period_is_waited_for_in_any_case(successor: DeferredArbiter, clock: Clock) -> None:
    hasty = Session(successor).ask("R1", wait=False)
    clock.advance(0.5)
    clock.advance(NO_WAIT)
    assert hasty.kinds() == [Granted]
