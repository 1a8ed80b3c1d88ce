"""A client can cause some log lines of each kind, and then one that counts the others."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel

from flom.server.limits import Limits
from flom.server.log_throttle import MANY, WINDOW, LogThrottle
from flom.server.options import ServerOptions
from tests.fakes.connections import MemoryDaemon, lock, xml
from tests.fakes.logs import warnings

HOLD = lock()


def limited(**limits: Any) -> MemoryDaemon:
    return MemoryDaemon(ServerOptions(limits=Limits(**limits)))


def test_nothing_is_left_to_be_told_when_the_daemon_has_stopped() -> None:
    daemon = limited(connections=1)
    for _ in range(3):
        daemon.connect()
    daemon.factory.disconnect_all()
    assert [call for call in daemon.clock.getDelayedCalls() if "sum_up" in str(call)] == []


def test_a_flood_of_refusals_is_one_line_and_then_one_that_counts(log: list[LogEvent]) -> None:
    daemon = limited(connections=1)
    daemon.connect().send(HOLD)
    for _ in range(1000):
        daemon.connect().leave()
    assert len(warnings(log)) == 1
    daemon.clock.advance(WINDOW)
    assert warnings(log)[1:] == ["max-connections: 999 more in the last 10 s"]
    daemon.connect().leave()
    daemon.clock.advance(WINDOW)
    assert warnings(log)[2:] == ["max-connections: 1 more in the last 10 s"]
    daemon.clock.advance(WINDOW)
    daemon.connect().leave()
    assert warnings(log)[3:] == ["max-connections: closing 127.0.0.1:40000: there are 1 connections"]


def test_each_limit_has_its_own_line(log: list[LogEvent]) -> None:
    throttle = LogThrottle(Clock())
    for limit in ("max-waiters", "max-resources", "max-waiters"):
        throttle.warn(limit, "{resource} refused", resource="R1")
    assert warnings(log) == ["max-waiters: R1 refused", "max-resources: R1 refused"]


def test_what_breaks_no_limit_is_logged_every_time(log: list[LogEvent]) -> None:
    daemon = limited()
    for _ in range(3):
        daemon.connect().send(xml(3, 8))
    assert len(warnings(log)) == 3


@pytest.mark.parametrize(
    ("offence", "kind", "sorts"),
    [
        (lock(wait=0), "refusals", [LogLevel.info]),
        (lock("-"), "invalid names", [LogLevel.info]),
        (xml(3, 8), "breaches of the protocol", [LogLevel.warn]),
    ],
)
def test_repeated_offences_do_not_fill_the_disk(
    offence: bytes, kind: str, sorts: list[LogLevel], log: list[LogEvent]
) -> None:
    daemon = MemoryDaemon()
    daemon.connect().send(lock())
    for _ in range(1000):
        daemon.connect().send(offence)
    assert [event.get("log_level") for event in log] == sorts * MANY
    daemon.clock.advance(WINDOW)
    assert warnings(log)[-1] == f"{kind}: {1000 - MANY} more in the last 10 s"
    daemon.clock.advance(WINDOW)
    del log[:]
    daemon.connect().send(offence)
    assert len(log) == 1
