"""Locks of code in the daemon's own process, as Deferreds."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from flom.acquisition import Held
from flom.errors import (
    CannotWait,
    Closed,
    DaemonLost,
    InvalidName,
    InvalidRequest,
    LockBusy,
    LockContested,
    LockImpossible,
    LockRevoked,
    Misuse,
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

    def use(held: Held, who: str) -> None:
        order.append(who)
        if len(order) < 5:
            arbiter.acquire("R1").addCallback(use, who)
        held.release()

    for who in ("a", "b"):
        arbiter.acquire("R1").addCallback(use, who)
    assert order == ["a", "a", "a", "a", "a", "b"]


def test_a_closed_arbiter_grants_nothing_more(arbiter: DeferredArbiter, clock: Clock) -> None:
    held, waiting = now(arbiter.acquire("R1")), arbiter.acquire("R1")
    arbiter.close()
    assert isinstance(error(waiting), Closed)
    assert isinstance(error(arbiter.acquire("R2")), Closed)
    assert not held.is_released
    now(held.release())
    assert clock.getDelayedCalls() == []


def test_a_lock_is_lost_if_another_daemon_has_led_meanwhile(arbiter: DeferredArbiter) -> None:
    held = now(arbiter.acquire("R1"))
    arbiter.retire()
    arbiter.resume()
    assert held.is_lost
    assert isinstance(now(held.lost), DaemonLost)
    assert now(arbiter.acquire("R1"))
    assert isinstance(error(held.release()), DaemonLost)


def test_a_contested_lock_is_held_until_it_is_released(arbiter: DeferredArbiter) -> None:
    held, waiting = now(arbiter.acquire("R1")), arbiter.acquire("R1")
    arbiter.contest(lock.request.session for lock in arbiter.view().resources[0].holders)
    assert held.is_lost
    assert isinstance(now(held.lost), LockContested)
    assert not waiting.called
    assert isinstance(error(held.release()), LockContested)
    now(waiting)


def test_what_is_released_twice_is_not_taken_from_the_next_holder(arbiter: DeferredArbiter) -> None:
    held, waiting = now(arbiter.acquire("R1")), arbiter.acquire("R1")
    now(held.release())
    assert isinstance(error(held.release()), Misuse)
    assert held.is_released
    assert not now(waiting).is_released


def test_a_timeout_ends_the_wait(arbiter: DeferredArbiter, clock: Clock) -> None:
    held, waiting = now(arbiter.acquire("R1")), arbiter.acquire("R1", timeout=5)
    clock.advance(4.9)
    assert not waiting.called
    clock.advance(0.1)
    assert str(error(waiting)) == "R1 at this process: not granted within 5 s"
    now(held.release())
    assert now(arbiter.acquire("R1", wait=False))


def test_no_time_to_wait_is_not_to_wait(arbiter: DeferredArbiter) -> None:
    now(arbiter.acquire("R1"))
    assert isinstance(error(arbiter.acquire("R1", timeout=0)), LockBusy)


@pytest.mark.parametrize(
    "nonsense",
    [
        *({"timeout": timeout} for timeout in (-1, float("nan"), "5", b"", 10**400)),
        *({"wait": wait} for wait in ("no", None)),
        *({"lifespan": lifespan} for lifespan in (-1, float("nan"), float("inf"), "5", None)),
        *({"quantity": quantity} for quantity in (-1, 2**31, 1.5, "1", None)),
        *({"mode": mode} for mode in ("", "EXX", "exclusive", 6, -1, None, 2.5)),
    ],
    ids=str,
)
def test_nonsense_is_refused_at_once(arbiter: DeferredArbiter, nonsense: dict[str, Any]) -> None:
    refusal = error(arbiter.acquire("R1", **nonsense))
    assert isinstance(refusal, InvalidRequest)
    assert str(refusal).startswith("R1: ")
    assert arbiter.is_idle


@pytest.mark.parametrize("name", ["", "no name", "1a", None, 5, b"R1", "R1\n"])
def test_a_name_that_is_none_is_refused_at_once(arbiter: DeferredArbiter, name: Any) -> None:
    assert isinstance(error(arbiter.acquire(name)), InvalidName)


def test_a_lock_is_released_at_the_end_of_its_block(arbiter: DeferredArbiter) -> None:
    async def block(raises: bool) -> str | None:
        async with arbiter.acquire("_S_a[1]") as held:
            if raises:
                raise KeyError("x")
        return held.element

    assert isinstance(error(Deferred.fromCoroutine(block(raises=True))), KeyError)
    assert [now(Deferred.fromCoroutine(block(raises=False))) for _ in range(2)] == ["1", "2"]  # 1 was rolled back


def test_a_block_may_release_its_lock_itself(arbiter: DeferredArbiter) -> None:
    async def block() -> None:
        async with arbiter.acquire("R1") as held:
            await held.release()
            await (await arbiter.acquire("R1", wait=False)).release()

    now(Deferred.fromCoroutine(block()))


def test_an_acquisition_is_for_one_block(arbiter: DeferredArbiter) -> None:
    async def block() -> None:
        acquisition = arbiter.acquire("R1")
        async with acquisition, acquisition:
            pass

    assert isinstance(error(Deferred.fromCoroutine(block())), Misuse)
    assert now(arbiter.acquire("R1", wait=False))


@pytest.mark.parametrize("at", ["waiting", "inside"])
def test_a_block_that_is_cancelled_leaves_no_lock_behind(arbiter: DeferredArbiter, at: str) -> None:
    async def block() -> None:
        async with arbiter.acquire("R1"):
            await never

    never: Deferred[None] = Deferred()
    held = now(arbiter.acquire("R1"))
    running = Deferred.fromCoroutine(block())
    if at == "inside":
        now(held.release())
    running.cancel()
    assert isinstance(error(running), CancelledError)
    if at == "waiting":
        now(held.release())
    assert now(arbiter.acquire("R1", wait=False))


def test_holders_in_this_process_may_finish_too(arbiter: DeferredArbiter) -> None:
    held, waiting = now(arbiter.acquire("R1")), arbiter.acquire("R1")
    arbiter.retire()
    assert isinstance(error(waiting), StandingBy)
    assert not arbiter.is_deserted
    held.release()
    assert arbiter.is_deserted


def test_a_dismissed_waiter_may_ask_again_at_once(arbiter: DeferredArbiter) -> None:
    Session(arbiter).ask("R1")
    again: list[Deferred[Held]] = []

    def ask_again(failure: Failure) -> None:
        again.append(arbiter.acquire("R1"))

    for _ in range(3):
        arbiter.acquire("R1").addErrback(ask_again)
    arbiter.retire()
    assert [type(error(deferred)) for deferred in again] == [StandingBy] * 3


def test_what_is_abandoned_is_lost_and_may_be_granted_again(arbiter: DeferredArbiter) -> None:
    held, waiting = now(arbiter.acquire("R1")), arbiter.acquire("R1")
    session = Session(arbiter)
    session.ask("R2")
    arbiter.abandon()
    assert isinstance(error(waiting), StandingBy)
    assert "listening at the address of this one" in str(now(held.lost))
    assert isinstance(error(held.release()), DaemonLost)
    assert arbiter.is_deserted
    arbiter.resume()
    assert now(arbiter.acquire("R1", wait=False))
    assert now(arbiter.acquire("R2", wait=False))


def test_a_lock_of_this_process_can_be_ended_by_an_administrator(arbiter: DeferredArbiter) -> None:
    held, waiting = now(arbiter.acquire("R1")), arbiter.acquire("R1")
    [lock] = arbiter.view().resources[0].holders
    assert arbiter.revoke(lock.number, lock.request.name, "root") == ""
    assert held.is_lost
    loss = now(held.lost)
    assert isinstance(loss, LockRevoked)
    assert str(loss) == "R1 at this process: an administrator has released it (root)"
    now(waiting)
    assert isinstance(error(held.release()), LockRevoked)
