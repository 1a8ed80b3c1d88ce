"""Conversions: what an arbiter does with them at its beginning, its end, and in between."""

from __future__ import annotations

import os
from socket import gethostname

import pytest
from twisted.internet.task import Clock

from flom.codes import Outcome
from flom.core.effects import Converted, Converting, Dismissed, Granted, NotConverted, Queued, Refused
from flom.core.modes import EX, PR, LockMode
from flom.core.names import parse_name
from flom.core.protocol.messages import Wishes
from flom.core.requests import LockRequest
from flom.server.arbiter import DeferredArbiter
from tests.fakes.sessions import Session

GRACE = 2.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def arbiter(clock: Clock) -> DeferredArbiter:
    return DeferredArbiter(clock)


def two_readers(arbiter: DeferredArbiter) -> tuple[Session, Session]:
    """Return the holders of C{db}, of which the first waits to write."""
    first, second = (Session(arbiter).ask("db", mode=PR), Session(arbiter).ask("db", mode=PR))
    assert first.convert("db", EX, number=1)
    assert first.kinds() == [Granted, Converting]
    return first, second


def convert_again(client: Session) -> None:
    assert client.convert("db", PR)


def mode_of(arbiter: DeferredArbiter, client: Session, name: str = "db") -> LockMode:
    standing = arbiter.standing(client.id, parse_name(name))
    assert isinstance(standing, Granted)
    return standing.request.mode


def test_one_that_would_wait_for_ever_is_told_for_whom(arbiter: DeferredArbiter) -> None:
    _, second = two_readers(arbiter)
    second.convert("db", EX)
    assert isinstance(refused := second.effects[-1], NotConverted)
    who = f"pid {os.getpid()} on {gethostname()}"
    assert refused.why == (
        f"it would wait for ever: db (PR) is held by {who}, which waits for db (EX); "
        f"db (PR) is held by {who}, which is the client itself"
    )


# in a grace period


def test_in_a_grace_period_one_that_excludes_more_waits_for_its_end(arbiter: DeferredArbiter, clock: Clock) -> None:
    arbiter.resume(GRACE)
    former = Session(arbiter).ask("db", mode=PR, regains=True)
    late = Session(arbiter).ask("db", mode=PR)
    assert former.convert("db", EX, number=7)
    assert former.kinds() == [Granted, Converting]
    clock.advance(GRACE)
    assert former.kinds() == [Granted, Converting, Converted]
    assert isinstance(converted := former.effects[-1], Converted)
    assert (converted.request.mode, converted.number) == (EX, 7)
    assert late.kinds() == [Queued]  # conversions come before all requests


def test_then_it_waits_for_others_that_have_come_back(arbiter: DeferredArbiter, clock: Clock) -> None:
    arbiter.resume(GRACE)
    former, other = (Session(arbiter).ask("db", mode=PR, regains=True) for _ in range(2))
    former.convert("db", EX)
    other.convert("db", EX)
    clock.advance(GRACE)
    assert former.kinds() == [Granted, Converting, Converting]
    assert isinstance(refused := other.effects[-1], NotConverted)
    assert refused.outcome is Outcome.DEADLOCK
    other.release("db")
    assert mode_of(arbiter, former) is EX


def test_one_that_excludes_no_more_does_not_wait_for_it(arbiter: DeferredArbiter) -> None:
    arbiter.resume(GRACE)
    former = Session(arbiter).ask("db", regains=True)
    former.convert("db", PR)
    assert former.kinds() == [Granted, Converted]
    assert Session(arbiter).ask("db", mode=PR, regains=True).kinds() == [Granted]


def test_one_that_is_not_to_wait_is_refused_in_it(arbiter: DeferredArbiter, clock: Clock) -> None:
    arbiter.resume(GRACE)
    former = Session(arbiter).ask("db", mode=PR, regains=True)
    former.convert("db", EX, wait=False)
    assert isinstance(refused := former.effects[-1], NotConverted)
    assert refused.outcome is Outcome.BUSY
    clock.advance(GRACE)
    assert mode_of(arbiter, former) is PR


def test_one_that_is_given_up_in_it_does_not_happen(arbiter: DeferredArbiter, clock: Clock) -> None:
    arbiter.resume(GRACE)
    former = Session(arbiter).ask("db", mode=PR, regains=True)
    former.convert("db", EX, number=1)
    former.convert("db", PR, number=2)
    clock.advance(GRACE)
    assert former.kinds() == [Granted, Converting, Converted]
    assert mode_of(arbiter, former) is PR


def test_each_lock_of_a_session_has_its_own(arbiter: DeferredArbiter, clock: Clock) -> None:
    arbiter.resume(GRACE)
    former = Session(arbiter).ask("one", mode=PR, regains=True).ask("two", mode=PR, regains=True)
    former.convert("one", EX)
    former.convert("two", EX)
    clock.advance(GRACE)
    assert [mode_of(arbiter, former, name) for name in ("one", "two")] == [EX, EX]


def test_what_was_released_meanwhile_is_not_converted(arbiter: DeferredArbiter, clock: Clock) -> None:
    arbiter.resume(GRACE)
    former = Session(arbiter).ask("one", mode=PR, regains=True).ask("two", mode=PR, regains=True)
    gone = Session(arbiter).ask("three", mode=PR, regains=True)
    waiter = Session(arbiter).ask("one")
    former.convert("one", EX)
    former.release("one")
    gone.convert("three", EX)
    gone.leave()
    clock.advance(GRACE)
    assert former.kinds() == [Granted, Granted, Converting]
    assert waiter.kinds() == [Granted]


