"""The arbiter as other programs embed it: sessions, timers, and callbacks that call back in."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from flom.codes import Outcome
from flom.core.effects import Contested, Delivered, Dismissed, Granted, Queued, Refused
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.requests import LockRequest
from flom.errors import (
    Closed,
    InvalidName,
    StandingBy,
)
from flom.server.arbiter import DeferredArbiter
from tests.fakes.results import error, now
from tests.fakes.sessions import Session


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def arbiter(clock: Clock) -> DeferredArbiter:
    return DeferredArbiter(clock)


def test_the_next_in_the_queue_gets_it_on_release(arbiter: DeferredArbiter) -> None:
    held = now(arbiter.acquire("R1"))
    waiting = arbiter.acquire("R1")
    assert not waiting.called
    held.release()
    assert waiting.called


def test_effects_of_one_session_come_in_order_if_a_callback_interferes(arbiter: DeferredArbiter) -> None:
    effects: list[Delivered] = []
    waits = arbiter.open(effects.append)
    arbiter.request(LockRequest(waits, parse_name("R1"), create=False))

    def release_at_once(effect: Delivered) -> None:
        if isinstance(effect, Granted):
            arbiter.release(creator, parse_name("R1"))

    creator = arbiter.open(release_at_once)
    effects.clear()
    arbiter.request(LockRequest(creator, parse_name("R1")))
    assert [type(effect) for effect in effects] == [Queued, Granted]


def test_a_session_may_be_dropped_during_the_delivery_of_its_grant(arbiter: DeferredArbiter) -> None:
    effects: list[Delivered] = []

    def leave(effect: Delivered) -> None:
        arbiter.drop(brief)

    brief, next_one = arbiter.open(leave), arbiter.open(effects.append)
    for session in (brief, next_one):
        arbiter.request(LockRequest(session, parse_name("R1"), LockMode.EX))
    assert isinstance(effects[-1], Granted)


def test_an_arbiter_that_drains_says_when_nothing_is_held(arbiter: DeferredArbiter, clock: Clock) -> None:
    """In a later turn of the reactor: the last holder is to be told before that its unlock was received."""
    drained: list[bool] = []
    first, second = now(arbiter.acquire("R1")), now(arbiter.acquire("R2"))
    waiting = arbiter.acquire("R1")
    arbiter.drain(lambda: drained.append(True))
    first.release()
    clock.advance(0)
    assert drained == []
    second.release()
    assert drained == []
    clock.advance(0)
    assert drained == [True]
    assert not waiting.called
    waiting.addErrback(lambda failure: None).cancel()


def test_an_arbiter_that_holds_nothing_is_drained_at_once(arbiter: DeferredArbiter, clock: Clock) -> None:
    drained: list[bool] = []
    for _ in range(2):
        arbiter.drain(lambda: drained.append(True))
    clock.advance(0)
    assert drained == [True]


def test_what_a_holder_waits_for_besides_is_refused_by_one_that_drains(arbiter: DeferredArbiter) -> None:
    """Two holders might wait for each other for ever."""
    one, two = Session(arbiter).ask("R1"), Session(arbiter).ask("R2")
    two.ask("R1")
    arbiter.drain(lambda: None)
    one.ask("R2")
    assert one.kinds() == [Granted, Refused]
    assert two.kinds() == [Granted, Queued, Refused]
    assert Session(arbiter).ask("R1").kinds() == [Queued]


def test_an_arbiter_that_is_opened_again_drains_no_more(arbiter: DeferredArbiter) -> None:
    arbiter.drain(lambda: None)
    arbiter.close()
    arbiter.reopen()
    assert now(arbiter.acquire("R1"))


def test_a_timestamp_is_granted_when_its_second_begins(arbiter: DeferredArbiter, clock: Clock) -> None:
    clock.advance(1000.25)
    now(arbiter.acquire("_t_%s[2]"))
    waiting = arbiter.acquire("_t_%s[2]")
    clock.advance(0.7)
    assert not waiting.called
    clock.advance(0.06)
    assert now(waiting).element == "1001"


def test_an_idle_resource_is_forgotten_in_time(arbiter: DeferredArbiter, clock: Clock) -> None:
    now(arbiter.acquire("_s_a[1]")).release()
    clock.advance(1.9)
    held = now(arbiter.acquire("_s_a[1]"))
    assert held.element == "2"
    held.release()
    clock.advance(2.0)
    assert now(arbiter.acquire("_s_a[1]")).element == "1"


def test_an_unused_arbiter_is_idle_and_has_no_timer(arbiter: DeferredArbiter, clock: Clock) -> None:
    assert arbiter.is_idle
    held = now(arbiter.acquire("R1"))
    assert not arbiter.is_idle
    held.release()
    clock.advance(2.0)
    assert arbiter.is_idle
    assert clock.getDelayedCalls() == []


def test_a_reopened_arbiter_grants_again(arbiter: DeferredArbiter) -> None:
    held, waiting = now(arbiter.acquire("R1")), arbiter.acquire("R1")
    arbiter.close()
    assert isinstance(error(waiting), Closed)
    arbiter.reopen()
    next_one = arbiter.acquire("R1")
    assert not next_one.called
    now(held.release())
    assert now(next_one)


def test_a_closed_arbiter_grants_nothing_to_connections_either(arbiter: DeferredArbiter) -> None:
    arbiter.close()
    assert Session(arbiter).ask("R1").kinds() == [Refused]


def test_two_arbiters_have_nothing_in_common(clock: Clock) -> None:
    here, there = DeferredArbiter(clock), DeferredArbiter(clock)
    assert now(here.acquire("R1"))
    assert now(there.acquire("R1"))
    here.close()
    assert now(there.acquire("R2"))


# another daemon grants the locks


def test_a_retired_arbiter_grants_nothing_and_says_why(arbiter: DeferredArbiter) -> None:
    arbiter.retire()
    assert arbiter.is_retired
    assert isinstance(error(arbiter.acquire("R1")), StandingBy)
    assert isinstance(error(arbiter.acquire("no name")), InvalidName)
    assert arbiter.is_deserted


def test_an_arbiter_that_resumes_grants_again(arbiter: DeferredArbiter) -> None:
    arbiter.retire()
    arbiter.resume()
    assert not arbiter.is_retired
    assert now(arbiter.acquire("R1"))


def test_waiters_are_dismissed_and_holders_may_finish(arbiter: DeferredArbiter) -> None:
    holder, waiter, newcomer = Session(arbiter).ask("R1"), Session(arbiter).ask("R1"), Session(arbiter)
    arbiter.retire()
    assert holder.kinds() == [Granted]
    assert waiter.kinds() == [Queued, Dismissed]
    assert newcomer.kinds() == [Dismissed]
    assert not arbiter.is_deserted
    holder.release("R1")
    assert holder.kinds() == [Granted, Dismissed]
    assert arbiter.is_deserted


def test_holders_are_told_that_their_lock_is_contested(arbiter: DeferredArbiter) -> None:
    holder, other = Session(arbiter).ask("R1"), Session(arbiter).ask("R2")
    gone = Session(arbiter)
    gone.leave()
    arbiter.contest([holder.id, gone.id])
    assert holder.kinds() == [Granted, Contested]
    assert other.kinds() == [Granted]


def test_nothing_is_delivered_to_a_dismissed_session(arbiter: DeferredArbiter) -> None:
    holder, waiter = Session(arbiter).ask("R1"), Session(arbiter).ask("R1")
    arbiter.retire()
    holder.leave()
    waiter.leave()
    assert waiter.kinds() == [Queued, Dismissed]


def test_a_holder_that_asks_for_more_is_refused(arbiter: DeferredArbiter) -> None:
    holder = Session(arbiter).ask("N[3]")
    arbiter.retire()
    holder.ask("N[3]")
    assert holder.kinds() == [Granted, Refused]
    assert isinstance(holder.effects[-1], Refused)
    assert holder.effects[-1].outcome is Outcome.BUSY
    assert not arbiter.is_deserted


def test_a_holder_that_waits_for_more_does_not_get_it(arbiter: DeferredArbiter) -> None:
    greedy, other = Session(arbiter).ask("N[3]"), Session(arbiter).ask("N[3]", 2)
    greedy.ask("N[3]", 2)
    arbiter.retire()
    other.release("N[3]")
    assert greedy.kinds().count(Granted) == 1


def test_what_else_a_holder_waits_for_is_refused(arbiter: DeferredArbiter) -> None:
    greedy = Session(arbiter).ask("R1").ask("R1")
    arbiter.retire()
    assert greedy.kinds() == [Granted, Queued, Refused]


def test_a_timestamp_that_is_due_later_is_not_granted_then(arbiter: DeferredArbiter, clock: Clock) -> None:
    clock.advance(1000.25)
    Session(arbiter).ask("_t_%s[2]")
    waiter = Session(arbiter).ask("_t_%s[2]")
    arbiter.retire()
    clock.advance(10.0)
    assert waiter.kinds() == [Queued, Dismissed]


def test_what_was_locked_before_is_not_locked_when_it_resumes(arbiter: DeferredArbiter) -> None:
    sequence, holder = Session(arbiter).ask("_s_a[1]"), Session(arbiter).ask("R1")
    sequence.release("_s_a[1]")
    arbiter.retire()
    holder.leave()
    sequence.leave()
    arbiter.resume()
    assert arbiter.is_idle
    assert now(arbiter.acquire("R1", wait=False))
    assert now(arbiter.acquire("_s_a[1]")).element == "1"


def test_the_departure_of_the_last_holder_is_a_change(arbiter: DeferredArbiter) -> None:
    holder, other = Session(arbiter).ask("R1"), Session(arbiter).ask("R2")
    arbiter.retire()
    deserted: list[bool] = []
    arbiter.on_change = lambda: deserted.append(arbiter.is_deserted)
    holder.release("R1")
    other.leave()
    assert deserted == [False, True]


def test_nothing_is_granted_or_released_while_it_is_frozen(arbiter: DeferredArbiter) -> None:
    """Afterwards, all that was asked for meanwhile is done in its order."""
    holder, waiter, leaving = Session(arbiter).ask("R1"), Session(arbiter).ask("R1"), Session(arbiter).ask("R2")
    freeze = arbiter.freeze()
    free, next_one = Session(arbiter).ask("R3"), Session(arbiter)
    assert not arbiter.release(holder.id, parse_name("R1"))
    arbiter.postpone(lambda: assert_released(arbiter, holder))
    leaving.leave()
    next_one.ask("R2")
    assert free.kinds() == next_one.kinds() == []
    assert waiter.kinds() == [Queued]
    assert freeze.gone == [leaving.id]
    arbiter.thaw()
    assert free.kinds() == next_one.kinds() == [Granted]
    assert waiter.kinds() == [Queued, Granted]
    assert arbiter.release(next_one.id, parse_name("R2"))


def assert_released(arbiter: DeferredArbiter, holder: Session) -> None:
    assert arbiter.release(holder.id, parse_name("R1"))


def test_all_are_dismissed_when_another_daemon_has_what_they_hold(arbiter: DeferredArbiter) -> None:
    holder, waiter = Session(arbiter).ask("R1"), Session(arbiter).ask("R1")
    arbiter.freeze()
    late = Session(arbiter).ask("R2")
    arbiter.hand_over()
    assert holder.kinds() == [Granted, Dismissed]
    assert waiter.kinds() == [Queued, Dismissed]
    assert late.kinds() == [Dismissed]
    assert arbiter.is_deserted
    arbiter.resume()
    assert Session(arbiter).ask("R1").kinds() == [Granted]
