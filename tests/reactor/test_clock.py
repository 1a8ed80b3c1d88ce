"""A reactor made monotonic measures time as before, and does not notice that the wall clock is set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.pollreactor import PollReactor
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from flom.core.effects import Instant
from flom.reactor.clock import follows_wall_clock, instant_of, make_monotonic
from tests.fakes.clocks import HOUR, TimeMachine, time_machine


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[TimeMachine]:
    with time_machine(monkeypatch) as machine:
        yield machine


@pytest.fixture
def rung(machine: TimeMachine) -> list[str]:
    """What the timers of a test have called."""
    return []


def test_without_it_a_clock_that_is_set_back_stops_all_timers(machine: TimeMachine, rung: list[str]) -> None:
    machine.reactor.callLater(1, rung.append, "late")
    machine.ahead = -HOUR
    machine.now += 2
    machine.reactor.runUntilCurrent()
    assert rung == []  # once this fails, Twisted has a monotonic clock by itself, and flom.reactor.clock can go


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
def test_a_timer_keeps_its_time_when_the_clock_is_set(machine: TimeMachine, rung: list[str], ahead: float) -> None:
    make_monotonic(machine.reactor)
    machine.reactor.callLater(10, rung.append, "rung")
    machine.ahead = ahead
    machine.now += 9.9
    machine.reactor.runUntilCurrent()
    assert rung == []
    assert machine.reactor.timeout() == pytest.approx(0.1)
    machine.now += 0.1
    machine.reactor.runUntilCurrent()
    assert rung == ["rung"]


@pytest.mark.parametrize("is_pending", [False, True], ids=["new", "pending"])
def test_timers_that_run_keep_what_they_have_left(machine: TimeMachine, rung: list[str], is_pending: bool) -> None:
    reactor = machine.reactor
    for name, seconds in (("gone", 1), ("second", 20), ("first", 10)):
        call = reactor.callLater(seconds, rung.append, name)
        if name == "gone":
            gone = call
    if is_pending:
        reactor.runUntilCurrent()
    gone.cancel()
    make_monotonic(reactor)
    make_monotonic(reactor)  # again, which changes nothing
    machine.pass_time(9.9, 0.1)
    assert rung == []
    machine.pass_time(0.2, 0.1)
    assert rung == ["first"]
    machine.pass_time(10, 0.1)
    assert rung == ["first", "second"]


def test_a_timer_that_runs_can_be_reset(machine: TimeMachine, rung: list[str]) -> None:
    call = machine.reactor.callLater(10, rung.append, "rung")
    make_monotonic(machine.reactor)
    machine.ahead = -HOUR
    call.reset(5)
    machine.pass_time(4.9, 0.1)
    assert rung == []
    machine.pass_time(0.2, 0.1)
    assert rung == ["rung"]


@pytest.mark.parametrize("make", [EPollReactor, PollReactor, SelectReactor, AsyncioSelectorReactor])
def test_any_reactor_of_twisted_can_be_made_monotonic(make: Callable[[], Any]) -> None:
    reactor = make()
    assert follows_wall_clock(reactor)
    make_monotonic(reactor)
    assert not follows_wall_clock(reactor)
    assert reactor.seconds is monotonic
    reactor.waker.connectionLost(Failure(CONNECTION_DONE))


class Simulated(EPollReactor):
    """A reactor with a time of its own."""

    def seconds(self) -> float:
        return 42.0


def test_a_reactor_with_a_time_of_its_own_keeps_it() -> None:
    reactor: Any = Simulated()
    assert not follows_wall_clock(reactor)
    make_monotonic(reactor)
    assert reactor.seconds() == 42.0
    reactor.waker.connectionLost(Failure(CONNECTION_DONE))


def test_the_clock_of_a_test_is_left_alone() -> None:
    clock = Clock()
    make_monotonic(clock)
    clock.advance(1)
    assert clock.seconds() == 1


def test_both_clocks_are_those_of_the_machine_or_of_the_test(machine: TimeMachine) -> None:
    before, instant, after = monotonic(), instant_of(machine.reactor)(), monotonic()
    assert before <= instant.monotonic <= after
    assert instant.wall > 1_700_000_000
    clock = Clock()
    clock.advance(7)
    assert instant_of(clock)() == Instant(7, 7)
