"""An arbiter in the place of a daemon that has gone: former holders reclaim their locks first."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from flom.core.effects import Dismissed, Granted, Queued
from flom.server.arbiter import DeferredArbiter
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
