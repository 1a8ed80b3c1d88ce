"""Several locks at once: what an arbiter does with them at its beginning, its end, and in between."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from flom.codes import Outcome
from flom.core.effects import Dismissed, Granted, Queued, Refused
from flom.core.names import parse_name
from flom.core.protocol.messages import WhyWithdrawn
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.limits import Limits
from flom.server.snapshot import take_status
from tests.fakes.sessions import Session


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def arbiter(clock: Clock) -> DeferredArbiter:
    return DeferredArbiter(clock)


def test_each_part_is_told_in_the_order_of_the_parts(arbiter: DeferredArbiter) -> None:
    holder, waiter = Session(arbiter).ask("A"), Session(arbiter).ask_all("B", "A")
    assert waiter.kinds() == [Queued]
    holder.release("A")
    assert waiter.kinds() == [Queued, Granted, Granted]
    assert waiter.granted == ["B", "A"]


def test_all_is_released_in_one_step(arbiter: DeferredArbiter) -> None:
    holder, waiter = Session(arbiter).ask_all("A", "B"), Session(arbiter).ask_all("B", "A")
    assert arbiter.release_all(holder.id)
    assert waiter.granted == ["B", "A"]
    assert not arbiter.has_locks(holder.id)


def test_what_waits_is_withdrawn_as_one(arbiter: DeferredArbiter) -> None:
    holder, waiter = Session(arbiter).ask("A"), Session(arbiter).ask_all("B", "A")
    next_one = Session(arbiter).ask_all("A", "C")
    assert arbiter.withdraw_all(waiter.id, WhyWithdrawn.SIGNAL)
    assert not arbiter.withdraw_all(waiter.id)
    assert not arbiter.has_locks(waiter.id)
    assert arbiter.statistics.withdrawn[WhyWithdrawn.SIGNAL] == 1
    holder.leave()
    assert next_one.granted == ["A", "C"]


def test_it_waits_for_the_end_of_a_grace_period(arbiter: DeferredArbiter, clock: Clock) -> None:
    arbiter.resume(grace=2.0)
    former = Session(arbiter).ask_all("A", "B", regains=True)
    late, hasty = Session(arbiter).ask_all("B", "C"), Session(arbiter).ask_all("B", "D", wait=False)
    gone, other = Session(arbiter).ask_all("E", "F"), Session(arbiter).ask_all("G", "H")
    assert former.granted == ["A", "B"]
    assert late.kinds() == []
    assert arbiter.has_locks(late.id)
    assert arbiter.release(gone.id, parse_name("F"))
    assert arbiter.release_all(other.id)
    clock.advance(1.0)
    assert [(effect.request.name.text, effect.outcome) for effect in hasty.effects if isinstance(effect, Refused)] == [
        ("B", Outcome.BUSY)
    ]
    clock.advance(1.0)
    assert late.kinds() == [Queued]
    assert gone.kinds() == other.kinds() == []
    former.release("B")
    assert late.granted == ["B", "C"]


def test_of_what_is_reclaimed_nothing_may_have_been_granted_to_others(arbiter: DeferredArbiter) -> None:
    arbiter.resume(grace=2.0)
    arbiter.end_grace()
    Session(arbiter).ask("A").leave()
    former = Session(arbiter).ask_all("B", "A", regains=True)
    assert former.kinds() == [Refused]
    assert Session(arbiter).ask_all("B", "C", regains=True).granted == ["B", "C"]


def test_while_it_is_frozen_nothing_is_decided(arbiter: DeferredArbiter) -> None:
    holder = Session(arbiter).ask("A")
    arbiter.freeze()
    waiter = Session(arbiter).ask_all("A", "B")
    assert not arbiter.release_all(holder.id)
    assert not arbiter.withdraw_all(waiter.id)
    assert waiter.kinds() == []
    arbiter.thaw()
    assert waiter.kinds() == [Queued]
    assert arbiter.release_all(holder.id)
    assert waiter.granted == ["A", "B"]


def test_a_retired_one_dismisses_who_waits_and_refuses_others(arbiter: DeferredArbiter) -> None:
    holder, waiter = Session(arbiter).ask("A"), Session(arbiter).ask_all("A", "B")
    both = Session(arbiter).ask("C").ask_all("A", "D")
    arbiter.retire()
    assert waiter.kinds() == [Queued, Dismissed]
    assert both.kinds() == [Granted, Queued, Refused]
    assert holder.ask_all("E", "F").kinds() == [Granted, Refused]
    assert arbiter.release_all(holder.id)
    assert holder.kinds() == [Granted, Refused, Dismissed]


def test_one_that_drains_has_it_wait_for_the_next_daemon(arbiter: DeferredArbiter, clock: Clock) -> None:
    drained: list[bool] = []
    holder, waiter = Session(arbiter).ask("A"), Session(arbiter).ask_all("A", "B")
    both = Session(arbiter).ask("C").ask_all("A", "D")
    arbiter.drain(lambda: drained.append(True))
    assert both.kinds() == [Granted, Queued, Refused]
    assert Session(arbiter).ask_all("E", "F").kinds() == [Queued]
    assert arbiter.release_all(holder.id)
    assert arbiter.release_all(both.id)
    clock.advance(0)
    assert drained == [True]
    assert waiter.kinds() == [Queued]


def test_those_that_have_waited_elsewhere_are_put_in_order_as_one(arbiter: DeferredArbiter, clock: Clock) -> None:
    holder = Session(arbiter).ask_all("A", lineage=("h",))
    late = Session(arbiter).ask_all("A", "B", waited=1.0, lineage=("x",))
    early = Session(arbiter).ask_all("A", "B", waited=9.0, lineage=("y",))
    clock.advance(0.05)
    clock.advance(0)
    assert late.kinds() == early.kinds() == [Queued]
    holder.release("A")
    assert (early.granted, late.granted) == (["A", "B"], [])


def test_it_is_shown_at_each_resource_and_counted_once(arbiter: DeferredArbiter) -> None:
    Session(arbiter).ask("A")
    Session(arbiter).ask_all("A", "B")
    status = take_status(arbiter, Counters(started=0.0))
    assert {each.name: [waiter.beside for waiter in each.waiters] for each in status.resources} == {
        "A": [("B",)],
        "B": [("A",)],
    }
    assert status.deadlocks == ()


def test_the_limit_of_overtaking_is_that_of_the_daemon(clock: Clock) -> None:
    arbiter = DeferredArbiter(clock, limits=Limits(overtaking=1))
    Session(arbiter).ask_all("A", lineage=("h",))
    waiter = Session(arbiter).ask_all("A", "B", lineage=("x",))
    overtakes = Session(arbiter).ask_all("B", lineage=("y",))
    overtakes.leave()
    held_back = Session(arbiter).ask_all("B", lineage=("z",))
    assert (overtakes.granted, held_back.granted) == (["B"], [])
    waiter.leave()
    assert held_back.granted == ["B"]
