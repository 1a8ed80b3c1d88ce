"""Connections are accepted as long as there are descriptors for them."""

from __future__ import annotations

import errno
import os
import resource
from typing import Any

import pytest
from twisted.internet import tcp
from twisted.internet.task import Clock
from twisted.logger import LogEvent

from flom.server.admission import CALM, MEASURE_EVERY, PATIENCE, Admission, can_open, room_for_connections
from flom.server.limits import Limits
from flom.server.log_throttle import LogThrottle
from tests.fakes.connections import Transport
from tests.fakes.logs import informed, warnings


class Port(tcp.Port):
    """
    A port with clients, without a network.

    @ivar arriving: how many want to be accepted.
    """

    def __init__(self, house: House) -> None:
        self.numberAccepts = 100
        self.arriving = 0
        self.is_reading = True
        self._house = house

    def startReading(self) -> None:
        self.is_reading = True

    def stopReading(self) -> None:
        self.is_reading = False

    def doRead(self) -> None:
        accepted = 0 if self._house.is_system_full else min(self.numberAccepts, self.arriving)
        self.arriving -= accepted
        for _ in range(accepted):
            self._house.come_in()


class House:
    """
    An admission with two ports.

    @ivar free: descriptors that are not in use.
    @ivar is_system_full: whether not even those can be had.
    """

    def __init__(self, descriptors: int) -> None:
        self.clock = Clock()
        self.free = descriptors
        self.is_system_full = False
        throttle = LogThrottle(self.clock)
        self.admission = Admission(
            self.clock, Limits(0, 0), throttle, measure=lambda: self.free, can_open=lambda: not self.is_system_full
        )
        self.ports = [Port(self), Port(self)]
        for port in self.ports:
            self.admission.watch(port)
        self._origins: list[str] = []

    @property
    def inside(self) -> int:
        return len(self._origins)

    def arrive(self, *numbers: int) -> None:
        """Connect clients, some at each port."""
        for port, number in zip(self.ports, numbers, strict=False):
            port.arriving += number
        self.turn()

    def turn(self) -> None:
        """Run the reactor until it has nothing to do."""
        self.clock.advance(0)
        while readable := [port for port in self.ports if port.is_reading and port.arriving]:
            readable[0].doRead()

    def come_in(self) -> None:
        assert self.free > 0, "a connection was accepted for which there was no descriptor"
        self.free -= 1
        origin = self.admission.enter(Transport())
        assert origin is not None
        self._origins.append(origin)

    def go(self, number: int = 1) -> None:
        """Close some connections."""
        for _ in range(number):
            self.free += 1
            self.admission.leave(self._origins.pop())
        self.turn()


def test_as_many_are_accepted_as_there_are_descriptors_and_the_others_wait() -> None:
    house = House(10)
    house.arrive(7, 8)
    assert house.inside == 10
    assert sum(port.arriving for port in house.ports) == 5
    house.go(3)
    assert house.inside == 10
    house.go(10)
    assert (house.inside, [port.arriving for port in house.ports]) == (2, [0, 0])


def test_one_who_goes_makes_room_for_one(log: list[LogEvent]) -> None:
    house = House(10)
    house.arrive(500)
    for waiting in range(489, -1, -1):
        house.go()
        assert house.inside == 10
        assert house.ports[0].arriving == waiting
    assert len(warnings(log)) == 1


def test_the_log_says_once_that_descriptors_run_out_and_that_it_is_over(log: list[LogEvent]) -> None:
    house = House(10)
    house.arrive(11)
    house.clock.advance(3600)
    out = "descriptors have run out: no connections are accepted until some of the 10 are closed"
    assert warnings(log) == [out]
    house.go(2)
    house.arrive(5)  # out again, too early to have been over
    house.clock.advance(CALM)
    assert (warnings(log), informed(log)) == ([out], [])
    house.go(8)
    house.clock.advance(CALM)
    assert informed(log) == [f"connections are accepted again, now that {house.inside} are open"]
    house.arrive(100)
    assert len(warnings(log)) == 2


def test_descriptors_that_others_close_are_noticed_too() -> None:
    house = House(10)
    house.free = 0
    house.arrive(3)
    assert (house.inside, [port.is_reading for port in house.ports]) == (0, [False, False])
    house.free = 5
    for _ in range(round(MEASURE_EVERY / PATIENCE)):
        house.clock.advance(PATIENCE)
    house.turn()
    assert house.inside == 3


def test_descriptors_that_others_open_are_noticed_in_time() -> None:
    house = House(200)
    house.arrive(90)
    house.free -= 60
    house.clock.advance(MEASURE_EVERY)
    house.arrive(90)
    assert (house.inside, house.free) == (140, 0)


def test_a_whole_system_without_descriptors_does_not_keep_the_reactor_busy() -> None:
    house = House(10)
    house.is_system_full = True
    house.arrive(3)
    assert (house.inside, [port.is_reading for port in house.ports]) == (0, [False, False])
    house.is_system_full = False
    house.clock.advance(PATIENCE)
    house.turn()
    assert house.inside == 3


def test_a_port_that_opens_meanwhile_waits_too() -> None:
    house = House(1)
    house.arrive(2)
    late = Port(house)
    house.admission.watch(late)
    assert not late.is_reading


def test_a_closed_port_is_left_alone_and_the_last_one_ends_all_timers() -> None:
    house = House(1)
    house.arrive(2)
    first, second = house.ports
    house.admission.forget(first)
    house.go()
    assert (first.is_reading, second.is_reading) == (False, True)
    house.arrive(0, 2)
    house.admission.forget(second)
    assert not house.clock.getDelayedCalls()
    house.go()
    assert not second.is_reading


def test_a_port_without_descriptors_is_not_watched() -> None:
    strange: Any = object()
    admission = House(1).admission
    admission.watch(strange)
    admission.forget(strange)


def test_some_descriptors_are_kept_for_other_things(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "listdir", lambda _: ["0", "1", "2", "3"])
    for most, room in ((1024, 957), (100, 72), (4, 0)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, most=most: (most, most))
        assert room_for_connections() == room


def test_every_descriptor_that_is_open_takes_room() -> None:
    room = room_for_connections()
    with open(os.devnull):
        assert room_for_connections() == room - 1
    assert can_open()


def test_without_a_descriptor_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> Any:
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))

    monkeypatch.setattr(os, "open", fail)
    monkeypatch.setattr(os, "listdir", fail)
    assert not can_open()
    assert room_for_connections() == 0
