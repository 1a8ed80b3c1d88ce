"""The arbiter as other programs embed it: Deferreds, timers, and callbacks that call back in."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from flom.acquisition import Held
from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.requests import Effect, Granted, LockRequest, Queued, Refused
from flom.errors import (
    CannotWait,
    Closed,
    DaemonLost,
    InvalidName,
    InvalidRequest,
    LockBusy,
    LockImpossible,
    Misuse,
    StandingBy,
)
from flom.server.arbiter import DeferredArbiter


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def arbiter(clock: Clock) -> DeferredArbiter:
    return DeferredArbiter(clock)


T = TypeVar("T")


def now(deferred: Deferred[T]) -> T:
    """Give the result that C{deferred} has."""
    results: list[T] = []
    deferred.addCallback(results.append)
    assert results, "nothing yet, or an error"
    return results[0]


def error(deferred: Deferred[Any]) -> BaseException:
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

    def use(held: Held, who: str) -> None:
        order.append(who)
        if len(order) < 5:
            arbiter.acquire("R1").addCallback(use, who)
        held.release()

    for who in ("a", "b"):
        arbiter.acquire("R1").addCallback(use, who)
    assert order == ["a", "a", "a", "a", "a", "b"]


def test_effects_of_one_session_are_told_in_order_even_if_a_callback_interferes(arbiter: DeferredArbiter) -> None:
    told: list[Effect | None] = []
    waits = arbiter.open(told.append)
    arbiter.request(LockRequest(waits, parse_name("R1"), create=False))

    def release_at_once(effect: Effect | None) -> None:
        if isinstance(effect, Granted):
            arbiter.release(creator, parse_name("R1"))

    creator = arbiter.open(release_at_once)
    told.clear()
    arbiter.request(LockRequest(creator, parse_name("R1")))
    assert [type(effect) for effect in told] == [Queued, Granted]


def test_a_session_may_be_dropped_while_it_is_told_of_its_grant(arbiter: DeferredArbiter) -> None:
    told: list[Effect | None] = []

    def leave(effect: Effect | None) -> None:
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


def test_a_closed_arbiter_grants_nothing_more(arbiter: DeferredArbiter, clock: Clock) -> None:
    held, waiting = now(arbiter.acquire("R1")), arbiter.acquire("R1")
    arbiter.close()
    assert isinstance(error(waiting), Closed)
    assert isinstance(error(arbiter.acquire("R2")), Closed)
    assert not held.is_released
    now(held.release())
    assert clock.getDelayedCalls() == []


def test_one_that_is_opened_again_does(arbiter: DeferredArbiter) -> None:
    held, waiting = now(arbiter.acquire("R1")), arbiter.acquire("R1")
    arbiter.close()
    assert isinstance(error(waiting), Closed)
    arbiter.reopen()
    next_one = arbiter.acquire("R1")
    assert not next_one.called
    now(held.release())
    assert now(next_one)


def test_who_holds_a_lock_when_another_daemon_has_led_meanwhile_has_lost_it(arbiter: DeferredArbiter) -> None:
    held = now(arbiter.acquire("R1"))
    arbiter.retire()
    arbiter.resume()
    assert held.is_lost
    assert isinstance(now(held.lost), DaemonLost)
    assert now(arbiter.acquire("R1"))
    assert isinstance(error(held.release()), DaemonLost)


def test_a_closed_arbiter_grants_nothing_to_connections_either(arbiter: DeferredArbiter) -> None:
    arbiter.close()
    assert Session(arbiter).ask("R1").heard() == [Refused]


def test_what_is_released_twice_is_not_taken_from_the_next_holder(arbiter: DeferredArbiter) -> None:
    held, waiting = now(arbiter.acquire("R1")), arbiter.acquire("R1")
    now(held.release())
    assert isinstance(error(held.release()), Misuse)
    assert held.is_released
    assert not now(waiting).is_released


def test_time_runs_out_for_who_waits(arbiter: DeferredArbiter, clock: Clock) -> None:
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


def test_a_lock_is_given_back_at_the_end_of_its_block(arbiter: DeferredArbiter) -> None:
    async def block(raises: bool) -> str | None:
        async with arbiter.acquire("_S_a[1]") as held:
            if raises:
                raise KeyError("x")
        return held.element

    assert isinstance(error(Deferred.fromCoroutine(block(raises=True))), KeyError)
    assert [now(Deferred.fromCoroutine(block(raises=False))) for _ in range(2)] == ["1", "2"]  # 1 was rolled back


def test_a_block_may_give_its_lock_back_itself(arbiter: DeferredArbiter) -> None:
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


def test_two_arbiters_have_nothing_in_common(clock: Clock) -> None:
    here, there = DeferredArbiter(clock), DeferredArbiter(clock)
    assert now(here.acquire("R1"))
    assert now(there.acquire("R1"))
    here.close()
    assert now(there.acquire("R2"))


# another daemon grants the locks


class Session:
    """
    A client.

    @ivar told: what it was told; C{None} when it was dismissed.
    """

    def __init__(self, arbiter: DeferredArbiter) -> None:
        self.told: list[Effect | None] = []
        self._arbiter = arbiter
        self._id = arbiter.open(self.told.append)

    def ask(self, name: str, quantity: int = 1, *, regains: bool = False) -> Session:
        self._arbiter.request(LockRequest(self._id, parse_name(name), quantity=quantity, regains=regains))
        return self

    def release(self, name: str) -> None:
        self._arbiter.release(self._id, parse_name(name))

    def leave(self) -> None:
        """Lose the connection."""
        self._arbiter.drop(self._id)

    def heard(self) -> list[type]:
        return [type(effect) for effect in self.told]


NoneType = type(None)


def test_a_retired_arbiter_grants_nothing_and_says_why(arbiter: DeferredArbiter) -> None:
    arbiter.retire()
    assert arbiter.is_retired
    assert isinstance(error(arbiter.acquire("R1")), StandingBy)
    assert isinstance(error(arbiter.acquire("no name")), InvalidName)
    assert arbiter.is_deserted


def test_one_that_resumes_does(arbiter: DeferredArbiter) -> None:
    arbiter.retire()
    arbiter.resume()
    assert not arbiter.is_retired
    assert now(arbiter.acquire("R1"))


def test_who_waits_is_dismissed_and_who_holds_may_finish(arbiter: DeferredArbiter) -> None:
    holder, waiter, newcomer = Session(arbiter).ask("R1"), Session(arbiter).ask("R1"), Session(arbiter)
    arbiter.retire()
    assert holder.heard() == [Granted]
    assert waiter.heard() == [Queued, NoneType]
    assert newcomer.heard() == [NoneType]
    assert not arbiter.is_deserted
    holder.release("R1")
    assert holder.heard() == [Granted, NoneType]
    assert arbiter.is_deserted


def test_code_in_this_process_may_finish_too(arbiter: DeferredArbiter) -> None:
    held, waiting = now(arbiter.acquire("R1")), arbiter.acquire("R1")
    arbiter.retire()
    assert isinstance(error(waiting), StandingBy)
    assert not arbiter.is_deserted
    held.release()
    assert arbiter.is_deserted


def test_a_dismissed_session_is_told_nothing_more(arbiter: DeferredArbiter) -> None:
    holder, waiter = Session(arbiter).ask("R1"), Session(arbiter).ask("R1")
    arbiter.retire()
    holder.leave()
    waiter.leave()
    assert waiter.heard() == [Queued, NoneType]


def test_a_holder_that_asks_for_more_is_refused(arbiter: DeferredArbiter) -> None:
    holder = Session(arbiter).ask("N[3]")
    arbiter.retire()
    holder.ask("N[3]")
    assert holder.heard() == [Granted, Refused]
    assert isinstance(holder.told[-1], Refused)
    assert holder.told[-1].outcome is Outcome.BUSY
    assert not arbiter.is_deserted


def test_a_holder_that_waits_for_more_does_not_get_it(arbiter: DeferredArbiter) -> None:
    greedy, other = Session(arbiter).ask("N[3]"), Session(arbiter).ask("N[3]", 2)
    greedy.ask("N[3]", 2)
    arbiter.retire()
    other.release("N[3]")
    assert greedy.heard().count(Granted) == 1


def test_a_holder_that_waits_for_more_is_told_that_it_waits_in_vain(arbiter: DeferredArbiter) -> None:
    greedy = Session(arbiter).ask("R1").ask("R1")
    arbiter.retire()
    assert greedy.heard() == [Granted, Queued, Refused]


def test_a_timestamp_that_is_due_later_is_not_granted_then(arbiter: DeferredArbiter, clock: Clock) -> None:
    clock.advance(1000.25)
    Session(arbiter).ask("_t_%s[2]")
    waiter = Session(arbiter).ask("_t_%s[2]")
    arbiter.retire()
    clock.advance(10.0)
    assert waiter.heard() == [Queued, NoneType]


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


def test_its_user_is_told_when_the_last_holder_has_gone(arbiter: DeferredArbiter) -> None:
    holder, other = Session(arbiter).ask("R1"), Session(arbiter).ask("R2")
    arbiter.retire()
    deserted: list[bool] = []
    arbiter.on_change = lambda: deserted.append(arbiter.is_deserted)
    holder.release("R1")
    other.leave()
    assert deserted == [False, True]


def test_who_is_dismissed_may_ask_again_at_once(arbiter: DeferredArbiter) -> None:
    Session(arbiter).ask("R1")
    again: list[Deferred[Held]] = []

    def ask_again(failure: Failure) -> None:
        again.append(arbiter.acquire("R1"))

    for _ in range(3):
        arbiter.acquire("R1").addErrback(ask_again)
    arbiter.retire()
    assert [type(error(deferred)) for deferred in again] == [StandingBy] * 3


# it takes the place of a daemon that has gone


@pytest.fixture
def successor(arbiter: DeferredArbiter) -> DeferredArbiter:
    """An arbiter that leaves some time to those who have held something before."""
    arbiter.retire()
    arbiter.resume(grace=0.5)
    return arbiter


def test_who_regains_is_served_first(successor: DeferredArbiter, clock: Clock) -> None:
    hasty, holder = Session(successor).ask("R1"), Session(successor)
    clock.advance(0.4)
    assert hasty.heard() == []
    holder.ask("R1", regains=True)
    assert holder.heard() == [Granted]
    clock.advance(0.1)
    assert hasty.heard() == [Queued]


def test_the_others_are_served_in_their_order_then(successor: DeferredArbiter, clock: Clock) -> None:
    sessions = [Session(successor).ask("R1") for _ in range(3)]
    clock.advance(0.5)
    assert [session.heard() for session in sessions] == [[Granted], [Queued], [Queued]]
    assert Session(successor).ask("R2").heard() == [Granted]


def test_who_has_given_up_by_then_gets_nothing(successor: DeferredArbiter, clock: Clock) -> None:
    gone, tired, patient = (Session(successor).ask("R1") for _ in range(3))
    gone.leave()
    tired.release("R1")
    clock.advance(0.5)
    assert [session.heard() for session in (gone, tired, patient)] == [[], [], [Granted]]


def test_if_it_has_to_yield_before_that_they_are_dismissed(successor: DeferredArbiter, clock: Clock) -> None:
    holder, waiter = Session(successor).ask("R1", regains=True), Session(successor).ask("R1")
    successor.retire()
    assert holder.heard() == [Granted]
    assert waiter.heard() == [NoneType]  # and not refused: the other leader may let it wait
    clock.advance(0.5)
    assert waiter.heard() == [NoneType]


def test_if_it_ends_before_that_nothing_is_left(successor: DeferredArbiter, clock: Clock) -> None:
    waiter = Session(successor).ask("R1")
    successor.close()
    assert waiter.heard() == []
    assert clock.getDelayedCalls() == []
