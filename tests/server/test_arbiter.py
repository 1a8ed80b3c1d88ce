"""The arbiter as other programs embed it: Deferreds, timers, and callbacks that call back in."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.requests import Effect, Granted, LockRequest, Queued
from flom.errors import CannotWait, InvalidName, LockBusy, LockImpossible
from flom.interfaces import IHeld
from flom.server.arbiter import DeferredArbiter


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def arbiter(clock: Clock) -> DeferredArbiter:
    return DeferredArbiter(clock)


def now(deferred: Deferred[IHeld]) -> IHeld:
    """Give the result that C{deferred} has."""
    results: list[IHeld] = []
    deferred.addCallback(results.append)
    assert results, "nothing yet, or an error"
    return results[0]


def error(deferred: Deferred[IHeld]) -> BaseException:
    """Give the error that C{deferred} has."""
    errors: list[BaseException | None] = []

    def take(failure: Failure) -> None:
        errors.append(failure.value)

    deferred.addErrback(take)
    assert errors[0] is not None
    return errors[0]


def test_the_next_in_the_queue_gets_it_on_release(arbiter: DeferredArbiter) -> None:
    held = now(arbiter.acquire("R1"))
    waiting = arbiter.acquire("R1")
    assert not waiting.called
    held.release()
    assert waiting.called


def test_cancelling_leaves_the_queue(arbiter: DeferredArbiter) -> None:
    held = now(arbiter.acquire("R1"))
    tired, patient = arbiter.acquire("R1"), arbiter.acquire("R1")
    tired.cancel()
    assert isinstance(error(tired), CancelledError)
    held.release()
    assert patient.called


def test_refusals_are_exceptions(arbiter: DeferredArbiter) -> None:
    now(arbiter.acquire("R1"))
    assert isinstance(error(arbiter.acquire("R1", wait=False)), LockBusy)
    assert isinstance(error(arbiter.acquire("N[3]", quantity=4)), LockImpossible)
    assert isinstance(error(arbiter.acquire("R2", wait=False, create=False)), CannotWait)
    assert isinstance(error(arbiter.acquire("no name")), InvalidName)
    assert isinstance(error(arbiter.acquire("N[3]", quantity=-1)), ValueError)


def test_the_element_of_a_set_comes_with_the_lock(arbiter: DeferredArbiter) -> None:
    assert [now(arbiter.acquire("red.green")).element for _ in range(2)] == ["red", "green"]


def test_a_callback_may_release_and_acquire_again(arbiter: DeferredArbiter) -> None:
    order: list[str] = []

    def use(held: IHeld, who: str) -> None:
        order.append(who)
        if len(order) < 5:
            arbiter.acquire("R1").addCallback(use, who)
        held.release()

    for who in ("a", "b"):
        arbiter.acquire("R1").addCallback(use, who)
    assert order == ["a", "a", "a", "a", "a", "b"]


def test_effects_of_one_session_are_told_in_order_even_if_a_callback_interferes(arbiter: DeferredArbiter) -> None:
    told: list[Effect] = []
    waits = arbiter.open(told.append)
    arbiter.request(LockRequest(waits, parse_name("R1"), create=False))

    def release_at_once(effect: Effect) -> None:
        if isinstance(effect, Granted):
            arbiter.release(creator, parse_name("R1"))

    creator = arbiter.open(release_at_once)
    told.clear()
    arbiter.request(LockRequest(creator, parse_name("R1")))
    assert [type(effect) for effect in told] == [Queued, Granted]


def test_a_session_may_be_dropped_while_it_is_told_of_its_grant(arbiter: DeferredArbiter) -> None:
    told: list[Effect] = []

    def leave(effect: Effect) -> None:
        arbiter.drop(brief)

    brief, next_one = arbiter.open(leave), arbiter.open(told.append)
    for session in (brief, next_one):
        arbiter.request(LockRequest(session, parse_name("R1"), LockMode.EX))
    assert isinstance(told[-1], Granted)


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


def test_an_arbiter_that_nobody_uses_is_idle_and_has_no_timer(arbiter: DeferredArbiter, clock: Clock) -> None:
    assert arbiter.is_idle
    held = now(arbiter.acquire("R1"))
    assert not arbiter.is_idle
    held.release()
    clock.advance(2.0)
    assert arbiter.is_idle
    assert clock.getDelayedCalls() == []


def test_a_closed_arbiter_grants_nothing_more(arbiter: DeferredArbiter) -> None:
    held, waiting = now(arbiter.acquire("R1")), arbiter.acquire("R1")
    arbiter.close()
    held.release()
    assert not waiting.called