def test_of_what_was_converted_another_mode_cannot_be_reclaimed(arbiter: DeferredArbiter, clock: Clock) -> None:
    """For a while, holders that come late may reclaim what nobody was granted; others may have been by this."""
    arbiter.resume(GRACE)
    former = Session(arbiter).ask("db", mode=PR, regains=True)
    clock.advance(GRACE)
    former.convert("db", EX)
    former.convert("db", PR)
    assert Session(arbiter).ask("db", mode=PR, regains=True).kinds() == [Refused]
    assert Session(arbiter).ask("other", regains=True).kinds() == [Granted]


# when it ends, or another one leads


def test_one_that_drains_refuses_those_that_wait_and_new_ones(arbiter: DeferredArbiter, clock: Clock) -> None:
    drained: list[bool] = []
    first, second = two_readers(arbiter)
    arbiter.drain(lambda: drained.append(True))
    assert isinstance(refused := first.effects[-1], NotConverted)
    assert (refused.outcome, refused.number, refused.delayed) == (Outcome.BUSY, 1, True)
    second.release("db")
    first.convert("db", EX, number=2)
    assert first.kinds()[2:] == [NotConverted, NotConverted]
    first.convert("db", LockMode.CR)
    assert mode_of(arbiter, first) is LockMode.CR
    first.release("db")
    clock.advance(0)
    assert drained == [True]


def test_one_that_drains_in_a_grace_period_refuses_it_at_the_end(arbiter: DeferredArbiter, clock: Clock) -> None:
    arbiter.resume(GRACE)
    former = Session(arbiter).ask("db", mode=PR, regains=True)
    former.convert("db", EX)
    arbiter.drain(lambda: None)
    clock.advance(GRACE)
    assert former.kinds() == [Granted, Converting, NotConverted]


def test_while_it_is_frozen_none_is_decided(arbiter: DeferredArbiter) -> None:
    first, second = two_readers(arbiter)
    arbiter.freeze()
    assert not first.convert("db", PR)
    assert not arbiter.release(second.id, parse_name("db"))
    assert first.kinds() == [Granted, Converting]
    arbiter.thaw()
    second.release("db")
    assert first.kinds() == [Granted, Converting, Converted]


def test_what_is_put_off_by_a_freeze_comes_in_its_turn(arbiter: DeferredArbiter) -> None:
    writer, reader = Session(arbiter).ask("db"), Session(arbiter).ask("db", mode=PR)
    arbiter.freeze()
    if not writer.convert("db", PR):
        arbiter.postpone(lambda: convert_again(writer))
    late = Session(arbiter).ask("db")
    arbiter.thaw()
    assert writer.kinds() == [Granted, Converted]
    assert reader.kinds() == [Queued, Granted]
    assert late.kinds() == [Queued]


def test_a_freeze_in_a_grace_period_leaves_it_deferred(arbiter: DeferredArbiter, clock: Clock) -> None:
    arbiter.resume(GRACE)
    former = Session(arbiter).ask("db", mode=PR, regains=True)
    former.convert("db", EX)
    arbiter.freeze()
    arbiter.thaw()
    assert former.kinds() == [Granted, Converting]
    clock.advance(GRACE)
    assert former.kinds() == [Granted, Converting, Converted]


def test_at_a_handover_who_waits_for_it_is_dismissed_like_all(arbiter: DeferredArbiter) -> None:
    """Its client reclaims what it holds from the next daemon, and asks again."""
    first, second = two_readers(arbiter)
    second.convert("db", LockMode.CR)
    arbiter.freeze()
    assert [each.request.mode for each in arbiter.view().resources[0].holders] == [PR, LockMode.CR]
    arbiter.hand_over()
    assert first.kinds() == [Granted, Converting, Dismissed]


def test_a_retired_one_refuses_those_that_wait_and_new_ones(arbiter: DeferredArbiter) -> None:
    first, second = two_readers(arbiter)
    arbiter.retire()
    assert first.kinds() == [Granted, Converting, NotConverted]
    second.release("db")
    first.convert("db", EX)
    assert first.kinds()[3:] == [NotConverted]
    first.convert("db", LockMode.NL)
    assert first.kinds()[4:] == [Converted]
    first.release("db")
    assert first.kinds()[5:] == [Dismissed]


def test_a_retired_one_refuses_what_was_deferred(arbiter: DeferredArbiter) -> None:
    arbiter.resume(GRACE)
    former = Session(arbiter).ask("db", mode=PR, regains=True)
    former.convert("db", EX)
    arbiter.retire()
    assert former.kinds() == [Granted, Converting, NotConverted]


def test_the_next_one_has_it_reclaimed_in_the_new_mode(arbiter: DeferredArbiter, clock: Clock) -> None:
    writer = Session(arbiter).ask("db")
    writer.convert("db", PR)
    held = writer.effects[-1]
    assert isinstance(held, Converted)
    after = DeferredArbiter(clock)
    after.resume(GRACE)
    again, reader = Session(after), Session(after).ask("db", mode=PR)
    after.request(LockRequest(again.id, parse_name("db"), held.request.mode, regains=True, token=held.token))
    assert isinstance(regained := again.effects[0], Granted)
    assert (regained.request.mode, regained.token) == (PR, held.token)
    clock.advance(GRACE)
    assert reader.kinds() == [Granted]


# in between


def test_one_that_comes_too_late_for_its_limit_is_not_a_fault(arbiter: DeferredArbiter, clock: Clock) -> None:
    """It may come before the timer: others are granted what is freed all the same."""
    holder = Session(arbiter).ask("db", wishes=Wishes(max_hold=1.0))
    waiter = Session(arbiter).ask("db")
    clock.rightNow += 1.0  # no timer has had its turn
    holder.convert("db", PR)
    assert waiter.kinds() == [Queued, Granted]
    assert Converted not in holder.kinds()
